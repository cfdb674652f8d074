package xamysql

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"xaproxy/xa"
)

// script is a Conn that answers from a list.
type script struct {
	t       *testing.T
	answers []answer // one per Exchange
	sent    [][]string
	inTrans bool
	flavor  Flavor
}

// answer is what one Exchange returns.
type answer struct {
	results []Result // one per command; a command with several statements takes all of them when packet is set
	packet  bool
	err     error
	inTrans bool // afterwards
}

func (s *script) Session() xa.SessionID { return xa.SessionID{Shard: 3, Run: 1000, Conn: 77} }
func (s *script) Flavor() Flavor        { return s.flavor }
func (s *script) InTransaction() bool   { return s.inTrans }

func (s *script) Exchange(_ context.Context, cmds ...Command) ([]Reply, error) {
	var sent []string
	for _, c := range cmds {
		if c.Kind == Ping {
			sent = append(sent, "PING")
			continue
		}
		sent = append(sent, c.SQL)
	}
	s.sent = append(s.sent, sent)
	if len(s.answers) == 0 {
		s.t.Fatalf("unexpected: %q", sent)
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	s.inTrans = a.inTrans && a.err == nil
	if a.packet {
		return []Reply{{Results: a.results}}, a.err
	}
	var replies []Reply
	for _, r := range a.results {
		replies = append(replies, Reply{Results: []Result{r}})
	}
	return replies, a.err
}

var (
	good    = Result{Status: 2}
	inTrans = Result{Status: 2 | StatusInTrans | 8}
	unsent  = xa.WithEffect(errors.New("nothing written"), xa.EffectNone)
)

func bad(n uint16) Result { return Result{Err: &ServerError{Number: n, State: "HY000", Message: "no"}} }

const (
	endSQL = "XA END X'78',X'79',1480675377"
)

func testBranch(t *testing.T, answers ...answer) (*Branch, *script) {
	s := &script{t: t, answers: answers, inTrans: true}
	b := NewBranch(s, xa.ID{Global: "x", Branch: "y"})
	b.MarkOpened()
	b.MarkWrote()
	return b, s
}

func TestVerbsTravelAsTheyMust(t *testing.T) {
	b, s := testBranch(t, answer{results: []Result{good, good}, inTrans: true}, answer{results: []Result{good}})
	if got := b.StartSQL(); got != "XA START X'78',X'79',1480675377" {
		t.Fatal(got)
	}
	if v, err := b.Prepare(t.Context()); v != xa.Prepared || err != nil {
		t.Fatal(v, err)
	}
	if err := b.Commit(t.Context()); err != nil || !b.Clean() {
		t.Fatal(err)
	}
	want := [][]string{
		{endSQL, "XA PREPARE X'78',X'79',1480675377"}, // two packets in one write
		{"XA COMMIT X'78',X'79',1480675377"},
	}
	if !slices.EqualFunc(s.sent, want, slices.Equal) {
		t.Fatalf("sent %q", s.sent)
	}
}

func TestPrepareEffects(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer answer
		vote   xa.Vote
		effect xa.Effect
	}{
		{"both OK", answer{results: []Result{good, good}}, xa.Prepared, xa.EffectDone},
		{"rolled back by a deadlock (MySQL)", answer{results: []Result{bad(1614), bad(1399)}}, xa.NoVote, xa.EffectNone},
		{"rolled back by a deadlock (MariaDB)", answer{results: []Result{bad(1399), bad(1399)}}, xa.NoVote, xa.EffectNone},
		{"END fails, PREPARE succeeds", answer{results: []Result{bad(1399), good}}, xa.NoVote, xa.EffectUnknown},
		{"END fails, PREPARE's answer is lost", answer{results: []Result{bad(1399)}, err: io.EOF}, xa.NoVote, xa.EffectUnknown},
		{"PREPARE interrupted", answer{results: []Result{good, bad(1317)}}, xa.NoVote, xa.EffectUnknown},
		{"PREPARE refused", answer{results: []Result{good, bad(1402)}}, xa.NoVote, xa.EffectNone},
		{"all lost", answer{err: io.EOF}, xa.NoVote, xa.EffectUnknown},
		{"PREPARE's answer lost", answer{results: []Result{good}, err: io.EOF}, xa.NoVote, xa.EffectUnknown},
		{"nothing written", answer{err: unsent}, xa.NoVote, xa.EffectNone},
		{"an answer is missing", answer{results: []Result{good}}, xa.NoVote, xa.EffectUnknown},
		{"no answer", answer{}, xa.NoVote, xa.EffectUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := testBranch(t, c.answer)
			v, err := b.Prepare(t.Context())
			if v != c.vote || xa.EffectOf(err) != c.effect || b.Clean() {
				t.Fatalf("vote %s, effect %s, clean %v: %v", v, xa.EffectOf(err), b.Clean(), err)
			}
			if err != nil && !strings.Contains(err.Error(), "shard 3") {
				t.Fatalf("%v does not name the shard", err)
			}
		})
	}
}

