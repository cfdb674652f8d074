package protocol

import "xaproxy/xa"

// next emits every successor of w. fault marks what need not happen: failures,
// and steps of people. Everything else happens at some time if it stays
// possible.
func (x *model) next(w *world) {
	x.client(w)
	for i := range x.uses {
		x.session(w, i)
		x.command(w, i)
		x.settle(w, i)
	}
	x.resolve(w)
	x.environment(w)
	if !x.noClaims {
		x.others(w)
		x.collectors(w)
	}
}

// client: the application's wishes, and what the coordinator notices by itself.
func (x *model) client(w *world) {
	if w.alive == 0 {
		return
	}
	s := w.state()
	feed := func(what string, i int, fault bool, e Event) {
		n := *w
		x.feed(&n, e)
		x.emit(n, what, i, fault)
	}
	if s == StateActive {
		feed("the client sends COMMIT", -1, false, Event{Kind: EventCommit})
	}
	if s == StateActive || s == StatePreparing {
		feed("the client, or a drain, rolls back", -1, true, Event{Kind: EventRollback})
		for i := range x.uses {
			if w.sess[i] != sessAlive || w.lostTx(i) {
				feed("the coordinator notices that the transaction is lost at", i, true, Event{Kind: EventLost, Branch: i})
			}
		}
	}
	if s == StatePreparing {
		feed("votes take too long", -1, true, Event{Kind: EventTimeout})
	}
	if x.is("decide before all votes") && s == StatePreparing {
		for i := range x.uses {
			if w.at(i) == asked {
				feed("mutation: the vote is not awaited of", i, true, Event{Kind: EventVote, Branch: i, Vote: xa.Prepared})
			}
		}
	}
}

// lostTx: the local transaction is gone although the session lives.
func (w *world) lostTx(i int) bool {
	if i == 0 {
		return w.home == homeGone
	}
	return w.br[i] == brRolled
}

// session: connections die, and servers notice it.
func (x *model) session(w *world, i int) {
	switch w.sess[i] {
	case sessAlive:
		n := *w
		n.sess[i] = sessClosing
		x.emit(n, "network, lease or KILL cuts the session of", i, true)
		if w.state() == StateActive && w.alive == 1 && !w.lostTx(i) {
			n = *w
			x.loseTx(&n, i)
			x.emit(n, "error 1213 ends the local transaction of", i, true)
		}
	case sessClosing:
		n := *w
		x.endSession(&n, i)
		x.emit(n, "the server ends the session of", i, false)
	}
}

func (x *model) endSession(w *world, i int) {
	w.sess[i], w.cmd[i] = sessGone, cmdNone
	if i == 0 {
		w.unc = 0
	}
	x.loseTx(w, i)
}

// loseTx ends what is not prepared.
func (x *model) loseTx(w *world, i int) {
	switch {
	case i == 0 && w.home == homeOpen:
		w.home = homeGone
	case i > 0 && w.br[i] == brActive:
		w.br[i] = brRolled
	default:
		return
	}
	if x.uses[i] == LockingReader && (w.state() == StateActive || w.cmd[i] == cmdPing) && w.alive == 1 {
		w.readerLost = 1
	}
}

// command: a server executes what a session has received, and the reply arrives
// or not; or the coordinator gives the reply up while the command still is
// on its way.
func (x *model) command(w *world, i int) {
	if w.awaits(i) {
		n := *w
		n.hangUp(i)
		x.unknownReply(&n, i)
		x.emit(n, "no reply; the coordinator closes the session of", i, w.cmd[i] != cmdNone)
	}
	if w.sess[i] == sessGone || w.cmd[i] == cmdNone {
		return
	}
	if i == 0 {
		x.homeCommand(w)
	}
	if i > 0 || w.cmd[0] == cmdPing || w.cmd[0] == cmdCommit || w.cmd[0] == cmdRollback {
		x.branchCommand(w, i)
	}
}

// unknownReply gives the coordinator the event of a lost reply.
func (x *model) unknownReply(w *world, i int) {
	switch {
	case w.at(i) == asked:
		e := Event{Kind: EventVote, Branch: i, Vote: xa.NoVote, Effect: xa.EffectUnknown}
		if x.is("count a lost vote") {
			e.Vote = xa.Prepared
		}
		x.feed(w, e)
	case w.state() == StateDeciding:
		e := Event{Kind: EventDecided, Reply: ReplyUnknown}
		if x.is("guess aborted after a lost answer") || x.is("lost one-phase commit told as aborted") {
			e.Reply = ReplyNone
		}
		if x.is("guess committed after a lost answer") {
			e.Reply = ReplyDone
		}
		x.feed(w, e)
	default:
		x.feed(w, Event{Kind: EventEnded, Branch: i, End: EndUnknown})
	}
}

