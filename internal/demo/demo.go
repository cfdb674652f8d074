// Package demo is the main job shown on real servers: three throw-away shards
// of two kinds, the proxy as a process of its own, a bank spread over them. It
// shows every verb that reaches a shard, kills the proxy where that hurts most
// and looks at the shards themselves afterwards. It knows the proxy only as an
// application does: by its DSN and its program's commands.
package demo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// Options say how to run the demo.
type Options struct {
	Out     io.Writer
	Program string // xaproxy's executable; it is started and killed
	// Stay keeps the servers up after the show until the context ends.
	Stay bool
}

const (
	accounts = 30
	opening  = 10000 // cents per account at the start
	password = "demo"
)

// Run shows everything and returns an error when an invariant did not hold.
func Run(ctx context.Context, o Options) error {
	s := &show{out: o.Out, program: o.Program}
	// What the driver thinks of a killed proxy is shown as the application's error.
	if err := mysql.SetLogger(&mysql.NopLogger{}); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		return errors.Join(err, s.close())
	}
	err := s.play(ctx)
	if err == nil && o.Stay {
		s.stay(ctx)
	}
	return errors.Join(err, s.close())
}

// show is the stage: what was started and must be ended.
type show struct {
	out     io.Writer
	program string
	dir     string
	shards  []*shard
	proxy   *process
	data    string // addresses
	admin   string
	trace   trace
	db      *sql.DB
}

type shard struct {
	name   string
	server *launch.Server
	relay  *faultwire.Relay
	db     *sql.DB // directly, as root: to look with our own eyes
	ids    []int   // accounts that live here
}

func (s *show) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *show) open(ctx context.Context) error {
	var err error
	if s.dir, err = os.MkdirTemp("", "xaproxy-demo-"); err != nil {
		return err
	}
	s.say("== 1. Three throw-away shards of two kinds")
	engines := []launch.Engine{launch.MySQL, launch.MariaDB1011, launch.MariaDB118}
	var options []launch.Options
	for _, e := range engines {
		if err := launch.Ensure(ctx, e, func(line string) { s.say("   %s", line) }); err != nil {
			return err
		}
		options = append(options, launch.Options{Engine: e})
	}
	begun := time.Now()
	servers, err := launch.StartAll(ctx, options...)
	if err != nil {
		return err
	}
	for i, server := range servers {
		s.shards = append(s.shards, &shard{name: fmt.Sprintf("s%d", i), server: server})
	}
	for _, sh := range s.shards {
		if err := s.connect(ctx, sh); err != nil {
			return err
		}
		s.say("   shard %s: %-13s on %s", sh.name, sh.server.Engine(), sh.server.Addr())
	}
	s.say("   started in %.1f s", time.Since(begun).Seconds())
	return s.startProxy(ctx)
}

func (s *show) connect(ctx context.Context, sh *shard) error {
	var err error
	sh.relay, err = faultwire.Listen(ctx, faultwire.Options{Name: sh.name, Target: sh.server.Addr(), Journal: s.trace.note})
	if err != nil {
		return err
	}
	sh.db, err = sql.Open("mysql", sh.server.RootDSN())
	return err
}

func (s *show) startProxy(ctx context.Context) error {
	s.say("")
	s.say("== 2. The proxy, and an application that knows only a MySQL DSN")
	var err error
	if s.data, err = freeAddr(ctx); err != nil {
		return err
	}
	if s.admin, err = freeAddr(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(s.configPath(), s.config(), 0o600); err != nil {
		return err
	}
	if err := s.serve(ctx); err != nil {
		return err
	}
	s.say("   DSN: %s", s.dsn(""))
	s.db, err = sql.Open("mysql", s.dsn("bank"))
	return err
}

func (s *show) configPath() string { return filepath.Join(s.dir, "xaproxy.yaml") }

func (s *show) dsn(schema string) string {
	return "app:" + password + "@tcp(" + s.data + ")/" + schema
}

// config is an ordinary configuration file; only the times are shorter than
// the defaults, so that nobody has to wait.
func (s *show) config() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "state_dir: %q\nlisten: { data: %q, admin: %q, http: \"off\" }\nshards:\n", filepath.Join(s.dir, "state"), s.data, s.admin)
	for _, sh := range s.shards {
		fmt.Fprintf(&b, "  %s: { dsn: \"%s:%s@tcp(%s)/\" }\n", sh.name, sh.server.User(), sh.server.Password(), sh.relay.Addr())
	}
	fmt.Fprintf(&b, "tables:\n  account: { key: id }\nusers:\n  app: { password: %s }\n  ops: { password: %s, role: operate }\n", password, password)
	b.WriteString("recovery: { dead_after: 1s, grace: 1s, interval: 2s }\nclaims: { retain: 0s }\n")
	return b.Bytes()
}

func (s *show) serve(ctx context.Context) error {
	begun := time.Now()
	p, err := start(ctx, s.program, "serve", "--config", s.configPath(), "--log-level", "warn")
	if err != nil {
		return err
	}
	s.proxy = p
	db, err := sql.Open("mysql", s.dsn(""))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := p.await(ctx, 30*time.Second, func(ctx context.Context) error { return db.PingContext(ctx) }); err != nil {
		return fmt.Errorf("the proxy did not come up: %w\n%s", err, p.output())
	}
	s.say("   proxy serves after %.2f s (pid %d)", time.Since(begun).Seconds(), p.pid())
	return nil
}

func (s *show) close() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.proxy != nil {
		errs = append(errs, s.proxy.stop())
	}
	for _, sh := range s.shards {
		if sh.relay != nil {
			errs = append(errs, sh.relay.Close())
		}
		if sh.db != nil {
			errs = append(errs, sh.db.Close())
		}
		errs = append(errs, sh.server.Stop())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

func (s *show) stay(ctx context.Context) {
	s.say("")
	s.say("The servers stay up. Try it:")
	s.say("   mysql -h 127.0.0.1 -P %s -u app -p%s bank      (application)", port(s.data), password)
	s.say("   mysql -h 127.0.0.1 -P %s -u ops -p%s           (admin: SHOW SHARDS; SHOW XA TRANSACTIONS; XA RECOVER)", port(s.admin), password)
	s.say("Ctrl-C ends and removes everything.")
	<-ctx.Done()
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
