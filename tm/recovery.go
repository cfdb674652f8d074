package tm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"xaproxy/tm/internal/protocol"
	"xaproxy/xa"
)

// recoverers is how many branches of one shard are resolved at the same time.
const recoverers = 4

// found is a listed branch.
type found struct {
	id        xa.ID
	name      xa.GlobalName
	qualifier xa.Qualifier
	seen      time.Time // first, by our own clock
}

// recoverLoop looks for prepared branches at one shard: at once, when something
// happened that makes a look worth while, and every interval.
func (m *Manager) recoverLoop(ctx context.Context, s *site) {
	alarmed := map[xa.ID]struct{}{}
	var retry backoff
	for {
		again := m.recoverPass(ctx, s, alarmed)
		wait := m.time.Interval
		switch {
		case again == 0:
			retry = backoff{}
		case again < 0: // something can be tried again soon
			wait = min(wait, 4*retry.step())
		default:
			wait = min(wait, again)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.scan:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// recoverPass is one pass of commit-protocol §7.6 over one shard. It returns how
// soon the next one makes sense: 0 at the next interval, negative soon.
func (m *Manager) recoverPass(ctx context.Context, s *site, alarmed map[xa.ID]struct{}) time.Duration {
	m.count.runs.Add(1)
	list, err := m.list(ctx, s)
	if err != nil {
		// Nothing may be concluded from a partial listing.
		m.count.runErrors.Add(1)
		return 0
	}
	now := time.Now()
	s.date(list, now)
	maps.DeleteFunc(alarmed, func(id xa.ID, _ struct{}) bool {
		return !slices.ContainsFunc(list, func(f found) bool { return f.id == id })
	})
	var (
		todo   []found
		astray int
		soon   time.Duration
	)
	for _, f := range list {
		switch w := m.sight(s, f, now); protocol.Consider(w) {
		case protocol.PlanResolve:
			todo = append(todo, f)
		case protocol.PlanQuarantine:
			astray++
			if _, done := alarmed[f.id]; !done {
				alarmed[f.id] = struct{}{}
				m.alarm(s, f, w)
			}
		case protocol.PlanSkip:
			if rest := m.time.Grace - now.Sub(f.seen); !w.InLiveTable && rest > 0 && (soon == 0 || rest < soon) {
				soon = rest
			}
		}
	}
	left := m.recoverAll(ctx, s, todo)
	if len(todo) >= bulk {
		s.log.Info("a recovery pass has ended", slog.Int("listed", len(list)), slog.Int("tried", len(todo)), slog.Int("left", left),
			slog.Duration("took", time.Since(now).Round(time.Millisecond)))
	}
	s.mu.Lock()
	s.doubted, s.astray = len(list)-len(todo)+left, astray
	s.mu.Unlock()
	if left > 0 {
		return -1
	}
	return soon
}

// list returns all prepared branches of ours at s, or an error.
func (m *Manager) list(ctx context.Context, s *site) ([]found, error) {
	ctx, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
	defer cancel()
	var list []found
	for id, err := range s.Resource.InDoubt(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list prepared branches at shard %s: %w", s.name, err)
		}
		name, err := id.Global.Parse()
		if err != nil || name.Cluster != m.o.Cluster {
			continue // not ours; the resource should not have listed it
		}
		q, err := xa.ParseQualifier(id.Branch)
		if err != nil {
			continue
		}
		list = append(list, found{id: id, name: name, qualifier: q})
	}
	return list, ctx.Err()
}

// date fills in when the listed branches were seen first, and forgets what is
// not listed any more.
func (s *site) date(list []found, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := make(map[xa.ID]time.Time, len(list))
	for i := range list {
		f := &list[i]
		f.seen = now
		if first, known := s.seen[f.id]; known {
			f.seen = first
		}
		seen[f.id] = f.seen
	}
	s.seen = seen
}

// firstSeen returns when the recovery loop saw the branch first.
func (s *site) firstSeen(id xa.ID, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, known := s.seen[id]; known {
		return first
	}
	return now
}

// sight gathers what the protocol wants to know about a listed branch.
func (m *Manager) sight(s *site, f found, now time.Time) protocol.Sighting {
	home := m.site(f.name.Home.Shard)
	return protocol.Sighting{
		Misplaced:   f.qualifier.Session.Shard != s.number,
		HomeKnown:   home != nil,
		InLiveTable: m.liveTxn(f.id.Global) != nil,
		Suspect:     m.isSuspect(f.id),
		OwnerLive:   m.owner(f.name) != OwnerDead,
		SeenMillis:  now.Sub(f.seen).Milliseconds(),
		GraceMillis: m.time.Grace.Milliseconds(),
	}
}

// owner says what is known about the incarnation that made a name.
func (m *Manager) owner(n xa.GlobalName) OwnerState {
	return m.nodes.state(incarnation{n.Node, n.Incarnation}, m.Incarnation())
}

// mayKill says whether sessions of the owner may be killed.
func (o OwnerState) mayKill() xa.Owner {
	switch o {
	case OwnerDead:
		return xa.OwnerGone
	case OwnerUnknown, OwnerSelf, OwnerLive:
	}
	return xa.OwnerAlive
}

// alarm reports what is never touched.
func (m *Manager) alarm(s *site, f found, w protocol.Sighting) {
	if w.Misplaced {
		s.log.Error("prepared branch belongs to another shard: this database is a copy; it is left alone",
			slog.String("gtrid", string(f.id.Global)), slog.String("bqual", f.id.Branch),
			slog.Int("belongs_to", int(f.qualifier.Session.Shard)))
		return
	}
	s.log.Error("prepared branch has its home at a shard that is not configured; it is left alone",
		slog.String("gtrid", string(f.id.Global)), slog.String("bqual", f.id.Branch),
		slog.Int("home", int(f.name.Home.Shard)))
}

// patience is how many unanswered questions a pass asks of one home.
const patience = 3

// recoverAll resolves the branches, a few at a time and in no fixed order, so
// that one that can not be resolved does not keep others waiting for ever. It
// returns how many are left.
func (m *Manager) recoverAll(ctx context.Context, s *site, todo []found) int {
	var (
		wg    sync.WaitGroup
		left  atomic.Int64
		mute  silence
		slots = make(chan struct{}, recoverers)
	)
	rand.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	for _, chunk := range chunks(todo) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			alone, n := m.recoverTogether(ctx, s, chunk)
			for _, f := range alone {
				err := errHomeSilent
				if !mute.reached(f.name.Home.Shard) && ctx.Err() == nil {
					_, err = m.recoverBranch(ctx, s, f)
				}
				if err != nil {
					n++
				}
				mute.note(f.name.Home.Shard, err)
			}
			left.Add(int64(n))
		})
	}
	wg.Wait()
	return int(left.Load())
}

