package tm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"xaproxy/tm"
	"xaproxy/xa"
)

func TestTwoWritersCommitByOneClaim(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		x := w.start(settings{name: "a", node: 1, timing: tm.Timing{}})
		defer x.stop()
		tx := x.begin(0, 1, 2)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := tx.Pending(); len(p) != 0 {
			t.Errorf("pending %v", p)
		}
		w.expect(tx.g, 3, xa.Committed)
		if got := tx.branches[0].verbs; !slices.Equal(got, []string{"claim"}) {
			t.Errorf("home got %v", got)
		}
		for _, b := range tx.branches[1:] {
			if !slices.Equal(b.verbs, []string{"prepare", "commit"}) {
				t.Errorf("branch got %v", b.verbs)
			}
			if b.abandoned != 0 {
				t.Errorf("a session that served was closed")
			}
		}
		if got := len(w.servers[0].claims[tx.g].d.Participants); got != 2 {
			t.Errorf("claim names %d participants", got)
		}
		if err := tx.Commit(t.Context()); !errors.Is(err, tm.ErrEnded) {
			t.Errorf("second commit: %v", err)
		}
		<-tx.Done()
		if c := x.m.Counters(); c.CommitsTwoPhase != 1 || c.Live != 0 {
			t.Errorf("%+v", c)
		}
	})
}

func TestOneBranchNeedsNoNameNoClaimAndNoGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0)
		x := w.start(settings{name: "a", node: 1})
		defer x.stop()
		tx := x.m.Begin()
		h := x.p.home(x.p.connect(0), "k")
		tx.SetHome(h)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if tx.Global() != "" || w.claimCount() != 0 || !slices.Equal(h.verbs, []string{"commit"}) {
			t.Errorf("gtrid %q, %d claims, verbs %v", tx.Global(), w.claimCount(), h.verbs)
		}
		if c := x.m.Counters(); c.CommitsLocal != 1 {
			t.Errorf("%+v", c)
		}
		<-tx.Done()
	})
}

func TestLostAnswerToOnePhaseCommitIsUnknownAndUnrecorded(t *testing.T) {
	for _, kind := range []faultKind{cutBefore, cutAfter, hang} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, 0)
			x := w.start(settings{name: "a", node: 1})
			defer x.stop()
			w.rule(rule{shard: 0, op: "commit", kind: kind})
			tx := x.m.Begin()
			tx.SetHome(x.p.home(x.p.connect(0), "k"))
			var e *tm.EndError
			if err := tx.Commit(t.Context()); !errors.As(err, &e) || e.Outcome != xa.Unknown || e.Recorded || e.Global != "" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestOneWriterCommitsInOnePhaseAfterReadersAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		x := w.start(settings{name: "a", node: 1})
		defer x.stop()
		tx := x.begin(0, 1, 2)
		tx.branches[0].wrote = false
		tx.branches[1].wrote = false
		tx.branches[1].lockless = true
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, want := range [][]string{{"ping", "commit"}, {"commit"}, {"commit"}} {
			if got := tx.branches[i].verbs; !slices.Equal(got, want) {
				t.Errorf("branch %d got %v, want %v", i, got, want)
			}
		}
		if w.claimCount() != 0 {
			t.Error("a claim was written")
		}
		if c := x.m.Counters(); c.CommitsOnePhase != 1 {
			t.Errorf("%+v", c)
		}
	})
}

func TestReaderThatLostItsLocksAbortsTheWriter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1})
		defer x.stop()
		tx := x.begin(0, 1)
		tx.branches[1].wrote = false
		tx.branches[1].x.state = idle // the server lost the transaction
		err := tx.Commit(t.Context())
		var e *tm.EndError
		if !errors.As(err, &e) || e.Outcome != xa.Aborted || !errors.Is(err, xa.ErrLost) || !e.Retry {
			t.Fatalf("%v", err)
		}
		w.expect(tx.g, 1, xa.Aborted)
	})
}

