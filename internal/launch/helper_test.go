package launch_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
)

// helperVariable makes the test binary a launcher that a test can kill: "outliving ENGINE", "mortal ENGINE" start a
// server, "ensure ENGINE" makes the engine ready. It prints what came of it and waits for its death.
const helperVariable = "XAPROXY_LAUNCH_TEST_HELPER"

func TestMain(m *testing.M) {
	if job := os.Getenv(helperVariable); job != "" {
		os.Exit(help(job))
	}
	os.Exit(launchtest.Main(m))
}

func help(job string) int {
	kind, engine, _ := strings.Cut(job, " ")
	ctx := context.Background()
	o := launch.Options{Engine: launch.Engine(engine)}
	o.Progress = func(line string) { fmt.Println("progress", line) }
	var s *launch.Server
	var err error
	switch kind {
	case "outliving":
		s, err = launch.StartOutliving(ctx, o)
	case "mortal":
		s, err = launch.Start(ctx, o)
	case "ensure":
		err = launch.Ensure(ctx, o.Engine, o.Progress)
	}
	if err != nil {
		fmt.Println("error", strconv.Quote(err.Error()))
		return 1
	}
	if s == nil {
		fmt.Println("done")
		return 0
	}
	fmt.Println("server", s.PID(), s.Dir())
	select {}
}

// helper is a running helper process.
type helper struct {
	cmd   *osexec.Cmd
	lines *bufio.Scanner
}

func startHelper(t *testing.T, kind string, e launch.Engine) *helper {
	t.Helper()
	cmd := osexec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperVariable+"="+kind+" "+string(e))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &helper{cmd: cmd, lines: bufio.NewScanner(out)}
}

// await returns the first line that begins with the prefix, without it.
func (h *helper) await(t *testing.T, prefix string) string {
	t.Helper()
	for h.lines.Scan() {
		t.Log("helper:", h.lines.Text())
		if rest, ok := strings.CutPrefix(h.lines.Text(), prefix); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("the helper ended without a line %q (%v)", prefix, h.lines.Err())
	return ""
}

// kill kills the helper as a crash would.
func (h *helper) kill(t *testing.T) {
	t.Helper()
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.cmd.Wait() // "signal: killed"
}

// server awaits the helper's server.
func (h *helper) server(t *testing.T) (pid int, dir string) {
	t.Helper()
	first, dir, _ := strings.Cut(h.await(t, "server "), " ")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return pid, dir
}

// ownCache gives the test a cache folder of its own that shares the fetched servers: nobody else reaps what it leaves.
func ownCache(t *testing.T) {
	t.Helper()
	requireEngines(t)
	shared := os.Getenv("XAPROXY_CACHE")
	if shared == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		shared = filepath.Join(user, "xaproxy")
	}
	own := t.TempDir()
	if err := os.Symlink(filepath.Join(shared, "servers"), filepath.Join(own, "servers")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XAPROXY_CACHE", own)
}

// requireEngines skips the test unless every engine is to be had.
func requireEngines(t *testing.T) {
	t.Helper()
	for _, e := range launch.Engines() {
		if err := launch.Ensure(t.Context(), e, func(line string) { t.Log(line) }); err != nil {
			t.Skip(err)
		}
	}
}

// eachEngine runs the test once per engine.
func eachEngine(t *testing.T, test func(t *testing.T, e launch.Engine)) {
	t.Helper()
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) { test(t, e) })
	}
}

// runs reports whether the pid is a living process.
func runs(t *testing.T, pid int) bool {
	t.Helper()
	start, err := launch.ProcessStart(pid)
	if err != nil {
		t.Fatal(err)
	}
	return start != ""
}

// eventually fails the test unless check becomes true within ten seconds.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}
