package proxy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/merge"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// cutPatience is how long shards may go on sending what is no longer wanted
// before their statements are told to stop.
const cutPatience = 100 * time.Millisecond

// rowSink takes the result of a statement over several shards. The slices are
// valid during the call only.
type rowSink interface {
	// columns begins the result; defs are the client's columns' definitions.
	columns(defs [][]byte) error
	// row is a row in the protocol of the statement.
	row(payload []byte) error
}

// clientRows sends a result to the client.
type clientRows struct{ s *session }

func (c clientRows) columns(defs [][]byte) error { return c.s.c.definitions(defs, c.s.status(0)) }

func (c clientRows) row(payload []byte) error { return c.s.c.w.Write(payload) }

// gathering is the execution of one statement that reads from several shards.
type gathering struct {
	s     *session
	k     *call
	merge *plan.Merge
	feeds []*feed
	why   error // why the result is not complete
}

// combine answers the client with the rows of several shards.
func (s *session) combine(ctx context.Context, k *call, t plan.Targets) error {
	out, err := s.gather(ctx, k, t, clientRows{s})
	if err != nil {
		return s.tell(err) // also in the middle of the rows
	}
	return out.finish()
}

// gather executes a SELECT of several parts (plan.ModeConcat, plan.ModeMerge) and
// hands its result to a sink; the relay has the end. The shards work at the same
// time, each read by a goroutine of its own, at most so far ahead as feeds are
// bounded; only what takes locks begins at one shard after the other. After an error
// within a transaction this goes on or has been rolled back everywhere, as with
// runBranch.
func (s *session) gather(ctx context.Context, k *call, t plan.Targets, to rowSink) (*relay, error) {
	out := &relay{s: s, several: true, parts: t.Parts, class: k.plan.Class, clock: clockFor(t)}
	g := &gathering{s: s, k: k, merge: t.Merge}
	if g.merge == nil {
		g.merge = &plan.Merge{Limit: -1} // one shard's rows after the other's
	}
	if err := g.open(ctx, out); err != nil {
		return nil, err
	}
	conns := make([]*backend.Conn, len(g.feeds))
	for i, f := range g.feeds {
		conns[i] = f.conn
	}
	w := &watcher{active: conns, halt: g.cut}
	stopped := s.guardWith(ctx, w, func(ctx context.Context) { g.run(ctx, out.clock, to) })
	return out, g.settle(ctx, out, stopped)
}

// open gets the connections, in ascending order of shards so that two sessions
// cannot wait for each other's.
func (g *gathering) open(ctx context.Context, out *relay) error {
	s := g.s
	for i, part := range out.parts {
		n := shardID(part.Shard)
		f := newFeed(n, part, &relay{s: s, several: true, parts: out.parts, part: i, class: out.class, clock: out.clock})
		var err error
		if s.tx == nil {
			f.conn, err = s.take(ctx, n)
		} else if f.branch, err = s.reach(ctx, n); err == nil {
			f.conn = f.branch.conn
		}
		if err == nil {
			g.feeds = append(g.feeds, f)
			f.own, err = s.insertIDFor(ctx, g.k.plan, f.conn)
		}
		if err != nil {
			g.give(ctx)
			return err
		}
	}
	if s.tx != nil {
		return nil
	}
	if err := s.stillTrusted(); err != nil {
		g.give(ctx)
		return err
	}
	return nil
}

// give returns connections that are outside of transactions.
func (g *gathering) give(ctx context.Context) {
	for _, f := range g.feeds {
		if f.branch == nil {
			g.s.give(ctx, f.shard, f.conn)
		}
	}
}

// run executes the parts and merges their rows. It returns when no goroutine uses
// a connection any more.
func (g *gathering) run(ctx context.Context, c *clock, to rowSink) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if c != nil {
		if g.why = c.ask(ctx, g.feeds[0].conn); g.why != nil {
			return
		}
	}
	for i, f := range g.feeds {
		var before *feed
		if g.k.plan.Locking && i > 0 {
			before = g.feeds[i-1]
		}
		go f.run(ctx, g.k, before)
	}
	g.why = g.combine(to)
	g.end(ctx, cancel)
	g.blame()
}

// blame finds the part that failed where one was met that was only broken off, or
// not sent, because of it.
func (g *gathering) blame() {
	if !brokenOff(g.why) {
		return
	}
	for _, f := range g.feeds {
		if err := f.failure(); err != nil && !brokenOff(err) {
			g.why = err
			return
		}
	}
}

func brokenOff(err error) bool {
	var own *Error
	return errors.As(err, &own) && own.Number == codeInterrupted
}

// ask takes the time before any part is executed: they run at the same time.
func (c *clock) ask(ctx context.Context, conn *backend.Conn) error {
	row, err := selectOne(ctx, conn, "SELECT @@timestamp")
	if err != nil {
		return err
	}
	return c.take(row)
}

// combine merges the feeds into the sink.
func (g *gathering) combine(to rowSink) error {
	rows, err := g.rows()
	if err != nil {
		return err
	}
	// An error before the first row is told in place of the columns.
	p, err := rows.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	told := to.columns(g.feeds[0].defs[:rows.Visible()])
	for ; told == nil && err == nil; p, err = rows.Next() {
		told = to.row(p)
	}
	if told != nil || errors.Is(err, io.EOF) {
		return told
	}
	return err
}

