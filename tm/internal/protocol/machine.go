package protocol

import "xaproxy/xa"

// path is how a transaction commits; the number of its writers chooses it.
type path uint8

const (
	pathLocal    path = iota // nothing was written: every branch commits locally
	pathOnePhase             // one writer commits in one phase
	pathTwoPhase             // home decides for all
)

// progress is how far one branch has come.
type progress uint8

const (
	open     progress = iota // nothing was sent to it
	asked                    // Prepare or Ping is outstanding: nothing else may be sent to its session
	agreed                   // it voted yes
	refused                  // it certainly is not prepared
	lost                     // it may be prepared, now or later; its session is not to be used
	ending                   // a verb that ends it on its own session is outstanding
	settling                 // its Resource is ending it
	ended
)

// member is a branch as the machine sees it.
type member struct {
	at        progress
	prepared  bool // it has promised, or may have: only the outcome may end it
	heuristic bool // it ended against the decision
}

// Machine is one global transaction at its coordinator. It does nothing before
// EventCommit, EventRollback or EventLost, so it may be created when the
// transaction ends.
type Machine struct {
	cfg      Config
	path     path
	state    State
	branches []member
	outcome  xa.Outcome
	reason   Reason
	cause    int
	homeOver bool // home's local transaction is known to have ended
}

// New returns a machine in StateActive. The slice of c is not copied and must
// not change afterwards.
func New(c Config) *Machine {
	return &Machine{cfg: c, path: pathOf(c), branches: make([]member, len(c.Branches)), cause: -1}
}

func pathOf(c Config) path {
	writers := 0
	for _, b := range c.Branches {
		if b.Use == Writer {
			writers++
		}
	}
	switch writers {
	case 0:
		return pathLocal
	case 1:
		return pathOnePhase
	}
	return pathTwoPhase
}

// State returns where the transaction stands.
func (m *Machine) State() State { return m.state }

// Outcome returns what may be told: Undecided before the decision is known.
func (m *Machine) Outcome() xa.Outcome { return m.outcome }

// Reason returns why the outcome is not Committed, and the branch that caused
// it, or -1.
func (m *Machine) Reason() (Reason, int) { return m.reason, m.cause }

// Pending returns the branches that have not ended.
func (m *Machine) Pending() []int {
	return m.which(func(b member) bool { return b.at != ended })
}

// Heuristics returns the branches that ended against the decision.
func (m *Machine) Heuristics() []int {
	return m.which(func(b member) bool { return b.heuristic })
}

func (m *Machine) which(is func(member) bool) []int {
	var list []int
	for i, b := range m.branches {
		if is(b) {
			list = append(list, i)
		}
	}
	return list
}

// Step takes one event and returns what to do next. An event that does not fit
// the state, such as the reply to a question that was not asked, changes
// nothing and asks for nothing.
func (m *Machine) Step(e Event) []Action {
	switch e.Kind {
	case EventCommit:
		return m.commit()
	case EventRollback:
		return m.giveUp(ReasonAsked, -1)
	case EventLost:
		return m.onLost(e.Branch)
	case EventVote:
		return m.onVote(e)
	case EventTimeout:
		if m.state != StatePreparing {
			return nil
		}
		return m.giveUp(ReasonTimeout, -1)
	case EventDecided:
		return m.onDecided(e.Reply)
	case EventResolved:
		return m.onResolved(e.Outcome)
	case EventEnded:
		return m.onEnded(e)
	}
	return nil
}

// commit begins: it asks whoever must vote.
func (m *Machine) commit() []Action {
	if m.state != StateActive {
		return nil
	}
	if m.path == pathLocal {
		m.state = StateCommitting
		return m.maybeEnd(m.commitOpen())
	}
	m.state = StatePreparing
	var acts []Action
	for i, b := range m.cfg.Branches {
		switch b.Use {
		case Writer:
			if m.path == pathTwoPhase && i > 0 {
				acts = append(acts, m.ask(ActionPrepare, i))
			}
		case LockingReader:
			acts = append(acts, m.ask(ActionPing, i))
		case Reader:
		}
	}
	if len(acts) == 0 {
		return m.decide()
	}
	return acts
}

func (m *Machine) ask(k ActionKind, i int) Action {
	m.branches[i].at = asked
	return Action{Kind: k, Branch: i}
}

