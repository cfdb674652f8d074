package proxy_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/proxy"
	"xaproxy/proxy/backend"
	"xaproxy/proxy/route"
	"xaproxy/tm"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

func TestMain(m *testing.M) { os.Exit(launchtest.Main(m)) }

// world is a running data port over real servers, with the real manager.
type world struct {
	t       *testing.T
	servers []*launch.Server
	server  *proxy.Server
	manager *tm.Manager
	addr    string
	log     *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type worldOptions struct {
	engines []launch.Engine
	limits  proxy.Limits
	lease   time.Duration
	tables  map[string]route.Placement
	conns   int
	wait    time.Duration
}

func twoMariaDB() worldOptions {
	return worldOptions{engines: []launch.Engine{launch.MariaDB1011, launch.MariaDB1011}}
}

const cluster xa.ClusterID = 0x1234567

func newWorld(t *testing.T, o worldOptions) *world {
	t.Helper()
	var options []launch.Options
	for _, e := range o.engines {
		options = append(options, launch.Options{Engine: e, Settings: map[string]string{
			"general_log": "1", "innodb_lock_wait_timeout": "5"}})
	}
	w := &world{t: t, servers: launchtest.Start(t, options...), log: &logBuffer{}}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.log.String())
		}
	})
	ctx := context.Background()
	var shards []proxy.Shard
	var managed []tm.Shard
	var numbers []route.Shard
	for i, s := range w.servers {
		name := fmt.Sprintf("s%d", i)
		if err := xamysql.Install(ctx, s.DSN(), xamysql.Meta{Cluster: cluster, Shard: xa.ShardID(i), Name: name}); err != nil {
			t.Fatal(err)
		}
		x, err := xamysql.Open(xamysql.Options{DSN: s.DSN(), Number: xa.ShardID(i), Name: name, Cluster: cluster, Node: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { x.Close() })
		b, err := backend.ParseDSN(s.DSN())
		if err != nil {
			t.Fatal(err)
		}
		b.Shard, b.Name, b.Lease = xa.ShardID(i), name, o.lease
		found := b
		found.FoundRows = true
		po := backend.PoolOptions{Log: log, MaxConns: o.conns, Wait: o.wait}
		p := proxy.Shard{Number: xa.ShardID(i), Name: name, Store: x, Pool: backend.NewPool(b, po), FoundRows: backend.NewPool(found, po)}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			for _, pool := range []*backend.Pool{p.Pool, p.FoundRows} {
				if err := pool.Close(ctx); err != nil {
					t.Errorf("a connection was not given back: %v", err)
				}
			}
		})
		shards = append(shards, p)
		managed = append(managed, tm.Shard{Resource: x, Claims: x, Nodes: x})
		numbers = append(numbers, route.Shard(i))
	}
	var err error
	w.manager, err = tm.New(tm.Options{Cluster: cluster, Node: 1, SaveIncarnation: func(uint32) error { return nil },
		Endpoint: "test", Shards: managed, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.manager.Start(ctx); err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.manager.Run(run); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	m, err := route.NewMap(route.MapConfig{Shards: numbers, Tables: o.tables, Default: route.Default{Kind: route.DefaultPrimaryKey}})
	if err != nil {
		t.Fatal(err)
	}
	w.server, err = proxy.NewServer(proxy.Options{
		Port: proxy.Port{Users: proxy.StaticUsers{
			"app": {Name: "app", Password: "secret"}, "other": {Name: "other", Password: "secret"}},
			Limits: o.limits, Log: log, ServerVersion: w.servers[0].Version()},
		Shards: shards, Manager: w.manager, Map: m,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.serve()
	return w
}

func (w *world) serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(ctx, l) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, proxy.ErrServerClosed) {
			w.t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := w.server.Shutdown(ctx); err != nil {
			w.t.Errorf("shutdown: %v", err)
		}
	})
}

// open returns a client's database handle.
func (w *world) open(params string) *sql.DB {
	w.t.Helper()
	db, err := sql.Open("mysql", "app:secret@tcp("+w.addr+")/"+params)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { db.Close() })
	return db
}

// conn returns one client session.
func (w *world) conn(params string) *sql.Conn {
	w.t.Helper()
	c, err := w.open(params).Conn(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

type execer interface {
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
}

type queryer interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

func exec(t *testing.T, c execer, q string, args ...any) sql.Result {
	t.Helper()
	r, err := c.ExecContext(context.Background(), q, args...)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return r
}

// number is the error number that a statement gets, 0 for success.
func number(t *testing.T, c execer, q string, args ...any) uint16 {
	t.Helper()
	_, err := c.ExecContext(context.Background(), q, args...)
	return numberOf(t, err)
}

func numberOf(t *testing.T, err error) uint16 {
	t.Helper()
	if err == nil {
		return 0
	}
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		t.Fatalf("not a server's error: %v", err)
	}
	return e.Number
}

// values returns a query's rows, fields joined by commas.
func values(t *testing.T, c queryer, q string, args ...any) []string {
	t.Helper()
	rows, err := c.QueryContext(context.Background(), q, args...)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		fields := make([]sql.NullString, len(cols))
		dest := make([]any, len(cols))
		for i := range fields {
			dest[i] = &fields[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		parts := make([]string, len(cols))
		for i, f := range fields {
			parts[i] = f.String
			if !f.Valid {
				parts[i] = "NULL"
			}
		}
		out = append(out, strings.Join(parts, ","))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return out
}

// direct is a database handle to a shard itself.
func (w *world) direct(i int) *sql.DB {
	w.t.Helper()
	db, err := w.servers[i].DB(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { db.Close() })
	return db
}

// bank creates bank.account with ids 0 to 19, and returns an id of each shard.
func (w *world) bank() []int {
	w.t.Helper()
	return w.bankOf("")
}

// bankOf is bank with table options.
func (w *world) bankOf(options string) []int {
	w.t.Helper()
	db := w.open("")
	exec(w.t, db, "CREATE DATABASE bank")
	exec(w.t, db, "CREATE TABLE bank.account (id INT PRIMARY KEY, balance INT NOT NULL, note VARCHAR(20)) ENGINE=InnoDB "+options)
	var rows []string
	for i := range 20 {
		rows = append(rows, fmt.Sprintf("(%d,100,NULL)", i))
	}
	r := exec(w.t, db, "INSERT INTO bank.account VALUES "+strings.Join(rows, ","))
	if n, err := r.RowsAffected(); err != nil || n != 20 {
		w.t.Fatalf("%d rows, %v", n, err)
	}
	ids := make([]int, len(w.servers))
	for i := range w.servers {
		if err := w.direct(i).QueryRow("SELECT MIN(id) FROM bank.account").Scan(&ids[i]); err != nil {
			w.t.Fatal(err)
		}
	}
	return ids
}

// balance reads a row at its shard.
func (w *world) balance(shard, id int) int {
	w.t.Helper()
	var n int
	if err := w.direct(shard).QueryRow("SELECT balance FROM bank.account WHERE id=?", id).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}
