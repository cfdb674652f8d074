// Package protocol decides what happens next in the atomic commit of one global
// transaction: at its coordinator (Machine), at whoever finds a branch in doubt
// (Recoverer), and for whoever reads or deletes what others recorded (ReadFence,
// ReadOutcome, ReadFinish, MayCollect). It does not know time, contexts,
// goroutines, networks, SQL or logging, and performs no I/O: a driver executes
// the actions and feeds their replies back as events.
//
//	ACTIVE --COMMIT--> PREPARING --all yes--> DECIDING --C--> COMMITTING --all finished--> ENDED(C)
//	   |                   |                     |  \--unknown--> RESOLVING --C--> COMMITTING
//	   |ROLLBACK/lost      |any no/timeout       |dup                   |--A--> ABORTING
//	   v                   v                     v                      \--dead mark--> UNKNOWN
//	 ABORTING <------------+---------------------+
//	 ABORTING --all finished or unlisted--> ENDED(A)
//
// The number of branches that wrote chooses the path. None: every branch is
// committed locally. One: readers that hold locks are asked whether they still
// exist, then that writer commits in one phase (DECIDING; a lost reply is
// UNKNOWN, for no record exists). Two or more: every writer but home prepares,
// then home commits the claim together with its own work.
//
// What must hold, whatever fails (docs/decisions/0003-protocol-core.md says how
// it is checked; the numbers are those of the design):
//
//	I1 only the coordinator proposes Commit, once, after every writer but home prepared
//	I2 a prepared branch is committed only after the claim is known to say Commit
//	I3 it is rolled back only after the claim is known to say Abort, or by a
//	   coordinator that has not proposed Commit, and then never will
//	I8 the client is told Committed or Aborted only when that is known
//
// Values are not safe for concurrent use; functions are pure.
package protocol

import "xaproxy/xa"

// Use says how a branch was used: a statement about what was sent, not about
// what happened. The zero value is the careful one.
type Use uint8

// The uses.
const (
	Writer        Use = iota // something that may have changed data was sent
	LockingReader            // only reads, and some of them took locks
	Reader                   // only reads that took no locks
)

// Branch describes one branch of a transaction at the moment it ends.
type Branch struct {
	Name string // encoded bqual
	Use  Use
}

// Config describes the transaction that a Machine is to end.
type Config struct {
	Global   xa.GlobalID // may be empty when fewer than two branches exist
	Branches []Branch    // Branches[0] is home
}

// State is where a transaction stands at its coordinator.
type State uint8

// The states.
const (
	StateActive         State = iota // open; nothing of the protocol was sent
	StatePreparing                   // votes are being collected, or locking readers asked
	StateDeciding                    // the claim, or the one-phase commit, is on its way
	StateResolving                   // its reply was lost: the claim store is asked
	StateCommitting                  // decided: branches are being committed
	StateAborting                    // decided: branches are being rolled back
	StateEndedCommitted              // every branch has ended, committed
	StateEndedAborted                // every branch has ended, nothing committed
	StateUnknown                     // the coordinator cannot know; recovery ends the branches
)

// Ended reports whether the machine emits nothing any more.
func (s State) Ended() bool {
	return s == StateEndedCommitted || s == StateEndedAborted || s == StateUnknown
}

// Reason says why a transaction did not commit, or why its outcome is unknown.
type Reason uint8

// The reasons.
const (
	ReasonNone         Reason = iota
	ReasonAsked               // a rollback was asked for
	ReasonLost                // a branch's local transaction ended by itself
	ReasonVote                // a branch is not known to be able to commit
	ReasonTimeout             // votes did not arrive in time
	ReasonFenced              // somebody recorded an abort first
	ReasonNotDecided          // the claim, or the one-phase commit, was certainly not committed
	ReasonOnePhaseLost        // the reply to a one-phase commit was lost; no record of it exists
	ReasonMarkedDead          // this incarnation was marked dead: its claim may have been collected (R9)
)

// EventKind names what happened.
type EventKind uint8

