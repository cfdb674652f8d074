package xatest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// Each test of this file fails when the rule that it names is taken out of xamysql.

// rig is a server with a bench and the server as a shard.
type rig struct {
	bench
	shard *xamysql.Shard
	seq   uint64
}

func newRig(t *testing.T, s *launch.Server) *rig {
	return &rig{bench: newBench(t, s), shard: shardOf(t, s), seq: uint64(time.Now().UnixNano()) % (1 << 39)}
}

// branch is an open branch on a session, which has run the statements.
func (r *rig) branch(s *session, wrote bool, statements ...string) *xamysql.Branch {
	r.Helper()
	r.seq++
	b := xamysql.NewBranch(s, branchID(r, s.id, r.seq))
	b.MarkOpened()
	if wrote {
		b.MarkWrote()
	}
	s.do(r, b.StartSQL())
	for _, q := range statements {
		s.do(r, q)
	}
	return b
}

// home is a home branch on a session, which has run the statements.
func (r *rig) home(s *session, statements ...string) *xamysql.Home {
	r.Helper()
	r.seq++
	g, err := xa.GlobalName{Cluster: cluster, Node: node, Incarnation: 1, Sequence: r.seq, Home: s.id}.ID()
	if err != nil {
		r.Fatal(err)
	}
	h := xamysql.NewHome(s)
	h.MarkOpened()
	h.MarkWrote()
	h.SetGlobal(g)
	s.do(r, "START TRANSACTION") // BEGIN opens a block in MariaDB's sql_mode ORACLE
	for _, q := range statements {
		s.do(r, q)
	}
	return h
}

func decision(h xa.Home, participants ...string) xa.Decision {
	return xa.Decision{Global: h.ID().Global, Outcome: xa.Committed, Participants: participants}
}

func (r *rig) wantPrepared(b xa.Branch) {
	r.Helper()
	if v, err := b.Prepare(r.Context()); v != xa.Prepared {
		r.Fatalf("vote is %s: %v", v, err)
	}
}

func (r *rig) wantClaim(g xa.GlobalID, want xa.Outcome) xa.Record {
	r.Helper()
	d, err := r.shard.Peek(r.Context(), g)
	if err != nil || d.Outcome != want {
		r.Fatalf("claim is %s, want %s: %v", d.Outcome, want, err)
	}
	return d
}

func wantEffect(t testing.TB, err error, want xa.Effect) {
	t.Helper()
	if err == nil || xa.EffectOf(err) != want {
		t.Fatalf("effect of %v is %s, want %s", err, xa.EffectOf(err), want)
	}
}

func eachRig(t *testing.T, f func(r *rig)) {
	eachServer(t, func(t *testing.T, s *launch.Server) { f(newRig(t, s)) })
}

// untilEnded repeats an end of a branch while it is held by a session.
func (r *rig) untilEnded(end func() error) {
	r.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := end()
		if err == nil {
			return
		}
		if !errors.Is(err, xa.ErrBusy) || time.Now().After(deadline) {
			r.Fatal(err)
		}
	}
}

// Rule: wait until the owner has left the session list. MariaDB otherwise answers OK without committing, now and then.
func TestCommitDuringDisconnectIsACommit(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	eachRig(t, func(r *rig) {
		check := r.dial()
		for round := range rounds {
			s := r.dial()
			b := r.branch(s, true, r.add(1))
			r.wantPrepared(b)
			s.close()
			r.untilEnded(func() error { return r.shard.Commit(r.Context(), b.ID(), xa.OwnerAlive) })
			if got := check.one(r, "SELECT v FROM "+r.table()+" WHERE id=1"); got != fmt.Sprint(round+1) {
				r.Fatalf("round %d: commit answered OK, row is %s", round, got)
			}
		}
	})
}

func TestRollbackDuringDisconnectIsARollback(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	eachRig(t, func(r *rig) {
		check := r.dial()
		check.do(r, "SET innodb_lock_wait_timeout=1")
		for round := range rounds {
			s := r.dial()
			b := r.branch(s, true, r.add(1))
			r.wantPrepared(b)
			s.close()
			r.untilEnded(func() error { return r.shard.Rollback(r.Context(), b.ID(), xa.OwnerAlive) })
			if _, err := check.try(r, "SELECT v FROM "+r.table()+" WHERE id=1 FOR UPDATE"); err != nil {
				r.Fatalf("round %d: rolled back, its lock is still there: %v", round, err)
			}
		}
		r.wantValue(1, "0")
	})
}

