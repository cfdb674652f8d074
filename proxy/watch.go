package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"xaproxy/proxy/backend"
)

// Why a statement was stopped.
var (
	// errStopped: KILL QUERY.
	errStopped = errors.New("statement was killed")
	// errSlow: the statement reached limits.statement_time. What follows is what
	// follows KILL QUERY.
	errSlow = fmt.Errorf("%w: limits.statement_time", errStopped)
	// errTooLong: the transaction reached transactions.max_time.
	errTooLong = errors.New("transaction is open for too long")
)

const (
	// watchAfter is how long a statement runs before somebody watches it: most
	// are over by then.
	watchAfter = 20 * time.Millisecond
	// killPatience is how long a statement may go on after KILL QUERY was
	// answered, or could not be delivered, before its connection is given up.
	killPatience = 10 * time.Second
	// pingPatience bounds a ping that keeps a lease.
	pingPatience = 2 * time.Second
)

// watcher observes one piece of work of a session: whether its client has gone,
// whether somebody wants it stopped; and keeps the leases of the session's other
// connections. It runs on a goroutine of its own from watchAfter on, and is
// waited for before the session touches a connection again.
type watcher struct {
	s      *session
	active []*backend.Conn // used by the work; those may be told to stop
	idle   []*backend.Conn // the session's others
	cancel context.CancelCauseFunc
	// alone: the work goes on when the client has gone, as a definition does on a
	// server: half of the shards with it and half without would be worse.
	alone bool
	// halt is called before the work is told to stop; may be nil.
	halt   func()
	limit  time.Time // when the transaction is open for too long; zero: never
	slow   time.Time // when the statement has run for too long; zero: never
	stop   chan struct{}
	done   chan struct{}
	reason error // why the work was stopped; read after done
}

// guard runs work under a watcher. active are the connections at which KILL
// QUERY may be aimed; none for the verbs of the commit protocol, which are never
// stopped: there only the waiting ends. The error says why the work was stopped.
//
// The context of work ends when its connections are to be given up. It does not
// end with the session's: a running statement is first told to stop.
func (s *session) guard(ctx context.Context, active []*backend.Conn, work func(context.Context)) error {
	return s.guardWith(ctx, &watcher{active: active}, work)
}

func (s *session) guardWith(ctx context.Context, w *watcher, work func(context.Context)) error {
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	w.s, w.cancel, w.idle = s, cancel, s.others(w.active)
	w.stop, w.done = make(chan struct{}), make(chan struct{})
	if s.tx != nil && len(w.active) > 0 {
		w.limit = s.tx.begun.Add(s.e.limits().MaxTime)
	}
	if limit := s.e.limits().StatementTime; limit > 0 && len(w.active) > 0 && !w.alone {
		w.slow = s.began.Add(limit)
	}
	timer := time.AfterFunc(watchAfter, func() { w.run(ctx) })
	outer := s.c.stall.guarded
	s.c.stall.guarded = true
	work(inner)
	s.c.stall.guarded = outer
	if timer.Stop() {
		return nil
	}
	close(w.stop)
	s.c.src.wake()
	<-w.done
	s.slow = s.slow || errors.Is(w.reason, errSlow)
	return w.reason
}

// others are the connections that the session holds but for the active ones and
// those that the manager uses.
func (s *session) others(active []*backend.Conn) []*backend.Conn {
	var list []*backend.Conn
	if s.tx != nil {
		for _, b := range s.tx.branches {
			if !slices.Contains(active, b.conn) {
				list = append(list, b.conn)
			}
		}
	}
	if s.pin == nil || slices.Contains(active, s.pin.conn) || slices.Contains(list, s.pin.conn) {
		return list
	}
	if s.ending != nil && s.ending.at(s.pin.shard) != nil {
		return list
	}
	return append(list, s.pin.conn)
}

// run observes until the work is done.
func (w *watcher) run(ctx context.Context) {
	defer close(w.done)
	gone := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if !w.alone && w.s.c.r.Buffered() == 0 && w.s.c.src.watch(w.stop) {
			close(gone)
		}
	}()
	defer func() { <-ended }()
	lease := time.NewTicker(w.s.e.leaseStep)
	defer lease.Stop()
	late, stopLate := alarm(w.limit)
	defer stopLate()
	slow, stopSlow := alarm(w.slow)
	defer stopSlow()
	interrupt := w.s.c.interrupt
	if len(w.active) == 0 {
		interrupt = nil
	}
	for {
		select {
		case <-w.stop:
			return
		case <-lease.C:
			w.keep(ctx)
			continue
		case <-gone:
			w.reason = errGone
		case <-ctx.Done():
			w.reason = endOfSession(ctx)
		case <-interrupt:
			w.reason = errStopped
		case <-slow:
			w.reason = errSlow
		case <-late:
			w.reason = errTooLong
		}
		w.end(ctx)
		return
	}
}

// alarm is a timer for a moment, or none for the zero time.
func alarm(at time.Time) (<-chan time.Time, func()) {
	if at.IsZero() {
		return nil, func() {}
	}
	t := time.NewTimer(time.Until(at))
	return t.C, func() { t.Stop() }
}

