package proxy

import (
	"context"
	"errors"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/xa"
)

// targets executes a statement that shards answer, and answers the client.
func (s *session) targets(ctx context.Context, k *call) error {
	k, err := s.enter(ctx, k)
	if err != nil {
		return s.tell(err)
	}
	defer s.leaveStatement()
	t, err := s.bind(ctx, k)
	if err != nil {
		return s.tell(err)
	}
	if err := s.place(k, &t); err != nil {
		return s.tell(err)
	}
	if err := s.permit(k); err != nil {
		return s.tell(err)
	}
	s.openImplicitly(k)
	k = k.numbered(t)
	switch t.Mode {
	case plan.ModeOne, plan.ModeAny:
		if k.asksForIDs() {
			return s.all(ctx, k, t)
		}
		return s.one(ctx, k, t)
	case plan.ModeConcat, plan.ModeMerge:
		return s.combine(ctx, k, t)
	case plan.ModeAll:
		return s.all(ctx, k, t)
	case plan.ModeInvalid, plan.ModeWeights, plan.ModeNumbers:
	}
	return s.tell(fail(codeInternal, "a plan without targets"))
}

// bind says where the statement goes, asking shards for weights as needed.
func (s *session) bind(ctx context.Context, k *call) (plan.Targets, error) {
	values := k.values()
	given := plan.Given{Weights: s.e.weights, Prepared: k.stmt != nil}
	var err error
	if k.plan.NeedsInsertID {
		if given.InsertID, err = s.knownInsertID(ctx); err != nil {
			return plan.Targets{}, err
		}
	}
	for range bindings {
		t, err := k.plan.BindGiven(k.sql, values, given)
		switch {
		case err != nil:
			return t, err
		case t.Mode == plan.ModeWeights:
			err = s.weigh(ctx, t.Weights)
		case t.Mode == plan.ModeNumbers:
			given.Numbered = true
			given.IDs, err = s.numbers(ctx, k, t.Numbering)
		default:
			return t, nil
		}
		if err != nil {
			return plan.Targets{}, err
		}
	}
	return plan.Targets{}, fail(codeInternal, "the weights of a key are not kept")
}

// bindings bounds how often weights are asked for one statement: others may push
// them out of the cache in between.
const bindings = 5

// place brings the targets to the connection whose state the statement reads or
// makes, or says why that cannot be.
func (s *session) place(k *call, t *plan.Targets) error {
	if t.Mode == plan.ModeAny {
		t.Parts[0].Shard = s.anyShard(k, t.Parts[0])
	}
	one := t.Mode == plan.ModeAny || t.Mode == plan.ModeOne
	at := shardID(t.Parts[0].Shard)
	if kinds := s.bound(k.plan); kinds != 0 && (!one || at != s.pin.shard) {
		return fail(codeUnsupported, stateNames(kinds)+" of this session live at shard "+s.e.name(s.pin.shard)+
			", the statement needs another one")
	}
	if kinds := k.plan.Pins & pinned; kinds != 0 && !one {
		return fail(codeUnsupported, stateNames(kinds)+" in a statement over several shards")
	}
	const ofLast = plan.StateFoundRows | plan.StateRowCount
	if kinds := k.plan.Uses & ofLast; kinds != 0 && (!one || !s.prevHeld() || at != s.trail.prevShard) {
		return fail(codeUnsupported, stateNames(kinds)+" of a statement whose connection was given back; ask within a transaction")
	}
	return nil
}

// bound are the kinds of state that tie the statement to the pinned connection.
func (s *session) bound(p *plan.Plan) plan.State {
	if s.pin == nil {
		return 0
	}
	return p.Pins&pinned | p.Uses&s.pin.kinds
}

