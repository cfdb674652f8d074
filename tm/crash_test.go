package tm_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"xaproxy/tm"
	"xaproxy/xa"
)

// steps are the verbs of a transaction with home 0 and branches at 1 and 2.
func steps() []rule {
	return []rule{
		{op: "prepare", shard: 1}, {op: "prepare", shard: 2}, {op: "claim", shard: 0},
		{op: "commit", shard: 1}, {op: "commit", shard: 2},
	}
}

// TestProxyDiesAtEveryStep kills the proxy at each verb; the same node, or
// another one that runs already, finishes what is left.
func TestProxyDiesAtEveryStep(t *testing.T) {
	for _, heir := range []string{"restarted", "other"} {
		for _, how := range []string{"killed", "power off"} {
			for _, st := range steps() {
				for _, kind := range []faultKind{cutBefore, cutAfter, cutLate} {
					t.Run(fmt.Sprintf("%s %s at %s %d kind %d", heir, how, st.op, st.shard, kind), func(t *testing.T) {
						bubble(t, func(t *testing.T) { dieAndRecover(t, heir, how, st, kind) })
					})
				}
			}
		}
	}
}

func dieAndRecover(t *testing.T, heir, how string, st rule, kind faultKind) {
	w := newWorld(t, 0, 1, 2)
	x := w.start(settings{name: "a", node: 1, timing: quick()})
	defer x.stop()
	var other *proxy
	if heir == "other" {
		other = w.start(settings{name: "b", node: 2, timing: quick()})
		time.Sleep(2 * time.Second)
	}
	st.proc, st.kind, st.then = "a", kind, x.p.die
	if how == "power off" {
		st.then = x.p.vanish
	}
	w.rule(st)
	tx := x.begin(0, 1, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := tx.Commit(ctx)
	x.stop()
	if how == "power off" {
		// Leases end the sessions later; until then they are killed when in the way.
		time.AfterFunc(15*time.Second, x.p.die)
	}
	if other == nil {
		other = w.start(settings{name: "a2", node: 1, saved: x.saved, timing: quick()})
	}
	defer other.stop()
	time.Sleep(40 * time.Second)
	w.expect(tx.g, 3, told(err))
	if n := w.claimCount(); n != 0 {
		t.Errorf("%d claims left", n)
	}
	r, err := other.m.Outcome(t.Context(), tx.g)
	if err != nil || (w.verdict(tx.g, 3) == "C") != (r.State == tm.Committed) && r.State != tm.EndedNotRecorded {
		t.Errorf("asked for the outcome: %+v %v", r, err)
	}
}

// TestRestartRecoversWithinTwoSeconds: a node that comes back does not wait for
// its own dead incarnation.
func TestRestartRecoversWithinTwoSeconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		w.rule(rule{shard: 1, op: "commit", kind: cutBefore, then: x.p.die})
		tx := x.begin(0, 1, 2)
		_ = tx.Commit(t.Context())
		x.stop()
		y := w.start(settings{name: "a2", node: 1, saved: x.saved, timing: quick()})
		defer y.stop()
		time.Sleep(2 * time.Second)
		w.expect(tx.g, 3, xa.Committed)
		if n := w.claimCount(); n != 0 {
			t.Errorf("%d claims left", n)
		}
	})
}

// TestZombieAnswersUnknownAfterItsDeadMark is R9: the claim committed and was
// collected by others while the coordinator could not reach home.
func TestZombieAnswersUnknownAfterItsDeadMark(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		y := w.start(settings{name: "b", node: 2, timing: quick()})
		defer y.stop()
		time.Sleep(2 * time.Second)
		old := x.m.Incarnation()
		w.rule(rule{proc: "a", shard: 0, op: "claim", kind: cutAfter, then: func() {
			x.p.cut(0, true)
			x.p.cut(1, true)
		}})
		tx := x.begin(0, 1)
		answer := make(chan error, 1)
		go func() { answer <- tx.Commit(context.Background()) }()
		time.Sleep(20 * time.Second)
		if n := w.claimCount(); n != 0 {
			t.Fatalf("the claim of a dead incarnation was not collected")
		}
		x.p.cut(0, false)
		x.p.cut(1, false)
		if err := <-answer; told(err) != xa.Unknown {
			t.Errorf("zombie told %v: %v", told(err), err)
		}
		time.Sleep(10 * time.Second)
		w.expect(tx.g, 2, xa.Committed)
		if x.m.Incarnation() <= old {
			t.Error("zombie goes on with a dead incarnation")
		}
		if err := x.begin(0, 1).Commit(t.Context()); err != nil {
			t.Errorf("new incarnation: %v", err)
		}
		// To whoever asks it has ended, and how is no longer recorded.
		for _, p := range []*proxy{x, y} {
			if r, err := p.m.Outcome(t.Context(), tx.g); err != nil || r.State != tm.EndedNotRecorded {
				t.Errorf("%+v %v", r, err)
			}
		}
	})
}

// TestZombieBeforeTheDecisionIsFenced: recoverers aborted it meanwhile.
func TestZombieBeforeTheDecisionIsFenced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		y := w.start(settings{name: "b", node: 2, timing: quick()})
		defer y.stop()
		time.Sleep(2 * time.Second)
		// The process stops for 9 s with all votes in hand: its beats stop, too.
		w.rule(rule{proc: "a", shard: 2, op: "prepare", kind: pass, then: func() {
			x.p.cut(1, true)
			x.p.cut(2, true)
			x.p.cut(0, true)
			time.Sleep(9 * time.Second)
			x.p.cut(0, false)
			x.p.cut(1, false)
			x.p.cut(2, false)
		}})
		tx := x.begin(0, 1, 2)
		err := tx.Commit(t.Context())
		if told(err) != xa.Aborted {
			t.Errorf("%v", err)
		}
		tx.close(w)
		time.Sleep(time.Minute)
		w.expect(tx.g, 3, xa.Aborted)
		if n := w.claimCount(); n != 0 {
			t.Errorf("%d claims left", n)
		}
	})
}

// TestManyTransactionsUnderRandomFaults runs two proxies against three servers
// that lose answers, and compares everybody's view at the end.
func TestManyTransactionsUnderRandomFaults(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		y := w.start(settings{name: "b", node: 2, timing: quick()})
		defer y.stop()
		type done struct {
			tx  *txn
			err error
		}
		results := make(chan done)
		ops := []string{"prepare", "claim", "commit", "rollback", "rcommit", "rrollback", "fence", "list", "collect", "peek", "sweep", "homegone"}
		const n = 120
		for i := range n {
			p := x
			if i%2 == 0 {
				p = y
			}
			op := ops[i%len(ops)]
			w.rule(rule{shard: xa.ShardID(i % 3), op: op, skip: i % 4, kind: faultKind(1 + i%5)})
			first := xa.ShardID(i % 3)
			tx := p.begin(first, (first+1)%3, (first+2)%3)
			go func() { results <- done{tx, tx.Commit(t.Context())} }()
			time.Sleep(time.Duration(i%7) * 50 * time.Millisecond)
		}
		var all []done
		for range n {
			d := <-results
			d.tx.close(w)
			all = append(all, d)
		}
		time.Sleep(3 * time.Minute)
		committed := 0
		for _, d := range all {
			w.expect(d.tx.g, 3, told(d.err))
			if d.err == nil {
				committed++
			}
		}
		t.Logf("%d of %d committed", committed, n)
		if n := w.claimCount(); n != 0 {
			t.Errorf("%d claims left", n)
		}
	})
}
