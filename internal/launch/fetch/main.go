// Command fetch makes servers ready for tests and says each step: all engines, or those named as arguments. What the
// machine cannot have it explains; it fails if nothing is to be had. It knows nothing of what the servers are for.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"xaproxy/internal/launch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(status) //nolint:forbidigo // this is main
}

// run returns the exit status.
func run(ctx context.Context, names []string, out io.Writer) int {
	engines := launch.Engines()
	if len(names) > 0 {
		engines = nil
		for _, name := range names {
			engines = append(engines, launch.Engine(name))
		}
	}
	ready := 0
	for _, e := range engines {
		err := launch.Ensure(ctx, e, func(line string) { fmt.Fprintln(out, line) })
		if ctx.Err() != nil {
			return 1
		}
		if err != nil {
			fmt.Fprintln(out, err)
			continue
		}
		ready++
	}
	if ready == 0 {
		return 1
	}
	fmt.Fprintf(out, "%d of %d servers are ready\n", ready, len(engines))
	return 0
}
