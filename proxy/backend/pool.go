package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"xaproxy/proxy/wire"
	"xaproxy/xa"
)

// PoolOptions bound a pool. Zero fields get the defaults.
type PoolOptions struct {
	// MaxConns bounds the connections, in use and idle. Default DefaultMaxConns.
	MaxConns int
	// Wait bounds how long Get waits for a connection. Default DefaultWait.
	Wait time.Duration
	// IdleTime is how long a connection stays unused before it is closed.
	// Default DefaultIdleTime.
	IdleTime time.Duration
	// Log gets a line when the shard goes down or comes back. Required.
	Log *slog.Logger
	// OnState is called by the pool's own goroutine when the shard was found to
	// be down or up again. It must not block. May be nil.
	OnState func(up bool)
}

// Defaults of PoolOptions.
const (
	// DefaultMaxConns is below MySQL's max_connections of 151, so that one proxy
	// leaves room for its own reserved connections and for people.
	DefaultMaxConns = 100
	// DefaultWait must be short of clients' own timeouts: two transactions that
	// each hold one shard's last connection wait for each other.
	DefaultWait = 10 * time.Second
	// DefaultIdleTime keeps bursts warm.
	DefaultIdleTime = 5 * time.Minute
)

// A shard that is down is dialed by the pool's goroutine alone: callers get the
// last attempt's error at once.
const (
	probeFirst = 50 * time.Millisecond
	probeLast  = 500 * time.Millisecond
)

// Stats are counters of a pool.
type Stats struct {
	Open, Idle, InUse, Waiting int
	Dials, DialErrors          uint64
	Waits, WaitTimeouts        uint64
	Dropped                    uint64 // closed because they could not be reused
	Down                       bool
}

// Pool is a bounded set of connections to one shard with one setting of
// FoundRows.
type Pool struct {
	o    Options
	p    PoolOptions
	dial func(context.Context, Options) (*Conn, error)
	end  context.CancelFunc
	kick chan struct{} // wakes the pool's goroutine
	work sync.WaitGroup

	mu      sync.Mutex
	idle    []idleConn // the last one was put back last
	used    map[*Conn]time.Time
	unsure  []idleConn // to be pinged before reuse
	open    int        // idle, in use, unsure, being dialed, being pinged
	waiters []*waiter
	down    *DownError
	doubt   bool // a ping failed: dial to find out whether the shard is up
	closed  bool
	drained chan struct{} // closed when closed is set and open is 0
	stats   Stats
}

type idleConn struct {
	c *Conn
	// used is when it was last used for a caller, not merely pinged.
	used time.Time
}

// waiter waits for a connection, or for the right to dial one.
type waiter struct {
	want  State
	grant chan grant // has room for one
}

type grant struct {
	c   *Conn // nil: dial one
	err error
}

// NewPool returns a pool and starts its goroutine; it dials nothing yet.
func NewPool(o Options, p PoolOptions) *Pool { return newPool(o, p, Dial) }

func newPool(o Options, po PoolOptions, dial func(context.Context, Options) (*Conn, error)) *Pool {
	if po.MaxConns <= 0 {
		po.MaxConns = DefaultMaxConns
	}
	if po.Wait <= 0 {
		po.Wait = DefaultWait
	}
	if po.IdleTime <= 0 {
		po.IdleTime = DefaultIdleTime
	}
	p := &Pool{
		o: o.withDefaults(), p: po, dial: dial, kick: make(chan struct{}, 1),
		used: map[*Conn]time.Time{}, drained: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.end = cancel
	p.work.Go(func() { p.tend(ctx) })
	return p
}

// Options returns the shard's options, with defaults.
func (p *Pool) Options() Options { return p.o }

// Stats returns the counters.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Open, s.Idle, s.InUse, s.Waiting = p.open, len(p.idle), len(p.used), len(p.waiters)
	s.Down = p.down != nil
	return s
}

// Wait is how long Get waits.
func (p *Pool) Wait() time.Duration { return p.p.Wait }

