package tm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"xaproxy/xa"
)

// Start takes the node's name and a new incarnation. Shards that do not answer
// are served without; a process that holds the name and is alive is an error
// wrapping xa.ErrHeld (*HeldError). Call it once, before Begin and Run.
func (m *Manager) Start(ctx context.Context) error {
	if err := m.takeNames(ctx); err != nil {
		m.releaseNames()
		return err
	}
	// Read after the names are ours: nobody registers a higher incarnation of
	// this node at these shards any more.
	m.everywhere(func(s *site) {
		if s.release == nil {
			return
		}
		if _, err := m.readNodes(ctx, s); err != nil {
			m.trouble(s, err)
		}
	})
	if err := m.newIncarnation(ctx, m.o.MinIncarnation); err != nil {
		m.releaseNames()
		return err
	}
	if err := m.joinAll(ctx); err != nil {
		m.releaseNames()
		return err
	}
	m.report()
	return nil
}

// takeNames takes the name at all shards that answer, watching holders that may
// be dead for as long as that takes.
func (m *Manager) takeNames(ctx context.Context) error {
	return m.firstHeld(ctx, func(s *site) error {
		for {
			err := m.hold(ctx, s)
			if !errors.Is(err, errContested) {
				return err
			}
			if err := s.pause(ctx, m.time.Beat); err != nil {
				return err
			}
		}
	})
}

// joinAll registers at all shards whose name is held.
func (m *Manager) joinAll(ctx context.Context) error {
	return m.firstHeld(ctx, func(s *site) error {
		if s.release == nil {
			return nil
		}
		for {
			err := m.join(ctx, s)
			if !errors.Is(err, errRenamed) && !errors.Is(err, errContested) {
				return err
			}
			if err := s.pause(ctx, m.time.Beat); err != nil {
				return err
			}
		}
	})
}

// firstHeld runs f at all shards. It returns the end of ctx and the error of a
// live holder; all other errors leave the shard to the beat.
func (m *Manager) firstHeld(ctx context.Context, f func(*site) error) error {
	var (
		mu    sync.Mutex
		first error
	)
	m.everywhere(func(s *site) {
		err := f(s)
		switch {
		case err == nil:
			s.answered(true)
		case errors.Is(err, xa.ErrHeld), ctx.Err() != nil:
			mu.Lock()
			if first == nil {
				first = err
			}
			mu.Unlock()
		default:
			m.trouble(s, err)
		}
	})
	return first
}

// trouble notes that the shard does not answer, and logs it when that is news.
func (m *Manager) trouble(s *site, err error) {
	s.shaken = true
	if s.answered(false) {
		s.log.Warn("shard does not answer, going on without it", errAttr(err))
	}
}

func (m *Manager) report() {
	var up, down []string
	for _, s := range m.sites() {
		if s.registered.Load() != 0 {
			up = append(up, s.name)
		} else {
			down = append(down, s.name)
		}
	}
	m.log.Info("transaction manager started",
		slog.Uint64("node", uint64(m.o.Node)), slog.Uint64("incarnation", uint64(m.Incarnation())),
		slog.String("shards", strings.Join(up, " ")), slog.String("shards_down", strings.Join(down, " ")))
}

// errRenamed: this process took another incarnation meanwhile.
var errRenamed = errors.New("the incarnation has changed")

// newIncarnation takes an incarnation above all known ones and above floor.
func (m *Manager) newIncarnation(ctx context.Context, floor uint32) error {
	n := max(floor, m.o.MinIncarnation, m.nodes.highest()) + 1
	if n > xa.MaxIncarnation {
		return fmt.Errorf("node %d has used up its incarnations", m.o.Node)
	}
	if err := m.o.SaveIncarnation(n); err != nil {
		return fmt.Errorf("save incarnation %d: %w", n, err)
	}
	m.nodes.adopt(n)
	m.self.Store(&identity{incarnation: n})
	return ctx.Err()
}

