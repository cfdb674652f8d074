package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// Conn is one session at a shard.
type Conn struct {
	o       Options
	nc      net.Conn
	raw     net.Conn // below TLS
	r       *wire.Reader
	caps    wire.Capabilities
	version string
	flavor  xamysql.Flavor
	session xa.SessionID
	kill    atomic.Pointer[kill]
	killed  bool // KillQuery was aimed at an earlier command

	status   wire.Status
	broken   bool
	pinned   bool
	ready    bool // Dial is done: changes of variables are no longer ours
	unsure   bool // an error packet came after the last status flags
	answered bool // a reply to what was sent last has begun
	lastUsed time.Time
	beats    int // pings whose answers are not read yet
	writes   uint64
	// insertID: LAST_INSERT_ID() may be another than 0; formerID: and it belongs
	// to a session that has given the connection back.
	insertID, formerID bool

	have    State
	unknown bool // a Sync failed: have may be wrong
	syncing bool

	stmts   *statements
	out     []byte // frames to write; reused
	defs    defsBuffer
	scratch []byte
}

// Session names the session for all time.
func (c *Conn) Session() xa.SessionID { return c.session }

// Flavor is the server's family.
func (c *Conn) Flavor() xamysql.Flavor { return c.flavor }

// ServerVersion is the version that the server's greeting told.
func (c *Conn) ServerVersion() string { return c.version }

// Status is the flags of the last OK or EOF packet that was read.
func (c *Conn) Status() wire.Status { return c.status }

// InTransaction is StatusInTrans of Status; false once the connection is broken.
// After an error packet only a Ping makes it current.
func (c *Conn) InTransaction() bool { return !c.broken && c.status.Has(wire.StatusInTrans) }

// Broken reports whether the connection is lost.
func (c *Conn) Broken() bool { return c.broken }

// SetInsertID says that LAST_INSERT_ID() was set to a value, or is about to be.
func (c *Conn) SetInsertID(value uint64) { c.insertID = value != 0 }

// HasInsertID reports whether LAST_INSERT_ID() may be another than 0: any OK that
// tells an id may have set it.
func (c *Conn) HasInsertID() bool { return c.insertID }

// KeepInsertID says that the last statement has not changed LAST_INSERT_ID()
// although its OK told an id: it is what HasInsertID said before.
func (c *Conn) KeepInsertID(had bool) { c.insertID = had }

// Quiet reports whether the connection looks alive: it looks at the socket and
// sends nothing. Nobody may be waiting for a reply.
func (c *Conn) Quiet() bool { return !c.broken && quiet(c.raw) }

// Pin says that the session has state that Sync does not know: the connection
// will be closed when it is put back.
func (c *Conn) Pin() { c.pinned = true }

// Pinned reports whether Pin was called, or the server told that a variable was
// changed by something else than Sync.
func (c *Conn) Pinned() bool { return c.pinned }

// Reusable reports whether Pool.Put would keep the connection, perhaps after a
// Ping.
func (c *Conn) Reusable() bool {
	return !c.broken && !c.pinned && !c.unknown && !c.killed && !c.kill.Load().aimed() && c.r.Buffered() == 0 &&
		c.status.Has(wire.StatusAutocommit) && !c.status.Has(wire.StatusInTrans)
}

// LastUsed is when the last reply was read; a connection that is held without
// being used must be pinged within the lease.
func (c *Conn) LastUsed() time.Time { return c.lastUsed }

// Writes counts what was sent: when it has not changed, the session is as the
// last reply left it.
func (c *Conn) Writes() uint64 { return c.writes }

// Lease is how long the session may show no life.
func (c *Conn) Lease() time.Duration { return c.o.Lease }

// Close closes the connection. It is idempotent. A connection at which KillQuery
// is aimed is closed when the server has answered that.
func (c *Conn) Close() {
	if !c.broken {
		// Said for the server's log; nothing depends on it.
		quit, _ := wire.AppendFrames(nil, 0, []byte{byte(wire.ComQuit)})
		if c.nc.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
			_, _ = c.nc.Write(quit)
		}
	}
	c.broken = true
	c.kill.Load().whenQuiet(func() { c.nc.Close() })
}

