package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// client is one session of the application's.
type client struct {
	t    *testing.T
	conn *sql.Conn
}

func newClient(t *testing.T, p *proxyProcess, schema string) *client {
	t.Helper()
	db := p.open(schema, "readTimeout=30s")
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn}
}

func (c *client) try(query string) error {
	_, err := c.conn.ExecContext(c.t.Context(), query)
	return err
}

func (c *client) must(query string) {
	c.t.Helper()
	if err := c.try(query); err != nil {
		c.t.Fatalf("%s: %v", query, err)
	}
}

func move(id, by int) string {
	return fmt.Sprintf("UPDATE account SET balance=balance+(%d) WHERE id=%d", by, id)
}

// awaitTableLock waits until somebody waits for a table's metadata lock.
func (s *shard) awaitTableLock(t *testing.T) {
	t.Helper()
	_, err := poll(t.Context(), 5*time.Second, func(ctx context.Context) error {
		n, err := s.number(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE STATE LIKE 'Waiting for table metadata%'")
		if err == nil && n == 0 {
			err = errors.New("nobody waits for a table")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A server rolls the transaction back when COM_STMT_PREPARE is the victim of a deadlock of metadata locks. A client that
// commits nevertheless must not commit the other shard's half.
func TestDeadlockOfAPrepareCommitsNoHalf(t *testing.T) {
	for _, home := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(home), func(t *testing.T) {
			c := newCluster(t, home, launch.MariaDB1011)
			p := c.newProxy(t, "proxy", proxySettings{})
			p.up()
			b := newBank(t, c, p)
			a := newClient(t, p, "bank")
			a.must("CREATE TABLE aaa (id INT PRIMARY KEY) ENGINE=InnoDB")
			before := b.mustBalances(t)
			c.resetJournals()
			a.must("BEGIN")
			a.must(move(b.ids[0], -100))
			a.must(move(b.ids[1], +100))
			renamed := make(chan error, 1)
			go func() {
				_, err := c.shards[0].db.ExecContext(context.WithoutCancel(t.Context()), "RENAME TABLE bank.aaa TO bank.aaa2, bank.account TO bank.account2")
				renamed <- err
			}()
			c.shards[0].awaitTableLock(t)
			st, err := a.conn.PrepareContext(t.Context(), "SELECT * FROM aaa WHERE id=?")
			if err == nil {
				st.Close()
			}
			t.Logf("prepare: %v", err)
			told := a.try("COMMIT")
			t.Logf("commit: %v", told)
			if err := <-renamed; err != nil {
				t.Fatal(err)
			}
			c.shards[0].exec(t, "RENAME TABLE bank.aaa2 TO bank.aaa, bank.account2 TO bank.account")
			time.Sleep(time.Second)
			after := b.mustBalances(t)
			d := [2]int64{after[0] - before[0], after[1] - before[1]}
			if d[0] != -d[1] {
				t.Errorf("COMMIT was answered %v; half of the transaction is there: %v\n%s\n%s", told, d, c.trace(), p.logTail(20))
			}
		})
	}
}

// A statement over several shards that fails takes back itself and nothing older.
func TestFailedStatementTakesBackNothingOlder(t *testing.T) {
	c := newCluster(t, launch.MySQL, launch.MariaDB1011)
	p := c.newProxy(t, "proxy", proxySettings{})
	p.up()
	b := newBank(t, c, p)
	a := newClient(t, p, "bank")
	before := b.mustBalances(t)
	c.resetJournals()
	a.must("BEGIN")
	a.must("UPDATE account SET balance=balance+1") // on both: leaves a savepoint
	a.must(move(b.ids[0], -100))
	a.must(move(b.ids[1], +100))
	a.must("SET sql_mode='TIME_TRUNCATE_FRACTIONAL'") // MySQL knows it, MariaDB does not
	err := a.try("UPDATE account SET balance=balance+1000")
	t.Logf("statement over both shards: %v", err)
	a.must("SET sql_mode=DEFAULT")
	told := a.try("COMMIT")
	t.Logf("commit: %v", told)
	time.Sleep(500 * time.Millisecond)
	after := b.mustBalances(t)
	d := [2]int64{after[0] - before[0], after[1] - before[1]}
	if told == nil && d != [2]int64{-99, 101} {
		t.Errorf("COMMIT was answered OK; changes are %v, want [-99 101]\n%s", d, c.trace())
	}
}

// XA OUTCOME tells ABORTED of a gtrid that has no claim. Of a transaction with one writer, which commits without one,
// that may be wrong, so its gtrid is shown to nobody.
func TestGtridIsShownOnlyWhereItMayBeAskedFor(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	p := c.newProxy(t, "proxy", proxySettings{})
	p.up()
	other := c.newProxy(t, "other", proxySettings{})
	other.up()
	b := newBank(t, c, p)
	before := b.mustBalances(t)
	a := newClient(t, p, "bank")
	a.must("BEGIN")
	a.must(fmt.Sprintf("SELECT balance FROM account WHERE id=%d", b.ids[0]))
	a.must(move(b.ids[1], +100))
	var g, rest string
	if p.admin().QueryRowContext(t.Context(), "SHOW XA TRANSACTIONS").Scan(&g, &rest, &rest, &rest, &rest, &rest, &rest, &rest, &rest) != nil {
		return // not shown
	}
	var outcome string
	q := newClient(t, other, "bank")
	if err := q.conn.QueryRowContext(t.Context(), "XA OUTCOME '"+g+"'").Scan(&rest, &outcome, &rest, &rest, &rest); err != nil {
		t.Fatal(err)
	}
	told := a.try("COMMIT")
	after := b.mustBalances(t)
	if outcome == "ABORTED" && after[1] != before[1] {
		t.Errorf("the admin port shows %s, another proxy says %s of it, COMMIT was answered %v, the balance changed by %d",
			g, outcome, told, after[1]-before[1])
	}
}

// The answer of a commit in one phase is lost: no record of it exists, so nothing that the client is told may be given
// to XA OUTCOME, which would tell that it is aborted.
func TestLostOnePhaseCommitIsNotAskedFor(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	p := c.newProxy(t, "proxy", proxySettings{})
	p.up()
	b := newBank(t, c, p)
	before := b.mustBalances(t)
	a := newClient(t, p, "bank")
	a.must("BEGIN")
	a.must(fmt.Sprintf("SELECT balance FROM account WHERE id=%d", b.ids[0]))
	a.must(move(b.ids[1], +100))
	c.shards[1].relay.Arm(faultwire.Rule{Verb: faultwire.OnePhase, Side: faultwire.After, From: faultwire.Session})
	told := a.try("COMMIT")
	t.Logf("commit: %v", told)
	g := regexp.MustCompile(`x1h[0-9a-v]{58}`).FindString(fmt.Sprint(told))
	if g == "" {
		return
	}
	var outcome, rest string
	q := newClient(t, p, "bank")
	if err := q.conn.QueryRowContext(t.Context(), "XA OUTCOME '"+g+"'").Scan(&rest, &outcome, &rest, &rest, &rest); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	after := b.mustBalances(t)
	t.Logf("outcome %q, balance changed by %d", outcome, after[1]-before[1])
	if outcome == "ABORTED" && after[1] != before[1] {
		t.Errorf("the gtrid in the error's text was asked for: ABORTED, and the transaction is committed")
	}
}

// A client that goes away while its COM_STMT_PREPARE waits for a table leaves no locks behind.
func TestClientGoesWhilePreparing(t *testing.T) {
	c := newCluster(t, launch.MySQL, launch.MariaDB1011)
	p := c.newProxy(t, "proxy", proxySettings{})
	p.up()
	b := newBank(t, c, p)
	a := newClient(t, p, "bank")
	a.must("CREATE TABLE aaa (id INT PRIMARY KEY) ENGINE=InnoDB")
	a.must("CREATE TABLE zzz (id INT PRIMARY KEY) ENGINE=InnoDB")
	reader, err := c.shards[0].db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, q := range []string{"BEGIN", "SELECT * FROM bank.zzz"} {
		if _, err := reader.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	renamed := make(chan error, 1)
	go func() {
		_, err := c.shards[0].db.ExecContext(context.WithoutCancel(t.Context()), "RENAME TABLE bank.aaa TO bank.aaa2, bank.zzz TO bank.zzz2")
		renamed <- err
	}()
	defer func() {
		if _, err := reader.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := <-renamed; err != nil {
			t.Error(err)
		}
	}()
	c.shards[0].awaitTableLock(t)
	a.must("BEGIN")
	a.must(move(b.ids[0], -100))
	a.must(move(b.ids[1], +100))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = a.conn.PrepareContext(ctx, "SELECT * FROM aaa WHERE id=?") // closes the socket
	t.Logf("prepare: %v", err)
	took, err := poll(t.Context(), 20*time.Second, func(ctx context.Context) error {
		n, err := c.shards[0].number(ctx, "SELECT COUNT(*) FROM performance_schema.data_locks WHERE OBJECT_NAME='account'")
		if err == nil && n > 0 {
			err = fmt.Errorf("%d locks of it at home", n)
		}
		return err
	})
	if err != nil {
		t.Errorf("%v after the client went: %v", took, err)
	}
}

// A number is never given twice, also when the shard that had it is not configured any more.
func TestShardNumbersAreNotGivenTwice(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011, launch.MariaDB1011, launch.MariaDB1011)
	all := func(names ...string) map[string]string {
		m := map[string]string{}
		for _, s := range c.shards {
			for _, n := range names {
				if s.name == n {
					m[n] = s.dsn()
				}
			}
		}
		return m
	}
	first := c.newProxy(t, "first", proxySettings{shards: all("s0", "s1", "s2")})
	first.up()
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := c.newProxy(t, "second", proxySettings{shards: all("s0", "s1", "s3"), stateDir: first.stateDir})
	second.up()
	const q = "SELECT shard FROM xaproxy.meta"
	if two, three := c.shards[2].mustNumber(t, q), c.shards[3].mustNumber(t, q); two == three {
		t.Errorf("s2 and s3 both are number %d", two)
	}
}
