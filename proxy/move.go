package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/xa"
)

// How many rows one INSERT carries, and about how many bytes at most.
const (
	carryRows  = 64
	carryBytes = 512 << 10
)

// move carries rows to the shard that their new key belongs to, after all parts of
// the UPDATE were executed.
func (w *write) move(ctx context.Context, m *plan.Move) error {
	s := w.s
	var to *branch
	for i, part := range w.t.Parts {
		rows := w.changed[i]
		if next := i + 1; next < len(w.t.Parts) && w.t.Parts[next].Shard == part.Shard {
			w.changed[next] += rows // a shard's rows are carried once
			continue
		}
		if part.Shard == m.To || rows == 0 {
			continue
		}
		if to == nil {
			var err error
			if to, err = w.open(ctx, shardID(m.To)); err != nil {
				return err
			}
		}
		if err := s.carry(ctx, m, w.touched[i], to, rows); err != nil {
			return err
		}
	}
	return nil
}

// open makes a branch ready for rows of other shards.
func (w *write) open(ctx context.Context, n xa.ShardID) (*branch, error) {
	s := w.s
	if b := s.tx.at(n); b != nil && slices.Contains(w.touched, b) {
		return b, nil
	}
	b, err := s.reach(ctx, n)
	if err != nil {
		return nil, err
	}
	own := append(b.open(), w.point...)
	b.work.MarkWrote()
	if len(own) == 0 {
		return b, nil
	}
	w.touched = append(w.touched, b)
	var refused *wire.ServerError
	why := s.guard(ctx, []*backend.Conn{b.conn}, func(ctx context.Context) { refused, err = exec(ctx, b.conn, own...) })
	return b, s.ownWork(ctx, b, why, reply{refused: refused, early: true}, err)
}

// carry carries the rows that have the new key at one shard to another.
func (s *session) carry(ctx context.Context, m *plan.Move, from, to *branch, rows uint64) error {
	c := &carrier{move: m, from: from, to: to, want: s.want(), at: from}
	c.want.SQLMode, c.want.TimeZone = backend.Want(plan.MoveModes), backend.Want("+00:00")
	c.want.CharsetClient, c.want.CharsetResults, c.want.Collation = backend.Want("utf8mb4"), backend.Want(""), backend.Want("utf8mb4_general_ci")
	var err error
	why := s.guard(ctx, []*backend.Conn{from.conn, to.conn}, func(ctx context.Context) { err = c.run(ctx, rows) })
	if err == nil && c.refused == nil && why == nil {
		if err = s.stillOpen(ctx, from); err == nil {
			err = s.stillOpen(ctx, to)
		}
		return err
	}
	return s.ownWork(ctx, c.at, why, reply{refused: c.refused}, err)
}

// ownWork is how work of the session's own in a branch ended: why says that it was
// stopped, r what the server said, err that the connection is lost.
func (s *session) ownWork(ctx context.Context, b *branch, why error, r reply, err error) error {
	var broken *Error
	switch {
	case errors.Is(why, errGone), errors.Is(err, errGone):
		return errGone // end rolls back
	case errors.Is(why, errTooLong):
		s.rollback(ctx)
		return fail(codeTimeLimit, "open", s.e.limits().MaxTime, "transactions.max_time")
	case errors.As(err, &broken):
		return err
	case err != nil:
		return s.lost(ctx, b, err)
	case r.refused != nil:
		return s.refused(ctx, b, r)
	case why != nil && !errors.Is(why, errStopped):
		return why
	}
	return nil
}

// carrier reads rows at one branch and stores them at another at the same time, so
// that there may be any number of them. It is the sink of the reading.
type carrier struct {
	move     *plan.Move
	from, to *branch
	want     backend.State
	columns  []wire.Column
	rows     uint64 // read
	batch    []wire.Param
	size     int
	ctx      context.Context //nolint:containedctx // of run, for the sink's methods
	at       *branch         // where the work is
	refused  *wire.ServerError
	err      error // of the target's connection
}

// run carries all rows, whose number must be as given.
func (c *carrier) run(ctx context.Context, rows uint64) error {
	c.ctx = ctx
	for _, b := range []*branch{c.to, c.from} {
		c.at = b
		if err := b.conn.Sync(ctx, c.want); err != nil {
			return c.said(err)
		}
	}
	if err := c.read(ctx); err != nil || c.refused != nil {
		return err
	}
	c.at = c.to
	if c.flush(true); c.err != nil || c.refused != nil {
		return c.err
	}
	c.at = c.from
	deleted, err := c.delete(ctx)
	switch {
	case err != nil || c.refused != nil:
		return err
	case c.rows != rows || deleted != rows:
		return fail(codeInternal, fmt.Sprintf("%d rows got another sharding key at shard number %d, %d have it, %d were deleted",
			rows, c.from.shard, c.rows, deleted))
	}
	return nil
}