func TestReadersCommitLocally(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1})
		defer x.stop()
		tx := x.begin(0, 1)
		tx.branches[0].wrote, tx.branches[1].wrote = false, false
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := w.called("ping") + w.called("prepare") + w.called("claim"); n != 0 {
			t.Errorf("%d verbs of the protocol", n)
		}
	})
}

func TestRollbackEndsAllBranches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1})
		defer x.stop()
		tx := x.begin(0, 1)
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expect(tx.g, 2, xa.Aborted)
		if len(x.m.Live()) != 0 || w.claimCount() != 0 {
			t.Error("something is left")
		}
		none := x.m.Begin()
		if err := none.Commit(t.Context()); err != nil {
			t.Errorf("empty transaction: %v", err)
		}
	})
}

// TestCommitSurvivesEveryLostAnswer loses the answer to each verb in each way,
// at home and at the participants, and looks at the servers afterwards.
func TestCommitSurvivesEveryLostAnswer(t *testing.T) {
	kinds := map[string]faultKind{"before": cutBefore, "after": cutAfter, "late": cutLate, "hang": hang, "hang after": hangAfter}
	steps := []struct {
		op    string
		shard xa.ShardID
	}{{"prepare", 1}, {"prepare", 2}, {"claim", 0}, {"commit", 1}, {"commit", 2}}
	for _, st := range steps {
		for name, kind := range kinds {
			for _, more := range []string{"", "fence", "rcommit", "rrollback"} {
				t.Run(fmt.Sprintf("%s at %d %s %s", st.op, st.shard, name, more), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						w := newWorld(t, 0, 1, 2)
						x := w.start(settings{name: "a", node: 1, timing: quick()})
						defer x.stop()
						w.rule(rule{shard: st.shard, op: st.op, kind: kind})
						if more != "" {
							for id := range w.servers {
								w.rule(rule{shard: id, op: more, kind: cutAfter, count: 3})
							}
						}
						tx := x.begin(0, 1, 2)
						err := tx.Commit(t.Context())
						if told(err) == xa.Unknown {
							t.Errorf("told unknown although home answers: %v", err)
						}
						tx.close(w)
						time.Sleep(90 * time.Second)
						w.expect(tx.g, 3, told(err))
						if n := w.claimCount(); n != 0 {
							t.Errorf("%d claims left", n)
						}
						if n := len(x.m.Live()); n != 0 {
							t.Errorf("%d live", n)
						}
					})
				})
			}
		}
	}
}

// TestServerCrashesAtEveryStep kills a server at each verb, before or after it
// took effect, and restarts it after a while.
func TestServerCrashesAtEveryStep(t *testing.T) {
	for _, victim := range []xa.ShardID{0, 1} {
		for _, st := range []struct {
			op    string
			shard xa.ShardID
		}{{"prepare", 1}, {"prepare", 2}, {"claim", 0}, {"commit", 1}, {"commit", 2}} {
			for _, kind := range []faultKind{cutBefore, cutAfter, pass} {
				t.Run(fmt.Sprintf("shard %d at %s at %d kind %d", victim, st.op, st.shard, kind), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						w := newWorld(t, 0, 1, 2)
						x := w.start(settings{name: "a", node: 1, timing: quick()})
						defer x.stop()
						w.rule(rule{shard: st.shard, op: st.op, kind: kind, then: func() { w.crash(victim) }})
						tx := x.begin(0, 1, 2)
						answer := make(chan error, 1)
						go func() { answer <- tx.Commit(context.Background()) }()
						time.Sleep(7 * time.Second)
						w.restart(victim)
						x.m.ShardUp(victim)
						err := <-answer
						if told(err) == xa.Unknown {
							t.Errorf("told unknown: %v", err)
						}
						tx.close(w)
						time.Sleep(90 * time.Second)
						w.expect(tx.g, 3, told(err))
						if n := w.claimCount(); n != 0 {
							t.Errorf("%d claims left", n)
						}
					})
				})
			}
		}
	}
}

func TestAbortNamesTheShardThatIsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		tx := x.begin(0, 1, 2)
		w.crash(2)
		var e *tm.EndError
		if err := tx.Commit(t.Context()); !errors.As(err, &e) {
			t.Fatalf("%v", err)
		}
		if e.Outcome != xa.Aborted || e.Retry || !slices.Equal(e.Down, []xa.ShardID{2}) || e.Global != tx.g {
			t.Errorf("%+v", e)
		}
		// The same with a shard that answers again at once.
		w.restart(2)
		time.Sleep(2 * time.Second)
		w.rule(rule{shard: 2, op: "prepare", kind: cutBefore})
		if err := x.begin(0, 1, 2).Commit(t.Context()); !errors.As(err, &e) || !e.Retry || len(e.Down) != 0 {
			t.Errorf("%+v", e)
		}
		time.Sleep(time.Minute)
		w.expect(tx.g, 3, xa.Aborted)
	})
}

func TestPhaseTwoGoesOnInTheBackground(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		tx := x.begin(0, 1, 2)
		w.rule(rule{shard: 2, op: "commit", kind: cutBefore, then: func() { w.crash(2) }})
		began := time.Now()
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d < time.Second || d > 1100*time.Millisecond {
			t.Errorf("answered after %v", d)
		}
		if p := tx.Pending(); !slices.Equal(p, []xa.ShardID{2}) {
			t.Errorf("pending %v", p)
		}
		live := x.m.Live()
		if len(live) != 1 || live[0].Phase != tm.PhaseCommitting || !slices.Equal(live[0].Pending, []xa.ShardID{2}) {
			t.Errorf("live %+v", live)
		}
		if r, err := x.m.Outcome(t.Context(), tx.g); err != nil || r.State != tm.Committed {
			t.Errorf("%+v %v", r, err)
		}
		time.Sleep(time.Minute)
		if w.claim(0, tx.g) != xa.Committed {
			t.Error("the claim went before the last branch had ended (R1)")
		}
		select {
		case <-tx.Done():
			t.Error("done")
		default:
		}
		w.restart(2)
		<-tx.Done()
		time.Sleep(3 * time.Second)
		w.expect(tx.g, 3, xa.Committed)
		if w.claimCount() != 0 {
			t.Error("claim was not collected")
		}
		if err := x.m.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestHomeIsNotPendingOnceItHasDecided: its connection serves again although the
// only participant is not finished.
func TestHomeIsNotPendingOnceItHasDecided(t *testing.T) {
	for _, kind := range []faultKind{cutBefore, hang} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, 0, 1)
			x := w.start(settings{name: "a", node: 1, timing: quick()})
			defer x.stop()
			tx := x.begin(0, 1)
			w.rule(rule{shard: 1, op: "commit", kind: kind})
			w.rule(rule{shard: 1, op: "rcommit", kind: cutBefore, count: 12})
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if p := tx.Pending(); !slices.Equal(p, []xa.ShardID{1}) {
				t.Errorf("pending %v", p)
			}
			<-tx.Done()
			w.expect(tx.g, 2, xa.Committed)
		})
	}
}

func TestSessionOfABranchThatNobodyWaitsForIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1, 2)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		tx := x.begin(0, 1, 2)
		w.rule(rule{shard: 2, op: "commit", kind: pass, then: func() { time.Sleep(5 * time.Second) }})
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := tx.Pending(); !slices.Equal(p, []xa.ShardID{2}) {
			t.Errorf("pending %v", p)
		}
		<-tx.Done()
		if tx.branches[2].abandoned == 0 || tx.branches[1].abandoned != 0 {
			t.Errorf("abandoned: %d and %d", tx.branches[1].abandoned, tx.branches[2].abandoned)
		}
	})
}