// Rule: XAER_NOTA is not "done". On MariaDB every prepared branch belongs to its session, on MySQL with
// xa_detach_on_prepare=OFF.
func TestNotaOfAListedBranchIsBusy(t *testing.T) {
	eachRig(t, func(r *rig) {
		s := r.dial()
		if !r.mariadb() {
			s.do(r, "SET SESSION xa_detach_on_prepare=OFF")
		}
		b := r.branch(s, true, r.add(1))
		r.wantPrepared(b)
		if err := r.shard.Commit(r.Context(), b.ID(), xa.OwnerAlive); !errors.Is(err, xa.ErrBusy) {
			r.Fatalf("commit of an attached branch: %v", err)
		}
		wantInDoubt(r, r.shard, b.ID(), true)
		r.untilEnded(func() error { return r.shard.Commit(r.Context(), b.ID(), xa.OwnerGone) })
		wantInDoubt(r, r.shard, b.ID(), false)
		r.wantValue(1, "1")
	})
}

// Rule: a rollback is not over while a PREPARE may be executing: the session must have gone before the listing.
func TestRollbackWaitsForAPrepareThatIsUnderWay(t *testing.T) {
	eachRig(t, func(r *rig) {
		s, l := r.dial(), r.dial()
		b := r.branch(s, true, r.add(1))
		l.do(r, "FLUSH TABLES WITH READ LOCK")
		v, err := b.Prepare(within(r, 200*time.Millisecond))
		if v != xa.NoVote {
			r.Fatalf("vote is %s", v)
		}
		wantEffect(r, err, xa.EffectUnknown)
		wantEffect(r, b.Rollback(r.Context()), xa.EffectNone) // the connection is lost
		ended := make(chan error, 1)
		go func() {
			for {
				err := r.shard.Rollback(r.Context(), b.ID(), xa.OwnerAlive)
				if !errors.Is(err, xa.ErrBusy) {
					ended <- err
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		select {
		case err := <-ended:
			r.Fatalf("rolled back while PREPARE is executing: %v", err)
		case <-time.After(500 * time.Millisecond):
		}
		l.do(r, "UNLOCK TABLES")
		if err := <-ended; err != nil {
			r.Fatal(err)
		}
		for range 10 {
			wantInDoubt(r, r.shard, b.ID(), false)
			time.Sleep(10 * time.Millisecond)
		}
		r.wantValue(1, "0")
	})
}

// Rule: 1402 of a branch that was prepared means that it had changed nothing.
func TestReadOnlyBranchIsFinishedBothWays(t *testing.T) {
	eachRig(t, func(r *rig) {
		for _, end := range []func(context.Context, xa.ID, xa.Owner) error{r.shard.Commit, r.shard.Rollback} {
			s := r.dial()
			b := r.branch(s, true, "SELECT * FROM "+r.table()+" WHERE id=1 FOR UPDATE", "UPDATE "+r.table()+" SET v=v WHERE id=99")
			r.wantPrepared(b)
			s.close()
			r.untilEnded(func() error { return end(r.Context(), b.ID(), xa.OwnerAlive) })
			wantInDoubt(r, r.shard, b.ID(), false)
		}
	})
}

// Rule: the claim's statement depends on nothing that a client sets in its session.
func TestClaimInALaxSession(t *testing.T) {
	settings := []string{
		"SET sql_mode=''", "SET timestamp=86400", "SET completion_type=1", "SET completion_type=2", "SET NAMES gbk", "SET NAMES latin1",
		"SET character_set_connection=ucs2", "SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE'",
		"SET time_zone='-11:00'", "SET sql_safe_updates=1", "SET sql_mode='ANSI'", "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
		"SET sql_mode='', timestamp=86400, completion_type=1, time_zone='+13:00'",
	}
	eachRig(t, func(r *rig) {
		mine := settings
		if r.mariadb() {
			mine = append(slices.Clone(settings), "SET sql_mode='ORACLE'", "SET sql_mode='EMPTY_STRING_IS_NULL'", "SET sql_select_limit=0")
		}
		for _, setting := range mine {
			s := r.dial()
			s.do(r, setting)
			h := r.home(s, r.add(1))
			var participants []string
			for i := range 300 {
				q, err := xa.Qualifier{Session: xa.SessionID{Shard: 0x7fff, Run: 0xffffffff, Conn: 0x5c5c5c27}, Ordinal: uint16(i + 1)}.Encode()
				if err != nil {
					r.Fatal(err)
				}
				participants = append(participants, q)
			}
			if err := h.CommitClaim(r.Context(), decision(h, participants...)); err != nil {
				r.Fatalf("%s: %v", setting, err)
			}
			if !h.Clean() || s.ping(r) {
				r.Fatalf("%s: another transaction was chained", setting)
			}
			d := r.wantClaim(h.ID().Global, xa.Committed)
			if !slices.Equal(d.Participants, participants) {
				r.Fatalf("%s: participants were changed", setting)
			}
			e, err := r.shard.Evidence(r.Context(), d.Global)
			if err != nil || e.Claim.AgeMillis > 20_000 {
				r.Fatalf("%s: the claim's age is %d ms: %v", setting, e.Claim.AgeMillis, err)
			}
			s.close()
		}
		r.wantValue(1, fmt.Sprint(len(mine)))
	})
}

// Rule: no claim without home's transaction. Each case ends it behind home's back; COM_PING told.
func TestClaimIsRefusedWhenHomesTransactionIsLost(t *testing.T) {
	lose := map[string]func(r *rig, s *session){
		"1213": func(r *rig, s *session) {
			o := r.dial()
			o.do(r, "BEGIN;"+r.add(2)+";"+r.add(4)+";"+r.add(5))
			end := o.later(r, r.add(1))
			r.waitBusy(o.id.Conn)
			s.fails(r, r.add(2), 1213)
			if err := end(); err != nil {
				r.Fatal(err)
			}
			o.do(r, "ROLLBACK")
		},
		"1020": func(r *rig, s *session) {
			s.do(r, "SELECT * FROM "+r.table())
			r.dial().do(r, r.add(3))
			s.fails(r, r.add(3), 1020)
		},
		"procedure": func(r *rig, s *session) {
			s.do(r, "CALL "+r.schema+".ends()")
		},
	}
	for _, name := range []string{"1213", "1020", "procedure"} {
		t.Run(name, func(t *testing.T) {
			eachRig(t, func(r *rig) {
				if name == "1020" && !r.mariadb() {
					r.Skip("MariaDB only")
				}
				s := r.dial()
				s.do(r, "CREATE PROCEDURE "+r.schema+".ends() COMMIT")
				if r.mariadb() {
					s.do(r, "SET innodb_snapshot_isolation=1")
				}
				h := r.home(s, r.add(1))
				lose[name](r, s)
				s.ping(r) // what the session does after every error
				err := h.CommitClaim(r.Context(), decision(h))
				wantEffect(r, err, xa.EffectNone)
				if !errors.Is(err, xa.ErrLost) {
					r.Fatal(err)
				}
				wantEffect(r, h.Commit(r.Context()), xa.EffectNone)
				r.wantClaim(h.ID().Global, xa.Undecided)
				if err := h.Rollback(r.Context()); err != nil || !h.Clean() {
					r.Fatalf("rollback: %v, clean %v", err, h.Clean())
				}
			})
		})
	}
}

// Rule: XA END's and XA ROLLBACK's errors after a deadlock differ; the branch is ended and the connection is free.
func TestBranchAfterADeadlock(t *testing.T) {
	eachRig(t, func(r *rig) {
		ends := []func(b *xamysql.Branch){
			func(b *xamysql.Branch) {},
			func(b *xamysql.Branch) {
				v, err := b.Prepare(r.Context())
				if v != xa.NoVote {
					r.Fatalf("vote is %s", v)
				}
				wantEffect(r, err, xa.EffectNone)
			},
			func(b *xamysql.Branch) { wantEffect(r, b.Commit(r.Context()), xa.EffectNone) },
		}
		for _, pinged := range []bool{false, true} {
			for i, end := range ends {
				s, o := r.dial(), r.dial()
				b := r.branch(s, true, r.add(1))
				o.do(r, "BEGIN;"+r.add(2)+";"+r.add(4)+";"+r.add(5))
				wait := o.later(r, r.add(1))
				r.waitBusy(o.id.Conn)
				s.fails(r, r.add(2), 1213)
				if err := wait(); err != nil {
					r.Fatal(err)
				}
				if pinged {
					s.ping(r)
				}
				end(b)
				if err := b.Rollback(r.Context()); err != nil {
					r.Fatalf("case %d, pinged %v: %v", i, pinged, err)
				}
				wantInDoubt(r, r.shard, b.ID(), false)
				if b.Clean() {
					s.do(r, "BEGIN;ROLLBACK")
				}
				o.do(r, "ROLLBACK")
				s.close()
				o.close()
			}
		}
		r.wantValue(1, "0")
	})
}

// Rule: a connection that is said to be clean is.
func TestCleanConnectionsAreFree(t *testing.T) {
	eachRig(t, func(r *rig) {
		s := r.dial()
		free := func(b interface{ Clean() bool }, err error) {
			r.Helper()
			if err != nil || !b.Clean() {
				r.Fatalf("clean %v: %v", b.Clean(), err)
			}
			s.do(r, "BEGIN;ROLLBACK")
		}
		b := r.branch(s, true, r.add(1))
		r.wantPrepared(b)
		if b.Clean() {
			r.Fatal("clean while prepared")
		}
		free(b, b.Commit(r.Context()))
		b = r.branch(s, true, r.add(1))
		r.wantPrepared(b)
		free(b, b.Rollback(r.Context()))
		b = r.branch(s, true, r.add(1))
		free(b, b.Commit(r.Context()))
		b = r.branch(s, true, r.add(1))
		free(b, b.Rollback(r.Context()))
		b = r.branch(s, false, "SELECT * FROM "+r.table()+" FOR UPDATE")
		free(b, b.Commit(r.Context()))
		h := r.home(s, r.add(1))
		free(h, h.CommitClaim(r.Context(), decision(h)))
		h = r.home(s, r.add(1))
		free(h, h.Commit(r.Context()))
		h = r.home(s, r.add(1))
		free(h, h.Rollback(r.Context()))
		r.wantValue(1, "4")
		fresh := xamysql.NewBranch(s, b.ID())
		free(fresh, fresh.Rollback(r.Context()))
	})
}

// Rule: a reader's end frees its locks, whatever happened to it.
func TestReaderEndFreesItsLocks(t *testing.T) {
	eachRig(t, func(r *rig) {
		o := r.dial()
		o.do(r, "SET innodb_lock_wait_timeout=1")
		for _, end := range []func(*xamysql.Branch) error{
			func(b *xamysql.Branch) error { return b.Commit(r.Context()) },
			func(b *xamysql.Branch) error { return b.Rollback(r.Context()) },
		} {
			s := r.dial()
			b := r.branch(s, false, "SELECT * FROM "+r.table()+" WHERE id=1 FOR UPDATE")
			o.fails(r, r.add(1), 1205)
			if err := end(b); err != nil {
				r.Fatal(err)
			}
			o.do(r, r.add(1))
		}
	})
}

// Rule: a claim whose home hangs between INSERT and COMMIT holds the fence up; only home's own session, named in the
// gtrid, is ended, and only when its owner is gone.
func TestFenceEndsAHangingHomeOnlyWhenItsOwnerIsGone(t *testing.T) {
	eachRig(t, func(r *rig) {
		s := r.dial()
		h := r.home(s, r.add(1))
		g := h.ID().Global
		s.do(r, fmt.Sprintf("INSERT INTO xaproxy.claim VALUES (X'%x','C',X'010000',SYSDATE(3))", string(g)))
		if out, err := r.shard.Fence(r.Context(), g, xa.AskRecoverer, xa.OwnerAlive); err == nil {
			r.Fatalf("fence says %s", out)
		}
		if !s.ping(r) {
			r.Fatal("a living owner's session was ended")
		}
		out, err := r.shard.Fence(r.Context(), g, xa.AskRecoverer, xa.OwnerGone)
		if err != nil || out != xa.Aborted {
			r.Fatalf("fence says %s: %v", out, err)
		}
		wantEffect(r, h.Commit(r.Context()), xa.EffectUnknown)
		r.wantClaim(g, xa.Aborted)
		r.wantValue(1, "0")
	})
}

// Rule: an answer that does not come leaves the effect unknown, and nothing written leaves none.
func TestEffectOfATimedOutClaim(t *testing.T) {
	eachRig(t, func(r *rig) {
		s, l := r.dial(), r.dial()
		h := r.home(s, r.add(1))
		ended, cancel := context.WithCancel(r.Context())
		cancel()
		wantEffect(r, h.CommitClaim(ended, decision(h)), xa.EffectNone)
		r.wantClaim(h.ID().Global, xa.Undecided)

		s = r.dial()
		h = r.home(s, r.add(1))
		l.do(r, fmt.Sprintf("BEGIN;INSERT INTO xaproxy.claim VALUES (X'%x','A',X'010000',SYSDATE(3))", string(h.ID().Global)))
		err := h.CommitClaim(within(r, 200*time.Millisecond), decision(h))
		wantEffect(r, err, xa.EffectUnknown)
		if !errors.Is(err, context.DeadlineExceeded) || h.Clean() {
			r.Fatalf("%v, clean %v", err, h.Clean())
		}
		l.do(r, "COMMIT")
		r.waitGone(s.id.Conn)
		r.wantClaim(h.ID().Global, xa.Aborted)
		r.wantValue(1, "0")
	})
}

// Rule R10: whoever reads a commit writes behind it before he tells it.
func TestReadingACommitPassesABarrier(t *testing.T) {
	eachRig(t, func(r *rig) {
		c := r.dial()
		passed := func() string {
			return c.one(r, fmt.Sprintf("SELECT COALESCE(SUM(passed),0) FROM xaproxy.barrier WHERE node_id=%d", node))
		}
		h := r.home(r.dial(), r.add(1))
		if err := h.CommitClaim(r.Context(), decision(h)); err != nil {
			r.Fatal(err)
		}
		before := passed()
		for _, ask := range []func() error{
			func() error {
				_, err := r.shard.Fence(r.Context(), h.ID().Global, xa.AskRecoverer, xa.OwnerAlive)
				return err
			},
			func() error {
				_, err := r.shard.Fence(r.Context(), h.ID().Global, xa.AskOwner, xa.OwnerAlive)
				return err
			},
			func() error { _, err := r.shard.Peek(r.Context(), h.ID().Global); return err },
			func() error { _, err := r.shard.Evidence(r.Context(), h.ID().Global); return err },
		} {
			if err := ask(); err != nil {
				r.Fatal(err)
			}
			after := passed()
			if after == before {
				r.Fatal("no barrier")
			}
			before = after
		}
	})
}

// Rule: a listing leaves out what is not ours, and never touches it.
func TestForeignBranchesAreNotListed(t *testing.T) {
	eachRig(t, func(r *rig) {
		s := r.dial()
		id := branchID(r, s.id, 1)
		foreign := []string{
			r.xid(),
			fmt.Sprintf("X'%x',X'%x',7", string(id.Global), id.Branch),
			fmt.Sprintf("X'%x',X'%x',%d", string(id.Global), id.Branch[1:], xa.FormatID),
			fmt.Sprintf("X'%x',X'%x',%d", string(id.Global)+id.Branch[:1], id.Branch[1:], xa.FormatID),
			fmt.Sprintf("X'%x',X'%x',%d", "x1h01234567"+string(id.Global)[len("x1h01234567"):], id.Branch, xa.FormatID),
		}
		sessions := []*session{}
		for i, x := range foreign {
			c := r.dial()
			sessions = append(sessions, c)
			c.do(r, "XA START "+x+";"+r.add(i+1))
			c.pipeline(r, "XA END "+x, "XA PREPARE "+x)
		}
		for got, err := range r.shard.InDoubt(r.Context()) {
			if err != nil {
				r.Fatal(err)
			}
			if got.Branch == id.Branch || got.Global == id.Global {
				r.Fatalf("listed: %+v", got)
			}
		}
		for i, x := range foreign {
			sessions[i].do(r, "XA ROLLBACK "+x)
		}
	})
}