// Get returns a connection that Sync can bring to the wanted state, preferably
// one that is in it; the caller still calls Sync. Callers wait in order of
// arrival. Errors: *DownError, *BusyError, ErrClosed, ctx's; all with
// EffectNone.
func (p *Pool) Get(ctx context.Context, want State) (*Conn, error) {
	return p.GetWithin(ctx, want, p.p.Wait)
}

// GetWithin is Get with another bound of the wait; 0: not at all.
func (p *Pool) GetWithin(ctx context.Context, want State, wait time.Duration) (*Conn, error) {
	for {
		c, w, err := p.tryGet(want)
		if err == nil && w != nil {
			c, err = p.await(ctx, w, wait)
		}
		if err == nil && c == nil {
			c, err = p.dialOne(ctx)
		}
		if err != nil {
			return nil, xa.WithEffect(err, xa.EffectNone)
		}
		if quiet(c.raw) {
			return c, nil
		}
		p.discard(c)
	}
}

// discard closes a connection that is in use.
func (p *Pool) discard(c *Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, c)
	p.stats.Dropped++
	p.releaseSlot()
}

// tryGet returns an idle connection, or neither a connection nor a waiter: the
// caller may dial, or a waiter that is in the queue.
func (p *Pool) tryGet(want State) (*Conn, *waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, p.closedError()
	}
	if c := p.takeIdle(want); c != nil {
		p.used[c] = time.Now()
		return c, nil, nil
	}
	if p.down != nil {
		return nil, nil, p.down
	}
	if p.open >= p.p.MaxConns && len(p.idle) > 0 {
		// None of them fits: give up the one that was not used for longest.
		c := p.idle[0].c
		p.idle = slices.Delete(p.idle, 0, 1)
		p.open--
		p.stats.Dropped++
		c.Close()
	}
	if p.open < p.p.MaxConns {
		p.open++
		return nil, nil, nil
	}
	w := &waiter{want: want, grant: make(chan grant, 1)}
	p.waiters = append(p.waiters, w)
	p.stats.Waits++
	return nil, w, nil
}

func (p *Pool) closedError() error { return fmt.Errorf("shard %s: %w", p.o.Name, ErrClosed) }

// fits reports whether Sync can bring the connection to the state.
func fits(c *Conn, want State) bool { return want.Schema != "" || c.have.Schema == "" }

// takeIdle takes the connection that is in the wanted state, or has the schema,
// or fits; of equals the one that was used last. The caller holds mu.
func (p *Pool) takeIdle(want State) *Conn {
	best, score := -1, 0
	for i := len(p.idle) - 1; i >= 0 && score < 3; i-- {
		c := p.idle[i].c
		s := 0
		switch {
		case c.have == want:
			s = 3
		case c.have.Schema == want.Schema:
			s = 2
		case fits(c, want):
			s = 1
		}
		if s > score {
			best, score = i, s
		}
	}
	if best < 0 {
		return nil
	}
	c := p.idle[best].c
	p.idle = slices.Delete(p.idle, best, best+1)
	return c
}

// await waits for w's turn.
func (p *Pool) await(ctx context.Context, w *waiter, wait time.Duration) (*Conn, error) {
	began := time.Now()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case g := <-w.grant:
		return g.c, g.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.waiters, w)
	if i < 0 {
		g := <-w.grant // it came at the same moment
		if err == nil || g.err != nil {
			return g.c, g.err
		}
		// The caller is gone: pass it on.
		if g.c == nil {
			p.releaseSlot()
			return nil, err
		}
		delete(p.used, g.c)
		p.offer(idleConn{c: g.c, used: time.Now()})
		return nil, err
	}
	p.waiters = slices.Delete(p.waiters, i, i+1)
	if err != nil {
		return nil, fmt.Errorf("wait for a connection to shard %s: %w", p.o.Name, err)
	}
	p.stats.WaitTimeouts++
	return nil, &BusyError{Shard: p.o.Shard, Name: p.o.Name, Waiters: len(p.waiters), Max: p.p.MaxConns,
		Oldest: p.oldest(), Waited: time.Since(began)}
}

