package tm_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xaproxy/tm"
	"xaproxy/xa"
)

func TestSecondProcessOfANodeIsRefusedWhileTheFirstBeats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		saved := new(uint32)
		x := w.start(settings{name: "a", node: 1, saved: saved, timing: quick()})
		defer x.stop()
		time.Sleep(5 * time.Second)
		_, err := w.open(settings{name: "copy", node: 1, saved: saved, timing: quick()})
		var h *tm.HeldError
		if !errors.Is(err, xa.ErrHeld) || !errors.As(err, &h) || !strings.Contains(err.Error(), "a:4407") {
			t.Errorf("%v", err)
		}
		time.Sleep(10 * time.Second)
		if err := x.begin(0, 1).Commit(t.Context()); err != nil {
			t.Errorf("the first one: %v", err)
		}
		if x.m.Counters().Reincarnations != 0 {
			t.Error("the first one was disturbed")
		}
		// Once it has ended, the copied state directory serves.
		x.stop()
		y := w.start(settings{name: "copy", node: 1, saved: saved, timing: quick()})
		defer y.stop()
		if y.m.Incarnation() <= x.m.Incarnation() {
			t.Errorf("incarnation %d after %d", y.m.Incarnation(), x.m.Incarnation())
		}
	})
}

func TestNameOfAHolderThatDoesNotBeatIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		x.p.vanish() // its sessions, and so the name locks, stay
		began := time.Now()
		y := w.start(settings{name: "b", node: 1, timing: quick()})
		defer y.stop()
		if d := time.Since(began); d < 3*time.Second || d > 8*time.Second {
			t.Errorf("took %v", d)
		}
		if y.m.Incarnation() != 2 {
			t.Errorf("incarnation %d: the state directory was lost, but the servers know", y.m.Incarnation())
		}
		for _, id := range []xa.ShardID{0, 1} {
			if n := w.node(id, 1, 1); n == nil || !n.Dead {
				t.Errorf("older incarnation at shard %d: %+v", id, n)
			}
		}
	})
}

func TestShardThatWasDownAtStartIsJoinedLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		saved := new(uint32)
		first := w.start(settings{name: "a", node: 1, saved: saved, timing: quick()})
		tx := first.begin(0, 1)
		w.rule(rule{shard: 1, op: "commit", kind: cutBefore, then: func() { first.p.die(); w.crash(1) }})
		_ = tx.Commit(t.Context())
		first.stop()
		x := w.start(settings{name: "a2", node: 1, saved: saved, timing: quick()})
		defer x.stop()
		time.Sleep(10 * time.Second)
		if n := w.node(1, 1, 2); n != nil {
			t.Fatal("registered at a shard that is down")
		}
		w.restart(1)
		time.Sleep(3 * time.Second)
		if n := w.node(1, 1, 2); n == nil || n.Beat == 0 {
			t.Errorf("not registered: %+v", n)
		}
		if n := w.node(1, 1, 1); n == nil || !n.Dead {
			t.Errorf("older one is not marked: %+v", n)
		}
		w.expect(tx.g, 2, xa.Committed) // found when the shard came back
		if err := x.begin(0, 1).Commit(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestIncarnationClashAtAReturningShard: the rows that tell the incarnation were
// on a shard that was down, and the state directory was lost.
func TestIncarnationClashAtAReturningShard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		w.mu.Lock()
		w.servers[1].nodes[[2]uint32{1, 7}] = &xa.Node{ID: 1, Incarnation: 7}
		w.mu.Unlock()
		w.crash(1)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		if x.m.Incarnation() != 1 {
			t.Fatalf("incarnation %d", x.m.Incarnation())
		}
		w.restart(1)
		time.Sleep(5 * time.Second)
		if x.m.Incarnation() != 8 || *x.saved != 8 {
			t.Errorf("incarnation %d, saved %d", x.m.Incarnation(), *x.saved)
		}
		for _, id := range []xa.ShardID{0, 1} {
			if n := w.node(id, 1, 8); n == nil || n.Dead {
				t.Errorf("at shard %d: %+v", id, n)
			}
		}
		if n := w.node(1, 1, 7); !n.Dead {
			t.Error("older one lives")
		}
	})
}

func TestDeadNodeIsMarkedEverywhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		y := w.start(settings{name: "b", node: 2, timing: quick(), shards: []xa.ShardID{0, 1}})
		defer y.stop()
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(2 * time.Second)
		w.crash(1)
		y.p.die()
		time.Sleep(6 * time.Second)
		if n := w.node(0, 2, 1); !n.Dead {
			t.Error("not marked where it wrote")
		}
		if n := w.node(2, 2, 1); n == nil || !n.Dead {
			t.Error("not marked where it never wrote")
		}
		w.restart(1)
		time.Sleep(3 * time.Second)
		if n := w.node(1, 2, 1); !n.Dead {
			t.Error("not marked at the shard that was down")
		}
		if x.m.Counters().MarkedDead != 1 {
			t.Errorf("%+v", x.m.Counters())
		}
		views, errs := x.m.Nodes(t.Context())
		if len(errs) != 0 || len(views) != 2 || views[0].State != tm.OwnerSelf || views[1].State != tm.OwnerDead {
			t.Errorf("%+v %v", views, errs)
		}
	})
}

func TestObserverThatReadsNothingMarksNobodyDead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		y := w.start(settings{name: "b", node: 2, timing: quick()})
		defer y.stop()
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(2 * time.Second)
		x.p.cut(0, true)
		x.p.cut(1, true)
		time.Sleep(20 * time.Second)
		x.p.cut(0, false)
		x.p.cut(1, false)
		time.Sleep(10 * time.Second)
		if n := w.node(0, 2, 1); n.Dead {
			t.Error("a living proxy was marked dead")
		}
		if x.m.Incarnation() != 2 { // it was marked dead itself
			t.Errorf("incarnation %d", x.m.Incarnation())
		}
	})
}

func TestServerRestartDoesNotLoseTheName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(2 * time.Second)
		w.crash(0)
		time.Sleep(5 * time.Second)
		w.restart(0)
		time.Sleep(5 * time.Second)
		if _, err := w.open(settings{name: "b", node: 1, timing: quick()}); !errors.Is(err, xa.ErrHeld) {
			t.Errorf("%v", err)
		}
		if x.m.Incarnation() != 1 {
			t.Errorf("incarnation %d", x.m.Incarnation())
		}
	})
}

func TestStartWithoutAnyShard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		w.crash(0)
		w.crash(1)
		saved := uint32(4)
		x := w.start(settings{name: "a", node: 1, saved: &saved, timing: quick()})
		defer x.stop()
		if x.m.Incarnation() != 5 || saved != 5 {
			t.Errorf("incarnation %d, saved %d", x.m.Incarnation(), saved)
		}
		w.restart(0)
		w.restart(1)
		time.Sleep(3 * time.Second)
		if err := x.begin(0, 1).Commit(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestManyDeadIncarnationsAreMarkedWithoutMissingABeat: a shard that returns
// lacks the marks of many.
func TestManyDeadIncarnationsAreMarkedWithoutMissingABeat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		for i := range uint32(70) {
			w.servers[0].nodes[[2]uint32{9, i}] = &xa.Node{ID: 9, Incarnation: i, Dead: true}
		}
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(10 * time.Second)
		for i := range uint32(70) {
			if n := w.node(1, 9, i); n == nil || !n.Dead {
				t.Fatalf("%d: %+v", i, n)
			}
		}
	})
}

func TestIncarnationThatCannotBeSavedIsNotUsed(t *testing.T) {
	w := newWorld(t, 0)
	l := link{w.process("a"), w.servers[0]}
	full := errors.New("disk full")
	m, err := tm.New(tm.Options{
		Cluster: cluster, Node: 1, SaveIncarnation: func(uint32) error { return full },
		Shards: []tm.Shard{{Resource: l, Claims: l, Nodes: l}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if _, err := m.Begin().Name(xa.SessionID{}); err == nil {
		t.Error("made a name")
	}
	if w.servers[0].holder[1] != nil {
		t.Error("the name is still held")
	}
}

// TestDeadProxyWithoutANewIncarnationMakesNoNames: it stops when it reads its
// own mark, and goes on when an incarnation can be saved again.
func TestDeadProxyWithoutANewIncarnationMakesNoNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		var full atomic.Bool
		x := w.start(settings{name: "a", node: 1, timing: quick(), full: &full})
		defer x.stop()
		time.Sleep(2 * time.Second)
		full.Store(true)
		old := x.begin(0, 1)
		w.mu.Lock()
		w.servers[0].nodes[[2]uint32{1, 1}].Dead = true
		w.mu.Unlock()
		time.Sleep(3 * time.Second)
		if _, err := x.m.Begin().Name(x.p.connect(0).id); !errors.Is(err, xa.ErrDead) {
			t.Errorf("%v", err)
		}
		if err := old.Commit(t.Context()); err != nil {
			t.Errorf("transaction of the dead incarnation: %v", err)
		}
		full.Store(false)
		time.Sleep(3 * time.Second)
		if err := x.begin(0, 1).Commit(t.Context()); err != nil || x.m.Incarnation() != 2 {
			t.Errorf("%v, incarnation %d", err, x.m.Incarnation())
		}
	})
}

