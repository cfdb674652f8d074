package integration

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
)

// cluster is some shards, each behind a relay, and the proxies in front of them.
type cluster struct {
	t      *testing.T
	dir    string
	shards []*shard
}

// shard is one server behind one relay.
type shard struct {
	name    string
	server  *launch.Server
	relay   *faultwire.Relay
	journal *journal
	db      *sql.DB   // directly at the server, as root
	since   time.Time // of the server's present run
}

// grow waits until the server's run can be told from the next one: start times within two seconds count as the same
// run, and then a session of the old run may seem to live on.
func (s *shard) grow() { time.Sleep(time.Until(s.since.Add(3500 * time.Millisecond))) }

// journal keeps what a relay saw.
type journal struct {
	mu     sync.Mutex
	events []faultwire.Event
}

func (j *journal) add(e faultwire.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

// take returns what was seen since the last call of reset.
func (j *journal) take() []faultwire.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]faultwire.Event(nil), j.events...)
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = nil
}

// newCluster starts one shard per engine, named s0, s1, ... and numbered by nobody yet.
func newCluster(t *testing.T, engines ...launch.Engine) *cluster {
	t.Helper()
	var options []launch.Options
	for _, e := range engines {
		options = append(options, launch.Options{Engine: e})
	}
	return newClusterOf(t, options...)
}

func newClusterOf(t *testing.T, options ...launch.Options) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir()}
	for i, s := range launchtest.Start(t, options...) {
		c.shards = append(c.shards, c.relayed(fmt.Sprintf("s%d", i), s))
	}
	return c
}

// relayed puts a relay in front of a server.
func (c *cluster) relayed(name string, server *launch.Server) *shard {
	c.t.Helper()
	s := &shard{name: name, server: server, journal: &journal{}, since: time.Now()}
	var err error
	s.relay, err = faultwire.Listen(c.t.Context(), faultwire.Options{Name: name, Target: server.Addr(), Journal: s.journal.add})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = s.relay.Close() })
	if s.db, err = server.DB(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	return s
}

// dsn reaches the shard through its relay.
func (s *shard) dsn() string {
	return fmt.Sprintf("%s:%s@tcp(%s)/", s.server.User(), s.server.Password(), s.relay.Addr())
}

func (s *shard) exec(t testing.TB, query string) {
	t.Helper()
	if _, err := s.db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %s: %v", s.name, query, err)
	}
}

func (s *shard) number(ctx context.Context, query string) (int64, error) {
	var n int64
	if err := s.db.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("%s: %s: %w", s.name, query, err)
	}
	return n, nil
}

func (s *shard) mustNumber(t testing.TB, query string) int64 {
	t.Helper()
	n, err := s.number(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// xid is a prepared branch as XA RECOVER lists it.
type xid struct {
	format       int64
	gtrid, bqual string
}

func (x xid) String() string { return fmt.Sprintf("%q,%q,%d", x.gtrid, x.bqual, x.format) }

func (x xid) literal() string {
	return fmt.Sprintf("X'%s',X'%s',%d", hex.EncodeToString([]byte(x.gtrid)), hex.EncodeToString([]byte(x.bqual)), x.format)
}

// prepared lists what the server holds prepared.
func (s *shard) prepared(ctx context.Context) ([]xid, error) {
	rows, err := s.db.QueryContext(ctx, "XA RECOVER")
	if err != nil {
		return nil, fmt.Errorf("%s: XA RECOVER: %w", s.name, err)
	}
	defer rows.Close()
	var all []xid
	for rows.Next() {
		var x xid
		var g, b int
		var data string
		if err := rows.Scan(&x.format, &g, &b, &data); err != nil {
			return nil, err
		}
		x.gtrid, x.bqual = data[:g], data[g:g+b]
		all = append(all, x)
	}
	return all, rows.Err()
}

// kill ends the server with SIGKILL.
func (s *shard) kill(t testing.TB) {
	if err := s.server.Kill(); err != nil {
		t.Errorf("kill %s: %v", s.name, err)
	}
}

// restart starts a killed server and returns when it answers.
func (s *shard) restart(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.server.Restart(ctx); err != nil {
		t.Fatalf("restart %s: %v", s.name, err)
	}
	s.since = time.Now()
}

var gtridLiteral = regexp.MustCompile(`(?i)XA START X'([0-9a-f]+)'`)

// gtrids returns the transactions that were opened at the relay since its journal was reset.
func (s *shard) gtrids() []string {
	var all []string
	for _, e := range s.journal.take() {
		if e.Phase != faultwire.Sent {
			continue
		}
		if m := gtridLiteral.FindStringSubmatch(e.Command.SQL); m != nil {
			if g, err := hex.DecodeString(m[1]); err == nil {
				all = append(all, string(g))
			}
		}
	}
	return all
}

// trace is what the relays saw since reset, in order of time, without what proxies do all the time.
func (c *cluster) trace() string {
	var all []faultwire.Event
	for _, s := range c.shards {
		all = append(all, s.journal.take()...)
	}
	sortEvents(all)
	var b strings.Builder
	for _, e := range all {
		if !chatter(e) {
			fmt.Fprintln(&b, hexLiteral.ReplaceAllStringFunc(e.String(), printable))
		}
	}
	return b.String()
}

var hexLiteral = regexp.MustCompile(`X'[0-9A-Fa-f]+'`)

// printable is a hexadecimal literal as text.
func printable(literal string) string {
	b, err := hex.DecodeString(literal[2 : len(literal)-1])
	if err != nil {
		return literal
	}
	return fmt.Sprintf("%q", b)
}

// chatter reports whether an event is a beat, a look at the nodes or the set-up of a connection that went well.
func chatter(e faultwire.Event) bool {
	if e.Result.Error != 0 || e.Phase == faultwire.Held || e.Phase == faultwire.Dropped || e.Command.SQL == "" {
		return false
	}
	for _, start := range []string{"SELECT @@", "SELECT node_id", "UPDATE xaproxy.node SET beat", "SET SESSION", "SET NAMES", "SELECT VERSION()",
		"SELECT CAST(UNIX_TIMESTAMP()", "SELECT COUNT(*) FROM information_schema.innodb_trx", "SELECT version, cluster"} {
		if strings.HasPrefix(e.Command.SQL, start) {
			return true
		}
	}
	return false
}

func (c *cluster) resetJournals() {
	for _, s := range c.shards {
		s.journal.reset()
	}
}

// keep writes a trace where XAPROXY_TRACES says, and returns the file's name, or "".
func keep(name, text string) string {
	dir := os.Getenv("XAPROXY_TRACES")
	if dir == "" {
		return ""
	}
	path := filepath.Join(dir, strings.NewReplacer("/", "_", " ", "_", "#", "-").Replace(name)+".txt")
	if os.MkdirAll(dir, 0o755) != nil || os.WriteFile(path, []byte(text), 0o644) != nil {
		return ""
	}
	return path
}

// poll calls ok until it returns nil or the time is over; it returns the last error and how long it took.
func poll(ctx context.Context, limit time.Duration, ok func(context.Context) error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	from := time.Now()
	var last error
	for {
		err := ok(ctx)
		if err == nil {
			return time.Since(from), nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return time.Since(from), last
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// slack is added to every limit of time: XAPROXY_SLACK, for machines that do other work.
func slack() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("XAPROXY_SLACK")); err == nil {
		return d
	}
	return 3 * time.Second
}
