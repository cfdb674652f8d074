package protocol

import (
	"fmt"

	"xaproxy/xa"
)

// This file is the world in which the exhaustive test runs the production step
// functions: the servers, what travels between them and the processes, and
// everybody but the coordinator's Machine.
//
// A sleeping process needs no state of its own: every step of every process may
// come at any time or never, so a zombie is a coordinator whose next step comes
// after a dead mark. Recoverers, collectors and askers exist in any number: what
// some of them has learned is a bit that stays set, and whoever learned it may
// act on it at any later time (or never). That contains every behaviour of two
// recoverers and the owner's own recovery.

// Rows of the claim table.
const (
	rowNone = iota
	rowCommit
	rowAbort
)

// Home's local transaction.
const (
	homeOpen = iota
	homeGone
	homeDone
)

// Branches at other servers than home.
const (
	brActive    = iota // a reader's local transaction, or a writer's before XA PREPARE
	brPrepared         // listed by XA RECOVER
	brCommitted        // not listed any more, so durable
	brRolled
	brSoft   // rolled back, but not flushed (MariaDB): prepared again after a crash
	brHidden // MariaDB answered OK without doing it: not listed, locked, prepared again after a crash
)

// Sessions: closing is one whose client is gone, or that was killed, and that
// still is in the process list; what it has received may still be executed.
const (
	sessAlive = iota
	sessClosing
	sessGone
)

// Commands that a session has received, or will.
const (
	cmdNone     = iota
	cmdPrepare  //
	cmdPing     //
	cmdCommit   // XA COMMIT, or the end of a reader
	cmdRollback //
	cmdOnePhase //
	cmdDecide   // INSERT claim; COMMIT
	cmdCommit2  // the COMMIT alone, when the INSERT was sent before it
	cmdReply    // committed at home; the reply waits for the flush
)

// The owner's attempt to settle a branch through its Resource.
const (
	stNone = iota
	stWant
	stNotFound
)

// The owner's question to the claim store.
const (
	resNone = iota
	resSent
	resInserted
	resRead
	resFlush // read a commit claim; the barrier is missing
)

// What the client was told.
const (
	toldNothing = iota
	toldCommitted
	toldAborted
	toldUnknown
)

// world is one state. Index 0 is home.
type world struct {
	row, home, mark, upto, unc uint8 // visible at home's server; unc: an inserted, uncommitted claim
	dRow, dHome, dMark, dUpto  uint8 // on its disk; dHome: home's commit
	older                      uint8 // the abort row was inserted on a connection older than home's
	cmd, sess, br, st          [3]uint8
	machine                    uint32
	alive, told, res, forget   uint8
	readC, knowC, knowA        uint8 // others: read C without barrier; know C; know A
	askedA                     uint8 // somebody was told Aborted by XA OUTCOME
	col, col1, col2, colReady  uint8 // collectors: read C and mark; then missed branch 1, 2, all in a listing
	stale                      uint8 // mutations: somebody has read an abort row
	early1, early2             uint8 // mutation: a listing from before the row was read lacks the branch
	readerLost                 uint8 // a locking reader was lost before it was asked
	busy                       uint8 // a verb was sent to a session that executes one
	homeCrashes, otherCrashes  uint8 // left
}

// scenario is a family of worlds.
type scenario struct {
	name         string
	uses         []Use
	maria        [3]bool
	homeCrashes  uint8
	otherCrashes uint8
	noClaims     bool // nobody asks for an outcome or fences
	twoStep      bool // claim INSERT and COMMIT are two packets
	broken       string
}

// symmetric reports whether branches 1 and 2 can be exchanged.
func (s *scenario) symmetric() bool {
	return len(s.uses) == 3 && s.uses[1] == s.uses[2] && s.maria[1] == s.maria[2] && s.broken != "listing before the row is read"
}

func (s *scenario) is(mutation string) bool { return s.broken == mutation }

// reply is one memoized step of the production machine.
type reply struct {
	machine uint32
	actions []Action
}

// model generates the successors of worlds.
type model struct {
	scenario
	memo map[[2]uint32]reply
	emit func(w world, what string, i int, fault bool)
}

func newModel(s scenario) *model {
	return &model{scenario: s, memo: map[[2]uint32]reply{}}
}

func (x *model) config() Config {
	c := Config{Global: "g"}
	for i, u := range x.uses {
		c.Branches = append(c.Branches, Branch{Name: fmt.Sprint(i), Use: u})
	}
	return c
}