// answered emits the states in which the reply to a command arrives, and those
// in which it does not.
func (x *model) answered(n world, what string, i int, fault bool, e Event) {
	n.cmd[i] = cmdNone
	if !n.awaits(i) {
		x.emit(n, what+" (late), at", i, fault)
		return
	}
	l := n
	x.feed(&n, e)
	x.emit(n, what+", at", i, fault)
	l.hangUp(i)
	x.unknownReply(&l, i)
	x.emit(l, what+", its reply is lost, at", i, true)
}

func (x *model) branchCommand(w *world, i int) {
	n := *w
	isActive := i == 0 && w.home == homeOpen || i > 0 && w.br[i] == brActive
	ended := Event{Kind: EventEnded, Branch: i, End: EndFinished}
	notFound := Event{Kind: EventEnded, Branch: i, End: EndUnknown}
	no := Event{Kind: EventVote, Branch: i, Vote: xa.NoVote, Effect: xa.EffectNone}
	switch w.cmd[i] {
	case cmdPrepare:
		x.answered(n, "XA PREPARE fails", i, isActive, no)
		if isActive {
			n.br[i] = brPrepared
			x.answered(n, "XA PREPARE", i, false, Event{Kind: EventVote, Branch: i, Vote: xa.Prepared})
		}
	case cmdPing:
		if isActive || x.is("locking readers are not asked") {
			x.answered(n, "PING: in transaction", i, false, Event{Kind: EventVote, Branch: i, Vote: xa.ReadOnly})
		} else {
			x.answered(n, "PING: not in transaction", i, false, no)
		}
	case cmdCommit:
		switch {
		case i == 0 && isActive: // a reader
			n.home = homeGone
			x.answered(n, "COMMIT", i, false, ended)
		case i > 0 && isActive: // a reader
			n.br[i] = brRolled
			x.answered(n, "XA COMMIT ONE PHASE", i, false, ended)
		case i > 0 && w.br[i] == brPrepared:
			n.br[i] = brCommitted
			x.answered(n, "XA COMMIT", i, false, ended)
		default:
			x.answered(n, "XA COMMIT: NOTA", i, false, notFound)
		}
	case cmdRollback:
		switch {
		case i == 0:
			n.home = max(n.home, homeGone)
			x.answered(n, "ROLLBACK", i, false, ended)
		case isActive:
			n.br[i] = brRolled
			x.answered(n, "XA ROLLBACK", i, false, ended)
		case w.br[i] == brPrepared:
			n.br[i] = x.rolledBack(i)
			x.answered(n, "XA ROLLBACK", i, false, ended)
		default:
			x.answered(n, "XA ROLLBACK: NOTA", i, false, notFound)
		}
	case cmdOnePhase:
		x.answered(n, "XA COMMIT ONE PHASE fails", i, isActive, Event{Kind: EventDecided, Reply: ReplyNone})
		if isActive {
			n.br[i] = brCommitted
			x.answered(n, "XA COMMIT ONE PHASE", i, false, Event{Kind: EventDecided, Reply: ReplyDone})
		}
	}
}

func (x *model) rolledBack(i int) uint8 {
	if x.maria[i] {
		return brSoft
	}
	return brRolled
}

// homeCommand: what commits home's local transaction.
func (x *model) homeCommand(w *world) {
	n := *w
	none := Event{Kind: EventDecided, Reply: ReplyNone}
	switch w.cmd[0] {
	case cmdOnePhase:
		x.answered(n, "COMMIT fails", 0, w.home == homeOpen, none)
		if w.home == homeOpen {
			n.home, n.cmd[0] = homeDone, cmdReply
			x.emit(n, "COMMIT is visible at", 0, false)
		}
	case cmdDecide:
		x.claim(w)
	case cmdCommit2:
		n.unc, n.row, n.home, n.cmd[0] = 0, rowCommit, homeDone, cmdReply
		x.emit(n, "COMMIT of home and claim is visible at", 0, false)
	case cmdReply:
		if !w.flushed() {
			return // the flush is a step of its own
		}
		x.answered(n, "home's commit is durable", 0, false, Event{Kind: EventDecided, Reply: ReplyDone})
	}
}

