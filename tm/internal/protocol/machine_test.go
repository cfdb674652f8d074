package protocol

import (
	"fmt"
	"strings"
	"testing"

	"xaproxy/xa"
)

// history is what a machine has done so far, as far as its promises need it.
type history struct {
	machine  uint32
	outcome  xa.Outcome
	answers  uint8
	decides  uint8
	decided  bool    // it was told so
	lostVote bool    // a branch that must vote yes did not
	sent     [3]bool // a verb is outstanding on the branch's session
}

// TestTheMachineKeepsItsPromisesWhateverEventsCome feeds every event in every
// state that any sequence of events reaches, sensible or not.
func TestTheMachineKeepsItsPromisesWhateverEventsCome(t *testing.T) {
	uses := []Use{Writer, LockingReader, Reader}
	states, most := 0, 3
	if raceDetector {
		most = 2
	}
	var all func(prefix []Use)
	all = func(prefix []Use) {
		x := newModel(scenario{uses: prefix})
		seen := map[history]bool{}
		todo := []history{{machine: packMachine(New(x.config()))}}
		for len(todo) > 0 {
			h := todo[0]
			todo = todo[1:]
			if seen[h] {
				continue
			}
			seen[h] = true
			for _, e := range everyEvent(len(prefix)) {
				todo = append(todo, x.promise(t, h, e))
			}
		}
		states += len(seen)
		if len(prefix) < most {
			for _, u := range uses {
				all(append(prefix[:len(prefix):len(prefix)], u))
			}
		}
	}
	all(nil)
	t.Logf("%d states of the machines of up to %d branches", states, most)
}

func everyEvent(branches int) []Event {
	list := []Event{{}, {Kind: 99}, {Kind: EventCommit}, {Kind: EventRollback}, {Kind: EventTimeout}}
	for r := ReplyUnknown; r <= ReplyNone+1; r++ {
		list = append(list, Event{Kind: EventDecided, Reply: r})
	}
	for o := xa.Undecided; o <= xa.Unknown+1; o++ {
		list = append(list, Event{Kind: EventResolved, Outcome: o})
	}
	for i := -1; i <= branches; i++ {
		list = append(list, Event{Kind: EventLost, Branch: i})
		for v := xa.NoVote; v <= xa.ReadOnly; v++ {
			list = append(list, Event{Kind: EventVote, Branch: i, Vote: v},
				Event{Kind: EventVote, Branch: i, Vote: v, Effect: xa.EffectNone})
		}
		for end := EndUnknown; end <= EndHeuristic; end++ {
			list = append(list, Event{Kind: EventEnded, Branch: i, End: end})
		}
	}
	return list
}

// promise takes one step and checks what it did.
func (x *model) promise(t *testing.T, h history, e Event) history {
	t.Helper()
	m := x.unpackMachine(h.machine)
	m.outcome = h.outcome
	before := m.state
	acts := m.Step(e)
	bad := func(what string) {
		t.Helper()
		t.Fatalf("uses %v, state %v, event %+v, actions %v: %s", x.uses, before, e, acts, what)
	}
	if m.state < before && m.state != before {
		bad("the state goes back")
	}
	if before.Ended() && len(acts) > 0 {
		bad("an ended machine acts")
	}
	if e.Kind == EventVote && e.Branch >= 0 && e.Branch < len(x.uses) && h.sent[e.Branch] &&
		(e.Vote == xa.NoVote || e.Vote == xa.Prepared && x.uses[e.Branch] != Writer) {
		h.lostVote = true
	}
	// Deliver the reply before the actions are looked at.
	if i := e.Branch; (e.Kind == EventVote || e.Kind == EventEnded) && i >= 0 && i < len(x.uses) {
		h.sent[i] = false
	}
	if e.Kind == EventDecided && before == StateDeciding {
		h.sent = [3]bool{}
		h.decided = e.Reply == ReplyDone
	}
	if e.Kind == EventResolved && before == StateResolving && e.Outcome == xa.Committed {
		h.decided = true
	}
	for _, a := range acts {
		h.check(x, a, bad)
	}
	h.machine, h.outcome = packMachine(m), m.outcome
	if m.state.Ended() != (h.answers > 0 && (len(m.Pending()) == 0 || m.state == StateUnknown)) {
		bad("it has ended and not answered, or nothing is left and it has not ended")
	}
	return h
}

