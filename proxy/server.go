package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"xaproxy/proxy/route"
	"xaproxy/xa"
)

// Server accepts clients on listeners and runs their sessions. Make one with
// NewServer (data port) or NewHandlerServer (admin port). Its methods are safe
// for concurrent use.
type Server struct {
	port  Port
	open  func(*client) conversation
	begun time.Time
	// engine is what the data port's sessions share, nil at other ports.
	engine    atomic.Pointer[engine]
	extending sync.Mutex // held while it is replaced

	bounds   atomic.Pointer[Limits]
	draining atomic.Bool
	sessions sync.WaitGroup
	// behind are goroutines that give connections back once the manager has
	// finished with them.
	behind sync.WaitGroup

	// ctx is the life of all sessions; stop ends it with a reason.
	ctx  context.Context //nolint:containedctx // the server owns its sessions' life
	stop context.CancelCauseFunc

	mu sync.Mutex
	// Guarded by mu:
	listeners map[net.Listener]struct{}
	clients   map[uint32]*client
	lastID    uint32 // the lower bits of the youngest session's number
}

// ErrServerClosed is returned by Serve after Shutdown.
var ErrServerClosed = errors.New("server is closed")

// errDrained is why sessions end when Shutdown's time is over.
var errDrained = errors.New("the time for open transactions is over")

// NewServer returns the server of the data port. It does no I/O; Serve reads
// the catalog before it accepts.
func NewServer(o Options) (*Server, error) {
	e, err := newEngine(o)
	if err != nil {
		return nil, err
	}
	s := newServer(o.Port, func(c *client) conversation { return newSession(c) })
	e.limits = s.limits
	s.engine.Store(e)
	return s, nil
}

// NewHandlerServer returns a server whose statements h answers.
func NewHandlerServer(p Port, h Handler) (*Server, error) {
	if h == nil || p.Users == nil {
		return nil, errors.New("a port needs a handler and users")
	}
	return newServer(p, func(c *client) conversation { return newHandlerSession(c, h) }), nil
}

func newServer(p Port, open func(*client) conversation) *Server {
	s := &Server{
		port:      p.withDefaults(),
		open:      open,
		begun:     time.Now(),
		listeners: map[net.Listener]struct{}{},
		clients:   map[uint32]*client{},
	}
	s.bounds.Store(&s.port.Limits)
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	return s
}

// limits are those that count now.
func (s *Server) limits() *Limits { return s.bounds.Load() }

// SetLimits replaces the limits of the port; zero fields get their defaults. What
// has begun, a statement or a login, goes on under those that it began with.
func (s *Server) SetLimits(l Limits) {
	l = l.withDefaults()
	s.bounds.Store(&l)
}

// Serve accepts clients until ctx ends (then it returns nil), Shutdown is
// called (ErrServerClosed) or a listener breaks. It closes the listeners. Sessions
// go on after it returned; Shutdown ends them. It is called once.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	if e := s.current(); e != nil {
		e.begin(s.ctx, s.background) //nolint:contextcheck // it lives as long as the sessions
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- s.accept(ctx, l) }()
	}
	var errs error
	for range listeners {
		err := <-ended
		cancel() // one broke, or all are to end
		if errs == nil {
			errs = err
		}
	}
	return errs
}

// accept accepts at one listener.
func (s *Server) accept(ctx context.Context, l net.Listener) error {
	if !s.addListener(l) {
		return errors.Join(ErrServerClosed, l.Close())
	}
	defer s.dropListener(l)
	defer context.AfterFunc(ctx, func() { s.dropListener(l) })()
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			s.start(conn)
		case ctx.Err() != nil:
			return nil
		case s.draining.Load():
			return ErrServerClosed
		case temporary(err):
			// Out of file descriptors, most likely: the listener is sound, and
			// clients that leave make room.
			s.port.Log.Warn("accept", slog.Any("err", err))
			if !pause(ctx, 50*time.Millisecond) {
				return nil
			}
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// pause waits for d; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

// dropListener closes l once.
func (s *Server) dropListener(l net.Listener) {
	s.mu.Lock()
	_, known := s.listeners[l]
	delete(s.listeners, l)
	s.mu.Unlock()
	if known {
		if err := l.Close(); err != nil {
			s.port.Log.Warn("close listener", slog.Any("err", err))
		}
	}
}

// start runs one client on its own goroutine.
func (s *Server) start(conn net.Conn) {
	s.mu.Lock()
	c := newClient(s, conn, s.nextID())
	if s.draining.Load() {
		s.mu.Unlock()
		c.close()
		return
	}
	full := len(s.clients) >= s.limits().Connections
	if !full {
		s.clients[c.id] = c
	}
	s.sessions.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.sessions.Done()
		defer s.forget(c)
		defer c.close()
		defer s.survive(c)
		if full {
			c.refuse(fail(codeTooManyConnections, s.limits().Connections))
			return
		}
		c.run(s.ctx)
	}()
}

