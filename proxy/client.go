package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"xaproxy/proxy/wire"
)

// conversation executes the commands of a client that has logged in. All
// methods are called by the client's goroutine.
type conversation interface {
	// begin prepares the session, and applies the schema of the login. Its error
	// is told to the client and ends the connection.
	begin(ctx context.Context) error
	// command answers one command packet, which is not empty. An error ends the
	// connection; an *Error in its chain is told to the client before.
	command(ctx context.Context, payload []byte) error
	// tick is called while the client is waited for; see source.
	tick(ctx context.Context, now time.Time) (time.Time, error)
	// end gives everything back that the session holds.
	end()
}

// client is the connection of one client: its socket, its packets and what
// others may do to it. Everything but id, srv, snapshot, cancel, interrupt and
// wake belongs to its goroutine.
type client struct {
	id       uint32
	srv      *Server
	snapshot atomic.Pointer[Snapshot]
	// interrupt takes the wish of KILL QUERY until a statement sees it.
	interrupt chan struct{}
	cancel    context.CancelCauseFunc

	conn   net.Conn
	secure bool     // TLS is under the connection
	remote net.Addr // the client's: a load balancer may have named it
	src    *source
	r      *wire.Reader
	w      *wire.Writer
	caps   wire.Capabilities
	login  wire.Login
	user   User
	opened time.Time
	conv   conversation
	stall  *stall // of the session; nil: it has no connections
}

// errKilled: KILL CONNECTION ended the session.
var errKilled = errors.New("session was killed")

func newClient(s *Server, conn net.Conn, id uint32) *client {
	c := &client{
		id: id, srv: s, conn: conn, remote: conn.RemoteAddr(), opened: time.Now(),
		interrupt: make(chan struct{}, 1),
	}
	c.src = newSource(conn, c.loginTick)
	c.r = wire.NewReader(c.src, s.limits().PacketBytes)
	c.w = wire.NewWriter(&sink{conn, c})
	return c
}

// loginTick bounds the connection phase.
func (c *client) loginTick() (time.Time, error) {
	end := c.opened.Add(c.srv.limits().Login)
	if time.Now().After(end) {
		return end, errLoginTime
	}
	return end, nil
}

// errLoginTime: the client did not log in within limits.login_time.
var errLoginTime = fmt.Errorf("connection phase: %w", context.DeadlineExceeded)

// wake makes the client's goroutine look at its state now. Safe for concurrent use.
func (c *client) wake() { c.src.wake() }

// close closes the socket.
func (c *client) close() {
	if err := c.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		c.srv.port.Log.Debug("close client", slog.Any("err", err))
	}
}

// refuse sends an ERR packet in place of the greeting.
func (c *client) refuse(e *Error) {
	c.w.SetSequence(0)
	if err := errors.Join(c.writeError(e), c.w.Flush()); err != nil {
		c.srv.port.Log.Debug("refuse client", slog.Any("err", err))
	}
}

// run logs the client in and answers its commands until either side has enough.
func (c *client) run(ctx context.Context) {
	ctx, c.cancel = context.WithCancelCause(ctx)
	defer c.cancel(nil)
	if err := c.connect(); err != nil {
		if errors.Is(err, errLoginTime) {
			c.farewell(fail(codeLoginTime, c.srv.limits().Login).because(err))
		}
		c.srv.port.Log.Debug("login", slog.Uint64("session", uint64(c.id)), slog.Any("err", err))
		return
	}
	if c.user.Health {
		c.conv = newHandlerSession(c, healthCheck{})
	} else {
		c.conv = c.srv.open(c)
	}
	defer c.conv.end()
	if err := c.conv.begin(ctx); err != nil {
		c.farewell(err)
		return
	}
	if err := c.ok(wire.OK{Status: wire.StatusAutocommit}); err != nil {
		return
	}
	if err := c.w.Flush(); err != nil {
		return
	}
	c.src.tick = func() (time.Time, error) { return c.conv.tick(ctx, time.Now()) }
	c.farewell(c.commands(ctx))
}

// connect runs the connection phase.
func (c *client) connect() error {
	if err := c.announced(); err != nil {
		return err
	}
	port := &c.srv.port
	phase, greeting := wire.NewServerPhase(wire.ServerOptions{
		Version: port.ServerVersion, ConnectionID: c.id, Collation: wire.CollationUTF8MB4General,
		Host: c.host(), TLS: port.TLS != nil, Private: c.private(), Key: port.Key,
		Password: func(name string) (string, bool) {
			u, ok := port.Users.Lookup(name)
			return u.Password, ok
		},
	})
	c.r.SetLimit(loginBytes)
	if err := phase.Run(greeting, c.r, c.w, c.startTLS); err != nil {
		return err
	}
	return c.loggedIn(phase.Login())
}

// loggedIn takes what a connection phase has found.
func (c *client) loggedIn(l wire.Login) error {
	c.r.SetLimit(c.srv.limits().PacketBytes)
	c.login, c.caps = l, l.Capabilities
	var known bool
	if c.user, known = c.srv.port.Users.Lookup(l.User); !known {
		return fmt.Errorf("user %q was removed while it logged in", l.User)
	}
	return nil
}

// private reports whether nobody can listen to the connection as it is.
func (c *client) private() bool { return c.secure || c.conn.RemoteAddr().Network() == "unix" }

