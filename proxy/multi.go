package proxy

import (
	"context"
	"errors"

	"xaproxy/proxy/plan"
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
