package tm

import (
	"context"
	"errors"
	"time"

	"xaproxy/tm/internal/protocol"
	"xaproxy/xa"
)

// errStopped: the manager stopped, so that recovery ends the transaction.
var errStopped = errors.New("the transaction manager has stopped")

// probeTimeout bounds the question whether a shard answers, which is asked
// before a client is told whether to try again.
const probeTimeout = time.Second

// want is how the session wants the transaction to end.
type want uint8

const (
	wantCommit want = iota
	wantRollback
)

func (w want) event() protocol.Event {
	switch w {
	case wantCommit:
		return protocol.Event{Kind: protocol.EventCommit}
	case wantRollback:
	}
	return protocol.Event{Kind: protocol.EventRollback}
}

// place is where a branch is; the shard of a home without a name is not known.
type place struct {
	shard xa.ShardID
	known bool
}

// finally ends the transaction. One branch is ended on the caller's goroutine,
// several by a driver in the background.
func (t *Txn) finally(ctx context.Context, w want) error {
	t.ended = true
	if t.home == nil {
		return t.homeless(ctx, w)
	}
	d := newDriver(t, w == wantCommit)
	t.take()
	drive := context.WithoutCancel(ctx)
	if len(t.branches) == 0 {
		d.run(drive, w.event())
		return d.verdict(drive, w)
	}
	drive, cancel := context.WithCancel(drive)
	if !t.m.begin(t, cancel) {
		cancel()
		return t.tooLate(d)
	}
	d.answered = make(chan struct{})
	t.done = make(chan struct{})
	go func() {
		defer cancel()
		d.run(drive, w.event())
		t.over()
		t.m.end(t)
		close(t.done)
	}()
	return d.await(ctx, w)
}

// take notes the branches as the driver's.
func (t *Txn) take() {
	n := 1 + len(t.branches)
	where := make([]place, n)
	for i := range where {
		where[i] = t.placeOf(i)
	}
	open := make([]bool, n)
	for i := range open {
		open[i] = true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.where, t.open = where, open
}

// homeless ends a transaction that never had a home: nothing of it can have
// been written, unless the session broke the rules; then it is rolled back.
func (t *Txn) homeless(ctx context.Context, w want) error {
	if g := t.Global(); g != "" {
		t.m.leave(g)
	}
	if len(t.branches) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.m.time.VerbTimeout)
	defer cancel()
	var errs []error
	for _, b := range t.branches {
		errs = append(errs, b.Rollback(ctx))
	}
	if w == wantRollback {
		return nil
	}
	return &EndError{Outcome: xa.Aborted, Cause: errors.Join(append([]error{ErrNoHome}, errs...)...)}
}

// tooLate closes all sessions unasked: servers then roll back.
func (t *Txn) tooLate(d *driver) error {
	for i := range d.errs {
		d.abandon(i)
	}
	if g := t.Global(); g != "" {
		t.m.leave(g)
	}
	return &EndError{Outcome: xa.Aborted, Cause: errStopped}
}

// await waits for the answer, then for the branches for as long as a client is
// to be kept waiting for them.
func (d *driver) await(ctx context.Context, w want) error {
	select {
	case <-d.answered:
	case <-d.t.done:
	case <-ctx.Done():
	}
	select {
	case <-d.answered:
	default:
		d.t.walkAway()
		return d.unanswered(ctx, w)
	}
	if d.m.time.Decided && d.t.told() == xa.Committed {
		d.t.lend(d.m.time.Phase2Wait, d.stillPending)
	} else {
		d.t.waitDone(ctx, d.m.time.Phase2Wait)
		d.t.walkAway()
		d.stillPending()
	}
	return d.verdict(context.WithoutCancel(ctx), w)
}

func (t *Txn) waitDone(ctx context.Context, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// stillPending reports the shards that a committed transaction waits for.
func (d *driver) stillPending() {
	d.t.mu.Lock()
	pending := d.t.openShards()
	d.t.mu.Unlock()
	if len(pending) == 0 || d.t.told() != xa.Committed {
		return
	}
	d.m.count.pending.Add(1)
	for _, s := range pending {
		d.m.log.Warn("committed; a shard gets its part when it answers", d.t.attr(), d.m.shardAttr(s))
	}
}

// unanswered: the caller stopped waiting, or the manager stopped.
func (d *driver) unanswered(ctx context.Context, w want) error {
	if w == wantRollback {
		return nil // a commit will never be proposed
	}
	cause := context.Cause(ctx)
	if cause == nil {
		cause = errStopped
	}
	e := &EndError{Outcome: xa.Unknown, Cause: cause, Recorded: d.claims}
	if d.claims {
		e.Global = d.t.Global()
	}
	return e
}
