// Package xa says what a branch of a distributed transaction and a resource
// manager are: their names, their votes, what is known about a call that
// failed, and the interfaces that the transaction manager drives. It does not
// know SQL, networks, time or logging, and performs no I/O.
//
// The model is that of X/Open's "Distributed Transaction Processing: The XA
// Specification" (1991): a global transaction (gtrid) has branches (bqual) at
// resource managers. What is added is the claim: a write-once record, named by
// the gtrid, of how the transaction ends. Whoever inserts it first decides.
//
// Values of this package are immutable and safe for concurrent use. Promises
// about durability are made by each interface's implementation and stated at
// its methods.
package xa

import (
	"context"
	"iter"
)

// ShardID is the permanent number of a shard, written into the shard itself
// (xaproxy.meta). Names and the order in a configuration file mean nothing to
// the protocol; this number does. Valid numbers are 0 to MaxShard.
type ShardID uint16

// MaxShard is the highest shard number that a name can carry (15 bits).
const MaxShard ShardID = 1<<15 - 1

// Vote is a branch's answer to the request to prepare.
type Vote uint8

// The votes. The zero value promises nothing, so that a forgotten assignment
// can not be counted as a yes.
const (
	NoVote   Vote = iota // the branch will not, or is not known to, commit
	Prepared             // durable promise to commit or roll back when told
	ReadOnly             // nothing to make durable; still open, its locks still held
)

func (v Vote) String() string {
	switch v {
	case NoVote:
		return "no"
	case Prepared:
		return "prepared"
	case ReadOnly:
		return "read only"
	}
	return "invalid vote"
}

// Outcome is how a global transaction ends, as far as the asked one can know.
type Outcome uint8

// The outcomes.
const (
	Undecided Outcome = iota // nothing recorded, and nothing was changed by asking
	Committed                // the commit claim is recorded and durable
	Aborted                  // an abort is recorded, or no commit was or ever will be proposed
	Unknown                  // cannot be known here; never to be guessed (commit-protocol R9)
)

func (o Outcome) String() string {
	switch o {
	case Undecided:
		return "undecided"
	case Committed:
		return "committed"
	case Aborted:
		return "aborted"
	case Unknown:
		return "unknown"
	}
	return "invalid outcome"
}

// Branch is open work of one global transaction at one resource. It is used by
// one goroutine at a time; the manager serializes the calls.
type Branch interface {
	// ID names the branch. A branch that was opened without a name (home, and
	// the only branch of a transaction that touched one shard) returns an ID
	// whose Branch is its encoded qualifier and whose Global may be empty until
	// the manager has made the gtrid.
	ID() ID
	// Wrote reports whether anything that may have changed data was sent to the
	// branch. It is a statement about what was sent, not about what happened.
	Wrote() bool
	// Prepare asks for the vote. A branch that only read is asked whether its
	// transaction still exists and answers ReadOnly. An error means NoVote;
	// EffectOf(err) == EffectUnknown means that the branch may nevertheless be
	// prepared, now or later (a suspect).
	Prepare(ctx context.Context) (Vote, error)
	// Commit ends a prepared branch by committing it on its own session, or a
	// branch that was not asked to prepare in one phase.
	Commit(ctx context.Context) error
	// Rollback ends the branch, prepared or not, on its own session.
	Rollback(ctx context.Context) error
}

// Home is the branch whose own local transaction carries the decision.
type Home interface {
	Branch
	// CommitClaim writes the decision and commits it together with the
	// branch's own work in one local commit; nil means both are durable.
	// errors.Is(err, ErrFenced): somebody recorded an abort first, nothing was
	// committed. EffectNone: certainly not committed. EffectUnknown: ask the
	// claim store.
	CommitClaim(ctx context.Context, d Decision) error
}

// Owner says what is known about the process that opened a branch, and so
// whether the branch's session may be killed.
type Owner uint8

// The owners.
const (
	OwnerAlive Owner = iota // leave its session alone; report ErrBusy when it is in the way
	OwnerGone               // marked dead, or it is we and the session is lost to us: KILL and wait
)

