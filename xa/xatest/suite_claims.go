package xatest

import (
	"errors"
	"slices"
	"testing"

	"xaproxy/xa"
)

func claimCommits(t *testing.T, s *suite) {
	h := s.home(t)
	o := s.prepared(t)
	must(t, s.decide(h, o.id.Branch))
	s.wantValue(t, h.key, 1)
	d := s.wantPeek(t, h.g, xa.Committed)
	if !slices.Equal(d.Participants, []string{o.id.Branch}) {
		t.Fatalf("participants are %q, want %q", d.Participants, o.id.Branch)
	}
	must(t, o.Rollback(s.ctx))
}

func decisionOnly(t *testing.T, s *suite) {
	h := s.openHome(t)
	h.Touch(t, h.key, 0)
	must(t, s.decide(h))
	s.wantPeek(t, h.g, xa.Committed)
}

func fenceStops(t *testing.T, s *suite) {
	h := s.home(t)
	s.wantFence(t, h.g, xa.AskRecoverer, xa.Aborted)
	s.wantFence(t, h.g, xa.AskRecoverer, xa.Aborted)
	err := s.decide(h)
	wantError(t, err, xa.ErrFenced)
	wantEffect(t, err, xa.EffectNone)
	must(t, h.Rollback(s.ctx))
	s.wantValue(t, h.key, 0)
	s.wantPeek(t, h.g, xa.Aborted)
}

func fenceFinds(t *testing.T, s *suite) {
	h := s.home(t)
	must(t, s.decide(h))
	s.wantFence(t, h.g, xa.AskRecoverer, xa.Committed)
	s.wantFence(t, h.g, xa.AskRecoverer, xa.Committed)
}

func fenceOpenHome(t *testing.T, s *suite) {
	h := s.home(t)
	s.wantFence(t, h.g, xa.AskRecoverer, xa.Aborted)
	must(t, h.Rollback(s.ctx))
}

func peek(t *testing.T, s *suite) {
	h := s.home(t)
	s.wantPeek(t, h.g, xa.Undecided)
	must(t, s.decide(h))
	s.wantPeek(t, h.g, xa.Committed)
}

func lostClaim(t *testing.T, s *suite) {
	h := s.home(t)
	h.Cut()
	err := s.decide(h)
	if err == nil {
		t.Fatal("decided on a lost session")
	}
	wantEffect(t, err, xa.EffectNone)
	s.WaitGone(t, h.Session.ID())
	s.wantPeek(t, h.g, xa.Undecided)
	s.wantValue(t, h.key, 0)
	h = s.home(t)
	must(t, h.Rollback(s.ctx))
	wantEffect(t, s.decide(h), xa.EffectNone)
	s.wantPeek(t, h.g, xa.Undecided)
}

func race(t *testing.T, s *suite) {
	for range 10 {
		h := s.home(t)
		var decided error
		var got [3]xa.Outcome
		var failed [3]error
		fence := func(i int) func() {
			return func() { got[i], failed[i] = s.shard.Fence(s.ctx, h.g, xa.AskRecoverer, xa.OwnerAlive) }
		}
		together(func() { decided = s.decide(h) }, fence(0), fence(1), fence(2))
		want := xa.Committed
		if decided != nil {
			wantEffect(t, decided, xa.EffectNone)
			must(t, h.Rollback(s.ctx))
			want = xa.Aborted
		}
		for i, out := range got {
			if failed[i] == nil && out != want {
				t.Fatalf("a fence says %s, home %v", out, decided)
			}
		}
		s.wantFence(t, h.g, xa.AskRecoverer, want)
		value := 0
		if want == xa.Committed {
			value = 1
		}
		s.wantValue(t, h.key, value)
	}
}

func ownerLives(t *testing.T, s *suite) {
	s.register(t)
	h := s.home(t)
	s.wantFence(t, h.g, xa.AskOwner, xa.Aborted)
	s.wantFence(t, h.g, xa.AskOwner, xa.Aborted)
	wantError(t, s.decide(h), xa.ErrFenced)
	must(t, h.Rollback(s.ctx))
	h = s.home(t)
	must(t, s.decide(h))
	s.wantFence(t, h.g, xa.AskOwner, xa.Committed)
}

