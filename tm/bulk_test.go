package tm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"xaproxy/xa"
)

// bulkLink is a link that can do much at a time.
type bulkLink struct{ link }

func (l bulkLink) FenceAll(ctx context.Context, all []xa.GlobalID) (map[xa.GlobalID]xa.Outcome, error) {
	out := map[xa.GlobalID]xa.Outcome{}
	err := l.call(ctx, "fenceall", func() error { return nil })
	for _, g := range all[1:] { // one is left out
		if err == nil {
			out[g], err = l.Fence(ctx, g, xa.AskRecoverer, xa.OwnerAlive)
		}
	}
	return out, err
}

func (l bulkLink) HomesGone(ctx context.Context, all []xa.GlobalID) (map[xa.GlobalID]bool, error) {
	out := map[xa.GlobalID]bool{}
	err := l.call(ctx, "homesgone", func() error { return nil })
	for _, g := range all {
		if err == nil {
			out[g], err = l.HomeGone(ctx, g)
		}
	}
	return out, err
}

func (l bulkLink) Settle(ctx context.Context, all []xa.Settlement) []error {
	errs := make([]error, len(all))
	_ = l.call(ctx, "settleall", func() error { return nil })
	for i, s := range all {
		switch {
		case i == 0:
			errs[i] = errors.New("not this one, this time")
		case s.Outcome == xa.Committed:
			errs[i] = l.Commit(ctx, s.ID, s.Owner)
		default:
			errs[i] = l.Rollback(ctx, s.ID, s.Owner)
		}
	}
	return errs
}

// TestManyBranchesAreResolvedTogether: with few calls, each as is decided; what one call leaves out or fails with is
// done alone, or in the next pass.
func TestManyBranchesAreResolvedTogether(t *testing.T) {
	const many = 300
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 2)
		want := map[xa.GlobalID]xa.Outcome{}
		for i := range many {
			g := gtrid(t, xa.GlobalName{Node: 9, Incarnation: 1, Sequence: uint64(i + 1), Home: xa.SessionID{Shard: 0, Conn: 7, Run: 1}})
			id := w.prepare(t, 2, g, xa.Qualifier{Session: xa.SessionID{Shard: 2, Run: 1}, Ordinal: 1})
			if want[g] = xa.Aborted; i%2 == 0 {
				want[g] = xa.Committed
				w.mu.Lock()
				w.servers[0].claims[g] = claimRow{xa.Decision{Global: g, Outcome: xa.Committed, Participants: []string{id.Branch}}, time.Now()}
				w.mu.Unlock()
			}
		}
		w.mu.Lock()
		for _, s := range w.servers {
			s.nodes[[2]uint32{9, 1}] = &xa.Node{ID: 9, Incarnation: 1, Dead: true}
		}
		w.mu.Unlock()
		x := w.start(settings{name: "a", node: 1, timing: quick(), bulk: true})
		defer x.stop()
		time.Sleep(40 * time.Second)
		w.mu.Lock()
		left := len(w.servers[2].prepared)
		for g, o := range want {
			if end := w.servers[2].ends[string(g)]; end != map[xa.Outcome]string{xa.Committed: "C", xa.Aborted: "R"}[o] {
				t.Errorf("%s ended as %q, want %s", g, end, o)
			}
		}
		w.mu.Unlock()
		if left > 0 {
			t.Errorf("%d branches are left", left)
		}
		if f, s := w.called("fenceall"), w.called("settleall"); f == 0 || s == 0 || f > 20 || s > 20 {
			t.Errorf("%d calls for outcomes, %d for ends", f, s)
		}
		time.Sleep(time.Minute)
		if w.claimCount() != 0 || w.called("homesgone") == 0 {
			t.Errorf("%d claims are left, %d questions for homes", w.claimCount(), w.called("homesgone"))
		}
	})
}
