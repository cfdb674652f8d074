package backend

import (
	"context"
	"fmt"

	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// Sink takes a reply as it arrives. The slices are valid during the call only.
// An error ends the relay; the connection is then broken, since the rest of the
// reply is unread.
type Sink interface {
	// Columns begins a result set; defs are the column definitions' payloads.
	Columns(defs [][]byte) error
	// Row is a row's payload, in the protocol of the command.
	Row(payload []byte) error
	// End is the end of a result set (rows true), or an OK without one.
	// Status.Has(wire.StatusMoreResults) says that another one follows.
	End(ok wire.OK, rows bool) error
}

// Result is how a relayed reply ended.
type Result struct {
	// OK is the last OK or end of rows, if there was one.
	OK wire.OK
	// Err is the error packet that ended the reply, or nil. The sink has not
	// seen it.
	Err *wire.ServerError
	// Results counts the calls of Sink.End.
	Results int
}

// Relay sends the payload of one command (COM_QUERY, COM_STMT_EXECUTE,
// COM_INIT_DB, COM_PING, COM_STMT_RESET) and hands the reply to sink.
func (c *Conn) Relay(ctx context.Context, payload []byte, sink Sink) (Result, error) {
	res, _, err := c.RelayThen(ctx, payload, sink, "")
	return res, err
}

// RelayThen is Relay with statements of the proxy's own behind the command, as
// one more command in the same write: they are executed also when the first
// fails. The Reply is theirs, empty when there are none.
func (c *Conn) RelayThen(ctx context.Context, payload []byte, sink Sink, then string) (Result, xamysql.Reply, error) {
	if err := c.begin(ctx); err != nil {
		return Result{}, xamysql.Reply{}, err
	}
	if len(payload) == 0 {
		return Result{}, xamysql.Reply{}, refusedCommand("empty")
	}
	com := wire.Command(payload[0])
	if com == wire.ComQuery || com == wire.ComInitDB || com == wire.ComPing {
		return c.commands(ctx, payload, sink, then)
	}
	if com != wire.ComStmtExecute && com != wire.ComStmtReset {
		return Result{}, xamysql.Reply{}, refusedCommand(fmt.Sprintf("%#x", byte(com)))
	}
	id, err := wire.ParseStatement(payload)
	if err != nil {
		return Result{}, xamysql.Reply{}, xa.WithEffect(err, xa.EffectNone)
	}
	res, reply, err := c.commands(ctx, payload, sink, then)
	if res.OK.Status.Has(wire.StatusMetadataChanged) {
		c.stmts.dropID(id) // the result's columns are no longer those that Prepare was told
	}
	return res, reply, err
}

func refusedCommand(what string) error {
	return xa.WithEffect(fmt.Errorf("command %s can not be relayed: %w", what, wire.ErrMalformed), xa.EffectNone)
}

// command sends one command and reads its reply.
func (c *Conn) command(ctx context.Context, payload []byte, sink Sink) (Result, error) {
	res, _, err := c.commands(ctx, payload, sink, "")
	return res, err
}

// commands sends one command, and one with a text of the proxy's own if there is
// any, and reads their replies.
func (c *Conn) commands(ctx context.Context, payload []byte, sink Sink, then string) (Result, xamysql.Reply, error) {
	if len(payload) > c.o.MaxPacket {
		return Result{}, xamysql.Reply{}, xa.WithEffect(fmt.Errorf("command of %d bytes: %w", len(payload), wire.ErrPacketTooLarge), xa.EffectNone)
	}
	c.frameClosings()
	var sequence, after uint8
	c.out, sequence = wire.AppendFrames(c.out, 0, payload)
	if then != "" {
		c.scratch = append(append(c.scratch[:0], byte(wire.ComQuery)), then...)
		c.out, after = wire.AppendFrames(c.out, 0, c.scratch)
	}
	var res Result
	var own gather
	err := c.converse(ctx, func() error {
		var err error
		if res, err = c.reply(sequence, sink); err != nil || then == "" {
			return err
		}
		return c.gathered(after, &own)
	})
	return res, xamysql.Reply{Results: own.results}, err
}
