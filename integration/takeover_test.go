package integration

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	application "xaproxy/internal/bank"
	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// takeoverBound is what the documents promise: how long a proxy that was killed leaves anything in doubt or locked, with
// the settings that a configuration without a recovery section has.
const takeoverBound = 5 * time.Second

// defaultRecovery are the settings that a user has who sets none.
func defaultRecovery() map[string]string {
	return map[string]string{"beat": "1s", "dead_after": "3s", "grace": "10s", "phase2_wait": "1s", "session_lease": "15s"}
}

// load runs the bank's application at the proxies until the returned function is called, which compares its record with
// the database.
func load(t *testing.T, schema string, clients int, all ...*proxyProcess) (verify func() application.Verdict) {
	t.Helper()
	o := application.Options{Record: filepath.Join(t.TempDir(), "record.jsonl"), Clients: clients, Accounts: 40, Schema: schema, Out: t.Output()}
	for _, p := range all {
		o.DSNs = append(o.DSNs, "app:"+appPassword+"@tcp("+p.data+")/")
	}
	if err := application.Prepare(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- application.Run(ctx, o) }()
	return func() application.Verdict {
		t.Helper()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		v, err := application.Verify(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range v.Violations {
			t.Error(w)
		}
		t.Logf("committed %d, aborted %d, unknown %d (%d resolved by XA OUTCOME, %d happened)", v.Committed, v.Aborted, v.Unknown, v.Resolved, v.Happened)
		return v
	}
}

// freed returns a check that fails until each account of the bank's application has been seen without a lock since now:
// where the application goes on, some are locked at any moment.
func (s *shard) freed(schema string) func(context.Context) error {
	seen := map[int64]bool{}
	return func(ctx context.Context) error {
		all, err := s.number(ctx, "SELECT COUNT(*) FROM "+schema+".account")
		if err != nil {
			return err
		}
		rows, err := s.db.QueryContext(ctx, "SELECT id FROM "+schema+".account FOR UPDATE SKIP LOCKED")
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			seen[id] = true
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if n := all - int64(len(seen)); n > 0 {
			return fmt.Errorf("%s: %d of %d accounts were locked whenever asked", s.name, n, all)
		}
		return nil
	}
}

// freed is the same for all shards; nothing is prepared, too.
func (c *cluster) freed(schema string) func(context.Context) error {
	checks := []func(context.Context) error{c.nothingPrepared}
	for _, s := range c.shards {
		checks = append(checks, s.freed(schema))
	}
	return func(ctx context.Context) error {
		for _, f := range checks {
			if err := f(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestTakeover: a proxy is killed while many of its transactions are between their first prepare and their last commit;
// the other one finishes them, and no lock is left, within the bound.
func TestTakeover(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	a := c.newProxy(t, "a", proxySettings{node: 1, recovery: defaultRecovery()})
	b := c.newProxy(t, "b", proxySettings{node: 2, recovery: defaultRecovery()})
	a.up()
	b.up()
	var longest time.Duration
	for i, verb := range []faultwire.Verb{faultwire.Prepare, faultwire.Claim, faultwire.XACommit} {
		schema := fmt.Sprintf("money%d", i)
		verify := load(t, schema, 16, a)
		time.Sleep(time.Second)
		at := c.shards[1]
		if verb == faultwire.Claim {
			at = c.shards[0]
		}
		dead := at.relay.Arm(faultwire.Rule{Verb: verb, Side: faultwire.After, From: faultwire.Session, Hook: a.kill})
		select {
		case <-dead.Done():
		case <-time.After(20 * time.Second):
			t.Fatalf("no %s came\n%s", verb, a.logTail(20))
		}
		prepared := 0
		for _, s := range c.shards {
			all, err := s.prepared(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			prepared += len(all)
		}
		took, err := poll(t.Context(), takeoverBound+slack(), c.freed(schema))
		if err != nil {
			t.Errorf("%v after the kill: %v\n%s", took, err, b.logTail(30))
		}
		longest = max(longest, took)
		t.Logf("killed after %s with %d branches prepared: nothing in doubt and nothing locked after %v", verb, prepared, took.Round(time.Millisecond))
		a.up()
		verify()
		if t.Failed() {
			return
		}
	}
	t.Logf("longest: %v", longest.Round(time.Millisecond))
}

// zombieSleep is how long a proxy is paused: longer than its sessions' lease. Long runs have the minute that a paused
// container may have.
func zombieSleep() (sleep time.Duration, recovery map[string]string) {
	if testing.Short() {
		return 9 * time.Second, map[string]string{"session_lease": "4s"}
	}
	return time.Minute, defaultRecovery()
}

// TestZombie: a proxy stands still with transactions open, prepared and decided. The rows are free for others by the
// lease, its branches are finished by the other proxy; awake again it harms nobody, tells its clients the truth and goes
// on as a new incarnation.
func TestZombie(t *testing.T) {
	sleep, recovery := zombieSleep()
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	a := c.newProxy(t, "a", proxySettings{node: 1, recovery: recovery})
	b := c.newProxy(t, "b", proxySettings{node: 2, recovery: recovery})
	a.up()
	b.up()
	bank := newBank(t, c, a)
	verify := load(t, "money", 8, a)
	open, end, err := dial(t.Context(), "app:"+appPassword+"@tcp("+a.data+")/")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if err := runAll(t.Context(), open, "BEGIN", fmt.Sprintf("UPDATE bank.account SET balance=balance-1 WHERE id=%d", bank.ids[0]),
		fmt.Sprintf("UPDATE bank.account SET balance=balance+1 WHERE id=%d", bank.ids[1])); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	before := incarnationOf(t, c, 1)
	paused := time.Now()
	a.pause()
	free := c.freed("money")
	took, err := poll(t.Context(), 20*time.Second+slack(), func(ctx context.Context) error {
		return errors.Join(free(ctx), bank.unlocked(ctx))
	})
	if err != nil {
		t.Errorf("rows are locked %v after the pause: %v", took, err)
	}
	t.Logf("everything was free %v after the pause", took.Round(time.Millisecond))
	if err := bank.works(t.Context(), b, 0, 5*time.Second+slack()); err != nil {
		t.Errorf("the other proxy: %v", err)
	}
	time.Sleep(time.Until(paused.Add(sleep)))
	a.resume()
	_, err = open.ExecContext(t.Context(), "COMMIT")
	switch errorNumber(err) {
	case codeDeadlock, codeAborted, codeDown:
	default:
		t.Errorf("COMMIT of the transaction that was open: %v", err)
	}
	if _, err := poll(t.Context(), 10*time.Second+slack(), func(ctx context.Context) error {
		if now := incarnationOf(t, c, 1); now <= before {
			return fmt.Errorf("incarnation %d still", now)
		}
		return bank.works(ctx, a, 0, time.Second+slack())
	}); err != nil {
		t.Errorf("the paused proxy does not go on: %v\n%s", err, a.logTail(20))
	}
	time.Sleep(time.Second)
	if v := verify(); v.Committed == 0 {
		t.Error("nothing was committed")
	}
	mustSettle(t, bank, a)
}

func incarnationOf(t *testing.T, c *cluster, node int) int64 {
	t.Helper()
	_, highest := c.shards[0].incarnations(t, fmt.Sprintf("node_id=%d", node))
	return highest
}

// apart puts relays of its own between a proxy and the shards, so that it can be cut off.
func (c *cluster) apart(t *testing.T, name string, s proxySettings) (*proxyProcess, []*faultwire.Relay) {
	t.Helper()
	var relays []*faultwire.Relay
	s.shards = map[string]string{}
	for _, sh := range c.shards {
		r, err := faultwire.Listen(t.Context(), faultwire.Options{Name: sh.name + "-" + name, Target: sh.server.Addr()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		relays = append(relays, r)
		s.shards[sh.name] = fmt.Sprintf("%s:%s@tcp(%s)/", sh.server.User(), sh.server.Password(), r.Addr())
	}
	return c.newProxy(t, name, s), relays
}

// cutOff cuts all connections of a relay and lets none in until the returned function is called.
func cutOff(r *faultwire.Relay) (heal func()) {
	r.Refuse()
	r.CutAll()
	return r.Admit
}

// TestCutOffProxy: a proxy that reaches no shard, or not all, under load: the others finish what it left, its clients
// are told the truth, and it serves again when the network does.
func TestCutOffProxy(t *testing.T) {
	for name, shards := range map[string][]int{"from one shard": {1}, "from all": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, launch.MariaDB1011, launch.MySQL)
			recovery := map[string]string{"session_lease": "4s"}
			a, relays := c.apart(t, "a", proxySettings{node: 1, recovery: recovery})
			b, _ := c.apart(t, "b", proxySettings{node: 2, recovery: recovery})
			a.up()
			b.up()
			bank := newBank(t, c, b)
			verify := load(t, "money", 8, a)
			time.Sleep(time.Second)
			var heal []func()
			for _, i := range shards {
				heal = append(heal, cutOff(relays[i]))
			}
			took, err := poll(t.Context(), 12*time.Second+slack(), c.freed("money"))
			if err != nil {
				t.Errorf("%v after the cut: %v\n%s", took, err, b.logTail(20))
			}
			t.Logf("everything was free %v after the cut", took.Round(time.Millisecond))
			if err := bank.works(t.Context(), b, 0, 5*time.Second+slack()); err != nil {
				t.Errorf("the other proxy: %v", err)
			}
			time.Sleep(5 * time.Second)
			for _, f := range heal {
				f()
			}
			if err := bank.works(t.Context(), a, 0, 10*time.Second+slack()); err != nil {
				t.Errorf("after the cut: %v\n%s", err, a.logTail(20))
			}
			verify()
			// Claims last: what the other proxy fenced at home waits for the owner to settle, or for a sweep (20 s apart).
			took, err = poll(t.Context(), 20*time.Second+slack(), bank.settled)
			if err != nil {
				t.Errorf("not settled %v after the cut: %v\n%s\n%s", took, err, a.logTail(40), b.logTail(20))
			}
			t.Logf("settled after %v", took.Round(time.Millisecond))
		})
	}
}

// TestOutcomeForever: what a proxy answers about transactions that are long over, that never were, and whose committer
// stands still.
func TestOutcomeForever(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	a := c.newProxy(t, "a", proxySettings{node: 1})
	b := c.newProxy(t, "b", proxySettings{node: 2})
	a.up()
	b.up()
	bank := newBank(t, c, a)
	ask := func(p *proxyProcess, gtrid string) string {
		t.Helper()
		text, err := outcome(t.Context(), p.open("", "readTimeout=20s"), gtrid)
		if err != nil {
			t.Errorf("%s: %v", gtrid, err)
		}
		return text
	}
	gtrids := func() string {
		t.Helper()
		db := a.open("", "readTimeout=20s")
		defer db.Close()
		if got := bank.transfer(t.Context(), db, 0, "COMMIT"); got.told != toldCommitted {
			t.Fatal(got)
		}
		return c.shards[1].gtrids()[0]
	}
	old := gtrids()
	if _, err := poll(t.Context(), limit+slack(), bank.settled); err != nil { // its claim is collected
		t.Fatal(err)
	}
	for _, p := range []*proxyProcess{a, b} {
		if text := ask(p, old); !strings.Contains(text, "ENDED") {
			t.Errorf("at %s, of one that is collected: %q", p.name, text)
		}
	}
	if n := c.shards[0].mustNumber(t, "SELECT COUNT(*) FROM xaproxy.claim"); n != 0 {
		t.Errorf("asking left %d claims", n)
	}

	// The committer stands still with everything prepared and nothing decided: the question itself decides.
	before := bank.mustBalances(t)
	c.resetJournals()
	stalled := c.shards[1].relay.Arm(faultwire.Rule{Verb: faultwire.Prepare, Side: faultwire.After, From: faultwire.Session, Hook: a.pause, Then: faultwire.Forward})
	answers := make(chan answer, 1)
	var client sync.WaitGroup
	client.Go(func() {
		db := a.open("", "readTimeout=60s")
		defer db.Close()
		answers <- bank.transfer(t.Context(), db, 0, "COMMIT")
	})
	<-stalled.Done()
	text := ask(b, c.shards[1].gtrids()[0])
	if !strings.Contains(text, "ABORTED") && !strings.Contains(text, "ACTIVE") {
		t.Errorf("of a stalled committer: %q", text)
	}
	if strings.Contains(text, "ACTIVE") {
		if _, err := poll(t.Context(), 10*time.Second+slack(), func(context.Context) error {
			if text = ask(b, c.shards[1].gtrids()[0]); !strings.Contains(text, "ABORTED") {
				return errors.New(text)
			}
			return nil
		}); err != nil {
			t.Errorf("the stalled committer's transaction is never decided: %v", err)
		}
	}
	a.resume()
	got := <-answers
	client.Wait()
	if committed, err := bank.verdict(before, bank.mustBalances(t), 0, got); err != nil || committed {
		t.Errorf("the client was told %s; committed: %t, %v", got, committed, err)
	}
	mustSettle(t, bank, b)
}
