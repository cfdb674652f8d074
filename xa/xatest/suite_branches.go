package xatest

import (
	"testing"

	"xaproxy/xa"
)

func ownCommit(t *testing.T, s *suite) {
	o := s.prepared(t)
	s.wantListed(t, o.id, true)
	s.wantValue(t, o.key, 0)
	must(t, o.Commit(s.ctx))
	s.wantListed(t, o.id, false)
	s.wantValue(t, o.key, 1)
}

func ownRollback(t *testing.T, s *suite) {
	o := s.prepared(t)
	must(t, o.Rollback(s.ctx))
	s.wantListed(t, o.id, false)
	s.wantValue(t, o.key, 0)
}

func onePhase(t *testing.T, s *suite) {
	o := s.writer(t)
	must(t, o.Commit(s.ctx))
	s.wantListed(t, o.id, false)
	s.wantValue(t, o.key, 1)
	h := s.home(t)
	must(t, h.Commit(s.ctx))
	s.wantValue(t, h.key, 1)
}

func openRollback(t *testing.T, s *suite) {
	o := s.writer(t)
	must(t, o.Rollback(s.ctx))
	must(t, o.Rollback(s.ctx))
	s.wantValue(t, o.key, 0)
	wantEffect(t, o.Commit(s.ctx), xa.EffectNone)
	h := s.home(t)
	must(t, h.Rollback(s.ctx))
	s.wantValue(t, h.key, 0)
	wantEffect(t, h.Commit(s.ctx), xa.EffectNone)
}

func freshEnds(t *testing.T, s *suite) {
	o := s.open(t)
	must(t, o.Rollback(s.ctx))
	o = s.open(t)
	must(t, o.Commit(s.ctx))
	s.wantListed(t, o.id, false)
	o = s.open(t)
	s.wantVote(t, o, xa.ReadOnly)
	must(t, o.Commit(s.ctx))
	h := s.openHome(t)
	s.wantVote(t, h, xa.ReadOnly)
	must(t, h.Commit(s.ctx))
}

func reader(t *testing.T, s *suite) {
	o := s.open(t)
	o.Touch(t, o.key, 0)
	if o.Wrote() {
		t.Fatal("a reader wrote")
	}
	s.wantVote(t, o, xa.ReadOnly)
	s.wantListed(t, o.id, false)
	s.wantVote(t, o, xa.ReadOnly)
	must(t, o.Commit(s.ctx))
	o = s.open(t)
	o.Touch(t, o.key, 0)
	o.Cut()
	v, err := o.Prepare(s.ctx)
	if v != xa.NoVote {
		t.Fatalf("a lost reader votes %s", v)
	}
	wantEffect(t, err, xa.EffectNone)
}

func homeReader(t *testing.T, s *suite) {
	h := s.openHome(t)
	h.Touch(t, h.key, 0)
	s.wantVote(t, h, xa.ReadOnly)
	must(t, h.Commit(s.ctx))
}

func lostOpen(t *testing.T, s *suite) {
	o := s.writer(t)
	o.Cut()
	v, err := o.Prepare(s.ctx)
	if v != xa.NoVote || err == nil {
		t.Fatalf("vote is %s", v)
	}
	s.WaitGone(t, o.Session.ID())
	s.wantListed(t, o.id, false)
	must(t, s.shard.Rollback(s.ctx, o.id, xa.OwnerAlive))
	s.wantValue(t, o.key, 0)
}

func recoverCommit(t *testing.T, s *suite) {
	o := s.prepared(t)
	o.Cut()
	s.WaitGone(t, o.Session.ID())
	s.wantListed(t, o.id, true)
	must(t, s.shard.Commit(s.ctx, o.id, xa.OwnerAlive))
	s.wantListed(t, o.id, false)
	s.wantValue(t, o.key, 1)
	must(t, s.shard.Commit(s.ctx, o.id, xa.OwnerAlive))
	s.wantValue(t, o.key, 1)
}

func recoverRollback(t *testing.T, s *suite) {
	o := s.prepared(t)
	o.Cut()
	s.WaitGone(t, o.Session.ID())
	must(t, s.shard.Rollback(s.ctx, o.id, xa.OwnerAlive))
	s.wantListed(t, o.id, false)
	s.wantValue(t, o.key, 0)
	must(t, s.shard.Rollback(s.ctx, o.id, xa.OwnerAlive))
}

// busy: a branch that is not prepared yet may still be, while its session lives: its rollback is not over before.
func busy(t *testing.T, s *suite) {
	o := s.writer(t)
	wantError(t, s.shard.Rollback(s.ctx, o.id, xa.OwnerAlive), xa.ErrBusy)
	s.wantVote(t, o, xa.Prepared)
	must(t, o.Commit(s.ctx))
	s.wantValue(t, o.key, 1)
}

func killOwner(t *testing.T, s *suite) {
	o := s.writer(t)
	must(t, s.shard.Rollback(s.ctx, o.id, xa.OwnerGone))
	v, err := o.Prepare(s.ctx)
	if v != xa.NoVote || err == nil {
		t.Fatalf("a killed session votes %s", v)
	}
	s.wantListed(t, o.id, false)
	s.wantValue(t, o.key, 0)
	p := s.prepared(t)
	must(t, s.shard.Commit(s.ctx, p.id, xa.OwnerGone))
	s.wantListed(t, p.id, false)
	s.wantValue(t, p.key, 1)
}

func neverWas(t *testing.T, s *suite) {
	gone := s.Open(t)
	id := s.id(t, s.global(t, s.elsewhere()), gone.ID())
	gone.Cut()
	s.WaitGone(t, gone.ID())
	must(t, s.shard.Rollback(s.ctx, id, xa.OwnerAlive))
	must(t, s.shard.Commit(s.ctx, id, xa.OwnerAlive))
}

func foreign(t *testing.T, s *suite) {
	o := s.prepared(t)
	here := o.Session.ID()
	n, err := o.id.Global.Parse()
	must(t, err)
	n.Cluster ^= 1
	other, err := n.ID()
	must(t, err)
	for _, end := range []func(xa.ID) error{
		func(id xa.ID) error { return s.shard.Commit(s.ctx, id, xa.OwnerGone) },
		func(id xa.ID) error { return s.shard.Rollback(s.ctx, id, xa.OwnerGone) },
	} {
		wantError(t, end(s.id(t, other, here)), xa.ErrForeign)
		wantError(t, end(xa.ID{Global: "x", Branch: o.id.Branch}), xa.ErrForeign)
		wantError(t, end(xa.ID{Global: o.id.Global, Branch: "x"}), xa.ErrForeign)
		if end(s.id(t, o.id.Global, s.elsewhere())) == nil {
			t.Fatal("a misplaced branch was ended")
		}
	}
	_, err = s.shard.Fence(s.ctx, other, xa.AskRecoverer, xa.OwnerGone)
	wantError(t, err, xa.ErrForeign)
	if _, err = s.shard.Fence(s.ctx, o.id.Global, xa.AskRecoverer, xa.OwnerGone); err == nil {
		t.Fatal("a fence at a shard that is not home")
	}
	if _, err = s.shard.Peek(s.ctx, o.id.Global); err == nil {
		t.Fatal("a look at a shard that is not home")
	}
	if _, err = s.shard.HomeGone(s.ctx, o.id.Global); err == nil {
		t.Fatal("home's session looked for at a shard that is not home")
	}
	must(t, o.Commit(s.ctx))
	s.wantValue(t, o.key, 1)
}