// claim executes INSERT claim; COMMIT.
func (x *model) claim(w *world) {
	n := *w
	if w.home == homeGone {
		x.answered(n, "claim INSERT finds no transaction", 0, false, Event{Kind: EventDecided, Reply: ReplyNone})
		return
	}
	if w.row != rowNone {
		if x.is("COMMIT runs on behind a failed INSERT") {
			n.home = homeDone
		}
		x.answered(n, "claim INSERT: duplicate key", 0, false, Event{Kind: EventDecided, Reply: ReplyFenced})
		return
	}
	x.answered(n, "claim INSERT fails", 0, true, Event{Kind: EventDecided, Reply: ReplyNone})
	g := *w
	g.home = homeGone
	x.answered(g, "claim INSERT or COMMIT rolls home back", 0, true, Event{Kind: EventDecided, Reply: ReplyNone})
	if !x.twoStep {
		n.row, n.home, n.cmd[0] = rowCommit, homeDone, cmdReply
		x.emit(n, "commit of home and claim is visible at", 0, false)
		return
	}
	n.unc, n.cmd[0] = 1, cmdNone
	if w.awaits(0) {
		n.cmd[0] = cmdCommit2
	}
	x.emit(n, "claim INSERT; the COMMIT follows in its own packet, at", 0, false)
}

// resolve: the owner asks the claim store after a lost reply.
func (x *model) resolve(w *world) {
	if w.alive == 0 || w.res == resNone {
		return
	}
	n := *w
	trust := x.is("owner trusts its own late fence after a dead mark")
	live := w.mark == 0 || trust
	answer := func(what string, r FenceRead) {
		n.res = resNone
		r.Asker, r.OwnLive = xa.AskOwner, live
		x.feed(&n, Event{Kind: EventResolved, Outcome: ReadFence(r)})
		x.emit(n, what, 0, false)
	}
	switch w.res {
	case resSent:
		switch {
		case w.unc == 1:
		case live && w.row == rowNone && x.is("no fence"):
			answer("the owner reads no row: aborted, at", FenceRead{Row: xa.Aborted})
		case live && w.row == rowNone:
			n.row, n.res, n.older = rowAbort, resInserted, 0
			x.emit(n, "the owner's fence is inserted, at", 0, false)
		default:
			n.res = resRead
			x.emit(n, "the owner's fence is refused, at", 0, false)
		}
	case resInserted:
		live = true // it was, in the statement that inserted
		n.flush()
		answer("the owner's fence is acknowledged, at", FenceRead{Inserted: true})
	case resRead:
		if w.row == rowCommit && !x.is("act on a visible but not yet durable claim") {
			n.res = resFlush
			x.emit(n, "the owner reads a commit claim, at", 0, false)
			return
		}
		answer("the owner reads the claim, at", FenceRead{Row: outcomeOf(w.row), Flushed: true})
	case resFlush:
		n.flush()
		answer("the owner's barrier is durable, at", FenceRead{Row: xa.Committed, Flushed: true})
	}
}

func outcomeOf(row uint8) xa.Outcome {
	switch row {
	case rowCommit:
		return xa.Committed
	case rowAbort:
		return xa.Aborted
	}
	return xa.Undecided
}

// verb executes XA COMMIT or XA ROLLBACK from another session than the one that
// prepared, and calls with what the server answers.
func (x *model) verb(w *world, i int, o xa.Outcome, then func(n world, v Verb)) {
	n := *w
	if w.br[i] != brPrepared || x.maria[i] && w.sess[i] == sessAlive {
		then(n, VerbNotFound)
		return
	}
	if x.maria[i] && w.sess[i] == sessClosing {
		then(n, VerbNotFound)
		if x.is(notaIsDone) {
			return // that mutation is to be caught for NOTA alone
		}
		n.br[i] = brHidden
		then(n, VerbOK)
		return
	}
	n.br[i] = brCommitted
	if o == xa.Aborted {
		n.br[i] = x.rolledBack(i)
	}
	then(n, VerbOK)
}

