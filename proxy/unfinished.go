package proxy

import (
	"context"
	"slices"
	"time"

	"xaproxy/xa"
)

// unfinished is a part of a transaction of the session's that is committed by the
// record of its decision, and of which its shard does not know yet
// (transactions.ack: decided). What the shard holds is older than what the client
// was told, so the session waits before it uses the shard again.
type unfinished struct {
	shard    xa.ShardID
	global   xa.GlobalID
	finished <-chan struct{}
}

// awaitFinished waits until a shard has what the session has committed there.
func (s *session) awaitFinished(ctx context.Context, n xa.ShardID) error {
	if len(s.unfinished) == 0 {
		return nil
	}
	s.unfinished = slices.DeleteFunc(s.unfinished, func(u unfinished) bool { return isClosed(u.finished) })
	for _, u := range s.unfinished {
		if u.shard != n {
			continue
		}
		if err := s.awaitOne(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// awaitOne waits for one part, no longer than for a connection to its shard.
func (s *session) awaitOne(ctx context.Context, u unfinished) error {
	limit := s.pool(u.shard).Wait()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-u.finished:
		return nil
	case <-ctx.Done():
		return endOfSession(ctx)
	case <-timer.C:
		return fail(codeUnfinished, s.e.name(u.shard), u.global, limit)
	}
}

// awaitKept waits, after a decision, for those connections of a transaction that
// keep something of the session's: without them it could not go on.
func (s *session) awaitKept(ctx context.Context, t *transaction) {
	if len(t.txn.Overdue()) > 0 {
		return
	}
	for _, n := range t.txn.Pending() {
		conn := t.at(n).conn
		pinned := s.pin != nil && s.pin.conn == conn
		if !pinned && (s.trail.insertConn != conn || s.trail.insertKnown) {
			continue
		}
		timer := time.NewTimer(s.pool(n).Wait())
		defer timer.Stop()
		select {
		case <-t.txn.Finished(n):
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