// rename takes a new incarnation because old can not be used any more, unless
// that has happened already. Transactions named by old go on (R9).
func (m *Manager) rename(ctx context.Context, old, floor uint32, why string) error {
	m.renewing.Lock()
	defer m.renewing.Unlock()
	id := m.self.Load()
	if id.incarnation != old {
		return errRenamed
	}
	id.over.Store(true) // no new names from here on, even if no other one can be taken
	if err := m.newIncarnation(ctx, floor); err != nil {
		return err
	}
	m.count.reincarnations.Add(1)
	m.log.Warn("took a new incarnation", slog.String("reason", why), slog.Uint64("node", uint64(m.o.Node)),
		slog.Uint64("old", uint64(old)), slog.Uint64("incarnation", uint64(m.Incarnation())))
	return errRenamed
}

// join registers the current incarnation at s, where the name is held or will
// be taken, and marks older ones dead there.
func (m *Manager) join(ctx context.Context, s *site) error {
	// Whoever saw us hold the name without a beat may have taken it.
	if s.release != nil && (s.shaken || time.Since(s.heldSince) > m.holdTimeout()) {
		s.letGo()
	}
	if s.release == nil {
		if err := m.hold(ctx, s); err != nil {
			return err
		}
	}
	rows, err := m.readNodes(ctx, s)
	if err != nil {
		return err
	}
	self := m.Incarnation()
	if other, clash := m.clash(s, rows, self); clash {
		return m.rename(ctx, self, other, "another process used this one")
	}
	s.attempted = self
	call, cancel := context.WithTimeout(ctx, m.callTimeout())
	defer cancel()
	err = s.Nodes.Register(call, xa.Node{ID: m.o.Node, Incarnation: self, Endpoint: m.o.Endpoint})
	if errors.Is(err, xa.ErrDead) {
		return m.rename(ctx, self, self, "this one is marked dead")
	}
	if err != nil {
		return fmt.Errorf("register incarnation %d: %w", self, err)
	}
	if err := m.bury(ctx, s, rows); err != nil {
		return err
	}
	s.own(self)
	return nil
}

// own notes that this process, and nobody else, has used an incarnation here.
func (s *site) own(incarnation uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owned == nil {
		s.owned = map[uint32]struct{}{}
	}
	s.owned[incarnation] = struct{}{}
	s.registered.Store(incarnation)
}

func (s *site) owns(incarnation uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, yes := s.owned[incarnation]
	return yes
}

// clash finds a row of this node that another process wrote and that is not
// older than self.
func (m *Manager) clash(s *site, rows []xa.Node, self uint32) (other uint32, found bool) {
	for _, n := range rows {
		if n.ID != m.o.Node || n.Incarnation < self {
			continue
		}
		// A row that appeared after our own attempt, while we held the name, is ours.
		ours := m.nodes.isMine(incarnation{n.ID, n.Incarnation}) && (n.Incarnation != self || s.attempted == self)
		if !ours {
			other, found = max(other, n.Incarnation), true
		}
	}
	return other, found
}

// funerals bounds how many dead marks are written between two beats.
const funerals = 20

// bury marks at s the dead incarnations that its table, as just read, does not
// show so: older ones of this node first, the others in this round or a later one.
func (m *Manager) bury(ctx context.Context, s *site, rows []xa.Node) error {
	self := m.Incarnation()
	for _, n := range rows {
		if n.ID == m.o.Node && n.Incarnation < self && !n.Dead {
			m.nodes.buried(incarnation{n.ID, n.Incarnation})
		}
	}
	list := m.nodes.unmarked(rows)
	slices.SortFunc(list, func(a, b incarnation) int {
		if mine := a.node == m.o.Node; mine != (b.node == m.o.Node) {
			if mine {
				return -1
			}
			return 1
		}
		return int(b.number) - int(a.number)
	})
	for _, i := range list[:min(len(list), funerals)] {
		if err := m.markDead(ctx, s, i); err != nil {
			return err
		}
	}
	return nil
}

// markDead marks an incarnation at one shard. A sweep that came there before the
// mark, because another shard had its mark first, has left the claims.
func (m *Manager) markDead(ctx context.Context, s *site, i incarnation) error {
	ctx, cancel := context.WithTimeout(ctx, m.callTimeout())
	defer cancel()
	if err := s.Nodes.MarkDead(ctx, i.node, i.number); err != nil {
		return fmt.Errorf("mark node %d incarnation %d dead: %w", i.node, i.number, err)
	}
	s.sweep.raise()
	return nil
}
