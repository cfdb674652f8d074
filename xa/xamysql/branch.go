package xamysql

import (
	"context"
	"errors"

	"xaproxy/xa"
)

// Branch is an XA branch on the session's connection.
type Branch struct {
	conn  Conn
	id    xa.ID
	wrote bool
	stage stage
	clean bool
}

var _ xa.Branch = (*Branch)(nil)

// NewBranch makes a branch on c. The caller sends StartSQL and says so by MarkOpened.
func NewBranch(c Conn, id xa.ID) *Branch { return &Branch{conn: c, id: id, clean: true} }

// StartSQL is the XA START of the branch. It goes in one packet in front of the first statement
// (StartSQL() + ";" + statement), or alone, its OK awaited, when the first statement is a COM_STMT_EXECUTE: in separate
// pipelined packets a failing XA START would leave the statement behind it to commit by itself.
func (b *Branch) StartSQL() string { return xaStart(b.id) }

// MarkOpened says that XA START was sent, successfully or not. Before, there is nothing to end.
func (b *Branch) MarkOpened() {
	b.stage = open
	b.clean = false
}

// MarkWrote says that something that may change data was or is about to be sent (commit-protocol §6.3).
func (b *Branch) MarkWrote() { b.wrote = true }

// Abandon closes the branch's connection, whatever is under way on it.
func (b *Branch) Abandon() {
	b.clean = false
	abandon(b.conn)
}

// Conn is the connection that the branch runs on.
func (b *Branch) Conn() Conn { return b.conn }

// Clean reports whether the connection is free of the branch and may be used again; otherwise it must be closed.
func (b *Branch) Clean() bool { return b.clean }

// ID implements xa.Branch.
func (b *Branch) ID() xa.ID { return b.id }

// Wrote implements xa.Branch.
func (b *Branch) Wrote() bool { return b.wrote }

// Prepare implements xa.Branch. A writer gets XA END and XA PREPARE as two packets in one write: a multi-statement
// packet would run on after its client died and leave a prepared branch behind much later, pipelined packets are not
// executed once the client is gone. The caller has read every reply of the branch before.
func (b *Branch) Prepare(ctx context.Context) (xa.Vote, error) {
	const doing = "prepare"
	switch b.stage {
	case fresh:
		if b.wrote {
			return xa.NoVote, b.fail(doing, errNotOpened, xa.EffectNone)
		}
		return xa.ReadOnly, nil // nothing was sent, so there is nothing to lose
	case prepared:
		return xa.Prepared, nil
	case committed, rolledback:
		return xa.NoVote, b.fail(doing, xa.ErrLost, xa.EffectNone)
	case suspect:
		return xa.NoVote, b.fail(doing, errors.New("an end of it was sent before"), xa.EffectUnknown)
	case open:
	}
	if !b.wrote {
		if err := stillThere(ctx, b.conn); err != nil {
			return xa.NoVote, b.fail("ask a reader for its vote", err, xa.EffectNone)
		}
		return xa.ReadOnly, nil
	}
	if !b.conn.InTransaction() {
		return xa.NoVote, b.fail(doing, xa.ErrLost, xa.EffectNone)
	}
	b.stage = suspect
	effect, err := b.verbs(ctx, xaPrepare(b.id), refusedPrepare)
	if err == nil {
		b.stage = prepared
		return xa.Prepared, nil
	}
	if effect == xa.EffectNone {
		b.stage = open
	}
	return xa.NoVote, b.fail(doing, err, effect)
}

// verbs sends XA END and verb in one write. Success is two OKs. What is known after an error depends on verb's own
// answer alone: refused says which error numbers of it prove that it did not happen.
func (b *Branch) verbs(ctx context.Context, verb string, refused func(uint16) bool) (xa.Effect, error) {
	replies, err := b.conn.Exchange(ctx, Command{Kind: Query, SQL: xaEnd(b.id)}, Command{Kind: Query, SQL: verb})
	end, _ := last(replies, 0)
	answer, answered := last(replies, 1)
	switch {
	case answer.Err != nil:
		effect := xa.EffectUnknown
		if refused(answer.Err.Number) {
			effect = xa.EffectNone
		}
		if end.Err != nil {
			return effect, end.Err // the first error is the cause
		}
		return effect, answer.Err
	case err != nil:
		return xa.EffectOf(err), err
	case end.Err != nil:
		return xa.EffectUnknown, end.Err
	case !answered:
		return xa.EffectUnknown, errPackets
	}
	return xa.EffectDone, nil
}

