package xatest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"xaproxy/xa"
)

// memSession is a session of a Memory. Its lost is guarded by Memory.mu, the rest belongs to the session's user.
type memSession struct {
	m      *Memory
	id     xa.SessionID
	lost   bool
	branch *memBranch
}

// ID implements Session.
func (s *memSession) ID() xa.SessionID { return s.id }

// Home implements Session.
func (s *memSession) Home(t testing.TB, g xa.GlobalID) xa.Home {
	t.Helper()
	bqual, err := xa.Qualifier{Session: s.id}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.branch = &memBranch{s: s, id: xa.ID{Global: g, Branch: bqual}, adds: map[string]int{}}
	return &memHome{s.branch}
}

// Branch implements Session.
func (s *memSession) Branch(_ testing.TB, id xa.ID) xa.Branch {
	s.branch = &memBranch{s: s, id: id, adds: map[string]int{}}
	return s.branch
}

// Touch implements Session.
func (s *memSession) Touch(_ testing.TB, key string, add int) {
	if add != 0 {
		s.branch.wrote = true
		s.branch.adds[key] += add
	}
}

// Cut implements Session.
func (s *memSession) Cut() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.end(s)
}

// memStage is how a memBranch stands.
type memStage uint8

const (
	memOpen memStage = iota
	memPrepared
	memCommitted
	memRolledBack
)

// memBranch is a branch of a Memory.
type memBranch struct {
	s     *memSession
	id    xa.ID
	wrote bool
	adds  map[string]int

	// stage and suspect are guarded by Memory.mu.
	stage   memStage
	suspect bool // a PREPARE, COMMIT or claim was sent and its answer was lost
}

// ID implements xa.Branch.
func (b *memBranch) ID() xa.ID { return b.id }

// Wrote implements xa.Branch.
func (b *memBranch) Wrote() bool { return b.wrote }

// Prepare implements xa.Branch.
func (b *memBranch) Prepare(ctx context.Context) (xa.Vote, error) {
	vote := xa.NoVote
	err := b.act(ctx, OpPrepare, func() error {
		switch {
		case b.stage != memOpen:
			return xa.WithEffect(xa.ErrLost, xa.EffectNone)
		case !b.wrote:
			vote = xa.ReadOnly
		default:
			vote, b.stage = xa.Prepared, memPrepared
			b.s.m.prepared[b.id] = b.adds
		}
		return nil
	})
	if err != nil {
		return xa.NoVote, err
	}
	return vote, nil
}

// act runs do on the branch's session.
func (b *memBranch) act(ctx context.Context, op Op, do func() error) error {
	err := b.s.m.act(ctx, op, b.s, do)
	if err == nil {
		return nil
	}
	if xa.EffectOf(err) == xa.EffectUnknown && op != OpRollback {
		b.s.m.mu.Lock()
		defer b.s.m.mu.Unlock()
		b.suspect = true
	}
	return fmt.Errorf("%s: branch %q of %q: %w", b.s.m.Name(), b.id.Branch, b.id.Global, err)
}

// Commit implements xa.Branch.
func (b *memBranch) Commit(ctx context.Context) error {
	return b.act(ctx, OpCommit, func() error {
		switch b.stage {
		case memOpen:
			b.s.m.apply(b.adds)
		case memPrepared:
			if !b.s.m.finish(b.id, xa.Committed) {
				return errors.New("somebody else has ended it")
			}
		case memCommitted:
			return nil
		case memRolledBack:
			return xa.WithEffect(xa.ErrLost, xa.EffectNone)
		}
		b.stage = memCommitted
		return nil
	})
}

// Rollback implements xa.Branch.
func (b *memBranch) Rollback(ctx context.Context) error {
	err := b.act(ctx, OpRollback, func() error {
		switch b.stage {
		case memPrepared:
			if !b.s.m.finish(b.id, xa.Aborted) {
				return errors.New("somebody else has ended it")
			}
		case memCommitted:
			return xa.WithEffect(errors.New("branch has been committed already"), xa.EffectNone)
		case memOpen, memRolledBack:
		}
		b.stage = memRolledBack
		return nil
	})
	b.s.m.mu.Lock()
	defer b.s.m.mu.Unlock()
	if err != nil && b.s.lost && b.stage == memOpen && !b.suspect {
		return xa.WithEffect(err, xa.EffectDone) // its session is gone, and so is it
	}
	return err
}

// memHome is a home branch of a Memory.
type memHome struct{ *memBranch }

// Prepare implements xa.Branch.
func (h *memHome) Prepare(ctx context.Context) (xa.Vote, error) {
	if h.wrote {
		return xa.NoVote, xa.WithEffect(errors.New("home is not prepared"), xa.EffectNone)
	}
	return h.memBranch.Prepare(ctx)
}

// CommitClaim implements xa.Home.
func (h *memHome) CommitClaim(ctx context.Context, d xa.Decision) error {
	if d.Outcome != xa.Committed || d.Global != h.id.Global {
		return xa.WithEffect(errors.New("not a decision that home records"), xa.EffectNone)
	}
	return h.act(ctx, OpClaim, func() error {
		m := h.s.m
		if h.stage != memOpen {
			return xa.WithEffect(xa.ErrLost, xa.EffectNone)
		}
		if _, taken := m.claims[d.Global]; taken {
			return xa.WithEffect(xa.ErrFenced, xa.EffectNone)
		}
		m.claims[d.Global] = xa.Claim{Decision: d, AgeMillis: time.Since(m.start).Milliseconds()}
		m.apply(h.adds)
		h.stage = memCommitted
		return nil
	})
}
