package xatest

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"xaproxy/xa"
)

// home checks that g's home is here.
func (m *Memory) home(g xa.GlobalID) (xa.GlobalName, error) {
	n, err := g.Parse()
	if err != nil {
		return n, err
	}
	if n.Cluster != m.cluster {
		return n, xa.ErrForeign
	}
	if n.Home.Shard != m.number {
		return n, errors.New("home is another shard")
	}
	return n, nil
}

// Fence implements xa.ClaimStore.
func (m *Memory) Fence(ctx context.Context, g xa.GlobalID, a xa.Asker, _ xa.Owner) (xa.Outcome, error) {
	n, err := m.home(g)
	if err != nil {
		return xa.Unknown, err
	}
	out := xa.Unknown
	err = m.act(ctx, OpFence, nil, func() error {
		row, registered := m.nodes[[2]uint32{n.Node, n.Incarnation}]
		live := registered && !row.Dead
		if _, taken := m.claims[g]; !taken && (a == xa.AskRecoverer || live) {
			m.claims[g] = xa.Claim{
				Decision:  xa.Decision{Global: g, Outcome: xa.Aborted},
				AgeMillis: time.Since(m.start).Milliseconds(),
			}
		}
		if c, taken := m.claims[g]; taken && (c.Outcome == xa.Committed || a == xa.AskRecoverer || live) {
			out = c.Outcome
		}
		return nil
	})
	if err != nil {
		return xa.Unknown, err
	}
	return out, nil
}

// Peek implements xa.ClaimStore.
func (m *Memory) Peek(ctx context.Context, g xa.GlobalID) (xa.Record, error) {
	n, err := m.home(g)
	if err != nil {
		return xa.Record{}, err
	}
	d := xa.Record{Decision: xa.Decision{Global: g}}
	err = m.act(ctx, OpPeek, nil, func() error {
		if c, ok := m.claims[g]; ok {
			d.Decision = c.Decision
		}
		owner := m.nodes[[2]uint32{n.Node, n.Incarnation}]
		d.OwnerDead, d.CollectedUpto = owner.Dead, owner.CollectedUpto
		return nil
	})
	return d, err
}

// Sweep implements xa.ClaimStore.
func (m *Memory) Sweep(ctx context.Context) iter.Seq2[xa.Claim, error] {
	return func(yield func(xa.Claim, error) bool) {
		var all []xa.Claim
		err := m.act(ctx, OpCollect, nil, func() error {
			all = slices.Collect(maps.Values(m.claims))
			return nil
		})
		if err != nil {
			yield(xa.Claim{}, err)
			return
		}
		for _, c := range all {
			c.AgeMillis = time.Since(m.start).Milliseconds() - c.AgeMillis
			if !yield(c, nil) {
				return
			}
		}
	}
}

// Collect implements xa.ClaimStore.
func (m *Memory) Collect(ctx context.Context, a xa.Asker, claims []xa.Claim) error {
	return m.act(ctx, OpCollect, nil, func() error {
		nodes := maps.Clone(m.nodes)
		for _, c := range claims {
			n, err := m.home(c.Global)
			if err != nil {
				return err
			}
			switch c.Outcome {
			case xa.Committed:
				key := [2]uint32{n.Node, n.Incarnation}
				row, registered := nodes[key]
				if !registered {
					return errors.New("the owner's incarnation has no row")
				}
				if a == xa.AskRecoverer && !row.Dead {
					return errors.New("the owner's incarnation is not marked dead")
				}
				row.CollectedUpto = max(row.CollectedUpto, n.Sequence)
				nodes[key] = row
			case xa.Aborted:
			case xa.Undecided, xa.Unknown:
				return errors.New("not a recorded outcome")
			}
		}
		m.nodes = nodes
		for _, c := range claims {
			if m.claims[c.Global].Outcome == c.Outcome {
				delete(m.claims, c.Global)
			}
		}
		return nil
	})
}

// HomeGone implements xa.ClaimStore.
func (m *Memory) HomeGone(ctx context.Context, g xa.GlobalID) (bool, error) {
	n, err := m.home(g)
	if err != nil {
		return false, err
	}
	gone := false
	err = m.act(ctx, OpPeek, nil, func() error {
		gone = !m.present(n.Home)
		return nil
	})
	return gone, err
}

// Nodes implements xa.NodeStore.
func (m *Memory) Nodes(ctx context.Context) ([]xa.Node, error) {
	var all []xa.Node
	err := m.act(ctx, OpNode, nil, func() error {
		all = slices.Collect(maps.Values(m.nodes))
		return nil
	})
	return all, err
}

// Register implements xa.NodeStore.
func (m *Memory) Register(ctx context.Context, n xa.Node) error {
	return m.act(ctx, OpNode, nil, func() error {
		key := [2]uint32{n.ID, n.Incarnation}
		row, there := m.nodes[key]
		if row.Dead {
			return xa.ErrDead
		}
		if !there {
			row = xa.Node{ID: n.ID, Incarnation: n.Incarnation}
		}
		row.Endpoint = n.Endpoint
		row.Beat++
		m.nodes[key] = row
		return nil
	})
}

// Beat implements xa.NodeStore.
func (m *Memory) Beat(ctx context.Context, node, incarnation uint32) (xa.Node, error) {
	var n xa.Node
	err := m.act(ctx, OpNode, nil, func() error {
		key := [2]uint32{node, incarnation}
		row, there := m.nodes[key]
		if !there {
			return errors.New("no such row")
		}
		if !row.Dead {
			row.Beat++
		}
		m.nodes[key], n = row, row
		return nil
	})
	return n, err
}

// MarkDead implements xa.NodeStore.
func (m *Memory) MarkDead(ctx context.Context, node, incarnation uint32) error {
	return m.act(ctx, OpNode, nil, func() error {
		key := [2]uint32{node, incarnation}
		row := m.nodes[key]
		row.ID, row.Incarnation, row.Dead = node, incarnation, true
		m.nodes[key] = row
		return nil
	})
}

// Hold implements xa.NodeStore.
func (m *Memory) Hold(ctx context.Context, node uint32) (release func(), err error) {
	me := new(int)
	err = m.act(ctx, OpNode, nil, func() error {
		if m.holders[node] != nil {
			return xa.ErrHeld
		}
		m.holders[node] = me
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.holders[node] == me {
			delete(m.holders, node)
		}
	}, nil
}

// KillHolder implements xa.NodeStore.
func (m *Memory) KillHolder(ctx context.Context, node uint32) error {
	return m.act(ctx, OpNode, nil, func() error {
		delete(m.holders, node)
		return nil
	})
}
