package proxy

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/merge"
	"xaproxy/proxy/plan"
	"xaproxy/xa"
)

// Bounds of what is read from a shard before the session wants it. Of a feed at
// most readAhead+3 batches exist: those that wait, the one that is filled, and
// two that the session has.
const (
	batchBytes = 64 << 10
	readAhead  = 2
	// stallPatience is how long a shard waits for a session that merges other
	// shards' rows, or whose client is slow. Then stallBytes more are read: servers
	// give up a client that takes nothing (net_write_timeout, 60 s), and a full
	// socket is told to go on only when a part of it is empty again.
	stallPatience = 15 * time.Second
	stallBytes    = 512 << 10
)

// batch is rows one behind the other.
type batch struct {
	bytes []byte
	ends  []int
}

func (b *batch) row(i int) []byte {
	start := 0
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.bytes[start:b.ends[i]:b.ends[i]]
}

// feed is one shard's part of a gathering: its connection, which belongs to the
// feed's goroutine until done is closed, and its rows on their way to the session.
// It implements merge.Source for the session.
type feed struct {
	shard  xa.ShardID
	part   plan.Part
	conn   *backend.Conn
	branch *branch       // nil: outside of transactions
	own    []string      // statements in front of the client's
	out    *relay        // of this part alone
	most   int           // bytes of one batch
	lease  time.Duration // in which the connection must show that it lives

	// columns is closed when defs is set or the feed has ended, settled when it has
	// ended or has as many rows as are read ahead, done when its goroutine has
	// ended.
	columns, settled, done chan struct{}
	full, free             chan *batch
	// stop: rows are dropped from now on. The session closes halt with it when it
	// wants nothing more of the feed, its watcher when the statement is to stop.
	stop atomic.Bool
	halt chan struct{}
	once sync.Once

	// Of the feed's goroutine; read by the session after full or done was closed.
	defs  [][]byte
	sent  bool // the client's statement was sent
	reply reply
	err   error // the connection's
	spill error // more was read ahead than may be
	lossy bool  // rows were dropped
	now   *batch
	size  int       // at which now is handed over
	shown time.Time // when the server last had a sign of life
	told  bool      // columns is closed
	calm  bool      // settled is closed

	// failed: the part has ended with an error. Set before settled is closed.
	failed atomic.Bool

	// Of the session.
	like          *feed // whose columns these must have
	binary        bool  // the rows' form
	recast        *recast
	checked       bool
	taken, before *batch
	at            int
	ended         bool
}

func newFeed(n xa.ShardID, part plan.Part, out *relay) *feed {
	e := out.s.e
	f := &feed{shard: n, part: part, out: out, most: e.limits().BytesBuffered, lease: e.leaseStep, size: 1,
		columns: make(chan struct{}), settled: make(chan struct{}), done: make(chan struct{}), halt: make(chan struct{}),
		full: make(chan *batch, readAhead), free: make(chan *batch, readAhead+2)}
	out.feed, out.shard = f, n
	return f
}

// begin implements backend.Sink.Columns for relay.
func (f *feed) begin(defs [][]byte) {
	if f.told {
		return
	}
	for _, d := range defs {
		f.defs = append(f.defs, slices.Clone(d))
	}
	f.tell()
}

func (f *feed) tell() {
	if !f.told {
		f.told = true
		close(f.columns)
	}
}

func (f *feed) settle() {
	if !f.calm {
		f.calm = true
		close(f.settled)
	}
}

// row implements backend.Sink.Row for relay.
func (f *feed) row(p []byte) {
	if f.stop.Load() {
		f.lossy = true
		return
	}
	if f.now == nil {
		f.now = f.empty()
	}
	f.now.bytes = append(f.now.bytes, p...)
	f.now.ends = append(f.now.ends, len(f.now.bytes))
	if len(f.now.bytes) >= f.size {
		f.push()
	}
}

// empty returns a batch to fill.
func (f *feed) empty() *batch {
	select {
	case b := <-f.free:
		b.bytes, b.ends = b.bytes[:0], b.ends[:0]
		if cap(b.bytes) > 2*batchBytes {
			b.bytes = nil // it was stretched
		}
		return b
	default:
		return &batch{}
	}
}

// push hands the batch over. The first ones are small: somebody waits for them.
func (f *feed) push() {
	if now := time.Now(); now.Sub(f.shown) >= f.lease {
		f.beat(now) // each wait is short, all of them are long
	}
	select {
	case f.full <- f.now:
	default:
		f.settle()
		if !f.wait() {
			return
		}
	}
	f.now = nil
	f.size = min(max(f.size*8, 1<<10), batchBytes)
}

