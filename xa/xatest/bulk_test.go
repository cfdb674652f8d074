package xatest_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"xaproxy/xa"
)

// Rule: one INSERT for many names answers each as its own would.
func TestFenceAllAnswersAsFence(t *testing.T) {
	eachRig(t, func(r *rig) {
		c := r.dial()
		passed := func() string {
			return c.one(r, fmt.Sprintf("SELECT COALESCE(SUM(passed),0) FROM xaproxy.barrier WHERE node_id=%d", node))
		}
		committed, fenced, open := r.home(r.dial(), r.add(1)), r.home(r.dial(), r.add(2)), r.home(r.dial(), r.add(3))
		if err := committed.CommitClaim(r.Context(), decision(committed)); err != nil {
			r.Fatal(err)
		}
		if _, err := r.shard.Fence(r.Context(), fenced.ID().Global, xa.AskRecoverer, xa.OwnerAlive); err != nil {
			r.Fatal(err)
		}
		before := passed()
		all := []xa.GlobalID{open.ID().Global, committed.ID().Global, fenced.ID().Global}
		for range 2 {
			got, err := r.shard.FenceAll(r.Context(), all)
			if err != nil || got[all[0]] != xa.Aborted || got[all[1]] != xa.Committed || got[all[2]] != xa.Aborted || len(got) != 3 {
				r.Fatalf("%v %v", got, err)
			}
		}
		if passed() == before {
			r.Error("a commit was told without a barrier (R10)")
		}
		if err := open.CommitClaim(r.Context(), decision(open)); !errors.Is(err, xa.ErrFenced) {
			r.Errorf("home of one that was fenced: %v", err)
		}
		// One whose decision is on its way, not committed: nothing is known of any, and nobody's session is ended.
		s := r.dial()
		hanging, late := r.home(s, r.add(4)), r.home(r.dial(), r.add(5))
		s.do(r, fmt.Sprintf("INSERT INTO xaproxy.claim VALUES (X'%x','C',X'010000',SYSDATE(3))", string(hanging.ID().Global)))
		if got, err := r.shard.FenceAll(r.Context(), []xa.GlobalID{late.ID().Global, hanging.ID().Global}); err == nil {
			r.Errorf("told %v although one name is not decided", got)
		}
		if !s.ping(r) {
			r.Error("a session was ended")
		}
		r.wantClaim(late.ID().Global, xa.Undecided)
		foreign, err := xa.GlobalName{Cluster: cluster + 1, Node: node, Home: xa.SessionID{Shard: number}}.ID()
		if err != nil {
			r.Fatal(err)
		}
		if got, err := r.shard.FenceAll(r.Context(), []xa.GlobalID{late.ID().Global, foreign}); !errors.Is(err, xa.ErrForeign) {
			r.Errorf("another cluster's: %v %v", got, err)
		}
	})
}

func TestHomesGone(t *testing.T) {
	eachRig(t, func(r *rig) {
		there, left := r.home(r.dial(), r.add(1)), r.dial()
		gone := r.home(left, r.add(2))
		left.close()
		r.waitGone(left.id.Conn)
		got, err := r.shard.HomesGone(r.Context(), []xa.GlobalID{there.ID().Global, gone.ID().Global})
		if err != nil || got[there.ID().Global] || !got[gone.ID().Global] {
			r.Errorf("%v %v", got, err)
		}
	})
}

// Rule: each of many is ended as is decided, and what a session may still hold is waited for.
func TestSettleEndsEachAsIsDecided(t *testing.T) {
	eachRig(t, func(r *rig) {
		c := r.dial()
		for i := 10; i < 31; i++ {
			c.do(r, fmt.Sprintf("INSERT INTO %s VALUES (%d,0)", r.table(), i))
		}
		var all []xa.Settlement
		for i := range 12 {
			s := r.dial()
			b := r.branch(s, true, r.add(10+i))
			r.wantPrepared(b)
			o := xa.Committed
			if i%2 == 1 {
				o = xa.Aborted
			}
			all = append(all, xa.Settlement{ID: b.ID(), Outcome: o, Owner: xa.OwnerGone})
			if i != 4 && i != 5 { // those live: their owner is gone, so they may be ended
				s.close()
			}
		}
		held := r.dial()
		alive := r.branch(held, true, r.add(30))
		r.wantPrepared(alive)
		all = append(all, xa.Settlement{ID: alive.ID(), Outcome: xa.Committed, Owner: xa.OwnerAlive})
		foreign := all[0]
		foreign.ID.Global = "somebody else's"
		all = append(all, foreign)
		errs := r.shard.Settle(r.Context(), all)
		for i, err := range errs[:12] {
			if err != nil && !errors.Is(err, xa.ErrBusy) {
				r.Errorf("branch %d: %v", i, err)
			}
		}
		if r.mariadb() != errors.Is(errs[12], xa.ErrBusy) {
			r.Errorf("a branch whose owner lives: %v", errs[12])
		}
		if errs[13] == nil {
			r.Error("a name that is not ours was settled")
		}
		r.untilEnded(func() error { return errors.Join(r.shard.Settle(r.Context(), all[:12])...) })
		for i := range 12 {
			r.wantValue(10+i, map[bool]string{true: "1", false: "0"}[i%2 == 0])
		}
	})
}

// Fact: MariaDB's innodb_trx shows a transaction that has only taken its snapshot, with the statement that reads the
// table, and a prepared branch with its session's number for as long as InnoDB has not given it up. It is a copy that is
// not made anew while it is read often. attachedInTrx relies on all of it.
func TestInnoDBShowsWhoHasATransaction(t *testing.T) {
	eachRig(t, func(r *rig) {
		if !r.mariadb() {
			r.Skip("MySQL detaches at PREPARE")
		}
		c, s := r.dial(), r.dial()
		b := r.branch(s, true, r.add(1))
		r.wantPrepared(b)
		// look reads the table in a new transaction: is the copy new, and does it show the branch?
		look := func(mark string) (fresh, attached bool) {
			c.do(r, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
			defer c.do(r, "ROLLBACK")
			text := c.one(r, fmt.Sprintf("SELECT /* %s */ COALESCE(CONCAT(SUM(trx_mysql_thread_id=%d AND trx_query LIKE '%%/* %s%%'),SUM(trx_mysql_thread_id=%d)),'00') FROM information_schema.innodb_trx",
				mark, c.id.Conn, mark, s.id.Conn))
			return text[0] == '1', text[1] == '1'
		}
		for tries := 0; ; tries++ {
			if fresh, attached := look(fmt.Sprintf("first %d", tries)); fresh && attached {
				break
			} else if tries == 10 {
				r.Fatalf("new: %t, the branch is shown: %t", fresh, attached)
			}
			time.Sleep(300 * time.Millisecond)
		}
		s.close()
		r.waitGone(s.id.Conn)
		if fresh, attached := look("second"); fresh || !attached {
			r.Errorf("read again at once: new: %t, the branch is shown: %t", fresh, attached)
		}
		for tries := 0; ; tries++ { // the statement is missing where the server could not look at it at once
			time.Sleep(300 * time.Millisecond)
			if fresh, attached := look(fmt.Sprintf("third %d", tries)); fresh && !attached {
				break
			} else if tries == 10 {
				r.Fatalf("after a while: new: %t, the branch is shown: %t", fresh, attached)
			}
		}
		r.untilEnded(func() error { return r.shard.Rollback(r.Context(), b.ID(), xa.OwnerGone) })
	})
}
