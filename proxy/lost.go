package proxy

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// Error numbers after which a server's transaction may be gone.
const (
	erRecordChanged   = 1020 // MariaDB with innodb_snapshot_isolation
	erLockTableFull   = 1206
	erLockDeadlock    = 1213
	erLockTimeout     = 1205 // with innodb_rollback_on_timeout
	erXARMFail        = 1399
	erXARBRollback    = 1402
	erXARBTimeout     = 1613
	erXARBDeadlock    = 1614
	erBeforeCommit    = 3101
	probePatience     = time.Second
	internalSavepoint = "xaproxy statement"
)

// rollsBack reports whether a server that says so has rolled the transaction
// back, not committed it.
func rollsBack(n uint16) bool {
	switch n {
	case erRecordChanged, erLockTableFull, erLockDeadlock, erLockTimeout, erXARMFail, erXARBRollback, erXARBTimeout,
		erXARBDeadlock, erBeforeCommit:
		return true
	}
	return false
}

// poisons reports whether an XA branch can only be rolled back after the error.
// Its flags may say that it is still open.
func poisons(n uint16) bool { return n != erLockTimeout && rollsBack(n) }

// refused handles an error packet within a transaction: it carries no flags, so
// the branch is asked whether it still exists before anything else is sent.
func (s *session) refused(ctx context.Context, b *branch, r reply) error {
	switch {
	case r.early && rollsBack(r.refused.Number):
		s.rollback(ctx)
		return fail(codeDeadlock, "shard "+s.e.name(b.shard)+": "+r.refused.Error()).because(r.refused)
	case r.early:
		s.rollback(ctx)
		return fail(codeAborted, "shard "+s.e.name(b.shard)+" did not begin its part: "+r.refused.Error()).because(r.refused)
	case b.xa && poisons(r.refused.Number):
		s.rollback(ctx)
		return r.refused
	}
	if err := s.probe(ctx, b.conn, r); err != nil {
		return s.lost(ctx, b, err)
	}
	if b.conn.InTransaction() {
		return r.refused
	}
	return s.vanished(ctx, b, r.refused)
}

// probe asks a connection whose statement was refused for its flags, and with
// the same question for what the client may ask next.
func (s *session) probe(ctx context.Context, conn *backend.Conn, r reply) error {
	if !r.whole {
		return ping(ctx, conn)
	}
	s.diag.noteRefusal(conn, r.refused)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingPatience)
	defer cancel()
	return s.diag.fetch(ctx)
}

// stillOpen checks after an OK that the branch, whose flags it carried, and the
// connections of the others are still there.
func (s *session) stillOpen(ctx context.Context, b *branch) error {
	if !b.conn.InTransaction() {
		return s.vanished(ctx, b, nil)
	}
	for _, other := range s.tx.branches {
		if other.conn.Broken() {
			return s.lost(ctx, other, backend.ErrBroken)
		}
	}
	return nil
}

// vanished ends a transaction whose branch a server has ended by itself; said is
// the error that came with it, nil after an OK. Where it was the only branch,
// what happened is what happens on one server: the error or the OK stands, and
// the client is out of its transaction.
func (s *session) vanished(ctx context.Context, b *branch, said *wire.ServerError) error {
	single := len(s.tx.branches) == 1
	rolledBack := b.xa || !b.work.Wrote() || said != nil && rollsBack(said.Number)
	switch {
	case single || rolledBack && said != nil:
		s.rollback(ctx)
		if said == nil {
			return nil
		}
		return said
	case rolledBack:
		s.rollback(ctx)
		return fail(codeDeadlock, "shard "+s.e.name(b.shard)+" ended its part").because(xa.ErrLost)
	}
	return s.heuristic(ctx, b, said)
}

// heuristic handles that home was committed by its server while the rest can
// only be rolled back.
func (s *session) heuristic(ctx context.Context, b *branch, said *wire.ServerError) error {
	reason := "the server ended the transaction while a statement succeeded"
	if said != nil {
		reason = "the server ended the transaction with " + said.Error()
	}
	id := s.tx.home.ID()
	s.rollback(ctx)
	s.e.log.Error("home was committed by its server, the other branches are rolled back",
		slog.String("gtrid", string(id.Global)), slog.String("shard", s.e.name(b.shard)), slog.String("reason", reason))
	store := s.e.shards[b.shard].Store
	text := "shard " + s.e.name(b.shard) + ": " + reason
	if err := store.RecordHeuristic(ctx, xamysql.Heuristic{ID: id, Decided: xa.Aborted, Reason: reason}); err != nil {
		s.e.log.Error("record heuristic outcome", slog.String("gtrid", string(id.Global)), slog.Any("err", err))
		text += " (not recorded: " + err.Error() + ")"
	}
	return fail(codeHeuristic, id.Global, text)
}

// untouched handles that a branch could not be had, before the statement was
// sent. The transaction is given up when a shard or a connection is missing: it
// must not hold others' locks while it waits.
func (s *session) untouched(ctx context.Context, n xa.ShardID, b *branch, err error) error {
	var down *backend.DownError
	var busy *backend.BusyError
	var late *Error
	var said *wire.ServerError
	switch {
	case errors.As(err, &down), errors.As(err, &busy), errors.As(err, &late) && late.Number == codeUnfinished:
		if len(s.tx.branches) > 0 {
			s.rollback(ctx)
		}
		return err
	case errors.As(err, &said): // a setting was refused
		return err
	case b != nil:
		return s.lost(ctx, b, err)
	case len(s.tx.branches) > 0:
		s.rollback(ctx)
	}
	return s.lostConnection(ctx, n, err)
}

// unanswered is the error of a question that executes nothing: when its connection
// was lost, the shard is taken to be down.
func (e *engine) unanswered(n xa.ShardID, conn *backend.Conn, err error) error {
	if err == nil || !conn.Broken() || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &backend.DownError{Shard: n, Name: e.name(n), Cause: err, Since: time.Now()}
}

// lost rolls the transaction back whose branch lost its connection.
func (s *session) lost(ctx context.Context, b *branch, err error) error {
	s.rollback(ctx)
	return s.lostConnection(ctx, b.shard, err)
}

// lostConnection is the error for work that was rolled back, or never began,
// because a connection was lost: a retry makes sense when the shard answers.
func (s *session) lostConnection(ctx context.Context, n xa.ShardID, cause error) error {
	var own *Error
	if errors.As(cause, &own) {
		return own
	}
	probe, cancel := context.WithTimeout(context.WithoutCancel(ctx), probePatience)
	defer cancel()
	conn, err := s.pool(n).Get(probe, s.set.state)
	if err == nil {
		err = conn.Ping(probe)
		s.pool(n).Put(conn)
	}
	var busy *backend.BusyError
	if err != nil && !errors.As(err, &busy) && !errors.Is(err, context.DeadlineExceeded) {
		return fail(codeShardDown, s.e.name(n), err.Error()).because(cause)
	}
	return fail(codeDeadlock, "the connection to shard "+s.e.name(n)+" was lost: "+cause.Error()).because(cause)
}