// attempt runs NextFinish until it ends or has sent the verb.
func (x *model) attempt(w *world, i int, a Attempt, then func(n world, v Verb, end Finish)) {
	// The wait for the session also hides what believing NOTA would break.
	a.Bound = x.maria[i] && !x.is("MariaDB's OK from another session is done") && !x.is(notaIsDone)
	for {
		switch f := NextFinish(a); f {
		case FinishLook:
			a.Session = presence(w.sess[i] != sessGone)
		case FinishList:
			a.Listing = presence(w.br[i] == brPrepared)
		case FinishSend:
			x.verb(w, i, a.Outcome, func(n world, v Verb) {
				b := a
				b.Verb = v
				end := NextFinish(b)
				if v == VerbNotFound && x.is(notaIsDone) {
					end = FinishDone
				}
				then(n, v, end)
			})
			return
		case FinishKill:
			n := *w
			n.hangUp(i)
			then(n, VerbNotSent, f)
			return
		case FinishBusy, FinishRetry, FinishDone, FinishHeuristic:
			then(*w, a.Verb, f)
			return
		}
	}
}

func presence(is bool) Presence {
	if is {
		return Present
	}
	return Absent
}

// settle: the owner ends a branch through its Resource.
func (x *model) settle(w *world, i int) {
	if w.alive == 0 || w.st[i] == stNone {
		return
	}
	a := Attempt{Outcome: xa.Committed, Owner: xa.OwnerGone}
	if w.state() == StateAborting {
		a.Outcome = xa.Aborted
	}
	if w.st[i] == stNotFound {
		a.Verb = VerbNotFound
	}
	x.attempt(w, i, a, func(n world, v Verb, end Finish) {
		switch end {
		case FinishDone:
			if v == VerbOK {
				x.emit(n, "the owner's "+verbName(a.Outcome)+" is done, its reply is lost, at", i, true)
			}
			n.st[i] = stNone
			x.feed(&n, Event{Kind: EventEnded, Branch: i, End: EndFinished})
			x.emit(n, "the owner's "+verbName(a.Outcome)+" has finished the branch, at", i, false)
		case FinishList, FinishLook:
			n.st[i] = stNotFound
			x.emit(n, "the owner's "+verbName(a.Outcome)+" gets NOTA, at", i, false)
		case FinishKill, FinishRetry:
			n.st[i] = stWant
			x.emit(n, "the owner must try again, at", i, false)
		case FinishBusy, FinishSend, FinishHeuristic:
			panic("not possible for a settling owner")
		}
	})
}

func verbName(o xa.Outcome) string {
	if o == xa.Committed {
		return "XA COMMIT from another session"
	}
	return "XA ROLLBACK from another session"
}

// environment: crashes, flushes, dead marks, the death of the coordinator.
func (x *model) environment(w *world) {
	if !w.flushed() {
		n := *w
		n.flush()
		x.emit(n, "a flush at", 0, false)
	}
	if w.alive == 1 {
		x.die(w)
	}
	if w.mark == 0 && !x.noClaims {
		n := *w
		n.mark = 1
		// by others if it is dead, by itself if it has read its mark, which
		// need not have been durable
		x.emit(n, "the coordinator is marked dead at", 0, w.alive == 1 && w.state() != StateUnknown)
	}
	if w.mark == 1 && x.is(incarnationTwice) {
		n := *w
		n.mark = 0
		x.emit(n, "a process registers the dead incarnation again at", 0, true)
	}
	if w.homeCrashes > 0 {
		x.crashHome(w)
	}
	if x.is("home loses its last commit") && w.dHome == 1 {
		n := *w
		n.row, n.home, n.dRow, n.dHome = rowNone, homeGone, rowNone, 0
		x.emit(n, "a failover loses the last commit of", 0, true)
	}
	for i := 1; i < len(x.uses); i++ {
		if w.br[i] == brSoft {
			n := *w
			n.br[i] = brRolled
			x.emit(n, "a flush at", i, false)
		}
		if w.otherCrashes > 0 {
			n := *w
			n.otherCrashes--
			x.endSession(&n, i)
			if n.br[i] == brSoft || n.br[i] == brHidden {
				n.br[i] = brPrepared
			}
			x.emit(n, "kill -9 and restart of the server of", i, true)
		}
	}
}

