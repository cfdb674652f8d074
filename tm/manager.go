package tm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"xaproxy/xa"
)

// Manager coordinates the transactions of one process. Make one with New, call
// Start, then Run.
type Manager struct {
	o    Options
	time Timing
	log  *slog.Logger
	at   atomic.Pointer[sites]

	self     atomic.Pointer[identity] // nil before Start
	renewing sync.Mutex               // held while a new incarnation is taken; taken before any other
	nodes    *registry
	count    counts

	adding sync.Mutex // held while the shards change
	// launch begins a shard's loops, nil while the manager does not run. Guarded by adding.
	launch func(*site)

	drivers sync.WaitGroup
	nothing chan struct{} // closed: what Txn.Done returns when there is nothing to wait for

	mu       sync.Mutex
	stopped  bool
	live     map[xa.GlobalID]*Txn
	driving  map[*Txn]context.CancelFunc
	suspects map[xa.ID]struct{}
	// restless are the own transactions whose claim was sent and that ended
	// without ActionForget: the packet may still be executed, and only the
	// server can tell when it can not any more (R3).
	restless map[xa.GlobalID]struct{}
	idle     []chan struct{} // closed when live gets empty
}

// identity is an incarnation of this node and the sequence of its gtrids.
type identity struct {
	incarnation uint32
	sequence    atomic.Uint64
	over        atomic.Bool // marked dead, or somebody else's too: makes no names any more
}