// said takes an error packet out of an error, if there is one.
func (c *carrier) said(err error) error {
	if errors.As(err, &c.refused) {
		err = nil
	}
	return err
}

// read reads the rows; they are stored meanwhile.
func (c *carrier) read(ctx context.Context) error {
	conn := c.from.conn
	stmt, err := conn.Prepare(ctx, c.move.Select)
	if err != nil {
		return c.said(err)
	}
	id := *stmt
	res, err := conn.Relay(ctx, wire.AppendExecute(nil, id.ID, nil), c)
	conn.Unprepare(&id) // its text has the key
	switch {
	case err != nil:
		return err
	case c.err != nil:
		c.at = c.to
		return c.err
	case c.refused != nil:
		c.at = c.to
	case res.Err != nil:
		c.refused = res.Err
	}
	return nil
}

// Columns implements backend.Sink.
func (c *carrier) Columns(defs [][]byte) error {
	for _, d := range defs {
		col, err := wire.ParseColumn(d)
		if err != nil {
			return err
		}
		c.columns = append(c.columns, col)
	}
	return nil
}

// Row implements backend.Sink. When the target has failed the rest is read over.
func (c *carrier) Row(p []byte) error {
	c.rows++
	failed := c.err != nil || c.refused != nil
	if failed {
		return nil
	}
	if len(c.batch) > 0 && c.size+len(p) > carryBytes {
		c.flush(true)
	}
	var err error
	if c.batch, err = wire.ParseBinaryRow(c.batch, slices.Clone(p), c.columns); err != nil {
		return err
	}
	for i, t := range c.move.Columns {
		v := &c.batch[len(c.batch)-len(c.columns)+i]
		v.Type = storedAs(t, v.Type)
	}
	c.size += len(p)
	c.flush(false)
	return nil
}

// End implements backend.Sink.
func (c *carrier) End(wire.OK, bool) error { return nil }

// storedAs is the parameter's type by which a column stores a value as it was
// read: texts are bytes, since they came without conversion.
func storedAs(t plan.ColumnType, read wire.FieldType) wire.FieldType {
	switch t {
	case plan.TypeChar, plan.TypeVarchar, plan.TypeText, plan.TypeBinary, plan.TypeVarbinary, plan.TypeBlob, plan.TypeEnum, plan.TypeSet,
		plan.TypeBit, plan.TypeGeometry, plan.TypeOther:
		return wire.TypeBlob
	case plan.TypeJSON, plan.TypeUUID, plan.TypeInet:
		return wire.TypeVarString
	case plan.TypeMedium:
		return wire.TypeLong
	case plan.TypeYear:
		return wire.TypeShort
	case plan.TypeTiny, plan.TypeSmall, plan.TypeInt, plan.TypeBig, plan.TypeDecimal, plan.TypeFloat, plan.TypeDouble,
		plan.TypeDate, plan.TypeTime, plan.TypeDatetime, plan.TypeTimestamp:
	}
	return read
}

// flush stores full batches, or everything.
func (c *carrier) flush(all bool) {
	width := len(c.columns)
	for _, n := range []int{carryRows, carryRows / 8, 1} {
		for c.err == nil && c.refused == nil && len(c.batch) >= n*width && (all || n == carryRows) && width > 0 {
			c.store(n)
			c.batch = slices.Delete(c.batch, 0, n*width)
		}
	}
	if len(c.batch) == 0 {
		c.size = 0
	}
}

// store executes one INSERT of n rows.
func (c *carrier) store(n int) {
	width := len(c.columns)
	row := "(" + strings.Repeat("?,", width-1) + "?)"
	conn := c.to.conn
	stmt, err := conn.PrepareFor(c.ctx, c.move.Insert+strings.Repeat(row+",", n-1)+row, "carried")
	if err != nil {
		c.err = c.said(err)
		return
	}
	res, err := conn.Relay(c.ctx, wire.AppendExecute(nil, stmt.ID, c.batch[:n*width]), nothing{})
	switch {
	case err != nil:
		c.err = err
	case res.Err != nil:
		c.refused = res.Err
	case res.OK.Affected != uint64(n):
		c.err = fail(codeInternal, fmt.Sprintf("%d of %d rows were stored", res.OK.Affected, n))
	}
}

// delete deletes the rows that were read.
func (c *carrier) delete(ctx context.Context) (uint64, error) {
	res, err := c.from.conn.Relay(ctx, append([]byte{byte(wire.ComQuery)}, c.move.Delete...), nothing{})
	if err == nil {
		c.refused = res.Err
	}
	return res.OK.Affected, err
}

// nothing is a sink for replies without rows.
type nothing struct{}

func (nothing) Columns([][]byte) error  { return nil }
func (nothing) Row([]byte) error        { return nil }
func (nothing) End(wire.OK, bool) error { return nil }
