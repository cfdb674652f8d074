package protocol

import "xaproxy/xa"

// Sighting is what a recovery pass knows about one branch that a complete,
// error-free listing of a shard contains.
type Sighting struct {
	Misplaced   bool  // the bqual's shard is not the one that lists it
	HomeKnown   bool  // the gtrid's home is a shard of ours
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
	PlanResolve                // fence it at home, then do what Ordered says
)

// Consider says what to do about a listed branch. Only quarantine is a matter
// of safety; the rest keeps recovery out of the way of healthy transactions.
func Consider(s Sighting) Plan {
	switch {
	case s.Misplaced, !s.HomeKnown:
		return PlanQuarantine
	case s.InLiveTable && !s.Suspect:
		return PlanSkip
	case s.OwnerLive && !s.Suspect && s.SeenMillis < s.GraceMillis:
		return PlanSkip
	}
	return PlanResolve
}

// Ordered says how a listed branch is to be settled once home has answered:
// Committed or Aborted, or Undecided: leave it for the next pass.
func Ordered(answer xa.Outcome) xa.Outcome {
	switch answer {
	case xa.Committed, xa.Aborted:
		return answer
	case xa.Undecided, xa.Unknown:
	}
	return xa.Undecided
}

// Presence is what is known about something that a server may list.
type Presence uint8

// The presences.
const (
	PresenceUnknown Presence = iota // not asked, or the listing was not complete
	Present
	Absent
)

// Verb is the server's answer to XA COMMIT or XA ROLLBACK.
type Verb uint8

// The answers.
const (
	VerbNotSent  Verb = iota
	VerbOK            // done
	VerbNotFound      // 1397 XAER_NOTA: by itself it says nothing
	VerbNothing       // 1402 XA_RBROLLBACK: the branch had changed nothing
	VerbRefused       // 1613, 1614 and the like: the server has rolled the branch back
	VerbFailed        // anything else, and a lost reply
)

// Attempt is what is known so far in one attempt to finish a branch. It begins
// with Outcome, Owner, Own and Bound; what NextFinish asks for is filled in.
type Attempt struct {
	Outcome xa.Outcome // Committed or Aborted
	Owner   xa.Owner
	Own     bool // on the session that prepared it
	Bound   bool // this server binds a prepared branch to its session (MariaDB)

	Session Presence // the preparing session, same run, in the process list
	Verb    Verb
	Listing Presence // the branch in XA RECOVER; after Session was found Absent when Outcome is Aborted
}

// Finish is the next thing to do in an attempt.
type Finish uint8

// The steps; the first four continue the attempt, the others end it.
const (
	FinishLook      Finish = iota // look for the preparing session: fill in Session
	FinishSend                    // send the verb: fill in Verb
	FinishList                    // list prepared branches: fill in Listing
	FinishKill                    // kill the preparing session, wait until it has left, begin again
	FinishBusy                    // its owner is alive and has it: leave it alone (xa.ErrBusy)
	FinishRetry                   // nothing is known: begin again later
	FinishDone                    // ended that way, and nothing of it can appear later
	FinishHeuristic               // ended against the decision (xa.ErrHeuristic)
)

// NextFinish says what to do next (commit-protocol §7.4).
func NextFinish(a Attempt) Finish {
	switch a.Verb {
	case VerbNotSent:
		// MariaDB answers OK without doing anything while the preparing
		// session disconnects: nothing is sent before it has left.
		if a.Bound && !a.Own && a.Session != Absent {
			return waitForSession(a)
		}
		return FinishSend
	case VerbOK, VerbNothing:
		return FinishDone
	case VerbNotFound:
		return notFound(a)
	case VerbRefused:
		if a.Outcome == xa.Committed {
			return FinishHeuristic
		}
		return FinishDone
	case VerbFailed:
		return FinishRetry
	}
	return FinishRetry
}

// notFound: gone, not prepared yet, or bound to a session that lives. For
// Committed the PREPARE was acknowledged, so what is not listed has ended. For
// Aborted a PREPARE may still be executing while its session exists.
func notFound(a Attempt) Finish {
	if a.Outcome != xa.Committed && a.Session != Absent && !a.Own {
		return waitForSession(a)
	}
	switch a.Listing {
	case PresenceUnknown:
		return FinishList
	case Absent:
		return FinishDone
	case Present:
	}
	if a.Session != Absent && !a.Own {
		return waitForSession(a)
	}
	return FinishRetry
}

func waitForSession(a Attempt) Finish {
	if a.Session == PresenceUnknown {
		return FinishLook
	}
	switch a.Owner {
	case xa.OwnerGone:
		return FinishKill
	case xa.OwnerAlive:
	}
	return FinishBusy
}
