package xatest_test

import (
	"errors"
	"testing"

	"xaproxy/xa"
	"xaproxy/xa/xatest"
)

func TestMemoryConforms(t *testing.T) {
	xatest.TestResource(t, func(*testing.T) xatest.Subject {
		return xatest.InMemory{Memory: xatest.NewMemory(cluster, number)}
	})
}

// inMemory is a branch on a Memory that has added 1 to key k.
func inMemory(t *testing.T) (xatest.InMemory, xatest.Session, xa.Branch) {
	t.Helper()
	m := xatest.InMemory{Memory: xatest.NewMemory(cluster, number)}
	s := m.Open(t)
	b := s.Branch(t, branchID(t, s.ID(), 1))
	s.Touch(t, "k", 1)
	return m, s, b
}

func branchID(t testing.TB, s xa.SessionID, sequence uint64) xa.ID {
	t.Helper()
	g, err := xa.GlobalName{Cluster: cluster, Node: node, Incarnation: 1, Sequence: sequence, Home: xa.SessionID{Shard: number ^ 1, Run: 1, Conn: 1}}.ID()
	if err != nil {
		t.Fatal(err)
	}
	q, err := xa.Qualifier{Session: s, Ordinal: 1}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return xa.ID{Global: g, Branch: q}
}

func TestMemoryFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  xatest.Fault
		effect xa.Effect
		listed bool // afterwards
		later  bool // after Deliver
	}{
		{"refused", xatest.Refused, xa.EffectNone, false, false},
		{"lost before", xatest.LostBefore, xa.EffectUnknown, false, false},
		{"lost after", xatest.LostAfter, xa.EffectUnknown, true, true},
		{"late", xatest.Late, xa.EffectUnknown, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _, b := inMemory(t)
			m.Script(xatest.OpPrepare, c.fault)
			v, err := b.Prepare(t.Context())
			if v != xa.NoVote || !errors.Is(err, xatest.ErrScripted) || xa.EffectOf(err) != c.effect {
				t.Fatalf("vote %s, %v, effect %s", v, err, xa.EffectOf(err))
			}
			wantInDoubt(t, m, b.ID(), c.listed)
			if c.fault == xatest.Late {
				if err := m.Rollback(t.Context(), b.ID(), xa.OwnerAlive); !errors.Is(err, xa.ErrBusy) {
					t.Fatalf("rolled back before the PREPARE came: %v", err)
				}
			}
			m.Deliver()
			wantInDoubt(t, m, b.ID(), c.later)
		})
	}
}

func TestMemoryCrashKeepsWhatWasPrepared(t *testing.T) {
	m, _, b := inMemory(t)
	if _, err := b.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Crash()
	wantInDoubt(t, m, b.ID(), true)
	if err := b.Commit(t.Context()); xa.EffectOf(err) != xa.EffectNone {
		t.Fatal(err)
	}
	if err := m.Commit(t.Context(), b.ID(), xa.OwnerAlive); err != nil {
		t.Fatal(err)
	}
	if v := m.Value(t, "k"); v != 1 {
		t.Fatal(v)
	}
}

func wantInDoubt(t testing.TB, s xa.Resource, id xa.ID, want bool) {
	t.Helper()
	found := false
	for got, err := range s.InDoubt(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		found = found || got == id
	}
	if found != want {
		t.Fatalf("listed: %v, want %v", found, want)
	}
}
