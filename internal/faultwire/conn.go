package faultwire

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
)

var errCut = errors.New("connection cut")

// driverName is the login attribute by which go-sql-driver names itself: the
// proxy's control connections, and no others, are that driver's.
const driverName = "Go-MySQL-Driver"

// exchange is one command and what is known of its reply.
type exchange struct {
	command   Command
	reply     *reply
	statement int           // whose reply is being read
	after     *Armed        // rule that acts on the reply of statement at
	at        int           //
	held      []frame       // of that reply
	done      chan struct{} // closed when nothing of it happens any more
}

// conn is one relayed connection: one goroutine reads the client, one the
// server. What both touch is guarded by mu.
type conn struct {
	relay   *Relay
	client  net.Conn
	server  net.Conn
	command Command // what all commands of the connection have in common; fixed once the login is over

	closing sync.Once
	closed  chan struct{}

	mu      sync.Mutex
	pending []*exchange // sent or about to be sent, not completely answered
	texts   map[uint32]string
	caps    capabilities
	greeted bool // the server's greeting has been read
	opaque  bool // TLS or compression: bytes pass unread
	open    bool // login succeeded
}

func newConn(r *Relay, client, server net.Conn) *conn {
	return &conn{
		relay:   r,
		client:  client,
		server:  server,
		command: Command{Relay: r.options.Name, Source: Session},
		closed:  make(chan struct{}),
		texts:   map[uint32]string{},
	}
}

func (c *conn) close() {
	c.closing.Do(func() {
		close(c.closed)
		_ = c.client.Close()
		_ = c.server.Close()
	})
}

func (c *conn) run() {
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		// How a relayed connection ends is the business of its two ends.
		if err := c.fromClient(); errors.Is(err, errCut) || !halfClose(c.server) {
			c.close()
		}
	}()
	go func() {
		defer both.Done()
		defer c.close()
		_ = c.fromServer()
	}()
	both.Wait()
	c.abandon()
	c.relay.note(Event{Phase: Closed, Command: c.command})
}

// halfClose tells the server that nothing more comes, as the kernel of a
// process that died does; what was sent is still executed.
func halfClose(server net.Conn) bool {
	h, ok := server.(interface{ CloseWrite() error })
	return ok && h.CloseWrite() == nil
}

// abandon lets go of rules that chose a command whose reply never came: they
// count as not having acted.
func (c *conn) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = nil
}

// fromClient carries commands to the shard.
func (c *conn) fromClient() error {
	in := bufio.NewReaderSize(c.client, 1<<16)
	first := true
	continued := false
	for {
		f, err := readFrame(in)
		if err != nil {
			return err
		}
		isCommand := f.seq() == 0 && !continued
		continued = f.full()
		switch {
		case first:
			first = false
			err = c.loginPacket(f)
		case !isCommand:
			_, err = c.server.Write(f)
		default:
			err = c.sendCommand(f)
		}
		if err != nil {
			return err
		}
		if c.isOpaque() {
			return c.pour(in, c.server)
		}
	}
}

func (c *conn) pour(from *bufio.Reader, to net.Conn) error {
	if _, err := from.WriteTo(to); err != nil {
		return fmt.Errorf("relay bytes: %w", err)
	}
	return nil
}

func (c *conn) isOpaque() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opaque
}

// loginPacket learns from the client's first packet and passes it on.
func (c *conn) loginPacket(f frame) error {
	l, err := parseLogin(f.payload())
	c.mu.Lock()
	if err != nil || l.caps.flags&(capSSL|capCompress|capZstd) != 0 {
		c.opaque = true
	}
	c.caps.flags &= l.caps.flags
	c.caps.ext &= l.caps.ext
	if l.attrs["_client_name"] == driverName {
		c.command.Source = Control
	}
	c.mu.Unlock()
	_, err = c.server.Write(f)
	return err
}

// sendCommand passes a command on, or does to it what a rule says.
func (c *conn) sendCommand(f frame) error {
	x := c.newExchange(f)
	rule, at := c.relay.match(x.command)
	if rule != nil && rule.rule.Side == Before {
		if err := c.settle(); err != nil {
			return err
		}
		if !c.actOn(rule, x.command) {
			return errCut
		}
		rule = nil
	}
	x.after, x.at = rule, at
	if x.reply != nil {
		c.mu.Lock()
		c.pending = append(c.pending, x)
		c.mu.Unlock()
	}
	c.relay.note(Event{Phase: Sent, Command: x.command})
	if _, err := c.server.Write(f); err != nil {
		return fmt.Errorf("send command: %w", err)
	}
	if rule == nil || x.reply == nil {
		return nil
	}
	return c.await(x)
}

// actOn runs a rule and reports whether what is held goes on.
func (c *conn) actOn(rule *Armed, command Command) bool {
	c.relay.note(Event{Phase: Held, Command: command})
	if rule.act(c.client, c.relay.gone) == Forward {
		return true
	}
	c.relay.note(Event{Phase: Dropped, Command: command})
	return false
}

// settle waits until everything sent so far has been answered.
func (c *conn) settle() error {
	c.mu.Lock()
	var last *exchange
	if n := len(c.pending); n > 0 {
		last = c.pending[n-1]
	}
	c.mu.Unlock()
	if last == nil {
		return nil
	}
	return c.await(last)
}

func (c *conn) await(x *exchange) error {
	select {
	case <-x.done:
		return nil
	case <-c.closed:
		return errCut
	}
}

func (c *conn) newExchange(f frame) *exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := &exchange{command: c.command, done: make(chan struct{})}
	p := f.payload()
	if len(p) == 0 {
		x.reply = newReply(0, c.caps)
		return x
	}
	x.command.Byte = p[0]
	x.reply = newReply(p[0], c.caps)
	switch p[0] {
	case comPing:
		x.command.Verbs = []Verb{Ping}
	case comQuery:
		x.command.SQL = queryText(p[1:], c.caps)
		x.command.Verbs = Classify(x.command.SQL)
	case comStmtPrepare:
		x.command.SQL = string(p[1:])
		x.command.Verbs = []Verb{Ask}
	case comStmtExecute, comStmtBulkExecute:
		id := cursor{p: p[1:]}
		x.command.SQL = c.texts[id.uint32()]
		x.command.Verbs = Classify(x.command.SQL)
	}
	return x
}

// queryText is COM_QUERY's text, behind the query attributes if there are any.
func queryText(p []byte, caps capabilities) string {
	if caps.flags&capQueryAttributes == 0 {
		return string(p)
	}
	k := cursor{p: p}
	count := int(k.lenenc())
	k.lenenc()
	if count == 0 {
		return string(k.p)
	}
	k.skip((count + 7) / 8)
	if k.byte() != 1 {
		return string(p)
	}
	var kinds []byte
	for range count {
		kinds = append(kinds, k.byte())
		k.byte()
		k.lenencBytes()
	}
	for _, kind := range kinds {
		k.skipValue(kind)
	}
	return string(k.p)
}

// skipValue skips a query attribute's value; all but integers are length-encoded.
func (c *cursor) skipValue(kind byte) {
	switch kind {
	case 1: // TINY
		c.skip(1)
	case 2: // SHORT
		c.skip(2)
	case 3: // LONG
		c.skip(4)
	case 8: // LONGLONG
		c.skip(8)
	case 6: // NULL
	default:
		c.lenencBytes()
	}
}