// onVote takes the answer of a branch, which after a no of another one, or after
// the time was up, only tells how the branch can be rolled back.
func (m *Machine) onVote(e Event) []Action {
	b := m.member(e.Branch)
	if b == nil || b.at != asked {
		return nil
	}
	writer := m.cfg.Branches[e.Branch].Use == Writer
	yes := false
	switch e.Vote {
	case xa.Prepared:
		b.at, b.prepared, yes = agreed, true, writer
	case xa.ReadOnly:
		b.at, yes = agreed, true
	case xa.NoVote:
		b.at = refused
		if e.Effect != xa.EffectNone {
			b.at, b.prepared = lost, writer
		}
	}
	switch {
	case m.state == StateAborting:
		return m.maybeEnd(m.rollback(nil, e.Branch))
	case m.state != StatePreparing:
		return nil
	case !yes:
		return m.giveUp(ReasonVote, e.Branch)
	}
	for _, b := range m.branches {
		if b.at == asked {
			return nil
		}
	}
	return m.decide()
}

// decide is reached once in the life of a machine, with all votes in hand.
func (m *Machine) decide() []Action {
	m.state = StateDeciding
	if m.path == pathOnePhase {
		i := m.writer()
		m.branches[i].at = ending
		return []Action{{Kind: ActionOnePhase, Branch: i}}
	}
	m.branches[0].at = ending
	return []Action{{Kind: ActionDecide, Branch: 0, Decision: m.decision()}}
}

// decision names every branch whose end depends on the claim.
func (m *Machine) decision() xa.Decision {
	d := xa.Decision{Global: m.cfg.Global, Outcome: xa.Committed}
	for i, b := range m.cfg.Branches {
		if i > 0 && b.Use == Writer {
			d.Participants = append(d.Participants, b.Name)
		}
	}
	return d
}

// writer returns the branch that decides: the only writer, or home.
func (m *Machine) writer() int {
	if m.path == pathOnePhase {
		for i, b := range m.cfg.Branches {
			if b.Use == Writer {
				return i
			}
		}
	}
	return 0
}

func (m *Machine) onDecided(r Reply) []Action {
	if m.state != StateDeciding {
		return nil
	}
	i := m.writer()
	switch r {
	case ReplyDone:
		return m.committed()
	case ReplyFenced:
		m.branches[i].at = refused
		return m.abort(ReasonFenced, -1)
	case ReplyNone:
		m.branches[i].at = refused
		return m.abort(ReasonNotDecided, i)
	case ReplyUnknown:
		m.branches[i].at = lost
		if m.path == pathOnePhase {
			return m.unknown(ReasonOnePhaseLost, i)
		}
		m.state = StateResolving
		return []Action{{Kind: ActionAbandon, Branch: 0}, {Kind: ActionResolve}}
	}
	return nil
}

func (m *Machine) onResolved(o xa.Outcome) []Action {
	if m.state != StateResolving {
		return nil
	}
	switch o {
	case xa.Committed:
		return m.committed()
	case xa.Aborted:
		m.branches[0].at = ended // its session was closed; whether it has left is the sweep's question
		return m.abort(ReasonFenced, -1)
	case xa.Unknown:
		m.branches[0].at = ended
		return m.unknown(ReasonMarkedDead, -1)
	case xa.Undecided:
		return []Action{{Kind: ActionResolve}}
	}
	return nil
}

// committed: the decision is durable. Nothing after it can change the answer.
func (m *Machine) committed() []Action {
	m.state = StateCommitting
	m.branches[m.writer()].at = ended
	acts := []Action{m.answer(xa.Committed, ReasonNone, -1)}
	return m.maybeEnd(append(acts, m.commitOpen()...))
}

func (m *Machine) commitOpen() []Action {
	var acts []Action
	for i := range m.branches {
		if m.branches[i].at != ended {
			m.branches[i].at = ending
			acts = append(acts, Action{Kind: ActionCommit, Branch: i})
		}
	}
	return acts
}

// onLost hears that a branch's local transaction is gone. A prepared one does not
// end with its session, and from DECIDING on only replies count.
func (m *Machine) onLost(i int) []Action {
	b := m.member(i)
	if b == nil || b.prepared {
		return nil
	}
	return m.giveUp(ReasonLost, i)
}

