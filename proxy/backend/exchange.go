package backend

import (
	"context"

	"xaproxy/proxy/wire"
	"xaproxy/xa/xamysql"
)

var _ xamysql.Conn = (*Conn)(nil)

// Exchange writes all commands in one write, then reads all replies: see
// xamysql.Conn. Commands behind the first must be small (some KiB): nothing is
// read before all are written.
func (c *Conn) Exchange(ctx context.Context, cmds ...xamysql.Command) ([]xamysql.Reply, error) {
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	c.frameClosings()
	sequences := make([]uint8, len(cmds))
	for i, cmd := range cmds {
		switch cmd.Kind {
		case xamysql.Query:
			c.scratch = append(append(c.scratch[:0], byte(wire.ComQuery)), cmd.SQL...)
		case xamysql.Ping:
			c.scratch = append(c.scratch[:0], byte(wire.ComPing))
		}
		c.out, sequences[i] = wire.AppendFrames(c.out, 0, c.scratch)
	}
	if cap(c.scratch) > keepOut {
		c.scratch = nil
	}
	replies := make([]xamysql.Reply, 0, len(cmds))
	err := c.converse(ctx, func() error {
		for _, sequence := range sequences {
			var g gather
			err := c.gathered(sequence, &g)
			if err == nil || len(g.results) > 0 {
				replies = append(replies, xamysql.Reply{Results: g.results})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return replies, err
}

// gathered reads the reply to one command into g, an error packet included.
func (c *Conn) gathered(sequence uint8, g *gather) error {
	res, err := c.reply(sequence, g)
	if res.Err != nil {
		g.results = append(g.results, xamysql.Result{Rows: g.rows, Err: serverError(res.Err)})
	}
	return err
}

func serverError(e *wire.ServerError) *xamysql.ServerError {
	return &xamysql.ServerError{Number: e.Number, State: e.State, Message: e.Message}
}

// gather is a Sink that keeps a reply.
type gather struct {
	results []xamysql.Result
	columns int
	rows    [][]*string
	fields  [][]byte
}

func (g *gather) Columns(defs [][]byte) error {
	g.columns = len(defs)
	return nil
}

func (g *gather) Row(p []byte) error {
	var err error
	if g.fields, err = wire.ParseTextRow(g.fields[:0], p, g.columns); err != nil {
		return err
	}
	row := make([]*string, len(g.fields))
	for i, f := range g.fields {
		if f != nil {
			s := string(f)
			row[i] = &s
		}
	}
	g.rows = append(g.rows, row)
	return nil
}

func (g *gather) End(ok wire.OK, _ bool) error {
	g.results = append(g.results, xamysql.Result{Status: uint16(ok.Status), Affected: ok.Affected, Warnings: ok.Warnings, Rows: g.rows})
	g.rows = nil
	return nil
}

// Ping sends COM_PING; afterwards InTransaction tells the truth.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	res, err := c.command(ctx, []byte{byte(wire.ComPing)}, discard{})
	if err == nil && res.Err != nil {
		err = res.Err
	}
	return err
}

// Beat sends a COM_PING behind the command whose reply is being read. Only a Sink may
// call it, from within its methods, when it does not take more for a while: the
// server may have sent everything, and waits for a command no longer than the
// lease. The answer is read behind the reply.
func (c *Conn) Beat() error {
	frame, _ := wire.AppendFrames(nil, 0, []byte{byte(wire.ComPing)})
	c.beats++
	_, err := c.nc.Write(frame)
	return err
}

// beaten reads the answers to Beat.
func (c *Conn) beaten() error {
	for ; c.beats > 0; c.beats-- {
		if _, err := c.reply(1, discard{}); err != nil {
			return err
		}
	}
	return nil
}
