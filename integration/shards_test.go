package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
)

// refused starts a proxy that must end by itself, and returns what it wrote.
func refused(t *testing.T, p *proxyProcess, names ...string) {
	t.Helper()
	p.start()
	text, err := p.ends(20 * time.Second)
	if err == nil {
		t.Fatalf("serves:\n%s", text)
	}
	for _, name := range names {
		if !strings.Contains(text, name) {
			t.Errorf("the refusal does not name %s:\n%s", name, text)
		}
	}
}

func TestRepeatedDSNIsRefused(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011)
	// The same server by its own address and through the relay: no comparison of text finds that out.
	s := c.shards[0]
	direct := fmt.Sprintf("%s:%s@tcp(%s)/", s.server.User(), s.server.Password(), s.server.Addr())
	for name, second := range map[string]string{"same text": s.dsn(), "another address": direct} {
		t.Run(name, func(t *testing.T) {
			p := c.newProxy(t, "p-"+strings.ReplaceAll(name, " ", "-"), proxySettings{node: 1, shards: map[string]string{"north": s.dsn(), "south": second}})
			refused(t, p, "north", "south")
		})
	}
}

func TestShardsAreToldByWhatTheyHoldNotByTheFile(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	a := c.newProxy(t, "a", proxySettings{node: 1})
	a.up()
	b := newBank(t, c, a)
	mustWork(t, b, a)
	mustSettle(t, b, a)

	// The names of the shards mean nothing: numbers do, and they are written in the shards.
	swapped := c.newProxy(t, "swapped", proxySettings{node: 2, shards: map[string]string{"s0": c.shards[1].dsn(), "s1": c.shards[0].dsn()}})
	swapped.up()
	// The same shards in another order of the file: names decide, and both proxies agree where every account is.
	other := c.newProxy(t, "other", proxySettings{node: 3})
	reorder(t, other.config)
	other.up()
	before := b.mustBalances(t)
	mustWork(t, b, other)
	mustWork(t, b, swapped)
	mustWork(t, b, a)
	mustSettle(t, b, a)
	if after := b.mustBalances(t); after[0] != before[0]-3 || after[1] != before[1]+3 {
		t.Errorf("balances %v, then %v: the proxies do not agree where the accounts are", before, after)
	}

	// A proxy that knows the shards by its state directory does not take one for another.
	if err := swapped.stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	reorderNames(t, swapped.config)
	refused(t, swapped, "s0", "s1")
}

// reorder writes the shards of a configuration file in the opposite order.
func reorder(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "  s0:") && strings.HasPrefix(lines[i+1], "  s1:") {
			lines[i], lines[i+1] = lines[i+1], lines[i]
			break
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reorderNames exchanges the names of two shards in a configuration file.
func reorderNames(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.NewReplacer("  s0:", "  s1:", "  s1:", "  s0:").Replace(string(text)))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A shard that answers at first and is lost while the proxy starts is one that does not answer.
func TestStartGoesOnWithoutAShardThatIsLostMeanwhile(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011, launch.MariaDB1011)
	p := c.newProxy(t, "a", proxySettings{node: 1})
	p.up()
	p.kill()
	c.shards[2].relay.Refuse()
	cut := c.shards[1].relay.Arm(faultwire.Rule{Side: faultwire.Before, From: faultwire.Control,
		Match: func(c faultwire.Command) bool { return strings.Contains(c.SQL, "FROM xaproxy.shard") }})
	p.start()
	select {
	case <-cut.Fired():
	case <-time.After(20*time.Second + slack()):
		t.Fatalf("the proxy did not ask for the directory\n%s", p.logTail(20))
	}
	c.shards[2].relay.Admit()
	if _, err := poll(t.Context(), 20*time.Second+slack(), p.ready); err != nil {
		t.Fatalf("%v\n%s", err, p.logTail(20))
	}
}

func TestAnotherClustersShardIsRefused(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	for i, s := range c.shards {
		p := c.newProxy(t, fmt.Sprintf("alone%d", i), proxySettings{node: 1, shards: map[string]string{"s" + fmt.Sprint(i): s.dsn()}})
		p.up()
		if err := p.stop(); err != nil {
			t.Errorf("SIGTERM: %v\n%s", err, p.logTail(20))
		}
	}
	refused(t, c.newProxy(t, "both", proxySettings{node: 2}), "s1")
}

