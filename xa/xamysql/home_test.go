package xamysql

import (
	"errors"
	"io"
	"strings"
	"testing"

	"xaproxy/xa"
)

func testHome(t *testing.T, answers ...answer) (*Home, *script) {
	s := &script{t: t, answers: answers, inTrans: true}
	h := NewHome(s)
	h.MarkOpened()
	h.MarkWrote()
	g, err := xa.GlobalName{Cluster: 1, Node: 2, Incarnation: 3, Sequence: 4, Home: s.Session()}.ID()
	if err != nil {
		t.Fatal(err)
	}
	h.SetGlobal(g)
	return h, s
}

func (h *Home) decision() xa.Decision { return xa.Decision{Global: h.global, Outcome: xa.Committed} }

func TestClaimEffects(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer answer
		effect xa.Effect
		is     error
		clean  bool
	}{
		{"both OK", answer{results: []Result{inTrans, good}}, xa.EffectDone, nil, true},
		{"fenced", answer{results: []Result{bad(1062)}}, xa.EffectNone, xa.ErrFenced, false},
		{"INSERT fails", answer{results: []Result{bad(1205)}}, xa.EffectNone, nil, false},
		{"INSERT fails, then the connection", answer{results: []Result{bad(1053)}, err: io.EOF}, xa.EffectNone, nil, false},
		{"COMMIT refused", answer{results: []Result{inTrans, bad(3101)}}, xa.EffectNone, nil, false},
		{"COMMIT fails", answer{results: []Result{inTrans, bad(1213)}}, xa.EffectUnknown, nil, false},
		{"COMMIT's answer is lost", answer{results: []Result{inTrans}, err: io.EOF}, xa.EffectUnknown, nil, false},
		{"all lost", answer{err: io.EOF}, xa.EffectUnknown, nil, false},
		{"nothing written", answer{err: unsent}, xa.EffectNone, nil, false},
		{"COMMIT's answer is missing", answer{results: []Result{inTrans}}, xa.EffectUnknown, nil, false},
		{"too many answers", answer{results: []Result{inTrans, inTrans, good}}, xa.EffectUnknown, nil, false},
		{"the INSERT was outside of a transaction", answer{results: []Result{good, good}}, xa.EffectDone, xa.ErrHeuristic, false},
		{"a transaction was chained", answer{results: []Result{inTrans, good}, inTrans: true}, xa.EffectDone, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.answer.packet = true
			h, s := testHome(t, c.answer)
			err := h.CommitClaim(t.Context(), h.decision())
			if xa.EffectOf(err) != c.effect || c.is != nil && !errors.Is(err, c.is) || h.Clean() != c.clean {
				t.Fatalf("effect %s, clean %v: %v", xa.EffectOf(err), h.Clean(), err)
			}
			if len(s.sent) != 1 || len(s.sent[0]) != 1 {
				t.Fatalf("sent %q", s.sent)
			}
			statements := strings.Split(s.sent[0][0], ";")
			if len(statements) != 2 || !strings.HasPrefix(statements[0], "INSERT INTO xaproxy.claim ") || statements[1] != "COMMIT AND NO CHAIN NO RELEASE" {
				t.Fatalf("sent %q", s.sent)
			}
		})
	}
}

func TestClaimIsNotSent(t *testing.T) {
	for name, spoil := range map[string]func(*Home, *script, *xa.Decision){
		"transaction lost":    func(_ *Home, s *script, _ *xa.Decision) { s.inTrans = false },
		"an abort":            func(_ *Home, _ *script, d *xa.Decision) { d.Outcome = xa.Aborted },
		"another transaction": func(h *Home, _ *script, _ *xa.Decision) { h.SetGlobal("other") },
		"a damaged bqual":     func(_ *Home, _ *script, d *xa.Decision) { d.Participants = []string{"short"} },
		"not opened":          func(h *Home, _ *script, _ *xa.Decision) { h.stage = fresh },
		"another home": func(h *Home, s *script, d *xa.Decision) {
			g, err := xa.GlobalName{Home: xa.SessionID{Shard: 3, Run: 1000, Conn: 78}}.ID()
			if err != nil {
				s.t.Fatal(err)
			}
			h.SetGlobal(g)
			d.Global = g
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := testHome(t)
			d := h.decision()
			spoil(h, s, &d)
			if err := h.CommitClaim(t.Context(), d); err == nil || xa.EffectOf(err) != xa.EffectNone {
				t.Fatal(err)
			}
		})
	}
}

func TestHomeRollback(t *testing.T) {
	h, _ := testHome(t, answer{results: []Result{good}})
	if err := h.Rollback(t.Context()); err != nil || !h.Clean() {
		t.Fatal(err)
	}
	h, _ = testHome(t, answer{err: io.EOF})
	if err := h.Rollback(t.Context()); xa.EffectOf(err) != xa.EffectDone || err == nil || h.Clean() {
		t.Fatal(err)
	}
	// Behind a fence.
	h, _ = testHome(t, answer{results: []Result{bad(1062)}, packet: true, inTrans: true}, answer{results: []Result{good}})
	if err := h.CommitClaim(t.Context(), h.decision()); !errors.Is(err, xa.ErrFenced) {
		t.Fatal(err)
	}
	if err := h.Rollback(t.Context()); err != nil || !h.Clean() {
		t.Fatal(err)
	}
	// Behind a claim whose outcome is not known, an OK proves nothing.
	h, _ = testHome(t, answer{results: []Result{inTrans, bad(1180)}, packet: true}, answer{results: []Result{good}})
	if err := h.CommitClaim(t.Context(), h.decision()); xa.EffectOf(err) != xa.EffectUnknown {
		t.Fatal(err)
	}
	if err := h.Rollback(t.Context()); err == nil || xa.EffectOf(err) != xa.EffectUnknown || h.Clean() {
		t.Fatal(err)
	}
	// Nor is a commit forgotten.
	h, _ = testHome(t, answer{results: []Result{good}})
	if err := h.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Rollback(t.Context()); err == nil || xa.EffectOf(err) != xa.EffectNone {
		t.Fatal(err)
	}
}