// Numbers of sessions: the upper bits are the node's, so that the sessions of all
// proxies have different ones and KILL can tell where one is.
const (
	idBits = 20
	idMask = 1<<idBits - 1
)

// nextID is a number that no client of this server has. The caller holds mu.
func (s *Server) nextID() uint32 {
	for {
		s.lastID = (s.lastID + 1) & idMask
		id := s.port.Node<<idBits | s.lastID
		if _, taken := s.clients[id]; !taken && s.lastID != 0 {
			return id
		}
	}
}

// survive keeps one client's panic from ending the process.
func (s *Server) survive(c *client) {
	if r := recover(); r != nil {
		s.port.Log.Error("session panicked", slog.Uint64("session", uint64(c.id)),
			slog.String("panic", fmt.Sprint(r)), slog.String("stack", string(debug.Stack())))
	}
}

func (s *Server) forget(c *client) {
	s.mu.Lock()
	delete(s.clients, c.id)
	s.mu.Unlock()
}

// all returns the connected clients.
func (s *Server) all() []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*client, 0, len(s.clients))
	for _, c := range s.clients {
		out = append(out, c)
	}
	return out
}

func (s *Server) client(id uint32) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[id]
}

// Shutdown stops accepting, ends sessions that are between transactions and
// waits for the transactions of the others. When ctx ends, what is left is
// rolled back and closed and ctx's error is returned. No session runs after it
// returned.
func (s *Server) Shutdown(ctx context.Context) (err error) {
	if e := s.current(); e != nil {
		defer func() { err = errors.Join(err, s.current().close(ctx)) }()
	}
	s.mu.Lock()
	s.draining.Store(true)
	open := make([]net.Listener, 0, len(s.listeners))
	for l := range s.listeners {
		open = append(open, l)
	}
	s.mu.Unlock()
	for _, l := range open {
		s.dropListener(l)
	}
	for _, c := range s.all() {
		c.wake()
	}
	done := make(chan struct{})
	go func() {
		s.sessions.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.stop(errDrained)
		for _, c := range s.all() {
			c.wake()
		}
		<-done
		return ctx.Err()
	}
	s.stop(errDrained)
	return s.settle(ctx)
}

// settle waits for the connections that the manager still works with.
func (s *Server) settle(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.behind.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// background runs f on a goroutine that Shutdown waits for.
func (s *Server) background(f func()) { s.behind.Go(f) }

// SetMap replaces the configured placement of tables. It is for tables that do not
// exist yet, and names the same shards: when a table that can be used would be
// placed otherwise, it returns an error and nothing has changed.
func (s *Server) SetMap(ctx context.Context, m *route.Map) error {
	s.extending.Lock()
	defer s.extending.Unlock()
	e := s.current()
	if e == nil {
		return errors.New("this port has no tables")
	}
	return e.catalog.setMap(ctx, m)
}

// ShardUp says that connections to a shard work again: the catalog is read anew,
// since the shard may have been changed meanwhile. It does not wait.
func (s *Server) ShardUp(xa.ShardID) {
	e := s.current()
	if e == nil {
		return
	}
	select {
	case e.catalog.stale <- struct{}{}:
	default:
	}
}

// Refresh reads the catalog of all shards now.
func (s *Server) Refresh(ctx context.Context) {
	if e := s.current(); e != nil {
		e.catalog.refresh(ctx)
	}
}

// Sessions returns a snapshot of every connected client that has logged in.
func (s *Server) Sessions() []Snapshot {
	var out []Snapshot
	for _, c := range s.all() {
		if v := c.snapshot.Load(); v != nil {
			out = append(out, *v)
		}
	}
	return out
}
