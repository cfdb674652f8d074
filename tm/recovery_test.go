package tm_test

import (
	"errors"
	"testing"
	"time"

	"xaproxy/tm"
	"xaproxy/xa"
)

// gtrid makes the name of a transaction of somebody else.
func gtrid(t *testing.T, n xa.GlobalName) xa.GlobalID {
	t.Helper()
	n.Cluster = cluster
	g, err := n.ID()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// prepare puts a prepared branch at a server, whose session has gone.
func (w *world) prepare(t *testing.T, at xa.ShardID, g xa.GlobalID, q xa.Qualifier) xa.ID {
	t.Helper()
	b, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	id := xa.ID{Global: g, Branch: b}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[at].prepared[id] = &session{key: string(g)}
	return id
}

func (w *world) isPrepared(at xa.ShardID, id xa.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, yes := w.servers[at].prepared[id]
	return yes
}

func TestBranchesOfALivingOwnerAreLeftAloneForTheGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 2)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		y := w.start(settings{name: "b", node: 2, timing: quick()})
		defer y.stop()
		time.Sleep(2 * time.Second)
		g := gtrid(t, xa.GlobalName{Node: 2, Incarnation: 1, Home: xa.SessionID{Shard: 0, Run: 1}})
		id := w.prepare(t, 2, g, xa.Qualifier{Session: xa.SessionID{Shard: 2}, Ordinal: 1})
		x.m.ShardUp(2)
		time.Sleep(9 * time.Second)
		if !w.isPrepared(2, id) {
			t.Error("resolved within the grace")
		}
		if list, errs := x.m.InDoubt(t.Context()); len(errs) != 0 || len(list) != 1 || list[0].Owner != tm.OwnerLive ||
			list[0].Seen < 8*time.Second || list[0].Shard != 2 || list[0].Live {
			t.Errorf("%+v %v", list, errs)
		}
		time.Sleep(2 * time.Second)
		if w.isPrepared(2, id) || w.claim(0, g) == xa.Committed {
			t.Error("not rolled back after the grace")
		}
	})
}

func TestMisplacedBranchesAreNeverTouched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 2)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		copied := w.prepare(t, 2, gtrid(t, xa.GlobalName{Node: 9, Home: xa.SessionID{Shard: 0}}),
			xa.Qualifier{Session: xa.SessionID{Shard: 0}, Ordinal: 1})
		homeless := w.prepare(t, 2, gtrid(t, xa.GlobalName{Node: 9, Home: xa.SessionID{Shard: 55}}),
			xa.Qualifier{Session: xa.SessionID{Shard: 2}, Ordinal: 1})
		time.Sleep(5 * time.Minute)
		rs, err := x.m.ResolveAll(t.Context())
		if err != nil || len(rs) != 2 {
			t.Fatalf("%+v %v", rs, err)
		}
		for _, r := range rs {
			if r.Action != tm.LeftAlone || r.Err == nil {
				t.Errorf("%+v", r)
			}
		}
		if !w.isPrepared(2, copied) || !w.isPrepared(2, homeless) || w.called("rrollback")+w.called("rcommit")+w.called("fence") != 0 {
			t.Error("touched")
		}
		list, _ := x.m.InDoubt(t.Context())
		var misplaced, noHome int
		for _, d := range list {
			if d.Misplaced {
				misplaced++
			}
			if d.NoHome {
				noHome++
			}
		}
		if misplaced != 1 || noHome != 1 {
			t.Errorf("%+v", list)
		}
		if c := x.m.Counters(); c.Misplaced != 2 {
			t.Errorf("%+v", c)
		}
	})
}