// New returns a manager for the given shards. It does no I/O.
func New(o Options) (*Manager, error) {
	if o.Node > xa.MaxNode {
		return nil, fmt.Errorf("node %d: at most %d", o.Node, xa.MaxNode)
	}
	if o.SaveIncarnation == nil {
		return nil, errors.New("no way to save the incarnation")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		o: o, time: o.Timing.withDefaults(), log: o.Log,
		nodes:    newRegistry(o.Node),
		nothing:  make(chan struct{}),
		live:     map[xa.GlobalID]*Txn{},
		driving:  map[*Txn]context.CancelFunc{},
		suspects: map[xa.ID]struct{}{},
		restless: map[xa.GlobalID]struct{}{},
	}
	close(m.nothing)
	m.at.Store(&sites{by: map[xa.ShardID]*site{}})
	for _, s := range o.Shards {
		if err := m.AddShard(s); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// sites are all shards. It is immutable.
type sites struct {
	list []*site // by rising number
	by   map[xa.ShardID]*site
}

// sites returns all shards, by rising number.
func (m *Manager) sites() []*site { return m.at.Load().list }

// site returns a shard, nil when there is none of that number.
func (m *Manager) site(n xa.ShardID) *site { return m.at.Load().by[n] }

// AddShard takes one more shard. It does no I/O: while the manager runs, the shard
// is registered at by the beat, as one is that was down at the start.
func (m *Manager) AddShard(s Shard) error {
	m.adding.Lock()
	defer m.adding.Unlock()
	added := newSite(s, m.log)
	if other := m.site(added.number); other != nil {
		return fmt.Errorf("shards %s and %s both have number %d", other.name, added.name, added.number)
	}
	next := &sites{list: append(slices.Clone(m.sites()), added), by: maps.Clone(m.at.Load().by)}
	next.by[added.number] = added
	slices.SortFunc(next.list, func(a, b *site) int { return int(a.number) - int(b.number) })
	m.at.Store(next)
	if m.launch != nil {
		m.launch(added)
	}
	return nil
}

// Run beats, recovers and collects until ctx ends and returns after its
// goroutines have ended; phase two that is unfinished then is left to recovery.
// Sessions should have ended before: transactions that are committed later are
// rolled back.
func (m *Manager) Run(ctx context.Context) error {
	if m.self.Load() == nil {
		return errors.New("the manager was not started")
	}
	var loops sync.WaitGroup
	launch := func(s *site) {
		loops.Go(func() { m.beatLoop(ctx, s) })
		loops.Go(func() { m.recoverLoop(ctx, s) })
		loops.Go(func() { m.collectLoop(ctx, s) })
	}
	m.launching(launch)
	<-ctx.Done()
	m.launching(nil)
	m.stop()
	m.drivers.Wait()
	loops.Wait()
	m.releaseNames()
	return nil
}

// launching says how the loops of a shard are begun from now on, and begins those
// of the shards that there are; nil: not any more.
func (m *Manager) launching(launch func(*site)) {
	m.adding.Lock()
	defer m.adding.Unlock()
	m.launch = launch
	if launch == nil {
		return
	}
	for _, s := range m.sites() {
		launch(s)
	}
}

// stop ends all waiting of drivers and lets no new one begin.
func (m *Manager) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	for _, cancel := range m.driving {
		cancel()
	}
}

// Begin returns a new transaction. It does no I/O.
func (m *Manager) Begin() *Txn { return &Txn{m: m} }

// ShardUp says that connections to the shard work again: it is scanned soon
// and waiting retries are made at once.
func (m *Manager) ShardUp(n xa.ShardID) {
	s := m.site(n)
	if s == nil {
		return
	}
	s.wakeAll()
	// Branches prepared elsewhere may have waited for this one as their home.
	for _, each := range m.sites() {
		each.scan.raise()
	}
	s.sweep.raise()
}

// Drain waits until no transaction with a gtrid is unfinished. Its error is
// ctx's.
func (m *Manager) Drain(ctx context.Context) error {
	m.mu.Lock()
	empty := make(chan struct{})
	if len(m.live) == 0 {
		close(empty)
	} else {
		m.idle = append(m.idle, empty)
	}
	m.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Live returns the unfinished transactions of this process that have a gtrid.
func (m *Manager) Live() []LiveTxn {
	m.mu.Lock()
	txns := make([]*Txn, 0, len(m.live))
	for _, t := range m.live {
		txns = append(txns, t)
	}
	m.mu.Unlock()
	now := time.Now()
	out := make([]LiveTxn, len(txns))
	for i, t := range txns {
		out[i] = t.snapshot(now)
	}
	slices.SortFunc(out, func(a, b LiveTxn) int { return int(b.Age - a.Age) })
	return out
}

// Incarnation returns the incarnation new transactions are named with; 0 before
// Start.
func (m *Manager) Incarnation() uint32 {
	if id := m.self.Load(); id != nil {
		return id.incarnation
	}
	return 0
}

// enter puts t into the live table.
func (m *Manager) enter(g xa.GlobalID, t *Txn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live[g] = t
}

// leave takes g out of the live table: nothing of this process acts for it any
// more.
func (m *Manager) leave(g xa.GlobalID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.live, g)
	if len(m.live) == 0 {
		for _, c := range m.idle {
			close(c)
		}
		m.idle = nil
	}
}

// liveTxn returns the unfinished transaction g of this process, or nil.
func (m *Manager) liveTxn(g xa.GlobalID) *Txn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live[g]
}

// disquiet remembers that g's claim may still be on its way.
func (m *Manager) disquiet(g xa.GlobalID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.restless[g] = struct{}{}
}

func (m *Manager) suspect(id xa.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.suspects[id] = struct{}{}
}

func (m *Manager) cleared(id xa.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.suspects, id)
}

func (m *Manager) isSuspect(id xa.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, yes := m.suspects[id]
	return yes
}

// begin registers a driver of t; false: the manager has stopped.
func (m *Manager) begin(t *Txn, cancel context.CancelFunc) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return false
	}
	m.drivers.Add(1)
	m.driving[t] = cancel
	return true
}

func (m *Manager) end(t *Txn) {
	m.mu.Lock()
	delete(m.driving, t)
	m.mu.Unlock()
	m.drivers.Done()
}

// everywhere runs f for each site at the same time and waits.
func (m *Manager) everywhere(f func(*site)) {
	var wg sync.WaitGroup
	for _, s := range m.sites() {
		wg.Go(func() { f(s) })
	}
	wg.Wait()
}
