// Package launchtest gives tests real servers: ones of their own, or one shared per engine and test process. A server
// that the machine cannot have skips the test, or fails it where XAPROXY_REQUIRE (comma-separated: mysql, mariadb)
// names its family. It knows nothing of what is tested.
package launchtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// fetchPatience bounds a first fetch; startPatience the start of servers that are there.
const (
	fetchPatience = 10 * time.Minute
	startPatience = 2 * time.Minute
)

// Start starts servers in parallel and stops them when the test ends.
func Start(t testing.TB, options ...launch.Options) []*launch.Server {
	t.Helper()
	for i := range options {
		if options[i].Progress == nil {
			options[i].Progress = func(line string) { t.Log(line) }
		}
		need(t, options[i].Engine, options[i].Progress)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	servers, err := launch.StartAll(ctx, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stopAll(servers); err != nil {
			t.Error(err)
		}
	})
	return servers
}

// need returns if the engine is ready; otherwise it skips or fails the test.
func need(t testing.TB, e launch.Engine, say func(string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fetchPatience)
	defer cancel()
	err := launch.Ensure(ctx, e, say)
	if err == nil {
		return
	}
	required := strings.Split(os.Getenv("XAPROXY_REQUIRE"), ",")
	if e.Family() == "" || slices.Contains(required, e.Family()) {
		t.Fatal(err)
	}
	t.Skip(err)
}

func stopAll(servers []*launch.Server) error {
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { errs[i] = s.Stop() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// shared holds the servers of the process: tests get at them without a thing to pass around.
var shared sharedServers

type sharedServers struct {
	mu      sync.Mutex
	servers map[launch.Engine]*launch.Server
	owned   bool // Main runs, and will stop them
}

// Shared returns the process's server of the engine, started by the first call. It is for tests that use a schema of
// their own and neither kill the server nor change its settings. The package needs
//
//	func TestMain(m *testing.M) { os.Exit(launchtest.Main(m)) }
func Shared(t testing.TB, e launch.Engine) *launch.Server {
	t.Helper()
	say := func(line string) { t.Log(line) }
	need(t, e, say)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.owned {
		t.Fatal("launchtest.Shared needs TestMain to call launchtest.Main")
	}
	if s := shared.servers[e]; s != nil {
		return s
	}
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	s, err := launch.Start(ctx, launch.Options{Engine: e, Progress: say})
	if err != nil {
		t.Fatal(err)
	}
	shared.servers[e] = s
	return s
}

// Main runs the tests, then stops the shared servers. It returns the exit status.
func Main(m *testing.M) int {
	shared.mu.Lock()
	shared.owned = true
	shared.servers = make(map[launch.Engine]*launch.Server)
	shared.mu.Unlock()
	status := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	var servers []*launch.Server
	for _, s := range shared.servers {
		servers = append(servers, s)
	}
	if err := stopAll(servers); err != nil {
		fmt.Fprintln(os.Stderr, "stop shared servers:", err)
		status = max(status, 1)
	}
	return status
}
