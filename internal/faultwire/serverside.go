package faultwire

import (
	"bufio"
	"fmt"
)

// shardSide carries greetings and replies to the client. A client that is gone
// does not end it: the shard decides when it has seen that.
type shardSide struct {
	conn *conn
	in   *bufio.Reader
	out  *bufio.Writer // its first error sticks, and what is written afterwards is discarded
}

func (c *conn) fromServer() error {
	s := shardSide{conn: c, in: bufio.NewReaderSize(c.server, 1<<16), out: bufio.NewWriterSize(c.client, 1<<16)}
	continued := false
	for {
		if _, err := s.in.Peek(1); err != nil {
			return fmt.Errorf("read from shard: %w", err)
		}
		if c.isOpaque() {
			return c.pour(s.in, c.client)
		}
		f, err := readFrame(s.in)
		if err != nil {
			return err
		}
		first := !continued
		continued = f.full()
		if err := s.carry(f, first); err != nil {
			return err
		}
		if s.in.Buffered() == 0 {
			_ = s.out.Flush()
		}
	}
}

// carry passes one frame on or holds it back for a rule. It fails when the
// connection is to be cut.
func (s *shardSide) carry(f frame, first bool) error {
	c := s.conn
	x, login := c.expecting()
	if login {
		c.loginReply(f)
	}
	if x == nil {
		_, _ = s.out.Write(f)
		return nil
	}
	holds := x.after != nil && x.at == x.statement
	if holds {
		x.held = append(x.held, f)
	} else {
		_, _ = s.out.Write(f)
	}
	if !first {
		return nil
	}
	reached := x.reply.feed(f.payload())
	if reached == stepMore {
		return nil
	}
	c.relay.note(Event{Phase: Answered, Command: x.command, Statement: x.statement, Result: x.reply.result})
	if holds && !s.act(x) {
		return errCut
	}
	x.statement++
	if reached == stepDone {
		c.answered(x)
	}
	return nil
}

// act runs the rule that holds a reply and reports whether the reply went on.
func (s *shardSide) act(x *exchange) bool {
	_ = s.out.Flush() // replies to earlier statements are not held
	if !s.conn.actOn(x.after, x.command) {
		return false
	}
	x.after = nil
	for _, f := range x.held {
		_, _ = s.out.Write(f)
	}
	return true
}

// expecting returns the command that the next packet answers, and whether the
// login is still going on.
func (c *conn) expecting() (*exchange, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		return nil, !c.open
	}
	return c.pending[0], false
}

func (c *conn) answered(x *exchange) {
	c.mu.Lock()
	if x.reply.prepare && x.reply.result.Error == 0 {
		c.texts[x.reply.stmt] = x.command.SQL
	}
	if len(c.pending) > 0 {
		c.pending = c.pending[1:]
	}
	c.mu.Unlock()
	close(x.done)
}

// loginReply learns from the server's packets of the connection phase.
func (c *conn) loginReply(f frame) {
	p := f.payload()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.greeted {
		c.greeted = true
		g, err := parseGreeting(p)
		if err != nil { // an error packet: the connection is about to end
			return
		}
		c.caps = g.caps
		c.command.Thread = g.connectionID
		return
	}
	if len(p) > 0 && p[0] == headerOK {
		c.open = true
		c.relay.note(Event{Phase: Opened, Command: c.command})
	}
}
