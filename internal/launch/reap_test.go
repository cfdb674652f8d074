package launch_test

import (
	"encoding/json"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
)

func TestOrphanIsReaped(t *testing.T) {
	ownCache(t)
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		h := startHelper(t, "outliving", e)
		pid, dir := h.server(t)
		if err := launch.Reap(t.Context()); err != nil || !runs(t, pid) {
			t.Fatalf("Reap touched the server of a living launcher: %v", err)
		}
		h.kill(t)
		if !runs(t, pid) {
			t.Fatal("the server died with its launcher: nothing to reap")
		}
		if err := launch.Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) || runs(t, pid) {
			t.Fatalf("directory: %v, process lives: %t", err, runs(t, pid))
		}
		links, err := os.ReadDir(filepath.Join(os.Getenv("XAPROXY_CACHE"), "instances"))
		if err != nil || len(links) != 0 {
			t.Fatalf("still registered: %v, %v", links, err)
		}
	})
}

func TestServerDiesWithItsLauncher(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a parent death signal")
	}
	ownCache(t)
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		h := startHelper(t, "mortal", e)
		pid, dir := h.server(t)
		h.kill(t)
		eventually(t, "the server is dead", func() bool { return !runs(t, pid) })
		// What it left goes with the next start.
		launchtest.Start(t, launch.Options{Engine: e})
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("directory: %v", err)
		}
	})
}

// TestReapNeverKillsAnotherProcessWithThePid forges what a dead launcher's directory looks like after its server's pid
// was given to somebody else.
func TestReapNeverKillsAnotherProcessWithThePid(t *testing.T) {
	ownCache(t)
	h := startHelper(t, "outliving", launch.MariaDB1011)
	pid, dir := h.server(t)
	h.kill(t)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	bystander := osexec.CommandContext(t.Context(), "sleep", "1000")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bystander.Wait() })
	t.Cleanup(func() { _ = bystander.Process.Kill() })

	path := filepath.Join(dir, "instance.json")
	var record map[string]any
	if err := json.Unmarshal([]byte(read(t, path)), &record); err != nil {
		t.Fatal(err)
	}
	genuine := read(t, path)
	record["PID"] = bystander.Process.Pid
	forged, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := launch.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !runs(t, bystander.Process.Pid) {
		t.Fatal("a process that is no server was killed")
	}
	if _, err := os.Stat(dir); err != nil || !runs(t, pid) {
		t.Fatalf("the directory of a living server: %v, server lives: %t", err, runs(t, pid))
	}
	if err := os.WriteFile(path, []byte(genuine), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := launch.Reap(t.Context()); err != nil || runs(t, pid) {
		t.Fatalf("reap: %v, server lives: %t", err, runs(t, pid))
	}
}
