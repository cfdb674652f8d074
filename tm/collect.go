package tm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"xaproxy/tm/internal/protocol"
	"xaproxy/xa"
)

// collectBatch is the most claims that one transaction at home deletes (R5).
const collectBatch = 1000

// collectEvery is the time between two collections at a home: each is one
// forced write there.
const collectEvery = time.Second

// forget queues an own claim that nothing acts on any more (R1, R3).
func (m *Manager) forget(home xa.ShardID, d xa.Decision) {
	s := m.site(home)
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, forgotten{claim: d, at: time.Now()})
}

// due returns up to a batch of queued claims that are old enough (R4).
func (s *site) due(now time.Time, retain time.Duration) []xa.Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	var batch []xa.Claim
	for _, f := range s.done {
		age := now.Sub(f.at)
		ok := protocol.MayCollect(protocol.Evidence{
			Outcome: f.claim.Outcome, AgeMillis: age.Milliseconds(), RetainMillis: retain.Milliseconds(),
			Finished: true,
		})
		if !ok || len(batch) == collectBatch {
			break
		}
		batch = append(batch, xa.Claim{Decision: f.claim, AgeMillis: age.Milliseconds()})
	}
	return batch
}

// collected takes the first n queued claims out of the queue.
func (s *site) collected(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = slices.Delete(s.done, 0, n)
}