// anyShard chooses a shard for a statement that any can answer.
func (s *session) anyShard(k *call, p plan.Part) route.Shard {
	const ofLast = plan.StateFoundRows | plan.StateRowCount | plan.StateLastInsertID
	switch {
	case s.bound(k.plan) != 0:
		return route.Shard(s.pin.shard)
	case k.plan.Uses&ofLast != 0 && s.prevHeld():
		return route.Shard(s.trail.prevShard)
	case s.tx != nil && len(s.tx.branches) > 0:
		return route.Shard(s.tx.branches[0].shard)
	case s.pin != nil:
		return route.Shard(s.pin.shard)
	case s.last != nil:
		return route.Shard(s.last.shard)
	}
	return p.Shard
}

// permit refuses writes where the transaction is READ ONLY, as servers do: XA
// branches cannot be opened so.
func (s *session) permit(k *call) error {
	readOnly := s.set.readOnly
	switch {
	case s.tx != nil:
		readOnly = s.tx.readOnly
	case s.once.access == plan.AccessReadOnly:
		readOnly = true
	case s.once.access == plan.AccessReadWrite:
		readOnly = false
	}
	if readOnly && changes(k.plan.Class) {
		return fail(codeReadOnly)
	}
	return nil
}

func changes(c plan.Class) bool {
	switch c {
	case plan.ClassInsert, plan.ClassReplace, plan.ClassUpdate, plan.ClassDelete, plan.ClassDDL:
		return true
	case plan.ClassInvalid, plan.ClassSelect, plan.ClassShow, plan.ClassBegin, plan.ClassCommit, plan.ClassRollback,
		plan.ClassSavepoint, plan.ClassSet, plan.ClassUse, plan.ClassOutcome, plan.ClassKill, plan.ClassUnlock,
		plan.ClassWarnings, plan.ClassProcesslist, plan.ClassRoute, plan.ClassDefinitions, plan.ClassComment:
	}
	return false
}

// openImplicitly begins the transaction that autocommit=0 means, or uses up what
// SET TRANSACTION said about a statement that is a transaction by itself.
func (s *session) openImplicitly(k *call) {
	if s.tx != nil || len(k.plan.Tables) == 0 || k.plan.Class == plan.ClassShow {
		return
	}
	if !s.set.autocommit {
		s.beginTx(plan.AccessDefault)
		return
	}
	s.turn = s.once.isolation
	s.once = once{}
}

// one executes a statement at one shard.
func (s *session) one(ctx context.Context, k *call, t plan.Targets) error {
	part := t.Parts[0]
	// What reads a table is of the transaction, also when any shard has all of it.
	if s.tx != nil && (t.Mode == plan.ModeOne || len(s.tx.branches) > 0 || len(k.plan.Tables) > 0) {
		out, err := s.inBranch(ctx, k, part)
		return s.answerOne(k, out, err)
	}
	if t.Mode == plan.ModeOne || k.plan.Pins|k.plan.Uses != 0 {
		out, err := s.alone(ctx, k, part)
		return s.answerOne(k, out, err)
	}
	out, err := s.alone(ctx, k, part)
	for _, n := range s.e.order {
		var down *backend.DownError
		if err == nil || !errors.As(err, &down) {
			break
		}
		part.Shard = route.Shard(n)
		out, err = s.alone(ctx, k, part)
	}
	return s.answerOne(k, out, err)
}

// answerOne tells the client how a statement ended.
func (s *session) answerOne(k *call, out *relay, err error) error {
	if err != nil {
		return s.tell(err)
	}
	s.tellNumbered(k, out)
	return out.finish()
}

// alone executes a statement outside of transactions.
func (s *session) alone(ctx context.Context, k *call, part plan.Part) (*relay, error) {
	n := shardID(part.Shard)
	conn, err := s.take(ctx, n)
	if err != nil {
		return nil, err
	}
	if err := s.stillTrusted(); err != nil {
		s.give(ctx, n, conn)
		return nil, err
	}
	s.bindTo(k.plan, n, conn)
	own, err := s.insertIDFor(ctx, k.plan, conn)
	if err != nil {
		s.give(ctx, n, conn)
		return nil, err
	}
	out := &relay{s: s, hadID: conn.HasInsertID()}
	r, err := s.send(ctx, k, conn, own, part, out)
	switch {
	case err != nil:
		s.give(ctx, n, conn)
		return nil, s.lostAlone(ctx, k, n, r, err)
	case r.stopped != nil && !errors.Is(r.stopped, errStopped):
		s.give(ctx, n, conn)
		return nil, r.stopped
	case r.refused != nil:
		if !r.early {
			s.diag.noteRefusal(conn, r.refused)
		}
		s.keepOrGive(ctx, n, conn)
		return nil, r.refused
	}
	s.noteInsertID(ctx, k, conn, out)
	s.note(k.plan, n, conn, out)
	s.keepOrGive(ctx, n, conn)
	return out, nil
}