// die: sessions close; commands on their way may still be executed. A verb that
// the Resource had under way is one of a recoverer that knows the outcome, and a
// fence under way is somebody's.
func (x *model) die(w *world) {
	n := *w
	n.alive = 0
	for i := range x.uses {
		n.hangUp(i)
		if n.st[i] != stNone {
			n.st[i] = stNone
			n.knowC |= b2u(w.state() == StateCommitting)
			n.knowA |= b2u(w.state() == StateAborting)
		}
	}
	n.res, n.machine = resNone, 0
	x.emit(n, "kill -9 of the coordinator", -1, true)
}

func (x *model) crashHome(w *world) {
	n := *w
	n.homeCrashes--
	n.row, n.mark, n.upto = w.dRow, w.dMark, w.dUpto
	n.home = homeGone
	if w.dHome == 1 {
		n.home = homeDone
	}
	if x.uses[0] == LockingReader && w.home == homeOpen && (w.state() == StateActive || w.cmd[0] == cmdPing) && w.alive == 1 {
		n.readerLost = 1
	}
	n.sess[0], n.cmd[0], n.unc, n.readC = sessGone, cmdNone, 0, 0
	if w.res != resNone {
		n.res = resSent
	}
	if w.alive == 0 {
		n.forget = 0
	}
	x.emit(n, "kill -9 and restart of the server of", 0, true)
}

// others: any number of recoverers and of people who ask for the outcome.
func (x *model) others(w *world) {
	if w.row == rowNone && w.unc == 0 {
		n := *w
		if x.is("no fence") {
			n.knowA = 1
			x.emit(n, "a recoverer reads no row: abort, at", 0, false)
		} else {
			n.row, n.older = rowAbort, 0
			x.emit(n, "somebody's fence is inserted, at", 0, !x.listed(w, 1) && !x.listed(w, 2))
			if x.is("the fence's own answer is told") {
				n.flush()
				n.askedA = 1
				x.emit(n, "mutation: the fence's own answer is told: aborted, at", 0, true)
			}
			if x.is("drop the abort claim because older sessions are gone") {
				n = *w
				n.row, n.older = rowAbort, 1
				x.emit(n, "a fence is inserted on a connection older than home's, at", 0, true)
			}
		}
	}
	read := FenceRead{Asker: xa.AskRecoverer, Row: outcomeOf(w.row)}
	if w.row == rowCommit && w.readC == 0 {
		n := *w
		n.readC = 1
		x.emit(n, "somebody reads the commit claim, at", 0, false)
	}
	if w.row == rowCommit && x.is("act on a visible but not yet durable claim") {
		read.Flushed = true
	}
	switch Ordered(ReadFence(read)) {
	case xa.Committed:
		n := *w
		n.knowC = 1
		x.emit(n, "somebody acts on the commit claim without a barrier, at", 0, false)
	case xa.Aborted:
		n := *w
		n.knowA = 1
		x.emit(n, "a recoverer reads the abort claim, at", 0, false)
	case xa.Undecided, xa.Unknown:
	}
	if w.readC == 1 && Ordered(ReadFence(FenceRead{Asker: xa.AskRecoverer, Row: xa.Committed, Flushed: true})) == xa.Committed {
		n := *w
		n.flush()
		n.knowC = 1
		x.emit(n, "the barrier of who read the commit claim is durable, at", 0, false)
	}
	x.asker(w)
	for i := 1; i < len(x.uses); i++ {
		if w.knowC == 1 {
			x.recoverer(w, i, xa.Committed)
		}
		if w.knowA == 1 {
			x.recoverer(w, i, xa.Aborted)
		}
	}
}

// asker: XA OUTCOME. Who is told to fence is somebody above.
func (x *model) asker(w *world) {
	s := Standing{Row: outcomeOf(w.row), Sequence: 1, CollectedUpto: uint64(w.upto)}
	switch {
	case x.is(nodeThenClaim):
		s.CollectedUpto = 0 // as it was at first
	case x.is(claimThenNode):
		if w.row == rowAbort && w.stale == 0 {
			n := *w
			n.stale = 1
			x.emit(n, "somebody who asks for the outcome reads the abort claim, at", 0, true)
		}
		s.Row = xa.Undecided
		if w.stale == 1 {
			s.Row = xa.Aborted
		}
	}
	if ReadOutcome(s) == ReportAborted {
		n := *w
		n.askedA = 1
		x.emit(n, "XA OUTCOME tells aborted, at", 0, true)
	}
}

// listed: XA RECOVER shows the branch.
func (x *model) listed(w *world, i int) bool { return w.br[i] == brPrepared }

