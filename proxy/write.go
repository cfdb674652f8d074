package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// all executes a write at several shards, in the order of their numbers so that
// two of them cannot wait for each other. Within a transaction it is atomic by
// savepoints; otherwise it is a transaction of its own.
func (s *session) all(ctx context.Context, k *call, t plan.Targets) error {
	own := s.tx == nil
	if own {
		s.once.isolation = s.turn
		s.beginTx(plan.AccessDefault)
		s.tx.own = true
	}
	out := &relay{s: s, several: true, class: k.plan.Class, split: t.Split, copies: t.Copies}
	err := s.written(ctx, k, t, out)
	switch {
	case err == nil && !own:
		return out.finish()
	case err == nil:
		// Its end is the statement's: OK is told when it is committed.
		if err = s.commit(ctx); err == nil {
			out.total.Warnings += s.diag.count()
			return out.finish()
		}
	case own && s.tx != nil:
		s.rollback(ctx)
	}
	return s.tell(err)
}

// written executes a write within the transaction.
func (s *session) written(ctx context.Context, k *call, t plan.Targets, out *relay) error {
	out.clock = clockFor(t)
	if t.Choose != nil {
		parts, clock, err := s.choose(ctx, k, t)
		if err != nil {
			return err
		}
		t.Parts = parts
		if clock != nil {
			out.clock = clock
		}
	}
	out.parts = t.Parts
	w := &write{s: s, k: k, t: t, out: out}
	if !s.tx.own {
		w.point = []string{"SAVEPOINT " + quoteName(internalSavepoint)}
	}
	w.point = append(w.point, s.copyLatch(k)...)
	return w.run(ctx)
}

// write is one execution of a write at several shards, within a transaction.
type write struct {
	s       *session
	k       *call
	t       plan.Targets
	out     *relay
	point   []string  // sets the savepoint that the statement can be taken back to; none in a transaction of its own
	touched []*branch // that have the savepoint
	changed []uint64  // rows, by part
}

func (w *write) run(ctx context.Context) error {
	for i, part := range w.t.Parts {
		if err := w.part(ctx, i, part); err != nil {
			return w.failed(ctx, renumbered(err, part.Origin))
		}
	}
	if err := w.settle(ctx); err != nil {
		return w.failed(ctx, err)
	}
	return nil
}

// part executes one part.
func (w *write) part(ctx context.Context, i int, part plan.Part) error {
	s := w.s
	w.out.part, w.out.sent = i, false
	b, err := s.runBranch(ctx, w.k, part, w.out, w.point)
	if err != nil {
		// The branch that refused has the savepoint, too, unless it was refused before.
		if b != nil && w.out.sent {
			w.touched = append(w.touched, b)
		}
		return err
	}
	w.touched, w.changed = append(w.touched, b), append(w.changed, w.out.affected)
	if err := s.stillOpen(ctx, b); err != nil {
		return err
	}
	last := i+1 == len(w.t.Parts) && w.t.Move == nil
	if s.tx == nil && !last {
		return fail(codeAborted, "shard "+s.e.name(b.shard)+" ended it by itself before the statement had reached every shard")
	}
	return nil
}

// settle does what follows the parts.
func (w *write) settle(ctx context.Context) error {
	if w.t.Move != nil {
		if err := w.move(ctx, w.t.Move); err != nil {
			return err
		}
	}
	if err := w.sameCopies(); err != nil {
		return err
	}
	return w.s.settleIDs(ctx, w.k, w.out)
}

// sameCopies says why the copies of a table are not alike after a write.
func (w *write) sameCopies() error {
	uneven := false
	told := make([]string, len(w.changed))
	for i, n := range w.changed {
		uneven = uneven || n != w.changed[0]
		told[i] = fmt.Sprintf("%s: %d", w.s.e.name(shardID(w.t.Parts[i].Shard)), n)
	}
	if uneven && w.t.Copies {
		return fail(codeCopiesDiffer, strings.Join(told, ", "))
	}
	return nil
}

// failed takes the statement back where the transaction goes on without it.
func (w *write) failed(ctx context.Context, err error) error {
	if w.s.tx == nil || w.s.tx.own || errors.Is(err, errGone) {
		return err
	}
	return w.s.undo(ctx, w.touched, err)
}

// renumbered puts the client's number of a row into a server's error.
func renumbered(err error, origin []int) error {
	var said *wire.ServerError
	if len(origin) == 0 || !errors.As(err, &said) {
		return err
	}
	told := *said
	told.Message = atRow(said.Message, origin)
	return &told
}

// undo takes a statement back that failed at one of several shards. When that
// fails the transaction is rolled back whole.
func (s *session) undo(ctx context.Context, touched []*branch, why error) error {
	for _, b := range touched {
		refused, err := exec(ctx, b.conn, "ROLLBACK TO SAVEPOINT "+quoteName(internalSavepoint))
		if refused != nil {
			err = refused
		}
		if err == nil && b.conn.InTransaction() {
			continue
		}
		s.e.log.Warn("roll back to savepoint", slog.String("shard", s.e.name(b.shard)), slog.Any("err", err))
		s.rollback(ctx)
		return fail(codeAborted, s.mapError(why).Message+" (and the statement's parts at other shards could not be taken back alone)").because(why)
	}
	return why
}
