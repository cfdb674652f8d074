package xatest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

func TestInstallationTellsWhoAServerIs(t *testing.T) {
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			s := launchStart(t, e)
			ctx := t.Context()
			if m, ok, err := xamysql.ReadMeta(ctx, s.DSN()); ok || err != nil {
				t.Fatalf("%v, installed %v: %v", m, ok, err)
			}
			open := func(c xa.ClusterID, n xa.ShardID) error {
				shard, err := xamysql.Open(xamysql.Options{DSN: s.DSN(), Number: n, Name: "mine", Cluster: c, Node: node})
				if err != nil {
					t.Fatal(err)
				}
				defer shard.Close()
				_, err = shard.Nodes(ctx)
				return err
			}
			wantError(t, open(cluster, 1), xamysql.ErrNotInstalled)
			m := xamysql.Meta{Cluster: cluster, Shard: 1, Name: "first"}
			for range 2 {
				if err := xamysql.Install(ctx, s.DSN(), m); err != nil {
					t.Fatal(err)
				}
			}
			m.Version = xamysql.SchemaVersion
			if got, ok, err := xamysql.ReadMeta(ctx, s.DSN()); !ok || err != nil || got != m {
				t.Fatalf("%v, installed %v: %v", got, ok, err)
			}
			if err := open(cluster, 1); err != nil {
				t.Fatal(err)
			}
			// Another number, another cluster: both sides are named.
			wantError(t, open(cluster, 2), xamysql.ErrIdentity, `"mine", number 2`, `"first", number 1`)
			wantError(t, open(cluster^1, 1), xamysql.ErrIdentity, "1234567891", "1234567890")
			other := xamysql.Meta{Cluster: cluster, Shard: 2, Name: "second"}
			wantError(t, xamysql.Install(ctx, s.DSN(), other), xamysql.ErrIdentity, `"second", number 2`, `"first", number 1`)
			c := dial(t, s.DSN(), 1)
			c.do(t, "UPDATE xaproxy.meta SET version=version+1")
			wantError(t, open(cluster, 1), xamysql.ErrIdentity, "newer xaproxy")
			wantError(t, xamysql.Install(ctx, s.DSN(), m), xamysql.ErrIdentity, "newer xaproxy")
			c.do(t, "UPDATE xaproxy.meta SET version=version-1; INSERT INTO xaproxy.meta SELECT 2,version,cluster,shard,name FROM xaproxy.meta")
			wantError(t, open(cluster, 1), xamysql.ErrIdentity, "2 rows")
			c.do(t, "DELETE FROM xaproxy.meta") // an installation that was interrupted
			wantError(t, open(cluster, 1), xamysql.ErrNotInstalled)
			if err := xamysql.Install(ctx, s.DSN(), m); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func wantError(t testing.TB, err, want error, texts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want an error wrapping %q", err, want)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Fatalf("%q lacks %q", err, text)
		}
	}
}

