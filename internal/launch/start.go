package launch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Options say which server to start, and where.
type Options struct {
	Engine Engine
	// Dir is the folder in which the instance's directory is made; it stays after Stop. "" = the instance's directory
	// is temporary and removed by Stop.
	Dir string
	// Name is the instance's directory below Dir, "" = a new one. If it holds the data of an earlier server of the same
	// engine, the server starts on them, on the earlier port if that is free.
	Name string
	// Settings are added to my.cnf or override the standard ones; an empty value writes the bare name.
	Settings map[string]string
	// Env is added to the server's environment, each as NAME=value. A preloaded library must get along with the libc
	// of the server's Debian release.
	Env []string
	// Progress is told each step as one line. nil = quiet.
	Progress func(string)
}

// startPatience bounds how long a server may take until it answers; a start after a crash is a matter of seconds.
const startPatience = 2 * time.Minute

// Start starts a server and returns when it answers queries. It fetches the engine first if need be (see [Ensure]), and
// reaps what crashed launchers left (see [Reap]). The error is [ErrRunning] if a server lives on the directory.
func Start(ctx context.Context, o Options) (*Server, error) { return start(ctx, o, diesWithLauncher) }

// StartAll starts servers in parallel and returns them in the order of the options. If one fails, none is left.
func StartAll(ctx context.Context, options ...Options) ([]*Server, error) {
	servers := make([]*Server, len(options))
	errs := make([]error, len(options))
	var wg sync.WaitGroup
	for i, o := range options {
		wg.Go(func() { servers[i], errs[i] = Start(ctx, o) })
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err == nil {
		return servers, nil
	}
	for _, s := range servers {
		if s != nil {
			err = errors.Join(err, s.Stop())
		}
	}
	return nil, err
}

func start(ctx context.Context, o Options, orphan orphanage) (*Server, error) {
	say := newProgress(o.Progress)
	t, err := ensure(ctx, o.Engine, say)
	if err != nil {
		return nil, err
	}
	if err := Reap(ctx); err != nil {
		say.linef("%v", err) // what others left is no reason not to start
	}
	begin := time.Now()
	s, err := prepare(o, t)
	if err != nil {
		return nil, fmt.Errorf("prepare a server of %s: %w", o.Engine.title(), err)
	}
	s.orphan = orphan
	if err := s.run(ctx); err != nil {
		return nil, errors.Join(err, s.release())
	}
	say.linef("started %s on %s in %s", o.Engine.product(s.Version()), s.Addr(), seconds(time.Since(begin)))
	return s, nil
}

// prepare claims a directory and a port and fills the directory.
func prepare(o Options, t *template) (_ *Server, err error) {
	s := &Server{engine: o.Engine, template: t, password: t.Password, env: o.Env}
	if err := s.claimDir(o); err != nil {
		return nil, err
	}
	defer func() {
		if err == nil {
			return
		}
		err = errors.Join(err, s.held.Close())
		if s.home == homeTemporary {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	}()
	earlier, err := readRecord(s.dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, "data")
	if _, statErr := os.Stat(data); statErr == nil {
		if earlier.Engine != o.Engine {
			return nil, fmt.Errorf("%s holds data of engine %q, not %q", s.dir, earlier.Engine, o.Engine)
		}
		s.password = earlier.Password
	} else if err := copyTemplate(t.Data, data); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "tmp"), 0o700); err != nil {
		return nil, err
	}
	if s.port, err = claimPort(earlier.Port); err != nil {
		return nil, err
	}
	if err := s.configure(o.Settings); err != nil {
		return nil, errors.Join(err, s.port.release())
	}
	return s, nil
}

