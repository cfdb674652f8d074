package tm

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"xaproxy/tm/internal/protocol"
	"xaproxy/xa"
)

// Causes for which a branch had no error of its own.
var (
	errAsked    = errors.New("rollback was asked for")
	errNoVote   = errors.New("a branch can not promise to commit")
	errTooLate  = errors.New("not all branches answered in time")
	errNoReason = errors.New("no reason is known")
)

// cause finds the error behind the machine's reason.
func (d *driver) cause(a protocol.Action) error {
	var own error
	if a.Branch >= 0 {
		own = d.errs[a.Branch]
	}
	fallback := errNoReason
	switch a.Reason {
	case protocol.ReasonNone:
		return nil
	case protocol.ReasonAsked:
		fallback = errAsked
	case protocol.ReasonLost:
		fallback = xa.ErrLost
	case protocol.ReasonVote, protocol.ReasonNotDecided, protocol.ReasonOnePhaseLost:
		fallback = errNoVote
	case protocol.ReasonTimeout:
		fallback = errTooLate
	case protocol.ReasonFenced:
		fallback = xa.ErrFenced
	case protocol.ReasonMarkedDead:
		fallback = xa.ErrDead
	}
	if own != nil {
		return own
	}
	return fallback
}

// tally counts the answer and logs what an operator acts on.
func (d *driver) tally() {
	c := &d.m.count
	switch d.answer.outcome {
	case xa.Committed:
		switch {
		case d.claims:
			c.twoPhase.Add(1)
		case len(d.errs) > 1 && d.t.branch(d.decider()).Wrote():
			c.onePhase.Add(1)
		default:
			c.local.Add(1)
		}
	case xa.Aborted:
		if d.answer.reason != protocol.ReasonAsked {
			c.aborts.Add(1)
		}
		if d.answer.reason == protocol.ReasonFenced {
			c.fenced.Add(1)
			d.m.log.Warn("rolled back: an abort was recorded before the commit", d.t.attr())
		}
	case xa.Unknown:
		c.unknowns.Add(1)
		d.m.log.Error("outcome is unknown, the client was told so", d.t.attr(), errAttr(d.answer.cause))
	case xa.Undecided:
	}
}

// verdict words the answer. It is called after ActionAnswer.
func (d *driver) verdict(ctx context.Context, w want) error {
	heuristic := d.homeLost
	select {
	case <-d.t.Done(): // the driver has ended: its machine is ours now
		heuristic = heuristic || len(d.machine.Heuristics()) > 0
	default:
	}
	if d.answer.outcome == xa.Committed && !heuristic {
		return nil
	}
	e := &EndError{Outcome: d.answer.outcome, Cause: d.answer.cause, Heuristic: heuristic}
	if d.claims || heuristic {
		e.Global = d.t.Global()
	}
	switch d.answer.outcome {
	case xa.Committed:
		e.Recorded = true
	case xa.Aborted:
		if w == wantRollback && !heuristic {
			return nil
		}
		d.advise(ctx, e)
	case xa.Unknown, xa.Undecided:
		e.Outcome = xa.Unknown
		e.Recorded = d.claims
	}
	return e
}

// advise says whether a retry makes sense, and which shards do not answer.
func (d *driver) advise(ctx context.Context, e *EndError) {
	switch d.answer.reason {
	case protocol.ReasonFenced:
		e.Retry = true
	case protocol.ReasonLost, protocol.ReasonVote, protocol.ReasonTimeout, protocol.ReasonNotDecided:
		e.Down = d.m.silent(ctx, d.places())
		e.Retry = len(e.Down) == 0 && retryable(e.Cause)
	case protocol.ReasonNone, protocol.ReasonAsked, protocol.ReasonOnePhaseLost, protocol.ReasonMarkedDead:
	}
}

// places are the transaction's shards. A home without a gtrid is named by its
// own identifier.
func (d *driver) places() []place {
	if d.t.where[0].known {
		return d.t.where
	}
	q, err := xa.ParseQualifier(d.t.home.ID().Branch)
	return []place{{shard: q.Session.Shard, known: err == nil}}
}

// retryable reports whether the same work may succeed at servers that answer:
// the transaction was taken away, the connection was lost, or the error says so.
func retryable(cause error) bool {
	var r interface{ Retryable() bool }
	if errors.As(cause, &r) {
		return r.Retryable()
	}
	return errors.Is(cause, xa.ErrLost) || errors.Is(cause, errTooLate) ||
		xa.EffectOf(cause) == xa.EffectUnknown
}

// silent asks all of the shards and returns those that do not answer.
func (m *Manager) silent(ctx context.Context, where []place) []xa.ShardID {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		list []xa.ShardID
	)
	for _, w := range where {
		s := m.site(w.shard)
		if !w.known || s == nil {
			continue
		}
		wg.Go(func() {
			if _, err := s.Nodes.Nodes(ctx); err != nil {
				mu.Lock()
				list = append(list, s.number)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(list)
	return list
}

func (m *Manager) shardAttr(n xa.ShardID) slog.Attr {
	if s := m.site(n); s != nil {
		return slog.String("shard", s.name)
	}
	return slog.Int("shard", int(n))
}
