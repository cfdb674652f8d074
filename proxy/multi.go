package proxy

import (
	"context"
	"errors"
	"log/slog"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// concat executes a SELECT at several shards, one after the other, and streams
// their rows as one result. Nothing is buffered.
func (s *session) concat(ctx context.Context, k *call, t plan.Targets) error {
	out := &relay{s: s, several: true, parts: t.Parts, class: k.plan.Class, clock: clockFor(t)}
	for i, part := range t.Parts {
		out.part = i
		out.shard = shardID(part.Shard)
		var err error
		if s.tx != nil {
			var b *branch
			if b, err = s.runBranch(ctx, k, part, out, nil); err == nil {
				err = s.stillOpen(ctx, b)
			}
		} else {
			err = s.concatAlone(ctx, k, part, out)
		}
		if err == nil && out.differs != nil {
			err = out.differs
		}
		if err != nil {
			return s.tell(err) // also in the middle of the rows
		}
	}
	return out.finish()
}

func (s *session) concatAlone(ctx context.Context, k *call, part plan.Part, out *relay) error {
	n := shardID(part.Shard)
	conn, err := s.take(ctx, n)
	if err != nil {
		return err
	}
	defer s.give(ctx, n, conn)
	if err := s.stillTrusted(); err != nil {
		return err
	}
	own, err := s.insertIDFor(ctx, k.plan, conn)
	if err != nil {
		return err
	}
	r, err := s.send(ctx, k, conn, own, part, out)
	switch {
	case err != nil:
		return s.lostAlone(ctx, k, n, r, err)
	case r.stopped != nil && !errors.Is(r.stopped, errStopped):
		return r.stopped
	case r.refused != nil:
		return r.refused
	}
	s.note(k.plan, n, conn, out)
	if err := s.collect(ctx, conn, out); err != nil {
		return s.lostAlone(ctx, k, n, r, err)
	}
	return nil
}

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
	out := &relay{s: s, several: true, parts: t.Parts, class: k.plan.Class, clock: clockFor(t), split: t.Split}
	err := s.allParts(ctx, k, out)
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

func (s *session) allParts(ctx context.Context, k *call, out *relay) error {
	var point []string
	if !s.tx.own {
		point = []string{"SAVEPOINT " + quoteName(internalSavepoint)}
	}
	var touched []*branch
	for i, part := range out.parts {
		out.part, out.sent = i, false
		b, err := s.runBranch(ctx, k, part, out, point)
		if err == nil {
			touched = append(touched, b)
			err = s.stillOpen(ctx, b)
		}
		if err == nil && s.tx == nil && i+1 < len(out.parts) {
			err = fail(codeAborted, "shard "+s.e.name(b.shard)+" ended it by itself before the statement had reached every shard")
		}
		if err == nil {
			continue
		}
		if s.tx == nil || s.tx.own || errors.Is(err, errGone) {
			return renumbered(err, part.Origin)
		}
		// The statement failed, the transaction is still open: the branch that
		// refused has the savepoint, too, unless it was refused before.
		if b != nil && out.sent {
			touched = append(touched, b)
		}
		return s.undo(ctx, touched, renumbered(err, part.Origin))
	}
	if err := s.settleIDs(ctx, k, out); err != nil {
		if s.tx.own {
			return err
		}
		return s.undo(ctx, touched, err)
	}
	return nil
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
