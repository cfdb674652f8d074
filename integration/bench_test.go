package integration

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// Benchmarks compare ways of doing the same within one run: several rounds, in each of them every way once, in turn;
// what is told is the median of the rounds' ratios. They run when XAPROXY_BENCH names the document that gets their tables.
// XAPROXY_BENCH_ROUNDS and XAPROXY_BENCH_TIME change how many rounds, and how long each way is driven in each.

// benchDocument skips the test when nobody asked for benchmarks.
func benchDocument(t *testing.T) string {
	t.Helper()
	path := os.Getenv("XAPROXY_BENCH")
	if path == "" {
		t.Skip("XAPROXY_BENCH is not set: make bench")
	}
	return path
}

func benchRounds() int {
	if n, err := strconv.Atoi(os.Getenv("XAPROXY_BENCH_ROUNDS")); err == nil {
		return n
	}
	return 5
}

func benchTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("XAPROXY_BENCH_TIME")); err == nil {
		return d
	}
	return 2 * time.Second
}

// benchWay is one way of doing the work.
type benchWay struct {
	name string
	pid  int // of the process whose CPU time counts, 0: none
	// client returns a function that does the work once, and one that ends the client.
	client func(ctx context.Context, number int) (once func(context.Context) error, end func(), err error)
}

// benchResult is what one way did in one round.
type benchResult struct {
	rate    float64       // per second
	cpu     time.Duration // of the process, for each
	latency time.Duration // median of all
}

