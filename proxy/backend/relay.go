package backend

import (
	"context"
	"fmt"

	"xaproxy/proxy/wire"
	"xaproxy/xa"
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
	if err := c.begin(ctx); err != nil {
		return Result{}, err
	}
	if len(payload) == 0 {
		return Result{}, refusedCommand("empty")
	}
	com := wire.Command(payload[0])
	if com == wire.ComQuery || com == wire.ComInitDB || com == wire.ComPing {
		return c.command(ctx, payload, sink)
	}
	if com != wire.ComStmtExecute && com != wire.ComStmtReset {
		return Result{}, refusedCommand(fmt.Sprintf("%#x", byte(com)))
	}
	id, err := wire.ParseStatement(payload)
	if err != nil {
		return Result{}, xa.WithEffect(err, xa.EffectNone)
	}
	defer c.dropIfChanged(id)
	return c.command(ctx, payload, sink)
}

func refusedCommand(what string) error {
	return xa.WithEffect(fmt.Errorf("command %s can not be relayed: %w", what, wire.ErrMalformed), xa.EffectNone)
}

// command sends one command and reads its reply.
func (c *Conn) command(ctx context.Context, payload []byte, sink Sink) (Result, error) {
	if len(payload) > c.o.MaxPacket {
		return Result{}, xa.WithEffect(fmt.Errorf("command of %d bytes: %w", len(payload), wire.ErrPacketTooLarge), xa.EffectNone)
	}
	c.frameClosings()
	var sequence uint8
	c.out, sequence = wire.AppendFrames(c.out, 0, payload)
	var res Result
	err := c.converse(ctx, func() error {
		var err error
		res, err = c.reply(sequence, sink)
		return err
	})
	return res, err
}
