package protocol

import (
	"strconv"
	"strings"

	"xaproxy/xa"
)

func (s State) String() string {
	switch s {
	case StateActive:
		return "active"
	case StatePreparing:
		return "preparing"
	case StateDeciding:
		return "deciding"
	case StateResolving:
		return "resolving"
	case StateCommitting:
		return "committing"
	case StateAborting:
		return "aborting"
	case StateEndedCommitted:
		return "ended committed"
	case StateEndedAborted:
		return "ended aborted"
	case StateUnknown:
		return "unknown"
	}
	return "invalid state"
}

func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return "no reason"
	case ReasonAsked:
		return "rollback asked"
	case ReasonLost:
		return "branch lost"
	case ReasonVote:
		return "no vote"
	case ReasonTimeout:
		return "timeout"
	case ReasonFenced:
		return "fenced"
	case ReasonNotDecided:
		return "not decided"
	case ReasonOnePhaseLost:
		return "one-phase reply lost"
	case ReasonMarkedDead:
		return "marked dead"
	}
	return "invalid reason"
}

func (k ActionKind) String() string {
	switch k {
	case ActionPrepare:
		return "prepare"
	case ActionPing:
		return "ping"
	case ActionDecide:
		return "decide"
	case ActionOnePhase:
		return "one-phase"
	case ActionResolve:
		return "resolve"
	case ActionCommit:
		return "commit"
	case ActionRollback:
		return "rollback"
	case ActionSettle:
		return "settle"
	case ActionAbandon:
		return "abandon"
	case ActionSuspect:
		return "suspect"
	case ActionHeuristic:
		return "heuristic"
	case ActionAnswer:
		return "answer"
	case ActionForget:
		return "forget"
	}
	return "invalid action"
}

// String is for people and scripts.
func (a Action) String() string {
	s := a.Kind.String()
	switch a.Kind {
	case ActionPrepare, ActionPing, ActionOnePhase, ActionCommit, ActionRollback, ActionAbandon, ActionSuspect, ActionHeuristic:
		s += " " + strconv.Itoa(a.Branch)
	case ActionDecide:
		s += " " + a.Decision.Outcome.String() + " " + strings.Join(a.Decision.Participants, ",")
	case ActionSettle:
		s += " " + strconv.Itoa(a.Branch) + " " + a.Outcome.String()
	case ActionForget:
		s += " " + a.Outcome.String()
	case ActionAnswer:
		s += " " + a.Outcome.String()
		if a.Outcome != xa.Committed {
			s += ": " + a.Reason.String()
			if a.Branch >= 0 {
				s += " " + strconv.Itoa(a.Branch)
			}
		}
	case ActionResolve:
	}
	return s
}