// giveUp aborts if nothing was proposed yet.
func (m *Machine) giveUp(r Reason, cause int) []Action {
	if m.state != StateActive && m.state != StatePreparing {
		return nil
	}
	return m.abort(r, cause)
}

// abort: Commit was not proposed and never will be, or it is known to have lost.
func (m *Machine) abort(r Reason, cause int) []Action {
	m.state = StateAborting
	acts := []Action{m.answer(xa.Aborted, r, cause)}
	for i := range m.branches {
		acts = m.rollback(acts, i)
	}
	return m.maybeEnd(acts)
}

// rollback ends one branch of an aborting transaction, unless its vote is still
// outstanding: then that reply comes first.
func (m *Machine) rollback(acts []Action, i int) []Action {
	b := &m.branches[i]
	switch b.at {
	case open, agreed, refused:
		b.at = ending
		return append(acts, Action{Kind: ActionRollback, Branch: i})
	case lost:
		return m.leave(acts, i)
	case asked, ending, settling, ended:
	}
	return acts
}

// leave gives up a branch's own session. What was never asked to prepare ends
// with it; anything else goes on through the Resource.
func (m *Machine) leave(acts []Action, i int) []Action {
	b := &m.branches[i]
	if !b.prepared {
		b.at = ended
		return append(acts, Action{Kind: ActionAbandon, Branch: i})
	}
	o := xa.Committed
	if m.state == StateAborting {
		o = xa.Aborted
		if b.at != settling {
			acts = append(acts, Action{Kind: ActionSuspect, Branch: i})
		}
	}
	b.at = settling
	return append(acts, Action{Kind: ActionSettle, Branch: i, Outcome: o})
}

// unknown leaves every branch to recovery.
func (m *Machine) unknown(r Reason, cause int) []Action {
	m.state = StateUnknown
	acts := []Action{m.answer(xa.Unknown, r, cause)}
	for i, b := range m.branches {
		if b.at != ended {
			acts = append(acts, Action{Kind: ActionAbandon, Branch: i})
		}
	}
	return acts
}

func (m *Machine) answer(o xa.Outcome, r Reason, cause int) Action {
	m.outcome, m.reason, m.cause = o, r, cause
	return Action{Kind: ActionAnswer, Outcome: o, Reason: r, Branch: cause}
}

// onEnded hears how a verb that ends a branch went.
func (m *Machine) onEnded(e Event) []Action {
	b := m.member(e.Branch)
	if b == nil || (b.at != ending && b.at != settling) ||
		(m.state != StateCommitting && m.state != StateAborting) {
		return nil
	}
	var acts []Action
	switch e.End {
	case EndFinished:
		b.at = ended
		m.homeOver = m.homeOver || e.Branch == 0
	case EndHeuristic:
		b.at, b.heuristic = ended, true
		acts = append(acts, Action{Kind: ActionHeuristic, Branch: e.Branch})
	case EndUnknown:
		if m.path == pathLocal && m.state == StateCommitting && m.reason == ReasonNone {
			m.reason, m.cause = ReasonLost, e.Branch
		}
		acts = m.leave(acts, e.Branch)
	}
	return m.maybeEnd(acts)
}

// maybeEnd ends the machine when all its branches have ended.
func (m *Machine) maybeEnd(acts []Action) []Action {
	if len(m.Pending()) > 0 {
		return acts
	}
	if m.state == StateAborting {
		m.state = StateEndedAborted
		if m.path == pathTwoPhase && m.homeOver {
			acts = append(acts, Action{Kind: ActionForget, Outcome: xa.Aborted})
		}
		return acts
	}
	m.state = StateEndedCommitted
	if m.path == pathLocal {
		if m.reason != ReasonNone {
			m.state = StateEndedAborted
			return append(acts, m.answer(xa.Aborted, m.reason, m.cause))
		}
		return append(acts, m.answer(xa.Committed, ReasonNone, -1))
	}
	if m.path == pathTwoPhase {
		acts = append(acts, Action{Kind: ActionForget, Outcome: xa.Committed})
	}
	return acts
}

func (m *Machine) member(i int) *member {
	if i < 0 || i >= len(m.branches) {
		return nil
	}
	return &m.branches[i]
}