// Commit implements xa.Branch. A prepared branch gets XA COMMIT. A writer that was not asked to prepare is committed in
// one phase. A reader is ended by XA END and XA ROLLBACK: nothing is to be made durable, and XA ROLLBACK ends a branch
// in every state, also one that the server has marked for rollback, where a commit in one phase would fail.
func (b *Branch) Commit(ctx context.Context) error {
	const doing = "commit"
	switch b.stage {
	case fresh, committed:
		return nil
	case rolledback:
		return b.fail(doing, xa.ErrLost, xa.EffectNone)
	case suspect:
		return b.fail(doing, errors.New("an end of it was sent before, its outcome is not known"), xa.EffectUnknown)
	case prepared:
		return b.commitPrepared(ctx)
	case open:
	}
	if !b.wrote {
		return b.Rollback(ctx)
	}
	if !b.conn.InTransaction() {
		return b.fail(doing, xa.ErrLost, xa.EffectNone)
	}
	b.stage = suspect
	effect, err := b.verbs(ctx, xaOnePhase(b.id), refusedOnePhase)
	if err == nil {
		b.end(committed)
		return nil
	}
	if effect == xa.EffectNone {
		b.stage = open
	}
	// Without the gtrid: no claim of it will ever exist, so nobody may ask for it.
	return failed("commit in one phase", xa.ID{Branch: b.id.Branch}, b.conn, err, effect)
}

// refusedOnePhase reports whether an error packet of XA COMMIT ... ONE PHASE proves that nothing was committed: the
// branch was rolled back, or is not there, or is in a state that the verb does not apply to.
func refusedOnePhase(n uint16) bool {
	switch n {
	case erXANota, erXAInval, erXARMFail, erXAOutside, erXARBRollback, erXARBTimeout, erXARBDeadlock, erBeforeCommit:
		return true
	}
	return false
}

// commitPrepared sends XA COMMIT. XAER_NOTA says nothing (a recoverer may have been faster, or not): the resource finds
// out.
func (b *Branch) commitPrepared(ctx context.Context) error {
	const doing = "commit prepared"
	replies, err := b.conn.Exchange(ctx, Command{Kind: Query, SQL: xaCommit(b.id)})
	r, ok := last(replies, 0)
	switch {
	case r.Err != nil && r.Err.Number == erXARBRollback:
		b.stage = committed // it had changed nothing; the connection is not used again
		return nil
	case r.Err != nil && rolledBack(r.Err.Number):
		return b.fail(doing, errors.Join(xa.ErrHeuristic, r.Err), xa.EffectNone)
	case r.Err != nil:
		return b.fail(doing, r.Err, xa.EffectUnknown)
	case err != nil:
		return b.fail(doing, err, xa.EffectOf(err))
	case !ok:
		return b.fail(doing, errPackets, xa.EffectUnknown)
	}
	b.end(committed)
	return nil
}

// Rollback implements xa.Branch. A branch that is not known to be prepared gets XA END first, whatever that answers:
// after a deadlock MySQL refuses XA ROLLBACK without it (XA END then answers 1614), MariaDB refuses XA END (1399) and
// rolls back all the same. When the connection is lost and no PREPARE was sent, the server rolls back by itself: the
// error then carries EffectDone.
func (b *Branch) Rollback(ctx context.Context) error {
	const doing = "roll back"
	switch b.stage {
	case fresh, rolledback:
		return nil
	case committed:
		return b.fail(doing, errEnded, xa.EffectNone)
	case open, suspect, prepared:
	}
	verbs := []Command{{Kind: Query, SQL: xaEnd(b.id)}, {Kind: Query, SQL: xaRollback(b.id)}}
	if b.stage == prepared {
		verbs = verbs[1:]
	}
	replies, err := b.conn.Exchange(ctx, verbs...)
	r, ok := last(replies, len(verbs)-1)
	switch {
	case r.Err != nil && rolledBack(r.Err.Number), r.Err != nil && r.Err.Number == erXANota && b.stage == open:
		b.stage = rolledback // the connection is not used again
		return nil
	case r.Err != nil:
		return b.fail(doing, r.Err, b.lost(xa.EffectUnknown))
	case err != nil:
		return b.fail(doing, err, b.lost(xa.EffectOf(err)))
	case !ok:
		return b.fail(doing, errPackets, b.lost(xa.EffectUnknown))
	}
	b.end(rolledback)
	return nil
}

// lost is the effect of a rollback that failed: the connection will be closed, and that ends what was never asked to
// prepare or to commit.
func (b *Branch) lost(effect xa.Effect) xa.Effect {
	if b.stage == open {
		return xa.EffectDone
	}
	return effect
}

func (b *Branch) end(s stage) {
	b.stage = s
	b.clean = !b.conn.InTransaction()
}

func (b *Branch) fail(doing string, err error, effect xa.Effect) error {
	return failed(doing, b.id, b.conn, err, effect)
}
