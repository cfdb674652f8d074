package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// source reads a client's socket for its session: while bytes are missing it
// calls tick, so that leases are kept and limits watched although the goroutine
// waits, also within a packet. It belongs to the session's goroutine but for
// wake, and for watching, which happens while the session does not read.
type source struct {
	conn net.Conn
	buf  *bufio.Reader
	tick func() (time.Time, error) // says when it wants to be called again; an error ends the reading
	nods atomic.Uint32             // counts wake
}

// sourceBuffer holds an ordinary command; longer reads bypass it.
const sourceBuffer = 4096

func newSource(conn net.Conn, tick func() (time.Time, error)) *source {
	return &source{conn: conn, buf: bufio.NewReaderSize(conn, sourceBuffer), tick: tick}
}

// take returns what was read from the socket and not yet taken.
func (s *source) take() []byte {
	rest, err := s.buf.Peek(s.buf.Buffered())
	if err != nil {
		return nil // cannot be: these bytes are buffered
	}
	return append([]byte(nil), rest...)
}

// replace puts another connection, which runs over the same socket, in place.
// Deadlines of both are the socket's.
func (s *source) replace(conn net.Conn) { s.buf = bufio.NewReaderSize(conn, sourceBuffer) }

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	for {
		seen := s.nods.Load()
		next, err := s.tick()
		if err != nil {
			return 0, err
		}
		if err := s.conn.SetReadDeadline(next); err != nil {
			return 0, err
		}
		if s.nods.Load() != seen {
			continue // woken before the deadline was set
		}
		n, err := s.buf.Read(p)
		if n > 0 || !isTimeout(err) {
			return n, err
		}
	}
}

// wake makes a blocked Read call tick now. Safe for concurrent use.
func (s *source) wake() {
	s.nods.Add(1)
	if err := s.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return // closed: then Read ends, too
	}
}

// watch waits until the client is gone (true) or stop is closed (false). A
// client that sends on while its statement runs is alive, and is not watched
// further: its end shows when those bytes were taken.
func (s *source) watch(stop <-chan struct{}) bool {
	for {
		select {
		case <-stop:
			return false
		default:
		}
		if err := s.conn.SetReadDeadline(time.Now().Add(watchStep)); err != nil {
			return true
		}
		_, err := s.buf.Peek(1)
		switch {
		case err == nil:
			<-stop
			return false
		case !isTimeout(err):
			return true
		}
	}
}

// watchStep bounds how long a watcher sleeps when the deadline that was to end
// it came before its own.
const watchStep = time.Second

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// sink writes to a client's socket. A client that takes nothing for writePatience
// is given up: its session would hold connections and locks for ever.
type sink struct {
	conn net.Conn
	c    *client
}

const writePatience = time.Minute

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return 0, err
	}
	if k := s.c.stall; k != nil && k.begin() {
		defer k.end()
	}
	n, err := s.conn.Write(p)
	if err != nil {
		return n, fmt.Errorf("%w: %w", errGone, err)
	}
	return n, nil
}