// beat asks behind the reply. A connection that is lost shows when it is read.
func (f *feed) beat(now time.Time) {
	_ = f.conn.Beat()
	f.shown = now
}

// wait hands the batch over when there is room. False: more goes into it.
func (f *feed) wait() bool {
	patience := time.NewTimer(stallPatience)
	defer patience.Stop()
	beat := time.NewTicker(f.lease)
	defer beat.Stop()
	for {
		select {
		case f.full <- f.now:
			return true
		case <-f.halt:
			f.lossy = true
			return true
		case <-beat.C:
			f.beat(time.Now())
			continue
		case <-patience.C:
		}
		break
	}
	f.size = len(f.now.bytes) + stallBytes
	if f.size > f.most {
		f.spill = &merge.LimitError{}
		f.stop.Store(true) // the session learns of it when it gets there
	}
	return false
}

// run executes the part, behind another feed's if there is one that must have
// settled before, and keeps the connection's lease until the session has cut it.
func (f *feed) run(ctx context.Context, k *call, behind *feed) {
	defer close(f.done)
	defer f.settle()
	defer f.tell()
	tick := time.NewTicker(f.lease)
	defer tick.Stop()
	if behind != nil && !f.await(ctx, behind, tick.C) {
		f.failed.Store(true)
		close(f.full)
		return
	}
	f.sent, f.shown = true, time.Now()
	own := f.own
	if f.branch != nil {
		own = append(f.branch.open(), own...)
		if !k.plan.Reader {
			f.branch.work.MarkWrote()
		}
	}
	f.reply, f.err = sendPart(ctx, k, f.conn, own, f.part, f.out)
	f.failed.Store(f.err != nil || f.reply.refused != nil)
	f.tell()
	f.leave(ctx, tick.C)
}

// await waits for the feed's turn. False: it will not come.
func (f *feed) await(ctx context.Context, behind *feed, tick <-chan time.Time) bool {
	for {
		select {
		case <-behind.settled:
			return !behind.failed.Load() && !f.stop.Load() && ctx.Err() == nil
		case <-f.halt:
			return false
		case <-ctx.Done():
			return false
		case <-tick:
			if f.err = ping(ctx, f.conn); f.err != nil {
				return false
			}
		}
	}
}

// leave hands the last batch over, and keeps the lease while the session reads
// other shards' rows.
func (f *feed) leave(ctx context.Context, tick <-chan time.Time) {
	last := f.full
	if f.now == nil || f.stop.Load() {
		last = nil
		close(f.full)
	}
	f.settle()
	for {
		select {
		case last <- f.now:
			last = nil
			close(f.full)
			continue
		case <-tick:
			if !f.conn.Broken() {
				_ = ping(ctx, f.conn) // a connection that is lost is found broken
			}
			continue
		case <-f.halt:
		case <-ctx.Done():
		}
		if last != nil {
			f.lossy = true
			close(f.full)
		}
		return
	}
}

// begun waits for the columns, and checks that they are those of the others.
func (f *feed) begun() error {
	<-f.columns
	switch {
	case f.defs != nil:
		f.checked = true
		if err := f.out.s.e.alike(f.like, f); err != nil || !f.binary {
			return err
		}
		var err error
		f.recast, err = newRecast(f.like.defs, f.defs)
		return err
	case f.failure() != nil:
		return f.failure()
	}
	return fail(codeInternal, "a SELECT without columns")
}

// Next implements merge.Source.
func (f *feed) Next() ([]byte, error) {
	if !f.checked {
		if err := f.begun(); err != nil {
			return nil, err
		}
	}
	for f.taken == nil || f.at == len(f.taken.ends) {
		if f.ended {
			return nil, io.EOF
		}
		next, more := <-f.full
		if !more {
			f.ended = true
			if err := f.failure(); err != nil {
				return nil, err
			}
			return nil, io.EOF
		}
		if f.before != nil {
			select {
			case f.free <- f.before:
			default:
			}
		}
		f.before, f.taken, f.at = f.taken, next, 0
	}
	f.at++
	if f.recast != nil {
		return f.recast.row(f.taken.row(f.at - 1))
	}
	return f.taken.row(f.at - 1), nil
}

// failure is why the feed has not given all rows. It is read when full is closed.
func (f *feed) failure() error {
	switch {
	case f.spill != nil:
		return f.spill
	case f.err != nil:
		return f.err
	case f.reply.refused != nil:
		return f.reply.refused
	case !f.sent, f.lossy:
		return fail(codeInterrupted)
	}
	return nil
}

// cut makes the feed drop what comes, and lets its goroutine end. Safe for
// concurrent use.
func (f *feed) cut() {
	f.once.Do(func() {
		f.stop.Store(true)
		close(f.halt)
	})
}