func TestOnePhaseEffects(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer answer
		effect xa.Effect
	}{
		{"both OK", answer{results: []Result{good, good}}, xa.EffectDone},
		{"rolled back", answer{results: []Result{bad(1614), bad(1614)}}, xa.EffectNone},
		{"not in that state", answer{results: []Result{bad(1399), bad(1399)}}, xa.EffectNone},
		{"unknown branch", answer{results: []Result{bad(1399), bad(1398)}}, xa.EffectNone},
		{"END fails, COMMIT succeeds", answer{results: []Result{bad(1399), good}}, xa.EffectUnknown},
		{"COMMIT fails", answer{results: []Result{good, bad(1180)}}, xa.EffectUnknown},
		{"refused before commit", answer{results: []Result{good, bad(3101)}}, xa.EffectNone},
		{"answer lost", answer{results: []Result{good}, err: io.EOF}, xa.EffectUnknown},
		{"nothing written", answer{err: unsent}, xa.EffectNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, s := testBranch(t, c.answer)
			err := b.Commit(t.Context())
			if xa.EffectOf(err) != c.effect {
				t.Fatalf("effect %s: %v", xa.EffectOf(err), err)
			}
			if len(s.sent) != 1 || !slices.Equal(s.sent[0], []string{endSQL, "XA COMMIT X'78',X'79',1480675377 ONE PHASE"}) {
				t.Fatalf("sent %q", s.sent)
			}
			if c.effect == xa.EffectUnknown {
				// Neither is tried again: whatever comes back would prove nothing.
				if got := xa.EffectOf(b.Commit(t.Context())); got != xa.EffectUnknown {
					t.Fatalf("again: %s", got)
				}
			}
		})
	}
}

func TestCommitPreparedEffects(t *testing.T) {
	for _, c := range []struct {
		name      string
		answer    answer
		effect    xa.Effect
		heuristic bool
		clean     bool
	}{
		{"OK", answer{results: []Result{good}}, xa.EffectDone, false, true},
		{"NOTA is not done", answer{results: []Result{bad(1397)}}, xa.EffectUnknown, false, false},
		{"had changed nothing", answer{results: []Result{bad(1402)}}, xa.EffectDone, false, false},
		{"timed out by the server", answer{results: []Result{bad(1613)}}, xa.EffectNone, true, false},
		{"rolled back by the server", answer{results: []Result{bad(1614)}}, xa.EffectNone, true, false},
		{"read only", answer{results: []Result{bad(1290)}}, xa.EffectUnknown, false, false},
		{"lost", answer{err: io.EOF}, xa.EffectUnknown, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := testBranch(t, answer{results: []Result{good, good}, inTrans: true}, c.answer)
			if _, err := b.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := b.Commit(t.Context())
			if xa.EffectOf(err) != c.effect || errors.Is(err, xa.ErrHeuristic) != c.heuristic || b.Clean() != c.clean {
				t.Fatalf("effect %s, clean %v: %v", xa.EffectOf(err), b.Clean(), err)
			}
		})
	}
}