// lostAlone is the error of an autocommit statement whose answer was lost.
func (s *session) lostAlone(ctx context.Context, k *call, n xa.ShardID, r reply, err error) error {
	switch {
	case errors.Is(r.stopped, errGone), errors.Is(err, errGone):
		return errGone
	case k.unknownAlone(err):
		return fail(codeOutcomeUnknown, "the connection to shard "+s.e.name(n)+
			" was lost while it executed a statement outside of a transaction; no record of it exists, look at the data").because(err)
	case s.pin != nil && s.pin.shard == n:
		if lost := s.pinLost(s.pin.conn); lost != nil {
			return lost.because(err)
		}
	}
	return s.lostConnection(ctx, n, err)
}

// inBranch executes a statement at one shard within the transaction.
func (s *session) inBranch(ctx context.Context, k *call, part plan.Part) (*relay, error) {
	out := &relay{s: s}
	b, err := s.runBranch(ctx, k, part, out, s.copyLatch(k))
	if err != nil {
		return nil, err
	}
	return out, s.stillOpen(ctx, b)
}

// runBranch executes one part in the transaction's branch at its shard, opening
// it as needed. When it returns an error the transaction either goes on without
// the statement, as on a server, or has been rolled back everywhere.
func (s *session) runBranch(ctx context.Context, k *call, part plan.Part, out *relay, own []string) (*branch, error) {
	n := shardID(part.Shard)
	b, err := s.reach(ctx, n)
	if err != nil {
		return b, err
	}
	s.bindTo(k.plan, n, b.conn)
	id, err := s.insertIDFor(ctx, k.plan, b.conn)
	if err != nil {
		return b, err // refused before anything was sent: the transaction goes on
	}
	own = append(append(b.open(), own...), id...)
	if !k.plan.Reader {
		b.work.MarkWrote()
	}
	out.shard, out.sent, out.hadID = n, true, b.conn.HasInsertID()
	r, err := s.send(ctx, k, b.conn, own, part, out)
	switch {
	case err != nil && (errors.Is(err, errGone) || errors.Is(r.stopped, errGone)):
		return b, errGone // end rolls back
	case err != nil && errors.Is(r.stopped, errTooLong), errors.Is(r.stopped, errTooLong):
		s.rollback(ctx)
		return b, fail(codeTimeLimit, "open", s.e.limits().MaxTime, "transactions.max_time")
	case err != nil:
		return b, s.lost(ctx, b, err)
	case r.stopped != nil && !errors.Is(r.stopped, errStopped):
		return b, r.stopped
	case r.refused != nil:
		r.whole = !out.several
		return b, s.refused(ctx, b, r)
	}
	s.noteInsertID(ctx, k, b.conn, out)
	s.note(k.plan, n, b.conn, out)
	if err := s.collect(ctx, b.conn, out); err != nil {
		if errors.Is(err, errGone) {
			return b, errGone
		}
		return b, s.lost(ctx, b, err)
	}
	return b, nil
}

// reach is touch for a statement whose tables must still be as it was planned.
func (s *session) reach(ctx context.Context, n xa.ShardID) (*branch, error) {
	b, err := s.touch(ctx, n)
	if err != nil {
		return b, s.untouched(ctx, n, b, err)
	}
	if err := s.stillTrusted(); err != nil {
		return nil, err
	}
	return b, nil
}

// open returns the statements that open the branch, and counts them as sent.
func (b *branch) open() []string {
	own := b.start
	if own != nil {
		b.work.MarkOpened()
		b.start = nil
	}
	return own
}