func (x *model) first() world {
	return world{
		alive: 1, machine: packMachine(New(x.config())),
		homeCrashes: x.homeCrashes, otherCrashes: x.otherCrashes,
	}
}

// packMachine keeps what a machine's future depends on.
func packMachine(m *Machine) uint32 {
	v := uint32(m.state)
	if m.homeOver {
		v |= 1 << 4
	}
	if m.path == pathLocal && m.reason != ReasonNone {
		v |= 1 << 17
	}
	for i, b := range m.branches {
		n := uint32(b.at)
		if b.prepared {
			n |= 8
		}
		v |= n << (5 + 4*i)
	}
	return v
}

func (x *model) unpackMachine(v uint32) *Machine {
	m := New(x.config())
	m.state = State(v & 15)
	m.homeOver = v>>4&1 == 1
	if v>>17&1 == 1 {
		m.reason = ReasonLost
	}
	for i := range m.branches {
		n := v >> (5 + 4*i) & 15
		m.branches[i] = member{at: progress(n & 7), prepared: n&8 != 0}
	}
	return m
}

func (w *world) state() State { return State(w.machine & 15) }

func (w *world) at(i int) progress { return progress(w.machine >> (5 + 4*i) & 7) }

// awaits reports whether the coordinator waits for a reply on branch i's session.
func (w *world) awaits(i int) bool {
	return w.alive == 1 && !w.state().Ended() && (w.at(i) == asked || w.at(i) == ending)
}

// feed gives an event to the production machine and executes its actions as far
// as a driver can: requests are on their way.
func (x *model) feed(w *world, e Event) {
	code := uint32(e.Kind) | uint32(e.Branch)<<4 | uint32(e.Vote)<<8 | uint32(e.Effect)<<11 |
		uint32(e.Reply)<<14 | uint32(e.Outcome)<<17 | uint32(e.End)<<20
	k := [2]uint32{w.machine, code}
	r, ok := x.memo[k]
	if !ok {
		m := x.unpackMachine(w.machine)
		r.actions = m.Step(e)
		r.machine = packMachine(m)
		x.memo[k] = r
	}
	w.machine = r.machine
	for _, a := range r.actions {
		x.perform(w, a)
	}
}

func (x *model) perform(w *world, a Action) {
	switch a.Kind {
	case ActionPrepare:
		w.send(a.Branch, cmdPrepare)
	case ActionPing:
		w.send(a.Branch, cmdPing)
	case ActionDecide:
		w.send(0, cmdDecide)
	case ActionOnePhase:
		w.send(a.Branch, cmdOnePhase)
	case ActionResolve:
		w.res = resSent
	case ActionCommit:
		w.send(a.Branch, cmdCommit)
	case ActionRollback:
		w.send(a.Branch, cmdRollback)
	case ActionSettle:
		w.st[a.Branch] = stWant
		w.hangUp(a.Branch)
	case ActionAbandon:
		w.hangUp(a.Branch)
	case ActionSuspect, ActionHeuristic:
	case ActionAnswer:
		switch a.Outcome {
		case xa.Committed:
			w.told = toldCommitted
		case xa.Aborted:
			w.told = toldAborted
		case xa.Unknown, xa.Undecided:
			w.told = toldUnknown
		}
	case ActionForget:
		w.forget = 1
	}
}

func (w *world) send(i int, cmd uint8) {
	switch {
	case w.sess[i] == sessAlive && w.cmd[i] != cmdNone:
		w.busy = 1
	case w.sess[i] != sessGone && w.cmd[i] == cmdNone:
		w.cmd[i] = cmd // if it is closing: the coordinator need not have noticed
	}
}

func (w *world) hangUp(i int) {
	if w.sess[i] == sessAlive {
		w.sess[i] = sessClosing
	}
}

func (w *world) flush() {
	w.dRow, w.dHome, w.dMark, w.dUpto = w.row, b2u(w.home == homeDone), w.mark, w.upto
}

func (w *world) flushed() bool {
	return w.dRow == w.row && w.dHome == b2u(w.home == homeDone) && w.dMark == w.mark && w.dUpto == w.upto
}