// TestClonedShardIsQuarantined: a copy of a shard's data directory holds our prepared branches. Whatever the copy calls
// itself, its branches are never resolved: they are another shard's.
func TestClonedShardIsQuarantined(t *testing.T) {
	dir := t.TempDir()
	e := launch.MariaDB1011
	c := newClusterOf(t, launch.Options{Engine: e}, launch.Options{Engine: e, Dir: dir, Name: "original"})
	a := c.newProxy(t, "a", proxySettings{node: 1})
	a.up()
	b := newBank(t, c, a)
	leavePrepared(t, c, b, a)
	c.shards[1].kill(t)
	copyData(t, c.shards[1].server.Dir(), filepath.Join(dir, "clone"))
	c.shards[1].restart(t)
	clone := c.relayed("s2", launchtest.Start(t, launch.Options{Engine: e, Dir: dir, Name: "clone"})[0])
	if all, err := clone.prepared(t.Context()); err != nil || len(all) != 1 {
		t.Fatalf("the clone holds %v (%v)", all, err)
	}

	three := map[string]string{"s0": c.shards[0].dsn(), "s1": c.shards[1].dsn(), "s2": clone.dsn()}
	refused(t, c.newProxy(t, "three", proxySettings{node: 2, shards: three}), "s1", "s2")

	// Somebody makes it a shard of its own by hand.
	clone.exec(t, "UPDATE xaproxy.meta SET shard=2, name='s2'")
	clone.exec(t, "DELETE FROM xaproxy.claim")
	p := c.newProxy(t, "p", proxySettings{node: 3, shards: three, recovery: map[string]string{"interval": "1s"}})
	p.start()
	ready := func() bool {
		_, err := poll(t.Context(), 10*time.Second, p.ready)
		return err == nil
	}()
	t.Logf("a proxy over the three shards serves: %t\n%s", ready, p.logTail(10))
	_, err := poll(t.Context(), limit+2*time.Second+slack(), c.nothingPrepared) // on the two real ones
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, c.trace(), p.logTail(40))
	}
	time.Sleep(2 * time.Second)
	if all, err := clone.prepared(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("the clone's branch was touched: left %v (%v)\n%s\n%v", all, err, p.logTail(40), clone.journal.take())
	}
	all, err := clone.prepared(t.Context())
	if err == nil && len(all) == 1 {
		clone.exec(t, "XA ROLLBACK "+all[0].literal())
	}
}

// copyData copies the files of a dead server's directory; sockets and locks stay.
func copyData(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCommitIsAnsweredWhileAShardIsDownInPhaseTwo(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			c := newCluster(t, e, e)
			p := c.newProxy(t, "a", proxySettings{node: 1})
			p.up()
			b := newBank(t, c, p)
			before := b.mustBalances(t)
			c.resetJournals()
			c.shards[1].relay.Arm(faultwire.Rule{Verb: faultwire.XACommit, From: faultwire.Session, Hook: func() { c.shards[1].kill(t) }})
			db := p.open("", "readTimeout=20s")
			defer db.Close()
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			start := time.Now()
			for _, q := range []string{"BEGIN",
				fmt.Sprintf("UPDATE bank.account SET balance=balance-1 WHERE id=%d", b.ids[0]),
				fmt.Sprintf("UPDATE bank.account SET balance=balance+1 WHERE id=%d", b.ids[1]), "COMMIT"} {
				if _, err := conn.ExecContext(t.Context(), q); err != nil {
					t.Fatalf("%s: %v\n%s", q, err, p.logTail(20))
				}
			}
			t.Logf("answered after %v with the other shard down", time.Since(start).Round(time.Millisecond))
			var level, text string
			var code int
			if err := conn.QueryRowContext(t.Context(), "SHOW WARNINGS").Scan(&level, &code, &text); err != nil || code != 17003 {
				t.Errorf("SHOW WARNINGS: %s %d %q, %v", level, code, text, err)
			}
			c.shards[1].restart(t)
			mustSettle(t, b, p)
			if after := b.mustBalances(t); after != [2]int64{before[0] - 1, before[1] + 1} {
				t.Errorf("balances %v, then %v", before, after)
			}
			mustWork(t, b, p)
		})
	}
}
