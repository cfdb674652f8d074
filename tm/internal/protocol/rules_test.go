package protocol

import (
	"errors"
	"fmt"
	"testing"

	"xaproxy/xa"
)

func TestReadFence(t *testing.T) {
	rec, own := xa.AskRecoverer, xa.AskOwner
	for _, c := range []struct {
		name string
		read FenceRead
		want xa.Outcome
	}{
		{"inserted: nobody proposed commit, or it is too late", FenceRead{Asker: rec, Inserted: true}, xa.Aborted},
		{"inserted by the living owner", FenceRead{Asker: own, Inserted: true, OwnLive: true}, xa.Aborted},
		{"inserted by an owner marked dead proves nothing (R9)", FenceRead{Asker: own, Inserted: true}, xa.Unknown},
		{"a commit claim without a barrier is not known (R10)", FenceRead{Asker: rec, Row: xa.Committed}, xa.Undecided},
		{"the owner needs the barrier too", FenceRead{Asker: own, Row: xa.Committed, OwnLive: true}, xa.Undecided},
		{"a commit claim with a barrier", FenceRead{Asker: rec, Row: xa.Committed, Flushed: true}, xa.Committed},
		{"a commit claim convinces an owner marked dead", FenceRead{Asker: own, Row: xa.Committed, Flushed: true}, xa.Committed},
		{"an abort claim", FenceRead{Asker: rec, Row: xa.Aborted}, xa.Aborted},
		{"an abort claim read by the living owner", FenceRead{Asker: own, Row: xa.Aborted, OwnLive: true}, xa.Aborted},
		{"an abort claim may be posthumous to an owner marked dead (R9)", FenceRead{Asker: own, Row: xa.Aborted}, xa.Unknown},
		{"no row and no insert: ask again", FenceRead{Asker: rec}, xa.Undecided},
		{"no row and no insert: the owner is marked dead", FenceRead{Asker: own}, xa.Unknown},
		{"no row and no insert although the owner lives", FenceRead{Asker: own, OwnLive: true}, xa.Unknown},
		{"an invalid row", FenceRead{Asker: rec, Row: 99}, xa.Undecided},
	} {
		if got := ReadFence(c.read); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestMayCollect(t *testing.T) {
	for _, c := range []struct {
		name string
		e    Evidence
		want bool
	}{
		{"R1: a commit of which nothing is known", Evidence{Outcome: xa.Committed}, false},
		{"R1: the owner has finished all", Evidence{Outcome: xa.Committed, Finished: true}, true},
		{"R2: unlisted, but the owner is not marked dead", Evidence{Outcome: xa.Committed, Unlisted: true}, false},
		{"R2: the owner is marked dead, but a participant may be prepared", Evidence{Outcome: xa.Committed, OwnerDead: true}, false},
		{"R2: both", Evidence{Outcome: xa.Committed, OwnerDead: true, Unlisted: true}, true},
		{"R2: home's session says nothing about the participants", Evidence{Outcome: xa.Committed, OwnerDead: true, HomeGone: true}, false},
		{"R3: an abort of which nothing is known", Evidence{Outcome: xa.Aborted}, false},
		{"R3: the owner's home transaction has ended", Evidence{Outcome: xa.Aborted, Finished: true}, true},
		{"R3: home's session is gone", Evidence{Outcome: xa.Aborted, HomeGone: true}, true},
		{"R3: a dead mark and a listing do not end home's session", Evidence{Outcome: xa.Aborted, OwnerDead: true, Unlisted: true}, false},
		{"R4: too young", Evidence{Outcome: xa.Aborted, HomeGone: true, AgeMillis: 599, RetainMillis: 600}, false},
		{"R4: old enough", Evidence{Outcome: xa.Aborted, HomeGone: true, AgeMillis: 600, RetainMillis: 600}, true},
		{"no row", Evidence{Finished: true, OwnerDead: true, Unlisted: true, HomeGone: true}, false},
		{"unknown row", Evidence{Outcome: xa.Unknown, Finished: true, HomeGone: true}, false},
		{"invalid row", Evidence{Outcome: 99, Finished: true, HomeGone: true}, false},
	} {
		if got := MayCollect(c.e); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestReadOutcome(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Standing
		want Report
	}{
		{"commit claim", Standing{Row: xa.Committed, Sequence: 5}, ReportCommitted},
		{"commit claim not yet collected while later ones are", Standing{Row: xa.Committed, Sequence: 5, CollectedUpto: 9}, ReportCommitted},
		{"abort claim", Standing{Row: xa.Aborted, Sequence: 5, CollectedUpto: 4}, ReportAborted},
		{"abort claim that may be posthumous", Standing{Row: xa.Aborted, Sequence: 5, CollectedUpto: 5}, ReportEndedNotRecorded},
		{"no claim, its owner is at work", Standing{Sequence: 5, OwnerLive: true, InLiveTable: true}, ReportActive},
		{"no claim, at work, later ones are collected", Standing{Sequence: 5, CollectedUpto: 9, OwnerLive: true, InLiveTable: true}, ReportActive},
		{"no claim, its owner lives and does not know it", Standing{Sequence: 5, OwnerLive: true}, ReportMustFence},
		{"no claim, in the table of an owner that is dead", Standing{Sequence: 5, InLiveTable: true}, ReportMustFence},
		{"no claim, its owner is dead", Standing{Sequence: 5, CollectedUpto: 4}, ReportMustFence},
		{"no claim, collected", Standing{Sequence: 5, CollectedUpto: 5}, ReportEndedNotRecorded},
		{"an invalid row is none", Standing{Row: 99, Sequence: 5}, ReportMustFence},
	} {
		if got := ReadOutcome(c.s); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestConsider(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Sighting
		want Plan
	}{
		{"listed at another shard than its own", Sighting{Misplaced: true, HomeKnown: true}, PlanQuarantine},
		{"its home is not ours", Sighting{}, PlanQuarantine},
		{"quarantine comes before everything", Sighting{Misplaced: true, HomeKnown: true, InLiveTable: true, Suspect: true}, PlanQuarantine},
		{"we are at work on it", Sighting{HomeKnown: true, InLiveTable: true, OwnerLive: true, SeenMillis: 1e6}, PlanSkip},
		{"we are at work on it, but it is a suspect", Sighting{HomeKnown: true, InLiveTable: true, OwnerLive: true, Suspect: true, GraceMillis: 10}, PlanResolve},
		{"its owner lives, within grace", Sighting{HomeKnown: true, OwnerLive: true, SeenMillis: 9, GraceMillis: 10}, PlanSkip},
		{"its owner lives, grace is over", Sighting{HomeKnown: true, OwnerLive: true, SeenMillis: 10, GraceMillis: 10}, PlanResolve},
		{"its owner is dead", Sighting{HomeKnown: true, GraceMillis: 10}, PlanResolve},
	} {
		if got := Consider(c.s); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestOrdered(t *testing.T) {
	for answer, want := range map[xa.Outcome]xa.Outcome{
		xa.Committed: xa.Committed, xa.Aborted: xa.Aborted, xa.Undecided: xa.Undecided, xa.Unknown: xa.Undecided, 99: xa.Undecided,
	} {
		if got := Ordered(answer); got != want {
			t.Errorf("%v: %v, want %v", answer, got, want)
		}
	}
}

func TestNextFinish(t *testing.T) {
	c, a := xa.Committed, xa.Aborted
	alive, gone := xa.OwnerAlive, xa.OwnerGone
	for _, k := range []struct {
		name string
		a    Attempt
		want Finish
	}{
		{"MySQL: send at once", Attempt{Outcome: c}, FinishSend},
		{"MariaDB, own session: send at once", Attempt{Outcome: c, Bound: true, Own: true}, FinishSend},
		{"MariaDB: look for the session first", Attempt{Outcome: c, Bound: true}, FinishLook},
		{"MariaDB: its owner lives", Attempt{Outcome: c, Bound: true, Session: Present, Owner: alive}, FinishBusy},
		{"MariaDB: its owner is gone", Attempt{Outcome: a, Bound: true, Session: Present, Owner: gone}, FinishKill},
		{"MariaDB: the session has left", Attempt{Outcome: a, Bound: true, Session: Absent}, FinishSend},
		{"done", Attempt{Outcome: c, Verb: VerbOK}, FinishDone},
		{"1402: it had changed nothing", Attempt{Outcome: c, Verb: VerbNothing}, FinishDone},
		{"1402 for a rollback", Attempt{Outcome: a, Verb: VerbNothing}, FinishDone},
		{"1613 or 1614 against a commit", Attempt{Outcome: c, Verb: VerbRefused}, FinishHeuristic},
		{"1613 or 1614 for a rollback", Attempt{Outcome: a, Verb: VerbRefused}, FinishDone},
		{"anything else", Attempt{Outcome: c, Verb: VerbFailed}, FinishRetry},
		{"an invalid answer", Attempt{Outcome: c, Verb: 99}, FinishRetry},
		{"NOTA for a commit: list", Attempt{Outcome: c, Verb: VerbNotFound}, FinishList},
		{"NOTA for a commit, not listed", Attempt{Outcome: c, Verb: VerbNotFound, Listing: Absent}, FinishDone},
		{"NOTA for a commit, listed: who has it?", Attempt{Outcome: c, Verb: VerbNotFound, Listing: Present}, FinishLook},
		{"NOTA for a commit, listed, held by a living owner", Attempt{Outcome: c, Verb: VerbNotFound, Listing: Present, Session: Present}, FinishBusy},
		{"NOTA for a commit, listed, held by a dead owner", Attempt{Outcome: c, Verb: VerbNotFound, Listing: Present, Session: Present, Owner: gone}, FinishKill},
		{"NOTA for a commit, listed, held by nobody", Attempt{Outcome: c, Verb: VerbNotFound, Listing: Present, Session: Absent}, FinishRetry},
		{"NOTA for a rollback: a PREPARE may be executing", Attempt{Outcome: a, Verb: VerbNotFound}, FinishLook},
		{"NOTA for a rollback, a listing before the session left does not count", Attempt{Outcome: a, Verb: VerbNotFound, Listing: Absent}, FinishLook},
		{"NOTA for a rollback, the session lives", Attempt{Outcome: a, Verb: VerbNotFound, Session: Present, Owner: gone}, FinishKill},
		{"NOTA for a rollback, the session has left: list", Attempt{Outcome: a, Verb: VerbNotFound, Session: Absent}, FinishList},
		{"NOTA for a rollback, the session has left, not listed", Attempt{Outcome: a, Verb: VerbNotFound, Session: Absent, Listing: Absent}, FinishDone},
		{"NOTA for a rollback, the session has left, listed", Attempt{Outcome: a, Verb: VerbNotFound, Session: Absent, Listing: Present}, FinishRetry},
		{"NOTA on the own session: nothing else can be executing", Attempt{Outcome: a, Verb: VerbNotFound, Own: true}, FinishList},
		{"NOTA on the own session, listed", Attempt{Outcome: c, Verb: VerbNotFound, Own: true, Listing: Present}, FinishRetry},
	} {
		if got := NextFinish(k.a); got != k.want {
			t.Errorf("%s: %v, want %v", k.name, got, k.want)
		}
	}
}

func TestRepliesAreReadCarefully(t *testing.T) {
	plain := errors.New("connection lost")
	none := xa.WithEffect(errors.New("refused"), xa.EffectNone)
	done := xa.WithEffect(errors.New("warning"), xa.EffectDone)
	fenced := xa.WithEffect(fmt.Errorf("claim: %w", xa.ErrFenced), xa.EffectNone)
	heuristic := fmt.Errorf("1614: %w", xa.ErrHeuristic)

	if e := VoteEvent(2, xa.Prepared, nil); e.Kind != EventVote || e.Branch != 2 || e.Vote != xa.Prepared {
		t.Error("a yes:", e)
	}
	if e := VoteEvent(2, xa.Prepared, plain); e.Vote != xa.NoVote || e.Effect != xa.EffectUnknown {
		t.Error("an error beside a yes is no yes:", e)
	}
	if e := VoteEvent(2, xa.NoVote, none); e.Vote != xa.NoVote || e.Effect != xa.EffectNone {
		t.Error("a no:", e)
	}
	for _, c := range []struct {
		err  error
		want Reply
	}{{nil, ReplyDone}, {done, ReplyDone}, {plain, ReplyUnknown}, {none, ReplyNone}, {fenced, ReplyFenced}} {
		if e := DecidedEvent(c.err); e.Kind != EventDecided || e.Reply != c.want {
			t.Errorf("decision %v: %v, want %v", c.err, e, c.want)
		}
	}
	if e := ResolvedEvent(xa.Committed, nil); e.Kind != EventResolved || e.Outcome != xa.Committed {
		t.Error("an answer:", e)
	}
	if e := ResolvedEvent(xa.Aborted, plain); e.Outcome != xa.Undecided {
		t.Error("an error says nothing about the outcome:", e)
	}
	for _, c := range []struct {
		err  error
		want End
	}{{nil, EndFinished}, {done, EndFinished}, {plain, EndUnknown}, {none, EndUnknown}, {heuristic, EndHeuristic}} {
		if e := EndedEvent(1, c.err); e.Kind != EventEnded || e.Branch != 1 || e.End != c.want {
			t.Errorf("end %v: %v, want %v", c.err, e, c.want)
		}
	}
}