// oldest is how long the longest-held connection has been held. The caller holds
// mu.
func (p *Pool) oldest() time.Duration {
	var d time.Duration
	for _, since := range p.used {
		d = max(d, time.Since(since))
	}
	return d
}

// dialOne dials for a caller that has the right to.
func (p *Pool) dialOne(ctx context.Context) (*Conn, error) {
	c, err := p.dial(ctx, p.o)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Dials++
	switch {
	case err == nil && p.closed:
		c.Close()
		p.releaseSlot()
		return nil, p.closedError()
	case err == nil:
		p.used[c] = time.Now()
		return c, nil
	}
	p.stats.DialErrors++
	if ctx.Err() != nil {
		p.releaseSlot()
		return nil, fmt.Errorf("dial shard %s: %w", p.o.Name, err)
	}
	down := &DownError{Shard: p.o.Shard, Name: p.o.Name, Cause: err, Since: time.Now()}
	if !full(err) {
		p.markDown(down)
	}
	p.releaseSlot()
	return nil, down
}

// full reports whether the server answers but has no room for one more session.
func full(err error) bool {
	const tooMany, tooManyOfUser, resourceLimit = 1040, 1203, 1226
	var e *wire.ServerError
	return errors.As(err, &e) && (e.Number == tooMany || e.Number == tooManyOfUser || e.Number == resourceLimit)
}

// markDown makes everybody fail until the pool's goroutine has dialed again. The
// caller holds mu.
func (p *Pool) markDown(down *DownError) {
	if p.down != nil {
		down.Since = p.down.Since
	}
	p.down = down
	for _, w := range p.waiters {
		w.grant <- grant{err: down}
	}
	p.waiters = nil
	p.wake()
}

func (p *Pool) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// releaseSlot gives the right to a connection up, or to the next waiter. The
// caller holds mu.
func (p *Pool) releaseSlot() {
	if len(p.waiters) > 0 && !p.closed {
		w := p.waiters[0]
		p.waiters = slices.Delete(p.waiters, 0, 1)
		w.grant <- grant{}
		return
	}
	p.open--
	if p.closed && p.open == 0 {
		close(p.drained)
	}
}

// offer gives a reusable connection to the next waiter, or keeps it idle. The
// caller holds mu.
func (p *Pool) offer(i idleConn) {
	switch {
	case p.closed:
		i.c.Close()
		p.releaseSlot()
	case len(p.waiters) == 0:
		p.idle = append(p.idle, i)
	case !fits(i.c, p.waiters[0].want):
		p.stats.Dropped++
		i.c.Close()
		p.releaseSlot()
	default:
		w := p.waiters[0]
		p.waiters = slices.Delete(p.waiters, 0, 1)
		p.used[i.c] = time.Now()
		w.grant <- grant{c: i.c}
	}
}

// Put takes a connection back, for reuse when c.Reusable(), else closing it. The
// caller must have waited for its KillQuery.
func (p *Pool) Put(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, taken := p.used[c]; !taken {
		c.Close() // not of this pool, or put back twice
		return
	}
	delete(p.used, c)
	c.formerID = c.insertID
	switch {
	case !c.Reusable():
		p.stats.Dropped++
		c.Close()
		p.releaseSlot()
	case c.unsure && !p.closed:
		p.unsure = append(p.unsure, idleConn{c: c, used: time.Now()})
		p.wake()
	default:
		p.offer(idleConn{c: c, used: time.Now()})
	}
}

// Close refuses new callers, closes idle connections and waits until those in
// use are put back, or ctx ends.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		for _, w := range p.waiters {
			w.grant <- grant{err: p.closedError()}
		}
		p.waiters = nil
		rest := slices.Concat(p.idle, p.unsure)
		for _, i := range rest {
			i.c.Close()
		}
		p.open -= len(rest)
		p.idle, p.unsure = nil, nil
		if p.open == 0 {
			close(p.drained)
		}
		p.end()
	}
	p.mu.Unlock()
	select {
	case <-p.drained:
	case <-ctx.Done():
		return fmt.Errorf("close pool of shard %s: %w", p.o.Name, ctx.Err())
	}
	p.work.Wait()
	return nil
}
