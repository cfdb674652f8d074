package tm_test

import (
	"testing"
	"time"

	"xaproxy/tm"
	"xaproxy/xa"
)

func TestOwnClaimsAreKeptForTheRetention(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: tm.Timing{Retain: time.Minute}})
		defer x.stop()
		tx := x.begin(0, 1)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(58 * time.Second)
		if w.claim(0, tx.g) != xa.Committed {
			t.Error("collected early (R4)")
		}
		time.Sleep(4 * time.Second)
		if w.claimCount() != 0 {
			t.Error("not collected")
		}
		if n := w.node(0, 1, 1); n.CollectedUpto != 1 {
			t.Errorf("collected up to %d", n.CollectedUpto)
		}
	})
}

func TestManyClaimsAreCollectedInBatches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 2)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(100 * time.Millisecond)
		done := make(chan error)
		const n = 1500
		for range n {
			tx := x.begin(0, 2)
			go func() { done <- tx.Commit(t.Context()) }()
		}
		for range n {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		before := w.called("collect")
		time.Sleep(1500 * time.Millisecond)
		if w.claimCount() != 0 || w.called("collect")-before != 2 {
			t.Errorf("%d claims left after %d calls", w.claimCount(), w.called("collect")-before)
		}
	})
}

// deadClaim is the claim of a dead incarnation with a participant at shard 2.
func deadClaim(t *testing.T, w *world, dead bool, o xa.Outcome, home xa.SessionID) (xa.GlobalID, xa.Qualifier) {
	t.Helper()
	g := gtrid(t, xa.GlobalName{Node: 9, Incarnation: 1, Sequence: 5, Home: home})
	q := xa.Qualifier{Session: xa.SessionID{Shard: 2, Run: 1}, Ordinal: 1}
	b, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.servers {
		s.nodes[[2]uint32{9, 1}] = &xa.Node{ID: 9, Incarnation: 1, Dead: dead}
	}
	w.servers[0].claims[g] = claimRow{xa.Decision{Global: g, Outcome: o, Participants: []string{b}}, time.Now()}
	return g, q
}

// TestCommitClaimOfALivingOwnerIsHis is R2: nobody else collects it, even when
// no participant is listed.
func TestCommitClaimOfALivingOwnerIsHis(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 2)
		g, _ := deadClaim(t, w, false, xa.Committed, xa.SessionID{})
		beat := time.NewTicker(time.Second)
		defer beat.Stop()
		stop := make(chan struct{})
		defer close(stop)
		go func() { // the owner lives
			for {
				select {
				case <-beat.C:
					w.mu.Lock()
					for _, s := range w.servers {
						s.nodes[[2]uint32{9, 1}].Beat++
					}
					w.mu.Unlock()
				case <-stop:
					return
				}
			}
		}()
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(3 * time.Minute)
		if w.claim(0, g) != xa.Committed {
			t.Error("collected")
		}
	})
}

func TestCommitClaimOfADeadOwnerWaitsForItsParticipants(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 2)
		g, q := deadClaim(t, w, true, xa.Committed, xa.SessionID{})
		id := w.prepare(t, 2, g, q)
		// The branch can not be ended, and later not even be listed, for a while.
		w.rule(rule{shard: 2, op: "rcommit", kind: cutBefore, count: 4})
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(1500 * time.Millisecond)
		if !w.isPrepared(2, id) || w.claim(0, g) != xa.Committed {
			t.Error("collected while a participant is prepared")
		}
		w.crash(2)
		time.Sleep(time.Minute)
		if w.claim(0, g) != xa.Committed {
			t.Error("collected without a complete listing")
		}
		w.restart(2)
		time.Sleep(time.Minute)
		if w.claimCount() != 0 || w.ended(2, g) != "C" {
			t.Errorf("%d claims, participant %q", w.claimCount(), w.ended(2, g))
		}
	})
}

// TestClaimIsSweptWhenItsHomeIsMarkedLast: the first mark has every home swept, and at this one the owner may not be dead yet.
func TestClaimIsSweptWhenItsHomeIsMarkedLast(t *testing.T) {
	for skip := range 8 { // one of these beats is late by more than the time between two sweeps when the other shard has its mark
		bubble(t, func(t *testing.T) {
			w := newWorld(t, 0, 2)
			deadClaim(t, w, false, xa.Committed, xa.SessionID{})
			// Slow, and no error, after which home would be swept anyway.
			w.rule(rule{shard: 0, op: "beat", skip: skip, kind: pass, then: func() { time.Sleep(1500 * time.Millisecond) }})
			slow := quick()
			slow.Interval = time.Hour
			x := w.start(settings{name: "a", node: 1, timing: slow})
			defer x.stop()
			time.Sleep(10 * time.Second)
			if n := w.node(0, 9, 1); !n.Dead {
				t.Fatal("not marked at home")
			}
			if n := w.claimCount(); n != 0 {
				t.Errorf("beat %d is late: %d claims are left until the next sweep by the clock", skip, n)
			}
		})
	}
}