func (h *history) check(x *model, a Action, bad func(string)) {
	protocol := pathOf(x.config()) == pathTwoPhase
	switch a.Kind {
	case ActionPrepare, ActionPing, ActionOnePhase, ActionCommit, ActionRollback, ActionDecide:
		if h.sent[a.Branch] {
			bad("a verb is sent to a session that has not replied")
		}
		h.sent[a.Branch] = true
	case ActionResolve, ActionSettle, ActionAbandon, ActionSuspect, ActionHeuristic, ActionAnswer, ActionForget:
	}
	switch a.Kind {
	case ActionDecide, ActionOnePhase:
		if h.decides++; h.decides > 1 {
			bad("it proposes twice (I1)")
		}
		if h.lostVote {
			bad("it proposes without all votes (I1)")
		}
		if h.answers > 0 {
			bad("it proposes after it has answered")
		}
	case ActionCommit:
		if protocol && !h.decided {
			bad("it commits before the decision is known (I2)")
		}
	case ActionRollback:
		if h.decided {
			bad("it rolls back what is committed (I3)")
		}
	case ActionSettle:
		if h.decided != (a.Outcome == xa.Committed) || a.Outcome != xa.Committed && a.Outcome != xa.Aborted {
			bad("it settles against the decision")
		}
	case ActionAnswer:
		if h.answers++; h.answers > 1 {
			bad("it answers twice")
		}
		if protocol && (a.Outcome == xa.Committed) != h.decided || a.Outcome == xa.Undecided {
			bad("it tells what it does not know (I8)")
		}
	case ActionForget:
		if !protocol {
			bad("there is no claim to forget")
		}
	case ActionPrepare, ActionPing, ActionResolve, ActionAbandon, ActionSuspect, ActionHeuristic:
	}
}

func TestTheDecisionNamesEveryWriterButHome(t *testing.T) {
	m := New(Config{Global: "g", Branches: []Branch{
		{Name: "h", Use: Writer}, {Name: "r", Use: LockingReader}, {Name: "a", Use: Writer}, {Name: "b", Use: Writer},
	}})
	m.Step(Event{Kind: EventCommit})
	m.Step(Event{Kind: EventVote, Branch: 1, Vote: xa.ReadOnly})
	m.Step(Event{Kind: EventVote, Branch: 2, Vote: xa.Prepared})
	acts := m.Step(Event{Kind: EventVote, Branch: 3, Vote: xa.Prepared})
	if len(acts) != 1 || acts[0].Kind != ActionDecide {
		t.Fatal(acts)
	}
	if d := acts[0].Decision; d.Global != "g" || d.Outcome != xa.Committed || fmt.Sprint(d.Participants) != "[a b]" {
		t.Error(d)
	}
	if m.Outcome() != xa.Undecided || fmt.Sprint(m.Pending()) != "[0 1 2 3]" {
		t.Error(m.Outcome(), m.Pending())
	}
	m.Step(Event{Kind: EventDecided, Reply: ReplyDone})
	m.Step(Event{Kind: EventEnded, Branch: 2, End: EndHeuristic})
	if m.Outcome() != xa.Committed || fmt.Sprint(m.Pending()) != "[1 3]" || fmt.Sprint(m.Heuristics()) != "[2]" {
		t.Error(m.Outcome(), m.Pending(), m.Heuristics())
	}
}

func TestTheReasonIsTheFirstCause(t *testing.T) {
	m := New(Config{Branches: []Branch{{}, {}, {}}})
	m.Step(Event{Kind: EventCommit})
	m.Step(Event{Kind: EventVote, Branch: 2, Vote: xa.NoVote, Effect: xa.EffectNone})
	m.Step(Event{Kind: EventVote, Branch: 1, Vote: xa.NoVote})
	if r, i := m.Reason(); r != ReasonVote || i != 2 || m.Outcome() != xa.Aborted {
		t.Error(r, i, m.Outcome())
	}
}

func TestEveryNameIsItsOwn(t *testing.T) {
	seen := map[string]bool{}
	add := func(s fmt.Stringer) {
		if name := s.String(); seen[name] || strings.Contains(name, "invalid") {
			t.Errorf("%q", name)
		} else {
			seen[name] = true
		}
	}
	for s := StateActive; s <= StateUnknown; s++ {
		add(s)
	}
	for r := ReasonNone; r <= ReasonMarkedDead; r++ {
		add(r)
	}
	for k := ActionPrepare; k <= ActionForget; k++ {
		add(k)
	}
	for _, s := range []fmt.Stringer{StateUnknown + 1, ReasonMarkedDead + 1, ActionForget + 1, ActionKind(0)} {
		if !strings.Contains(s.String(), "invalid") {
			t.Error(s)
		}
	}
}