// Resource settles prepared branches after their session is gone. Its methods
// may be called concurrently. Commit and Rollback are idempotent and verified:
// nil means that the branch is known to be ended that way and that nothing of
// it can appear later (commit-protocol §7.4).
type Resource interface {
	// Shard is the resource's permanent number.
	Shard() ShardID
	// Name is the resource's configured name, for people.
	Name() string
	// InDoubt lists the prepared branches that carry our format id, this
	// cluster's id and a well-formed name. An error ends the sequence; then
	// nothing may be concluded from what was not listed.
	InDoubt(ctx context.Context) iter.Seq2[ID, error]
	// Commit commits a branch whose transaction is decided Committed.
	Commit(ctx context.Context, id ID, o Owner) error
	// Rollback rolls back a branch whose transaction is decided Aborted.
	Rollback(ctx context.Context, id ID, o Owner) error
}

// Decision is the content of a claim.
type Decision struct {
	Global       GlobalID
	Outcome      Outcome  // Committed or Aborted
	Participants []string // encoded bquals of every writing branch except home; empty for a fence
}

// Asker says who asks a claim store for an outcome.
type Asker uint8

// The askers.
const (
	AskRecoverer Asker = iota // anybody but the incarnation that created the gtrid
	AskOwner                  // the creating incarnation itself: rule R9 applies
)

// ClaimStore is the write-once register of outcomes at one resource. Safe for
// concurrent use.
type ClaimStore interface {
	// Fence records Aborted if nothing is recorded for g and returns what is
	// recorded afterwards: Committed (durable: rule R10's barrier has passed),
	// Aborted, or, only for AskOwner, Unknown (rule R9). An answer never
	// changes. An error says nothing about the outcome: ask again.
	// kill permits ending home's session, as named in g, when it stands in the way.
	Fence(ctx context.Context, g GlobalID, a Asker, o Owner) (Outcome, error)
	// Peek returns what is recorded without changing anything: Undecided when
	// there is no row. Committed is durable (R10).
	Peek(ctx context.Context, g GlobalID) (Record, error)
	// Sweep lists what is recorded, for collection.
	Sweep(ctx context.Context) iter.Seq2[Claim, error]
	// Collect removes the claims, where they still say what they said; the
	// caller has checked rules R1 to R4. Before a commit is gone, collected_upto
	// of its owner has been raised, durably. AskOwner: all commits among them are
	// the caller's own incarnation's. AskRecoverer: a commit whose owner is not
	// marked dead fails the call; the mark is checked by Collect itself and is
	// durable before anything is removed (R2: one that was read earlier may have
	// been visible but not durable).
	Collect(ctx context.Context, a Asker, claims []Claim) error
	// HomeGone reports whether the session that g names as home's can no longer
	// commit: absent from the server's session list, or the server's run over
	// (rule R3).
	HomeGone(ctx context.Context, g GlobalID) (bool, error)
}

// Record is what one reading, in one statement, found of a claim and of the row
// of the incarnation that made its gtrid.
type Record struct {
	Decision             // Undecided: no claim
	OwnerDead     bool   // marked dead here
	CollectedUpto uint64 // of the owner here; 0 without a row
}

// Claim is a recorded decision and its age by the server's own clock.
type Claim struct {
	Decision
	AgeMillis int64 // since it was recorded, in milliseconds, by the server's clock
}

// Node is one incarnation of a proxy as a shard's node table shows it.
type Node struct {
	ID            uint32
	Incarnation   uint32
	Dead          bool
	Beat          uint64 // changes while it lives
	CollectedUpto uint64 // highest sequence of a commit claim deleted at this shard
	Endpoint      string // where its admin port listens, for people
}

// NodeStore is the table of proxies at one resource. Safe for concurrent use.
type NodeStore interface {
	// Nodes lists all incarnations recorded here.
	Nodes(ctx context.Context) ([]Node, error)
	// Register records a live incarnation; an error wrapping ErrDead means that
	// the row exists and is marked dead.
	Register(ctx context.Context, n Node) error
	// Beat raises the beat of a live incarnation and returns its row as it is
	// now, so that a proxy learns that it was marked dead.
	Beat(ctx context.Context, node, incarnation uint32) (Node, error)
	// MarkDead marks an incarnation dead, whether or not it ever wrote here.
	MarkDead(ctx context.Context, node, incarnation uint32) error
	NodeLock
}

// NodeLock keeps two processes from using one node id at one resource.
type NodeLock interface {
	// Hold takes the node's name lock on a session that lives until release is
	// called or ctx's owner dies. ErrHeld: somebody else has it.
	Hold(ctx context.Context, node uint32) (release func(), err error)
	// KillHolder ends the session that holds the node's name lock.
	KillHolder(ctx context.Context, node uint32) error
}
