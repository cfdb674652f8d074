package tm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"xaproxy/xa"
)

// errContested: somebody holds the node's name at the shard; it is being watched
// whether he lives.
var errContested = errors.New("node name is held, watching whether its holder lives")

// contest is the watch over the rows of this node while somebody else holds its
// name at a shard.
type contest struct {
	since time.Time
	beats map[incarnation]uint64
}

// hold tries to take the node's name at s. errContested: try again after a
// beat. *HeldError: the holder lives.
func (m *Manager) hold(ctx context.Context, s *site) error {
	err := m.takeName(ctx, s)
	if err == nil || !errors.Is(err, xa.ErrHeld) {
		return err
	}
	rows, err := m.readNodes(ctx, s)
	if err != nil {
		return err
	}
	now := time.Now()
	moved := s.contest.moved(rows, m)
	switch {
	case moved != nil:
		s.contest = newContest(rows, m, now)
		return &HeldError{Node: m.o.Node, Shard: s.name, Endpoint: moved.Endpoint}
	case s.contest == nil:
		s.contest = newContest(rows, m, now)
		return errContested
	case now.Sub(s.contest.since) < m.time.DeadAfter:
		return errContested
	}
	s.log.Warn("node name is held by a process that does not beat, ending its session",
		slog.Uint64("node", uint64(m.o.Node)))
	s.contest = nil
	ctx, cancel := context.WithTimeout(ctx, m.holdTimeout())
	defer cancel()
	if err := s.Nodes.KillHolder(ctx, m.o.Node); err != nil {
		return fmt.Errorf("end the session that holds node %d's name: %w", m.o.Node, err)
	}
	return errContested // take it in the next round: the server needs a moment
}

// holdTimeout bounds the calls between taking the name and the first beat, so
// that who watches this process does not think that it stands still.
func (m *Manager) holdTimeout() time.Duration { return m.time.DeadAfter / 2 }

// takeName takes the name lock and keeps it beyond ctx.
func (m *Manager) takeName(ctx context.Context, s *site) error {
	long, end := context.WithCancel(context.WithoutCancel(ctx))
	// The lock's session may live as long as the context it was taken with:
	// only the taking is bounded.
	stop := context.AfterFunc(ctx, end)
	timer := time.AfterFunc(m.holdTimeout(), end)
	release, err := s.Nodes.Hold(long, m.o.Node)
	timer.Stop()
	stop()
	if err != nil {
		end()
		return fmt.Errorf("take the name of node %d: %w", m.o.Node, err)
	}
	s.release = func() { release(); end() }
	s.heldSince, s.shaken, s.contest = time.Now(), false, nil
	return nil
}

// letGo releases the name at s if it is held.
func (s *site) letGo() {
	if s.release != nil {
		s.release()
		s.release = nil
	}
}

func (m *Manager) releaseNames() {
	m.everywhere(func(s *site) { s.letGo() })
}

func newContest(rows []xa.Node, m *Manager, now time.Time) *contest {
	c := &contest{since: now, beats: map[incarnation]uint64{}}
	for _, n := range rows {
		if i := (incarnation{n.ID, n.Incarnation}); n.ID == m.o.Node && !m.nodes.isMine(i) {
			c.beats[i] = n.Beat
		}
	}
	return c
}

// moved returns a row of this node, but of another process, that appeared or
// beat since the contest began.
func (c *contest) moved(rows []xa.Node, m *Manager) *xa.Node {
	if c == nil {
		return nil
	}
	for _, n := range rows {
		i := incarnation{n.ID, n.Incarnation}
		if n.ID != m.o.Node || n.Dead || m.nodes.isMine(i) {
			continue // a dead mark is somebody else's doing, and no sign of life
		}
		if beat, seen := c.beats[i]; !seen || beat != n.Beat {
			return &n
		}
	}
	return nil
}

// readNodes reads the shard's node table into the registry.
func (m *Manager) readNodes(ctx context.Context, s *site) ([]xa.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, m.callTimeout())
	defer cancel()
	rows, err := s.Nodes.Nodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the node table: %w", err)
	}
	for _, i := range m.nodes.read(s.number, rows, time.Now()) {
		m.log.Info("proxy is marked dead", slog.Uint64("node", uint64(i.node)), slog.Uint64("incarnation", uint64(i.number)))
		m.mourn(i)
	}
	return rows, nil
}

// mourn makes the loops look at what a dead incarnation left.
func (m *Manager) mourn(i incarnation) {
	if m.nodes.isMine(i) {
		return
	}
	for _, s := range m.sites() {
		s.scan.raise()
		s.sweep.raise()
	}
}

// callTimeout bounds one call of the beat at a shard.
func (m *Manager) callTimeout() time.Duration { return min(m.time.VerbTimeout, m.time.DeadAfter) }