// keep pings the connections that the work does not use. One that does not
// answer is broken, which the session finds afterwards.
func (w *watcher) keep(ctx context.Context) {
	for _, c := range w.idle {
		if err := ping(ctx, c); err != nil {
			w.s.e.log.Warn("lease of a connection was lost", slog.Uint64("session", uint64(w.s.c.id)), slog.Any("err", err))
		}
	}
}

func ping(ctx context.Context, c *backend.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingPatience)
	defer cancel()
	return c.Ping(ctx)
}

// end stops the work: KILL QUERY at its connections, and giving them up when
// that does not help.
func (w *watcher) end(ctx context.Context) {
	if len(w.active) == 0 {
		w.cancel(w.reason)
		<-w.stop
		return
	}
	if w.halt != nil {
		w.halt()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killPatience)
	defer cancel()
	for _, c := range w.active {
		select {
		case <-w.stop:
			return // nothing runs any more
		default:
		}
		if err := c.KillQuery(ctx); err != nil {
			w.s.e.log.Warn("kill query", slog.Uint64("session", uint64(w.s.c.id)), slog.Any("err", err))
		}
	}
	select {
	case <-w.stop:
	case <-ctx.Done():
		w.cancel(w.reason)
		<-w.stop
	}
}

// tick implements conversation: what a session does while its client is silent.
func (s *session) tick(ctx context.Context, now time.Time) (time.Time, error) {
	if ctx.Err() != nil {
		return now, endOfSession(ctx)
	}
	s.discardInterrupt()
	if s.last != nil && !now.Before(s.last.until) {
		s.settleLast(ctx)
	}
	if s.tx != nil {
		s.tickTx(ctx, now)
	}
	if s.tx == nil && s.c.srv.draining.Load() {
		if s.owed != nil {
			return now, s.owed
		}
		return now, errGone
	}
	if until := s.waitsUntil(); !until.IsZero() && !now.Before(until) {
		return now, errGone // as a server does, without a word
	}
	if s.pin != nil && (s.tx == nil || s.tx.at(s.pin.shard) == nil) {
		s.keepAlive(ctx, now, s.pin.conn)
	}
	return s.nextTick(now), nil
}

// tickTx watches the limits of an open transaction and keeps its leases.
func (s *session) tickTx(ctx context.Context, now time.Time) {
	l := s.e.limits()
	switch {
	case now.Sub(s.tx.begun) >= l.MaxTime:
		s.abandon(ctx, fail(codeTimeLimit, "open", l.MaxTime, "transactions.max_time"))
		return
	case now.Sub(s.idle) >= l.IdleTime:
		s.abandon(ctx, fail(codeTimeLimit, "idle", l.IdleTime, "transactions.idle_time"))
		return
	}
	for _, b := range s.tx.branches {
		if !s.keepAlive(ctx, now, b.conn) || !b.conn.InTransaction() && b.start == nil {
			s.abandon(ctx, s.lostConnection(ctx, b.shard, backend.ErrBroken))
			return
		}
	}
}

// waitsUntil is when the client's own wait_timeout ends the session; zero: never.
// Within a transaction its limits count.
func (s *session) waitsUntil() time.Time {
	if s.tx != nil || s.set.wait == 0 || s.owed != nil {
		return time.Time{}
	}
	return s.idle.Add(time.Duration(s.set.wait) * time.Second)
}

// abandon rolls the transaction of a silent client back and keeps the reason
// for its next statement.
func (s *session) abandon(ctx context.Context, why error) {
	s.rollback(ctx)
	s.owed = why
	s.publish("Sleep", "")
}

// keepAlive pings a connection whose lease asks for it; false: it is lost.
func (s *session) keepAlive(ctx context.Context, now time.Time, c *backend.Conn) bool {
	if c.Broken() {
		return false
	}
	if now.Sub(c.LastUsed()) < s.e.leaseStep {
		return true
	}
	return ping(ctx, c) == nil
}

// nextTick is when tick wants to be called again; zero: never by itself.
func (s *session) nextTick(now time.Time) time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	held := func(c *backend.Conn) {
		if !c.Broken() {
			sooner(c.LastUsed().Add(s.e.leaseStep))
		}
	}
	if s.last != nil {
		sooner(s.last.until)
	}
	if until := s.waitsUntil(); !until.IsZero() {
		sooner(until)
	}
	if s.pin != nil {
		held(s.pin.conn)
	}
	if s.tx != nil {
		sooner(s.tx.begun.Add(s.e.limits().MaxTime))
		sooner(s.idle.Add(s.e.limits().IdleTime))
		for _, b := range s.tx.branches {
			held(b.conn)
		}
	}
	if !next.IsZero() && next.Before(now) {
		return now.Add(time.Millisecond)
	}
	return next
}

// discardInterrupt drops a KILL QUERY that found no statement.
func (s *session) discardInterrupt() {
	select {
	case <-s.c.interrupt:
	default:
	}
}
