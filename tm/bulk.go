package tm

import (
	"cmp"
	"context"
	"log/slog"

	"xaproxy/tm/internal/protocol"
	"xaproxy/xa"
)

// bulk is how many branches are resolved together where a dead proxy has left many.
const bulk = 200

// chunks divides branches among the recoverers; where there are few, each is alone.
func chunks(todo []found) [][]found {
	size := min(bulk, (len(todo)+recoverers-1)/recoverers)
	var all [][]found
	for len(todo) > 0 {
		n := min(size, len(todo))
		all = append(all, todo[:n])
		todo = todo[n:]
	}
	return all
}

// recoverTogether resolves branches of one shard with few round trips and returns those that must be resolved alone, and
// how many others are left.
func (m *Manager) recoverTogether(ctx context.Context, s *site, chunk []found) (alone []found, left int) {
	resource, can := s.Resource.(xa.BulkResource)
	if !can || len(chunk) < 2 {
		return chunk, 0
	}
	answers := m.fenceTogether(ctx, chunk)
	var list []xa.Settlement
	var known []found
	for _, f := range chunk {
		o := protocol.Ordered(answers[f.id.Global])
		if o == xa.Undecided {
			alone = append(alone, f)
			continue
		}
		known = append(known, f)
		list = append(list, xa.Settlement{ID: f.id, Outcome: o, Owner: m.owner(f.name).mayKill()})
	}
	var first error
	for i, err := range m.settleTogether(ctx, s, resource, list) {
		if err := m.recovered(ctx, s, known[i], list[i].Outcome, err); err != nil {
			left++
			first = cmp.Or(first, err)
		}
	}
	if first != nil && ctx.Err() == nil {
		s.log.Warn("some of many prepared branches could not be ended now", slog.Int("left", left), slog.Int("of", len(list)), errAttr(first))
	}
	return alone, left
}

// fenceTogether asks the homes of branches, each once. What is not in the answer is not known.
func (m *Manager) fenceTogether(ctx context.Context, chunk []found) map[xa.GlobalID]xa.Outcome {
	homes := map[xa.ShardID][]xa.GlobalID{}
	for _, f := range chunk {
		homes[f.name.Home.Shard] = append(homes[f.name.Home.Shard], f.id.Global)
	}
	all := map[xa.GlobalID]xa.Outcome{}
	for n, names := range homes {
		home := m.site(n)
		if home == nil || len(names) < 2 {
			continue
		}
		claims, can := home.Claims.(xa.BulkClaims)
		if !can {
			continue
		}
		call, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
		answers, err := claims.FenceAll(call, names)
		cancel()
		if err != nil {
			m.log.Warn("many outcomes could not be asked for together", m.shardAttr(n), slog.Int("names", len(names)), errAttr(err))
			continue
		}
		for g, o := range answers {
			all[g] = o
		}
	}
	return all
}

// settleTogether ends branches as is decided, in one of the slots for background calls.
func (m *Manager) settleTogether(ctx context.Context, s *site, r xa.BulkResource, list []xa.Settlement) []error {
	if len(list) == 0 {
		return nil
	}
	if err := s.enter(ctx); err != nil {
		errs := make([]error, len(list))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	defer s.leave()
	ctx, cancel := context.WithTimeout(ctx, 2*m.time.VerbTimeout) // what is left then is for the next pass
	defer cancel()
	return r.Settle(ctx, list)
}

// homesGone says of which of the aborts home's session can not commit any more.
func (m *Manager) homesGone(ctx context.Context, s *site, strays []stray) map[xa.GlobalID]bool {
	var names []xa.GlobalID
	for _, c := range strays {
		if c.evidence.Outcome == xa.Aborted && !c.evidence.Finished {
			names = append(names, c.claim.Global)
		}
	}
	gone := map[xa.GlobalID]bool{}
	claims, can := s.Claims.(xa.BulkClaims)
	if !can {
		for _, g := range names {
			gone[g] = m.homeGone(ctx, s, g)
		}
		return gone
	}
	for len(names) > 0 {
		n := min(len(names), collectBatch)
		call, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
		found, err := claims.HomesGone(call, names[:n])
		cancel()
		if err != nil {
			break // not knowing is no
		}
		for g, is := range found {
			gone[g] = is
		}
		names = names[n:]
	}
	return gone
}