// silence counts the unanswered questions of one pass, by home.
type silence struct {
	mu sync.Mutex
	at map[xa.ShardID]int
}

func (q *silence) reached(home xa.ShardID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.at[home] >= patience
}

func (q *silence) note(home xa.ShardID, err error) {
	if !errors.Is(err, errHomeSilent) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.at == nil {
		q.at = map[xa.ShardID]int{}
	}
	q.at[home]++
}

// errHomeSilent: home did not say what is decided.
var errHomeSilent = errors.New("home did not answer")

// recoverBranch asks home, recording an abort when nothing is recorded, and ends
// the branch accordingly.
func (m *Manager) recoverBranch(ctx context.Context, s *site, f found) (xa.Outcome, error) {
	o, err := m.fence(ctx, f.id.Global, f.name)
	if err != nil {
		return o, err
	}
	err = m.settle(ctx, s, f.id, o, m.owner(f.name).mayKill())
	return o, m.recovered(ctx, s, f, o, err)
}

// recovered notes what became of a branch; its error says that it is left.
func (m *Manager) recovered(ctx context.Context, s *site, f found, o xa.Outcome, err error) error {
	switch e := protocol.EndedEvent(0, err); e.End {
	case protocol.EndUnknown:
		return err
	case protocol.EndHeuristic:
		m.heuristic(ctx, Heuristic{ID: f.id, Shard: s.number, Decision: o, Cause: err})
	case protocol.EndFinished:
	}
	m.count.recovered.Add(1)
	if o == xa.Aborted {
		m.count.recoveredAborts.Add(1)
	}
	s.log.Info("recovered a prepared branch",
		slog.String("gtrid", string(f.id.Global)), slog.String("outcome", o.String()))
	if home := m.site(f.name.Home.Shard); home != nil {
		home.sweep.raise()
	}
	return nil
}

// fence asks home's claim store as a recoverer. Without an error the outcome is
// Committed or Aborted.
func (m *Manager) fence(ctx context.Context, g xa.GlobalID, n xa.GlobalName) (xa.Outcome, error) {
	home := m.site(n.Home.Shard)
	if home == nil {
		return xa.Undecided, fmt.Errorf("home of %s is shard number %d: %w", g, n.Home.Shard, ErrUnknownShard)
	}
	ctx, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
	defer cancel()
	answer, err := home.Claims.Fence(ctx, g, xa.AskRecoverer, m.owner(n).mayKill())
	if err != nil {
		return xa.Undecided, fmt.Errorf("%w (%s): %w", errHomeSilent, home.name, err)
	}
	o := protocol.Ordered(answer)
	if o == xa.Undecided {
		return o, fmt.Errorf("%w (%s): it says %s", errHomeSilent, home.name, answer)
	}
	return o, nil
}
