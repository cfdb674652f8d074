package protocol

import (
	"errors"

	"xaproxy/xa"
)

// VoteEvent reads the reply of xa.Branch.Prepare.
func VoteEvent(branch int, v xa.Vote, err error) Event {
	if err != nil {
		v = xa.NoVote
	}
	return Event{Kind: EventVote, Branch: branch, Vote: v, Effect: xa.EffectOf(err)}
}

// DecidedEvent reads the reply of xa.Home.CommitClaim, or of xa.Branch.Commit
// when it was asked to commit in one phase.
func DecidedEvent(err error) Event {
	return Event{Kind: EventDecided, Reply: readReply(err)}
}

func readReply(err error) Reply {
	if errors.Is(err, xa.ErrFenced) {
		return ReplyFenced
	}
	switch xa.EffectOf(err) {
	case xa.EffectDone:
		return ReplyDone
	case xa.EffectNone:
		return ReplyNone
	case xa.EffectUnknown:
		return ReplyUnknown
	}
	return ReplyUnknown
}

// ResolvedEvent reads the reply of xa.ClaimStore.Fence.
func ResolvedEvent(o xa.Outcome, err error) Event {
	if err != nil {
		o = xa.Undecided
	}
	return Event{Kind: EventResolved, Outcome: o}
}

// EndedEvent reads the reply of xa.Branch.Commit or Rollback after the decision,
// and of xa.Resource.Commit or Rollback.
func EndedEvent(branch int, err error) Event {
	end := EndUnknown
	switch {
	case errors.Is(err, xa.ErrHeuristic):
		end = EndHeuristic
	case xa.EffectOf(err) == xa.EffectDone:
		end = EndFinished
	}
	return Event{Kind: EventEnded, Branch: branch, End: end}
}