// changeUser lets the client of COM_CHANGE_USER log in anew. A refusal has been
// told; the connection ends then, as a server ends it.
func (c *client) changeUser(p []byte) error {
	port := &c.srv.port
	phase, send, next := wire.NewChangePhase(wire.ServerOptions{
		Host: c.host(), Private: c.private(), Key: port.Key,
		Password: func(name string) (string, bool) {
			u, ok := port.Users.Lookup(name)
			if u.Health { // those have no session
				return "", false
			}
			return u.Password, ok
		},
	}, p, c.login)
	c.r.SetLimit(loginBytes)
	if err := phase.Drive(send, next, c.r, c.w, nil); err != nil {
		return errors.Join(errGone, err)
	}
	return c.loggedIn(phase.Login())
}

// loginBytes bounds packets of clients that nobody knows yet.
const loginBytes = 64 << 10

// startTLS puts TLS under the connection.
func (c *client) startTLS() error {
	plain := &prefixed{Conn: c.conn, rest: append(c.r.Detach(), c.src.take()...)}
	if err := c.conn.SetDeadline(c.opened.Add(c.srv.limits().Login)); err != nil {
		return err
	}
	secure := tls.Server(plain, c.srv.port.TLS)
	if err := secure.Handshake(); err != nil {
		return err
	}
	if err := c.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c.secure = true
	c.src.replace(secure)
	c.w.SetDestination(&sink{secure, c})
	return nil
}

// prefixed is a connection of which some bytes were read before.
type prefixed struct {
	net.Conn
	rest []byte
}

// Read implements io.Reader.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// commands reads and answers until an error ends the connection.
func (c *client) commands(ctx context.Context) error {
	for {
		c.r.SetSequence(0)
		p, err := c.r.Read()
		c.w.SetSequence(answerTo(c.r, err))
		switch {
		case errors.Is(err, wire.ErrPacketTooLarge):
			return fail(codePacketTooLarge, c.srv.limits().PacketBytes).because(err)
		case err != nil:
			return err
		case len(p) == 0:
			p = []byte{byte(wire.ComSleep)} // as servers take it
		case wire.Command(p[0]) == wire.ComQuit:
			return errGone
		}
		if err := c.conv.command(ctx, p); err != nil {
			return err
		}
		if err := c.w.Flush(); err != nil {
			return err
		}
	}
}

// answerTo is the sequence number of the answer to what was read.
func answerTo(r *wire.Reader, err error) uint8 {
	var seq *wire.SequenceError
	switch {
	case errors.As(err, &seq):
		return seq.Got + 1
	case err != nil:
		return r.Sequence() + 1 // the frame was not accepted
	}
	return r.Sequence()
}

// farewell tells the client why the connection ends, where that can help.
func (c *client) farewell(err error) {
	var e *Error
	switch {
	case errors.As(err, &e):
	case err == nil, errors.Is(err, errGone), errors.Is(err, io.EOF):
		return
	case errors.Is(err, wire.ErrMalformed):
		e = fail(codeMalformed, err.Error()).because(err)
	default:
		var seq *wire.SequenceError
		if !errors.As(err, &seq) {
			c.srv.port.Log.Debug("connection ends", slog.Uint64("session", uint64(c.id)), slog.Any("err", err))
			return
		}
		e = fail(codeMalformed, "packets out of order").because(err)
	}
	if err := errors.Join(c.writeError(e), c.w.Flush()); err != nil {
		c.srv.port.Log.Debug("farewell", slog.Uint64("session", uint64(c.id)), slog.Any("err", err))
		return
	}
	c.linger()
}

// Bounds of linger.
const (
	lingerTime  = 300 * time.Millisecond
	lingerBytes = 16 << 20
)

// linger takes for a moment what the client is still sending: a socket that is
// closed with unread bytes is reset, and the reset may overtake the error that
// was just sent.
func (c *client) linger() {
	w, can := c.conn.(interface{ CloseWrite() error })
	if !can || w.CloseWrite() != nil || c.conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.conn, lingerBytes) // however it ends, the connection is closed next
}

func (c *client) writeError(e *Error) error {
	return c.w.Write(wire.AppendError(nil, &wire.ServerError{Number: e.Number, State: e.State, Message: e.Message}))
}

func (c *client) ok(ok wire.OK) error { return c.w.Write(wire.AppendOK(nil, c.caps, ok)) }

// table writes a complete result set.
func (c *client) table(t *Table, status wire.Status, binary bool) error {
	if err := c.w.Write(wire.AppendColumnCount(nil, len(t.Columns))); err != nil {
		return err
	}
	for _, col := range t.Columns {
		if err := c.w.Write(wire.AppendColumn(nil, definition(col))); err != nil {
			return err
		}
	}
	if !c.caps.Has(wire.DeprecateEOF) {
		if err := c.w.Write(wire.AppendEOF(nil, status, t.Warnings)); err != nil {
			return err
		}
	}
	var buf []byte
	for _, row := range t.Rows {
		if binary {
			buf = appendBinaryRow(buf[:0], row)
		} else {
			buf = appendTextRow(buf[:0], row)
		}
		if err := c.w.Write(buf); err != nil {
			return err
		}
	}
	return c.w.Write(wire.AppendEnd(nil, c.caps, wire.OK{Status: status, Warnings: t.Warnings}))
}

// kill ends the client's session, or only its running statement. Safe for
// concurrent use.
func (c *client) kill(queryOnly bool) {
	if !queryOnly {
		c.cancel(errKilled)
		c.wake()
		return
	}
	select {
	case c.interrupt <- struct{}{}:
	default:
	}
}
