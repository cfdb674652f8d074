package tm_test

import (
	"context"
	"testing"

	"xaproxy/tm"
	"xaproxy/xa"
)

// still is a branch that answers at once.
type still struct{ id xa.ID }

func (s still) ID() xa.ID                                      { return s.id }
func (s still) Wrote() bool                                    { return true }
func (s still) Prepare(context.Context) (xa.Vote, error)       { return xa.Prepared, nil }
func (s still) Commit(context.Context) error                   { return nil }
func (s still) Rollback(context.Context) error                 { return nil }
func (s still) CommitClaim(context.Context, xa.Decision) error { return nil }

// BenchmarkOneBranch is what the manager adds to a transaction at one shard.
func BenchmarkOneBranch(b *testing.B) {
	m, err := tm.New(tm.Options{SaveIncarnation: func(uint32) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		t := m.Begin()
		t.SetHome(still{})
		if err := t.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