// findings is what Check says of an account, by severity.
func findings(t testing.TB, dsn string) map[xamysql.Severity][]xamysql.Finding {
	t.Helper()
	all, err := xamysql.Check(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	by := map[xamysql.Severity][]xamysql.Finding{}
	for _, f := range all {
		by[f.Severity] = append(by[f.Severity], f)
	}
	return by
}

func TestCheckRepairsWhatItFinds(t *testing.T) {
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			s := launchStart(t, e)
			root := dial(t, s.RootDSN(), 1)
			if f := findings(t, s.DSN()); len(f[xamysql.Broken]) != 0 {
				t.Fatalf("a good server: %v", f)
			}
			if f := findings(t, s.RootDSN()); len(f[xamysql.Broken]) != 0 || !says(f[xamysql.Warning], "root") {
				t.Fatalf("root: %v", f)
			}
			root.do(t, "CREATE USER weak@'%' IDENTIFIED BY 'pw'")
			weak := fmt.Sprintf("weak:pw@tcp(%s)/", s.Addr())
			settings := map[string]string{
				"innodb_flush_log_at_trx_commit": "2", "max_allowed_packet": "1048576", "read_only": "1",
			}
			if e.Family() == "mysql" {
				settings["sync_binlog"] = "0"
				settings["binlog_format"] = "'STATEMENT'"
				settings["xa_detach_on_prepare"] = "OFF"
				settings["binlog_order_commits"] = "ON"
			}
			for name, value := range settings {
				root.do(t, "SET GLOBAL "+name+"="+value)
			}
			f := findings(t, weak)
			for _, privilege := range []string{"PROCESS", "CONNECTION", "CREATE, SELECT, INSERT, UPDATE, DELETE"} {
				if !says(f[xamysql.Broken], privilege) {
					t.Fatalf("%s is not missed: %v", privilege, f)
				}
			}
			for name := range settings {
				if !says(append(append(f[xamysql.Broken], f[xamysql.Warning]...), f[xamysql.Advice]...), strings.ReplaceAll(name, "read_only", "read only")) {
					t.Fatalf("%s is not found: %v", name, f)
				}
			}
			for _, fs := range f {
				for _, finding := range fs {
					if finding.Repair == "" {
						t.Fatalf("no repair: %+v", finding)
					}
					root.do(t, finding.Repair)
				}
			}
			if f := findings(t, weak); len(f) != 0 {
				t.Fatalf("after the repairs: %v", f)
			}
			// What Check demands is enough.
			m := xamysql.Meta{Cluster: cluster, Shard: number, Name: "shared"}
			if err := xamysql.Install(t.Context(), weak, m); err != nil {
				t.Fatal(err)
			}
			f = findings(t, fmt.Sprintf("weak:wrong@tcp(%s)/", s.Addr()))
			if !says(f[xamysql.Broken], "login") {
				t.Fatalf("wrong password: %v", f)
			}
			if _, err := xamysql.Check(t.Context(), "weak:pw@tcp(127.0.0.1:1)/"); err == nil {
				t.Fatal("nobody answers, and Check is content")
			}
		})
	}
}

func says(fs []xamysql.Finding, text string) bool {
	for _, f := range fs {
		if strings.Contains(f.What, text) {
			return true
		}
	}
	return false
}