// collectLoop removes at one home what nobody needs any more: own claims by the
// queue, all others by a sweep.
func (m *Manager) collectLoop(ctx context.Context, s *site) {
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	var (
		retry backoff
		next  time.Time // of the sweep
	)
	for {
		m.collectQueue(ctx, s)
		select {
		case <-s.sweep:
			next, retry = time.Time{}, backoff{}
		default:
		}
		if now := time.Now(); !now.Before(next) {
			left, err := m.sweepPass(ctx, s)
			wait := m.time.Interval
			if err == nil && left > 0 {
				wait = min(wait, 4*retry.step())
			} else {
				retry = backoff{}
			}
			next = now.Add(wait)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// collectQueue empties the queue of what is due.
func (m *Manager) collectQueue(ctx context.Context, s *site) {
	for ctx.Err() == nil {
		batch := s.due(time.Now(), m.time.Retain)
		if len(batch) == 0 || m.collect(ctx, s, xa.AskOwner, batch) != nil {
			return // what failed stays queued
		}
		s.collected(len(batch))
		if len(batch) < collectBatch {
			return
		}
	}
}

// collect removes claims; the rules have been checked.
func (m *Manager) collect(ctx context.Context, s *site, a xa.Asker, batch []xa.Claim) error {
	ctx, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
	defer cancel()
	if err := s.Claims.Collect(ctx, a, batch); err != nil {
		return fmt.Errorf("collect claims at shard %s: %w", s.name, err)
	}
	m.count.collected.Add(int64(len(batch)))
	return nil
}

// stray is a claim that a sweep found old enough, and what else the rules ask.
type stray struct {
	claim    xa.Claim
	evidence protocol.Evidence
}

// sweepPass collects at one home what others left behind, and the aborts that
// others recorded for transactions of this process. It returns how many claims
// are old enough but must stay for now.
func (m *Manager) sweepPass(ctx context.Context, s *site) (left int, err error) {
	// Node rows first: a dead mark stays.
	rows, err := m.readNodes(ctx, s)
	if err != nil {
		return 0, err
	}
	strays, err := m.strays(ctx, s, rows)
	if err != nil || len(strays) == 0 {
		return 0, err
	}
	m.unlist(ctx, strays)
	gone := m.homesGone(ctx, s, strays)
	batch := make([]xa.Claim, 0, min(len(strays), collectBatch))
	for _, c := range strays {
		if c.evidence.Outcome == xa.Aborted && !c.evidence.Finished {
			c.evidence.HomeGone = gone[c.claim.Global]
		}
		if !protocol.MayCollect(c.evidence) {
			left++
			continue
		}
		if batch = append(batch, c.claim); len(batch) == collectBatch {
			if err := m.collect(ctx, s, xa.AskRecoverer, batch); err != nil {
				return left, err
			}
			batch = batch[:0]
		}
	}
	if len(batch) > 0 {
		err = m.collect(ctx, s, xa.AskRecoverer, batch)
	}
	m.quiet(strays)
	return left, err
}

// strays lists the claims at s that are old enough and that a sweep may collect.
func (m *Manager) strays(ctx context.Context, s *site, rows []xa.Node) ([]stray, error) {
	dead := map[incarnation]bool{}
	for _, n := range rows {
		dead[incarnation{n.ID, n.Incarnation}] = n.Dead
	}
	retain := m.time.Retain.Milliseconds()
	ctx, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
	defer cancel()
	var list []stray
	for c, err := range s.Claims.Sweep(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list claims at shard %s: %w", s.name, err)
		}
		n, err := c.Global.Parse()
		if err != nil || n.Cluster != m.o.Cluster || n.Home.Shard != s.number || c.AgeMillis < retain {
			continue // not ours, or copied from elsewhere, or too young
		}
		i := incarnation{n.Node, n.Incarnation}
		e := protocol.Evidence{
			Outcome: c.Outcome, AgeMillis: c.AgeMillis, RetainMillis: retain, OwnerDead: dead[i],
		}
		switch c.Outcome {
		case xa.Committed:
			if !e.OwnerDead {
				continue // its owner collects it
			}
		case xa.Aborted:
			// Somebody else recorded it; our machine, if it sent a claim, has
			// ended with home's answer in hand.
			e.Finished = m.nodes.isMine(i) && s.owns(i.number) && m.settled(c.Global)
		case xa.Undecided, xa.Unknown:
			continue
		}
		list = append(list, stray{claim: c, evidence: e})
	}
	return list, nil
}

// unlist finds out whether the participants of commit claims are still prepared
// anywhere, by complete listings taken after the claims were read (R2).
func (m *Manager) unlist(ctx context.Context, strays []stray) {
	listed := map[xa.ShardID]map[xa.GlobalID]bool{} // nil: could not be listed
	for k := range strays {
		c := &strays[k]
		if c.claim.Outcome != xa.Committed {
			continue
		}
		c.evidence.Unlisted = true
		for _, p := range c.claim.Participants {
			q, err := xa.ParseQualifier(p)
			if err != nil {
				c.evidence.Unlisted = false
				break
			}
			at := q.Session.Shard
			if _, done := listed[at]; !done {
				listed[at] = m.prepared(ctx, at)
			}
			if listed[at] == nil || listed[at][c.claim.Global] {
				c.evidence.Unlisted = false
				break
			}
		}
	}
}

// prepared returns the transactions with prepared branches at a shard, nil when
// that can not be known.
func (m *Manager) prepared(ctx context.Context, n xa.ShardID) map[xa.GlobalID]bool {
	s := m.site(n)
	if s == nil {
		return nil
	}
	list, err := m.list(ctx, s)
	if err != nil {
		return nil
	}
	all := make(map[xa.GlobalID]bool, len(list))
	for _, f := range list {
		all[f.id.Global] = true
	}
	return all
}

// homeGone reports whether home's session of g certainly can not commit any
// more; not knowing is no.
func (m *Manager) homeGone(ctx context.Context, s *site, g xa.GlobalID) bool {
	ctx, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
	defer cancel()
	gone, err := s.Claims.HomeGone(ctx, g)
	return err == nil && gone
}

// settled reports whether nothing of this process, which made g, acts for it any
// more, in a session or on the way to one.
func (m *Manager) settled(g xa.GlobalID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, restless := m.restless[g]
	return m.live[g] == nil && !restless
}

// quiet forgets the restless transactions whose home was seen to be gone.
func (m *Manager) quiet(strays []stray) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range strays {
		if c.evidence.HomeGone {
			delete(m.restless, c.claim.Global)
		}
	}
}