// claimDir makes the instance's directory if need be and locks it.
func (s *Server) claimDir(o Options) error {
	var err error
	switch {
	case o.Dir == "" && o.Name != "":
		return fmt.Errorf("option Name %q needs option Dir", o.Name)
	case o.Dir == "":
		s.home = homeTemporary
		s.dir, err = os.MkdirTemp("", "xaproxy-"+string(o.Engine)+"-")
	case o.Name == "":
		if err = os.MkdirAll(o.Dir, 0o755); err == nil {
			s.dir, err = os.MkdirTemp(o.Dir, string(o.Engine)+"-")
		}
	case !filepath.IsLocal(o.Name):
		return fmt.Errorf("option Name %q leads out of Dir", o.Name)
	default:
		s.dir = filepath.Join(o.Dir, o.Name)
		err = os.MkdirAll(s.dir, 0o700)
	}
	if err != nil {
		return err
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	s.held, err = tryLock(filepath.Join(s.dir, "lock"))
	if errors.Is(err, errLocked) {
		return fmt.Errorf("%s: %w", s.dir, ErrRunning)
	}
	return err
}

// copyTemplate makes the data directory in one step, so that half a copy is never taken for data.
func copyTemplate(from, to string) error {
	half := to + ".partial"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	if err := copyTree(from, half); err != nil {
		return fmt.Errorf("copy the template: %w", err)
	}
	return os.Rename(half, to)
}

// configure writes the server's my.cnf.
func (s *Server) configure(extra map[string]string) error {
	c := configuration{
		engine: s.engine, installation: s.template.Installation,
		dir: s.dir, data: filepath.Join(s.dir, "data"), port: s.port.number,
		socket: filepath.Join(s.dir, "sock"),
	}
	const longest = 100 // unix(7): 108 bytes with the final zero; servers keep some for themselves
	if len(c.socket) > longest {
		c.socket = filepath.Join(os.TempDir(), fmt.Sprintf("xaproxy-%d.sock", s.port.number))
	}
	return c.write(filepath.Join(s.dir, "my.cnf"), extra)
}

// run starts the process and waits until it answers. The caller holds mu, or is alone.
func (s *Server) run(ctx context.Context) error {
	if err := s.register(nil); err != nil {
		return err
	}
	printed, err := os.Create(filepath.Join(s.dir, "output.log"))
	if err != nil {
		return err
	}
	defer printed.Close()
	begin := time.Now()
	p, err := startProcess(command{
		program: s.template.Installation.Server,
		args:    []string{"--defaults-file=" + filepath.Join(s.dir, "my.cnf")},
		env:     append(s.template.Installation.env(), s.env...),
		output:  printed,
		inherit: []*os.File{s.held},
		orphan:  s.orphan,
	})
	if err != nil {
		return err
	}
	s.process = p
	err = s.register(p)
	if err == nil {
		err = s.awaitReady(ctx, p)
	}
	if err != nil {
		err = fmt.Errorf("start %s on %s (%s): %w", s.engine.product(s.Version()), s.Addr(), seconds(time.Since(begin)), err)
		return s.withLogs(errors.Join(err, p.kill()))
	}
	return nil
}

// awaitReady returns when the server answers a query whose answer only this server can give.
func (s *Server) awaitReady(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("no answer within %s", startPatience))
	defer cancel()
	db, err := s.open()
	if err != nil {
		return err
	}
	defer db.Close()
	var data string
	var last error
	err = poll(ctx, 10*time.Millisecond, func() (bool, error) {
		if !p.alive() {
			return false, fmt.Errorf("the server ended: %w", p.err)
		}
		last = db.QueryRowContext(ctx, "SELECT @@datadir").Scan(&data)
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	if want := filepath.Join(s.dir, "data"); !sameDir(data, want) {
		return fmt.Errorf("another server answers on the port: its data directory is %s, not %s", data, want)
	}
	return nil
}

// sameDir reports whether two paths lead to one directory.
func sameDir(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// open makes a pool of connections as root; nothing is dialled yet.
func (s *Server) open() (*sql.DB, error) {
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", s.Addr()
	c.User, c.Passwd = rootUser, s.password
	c.Logger = &mysql.NopLogger{} // a server that does not answer yet is no news
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// withLogs adds the tails of what the server logged and printed to an error.
func (s *Server) withLogs(err error) error {
	for _, name := range []string{"error.log", "output.log"} {
		b, readErr := os.ReadFile(filepath.Join(s.dir, name))
		if readErr == nil && len(b) > 0 {
			err = fmt.Errorf("%w\n%s:\n%s", err, name, lastLines(string(b), 15))
		}
	}
	return err
}
