// Command fetch makes servers ready for tests and says each step: all engines, or those named as arguments. It knows
// nothing of what they are for.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"xaproxy/internal/launch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	engines := launch.Engines()
	if len(os.Args) > 1 {
		engines = nil
		for _, name := range os.Args[1:] {
			engines = append(engines, launch.Engine(name))
		}
	}
	say := func(line string) { fmt.Fprintln(os.Stderr, line) }
	for _, e := range engines {
		if err := launch.Ensure(ctx, e, say); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