func (w *world) ended(id xa.ShardID, g xa.GlobalID) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.servers[id].ends[string(g)]
}

// TestAbortClaimOutlivesHomesSession is R3: a zombie may still send its claim.
func TestAbortClaimOutlivesHomesSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 2)
		z := w.process("zombie")
		c := z.connect(0)
		g, _ := deadClaim(t, w, true, xa.Aborted, c.id)
		h := z.home(c, string(g))
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(3 * time.Minute)
		if w.claim(0, g) != xa.Aborted {
			t.Error("collected while home's session lives")
		}
		if err := h.CommitClaim(t.Context(), xa.Decision{Global: g, Outcome: xa.Committed}); err == nil {
			t.Error("the zombie committed")
		}
		w.mu.Lock()
		w.servers[0].drop(c)
		w.mu.Unlock()
		time.Sleep(time.Minute)
		if w.claimCount() != 0 {
			t.Error("not collected")
		}
	})
}

// TestOwnAbortClaimWaitsForALostHome: the claim packet was answered by nothing,
// home's session is still there, and the packet may still be executed.
func TestOwnAbortClaimWaitsForALostHome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: tm.Timing{Retain: -1, DecideTimeout: time.Second}})
		defer x.stop()
		time.Sleep(2 * time.Second)
		tx := x.begin(0, 1)
		w.rule(rule{shard: 0, op: "claim", kind: hang})
		home := tx.branches[0].x
		w.mu.Lock()
		home.busy++ // the server has not noticed that its client is gone
		w.mu.Unlock()
		if err := tx.Commit(t.Context()); told(err) != xa.Aborted {
			t.Fatalf("%v", err)
		}
		time.Sleep(3 * time.Minute)
		if w.claim(0, tx.g) != xa.Aborted {
			t.Error("collected while the claim may still be executed")
		}
		w.mu.Lock()
		home.busy--
		w.mu.Unlock()
		time.Sleep(time.Minute)
		if w.claimCount() != 0 {
			t.Error("not collected")
		}
	})
}

// TestForeignAbortOfAnOwnTransactionGoesOnceItEnded: home's connection is pooled
// and lives on, but the owner knows that its transaction has ended.
func TestForeignAbortOfAnOwnTransactionGoesOnceItEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(2 * time.Second)
		tx := x.begin(0, 1)
		w.mu.Lock()
		w.servers[0].claims[tx.g] = claimRow{xa.Decision{Global: tx.g, Outcome: xa.Aborted}, time.Now()}
		w.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if w.claim(0, tx.g) != xa.Aborted {
			t.Fatal("collected while the transaction is open")
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if w.claimCount() != 0 {
			t.Error("not collected")
		}
	})
}

// TestForeignAbortGoesWhenTheLastBranchWasSettled: a shard was out of the owner's reach while others fenced what it had
// prepared there; nothing but the owner knows that home's session, which is pooled and lives on, is done with it.
func TestForeignAbortGoesWhenTheLastBranchWasSettled(t *testing.T) {
	for cut := 40 * time.Second; cut < 70*time.Second; cut += 7 * time.Second { // so that no sweep is due by chance each time
		bubble(t, func(t *testing.T) {
			w := newWorld(t, 0, 1)
			x := w.start(settings{name: "a", node: 1, timing: quick()})
			defer x.stop()
			time.Sleep(2 * time.Second)
			tx := x.begin(0, 1)
			x.p.cut(1, true)
			if err := tx.Commit(t.Context()); told(err) != xa.Aborted {
				t.Errorf("%v", err)
			}
			w.mu.Lock()
			w.servers[0].claims[tx.g] = claimRow{xa.Decision{Global: tx.g, Outcome: xa.Aborted}, time.Now()}
			w.mu.Unlock()
			time.Sleep(cut)
			if w.claim(0, tx.g) != xa.Aborted {
				t.Fatal("collected while a branch may be prepared")
			}
			x.p.cut(1, false)
			time.Sleep(8 * time.Second) // the settling tries again within 5 s
			if w.claimCount() != 0 {
				t.Errorf("not collected after a cut of %v", cut)
			}
		})
	}
}

// TestClaimsOfACopiedDatabaseAreLeftAlone: the claim names another home.
func TestClaimsOfACopiedDatabaseAreLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 2)
		g, _ := deadClaim(t, w, true, xa.Aborted, xa.SessionID{Shard: 2, Run: 1})
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(3 * time.Minute)
		if w.claim(0, g) != xa.Aborted {
			t.Error("collected")
		}
	})
}