// The events; in brackets the fields of Event that carry the details.
const (
	EventCommit   EventKind = iota + 1 // commit was asked for
	EventRollback                      // rollback was asked for; ignored from DECIDING on
	EventLost                          // a branch's local transaction is gone [Branch]; ignored from DECIDING on
	EventVote                          // reply to ActionPrepare or ActionPing [Branch, Vote, Effect]
	EventTimeout                       // the votes took too long; outstanding ones must still be reported
	EventDecided                       // reply to ActionDecide or ActionOnePhase [Reply]
	EventResolved                      // reply to ActionResolve [Outcome; Undecided: no answer, ask again]
	EventEnded                         // reply to ActionCommit, ActionRollback or ActionSettle [Branch, End]
)

// Reply is what is known about the act that decides.
type Reply uint8

// The replies. The zero value is the careful one.
const (
	ReplyUnknown Reply = iota // it may have been committed, or may still be
	ReplyDone                 // committed and durable
	ReplyFenced               // an abort was recorded first: certainly not committed
	ReplyNone                 // certainly not committed, and never will be
)

// End is what is known about a branch that was told to end.
type End uint8

// The ends. The zero value is the careful one.
const (
	EndUnknown   End = iota // not known to have ended: go on through the Resource
	EndFinished             // ended the way it was told to
	EndHeuristic            // ended by the server against the decision
)

// Event is one thing that happened. Fields that the kind does not name are
// ignored.
type Event struct {
	Kind    EventKind
	Branch  int
	Vote    xa.Vote
	Effect  xa.Effect
	Reply   Reply
	Outcome xa.Outcome
	End     End
}

// ActionKind names what a driver must do.
type ActionKind uint8

// The actions; in brackets the fields of Action that carry the details, then
// the event that must report the result (none: nothing is reported).
const (
	// ActionPrepare asks a writer for its vote [Branch] EventVote.
	ActionPrepare ActionKind = iota + 1
	// ActionPing asks a locking reader whether its transaction still exists,
	// by the same call (Branch.Prepare) [Branch] EventVote.
	ActionPing
	// ActionDecide proposes Commit to the register [Decision] EventDecided. It
	// is emitted at most once. Where the register is, is the driver's business.
	ActionDecide
	// ActionOnePhase commits the only writer on its own session [Branch]
	// EventDecided.
	ActionOnePhase
	// ActionResolve asks the claim store, as owner, on another connection
	// (Fence with AskOwner) EventResolved. Home's session is closed first.
	ActionResolve
	// ActionCommit commits a branch on its own session: a prepared writer, or a
	// reader, which is merely ended [Branch] EventEnded.
	ActionCommit
	// ActionRollback rolls a branch back on its own session [Branch] EventEnded.
	ActionRollback
	// ActionSettle ends a branch through its Resource and repeats, however long
	// it takes [Branch, Outcome] EventEnded with EndFinished or EndHeuristic.
	// The branch's own session is closed first.
	ActionSettle
	// ActionAbandon closes a branch's session and sends nothing [Branch].
	ActionAbandon
	// ActionSuspect says that a verb sent to the branch may still be executing:
	// recovery must look at it even while it is in the live table [Branch].
	ActionSuspect
	// ActionHeuristic says that a branch ended against the decision: record it
	// and raise the alarm [Branch].
	ActionHeuristic
	// ActionAnswer says that from now on the client may be told
	// [Outcome, Reason, Branch: which one was the cause, -1 none]. It is emitted
	// exactly once. The driver may hold it back until the machine has ended.
	ActionAnswer
	// ActionForget says that whatever claim exists or will exist, nothing acts
	// on it any more [Outcome]: the owner may collect it once it is old enough
	// (R1 or R3 holds; R4 is left). A two-phase transaction that ended without
	// it must be remembered by the owner as one whose claim is not his to collect.
	ActionForget
)

// Action is one thing to do. Actions returned by one call of Step may run in
// parallel.
type Action struct {
	Kind     ActionKind
	Branch   int
	Outcome  xa.Outcome
	Reason   Reason
	Decision xa.Decision
}