// lost breaks the connection and says why.
func (c *Conn) lost(ctx context.Context, err error, effect xa.Effect) error {
	c.broken = true
	c.Close()
	if ctxErr := ctx.Err(); ctxErr != nil && !errors.Is(err, ctxErr) {
		err = fmt.Errorf("%w (%w)", ctxErr, err)
	}
	var said *wire.SequenceError
	if !c.answered && errors.As(err, &said) && said.Said != nil && said.Said.Number == errIdleTooLong {
		// Written before the server would have read a command.
		effect = xa.EffectNone
	}
	return xa.WithEffect(fmt.Errorf("shard %s: %w", c.o.Name, err), effect)
}

// begin says whether a command may be sent. Its errors have EffectNone.
func (c *Conn) begin(ctx context.Context) error {
	if c.broken {
		return xa.WithEffect(fmt.Errorf("shard %s: %w", c.o.Name, ErrBroken), xa.EffectNone)
	}
	k := c.kill.Load()
	if err := k.wait(ctx); err != nil {
		return xa.WithEffect(fmt.Errorf("shard %s: wait for kill: %w", c.o.Name, err), xa.EffectNone)
	}
	if k.aimed() { // it may be aimed at the next command, too
		c.killed = true
		c.kill.Store(newKill())
	}
	if err := ctx.Err(); err != nil {
		return xa.WithEffect(fmt.Errorf("shard %s: nothing sent: %w", c.o.Name, err), xa.EffectNone)
	}
	return nil
}

// converse writes what out holds, then reads by read. A context that ends
// meanwhile, and every error, break the connection.
func (c *Conn) converse(ctx context.Context, read func() error) error {
	c.answered = false
	c.writes++
	stop := c.watch(ctx)
	n, err := c.nc.Write(c.out)
	c.forgetOut()
	if err == nil {
		err = read()
	}
	if err == nil && c.beats > 0 {
		err = c.beaten()
	}
	stop()
	if err != nil {
		effect := xa.EffectUnknown
		if n == 0 {
			effect = xa.EffectNone
		}
		return c.lost(ctx, err, effect)
	}
	c.lastUsed = time.Now()
	return nil
}

// keepOut is what is kept of the memory for outgoing frames.
const keepOut = 64 << 10

func (c *Conn) forgetOut() {
	c.out = c.out[:0]
	if cap(c.out) > keepOut {
		c.out = nil
	}
}

// watch ends I/O when ctx does, until the returned function is called.
func (c *Conn) watch(ctx context.Context) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.nc.SetDeadline(time.Unix(1, 0)) // fails on a closed socket, where I/O ends by itself
		close(fired)
	})
	return func() {
		if !stop() {
			<-fired
			_ = c.nc.SetDeadline(time.Time{})
		}
	}
}

// note takes what an OK or the end of rows says about the session.
func (c *Conn) note(ok wire.OK) {
	c.status = ok.Status
	c.unsure = false
	c.insertID = c.insertID || ok.InsertID != 0
	for _, change := range ok.Changes {
		switch change.Kind {
		case wire.ChangeSchema:
			c.have.Schema = change.Value
		case wire.ChangeVariable:
			// Whoever changed it was not Sync, so nobody will change it back.
			if c.ready && !c.syncing && !ownVariable(change.Name) {
				c.pinned = true
			}
		case wire.ChangeState, wire.ChangeGTIDs, wire.ChangeCharacteristics, wire.ChangeTransaction:
		}
	}
}

// ownVariable reports whether the variable is none of Sync's: the server changes
// it by itself, or SetInsertID and statements do.
func ownVariable(name string) bool {
	// The one who stops the clock lets it go, or closes the connection.
	return name == "last_gtid" || name == "last_insert_id" || name == "timestamp"
}

// Error numbers behind which a server closes the connection. What became of the
// command is not told by them.
const (
	errIdleTooLong      = 4031 // MySQL: wait_timeout is over
	errServerShutdown   = 1053
	errSessionKilled    = 3169
	errConnectionKilled = 1927 // MariaDB
	errNetTooLarge      = 1153 // the command was not executed
	errNetOutOfOrder    = 1156
	errMalformedPacket  = 1835
)

// final reports whether the server closes the connection behind the error
// without having said how the command ended.
func final(e *wire.ServerError) bool {
	switch e.Number {
	case errIdleTooLong, errServerShutdown, errSessionKilled, errConnectionKilled, errNetOutOfOrder, errMalformedPacket:
		return true
	}
	return false
}

