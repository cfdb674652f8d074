package protocol

import "xaproxy/xa"

// FenceRead is what an attempt to record an abort saw (commit-protocol §7.3).
type FenceRead struct {
	Asker    xa.Asker
	Inserted bool       // the abort row was inserted and committed
	Row      xa.Outcome // what a later read found: Committed, Aborted, Undecided for no row
	Flushed  bool       // after reading Row, a write of our own was committed on the same connection (R10)
	OwnLive  bool       // AskOwner: own incarnation was not marked dead in the same read, or in the insert
}

// ReadFence says what the claim store may answer: Undecided means that nothing
// is known and the attempt must be repeated.
func ReadFence(r FenceRead) xa.Outcome { return xa.Undecided }

// Evidence is what a collector knows about a claim.
type Evidence struct {
	Outcome      xa.Outcome // of the row
	AgeMillis    int64      // of the row, by the server's clock
	RetainMillis int64      // R4
	Own          bool       // the collector is the incarnation that created the gtrid
	OwnerDead    bool       // that incarnation is marked dead on this very home
	Finished     bool       // Own: ActionForget was emitted
	Unlisted     bool       // every participant in the row was missing from a complete listing taken after the row was read
	HomeGone     bool       // home's session, as named in the gtrid, is absent from its server, or the server's run is over
}

// MayCollect applies rules R1 to R4.
func MayCollect(e Evidence) bool { return false }

// Standing is what one read of claim and node rows, in one statement at home,
// and the owner's live table say about a transaction.
type Standing struct {
	Row           xa.Outcome // Committed (durable: R10), Aborted, Undecided for no row
	Sequence      uint64
	CollectedUpto uint64 // of the owner's incarnation, read in the same statement as Row
	OwnerLive     bool
	InLiveTable   bool // in the owner's live table
}

// Report is the answer to the question for an outcome (commit-protocol §7.8).
type Report uint8

// The reports. The zero value tells nothing.
const (
	ReportMustFence        Report = iota // record an abort, then read again
	ReportCommitted                      // committed
	ReportAborted                        // aborted, and never committed
	ReportActive                         // its owner is working on it; nothing was changed
	ReportEndedNotRecorded               // ended longer ago than claims are kept; nothing was changed
)

// ReadOutcome says what may be told.
func ReadOutcome(s Standing) Report { return ReportMustFence }
