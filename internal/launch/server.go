package launch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Server is a server that was started: its process, its data directory, its port. The port and the directory stay its
// own until Stop, whether the process lives or not. Methods may be called from several goroutines.
type Server struct {
	engine   Engine
	template *template
	dir      string
	home     home
	port     port
	password string
	env      []string
	orphan   orphanage
	held     *os.File // the lock of the directory, shared with the process

	mu      sync.Mutex
	process *process // the last one
	db      *sql.DB
	stopped bool
}

// home says whose the instance's directory is.
type home uint8

const (
	homeGiven     home = iota // the caller's: it stays
	homeTemporary             // made here: removed by Stop, or by Reap
)

// stopPatience is how long Stop waits between SIGTERM and SIGKILL; an orderly end takes about two seconds.
const stopPatience = 10 * time.Second

// Engine returns what the server is.
func (s *Server) Engine() Engine { return s.engine }

// Version returns the version that the server program names, e.g. "9.7.4".
func (s *Server) Version() string { return s.template.Installation.Version }

// Port returns the TCP port, the same for the life of the Server.
func (s *Server) Port() int { return s.port.number }

// Addr returns 127.0.0.1:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port.number)) }

// User returns the name of an account with all privileges that may connect over TCP. Its plugin is
// caching_sha2_password on MySQL, mysql_native_password on MariaDB.
func (s *Server) User() string { return accountUser }

// Password returns the password of User, and of root.
func (s *Server) Password() string { return s.password }

// DSN returns the data source name of User for the go-sql-driver, without a schema: a schema and parameters may be
// appended.
func (s *Server) DSN() string { return s.dsn(accountUser) }

// RootDSN returns the data source name of root, in the form of DSN.
func (s *Server) RootDSN() string { return s.dsn(rootUser) }

func (s *Server) dsn(user string) string {
	return fmt.Sprintf("%s:%s@tcp(%s)/", user, s.password, s.Addr())
}

// Dir returns the instance's directory: data, tmp, my.cnf, error.log.
func (s *Server) Dir() string { return s.dir }

// ErrorLog returns the path of the server's error log.
func (s *Server) ErrorLog() string { return filepath.Join(s.dir, "error.log") }

// GeneralLog returns the path of the general query log, which is off until SET GLOBAL general_log = ON.
func (s *Server) GeneralLog() string { return filepath.Join(s.dir, "general.log") }

// PID returns the process id of the server, 0 if it is dead.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.process.alive() {
		return 0
	}
	return s.process.pid
}

// DB returns a pool of connections as root, made by the first call and closed by Stop. It survives Kill and Restart.
func (s *Server) DB(ctx context.Context) (*sql.DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, ErrStopped
	}
	if s.db == nil {
		db, err := s.open()
		if err != nil {
			return nil, err
		}
		s.db = db
	}
	if err := s.db.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.Addr(), err)
	}
	return s.db, nil
}

// Kill kills the process with SIGKILL and waits for its death; a dead one stays dead.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.kill()
}

// Pause stops the process where it is (SIGSTOP) and returns when every thread stands still. Connections stay open and
// silent.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.process.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	pid := s.process.pid
	if err := poll(ctx, time.Millisecond, func() (bool, error) { return isPaused(pid) }); err != nil {
		return fmt.Errorf("pause server %d: %w", pid, err)
	}
	return nil
}

// Resume lets a paused process go on (SIGCONT).
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.signal(syscall.SIGCONT)
}

// Restart starts the server again on its data directory and port after Kill, or after it ended by itself, and returns
// when it answers queries. The error is [ErrRunning] if the old process lives.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return ErrStopped
	}
	if s.process.alive() {
		return fmt.Errorf("restart %s: %w: process %d", s.dir, ErrRunning, s.process.pid)
	}
	return s.run(ctx)
}

// Stop ends the process, waits for its death, gives the port and the directory back and removes a temporary directory.
// A server whose directory stays gets SIGTERM and time to end in order, then SIGKILL; one whose directory goes is killed
// at once. Further calls do nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.home == homeTemporary {
		errs = append(errs, s.process.kill()) // an orderly end would take seconds, for data that go
	} else {
		errs = append(errs, s.process.terminate(stopPatience))
	}
	return errors.Join(append(errs, s.release())...)
}

// release gives back what the server holds beside its process. The link goes first: who finds it finds a directory.
func (s *Server) release() error {
	errs := []error{unregister(s.dir)}
	if s.home == homeTemporary {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(append(errs, s.held.Close(), s.port.release())...)
}
