package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
)

const (
	appPassword = "app-password"
	opsPassword = "ops-password"
)

// proxySettings are the parts of the configuration file that tests vary.
type proxySettings struct {
	node         int // 0: not configured
	stateDir     string
	shards       map[string]string // name to DSN; nil: the cluster's
	recovery     map[string]string // override those of matrixRecovery
	retain       string
	transactions map[string]string
	tables       string // further lines of that section
	listen       string // further addresses of the data port, each with a comma in front
	front        string // further settings of listen, with a comma in front
	users        string // further lines of that section
	more         string // further YAML
}

func matrixRecovery() map[string]string {
	return map[string]string{"beat": "250ms", "dead_after": "1s", "grace": "1s", "phase2_wait": "300ms", "session_lease": "6s"}
}

// proxyProcess is the program as a child process.
type proxyProcess struct {
	t         *testing.T
	name      string
	config    string
	stateDir  string
	data      string
	adminAddr string
	httpAddr  string
	log       string

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	failed error
}

// newProxy writes a configuration for a further proxy; it does not start it.
func (c *cluster) newProxy(t *testing.T, name string, s proxySettings) *proxyProcess {
	t.Helper()
	dir := filepath.Join(c.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &proxyProcess{t: t, name: name, config: filepath.Join(dir, "xaproxy.yaml"), log: filepath.Join(dir, "log"),
		data: freeAddr(t), adminAddr: freeAddr(t), httpAddr: freeAddr(t), stateDir: s.stateDir}
	if p.stateDir == "" {
		p.stateDir = filepath.Join(dir, "state")
	}
	if s.shards == nil {
		s.shards = map[string]string{}
		for _, sh := range c.shards {
			s.shards[sh.name] = sh.dsn()
		}
	}
	if err := os.WriteFile(p.config, []byte(p.yaml(s)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

func (p *proxyProcess) yaml(s proxySettings) string {
	var b strings.Builder
	if s.node != 0 {
		fmt.Fprintf(&b, "node: %d\n", s.node)
	}
	fmt.Fprintf(&b, "state_dir: %s\nlisten: { data: [%q%s], admin: %q, http: %q%s }\nshards:\n", p.stateDir, p.data, s.listen, p.adminAddr, p.httpAddr, s.front)
	for _, name := range slices.Sorted(maps.Keys(s.shards)) {
		fmt.Fprintf(&b, "  %s: { dsn: %q }\n", name, s.shards[name])
	}
	fmt.Fprintf(&b, "tables:\n  account: { key: id }\n%s", s.tables)
	fmt.Fprintf(&b, "users:\n  app: { password: %q }\n  ops: { password: %q, role: operate }\n%s", appPassword, opsPassword, s.users)
	transactions := map[string]string{"prepare_timeout": "3s", "lock_timeout": "5s"}
	maps.Copy(transactions, s.transactions)
	fmt.Fprintf(&b, "transactions: { %s }\n", flow(transactions))
	recovery := matrixRecovery()
	maps.Copy(recovery, s.recovery)
	fmt.Fprintf(&b, "recovery: { %s }\n", flow(recovery))
	if s.retain == "" {
		s.retain = "0s"
	}
	fmt.Fprintf(&b, "claims: { retain: %s }\n%s", s.retain, s.more)
	return b.String()
}

func flow(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+": "+m[k])
	}
	return strings.Join(parts, ", ")
}

// given are the addresses that freeAddr has returned: a proxy listens on its own only later, and again after a restart.
var given sync.Map

// freeAddr is an address that nobody listens on now, below the ports that launched servers and clients take.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", 14000+rand.IntN(5999))
		if _, twice := given.LoadOrStore(addr, true); twice {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// start starts the process; it does not wait for anything.
func (p *proxyProcess) start(args ...string) {
	p.t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	if len(args) == 0 {
		args = []string{"serve"}
	}
	cmd := exec.Command(binary(p.t), append(args, "--config", p.config)...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := startChild(cmd); err != nil {
		p.t.Fatal(err)
	}
	exited := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.exited, p.failed = cmd, exited, nil
	p.mu.Unlock()
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.failed = err
		p.mu.Unlock()
		close(exited)
	}()
}

// up starts the process and waits until it serves every shard.
func (p *proxyProcess) up() {
	p.t.Helper()
	p.start()
	if _, err := poll(p.t.Context(), 20*time.Second+slack(), p.ready); err != nil {
		p.t.Fatalf("proxy %s is not ready: %v\n%s", p.name, err, p.logTail(40))
	}
}

func (p *proxyProcess) process() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.exited
}

func (p *proxyProcess) signal(s syscall.Signal) {
	cmd, _ := p.process()
	if cmd != nil {
		_ = cmd.Process.Signal(s) // a process that has ended needs no signal
	}
}

// pause stops the process and returns once none of its threads runs any more: the signal alone leaves one that is at
// work on another processor a moment to go on.
func (p *proxyProcess) pause() {
	p.signal(syscall.SIGSTOP)
	cmd, _ := p.process()
	if cmd == nil {
		return
	}
	_, _ = poll(context.WithoutCancel(p.t.Context()), 5*time.Second, func(context.Context) error { return stopped(cmd.Process.Pid) })
}

// stopped fails while a thread of the process is not stopped; where there is no /proc it does not know.
func stopped(pid int) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return err
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if !strings.HasPrefix(rest, "T") {
			return fmt.Errorf("%s: %.1s", name, rest)
		}
	}
	return nil
}

