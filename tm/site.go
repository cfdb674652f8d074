package tm

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"xaproxy/xa"
)

// settlers bounds how many background calls of one kind run at a shard at once,
// so that a shard that returns is not met by every waiting transaction at once.
const settlers = 8

// site is what a Manager knows about one shard of its configuration.
type site struct {
	Shard
	number xa.ShardID
	name   string
	log    *slog.Logger

	scan  signal // the recovery loop should look soon
	sweep signal // the collection loop should sweep soon

	slots chan struct{} // one element per running background settlement

	// registered is the incarnation that this process has registered here under
	// the node's name, 0 when none.
	registered atomic.Uint32

	// name lock and contest belong to the goroutine that beats here (before Run:
	// that of Start).
	release    func() // nil: the name is not held here
	heldSince  time.Time
	shaken     bool     // a call failed since the name was taken: it may be lost
	attempted  uint32   // incarnation that was sent to be registered here
	contest    *contest // nil: nobody else is known to hold the name
	complained time.Time
	limped     time.Time // when a scan was last asked for because a proxy does not reach this shard

	mu      sync.Mutex
	asked   bool // up means something
	up      bool
	wake    chan struct{}       // closed when waiting retries should go on
	done    []forgotten         // own claims whose transactions are finished, oldest first
	owned   map[uint32]struct{} // incarnations that this process has registered here
	seen    map[xa.ID]time.Time // prepared branches of the last listing, by when they were seen first
	doubted int                 // prepared branches in the last complete listing
	astray  int                 // of those, never touched
}

// forgotten is an own claim that nothing acts on any more.
type forgotten struct {
	claim xa.Decision
	at    time.Time
}

func newSite(s Shard, log *slog.Logger) *site {
	number, name := s.Resource.Shard(), s.Resource.Name()
	return &site{
		Shard: s, number: number, name: name,
		log:  log.With(slog.String("shard", name)),
		scan: newSignal(), sweep: newSignal(),
		slots: make(chan struct{}, settlers),
		wake:  make(chan struct{}),
	}
}

// answered notes whether the shard answers and reports whether that is news.
func (s *site) answered(up bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := !s.asked || s.up != up
	s.asked, s.up = true, up
	return news
}

// woken returns a channel that is closed at the next call of wakeAll.
func (s *site) woken() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wake
}

// wakeAll makes all waiting retries go on at once.
func (s *site) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.wake)
	s.wake = make(chan struct{})
}

// pause waits for d, or until the shard is said to be up, whichever is first.
// It returns ctx's error when ctx ended.
func (s *site) pause(ctx context.Context, d time.Duration) error {
	woken := s.woken()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-woken:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// enter takes a slot for a background call; leave gives it back.
func (s *site) enter(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *site) leave() { <-s.slots }

// signal says "soon" to a loop; several before the loop looks are one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) raise() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// backoff is the wait between retries: 50 ms doubling to 5 s.
type backoff struct{ next time.Duration }

const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 5 * time.Second
)

func (b *backoff) step() time.Duration {
	d := max(b.next, backoffMin)
	b.next = min(2*d, backoffMax)
	return d
}