// rows waits for the feeds to begin, for all of them where their rows are needed
// at once.
func (g *gathering) rows() (*merge.Rows, error) {
	sources := make([]merge.Source, len(g.feeds))
	atOnce := len(g.merge.Order) > 0 || len(g.merge.Final) > 0 || g.merge.Grouped
	for i, f := range g.feeds {
		sources[i], f.like, f.binary = f, g.feeds[0], g.k.stmt != nil
		if atOnce || i == 0 {
			if err := f.begun(); err != nil {
				return nil, err
			}
		}
	}
	defs := g.feeds[0].defs
	columns := make([]wire.Column, len(defs))
	for i, d := range defs {
		var err error
		if columns[i], err = wire.ParseColumn(d); err != nil {
			return nil, err
		}
	}
	limits := g.s.e.limits()
	return merge.New(g.merge, columns, merge.Options{Binary: g.k.stmt != nil, MaxRows: limits.RowsBuffered, MaxBytes: limits.BytesBuffered}, sources)
}

// end ends the feeds. What they still send is read over; a statement that sends
// for long is told to stop, and its connection is given up when that does not help.
func (g *gathering) end(ctx context.Context, cancel context.CancelCauseFunc) {
	g.cut()
	if g.ended(cutPatience) {
		return
	}
	for _, f := range g.feeds {
		select {
		case <-f.done:
		default:
			kill, stop := context.WithTimeout(ctx, killPatience)
			if err := f.conn.KillQuery(kill); err != nil {
				g.s.e.log.Warn("kill query of a part", slog.String("shard", g.s.e.name(f.shard)), slog.Any("err", err))
			}
			stop()
		}
	}
	if g.ended(killPatience) {
		return
	}
	cancel(errStopped)
	for _, f := range g.feeds {
		<-f.done
	}
}

// cut tells the feeds that nothing more is wanted of them.
func (g *gathering) cut() {
	for _, f := range g.feeds {
		f.cut()
	}
}

// ended waits for all feeds, and reports whether they have ended in time.
func (g *gathering) ended(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for _, f := range g.feeds {
		select {
		case <-f.done:
		case <-timer.C:
			return false
		}
	}
	return true
}

// settle finds out what became of the statement everywhere. The error is the
// client's.
func (g *gathering) settle(ctx context.Context, out *relay, stopped error) error {
	switch {
	case errors.Is(stopped, errGone), errors.Is(g.why, errGone):
		g.give(ctx)
		return errGone // the end of the session rolls back
	case g.s.tx == nil:
		return g.settleAlone(ctx, out, stopped)
	}
	return g.settleBranches(ctx, out, stopped)
}

// settleAlone is settle outside of transactions.
func (g *gathering) settleAlone(ctx context.Context, out *relay, stopped error) error {
	var err error
	if stopped != nil && !errors.Is(stopped, errStopped) {
		err = stopped
	}
	if err == nil && g.why == nil {
		err = g.account(ctx, out)
	}
	g.give(ctx)
	for _, f := range g.feeds {
		if f.err != nil && (g.why != nil || err != nil) {
			return g.s.lostAlone(ctx, g.k, f.shard, reply{stopped: stopped}, f.err)
		}
	}
	return cmp.Or(err, g.why)
}

// settleBranches is settle within a transaction: of every branch it must be known
// that it is still there.
func (g *gathering) settleBranches(ctx context.Context, out *relay, stopped error) error {
	s := g.s
	if errors.Is(stopped, errTooLong) {
		s.rollback(ctx)
		return fail(codeTimeLimit, "open", s.e.limits().MaxTime, "transactions.max_time")
	}
	for _, f := range g.feeds {
		var err error
		switch {
		case f.err != nil:
			err = s.lost(ctx, f.branch, f.err)
		case f.conn.Broken():
			err = s.lost(ctx, f.branch, backend.ErrBroken)
		case f.reply.refused != nil:
			// The statement's own error is g.why, if it matters at all.
			if err = s.refused(ctx, f.branch, f.reply); s.tx != nil {
				err = nil
			}
		case f.sent:
			err = s.stillOpen(ctx, f.branch)
		}
		if err != nil || s.tx == nil {
			return cmp.Or(err, g.why)
		}
	}
	switch {
	case stopped != nil && !errors.Is(stopped, errStopped):
		return stopped
	case g.why != nil:
		return g.why
	}
	return g.account(ctx, out)
}

// account adds up the ends of the parts that were executed whole, and takes their
// warnings.
func (g *gathering) account(ctx context.Context, out *relay) error {
	for i, f := range g.feeds {
		if f.err != nil || f.reply.refused != nil || !f.sent {
			continue // what the result's limit left over was cut off
		}
		out.part, out.shard, out.shown = i, f.shard, f.out.shown
		out.add(f.out.total, true)
		g.s.noteInsertID(ctx, g.k, f.conn, out)
		g.s.note(g.k.plan, f.shard, f.conn, out)
		if err := g.s.collect(ctx, f.conn, out); err != nil {
			if f.branch == nil || errors.Is(err, errGone) {
				f.err = err
				return err
			}
			return g.s.lost(ctx, f.branch, err)
		}
	}
	out.rows, out.ended = true, true
	return nil
}