// TestLostDecisionAtAShardJustBackWaitsForTheRegistration: without its row the
// claim store would have to answer Unknown.
func TestLostDecisionAtAShardJustBackWaitsForTheRegistration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		w.crash(0)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(2500 * time.Millisecond)
		w.restart(0)
		w.rule(rule{shard: 0, op: "claim", kind: cutBefore})
		tx := x.begin(0, 1)
		if err := tx.Commit(t.Context()); told(err) != xa.Aborted {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		w.expect(tx.g, 2, xa.Aborted)
	})
}

// TestDeadMarkOfAHolderIsNoSignOfLife: another proxy marks the dead holder of a
// name, which changes its row, while its successor watches.
func TestDeadMarkOfAHolderIsNoSignOfLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		y := w.start(settings{name: "b", node: 2, timing: quick()})
		defer y.stop()
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(2 * time.Second)
		x.p.vanish()
		time.Sleep(time.Second)
		z := w.start(settings{name: "a2", node: 1, timing: quick()})
		defer z.stop()
		if z.m.Incarnation() != 2 {
			t.Errorf("incarnation %d", z.m.Incarnation())
		}
	})
}

func TestRowThatIsMissingIsRegisteredAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(2 * time.Second)
		w.mu.Lock()
		clear(w.servers[1].nodes)
		w.mu.Unlock()
		time.Sleep(5 * time.Second)
		if n := w.node(1, 1, 1); n == nil || n.Dead {
			t.Errorf("%+v, incarnation %d", n, x.m.Incarnation())
		}
	})
}

func TestProxyThatBeatsTooRarelyIsNotCondemned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: tm.Timing{DeadAfter: time.Second, Beat: 2 * time.Second}})
		defer x.stop()
		y := w.start(settings{name: "b", node: 2, timing: tm.Timing{DeadAfter: time.Second, Beat: 100 * time.Millisecond}})
		defer y.stop()
		time.Sleep(time.Minute)
		if n := x.m.Counters().MarkedDead + y.m.Counters().MarkedDead; n != 0 {
			t.Errorf("%d marked dead", n)
		}
	})
}

// TestAShardIsAddedWhileTheManagerRuns: it is registered at, transactions over it commit, and what a dead process left
// there is finished.
func TestAShardIsAddedWhileTheManagerRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		deadClaim(t, w, false, xa.Committed, xa.SessionID{})
		x := w.start(settings{name: "a", node: 1, timing: quick(), shards: []xa.ShardID{0, 1}})
		defer x.stop()
		time.Sleep(time.Minute)
		if w.claimCount() != 1 {
			t.Error("collected although its participant's shard is not known")
		}
		l := link{x.p, w.servers[2]}
		if err := x.m.AddShard(tm.Shard{Resource: l, Claims: l, Nodes: l}); err != nil {
			t.Fatal(err)
		}
		if err := x.m.AddShard(tm.Shard{Resource: l, Claims: l, Nodes: l}); err == nil {
			t.Error("added twice")
		}
		time.Sleep(3 * time.Second)
		if w.node(2, 1, x.m.Incarnation()) == nil {
			t.Error("not registered at the new shard")
		}
		tx := x.begin(2, 0)
		if err := tx.Commit(t.Context()); err != nil {
			t.Error(err)
		}
		w.expect(tx.g, 2, xa.Committed)
		time.Sleep(time.Minute)
		if n := w.claimCount(); n != 0 {
			t.Errorf("%d claims are left", n)
		}
	})
}
