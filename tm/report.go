package tm

import (
	"time"

	"xaproxy/xa"
)

// State is the answer to the question what became of a transaction.
type State uint8

// The states of commit-protocol §7.8. The zero value claims nothing.
const (
	NotKnown         State = iota // the question could not be answered; see the error
	Active                        // still under way at this proxy; nothing was changed by asking
	Committed                     // the commit is recorded and durable
	Aborted                       // nothing of it is or ever will be committed
	EndedNotRecorded              // ended longer ago than claims are kept; how is no longer known
)

func (s State) String() string {
	switch s {
	case NotKnown:
		return "NOT KNOWN"
	case Active:
		return "ACTIVE"
	case Committed:
		return "COMMITTED"
	case Aborted:
		return "ABORTED"
	case EndedNotRecorded:
		return "ENDED, NOT RECORDED"
	}
	return "invalid state"
}

// Report is what Manager.Outcome found out.
type Report struct {
	Global       xa.GlobalID
	Name         xa.GlobalName // decoded
	State        State
	Owner        OwnerState
	Participants []string // encoded bquals of the claim, if one was read
	Fenced       bool     // asking recorded the abort
}

// OwnerState is what this proxy knows about the incarnation that made a name.
type OwnerState uint8

// The owner states.
const (
	OwnerUnknown OwnerState = iota // never seen in a node table
	OwnerSelf                      // this incarnation
	OwnerLive                      // its beat moves, or has not stood still long enough
	OwnerDead                      // marked dead
)

func (o OwnerState) String() string {
	switch o {
	case OwnerUnknown:
		return "unknown"
	case OwnerSelf:
		return "self"
	case OwnerLive:
		return "live"
	case OwnerDead:
		return "dead"
	}
	return "invalid owner state"
}

// InDoubt is a prepared branch as a shard lists it.
type InDoubt struct {
	ID        xa.ID
	Shard     xa.ShardID    // where it is listed
	Name      xa.GlobalName // the gtrid, decoded
	Qualifier xa.Qualifier  // the bqual, decoded
	Seen      time.Duration // since this proxy saw it first, by its own clock
	Owner     OwnerState
	Live      bool // in this proxy's live table: its own phase two is at work
	Misplaced bool // its bqual names another shard: a copied or restored database; never touched
	NoHome    bool // home's shard number is not configured: never touched
}

// Action is what Resolve did with a branch.
type Action uint8

// The actions of a resolution.
const (
	LeftAlone   Action = iota // nothing was done; Err says why
	Finished                  // ended according to Outcome, and no longer listed by the shard
	StillListed               // the shard lists it still; Err says why
)

func (a Action) String() string {
	switch a {
	case LeftAlone:
		return "left alone"
	case Finished:
		return "finished"
	case StillListed:
		return "still prepared"
	}
	return "invalid action"
}

// Resolution is the result of Resolve for one branch, re-read from its shard.
type Resolution struct {
	ID      xa.ID
	Shard   xa.ShardID
	Outcome xa.Outcome // what the claim store says; Undecided when it could not be asked
	Action  Action
	Err     error
}

// Phase is where a live transaction stands.
type Phase uint8

// The phases of commit-protocol §7.2.
const (
	PhaseActive     Phase = iota // the session works
	PhaseOnePhase                // local commits, no protocol
	PhasePreparing               // S1
	PhaseDeciding                // S2
	PhaseResolving               // home's answer was lost: the claim store is asked
	PhaseCommitting              // S3
	PhaseAborting                // branches are rolled back
	PhaseUnknown                 // left to recovery (R9)
	PhaseEnded                   // finished everywhere
)

func (p Phase) String() string {
	switch p {
	case PhaseActive:
		return "active"
	case PhaseOnePhase:
		return "one phase"
	case PhasePreparing:
		return "preparing"
	case PhaseDeciding:
		return "deciding"
	case PhaseResolving:
		return "resolving"
	case PhaseCommitting:
		return "committing"
	case PhaseAborting:
		return "aborting"
	case PhaseUnknown:
		return "unknown"
	case PhaseEnded:
		return "ended"
	}
	return "invalid phase"
}

// LiveTxn is a snapshot of one transaction of this process that has a gtrid.
type LiveTxn struct {
	// Global is the gtrid, "" before S1 has begun and for transactions that end
	// without a claim: asking for the outcome of one records an abort, while it
	// may commit.
	Global   xa.GlobalID
	Phase    Phase
	Age      time.Duration // since the gtrid was made
	Home     xa.SessionID
	Sessions []xa.SessionID // of the branches besides home
	Pending  []xa.ShardID   // where phase two goes on
}

// NodeView is one incarnation of a proxy as this proxy sees it.
type NodeView struct {
	Node        uint32
	Incarnation uint32
	State       OwnerState
	Endpoint    string
	Still       time.Duration // since its beat last moved, by this proxy's clock
	Shards      []xa.ShardID  // whose node tables show it
	DeadAt      []xa.ShardID  // of those, where it is marked dead
}

// Counters are totals since the manager was made, for metrics.
type Counters struct {
	Live            int   // transactions with a gtrid that are not finished
	InDoubt         int   // prepared branches in the last complete listings
	Misplaced       int   // of those, branches that are never touched
	CommitsLocal    int64 // without writers, or one branch
	CommitsOnePhase int64 // one writer among several branches
	CommitsTwoPhase int64 // with a claim
	Aborts          int64 // of those that were to be committed
	Unknowns        int64
	Fenced          int64 // own transactions whose claim met somebody's abort
	Resolving       int64 // lost answers to a decide
	PendingCommits  int64 // commits that were answered before phase two had finished
	Recovered       int64 // branches finished by the recovery loop
	RecoveredAbort  int64 // of those, rolled back
	Heuristics      int64
	MarkedDead      int64 // incarnations this proxy found dead
	Reincarnations  int64 // times this proxy had to take a new incarnation
	Collected       int64 // claims
	RecoveryRuns    int64
	RecoveryErrors  int64 // shards skipped by a run
}