func TestTwoManagersRecoverTheSameBranch(t *testing.T) {
	for _, outcome := range []xa.Outcome{xa.Committed, xa.Aborted} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, 0, 1, 2)
			g := gtrid(t, xa.GlobalName{Node: 9, Incarnation: 3, Home: xa.SessionID{Shard: 0, Run: 1}})
			q1, q2 := xa.Qualifier{Session: xa.SessionID{Shard: 1}, Ordinal: 1}, xa.Qualifier{Session: xa.SessionID{Shard: 2}, Ordinal: 2}
			a, b := w.prepare(t, 1, g, q1), w.prepare(t, 2, g, q2)
			for _, s := range w.servers {
				s.nodes[[2]uint32{9, 3}] = &xa.Node{ID: 9, Incarnation: 3}
			}
			if outcome == xa.Committed {
				w.servers[0].claims[g] = claimRow{xa.Decision{Global: g, Outcome: outcome, Participants: []string{a.Branch, b.Branch}}, time.Now()}
			}
			x := w.start(settings{name: "a", node: 1, timing: quick()})
			defer x.stop()
			y := w.start(settings{name: "b", node: 2, timing: quick()})
			defer y.stop()
			time.Sleep(15 * time.Second)
			want := map[xa.Outcome]string{xa.Committed: "C", xa.Aborted: "R"}[outcome]
			if got := w.verdict(g, 2); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if w.claimCount() != 0 {
				t.Error("claim is left")
			}
		})
	}
}

func TestListingThatFailsIsNotActedOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 2)
		for _, s := range w.servers {
			s.nodes[[2]uint32{9, 1}] = &xa.Node{ID: 9, Incarnation: 1, Dead: true}
		}
		g := gtrid(t, xa.GlobalName{Node: 9, Incarnation: 1, Home: xa.SessionID{Shard: 0}})
		id := w.prepare(t, 2, g, xa.Qualifier{Session: xa.SessionID{Shard: 2}, Ordinal: 1})
		// The listing breaks off after it has named the branch.
		w.rule(rule{shard: 2, op: "list", kind: cutAfter, count: 3})
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		time.Sleep(29 * time.Second)
		if !w.isPrepared(2, id) || w.called("fence") != 0 {
			t.Error("acted on a partial listing")
		}
		time.Sleep(2 * time.Minute)
		if w.isPrepared(2, id) {
			t.Error("not resolved later")
		}
	})
}

func TestResolveFinishesWhatTheDecisionSays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 2)
		slow := tm.Timing{Grace: time.Hour, Interval: time.Hour, Retain: -1}
		x := w.start(settings{name: "a", node: 1, timing: slow})
		defer x.stop()
		time.Sleep(2 * time.Second)
		q := xa.Qualifier{Session: xa.SessionID{Shard: 2}, Ordinal: 1}
		decided := gtrid(t, xa.GlobalName{Node: 9, Incarnation: 1, Sequence: 1})
		undecided := gtrid(t, xa.GlobalName{Node: 9, Incarnation: 1, Sequence: 2})
		a, b := w.prepare(t, 2, decided, q), w.prepare(t, 2, undecided, q)
		w.mu.Lock()
		w.servers[0].claims[decided] = claimRow{xa.Decision{Global: decided, Outcome: xa.Committed, Participants: []string{a.Branch}}, time.Now()}
		w.mu.Unlock()
		rs, err := x.m.Resolve(t.Context(), decided)
		if err != nil || len(rs) != 1 || rs[0].Action != tm.Finished || rs[0].Outcome != xa.Committed || rs[0].ID != a {
			t.Fatalf("%+v %v", rs, err)
		}
		if !w.isPrepared(2, b) {
			t.Error("resolved another one")
		}
		// The second one's rollback does not work.
		w.rule(rule{shard: 2, op: "rrollback", kind: cutBefore})
		rs, err = x.m.ResolveAll(t.Context())
		if err != nil || len(rs) != 1 || rs[0].Action != tm.StillListed || rs[0].Err == nil {
			t.Errorf("%+v %v", rs, err)
		}
		rs, err = x.m.ResolveAll(t.Context())
		if err != nil || len(rs) != 1 || rs[0].Action != tm.Finished || rs[0].Outcome != xa.Aborted {
			t.Errorf("%+v %v", rs, err)
		}
		// A shard that can not be asked is named.
		w.crash(2)
		if _, err := x.m.ResolveAll(t.Context()); err == nil {
			t.Error("no word about the shard that is down")
		}
		if _, err := x.m.Resolve(t.Context(), "nonsense"); !errors.Is(err, xa.ErrForeign) {
			t.Errorf("%v", err)
		}
	})
}

func TestResolveLeavesALivingOwnersTransactionAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		y := w.start(settings{name: "b", node: 2, timing: quick()})
		defer y.stop()
		time.Sleep(2 * time.Second)
		var here, there []tm.Resolution
		w.rule(rule{shard: 0, op: "claim", kind: pass, skip: 0})
		w.rule(rule{shard: 1, op: "prepare", kind: pass, then: func() {
			here, _ = x.m.ResolveAll(t.Context())
			there, _ = y.m.ResolveAll(t.Context())
		}})
		tx := x.begin(0, 1)
		if err := tx.Commit(t.Context()); err != nil {
			t.Error(err)
		}
		for _, rs := range [][]tm.Resolution{here, there} {
			if len(rs) != 1 || rs[0].Action != tm.LeftAlone || rs[0].Err == nil {
				t.Errorf("%+v", rs)
			}
		}
		w.expect(tx.g, 2, xa.Committed)
	})
}

func TestOutcome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: tm.Timing{Retain: time.Minute}})
		defer x.stop()
		y := w.start(settings{name: "b", node: 2})
		defer y.stop()
		time.Sleep(2 * time.Second)
		ask := func(p *proxy, g xa.GlobalID, want tm.State, fenced bool) {
			t.Helper()
			r, err := p.m.Outcome(t.Context(), g)
			if err != nil || r.State != want || r.Fenced != fenced {
				t.Errorf("%v (fenced %t) %v, want %v", r.State, r.Fenced, err, want)
			}
		}
		done := x.begin(0, 1)
		open := x.begin(0, 1)
		if err := done.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		ask(x, done.g, tm.Committed, false)
		ask(y, done.g, tm.Committed, false)
		ask(x, open.g, tm.Active, false)
		if w.claim(0, open.g) != xa.Undecided {
			t.Error("asking changed something")
		}
		// Another proxy can not see the owner's table: it fences.
		ask(y, open.g, tm.Aborted, true)
		ask(y, open.g, tm.Aborted, false)
		if err := open.Commit(t.Context()); told(err) != xa.Aborted {
			t.Errorf("committed after it was reported aborted: %v", err)
		}
		rolled := x.begin(0, 1)
		_ = rolled.Rollback(t.Context())
		ask(x, rolled.g, tm.Aborted, true)
		time.Sleep(2 * time.Minute)
		if n := w.claimCount(); n != 0 {
			t.Errorf("%d claims left", n)
		}
		ask(y, done.g, tm.EndedNotRecorded, false)
		ask(x, done.g, tm.EndedNotRecorded, false)
		if _, err := x.m.Outcome(t.Context(), gtrid(t, xa.GlobalName{Home: xa.SessionID{Shard: 40}})); !errors.Is(err, tm.ErrUnknownShard) {
			t.Errorf("%v", err)
		}
		w.crash(0)
		if r, err := x.m.Outcome(t.Context(), done.g); err == nil || r.State != tm.NotKnown {
			t.Errorf("%+v", r)
		}
	})
}

func TestOutcomeOfAClaimCollectedWhileAskedIsNotAborted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 0, 1)
		x := w.start(settings{name: "a", node: 1, timing: quick()})
		defer x.stop()
		y := w.start(settings{name: "b", node: 2, timing: quick()})
		defer y.stop()
		time.Sleep(2 * time.Second)
		tx := x.begin(0, 1)
		// Between the first look and the fence it commits and is collected.
		w.rule(rule{proc: "b", shard: 0, op: "nodes", kind: pass, skip: 0, count: 1})
		w.rule(rule{proc: "b", shard: 0, op: "fence", kind: pass})
		w.rule(rule{proc: "b", shard: 0, op: "peek", kind: pass, then: func() {
			if err := tx.Commit(t.Context()); err != nil {
				t.Error(err)
			}
			time.Sleep(3 * time.Second)
		}})
		r, err := y.m.Outcome(t.Context(), tx.g)
		if err != nil || r.State != tm.EndedNotRecorded {
			t.Errorf("%+v %v", r, err)
		}
	})
}
