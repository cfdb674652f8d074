package tm

import (
	"context"
	"errors"
	"log/slog"

	"xaproxy/tm/internal/protocol"
	"xaproxy/xa"
)

// driver executes the actions of one transaction's machine. Its fields belong
// to the goroutine of run; verbs run in goroutines of their own, which only
// report.
type driver struct {
	t       *Txn
	m       *Manager
	machine *protocol.Machine
	claims  bool // commit was asked for and takes a claim

	answered    chan struct{} // closed with ActionAnswer; nil when nobody waits
	answer      answer        // set before answered is closed
	errs        []error       // by branch, the first error of each
	claimSent   bool
	forgotten   bool // ActionForget was emitted
	settles     bool // a branch was left to its resource: others may have seen it prepared, and fenced it
	homeLost    bool // the claim was committed without home's work; set before answered is closed
	results     chan result
	outstanding int
}

// answer is what may be told.
type answer struct {
	outcome xa.Outcome
	reason  protocol.Reason
	cause   error
}

// result is a verb's reply; without ok the manager stopped before there was one.
type result struct {
	event protocol.Event
	err   error
	ok    bool
}

func newDriver(t *Txn, commit bool) *driver {
	n := 1 + len(t.branches)
	uses := make([]protocol.Branch, n)
	writers := 0
	for i := range uses {
		uses[i].Use = useOf(t.branch(i))
		if uses[i].Use == protocol.Writer {
			writers++
		}
		if n > 1 {
			uses[i].Name = t.branch(i).ID().Branch
		}
	}
	d := &driver{
		t: t, m: t.m, claims: commit && writers > 1,
		machine: protocol.New(protocol.Config{Global: t.Global(), Branches: uses}),
		errs:    make([]error, n),
	}
	if n > 1 {
		d.results = make(chan result, n+1)
	}
	return d
}

// useOf reads a branch's use; a reader that does not say is taken to hold locks.
func useOf(b xa.Branch) protocol.Use {
	if b.Wrote() {
		return protocol.Writer
	}
	if l, says := b.(Locker); says && !l.Locked() {
		return protocol.Reader
	}
	return protocol.LockingReader
}

// run drives the machine from e to its end, or until the manager stops.
func (d *driver) run(ctx context.Context, e protocol.Event) {
	acts := d.machine.Step(e)
	for {
		d.t.setPhase(phaseOf(d.machine.State(), d.claims))
		verbs := d.immediately(ctx, acts)
		d.release()
		r, got := d.perform(ctx, verbs)
		if !got {
			if d.outstanding == 0 {
				break
			}
			r = <-d.results
			d.outstanding--
		}
		acts = nil
		if r.ok {
			d.note(r)
			if d.homeLost && r.event.Kind == protocol.EventDecided {
				d.m.heuristic(ctx, Heuristic{ID: d.t.home.ID(), Shard: d.t.where[0].shard, Decision: xa.Committed, Cause: r.err})
			}
			acts = d.machine.Step(r.event)
		}
	}
	d.close()
}

// immediately executes the actions that have no reply and returns the others.
func (d *driver) immediately(ctx context.Context, acts []protocol.Action) []protocol.Action {
	verbs := acts[:0]
	for _, a := range acts {
		if !d.immediate(ctx, a) {
			verbs = append(verbs, a)
		}
	}
	return verbs
}

// perform starts verbs. One that is the only thing under way is run here, and
// its reply returned; replies of others come through d.results.
func (d *driver) perform(ctx context.Context, verbs []protocol.Action) (result, bool) {
	if len(verbs) == 1 && d.outstanding == 0 {
		return d.verb(ctx, verbs[0]), true
	}
	for _, a := range verbs {
		d.outstanding++
		go func() { d.results <- d.verb(ctx, a) }()
	}
	return result{}, false
}