func b2u(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// violation says which invariant the state breaks.
func (x *model) violation(w *world) string {
	var committed, aborted bool
	if x.uses[0] == Writer {
		committed, aborted = w.home == homeDone, w.home == homeGone
	}
	for i := 1; i < len(x.uses); i++ {
		if x.uses[i] == Writer {
			committed = committed || w.br[i] == brCommitted
			aborted = aborted || w.br[i] == brRolled || w.br[i] == brSoft
		}
	}
	saidC := w.told == toldCommitted || w.knowC == 1
	saidA := w.told == toldAborted || w.askedA == 1
	switch {
	case committed && aborted:
		return "one branch is committed and another is rolled back"
	case saidC && saidA:
		return "committed and aborted were both told"
	case saidC && aborted:
		return "committed was told, a branch is rolled back"
	case saidA && committed:
		return "aborted was told, a branch is committed"
	case w.busy == 1 && x.broken == "":
		return "a verb was sent to a session that still executed another"
	case w.readerLost == 1 && (committed || saidC):
		return "committed although a locking reader had lost its locks before it was asked"
	}
	return ""
}

// clean reports that nothing is left: no prepared, hidden or open branch, no
// claim.
func (x *model) clean(w *world) bool {
	if w.row != rowNone || w.home == homeOpen {
		return false
	}
	for i := 1; i < len(x.uses); i++ {
		if b := w.br[i]; b == brActive || b == brPrepared || b == brHidden {
			return false
		}
	}
	return true
}

// pack makes a state comparable and small; with two equal branches it chooses
// one of the two orders.
func (x *model) pack(w *world) [2]uint64 {
	if x.symmetric() && w.weight(1) > w.weight(2) {
		s := *w
		s.cmd[1], s.cmd[2] = w.cmd[2], w.cmd[1]
		s.sess[1], s.sess[2] = w.sess[2], w.sess[1]
		s.br[1], s.br[2] = w.br[2], w.br[1]
		s.st[1], s.st[2] = w.st[2], w.st[1]
		s.col1, s.col2 = w.col2, w.col1
		s.machine = w.machine&^(0xff<<9) | w.machine>>9&15<<13 | w.machine>>13&15<<9
		return packWorld(&s)
	}
	return packWorld(w)
}

// weight is all that belongs to one of two equal branches.
func (w *world) weight(i int) uint32 {
	c := w.col1
	if i == 2 {
		c = w.col2
	}
	return uint32(w.cmd[i]) | uint32(w.sess[i])<<4 | uint32(w.br[i])<<6 | uint32(w.st[i])<<9 |
		w.machine>>(5+4*i)&15<<11 | uint32(c)<<15
}

// bits writes and reads small numbers in two words, none across both.
type bits struct {
	k [2]uint64
	n uint
}

func (b *bits) put(v uint8, width uint) {
	if b.n < 64 && b.n+width > 64 {
		b.n = 64
	}
	b.k[b.n>>6] |= uint64(v) << (b.n & 63)
	b.n += width
}

func (b *bits) get(width uint) uint8 {
	if b.n < 64 && b.n+width > 64 {
		b.n = 64
	}
	v := b.k[b.n>>6] >> (b.n & 63) & (1<<width - 1)
	b.n += width
	return uint8(v)
}

func packWorld(w *world) [2]uint64 {
	var b bits
	for i := range 3 {
		b.put(w.cmd[i], 4)
		b.put(w.sess[i], 2)
		b.put(w.br[i], 3)
		b.put(w.st[i], 2)
	}
	b.put(w.row, 2)
	b.put(w.home, 2)
	b.put(w.dRow, 2)
	b.put(w.told, 2)
	b.put(w.res, 3)
	b.put(w.homeCrashes, 2)
	b.put(w.otherCrashes, 2)
	for _, p := range w.flags() {
		b.put(*p, 1)
	}
	b.k[1] |= uint64(w.machine) << 32
	return b.k
}

func unpackWorld(k [2]uint64) world {
	var w world
	b := bits{k: k}
	for i := range 3 {
		w.cmd[i] = b.get(4)
		w.sess[i] = b.get(2)
		w.br[i] = b.get(3)
		w.st[i] = b.get(2)
	}
	w.row = b.get(2)
	w.home = b.get(2)
	w.dRow = b.get(2)
	w.told = b.get(2)
	w.res = b.get(3)
	w.homeCrashes = b.get(2)
	w.otherCrashes = b.get(2)
	for _, p := range w.flags() {
		*p = b.get(1)
	}
	w.machine = uint32(k[1] >> 32)
	return w
}

func (w *world) flags() [22]*uint8 {
	return [...]*uint8{
		&w.mark, &w.upto, &w.unc, &w.dHome, &w.dMark, &w.dUpto, &w.older, &w.alive, &w.forget, &w.readC, &w.knowC, &w.knowA,
		&w.askedA, &w.col, &w.col1, &w.col2, &w.colReady, &w.stale, &w.early1, &w.early2, &w.readerLost, &w.busy,
	}
}
