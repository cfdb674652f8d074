package protocol

import "xaproxy/xa"

// Sighting is what a recovery pass knows about one branch that a complete,
// error-free listing of a shard contains.
type Sighting struct {
	Misplaced   bool  // bqual's shard is not the one that lists it
	HomeKnown   bool  // the gtrid's home shard is one of ours
	InLiveTable bool  // the lister is its owner and still drives it
	Suspect     bool  // ActionSuspect was emitted for it
	OwnerLive   bool  // the incarnation that created it is not marked dead
	SeenMillis  int64 // since the lister first saw it, by the lister's own monotonic clock
	GraceMillis int64
}

// Plan is what a recovery pass does about a sighting.
type Plan uint8

// The plans. The zero value does nothing.
const (
	PlanSkip       Plan = iota // leave it: its owner is at work
	PlanQuarantine             // never resolve it by itself: alert
	PlanResolve                // ask home, as PlanOutcome says; then settle
)

// Consider says what to do about a listed branch.
func Consider(s Sighting) Plan { return PlanSkip }

// Ordered says what to do with a listed branch once home has answered, or not:
// Committed, Aborted: settle it so; Undecided: leave it for the next pass.
func Ordered(answer xa.Outcome) xa.Outcome { return xa.Undecided }