func ownerDead(t *testing.T, s *suite) {
	s.register(t)
	none, aborted, done := s.home(t), s.home(t), s.home(t)
	s.wantFence(t, aborted.g, xa.AskOwner, xa.Aborted)
	must(t, s.decide(done))
	must(t, s.shard.MarkDead(s.ctx, playedNode, s.incarnation))
	s.wantFence(t, none.g, xa.AskOwner, xa.Unknown)
	s.wantPeek(t, none.g, xa.Undecided)
	s.wantFence(t, aborted.g, xa.AskOwner, xa.Unknown)
	s.wantFence(t, done.g, xa.AskOwner, xa.Committed)
	s.wantFence(t, none.g, xa.AskRecoverer, xa.Aborted)
	s.wantFence(t, none.g, xa.AskOwner, xa.Unknown)
	must(t, none.Rollback(s.ctx))
	must(t, aborted.Rollback(s.ctx))
}

func ownerUnregistered(t *testing.T, s *suite) {
	h := s.home(t)
	s.wantFence(t, h.g, xa.AskOwner, xa.Unknown)
	s.wantPeek(t, h.g, xa.Undecided)
	must(t, s.decide(h))
	s.wantFence(t, h.g, xa.AskOwner, xa.Committed)
}

// swept looks for a claim in a sweep.
func (s *suite) swept(t *testing.T, g xa.GlobalID) (xa.Claim, bool) {
	t.Helper()
	var found xa.Claim
	seen := map[xa.GlobalID]bool{}
	for c, err := range s.shard.Sweep(s.ctx) {
		must(t, err)
		if seen[c.Global] {
			t.Fatalf("%q is listed twice", c.Global)
		}
		seen[c.Global] = true
		if c.Global == g {
			found = c
		}
	}
	return found, seen[g]
}

func sweep(t *testing.T, s *suite) {
	h := s.home(t)
	if _, there := s.swept(t, h.g); there {
		t.Fatal("swept before it was recorded")
	}
	participant := s.open(t)
	must(t, s.decide(h, participant.id.Branch))
	c, there := s.swept(t, h.g)
	if !there || c.Outcome != xa.Committed || !slices.Equal(c.Participants, []string{participant.id.Branch}) {
		t.Fatalf("sweep lists %+v, %v", c, there)
	}
	if c.AgeMillis < 0 || c.AgeMillis > patience.Milliseconds() {
		t.Fatalf("age is %d ms", c.AgeMillis)
	}
	fenced := s.home(t)
	s.wantFence(t, fenced.g, xa.AskRecoverer, xa.Aborted)
	c, there = s.swept(t, fenced.g)
	if !there || c.Outcome != xa.Aborted || len(c.Participants) != 0 {
		t.Fatalf("sweep lists %+v, %v", c, there)
	}
	must(t, fenced.Rollback(s.ctx))
}

func collect(t *testing.T, s *suite) {
	s.register(t)
	first, second := s.committed(t), s.committed(t)
	aborted := s.home(t)
	s.wantFence(t, aborted.g, xa.AskRecoverer, xa.Aborted)
	must(t, aborted.Rollback(s.ctx))
	for _, step := range []struct {
		h    home
		upto uint64
	}{{second, 2}, {first, 2}, {aborted, 2}} {
		c, there := s.swept(t, step.h.g)
		if !there {
			t.Fatal("not swept")
		}
		must(t, s.shard.Collect(s.ctx, xa.AskOwner, []xa.Claim{c}))
		s.wantPeek(t, step.h.g, xa.Undecided)
		if n, ok := s.self(t); !ok || n.CollectedUpto != step.upto {
			t.Fatalf("collected_upto is %d, want %d", n.CollectedUpto, step.upto)
		}
	}
	must(t, s.shard.Collect(s.ctx, xa.AskOwner, nil))
}

