package xatest_test

import (
	"errors"
	"fmt"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/xa"
)

// Rule R3: an abort claim may go when home's own session is gone, not when all sessions are that are older than the one
// that recorded it: a fence may be sent on an older connection than home's.
func TestAbortByAnOlderConnectionStopsHome(t *testing.T) {
	eachRig(t, func(r *rig) {
		older := r.dial() // of a recoverer, open long before home's
		s := r.dial()
		h := r.home(s, r.add(1))
		g := h.ID().Global
		if n := h.Conn().Session().Conn; n <= older.id.Conn {
			r.Fatalf("home's connection %d is not younger than %d", n, older.id.Conn)
		}
		older.do(r, fmt.Sprintf("INSERT INTO xaproxy.claim VALUES (X'%x','A',X'010000',SYSDATE(3))", string(g)))
		older.close()
		r.waitGone(older.id.Conn)
		if gone, err := r.shard.HomeGone(r.Context(), g); err != nil || gone {
			r.Fatalf("home is gone: %v, %v; it could commit if the claim went now", gone, err)
		}
		if err := h.CommitClaim(r.Context(), decision(h)); !errors.Is(err, xa.ErrFenced) {
			r.Fatalf("the decision of a fenced home: %v", err)
		}
		if err := h.Rollback(r.Context()); err != nil {
			r.Fatal(err)
		}
		r.wantValue(1, "0")
		s.close()
		r.waitGone(h.Conn().Session().Conn)
		if gone, err := r.shard.HomeGone(r.Context(), g); err != nil || !gone {
			r.Fatalf("home is gone: %v, %v", gone, err)
		}
	})
}

// Trap 6: MariaDB does not flush XA ROLLBACK: after a crash the branch may be prepared again, and is rolled back again.
func TestRolledBackBranchIsRolledBackAgainAfterACrash(t *testing.T) {
	eachOwnServer(t, func(t *testing.T, s *launch.Server) {
		r := newRig(t, s)
		back := 0
		for round := range 3 {
			conn := r.dial()
			b := r.branch(conn, true, r.add(1))
			r.wantPrepared(b)
			waitRun(conn.id.Run)
			if err := b.Rollback(r.Context()); err != nil {
				r.Fatal(err)
			}
			r.crash()
			for id, err := range r.shard.InDoubt(r.Context()) {
				if err != nil || id != b.ID() {
					r.Fatalf("round %d: %v, %v", round, id, err)
				}
				back++
			}
			if err := r.shard.Rollback(r.Context(), b.ID(), xa.OwnerGone); err != nil {
				r.Fatalf("round %d: %v", round, err)
			}
			for id, err := range r.shard.InDoubt(r.Context()) {
				r.Fatalf("round %d: still listed: %v, %v", round, id, err)
			}
			r.wantValue(1, "0")
		}
		t.Logf("%d of 3 branches were prepared again after the crash", back)
		if s.Engine() == launch.MySQL && back > 0 {
			t.Error("MySQL lost an XA ROLLBACK that it had acknowledged")
		}
	})
}

// Trap 3 with innodb_rollback_on_timeout: a lock wait timeout then ends the whole transaction, like a deadlock. COM_PING
// tells, and what is left of a branch can be rolled back.
func TestLockTimeoutThatEndsTheTransactionIsSeen(t *testing.T) {
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			s := launchtest.Start(t, launch.Options{Engine: e, Settings: map[string]string{"innodb_rollback_on_timeout": "1"}})[0]
			install(t, s)
			r := newRig(t, s)
			holder := r.dial()
			holder.do(r, "BEGIN;"+r.add(2))

			s1 := r.dial()
			s1.do(r, "SET innodb_lock_wait_timeout=1")
			h := r.home(s1, r.add(1))
			s1.fails(r, r.add(2), 1205)
			if s1.ping(r); s1.InTransaction() {
				r.Fatal("home's transaction seems to live")
			}
			if err := h.CommitClaim(r.Context(), decision(h)); !errors.Is(err, xa.ErrLost) {
				r.Fatalf("the decision of a home that is gone: %v", err)
			}
			r.wantClaim(h.ID().Global, xa.Undecided)

			s2 := r.dial()
			s2.do(r, "SET innodb_lock_wait_timeout=1")
			b := r.branch(s2, true, r.add(1))
			s2.fails(r, r.add(2), 1205)
			if v, err := b.Prepare(r.Context()); v != xa.NoVote || err == nil {
				r.Fatalf("vote %s, %v", v, err)
			}
			if err := b.Rollback(r.Context()); err != nil {
				r.Fatal(err)
			}
			holder.do(r, "COMMIT")
			r.wantValue(1, "0")
		})
	}
}