func TestHomeCommitEffects(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer answer
		writer xa.Effect
	}{
		{"OK", answer{results: []Result{good}}, xa.EffectDone},
		{"refused", answer{results: []Result{bad(3101)}}, xa.EffectNone},
		{"fails", answer{results: []Result{bad(1180)}}, xa.EffectUnknown},
		{"killed", answer{results: []Result{bad(1927)}}, xa.EffectUnknown},
		{"lost", answer{err: io.EOF}, xa.EffectUnknown},
		{"nothing written", answer{err: unsent}, xa.EffectNone},
		{"no answer", answer{}, xa.EffectUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := testHome(t, c.answer)
			if err := h.Commit(t.Context()); xa.EffectOf(err) != c.writer {
				t.Fatalf("effect %s: %v", xa.EffectOf(err), err)
			}
			h, _ = testHome(t, c.answer)
			h.wrote = false
			want := c.writer
			if want == xa.EffectUnknown {
				want = xa.EffectNone // of a reader nothing can be left
			}
			if err := h.Commit(t.Context()); xa.EffectOf(err) != want {
				t.Fatalf("a reader's effect %s: %v", xa.EffectOf(err), err)
			}
		})
	}
}

func TestParticipantsRoundTrip(t *testing.T) {
	q, err := xa.Qualifier{Session: xa.SessionID{Shard: 1, Run: 2, Conn: 3}, Ordinal: 4}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 2, 1023} {
		var all []string
		for range n {
			all = append(all, q)
		}
		s, err := encodeParticipants(all)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeParticipants(s)
		if err != nil || len(got) != n {
			t.Fatalf("%d of %d: %v", len(got), n, err)
		}
		for cut := range len(s) {
			if _, err := decodeParticipants(s[:cut]); err == nil {
				t.Fatalf("%d participants cut to %d bytes are accepted", n, cut)
			}
		}
		if _, err := decodeParticipants(s + "0"); err == nil {
			t.Fatal("a longer one is accepted")
		}
	}
}

func FuzzDecodeParticipants(f *testing.F) {
	f.Add("")
	f.Add("\x01\x00\x00")
	f.Add("\x01\x00\x01000000000000000000a")
	f.Fuzz(func(t *testing.T, s string) {
		all, err := decodeParticipants(s)
		if err != nil {
			return
		}
		if again, err := encodeParticipants(all); err != nil || again != s {
			t.Fatalf("%q decodes and encodes to %q: %v", s, again, err)
		}
	})
}

func TestGrantsAreRead(t *testing.T) {
	e := examined{global: privileges{}, schema: privileges{}}
	for _, line := range []string{
		"GRANT `role`@`%` TO `u`@`%`",
		"GRANT SELECT, PROCESS ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*X ON Y TO Z'",
		"GRANT XA_RECOVER_ADMIN,CONNECTION_ADMIN ON *.* TO `u`@`%` WITH GRANT OPTION",
		"GRANT CREATE, UPDATE ON `xaproxy`.* TO `u`@`%`",
		"GRANT DELETE ON `other`.* TO `u`@`%`",
		"REVOKE INSERT ON `xaproxy`.* FROM `u`@`%`",
	} {
		e.grant(line)
	}
	for name, want := range map[string]bool{"PROCESS": true, "SELECT": true, "XA_RECOVER_ADMIN": true, "CONNECTION_ADMIN": true, "CREATE": false} {
		if e.global.has(name) != want {
			t.Errorf("global %s: %v", name, !want)
		}
	}
	for name, want := range map[string]bool{"SELECT": true, "CREATE": true, "UPDATE": true, "DELETE": false, "INSERT": false} {
		if e.schema.has(name) != want {
			t.Errorf("schema %s: %v", name, !want)
		}
	}
}

func TestVersionsCompare(t *testing.T) {
	for _, c := range []struct {
		version, oldest string
		want            bool
	}{
		{"8.0.29", oldestMySQL, true},
		{"8.0.30-log", oldestMySQL, false},
		{"9.7.4", oldestMySQL, false},
		{"5.7.44", oldestMySQL, true},
		{"10.4.34-MariaDB", oldestMariaDB, true},
		{"10.11.18-MariaDB-0+deb12u1", oldestMariaDB, false},
		{"5.5.5-10.5.1-MariaDB", oldestMariaDB, false},
		{"11.8.9-MariaDB", oldestMariaDB, false},
	} {
		if got := olderThan(c.version, c.oldest); got != c.want {
			t.Errorf("%s is older than %s: %v", c.version, c.oldest, got)
		}
	}
}