// measure drives one way by some clients for a while.
func (y benchWay) measure(t *testing.T, clients int, lasts time.Duration) benchResult {
	t.Helper()
	all := make([]func(context.Context) error, clients)
	for i := range all {
		once, end, err := y.client(t.Context(), i)
		if err != nil {
			t.Fatalf("%s: %v", y.name, err)
		}
		defer end()
		for range 3 { // connections are made, plans known
			if err := once(t.Context()); err != nil {
				t.Fatalf("%s: %v", y.name, err)
			}
		}
		all[i] = once
	}
	cpu := cpuTime(t, y.pid)
	began := time.Now()
	took := make([][]time.Duration, clients)
	var wg sync.WaitGroup
	for i, once := range all {
		wg.Go(func() {
			for last := began; last.Sub(began) < lasts; {
				if err := once(t.Context()); err != nil {
					t.Errorf("%s: %v", y.name, err)
					return
				}
				now := time.Now()
				took[i] = append(took[i], now.Sub(last))
				last = now
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	spent := cpuTime(t, y.pid) - cpu
	each := slices.Concat(took...)
	if len(each) == 0 {
		t.Fatalf("%s did nothing", y.name)
	}
	slices.Sort(each)
	return benchResult{rate: float64(len(each)) / elapsed.Seconds(), cpu: spent / time.Duration(len(each)), latency: each[len(each)/2]}
}

// compare drives all ways in turn and returns each way's results by round.
func compare(t *testing.T, ways []benchWay, clients int) [][]benchResult {
	t.Helper()
	results := make([][]benchResult, len(ways))
	for round := range benchRounds() {
		for i := range ways {
			n := (i + round) % len(ways) // nobody is always the first
			results[n] = append(results[n], ways[n].measure(t, clients, benchTime()))
		}
	}
	return results
}

// medianOf is the median over the rounds of what f says.
func medianOf[T float64 | time.Duration](rounds int, f func(round int) T) T {
	all := make([]T, rounds)
	for i := range all {
		all[i] = f(i)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// ratio is the median of the rounds' ratios of rates.
func ratio(a, b []benchResult) float64 {
	return medianOf(len(a), func(i int) float64 { return a[i].rate / b[i].rate })
}

func medianCPU(a []benchResult) time.Duration {
	return medianOf(len(a), func(i int) time.Duration { return a[i].cpu })
}

func medianLatency(a []benchResult) time.Duration {
	return medianOf(len(a), func(i int) time.Duration { return a[i].latency })
}

// cpuTime is the user and system time that a process has had; 0 for pid 0.
func cpuTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	if pid == 0 {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // proc(5): utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 on every Linux
}

// resident is the memory of a process in MiB.
func resident(t testing.TB, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// benchProxy starts a proxy with the settings of an ordinary one, which reaches the shards at the given addresses.
func benchProxy(t *testing.T, c *cluster, name string, addrs []string, node int, ack string) *proxyProcess {
	t.Helper()
	dsn := map[string]string{}
	for i, s := range c.shards {
		dsn[s.name] = fmt.Sprintf("%s:%s@tcp(%s)/", s.server.User(), s.server.Password(), addrs[i])
	}
	p := c.newProxy(t, name, proxySettings{node: node, shards: dsn, retain: "1s", // what was decided is collected within the measurement
		recovery:     map[string]string{"beat": "1s", "dead_after": "3s", "grace": "10s", "phase2_wait": "1s", "session_lease": "15s"},
		transactions: map[string]string{"ack": ack, "prepare_timeout": "10s", "lock_timeout": "10s"}})
	p.up()
	return p
}

func (p *proxyProcess) pid() int {
	cmd, _ := p.process()
	return cmd.Process.Pid
}

func (c *cluster) addrs() []string {
	var all []string
	for _, s := range c.shards {
		all = append(all, s.server.Addr())
	}
	return all
}

// dial opens one connection.
func dial(ctx context.Context, dsn string) (*sql.Conn, func(), error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	return conn, func() { discard(conn); _ = db.Close() }, nil
}

// runAll executes statements on one connection.
func runAll(ctx context.Context, conn *sql.Conn, queries ...string) error {
	for _, q := range queries {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

// startHAProxy starts a plain TCP proxy in front of an address and returns its own, and its process id.
func startHAProxy(t *testing.T, target string) (addr string, pid int) {
	t.Helper()
	return runHAProxy(t, func(bind string) string {
		return fmt.Sprintf("global\n  maxconn 500\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\nlisten mysql\n  bind %s\n  server s %s\n", bind, target)
	})
}

// runHAProxy starts HAProxy with a configuration that binds the address it is given.
func runHAProxy(t *testing.T, configuration func(bind string) string) (addr string, pid int) {
	t.Helper()
	program, err := launch.EnsureHAProxy(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal("no HAProxy: ", err)
	}
	addr = freeAddr(t)
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(config, []byte(configuration(addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-f", config, "-db")
	cmd.Stderr = os.Stderr
	if err := startChild(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := poll(t.Context(), 10*time.Second, func(context.Context) error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return addr, cmd.Process.Pid
}

// delayRelay passes bytes on, each direction late by a fixed time, as a network does. Timers of the runtime are too
// coarse for a fraction of a millisecond: the kernel's are waited for.
type delayRelay struct {
	listener net.Listener
	target   string
	late     atomic.Int64 // nanoseconds
}

func startDelayRelay(t *testing.T, target string, late time.Duration) *delayRelay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	r := &delayRelay{listener: l, target: target}
	r.late.Store(int64(late))
	go r.accept()
	return r
}

func (r *delayRelay) addr() string { return r.listener.Addr().String() }

func (r *delayRelay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		go r.pass(client, server)
		go r.pass(server, client)
	}
}

type delayed struct {
	data []byte
	due  time.Time
}

func (r *delayRelay) pass(from, to net.Conn) {
	defer to.Close()
	queue := make(chan delayed, 1024)
	go func() {
		defer close(queue)
		for {
			buffer := make([]byte, 16<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				queue <- delayed{buffer[:n], time.Now().Add(time.Duration(r.late.Load()))}
			}
			if err != nil {
				return
			}
		}
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpenTimers()
	for d := range queue {
		if wait := time.Until(d.due); wait > 0 {
			spec := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&spec, nil)
		}
		if _, err := to.Write(d.data); err != nil {
			_ = from.Close()
		}
	}
}