// reply reads the whole reply to one command. A server's error packet is in the
// Result; the error is one of the transport or of sink.
func (c *Conn) reply(sequence uint8, sink Sink) (Result, error) {
	c.r.SetSequence(sequence)
	var res Result
	for {
		p, err := c.r.Read()
		if err != nil {
			return res, eof(err)
		}
		c.answered = true
		var rows bool
		switch {
		case wire.IsError(p):
			res.Err, err = c.failed(p)
			return res, err
		case wire.IsOK(p):
			res.OK, err = wire.ParseOK(p, c.caps)
		case wire.IsLocalInfile(p):
			res.Err, err = c.refuseFile()
			return res, err
		default:
			rows = true
			res.OK, res.Err, err = c.resultSet(p, sink)
		}
		if err != nil || res.Err != nil {
			return res, err
		}
		c.note(res.OK)
		if err := sink.End(res.OK, rows); err != nil {
			return res, err
		}
		res.Results++
		if !res.OK.Status.Has(wire.StatusMoreResults) {
			return res, nil
		}
	}
}

// eof makes the server's closing of the connection an error that does not look
// like the good end of something.
func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *Conn) failed(p []byte) (*wire.ServerError, error) {
	e := wire.ParseError(p)
	c.unsure = true
	if final(e) {
		return nil, e
	}
	if e.Number == errNetTooLarge {
		c.Close()
	}
	return e, nil
}

func (c *Conn) resultSet(p []byte, sink Sink) (wire.OK, *wire.ServerError, error) {
	columns, err := wire.ParseColumnCount(p)
	if err != nil {
		return wire.OK{}, nil, err
	}
	defs, err := c.definitions(columns)
	if err != nil {
		return wire.OK{}, nil, err
	}
	if err := sink.Columns(defs); err != nil {
		return wire.OK{}, nil, err
	}
	for {
		p, err := c.r.Read()
		if err != nil {
			return wire.OK{}, nil, eof(err)
		}
		switch {
		case wire.IsEnd(p, c.caps):
			ok, err := wire.ParseEnd(p, c.caps)
			return ok, nil, err
		case wire.IsError(p):
			e, err := c.failed(p)
			return wire.OK{}, e, err
		}
		if err := sink.Row(p); err != nil {
			return wire.OK{}, nil, err
		}
	}
}

// defsBuffer holds the payloads of column definitions between reads.
type defsBuffer struct {
	bytes []byte
	ends  []int
	defs  [][]byte
}

// definitions reads n column definitions and the EOF behind them, if there is
// one. They are valid until the next call.
func (c *Conn) definitions(n int) ([][]byte, error) {
	d := &c.defs
	d.bytes, d.ends, d.defs = d.bytes[:0], d.ends[:0], d.defs[:0]
	if n == 0 {
		return nil, nil
	}
	for range n {
		p, err := c.r.Read()
		if err != nil {
			return nil, eof(err)
		}
		if wire.IsError(p) {
			// Only a dying server says so here.
			return nil, wire.ParseError(p)
		}
		d.bytes = append(d.bytes, p...)
		d.ends = append(d.ends, len(d.bytes))
	}
	if !c.caps.Has(wire.DeprecateEOF) {
		p, err := c.r.Read()
		if err != nil {
			return nil, eof(err)
		}
		if !wire.IsEnd(p, c.caps) {
			return nil, fmt.Errorf("behind column definitions: %w", wire.ErrMalformed)
		}
	}
	start := 0
	for _, end := range d.ends {
		d.defs = append(d.defs, d.bytes[start:end:end])
		start = end
	}
	return d.defs, nil
}

// refuseFile answers a request for a file of the client's, which was never
// offered, with an empty one, and the command with an error.
func (c *Conn) refuseFile() (*wire.ServerError, error) {
	frame, next := wire.AppendFrames(nil, c.r.Sequence(), nil)
	if _, err := c.nc.Write(frame); err != nil {
		return nil, err
	}
	res, err := c.reply(next, discard{})
	if err != nil || res.Err != nil {
		return res.Err, err
	}
	return &wire.ServerError{Number: 1148, State: "42000", Message: "LOAD DATA LOCAL INFILE is not supported"}, nil
}

// discard is a Sink that reads over a reply.
type discard struct{}

func (discard) Columns([][]byte) error  { return nil }
func (discard) Row([]byte) error        { return nil }
func (discard) End(wire.OK, bool) error { return nil }