// immediate executes the actions that have no reply.
func (d *driver) immediate(ctx context.Context, a protocol.Action) bool {
	switch a.Kind {
	case protocol.ActionAbandon:
		d.abandon(a.Branch)
	case protocol.ActionSuspect:
		d.m.suspect(d.t.branch(a.Branch).ID())
	case protocol.ActionHeuristic:
		d.m.heuristic(ctx, Heuristic{
			ID: d.t.branch(a.Branch).ID(), Shard: d.t.where[a.Branch].shard,
			Decision: d.machine.Outcome(), Cause: d.errs[a.Branch],
		})
	case protocol.ActionAnswer:
		d.publish(a)
	case protocol.ActionForget:
		d.forgotten = true
		if d.claimSent { // else there hardly is a claim; a sweep finds it if there is
			d.m.forget(d.t.where[0].shard, xa.Decision{Global: d.t.Global(), Outcome: a.Outcome})
		}
	case protocol.ActionPrepare, protocol.ActionPing, protocol.ActionDecide,
		protocol.ActionOnePhase, protocol.ActionResolve, protocol.ActionCommit,
		protocol.ActionRollback, protocol.ActionSettle:
		if a.Kind == protocol.ActionDecide {
			d.claimSent = true
		}
		if a.Kind == protocol.ActionSettle {
			d.settles = true
		}
		if a.Kind == protocol.ActionResolve {
			d.t.setPhase(PhaseResolving)
		}
		return false
	}
	return true
}

// verb executes an action that has a reply. It is called from any goroutine and
// changes nothing of d.
func (d *driver) verb(ctx context.Context, a protocol.Action) result {
	b := d.t.branch(a.Branch)
	switch a.Kind {
	case protocol.ActionPrepare, protocol.ActionPing:
		ctx, cancel := context.WithTimeout(ctx, d.m.time.PrepareTimeout)
		defer cancel()
		v, err := b.Prepare(ctx)
		return result{protocol.VoteEvent(a.Branch, v, err), err, true}
	case protocol.ActionDecide:
		ctx, cancel := context.WithTimeout(ctx, d.m.time.DecideTimeout)
		defer cancel()
		err := d.t.home.CommitClaim(ctx, a.Decision)
		return result{protocol.DecidedEvent(err), err, true}
	case protocol.ActionOnePhase:
		err := d.bounded(ctx, b.Commit)
		return result{protocol.DecidedEvent(err), err, true}
	case protocol.ActionCommit:
		err := d.bounded(ctx, b.Commit)
		return result{protocol.EndedEvent(a.Branch, err), err, true}
	case protocol.ActionRollback:
		err := d.bounded(ctx, b.Rollback)
		return result{protocol.EndedEvent(a.Branch, err), err, true}
	case protocol.ActionResolve:
		return d.resolve(ctx)
	case protocol.ActionSettle:
		return d.settle(ctx, a)
	case protocol.ActionAbandon, protocol.ActionSuspect, protocol.ActionHeuristic,
		protocol.ActionAnswer, protocol.ActionForget:
	}
	return result{}
}

func (d *driver) bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.m.time.VerbTimeout)
	defer cancel()
	return f(ctx)
}

// note keeps the error of a reply.
func (d *driver) note(r result) {
	i := r.event.Branch
	if r.event.Kind == protocol.EventDecided {
		i = d.decider()
	}
	if r.err != nil && d.errs[i] == nil {
		d.errs[i] = r.err
	}
	if r.event.Kind == protocol.EventDecided && errors.Is(r.err, xa.ErrHeuristic) {
		d.homeLost = true // the claim is recorded, home's own work is not
	}
}

// decider returns the branch whose reply EventDecided reports.
func (d *driver) decider() int {
	for i := range d.errs {
		if !d.claims && d.t.branch(i).Wrote() {
			return i
		}
	}
	return 0
}

// publish tells whoever waits.
func (d *driver) publish(a protocol.Action) {
	d.answer = answer{outcome: a.Outcome, reason: a.Reason, cause: d.cause(a)}
	d.t.setOutcome(a.Outcome)
	d.tally()
	if d.answered != nil {
		close(d.answered)
	}
}

// release gives up what the machine has no more use for.
func (d *driver) release() {
	pending := d.machine.Pending()
	for i := range d.errs {
		if len(pending) > 0 && pending[0] == i {
			pending = pending[1:]
			continue
		}
		d.drop(i)
	}
}

// drop hands branch i back to the session, or closes it when the session has
// stopped waiting.
func (d *driver) drop(i int) {
	was, left := d.t.finish(i)
	if !was {
		return
	}
	defer d.t.yield(i)
	if i > 0 {
		d.m.cleared(d.t.branch(i).ID())
	}
	if left {
		d.abandon(i)
		if d.answer.outcome == xa.Committed {
			d.m.log.Info("phase two finished in the background", d.t.attr(), d.t.shardAttr(i))
		}
	}
}

func (d *driver) abandon(i int) {
	if a, can := d.t.branch(i).(Abandoner); can {
		a.Abandon()
	}
}

