package tm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"xaproxy/xa"
)

// beatLoop keeps this process's row alive at one shard, and reads the others'.
func (m *Manager) beatLoop(ctx context.Context, s *site) {
	tick := time.NewTicker(m.time.Beat)
	defer tick.Stop()
	for {
		err := m.beat(ctx, s)
		if ctx.Err() != nil {
			return
		}
		m.heard(s, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// heard notes whether a shard answered.
func (m *Manager) heard(s *site, err error) {
	switch {
	case err == nil, errors.Is(err, errRenamed), errors.Is(err, errContested):
	case errors.Is(err, xa.ErrHeld):
		if now := time.Now(); now.Sub(s.complained) >= m.time.Interval {
			s.complained = now
			s.log.Error("another process lives with this node number", errAttr(err))
		}
	default:
		m.trouble(s, err)
		return
	}
	if s.answered(true) {
		s.log.Info("shard answers again")
		m.ShardUp(s.number)
	}
}

// beat makes one round at s: register if need be, beat, read, judge, mark.
func (m *Manager) beat(ctx context.Context, s *site) error {
	self := m.Incarnation()
	if s.registered.Load() != self {
		if err := m.warm(ctx, s); err != nil {
			return err
		}
		return m.join(ctx, s)
	}
	call, cancel := context.WithTimeout(ctx, m.callTimeout())
	row, err := s.Nodes.Beat(call, m.o.Node, self)
	cancel()
	if errors.Is(err, xa.ErrDead) || err == nil && row.Dead {
		return m.rename(ctx, self, self, "this one is marked dead")
	}
	if err != nil {
		m.missing(ctx, s, self)
		return fmt.Errorf("beat: %w", err)
	}
	rows, err := m.readNodes(ctx, s)
	if err != nil {
		return err
	}
	for _, i := range m.nodes.judge(m.time.DeadAfter) {
		if err := m.condemn(ctx, s, i); err != nil {
			return err
		}
	}
	m.watchLimping(s)
	if err := m.bury(ctx, s, rows); err != nil {
		return err
	}
	return m.holdAgain(ctx, s)
}

// warm has a connection made before the calls that must be quick: at a slow shard that alone takes longer than they may.
func (m *Manager) warm(ctx context.Context, s *site) error {
	ctx, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
	defer cancel()
	if _, err := s.Nodes.Nodes(ctx); err != nil {
		return fmt.Errorf("read the node table: %w", err)
	}
	return nil
}

// watchLimping has all shards scanned while a living proxy does not reach this one:
// what it has prepared elsewhere with its home here it cannot finish, and grace
// begins when somebody sees it.
func (m *Manager) watchLimping(s *site) {
	now := time.Now()
	if now.Sub(s.limped) < m.time.DeadAfter || !m.nodes.limps(s.number, m.time.DeadAfter) {
		return
	}
	s.limped = now
	for _, each := range m.sites() {
		each.scan.raise()
	}
}

// missing looks after a beat that failed whether the own row is gone (a restored
// database); then it is registered anew.
func (m *Manager) missing(ctx context.Context, s *site, self uint32) {
	rows, err := m.readNodes(ctx, s)
	if err != nil {
		return
	}
	own := func(n xa.Node) bool { return n.ID == m.o.Node && n.Incarnation == self }
	if !slices.ContainsFunc(rows, own) {
		s.log.Error("own row is missing in the node table", slog.Uint64("incarnation", uint64(self)))
		s.registered.Store(0)
	}
}

// condemn marks dead whoever stood still. Once the mark is at one shard the
// incarnation is dead for us, and all shards will get the mark.
func (m *Manager) condemn(ctx context.Context, s *site, i incarnation) error {
	if err := m.markDead(ctx, s, i); err != nil {
		return err
	}
	if m.nodes.buried(i) {
		m.count.markedDead.Add(1)
		m.log.Warn("proxy does not beat, marked it dead",
			slog.Uint64("node", uint64(i.node)), slog.Uint64("incarnation", uint64(i.number)))
		m.mourn(i)
	}
	return nil
}

// holdAgain takes the name anew after trouble at the shard: the server may have
// been restarted and the lock be gone. Beating goes on meanwhile.
func (m *Manager) holdAgain(ctx context.Context, s *site) error {
	if !s.shaken && s.release != nil {
		return nil
	}
	s.letGo()
	err := m.hold(ctx, s)
	if errors.Is(err, errContested) {
		return nil
	}
	return err
}

// awaitRegistered waits until the incarnation that made g is registered at s,
// for without its row the claim store can not tell it from a dead one (R9). It
// does not wait for ever: then the answer is Unknown, which is true.
func (m *Manager) awaitRegistered(ctx context.Context, s *site, g xa.GlobalID) {
	n, err := g.Parse()
	if err != nil {
		return
	}
	for range 10 {
		if n.Incarnation != m.Incarnation() || s.registered.Load() == n.Incarnation {
			return
		}
		s.log.Info("waiting until this proxy is registered at the shard", slog.String("gtrid", string(g)))
		if s.pause(ctx, m.time.Beat) != nil {
			return
		}
	}
}