// Rule: a server that is read only may be a replica: what it lists proves nothing.
func TestReplicaIsNoEvidence(t *testing.T) {
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			s := launchStart(t, e)
			install(t, s)
			r := newRig(t, s)
			c := r.dial()
			b := r.branch(c, true, r.add(1))
			r.wantPrepared(b)
			c.close()
			h := r.home(r.dial(), r.add(2))
			r.waitGone(c.id.Conn)
			admin := dial(t, s.DSN(), number)
			admin.do(t, "SET GLOBAL read_only=1")
			ctx := t.Context()
			for _, err := range r.shard.InDoubt(ctx) {
				wantError(t, err, xamysql.ErrReplica)
			}
			wantError(t, r.shard.Commit(ctx, b.ID(), xa.OwnerGone), xamysql.ErrReplica)
			_, err := r.shard.Fence(ctx, h.ID().Global, xa.AskRecoverer, xa.OwnerAlive)
			wantError(t, err, xamysql.ErrReplica)
			_, err = r.shard.HomeGone(ctx, h.ID().Global)
			wantError(t, err, xamysql.ErrReplica)
			admin.do(t, "SET GLOBAL read_only=0")
			r.wantClaim(h.ID().Global, xa.Undecided)
			if err := r.shard.Commit(ctx, b.ID(), xa.OwnerAlive); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Rule: an account that does not see other accounts' sessions may not conclude that one is gone.
func TestBlindAccountConcludesNothing(t *testing.T) {
	eachServer(t, func(t *testing.T, s *launch.Server) {
		r := newRig(t, s)
		root := r.dial()
		root.do(t, fmt.Sprintf("CREATE USER %s@'%%' IDENTIFIED BY 'pw'; GRANT CREATE,SELECT,INSERT,UPDATE,DELETE ON xaproxy.* TO %s@'%%'", r.schema, r.schema))
		defer root.do(t, "DROP USER "+r.schema+"@'%'")
		blind, err := xamysql.Open(xamysql.Options{DSN: fmt.Sprintf("%s:pw@tcp(%s)/", r.schema, s.Addr()), Number: number, Name: "blind", Cluster: cluster, Node: node})
		if err != nil {
			t.Fatal(err)
		}
		defer blind.Close()
		h := r.home(r.dial(), r.add(1))
		_, err = blind.HomeGone(t.Context(), h.ID().Global)
		wantError(t, err, xamysql.ErrBlind)
		b := r.branch(r.dial(), true, r.add(2))
		wantError(t, blind.Rollback(t.Context(), b.ID(), xa.OwnerAlive), xamysql.ErrBlind)
	})
}

func TestCollectInBatches(t *testing.T) {
	const many = 2500
	eachRig(t, func(r *rig) {
		ctx := r.Context()
		incarnation := uint32(r.seq)%1000000 + 7
		if err := r.shard.Register(ctx, xa.Node{ID: node, Incarnation: incarnation}); err != nil {
			r.Fatal(err)
		}
		c := r.dial()
		var values []string
		for i := range many {
			g, err := xa.GlobalName{Cluster: cluster, Node: node, Incarnation: incarnation, Sequence: uint64(i + 1), Home: xa.SessionID{Shard: number, Run: 1, Conn: 1}}.ID()
			if err != nil {
				r.Fatal(err)
			}
			values = append(values, fmt.Sprintf("(X'%x','C',X'010000',SYSDATE(3))", string(g)))
		}
		c.do(r, "INSERT INTO xaproxy.claim VALUES "+strings.Join(values, ","))
		var claims []xa.Claim
		for claim, err := range r.shard.Sweep(ctx) {
			if err != nil {
				r.Fatal(err)
			}
			if n, err := claim.Global.Parse(); err == nil && n.Incarnation == incarnation {
				claims = append(claims, claim)
			}
		}
		if len(claims) != many {
			r.Fatalf("swept %d of %d", len(claims), many)
		}
		if err := r.shard.Collect(ctx, xa.AskOwner, claims); err != nil {
			r.Fatal(err)
		}
		if n := c.one(r, fmt.Sprintf("SELECT collected_upto FROM xaproxy.node WHERE node_id=%d AND incarnation=%d", node, incarnation)); n != fmt.Sprint(many) {
			r.Fatalf("collected_upto is %s", n)
		}
		for claim, err := range r.shard.Sweep(ctx) {
			if n, _ := claim.Global.Parse(); err != nil || n.Incarnation == incarnation {
				r.Fatalf("still there: %+v, %v", claim, err)
			}
		}
	})
}

// Rule: a claim whose participants were cut is never taken for a complete one.
func TestDamagedClaimIsAnError(t *testing.T) {
	eachRig(t, func(r *rig) {
		h := r.home(r.dial())
		g := h.ID().Global
		c := r.dial()
		c.do(r, fmt.Sprintf("INSERT INTO xaproxy.claim VALUES (X'%x','C',X'010002%038x',SYSDATE(3))", string(g), 0))
		if _, err := r.shard.Peek(r.Context(), g); err == nil {
			r.Fatal("read a damaged claim")
		}
		c.do(r, fmt.Sprintf("DELETE FROM xaproxy.claim WHERE name=X'%x'", string(g)))
	})
}

func TestTablesOfTheSchema(t *testing.T) {
	eachRig(t, func(r *rig) {
		ctx := r.Context()
		p := xamysql.Placement{Schema: r.schema, Table: "o'rders\x00é", Rule: "jump(customer_id)", Fingerprint: "a1"}
		if got, err := r.shard.StorePlacement(ctx, p); err != nil || got != p {
			r.Fatalf("%+v: %v", got, err)
		}
		other := p
		other.Rule, other.Fingerprint = "mod(id)", "b2"
		if got, err := r.shard.StorePlacement(ctx, other); err != nil || got != p {
			r.Fatalf("what was stored was replaced: %+v: %v", got, err)
		}
		found := func() bool {
			all, err := r.shard.Placements(ctx)
			if err != nil {
				r.Fatal(err)
			}
			for _, x := range all {
				if x == p {
					return true
				}
			}
			return false
		}
		if !found() {
			r.Fatal("not listed")
		}
		if err := r.shard.DeletePlacement(ctx, p.Schema, p.Table); err != nil || found() {
			r.Fatal(err)
		}
		h := xamysql.Heuristic{ID: branchID(r, xa.SessionID{Shard: number, Run: 1, Conn: uint32(r.seq)}, r.seq), Decided: xa.Committed, Reason: strings.Repeat("x", 5000)}
		for range 2 {
			if err := r.shard.RecordHeuristic(ctx, h); err != nil {
				r.Fatal(err)
			}
		}
		all, err := r.shard.Heuristics(ctx)
		n := 0
		for _, x := range all {
			if x.ID == h.ID && x.Decided == xa.Committed && len(x.Reason) == 4096 {
				n++
			}
		}
		if err != nil || n != 1 {
			r.Fatalf("%d times: %v", n, err)
		}
	})
}

func TestEvidence(t *testing.T) {
	eachRig(t, func(r *rig) {
		ctx := r.Context()
		hs, bs := r.dial(), r.dial()
		h := r.home(hs, r.add(1))
		g := h.ID().Global
		q, err := xa.Qualifier{Session: bs.id, Ordinal: 1}.Encode()
		if err != nil {
			r.Fatal(err)
		}
		b := xamysql.NewBranch(bs, xa.ID{Global: g, Branch: q})
		b.MarkOpened()
		b.MarkWrote()
		bs.do(r, b.StartSQL()+";"+r.add(2))
		r.wantPrepared(b)
		e, err := r.shard.Evidence(ctx, g)
		if err != nil || !e.IsHome || !e.HomePresent || e.Claim.Outcome != xa.Undecided || len(e.Prepared) != 1 || !e.Prepared[0].OwnerPresent {
			r.Fatalf("%+v: %v", e, err)
		}
		if err := h.CommitClaim(ctx, decision(h, q)); err != nil {
			r.Fatal(err)
		}
		hs.close()
		bs.close()
		r.waitGone(hs.id.Conn)
		r.waitGone(bs.id.Conn)
		e, err = r.shard.Evidence(ctx, g)
		if err != nil || e.HomePresent || e.Claim.Outcome != xa.Committed || len(e.Claim.Participants) != 1 || len(e.Prepared) != 1 || e.Prepared[0].OwnerPresent {
			r.Fatalf("%+v: %v", e, err)
		}
		if err := r.shard.Commit(ctx, b.ID(), xa.OwnerAlive); err != nil {
			r.Fatal(err)
		}
		if e, err = r.shard.Evidence(ctx, g); err != nil || len(e.Prepared) != 0 {
			r.Fatalf("%+v: %v", e, err)
		}
	})
}

// A server's crash breaks the shard's own connections; the next calls work, and sessions of the old run are gone.
func TestShardOutlivesItsServer(t *testing.T) {
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			s := launchStart(t, e)
			install(t, s)
			r := newRig(t, s)
			ctx := t.Context()
			c := r.dial()
			b := r.branch(c, true, r.add(1))
			r.wantPrepared(b)
			wantInDoubt(t, r.shard, b.ID(), true)
			waitRun(c.id.Run)
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			for _, err := range r.shard.InDoubt(ctx) {
				if err == nil {
					t.Fatal("a dead server lists branches")
				}
			}
			wantEffect(t, b.Commit(ctx), xa.EffectUnknown)
			if err := s.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			wantInDoubt(t, r.shard, b.ID(), true)
			if err := r.shard.Commit(ctx, b.ID(), xa.OwnerAlive); err != nil {
				t.Fatal(err)
			}
			r.wantValue(1, "1")
		})
	}
}