// close ends the driver: the machine has ended, or the manager has stopped.
func (d *driver) close() {
	over := d.machine.State().Ended()
	for i := range d.errs {
		was, left := d.t.finish(i)
		if !was {
			continue
		}
		if left || !over {
			d.abandon(i)
		}
		d.t.yield(i)
	}
	g := d.t.Global()
	if g == "" || !over {
		return
	}
	restless := d.claimSent && !d.forgotten
	if restless {
		d.m.disquiet(g) // first: a sweep must at no moment take it for settled
	}
	d.t.setPhase(PhaseEnded)
	d.m.leave(g)
	if restless || d.settles {
		d.sweepHome()
	}
	if d.machine.State() == protocol.StateUnknown {
		for _, w := range d.t.where {
			if s := d.m.site(w.shard); s != nil && w.known {
				s.scan.raise()
			}
		}
	}
}

// sweepHome has home swept soon: an abort that others recorded can go, at once or when home's session is gone.
func (d *driver) sweepHome() {
	if home := d.m.site(d.t.where[0].shard); home != nil {
		home.sweep.raise()
	}
}

// resolve asks home's claim store, for as long as it takes.
func (d *driver) resolve(ctx context.Context) result {
	s, g := d.m.site(d.t.where[0].shard), d.t.Global()
	d.m.count.resolving.Add(1)
	d.m.log.Warn("answer to the decision was lost, asking home", d.t.attr(), d.t.shardAttr(0))
	d.m.awaitRegistered(ctx, s, g)
	var b backoff
	for {
		var o xa.Outcome
		err := d.bounded(ctx, func(ctx context.Context) (err error) {
			o, err = s.Claims.Fence(ctx, g, xa.AskOwner, xa.OwnerGone)
			return err
		})
		if e := protocol.ResolvedEvent(o, err); e.Outcome != xa.Undecided {
			return result{e, nil, true}
		}
		if s.pause(ctx, b.step()) != nil {
			return result{}
		}
	}
}

// settle ends a branch through its resource, for as long as it takes. Its own
// session is lost to us.
func (d *driver) settle(ctx context.Context, a protocol.Action) result {
	d.abandon(a.Branch)
	s, id := d.m.site(d.t.where[a.Branch].shard), d.t.branch(a.Branch).ID()
	var b backoff
	for {
		err := d.m.settle(ctx, s, id, a.Outcome, xa.OwnerGone)
		if e := protocol.EndedEvent(a.Branch, err); e.End != protocol.EndUnknown {
			return result{e, err, true}
		}
		if s.pause(ctx, b.step()) != nil {
			return result{}
		}
	}
}

// settle makes one attempt to end a prepared branch as o says.
func (m *Manager) settle(ctx context.Context, s *site, id xa.ID, o xa.Outcome, owner xa.Owner) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	ctx, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
	defer cancel()
	if o == xa.Committed {
		return s.Resource.Commit(ctx, id, owner)
	}
	return s.Resource.Rollback(ctx, id, owner)
}

// heuristic raises the alarm and records what happened.
func (m *Manager) heuristic(ctx context.Context, h Heuristic) {
	m.count.heuristics.Add(1)
	m.log.Error("branch was ended by its server against the decision",
		slog.String("gtrid", string(h.ID.Global)), slog.String("bqual", h.ID.Branch),
		m.shardAttr(h.Shard), slog.String("decision", h.Decision.String()), errAttr(h.Cause))
	if m.o.OnHeuristic == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
	defer cancel()
	if err := m.o.OnHeuristic(ctx, h); err != nil {
		m.log.Error("heuristic outcome was not recorded", slog.String("gtrid", string(h.ID.Global)), errAttr(err))
	}
}

func phaseOf(s protocol.State, claims bool) Phase {
	switch s {
	case protocol.StateActive:
		return PhaseActive
	case protocol.StatePreparing:
		return PhasePreparing
	case protocol.StateDeciding:
		if !claims {
			return PhaseOnePhase
		}
		return PhaseDeciding
	case protocol.StateResolving:
		return PhaseResolving
	case protocol.StateCommitting:
		return PhaseCommitting
	case protocol.StateAborting:
		return PhaseAborting
	case protocol.StateUnknown:
		return PhaseUnknown
	case protocol.StateEndedCommitted, protocol.StateEndedAborted:
		return PhaseEnded
	}
	return PhaseActive
}

func errAttr(err error) slog.Attr {
	if err == nil {
		return slog.String("error", "")
	}
	return slog.String("error", err.Error())
}