func (p *proxyProcess) resume() { p.signal(syscall.SIGCONT) }

// kill ends the process with SIGKILL and waits for its death.
func (p *proxyProcess) kill() {
	cmd, exited := p.process()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill()
	<-exited
}

// stop ends the process by SIGTERM.
func (p *proxyProcess) stop() error {
	_, exited := p.process()
	p.signal(syscall.SIGTERM)
	select {
	case <-exited:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.failed
	case <-time.After(20 * time.Second):
		return errors.New("did not end within 20 s after SIGTERM")
	}
}

// ends waits until the process ends by itself and returns what it wrote.
func (p *proxyProcess) ends(limit time.Duration) (string, error) {
	_, exited := p.process()
	select {
	case <-exited:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.logTail(40), p.failed
	case <-time.After(limit):
		p.t.Errorf("proxy %s has not ended", p.name)
		return p.logTail(40), nil
	}
}

func (p *proxyProcess) alive() bool {
	cmd, exited := p.process()
	if cmd == nil {
		return false
	}
	select {
	case <-exited:
		return false
	default:
		return true
	}
}

// ready asks for a login and for an answer of every shard.
func (p *proxyProcess) ready(ctx context.Context) error {
	if !p.alive() {
		return fmt.Errorf("proxy %s has ended", p.name)
	}
	db := p.open("", "timeout=1s&readTimeout=2s")
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return fmt.Errorf("login at proxy %s: %w", p.name, err)
	}
	var n int
	err := db.QueryRowContext(ctx, "SELECT id FROM bank.account WHERE balance < -1000000000").Scan(&n)
	if err == nil || errors.Is(err, sql.ErrNoRows) || slices.Contains([]uint16{1146, 1049}, errorNumber(err)) {
		return nil // also before the table exists
	}
	return fmt.Errorf("scatter at proxy %s: %w", p.name, err)
}

// open returns connections to the data port; nothing is dialled yet.
func (p *proxyProcess) open(schema, params string) *sql.DB {
	db, err := sql.Open("mysql", fmt.Sprintf("app:%s@tcp(%s)/%s?%s", appPassword, p.data, schema, params))
	if err != nil {
		p.t.Fatal(err)
	}
	return db
}

// admin returns connections to the admin port.
func (p *proxyProcess) admin() *sql.DB {
	db, err := sql.Open("mysql", fmt.Sprintf("ops:%s@tcp(%s)/", opsPassword, p.adminAddr))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (p *proxyProcess) logTail(lines int) string {
	b, _ := os.ReadFile(p.log)
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}

func sortEvents(all []faultwire.Event) {
	slices.SortStableFunc(all, func(a, b faultwire.Event) int { return a.Time.Compare(b.Time) })
}