func TestRollbackEffects(t *testing.T) {
	suspectPrepare := answer{results: []Result{good, bad(1317)}}
	for _, c := range []struct {
		name    string
		prepare []answer
		answer  answer
		sent    int // verbs of the rollback
		effect  xa.Effect
		clean   bool
	}{
		{"open", nil, answer{results: []Result{good, good}}, 2, xa.EffectDone, true},
		{"open, END refused", nil, answer{results: []Result{bad(1614), good}}, 2, xa.EffectDone, true},
		{"open, still in a transaction", nil, answer{results: []Result{good, good}, inTrans: true}, 2, xa.EffectDone, false},
		{"open, never started", nil, answer{results: []Result{bad(1399), bad(1397)}}, 2, xa.EffectDone, false},
		{"open, lost: the server rolls back", nil, answer{err: io.EOF}, 2, xa.EffectDone, false},
		{"open, another error", nil, answer{results: []Result{good, bad(1399)}}, 2, xa.EffectDone, false},
		{"prepared", []answer{{results: []Result{good, good}}}, answer{results: []Result{good}}, 1, xa.EffectDone, true},
		{"prepared, NOTA", []answer{{results: []Result{good, good}}}, answer{results: []Result{bad(1397)}}, 1, xa.EffectUnknown, false},
		{"prepared, lost", []answer{{results: []Result{good, good}}}, answer{err: io.EOF}, 1, xa.EffectUnknown, false},
		{"prepared, nothing written", []answer{{results: []Result{good, good}}}, answer{err: unsent}, 1, xa.EffectNone, false},
		{"suspect", []answer{suspectPrepare}, answer{results: []Result{bad(1399), good}}, 2, xa.EffectDone, true},
		{"suspect, NOTA", []answer{suspectPrepare}, answer{results: []Result{bad(1399), bad(1397)}}, 2, xa.EffectUnknown, false},
		{"suspect, lost", []answer{suspectPrepare}, answer{err: io.EOF}, 2, xa.EffectUnknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, s := testBranch(t, append(c.prepare, c.answer)...)
			for range c.prepare {
				_, _ = b.Prepare(t.Context())
				s.inTrans = true
			}
			err := b.Rollback(t.Context())
			if xa.EffectOf(err) != c.effect || b.Clean() != c.clean {
				t.Fatalf("effect %s, clean %v: %v", xa.EffectOf(err), b.Clean(), err)
			}
			if got := len(s.sent[len(s.sent)-1]); got != c.sent {
				t.Fatalf("sent %q", s.sent)
			}
		})
	}
}

func TestReaderIsEndedByRollback(t *testing.T) {
	s := &script{t: t, inTrans: true, answers: []answer{
		{results: []Result{good}, inTrans: true}, {results: []Result{bad(1614), good}},
	}}
	b := NewBranch(s, xa.ID{Global: "x", Branch: "y"})
	b.MarkOpened()
	if v, err := b.Prepare(t.Context()); v != xa.ReadOnly || err != nil {
		t.Fatal(v, err)
	}
	if err := b.Commit(t.Context()); err != nil || !b.Clean() {
		t.Fatal(err)
	}
	want := [][]string{{"PING"}, {endSQL, "XA ROLLBACK X'78',X'79',1480675377"}}
	if !slices.EqualFunc(s.sent, want, slices.Equal) {
		t.Fatalf("sent %q", s.sent)
	}
}

func TestReaderWithoutItsTransactionVotesNo(t *testing.T) {
	for _, a := range []answer{{results: []Result{good}}, {err: io.EOF}, {results: []Result{bad(1053)}, inTrans: true}} {
		s := &script{t: t, inTrans: true, answers: []answer{a}}
		b := NewBranch(s, xa.ID{Global: "x", Branch: "y"})
		b.MarkOpened()
		v, err := b.Prepare(t.Context())
		if v != xa.NoVote || xa.EffectOf(err) != xa.EffectNone {
			t.Fatal(v, err)
		}
	}
}

func TestNothingIsSentForABranchThatWasNotStarted(t *testing.T) {
	s := &script{t: t}
	b, h := NewBranch(s, xa.ID{}), NewHome(s)
	for _, err := range []error{b.Commit(t.Context()), b.Rollback(t.Context()), h.Commit(t.Context()), h.Rollback(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !b.Clean() || !h.Clean() {
		t.Fatal("not clean")
	}
	for _, of := range []xa.Branch{b, h} {
		if v, err := of.Prepare(t.Context()); v != xa.ReadOnly || err != nil {
			t.Fatal(v, err)
		}
	}
	b.MarkWrote() // what was about to be sent, but never was
	if v, err := b.Prepare(t.Context()); v != xa.NoVote || xa.EffectOf(err) != xa.EffectNone {
		t.Fatal(v, err)
	}
}
