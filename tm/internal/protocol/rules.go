package protocol

import "xaproxy/xa"

// FenceRead is what one attempt to record an abort saw (commit-protocol §7.3).
type FenceRead struct {
	Asker    xa.Asker
	Inserted bool       // the abort row was inserted and that commit was acknowledged
	Row      xa.Outcome // what the read after a refused insert found: Undecided for no row
	Flushed  bool       // after that read a write of our own was committed on the same connection (R10)
	OwnLive  bool       // AskOwner: own incarnation was not marked dead, in the statement that inserted or read
}

// ReadFence says what a claim store may answer. Undecided means that nothing is
// known: begin again.
func ReadFence(r FenceRead) xa.Outcome {
	// R9: after the mark, our commit claim may have been collected, and an
	// abort row, even one that we inserted, proves nothing to us.
	doubt := r.Asker == xa.AskOwner && !r.OwnLive
	switch {
	case r.Inserted && doubt:
		return xa.Unknown
	case r.Inserted:
		return xa.Aborted
	}
	switch r.Row {
	case xa.Committed:
		if r.Flushed {
			return xa.Committed
		}
		return xa.Undecided
	case xa.Aborted:
		if doubt {
			return xa.Unknown
		}
		return xa.Aborted
	case xa.Undecided, xa.Unknown:
		if r.Asker == xa.AskOwner {
			return xa.Unknown
		}
		return xa.Undecided
	}
	return xa.Undecided
}

// Evidence is what a collector knows about a claim.
type Evidence struct {
	Outcome      xa.Outcome // of the row as read; the deletion must name it, for the row may have changed since
	AgeMillis    int64      // of the row, by the server's clock
	RetainMillis int64      // R4
	Finished     bool       // the collector is the owner and its machine emitted ActionForget
	OwnerDead    bool       // the owner is marked dead on this home; to be checked again in the deleting transaction
	Unlisted     bool       // every participant in the row is missing from complete listings taken after the row was read
	HomeGone     bool       // home's session, as the gtrid names it, is absent from its server, or the server's run is over
}

// MayCollect applies rules R1 to R4. An owner whose machine has ended without
// ActionForget, and one whose machine still runs, count as anybody else.
func MayCollect(e Evidence) bool {
	if e.AgeMillis < e.RetainMillis {
		return false
	}
	switch e.Outcome {
	case xa.Committed:
		return e.Finished || e.OwnerDead && e.Unlisted
	case xa.Aborted:
		return e.Finished || e.HomeGone
	case xa.Undecided, xa.Unknown:
		return false
	}
	return false
}

// Standing is what one statement that reads claim and node rows at home, and
// the owner's live table, say about a transaction.
type Standing struct {
	Row           xa.Outcome // Committed (durable: R10), Aborted, or Undecided for no row
	Sequence      uint64     // of the gtrid
	CollectedUpto uint64     // of the owner's incarnation, from the same statement as Row
	OwnerLive     bool
	InLiveTable   bool // of the owner
}

// Report is the answer to the question for an outcome (commit-protocol §7.8).
type Report uint8

// The reports. The zero value tells nothing.
const (
	ReportMustFence        Report = iota // record an abort, then read again and report that: the fence's own answer may be posthumous
	ReportCommitted                      // committed
	ReportAborted                        // aborted, and never committed
	ReportActive                         // its owner is at work; nothing was changed
	ReportEndedNotRecorded               // ended longer ago than claims are kept; nothing was changed
)

// ReadOutcome says what may be told.
func ReadOutcome(s Standing) Report {
	collected := s.Sequence <= s.CollectedUpto
	switch s.Row {
	case xa.Committed:
		return ReportCommitted
	case xa.Aborted:
		if collected {
			return ReportEndedNotRecorded
		}
		return ReportAborted
	case xa.Undecided, xa.Unknown:
	}
	switch {
	case s.OwnerLive && s.InLiveTable:
		return ReportActive
	case collected:
		return ReportEndedNotRecorded
	}
	return ReportMustFence
}
