package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// Server accepts clients on listeners and runs their sessions. Make one with
// NewServer (data port) or NewHandlerServer (admin port). Its methods are safe
// for concurrent use.
type Server struct {
	port Port
	open func(*client) conversation

	lastID   atomic.Uint32
	draining atomic.Bool
	sessions sync.WaitGroup

	// ctx is the life of all sessions; stop ends it with a reason.
	ctx  context.Context //nolint:containedctx // the server is the owner of its sessions' life
	stop context.CancelCauseFunc

	mu sync.Mutex
	// Guarded by mu:
	listeners map[net.Listener]struct{}
	clients   map[uint32]*client
}

// ErrServerClosed is returned by Serve after Shutdown.
var ErrServerClosed = errors.New("server is closed")

// NewHandlerServer returns a server whose statements h answers.
func NewHandlerServer(p Port, h Handler) (*Server, error) {
	if h == nil || p.Users == nil {
		return nil, errors.New("a port needs a handler and users")
	}
	return newServer(p, func(c *client) conversation { return &handlerSession{client: c, handler: h} }), nil
}

func newServer(p Port, open func(*client) conversation) *Server {
	s := &Server{
		port:      p.withDefaults(),
		open:      open,
		listeners: map[net.Listener]struct{}{},
		clients:   map[uint32]*client{},
	}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	return s
}

// Serve accepts clients until ctx ends (then it returns nil), Shutdown is
// called (ErrServerClosed) or the listener breaks. It closes l. Sessions go on
// after it returned; Shutdown ends them.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return errors.New("not built yet")
}

// Shutdown stops accepting, ends sessions that are between transactions and
// waits for the transactions of the others. When ctx ends, what is left is
// rolled back and closed and ctx's error is returned. No session runs after it
// returned.
func (s *Server) Shutdown(ctx context.Context) error {
	return errors.New("not built yet")
}