func TestDisconnectingClientStopsNothing(t *testing.T) {
	for _, op := range []string{"prepare", "claim", "commit"} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, 0, 1)
			x := w.start(settings{name: "a", node: 1, timing: quick()})
			defer x.stop()
			ctx, cancel := context.WithCancel(t.Context())
			shard := xa.ShardID(1)
			if op == "claim" {
				shard = 0
			}
			w.rule(rule{shard: shard, op: op, kind: pass, then: func() { cancel(); time.Sleep(300 * time.Millisecond) }})
			tx := x.begin(0, 1)
			err := tx.Commit(ctx)
			if op == "commit" {
				if err != nil {
					t.Errorf("decided, but told %v", err)
				}
			} else {
				var e *tm.EndError
				if !errors.As(err, &e) || e.Outcome != xa.Unknown || e.Global != tx.g || !e.Recorded || !errors.Is(err, context.Canceled) {
					t.Errorf("at %s: %v", op, err)
				}
			}
			<-tx.Done()
			w.expect(tx.g, 2, xa.Committed)
			if r, err := x.m.Outcome(t.Context(), tx.g); err != nil || r.State == tm.Aborted {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
}

func TestFencedCommitIsRetryable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		tx := x.begin(0, 1)
		w.mu.Lock()
		w.servers[0].claims[tx.g] = claimRow{xa.Decision{Global: tx.g, Outcome: xa.Aborted}, time.Now()}
		w.mu.Unlock()
		var e *tm.EndError
		err := tx.Commit(t.Context())
		if !errors.As(err, &e) || e.Outcome != xa.Aborted || !e.Retry || !errors.Is(err, xa.ErrFenced) {
			t.Errorf("%v", err)
		}
		time.Sleep(3 * time.Second)
		w.expect(tx.g, 2, xa.Aborted)
		if w.claimCount() != 0 {
			t.Error("abort claim was not collected although home has ended")
		}
	})
}

func TestCommitAfterTheManagerStoppedRollsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1})
		tx := x.begin(0, 1)
		x.stop()
		err := tx.Commit(t.Context())
		w.expect(tx.g, 2, told(err))
		if told(err) != xa.Aborted {
			t.Errorf("%v", err)
		}
	})
}

func TestManagerThatStopsInPhaseTwoLeavesItToRecovery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		tx := x.begin(0, 1)
		w.rule(rule{shard: 0, op: "claim", kind: cutAfter, then: func() { w.crash(0) }})
		answer := make(chan error, 1)
		go func() { answer <- tx.Commit(context.Background()) }()
		time.Sleep(3 * time.Second)
		x.stop()
		if err := <-answer; told(err) != xa.Unknown {
			t.Errorf("%v", err)
		}
		w.restart(0)
		y := w.start(settings{name: "b", node: 1, saved: x.saved, timing: quick()})
		defer y.stop()
		time.Sleep(5 * time.Second)
		w.expect(tx.g, 2, xa.Committed)
	})
}

func TestHeuristicRollbackIsToldAndRecorded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		var got []tm.Heuristic
		x := w.start(settings{name: "a", node: 1, timing: quick(), heur: func(_ context.Context, h tm.Heuristic) error {
			got = append(got, h)
			return nil
		}})
		defer x.stop()
		tx := x.begin(0, 1)
		b := &heuristicBranch{branch: tx.branches[1]}
		tx2 := x.m.Begin()
		c := x.p.connect(0)
		g, _ := tx2.Name(c.id)
		tx2.SetHome(x.p.home(c, string(g)))
		tx2.Enlist(b)
		var e *tm.EndError
		if err := tx2.Commit(t.Context()); !errors.As(err, &e) || !e.Heuristic || e.Global != g || e.Outcome != xa.Committed {
			t.Errorf("%v", err)
		}
		if len(got) != 1 || got[0].Decision != xa.Committed || got[0].Shard != 1 {
			t.Errorf("%+v", got)
		}
	})
}

type heuristicBranch struct{ *branch }

func (h *heuristicBranch) Commit(context.Context) error { return xa.ErrHeuristic }