// collectExact: a claim that says something else by now stays, and commits of an incarnation without a row stay.
func collectExact(t *testing.T, s *suite) {
	h := s.committed(t)
	commit := xa.Claim{Decision: xa.Decision{Global: h.g, Outcome: xa.Committed}}
	abort := xa.Claim{Decision: xa.Decision{Global: h.g, Outcome: xa.Aborted}}
	must(t, s.shard.Collect(s.ctx, xa.AskOwner, []xa.Claim{abort}))
	s.wantPeek(t, h.g, xa.Committed)
	if s.shard.Collect(s.ctx, xa.AskOwner, []xa.Claim{commit}) == nil {
		t.Fatal("collected without a row for collected_upto")
	}
	s.wantPeek(t, h.g, xa.Committed)
	if s.shard.Collect(s.ctx, xa.AskOwner, []xa.Claim{{Decision: xa.Decision{Global: h.g}}}) == nil {
		t.Fatal("collected something undecided")
	}
	s.register(t)
	if s.shard.Collect(s.ctx, xa.AskRecoverer, []xa.Claim{commit}) == nil {
		t.Fatal("collected the commit of an incarnation that is not marked dead (R2)")
	}
	s.wantPeek(t, h.g, xa.Committed)
	must(t, s.shard.MarkDead(s.ctx, playedNode, s.incarnation))
	if d := s.wantPeek(t, h.g, xa.Committed); !d.OwnerDead {
		t.Fatal("peek does not see the dead mark")
	}
	must(t, s.shard.Collect(s.ctx, xa.AskRecoverer, []xa.Claim{commit}))
	s.wantPeek(t, h.g, xa.Undecided)
	if n, ok := s.self(t); !ok || !n.Dead || n.CollectedUpto != s.sequence {
		t.Fatalf("the node's row is %+v", n)
	}
}

func homeGone(t *testing.T, s *suite) {
	h := s.home(t)
	want := func(g xa.GlobalID, want bool) {
		t.Helper()
		got, err := s.shard.HomeGone(s.ctx, g)
		must(t, err)
		if got != want {
			t.Fatalf("home is gone: %v, want %v", got, want)
		}
	}
	want(h.g, false)
	earlier := h.Session.ID()
	earlier.Run -= 1000
	want(s.global(t, earlier), true)
	close := h.Session.ID()
	close.Run -= 2 // may be the same run
	want(s.global(t, close), false)
	h.Cut()
	s.WaitGone(t, h.Session.ID())
	want(h.g, true)
}

func nodes(t *testing.T, s *suite) {
	if _, ok := s.self(t); ok {
		t.Fatal("there before it was registered")
	}
	if _, err := s.shard.Beat(s.ctx, playedNode, s.incarnation); err == nil {
		t.Fatal("a beat without a row")
	}
	s.register(t)
	n, ok := s.self(t)
	if !ok || n.Dead || n.Endpoint != "here" || n.CollectedUpto != 0 {
		t.Fatalf("registered as %+v", n)
	}
	beat, err := s.shard.Beat(s.ctx, playedNode, s.incarnation)
	must(t, err)
	if beat.Dead || beat.Beat == n.Beat {
		t.Fatalf("beat made %+v of %+v", beat, n)
	}
	must(t, s.shard.MarkDead(s.ctx, playedNode, s.incarnation))
	must(t, s.shard.MarkDead(s.ctx, playedNode, s.incarnation))
	beat, err = s.shard.Beat(s.ctx, playedNode, s.incarnation)
	must(t, err)
	if !beat.Dead {
		t.Fatal("does not learn that it is dead")
	}
	err = s.shard.Register(s.ctx, xa.Node{ID: playedNode, Incarnation: s.incarnation})
	wantError(t, err, xa.ErrDead)
}

func deadStranger(t *testing.T, s *suite) {
	must(t, s.shard.MarkDead(s.ctx, playedNode, s.incarnation))
	if n, ok := s.self(t); !ok || !n.Dead {
		t.Fatalf("marked as %+v", n)
	}
	wantError(t, s.shard.Register(s.ctx, xa.Node{ID: playedNode, Incarnation: s.incarnation}), xa.ErrDead)
}

func hold(t *testing.T, s *suite) {
	name := s.incarnation & xa.MaxNode // a node that nobody else plays
	release, err := s.shard.Hold(s.ctx, name)
	must(t, err)
	if _, err := s.shard.Hold(s.ctx, name); !errors.Is(err, xa.ErrHeld) {
		t.Fatalf("held twice: %v", err)
	}
	must(t, s.shard.KillHolder(s.ctx, name))
	again, err := s.shard.Hold(s.ctx, name)
	must(t, err)
	release()
	if _, err := s.shard.Hold(s.ctx, name); !errors.Is(err, xa.ErrHeld) {
		t.Fatalf("the killed holder's release freed it: %v", err)
	}
	again()
	deadline := s.ctx
	for {
		release, err = s.shard.Hold(deadline, name)
		if err == nil {
			release()
			break
		}
		if !errors.Is(err, xa.ErrHeld) {
			t.Fatal(err)
		}
	}
	must(t, s.shard.KillHolder(s.ctx, name))
}