// recoverer: somebody who knows, or once knew, the outcome finishes a branch. Its
// conclusion that the branch has ended has no consequence, so it is not kept.
func (x *model) recoverer(w *world, i int, o xa.Outcome) {
	a := Attempt{Outcome: o, Owner: xa.OwnerAlive}
	if w.mark == 1 {
		a.Owner = xa.OwnerGone
	}
	x.attempt(w, i, a, func(n world, v Verb, end Finish) {
		if n != *w {
			x.emit(n, "a recoverer's "+verbName(o)+", at", i, false)
		}
	})
}

// collectors: the owner and any number of others.
func (x *model) collectors(w *world) {
	remove := func(what string, fault bool) {
		n := *w
		if n.row == rowCommit && !x.is("collected_upto is not raised") {
			n.upto = 1
		}
		n.row, n.older = rowNone, 0
		x.emit(n, what, 0, fault)
	}
	if w.row != rowNone && w.forget == 1 && MayCollect(Evidence{Outcome: outcomeOf(w.row), Finished: true}) {
		remove("the owner collects the claim, at", false)
	}
	if x.is("forget early") && w.row == rowCommit && w.alive == 1 && w.state() == StateCommitting && (w.at(1) == ended || w.at(2) == ended) {
		remove("mutation: the owner collects the claim after the first XA COMMIT, at", false)
	}
	x.collectAbort(w, remove)
	x.collectCommit(w, remove)
}

func (x *model) collectAbort(w *world, remove func(string, bool)) {
	gone := w.sess[0] == sessGone || x.is("drop the abort claim early")
	if x.is("a connection id is compared without the server's run") && w.homeCrashes < x.homeCrashes {
		gone = false // another session has got the same id since
	}
	if x.is("drop the abort claim because older sessions are gone") {
		gone = gone || w.older == 1
	}
	may := MayCollect(Evidence{Outcome: outcomeOf(w.row), HomeGone: gone})
	if w.row == rowAbort && may {
		remove("a collector deletes the abort claim, at", false)
	}
	if x.is("the deletion does not name the outcome it read") {
		if w.row == rowAbort && may && w.stale == 0 {
			n := *w
			n.stale = 1
			x.emit(n, "a collector reads the abort claim and finds home's session gone, at", 0, false)
		}
		if w.row == rowCommit && w.stale == 1 {
			n := *w
			n.row = rowNone
			x.emit(n, "mutation: it deletes whatever the row says, at", 0, false)
		}
	}
}

func (x *model) collectCommit(w *world, remove func(string, bool)) {
	unmarked := x.is("foreign collects a commit row of an incarnation not marked dead")
	set := func(f func(n *world), what string, i int) {
		n := *w
		f(&n)
		if n != *w {
			x.emit(n, what, i, false)
		}
	}
	if x.is("listing before the row is read") {
		if !x.listed(w, 1) {
			set(func(n *world) { n.early1 = 1 }, "a collector's early listing lacks the branch, at", 1)
		}
		if len(x.uses) > 2 && !x.listed(w, 2) {
			set(func(n *world) { n.early2 = 1 }, "a collector's early listing lacks the branch, at", 2)
		}
	}
	if w.row == rowCommit && (w.mark == 1 || unmarked) {
		set(func(n *world) { n.col = 1 }, "a collector reads commit claim and dead mark, at", 0)
	}
	if w.col == 0 {
		return
	}
	miss1 := !x.listed(w, 1) || w.early1 == 1 || x.is(nobodyLists)
	miss2 := len(x.uses) < 3 || !x.listed(w, 2) || w.early2 == 1 || x.is(oneIsListed)
	if miss1 {
		set(func(n *world) {
			n.col1 = 1
			n.colReady |= b2u(len(x.uses) < 3) | n.col2
		}, "a collector's listing lacks the branch, at", 1)
	}
	if len(x.uses) > 2 && miss2 {
		set(func(n *world) {
			n.col2 = 1
			n.colReady |= n.col1
		}, "a collector's listing lacks the branch, at", 2)
	}
	dead := w.mark == 1 || unmarked || x.is("the mark is not checked in the deleting transaction")
	if w.row == rowCommit && w.colReady == 1 && MayCollect(Evidence{Outcome: xa.Committed, OwnerDead: dead, Unlisted: true}) {
		remove("the claim of a dead coordinator is collected, at", false)
	}
}
