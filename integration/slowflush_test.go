package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// gate stops a server's redo log: what is committed while it is shut is visible and not durable.
type gate struct{ path string }

func (g gate) shut(t testing.TB) {
	if err := os.WriteFile(g.path, nil, 0o644); err != nil {
		t.Error(err)
	}
}

func (g gate) open() { _ = os.Remove(g.path) }

// slowFlush builds the library and returns the options of a server that has it.
func slowFlush(t *testing.T, e launch.Engine) (launch.Options, gate) {
	t.Helper()
	dir := t.TempDir()
	library := filepath.Join(dir, "slowflush.so")
	if err := launch.BuildPreload(t.Context(), "testdata/slowflush.c", library, func(line string) { t.Log(line) }); err != nil {
		t.Fatal(err)
	}
	g := gate{path: filepath.Join(dir, "gate")}
	t.Cleanup(g.open)
	o := launch.Options{Engine: e, Env: []string{"LD_PRELOAD=" + library, "SLOWFLUSH_GATE=" + g.path}}
	if e == launch.MySQL {
		o.Settings = map[string]string{"skip-log-bin": ""} // with a binary log a commit is not visible before it is durable
	}
	return o, g
}

var slowEngines = []launch.Engine{launch.MariaDB1011, launch.MySQL}

// TestVisibleClaimIsLostWithoutTheBarrier is the counter-example to a recoverer without rule R10: it sees the claim,
// commits the other branch, home is killed, and the transaction is half done.
func TestVisibleClaimIsLostWithoutTheBarrier(t *testing.T) {
	for _, e := range slowEngines {
		t.Run(string(e), func(t *testing.T) {
			slow, g := slowFlush(t, e)
			c := newClusterOf(t, slow, launch.Options{Engine: e})
			home, other := c.shards[0], c.shards[1]
			for _, s := range c.shards {
				s.exec(t, "CREATE DATABASE bank")
				s.exec(t, "CREATE TABLE bank.account (id INT PRIMARY KEY, balance BIGINT NOT NULL) ENGINE=InnoDB")
				s.exec(t, "INSERT INTO bank.account VALUES (1,0)")
			}
			home.exec(t, "CREATE DATABASE xaproxy")
			home.exec(t, "CREATE TABLE xaproxy.claim (name VARBINARY(255) PRIMARY KEY, outcome CHAR(1) NOT NULL) ENGINE=InnoDB")
			onOne(t, other.db, "XA START 'g'", "UPDATE bank.account SET balance=1 WHERE id=1", "XA END 'g'", "XA PREPARE 'g'")

			g.shut(t)
			decided := make(chan error, 1)
			go func() { decided <- commitClaim(t.Context(), home) }()
			if _, err := poll(t.Context(), 5*time.Second, home.claimVisible); err != nil {
				t.Fatal(err)
			}
			// Such a recoverer would commit the other branch now.
			home.kill(t)
			if err := <-decided; err == nil {
				t.Error("home acknowledged what it had not flushed")
			}
			g.open()
			home.restart(t)
			if home.claimVisible(t.Context()) == nil {
				t.Fatal("the claim survived: the flush was not delayed, so the test shows nothing")
			}
			if n := home.mustNumber(t, "SELECT balance FROM bank.account"); n != 0 {
				t.Errorf("home's part survived without the claim: %d", n)
			}
			onOne(t, other.db, "XA ROLLBACK 'g'")
		})
	}
}

