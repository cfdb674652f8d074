package tm_test

import (
	"slices"
	"testing"
	"time"

	"xaproxy/tm"
	"xaproxy/xa"
)

func decidedTiming() tm.Timing {
	t := quick()
	t.Decided = true
	return t
}

func open(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

// TestDecidedAnswersFirst: each branch comes back when it is finished, its session in use.
func TestDecidedAnswersFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		x := w.start(settings{name: "a", node: 1, timing: decidedTiming()})
		defer x.stop()
		tx := x.begin(0, 1, 2)
		w.rule(rule{shard: 1, op: "commit", kind: pass, then: func() { time.Sleep(5 * time.Second) }})
		w.rule(rule{shard: 2, op: "commit", kind: pass, then: func() { time.Sleep(100 * time.Millisecond) }})
		began := time.Now()
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
		if p := tx.Pending(); !slices.Equal(p, []xa.ShardID{1, 2}) || len(tx.Overdue()) != 0 {
			t.Errorf("pending %v, overdue %v", p, tx.Overdue())
		}
		if open(tx.Finished(0)) || !open(tx.Finished(1)) || !open(tx.Finished(2)) {
			t.Error("home alone is finished at the decision")
		}
		<-tx.Finished(2)
		if took := time.Since(began); took > time.Second || !open(tx.Finished(1)) {
			t.Errorf("shard 2 was finished after %v", took)
		}
		time.Sleep(3 * time.Second)
		if n := x.m.Counters().PendingCommits; n != 1 {
			t.Errorf("%d commits are counted as late, want 1", n)
		}
		<-tx.Done()
		if open(tx.Finished(1)) {
			t.Error("done, and not finished")
		}
		for i, b := range tx.branches {
			if b.abandoned != 0 {
				t.Errorf("branch %d was closed; its session can be used again", i)
			}
		}
		w.expect(tx.g, 3, xa.Committed)
	})
}

// TestDecidedIsNotLateWhenItIsQuick: no reminder is left of a commit that has ended.
func TestDecidedIsNotLateWhenItIsQuick(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: decidedTiming()})
		defer x.stop()
		tx := x.begin(0, 1)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-tx.Done()
		time.Sleep(5 * time.Second)
		if n := x.m.Counters().PendingCommits; n != 0 {
			t.Errorf("%d commits are counted as late", n)
		}
	})
}

// TestDecidedWaitsForWhatDidNotCommit: who is told to try again does not meet locks of its own.
func TestDecidedWaitsForWhatDidNotCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		x := w.start(settings{name: "a", node: 1, timing: decidedTiming()})
		defer x.stop()
		tx := x.begin(0, 1, 2)
		w.rule(rule{shard: 1, op: "prepare", kind: cutBefore})
		w.rule(rule{shard: 2, op: "rollback", kind: pass, then: func() { time.Sleep(500 * time.Millisecond) }})
		if err := tx.Commit(t.Context()); told(err) != xa.Aborted {
			t.Fatal(err)
		}
		if open(tx.Finished(2)) {
			t.Error("answered before the rollback")
		}
		<-tx.Done()
	})
}