func commitClaim(ctx context.Context, home *shard) error {
	conn, err := home.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, q := range []string{"BEGIN", "UPDATE bank.account SET balance=-1 WHERE id=1", "INSERT INTO xaproxy.claim VALUES ('g','C')", "COMMIT"} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func (s *shard) claimVisible(ctx context.Context) error {
	n, err := s.number(ctx, "SELECT COUNT(*) FROM xaproxy.claim WHERE outcome='C'")
	if err == nil && n == 0 {
		err = errors.New("no claim is visible")
	}
	return err
}

// early asks a proxy for an outcome while home's flush stands still, and returns what it says within four seconds.
func early(t *testing.T, p *proxyProcess, gtrid string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	db := p.open("", "readTimeout=4s")
	defer db.Close()
	text, err := outcome(ctx, db, gtrid)
	t.Logf("while the claim is not durable: %q, %v", text, err)
	<-ctx.Done()
	return text
}

// TestNobodyActsOnAClaimThatIsNotDurable: the coordinator is killed while its claim is visible and not durable; the
// other proxy sees it and must wait; then home is killed and the claim is gone.
func TestNobodyActsOnAClaimThatIsNotDurable(t *testing.T) {
	for _, e := range slowEngines {
		t.Run(string(e), func(t *testing.T) {
			slow, g := slowFlush(t, e)
			c := newClusterOf(t, slow, launch.Options{Engine: e})
			home, other := c.shards[0], c.shards[1]
			a := c.newProxy(t, "a", proxySettings{node: 1})
			b := c.newProxy(t, "b", proxySettings{node: 2})
			a.up()
			b.up()
			bank := newBank(t, c, a)
			before, answers := claimBehindGate(t, c, a, bank, g)
			a.kill()
			got := <-answers
			// b finds a dead and the branch prepared, asks home, and must be waiting there for the flush. Nor may it tell
			// anybody: on MariaDB the fence's INSERT waits for the flush by itself, a mere look at the claim does not.
			if text := early(t, b, other.gtrids()[0]); strings.Contains(text, "COMMITTED") {
				t.Errorf("a claim that is not durable is told: %s", text)
			}
			all, err := other.prepared(t.Context())
			if err != nil || len(all) != 1 {
				t.Errorf("while the claim is not durable the other shard holds %v (%v)\n%s", all, err, c.trace())
			}
			if n := other.mustNumber(t, fmt.Sprintf("SELECT balance FROM bank.account WHERE id=%d", bank.ids[1])); n != before[1] {
				t.Errorf("a visible claim was acted upon: balance %d\n%s", n, c.trace())
			}
			home.kill(t)
			g.open()
			home.restart(t)
			took, err := poll(t.Context(), limit+slack(), bank.settled)
			if err != nil {
				t.Errorf("not settled: %v\n%s\n%s", err, c.trace(), b.logTail(30))
			}
			t.Logf("settled %v after home's restart; the client was told %s", took.Round(time.Millisecond), got)
			committed, err := bank.verdict(before, bank.mustBalances(t), 0, got)
			if err != nil || committed {
				t.Errorf("committed: %t, %v\n%s", committed, err, c.trace())
			}
			keep(t.Name(), c.trace())
		})
	}
}

// claimBehindGate starts a transfer by p and returns when its claim is visible at home and not durable: the balances
// before it, and where its answer will come. A server that happens to write its log for itself as the gate shuts, at a
// checkpoint for example, holds everybody up and shows nothing; then the gate opens again, and another transfer is tried.
func claimBehindGate(t *testing.T, c *cluster, p *proxyProcess, bank *bank, g gate) ([2]int64, <-chan answer) {
	t.Helper()
	home := c.shards[0]
	for attempt := 1; ; attempt++ {
		before := bank.mustBalances(t)
		c.resetJournals()
		decide := home.relay.Arm(faultwire.Rule{Verb: faultwire.Claim, From: faultwire.Session, Then: faultwire.Forward, Hook: func() { g.shut(t) }})
		answers := make(chan answer, 1)
		go func() {
			db := p.open("", "readTimeout=20s")
			defer db.Close()
			answers <- bank.transfer(t.Context(), db, 0, "COMMIT")
		}()
		<-decide.Done()
		_, err := poll(t.Context(), 5*time.Second, home.claimVisible)
		if err == nil {
			return before, answers
		}
		if attempt == 3 {
			t.Fatalf("%v\n%s", err, c.trace())
		}
		t.Logf("attempt %d: %v", attempt, err)
		g.open()
		<-answers
		if _, err := poll(t.Context(), limit+slack(), bank.settled); err != nil {
			t.Fatalf("not settled: %v\n%s", err, c.trace())
		}
	}
}
