package backend_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/proxy/backend"
	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

func TestMain(m *testing.M) { os.Exit(launchtest.Main(m)) }

// onEach runs a test on each real server, with a schema of its own.
func onEach(t *testing.T, test func(t *testing.T, s *bench)) {
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) {
			b := &bench{Server: launchtest.Shared(t, e), t: t}
			db, err := b.DB(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b.db = db
			b.exec("CREATE DATABASE IF NOT EXISTS backend")
			test(t, b)
		})
	}
}

type bench struct {
	*launch.Server
	t  *testing.T
	db *sql.DB
}

func (b *bench) exec(statements ...string) {
	b.t.Helper()
	for _, s := range statements {
		if _, err := b.db.ExecContext(context.Background(), s); err != nil {
			b.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (b *bench) options() backend.Options {
	b.t.Helper()
	o, err := backend.ParseDSN(b.DSN())
	if err != nil {
		b.t.Fatal(err)
	}
	o.Shard, o.Name = 7, "s7"
	return o
}

func (b *bench) dial() *backend.Conn { return b.dialWith(b.options()) }

func (b *bench) dialWith(o backend.Options) *backend.Conn {
	b.t.Helper()
	c, err := backend.Dial(b.t.Context(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

func query(sql string) xamysql.Command { return xamysql.Command{Kind: xamysql.Query, SQL: sql} }

// ask runs one statement and returns the first field of its first row.
func ask(t *testing.T, c *backend.Conn, sql string) string {
	t.Helper()
	replies, err := c.Exchange(t.Context(), query(sql))
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	r := replies[0].Results[len(replies[0].Results)-1]
	if r.Err != nil {
		t.Fatalf("%s: %v", sql, r.Err)
	}
	if len(r.Rows) == 0 || r.Rows[0][0] == nil {
		return ""
	}
	return *r.Rows[0][0]
}

func refused(t *testing.T, c *backend.Conn, sql string) *xamysql.ServerError {
	t.Helper()
	replies, err := c.Exchange(t.Context(), query(sql))
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	e := replies[0].Results[len(replies[0].Results)-1].Err
	if e == nil {
		t.Fatalf("%s was accepted", sql)
	}
	return e
}

func TestDialPreparesTheSession(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		o := b.options()
		o.Lease = 4 * time.Second
		c := b.dialWith(o)
		for sql, want := range map[string]string{
			"SELECT @@autocommit": "1", "SELECT @@wait_timeout": "4", "SELECT @@character_set_client": "utf8mb4",
			"SELECT @@collation_connection": "utf8mb4_general_ci", "SELECT @@character_set_results": "utf8mb4",
			"SELECT CONNECTION_ID()": fmt.Sprint(c.Session().Conn),
		} {
			if got := ask(t, c, sql); got != want {
				t.Errorf("%s = %q, want %q", sql, got, want)
			}
		}
		other := b.dial()
		if !xa.SameRun(c.Session().Run, other.Session().Run) || c.Session().Conn == other.Session().Conn || c.Session().Shard != 7 {
			t.Errorf("sessions %+v and %+v", c.Session(), other.Session())
		}
		wantFlavor := xamysql.FlavorMariaDB
		if b.Engine().Family() == "mysql" {
			wantFlavor = xamysql.FlavorMySQL
		}
		if c.Flavor() != wantFlavor {
			t.Errorf("flavor %v of %s", c.Flavor(), c.ServerVersion())
		}
		if !c.Reusable() {
			t.Error("a fresh connection is not reusable")
		}
	})
}

func TestLogins(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		plugins := map[string]string{"native": "IDENTIFIED VIA mysql_native_password USING PASSWORD('%s')"}
		if b.Engine().Family() == "mysql" {
			plugins = map[string]string{"sha2": "IDENTIFIED WITH caching_sha2_password BY '%s'"}
		}
		for name, by := range plugins {
			for _, password := range []string{"", "p", strings.Repeat("långt", 20)} {
				user := fmt.Sprintf("u_%s_%d", name, len(password))
				b.exec("DROP USER IF EXISTS "+user, "CREATE USER "+user+" "+fmt.Sprintf(by, password))
				t.Cleanup(func() { b.exec("DROP USER " + user) })
				if b.Engine().Family() == "mysql" {
					b.exec("GRANT SELECT ON performance_schema.* TO " + user)
				}
				for _, secure := range []*tls.Config{nil, {InsecureSkipVerify: true}} {
					if secure != nil && !hasTLS(b) {
						continue
					}
					o := b.options()
					o.User, o.Password, o.TLS = user, password, secure
					// Twice: the second login of a caching_sha2_password account takes the fast path.
					for i := range 2 {
						c, err := backend.Dial(t.Context(), o)
						if err != nil {
							t.Fatalf("%s TLS %t login %d: %v", user, secure != nil, i, err)
						}
						cipher := ask(t, c, "SHOW STATUS LIKE 'Ssl_cipher'")
						if cipher != "Ssl_cipher" {
							t.Errorf("unexpected row %q", cipher)
						}
						c.Close()
					}
					o.Password += "wrong"
					_, err := backend.Dial(t.Context(), o)
					var e *wire.ServerError
					if !errors.As(err, &e) || e.Number != 1045 || xa.EffectOf(err) != xa.EffectNone {
						t.Errorf("wrong password of %s: %v", user, err)
					}
					if b.Engine().Family() == "mysql" {
						b.exec("FLUSH PRIVILEGES") // forgets the fast path's hashes
					}
				}
			}
		}
	})
}

func hasTLS(b *bench) bool {
	var name, value string
	row := b.db.QueryRowContext(b.t.Context(), "SHOW VARIABLES LIKE 'have_ssl'")
	if err := row.Scan(&name, &value); err != nil {
		return b.Engine().Family() == "mysql" // 9.x has TLS always and not the variable
	}
	return value == "YES"
}

func TestTLSIsNotGivenUpSilently(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		o := b.options()
		o.TLS = &tls.Config{InsecureSkipVerify: true}
		if !hasTLS(b) {
			if _, err := backend.Dial(t.Context(), o); !errors.Is(err, wire.ErrNoTLS) {
				t.Errorf("without TLS at the server: %v", err)
			}
			o.TLSOptional = true
		}
		c := b.dialWith(o)
		replies, err := c.Exchange(t.Context(), query("SHOW STATUS LIKE 'Ssl_version'"))
		if err != nil {
			t.Fatal(err)
		}
		if got := *replies[0].Results[0].Rows[0][1]; (got != "") != hasTLS(b) {
			t.Errorf("TLS version %q", got)
		}
	})
}

func TestExchangeAnswersEachCommand(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		b.exec("CREATE OR REPLACE VIEW backend.v AS SELECT 1", "DROP TABLE IF EXISTS backend.e",
			"CREATE TABLE backend.e (id INT PRIMARY KEY, v TEXT) ENGINE=InnoDB")
		replies, err := c.Exchange(t.Context(),
			query("INSERT INTO backend.e VALUES (1,'a'),(2,NULL)"),
			query("SELECT id,v FROM backend.e ORDER BY id; SELECT 7; DELETE FROM backend.e WHERE id=2"),
			query("INSERT INTO backend.e VALUES (1,'dup'); SELECT 'not reached'"),
			query("nonsense"),
			xamysql.Command{Kind: xamysql.Ping},
			query("BEGIN"),
			query("SELECT 1 FROM backend.e WHERE 0"))
		if err != nil {
			t.Fatal(err)
		}
		if len(replies) != 7 {
			t.Fatalf("%d replies", len(replies))
		}
		if r := replies[0].Results; len(r) != 1 || r[0].Affected != 2 || r[0].Err != nil {
			t.Errorf("insert: %+v", r)
		}
		r := replies[1].Results
		if len(r) != 3 || len(r[0].Rows) != 2 || *r[0].Rows[0][1] != "a" || r[0].Rows[1][1] != nil || *r[1].Rows[0][0] != "7" || r[2].Affected != 1 {
			t.Errorf("three statements: %+v", r)
		}
		if r := replies[2].Results; len(r) != 1 || r[0].Err == nil || r[0].Err.Number != 1062 || r[0].Err.State != "23000" {
			t.Errorf("duplicate: %+v", r)
		}
		if r := replies[3].Results; r[0].Err == nil || r[0].Err.Number != 1064 {
			t.Errorf("nonsense: %+v", r)
		}
		if r := replies[4].Results; len(r) != 1 || r[0].Err != nil || r[0].Status&xamysql.StatusInTrans != 0 {
			t.Errorf("ping: %+v", r)
		}
		if r := replies[5].Results; r[0].Status&xamysql.StatusInTrans == 0 {
			t.Errorf("begin: %+v", r)
		}
		if !c.InTransaction() || c.Reusable() {
			t.Error("a transaction is open")
		}
	})
}

func TestPingTellsThatADeadlockEndedTheTransaction(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.exec("DROP TABLE IF EXISTS backend.d", "CREATE TABLE backend.d (id INT PRIMARY KEY, v INT) ENGINE=InnoDB",
			"INSERT INTO backend.d VALUES (1,0),(2,0),(3,0),(4,0)")
		one, two := b.dial(), b.dial()
		ask(t, one, "BEGIN")
		ask(t, two, "BEGIN")
		// More work on two: it is the one that survives.
		ask(t, two, "UPDATE backend.d SET v=1 WHERE id>1")
		ask(t, one, "UPDATE backend.d SET v=1 WHERE id=1")
		done := make(chan error, 1)
		go func() {
			_, err := two.Exchange(context.Background(), query("UPDATE backend.d SET v=2 WHERE id=1"))
			done <- err
		}()
		waitFor(t, func() bool {
			var n int
			if err := b.db.QueryRow("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state='LOCK WAIT'").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n > 0
		})
		if e := refused(t, one, "UPDATE backend.d SET v=2 WHERE id=2"); e.Number != 1213 || e.State != "40001" {
			t.Fatalf("deadlock: %v", e)
		}
		if !one.InTransaction() {
			t.Error("an error packet carries no flags: the old ones hold")
		}
		if err := one.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if one.InTransaction() || !one.Reusable() {
			t.Error("ping did not tell")
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ask(t, two, "ROLLBACK")
	})
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	// InnoDB refreshes its tables only when nobody looked for 100 ms.
	for end := time.Now().Add(10 * time.Second); !what(); time.Sleep(150 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited for too long")
		}
	}
}

func TestLeaseEndsAnIdleSession(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		o := b.options()
		o.Lease = time.Second
		idle, kept := b.dialWith(o), b.dialWith(o)
		ask(t, idle, "BEGIN")
		for range 10 {
			time.Sleep(300 * time.Millisecond)
			if err := kept.Ping(t.Context()); err != nil {
				t.Fatalf("ping does not keep the session alive: %v", err)
			}
		}
		replies, err := idle.Exchange(t.Context(), query("SELECT 1"))
		if err == nil {
			t.Fatalf("the session survived its lease: %+v", replies)
		}
		t.Logf("effect %v: %v", xa.EffectOf(err), err)
		if !idle.Broken() || idle.InTransaction() {
			t.Error("the connection is not broken")
		}
		if _, err := idle.Exchange(t.Context(), query("SELECT 1")); !errors.Is(err, backend.ErrBroken) || xa.EffectOf(err) != xa.EffectNone {
			t.Errorf("after the loss: %v", err)
		}
	})
}

func TestContextEndBreaksTheConnection(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Exchange(ended, query("DO 1")); !errors.Is(err, context.Canceled) || xa.EffectOf(err) != xa.EffectNone {
			t.Errorf("ended before the write: %v, effect %v", err, xa.EffectOf(err))
		}
		if ask(t, c, "SELECT 1") != "1" {
			t.Error("the connection suffered although nothing was sent")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		replies, err := c.Exchange(ctx, query("SELECT 5"), query("DO SLEEP(3)"))
		if !errors.Is(err, context.DeadlineExceeded) || xa.EffectOf(err) != xa.EffectUnknown {
			t.Errorf("ended during the read: %v, effect %v", err, xa.EffectOf(err))
		}
		if len(replies) != 1 || *replies[0].Results[0].Rows[0][0] != "5" {
			t.Errorf("replies read so far: %+v", replies)
		}
		if !c.Broken() {
			t.Error("not broken")
		}
	})
}

func TestPoolOnARealServer(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		for _, secure := range []*tls.Config{nil, {InsecureSkipVerify: true}} {
			if secure != nil && !hasTLS(b) {
				continue
			}
			o := b.options()
			o.Lease, o.TLS = time.Second, secure
			// One connection: while it is being pinged, callers wait for it instead of dialing another.
			p := backend.NewPool(o, backend.PoolOptions{MaxConns: 1, Log: slog.New(slog.DiscardHandler)})
			c, err := p.Get(t.Context(), backend.State{})
			if err != nil {
				t.Fatal(err)
			}
			p.Put(c)
			for range 5 {
				time.Sleep(500 * time.Millisecond)
				again, err := p.Get(t.Context(), backend.State{})
				if err != nil || again != c || ask(t, again, "SELECT 1") != "1" {
					t.Fatalf("idle for longer than the lease, TLS %t: %v, %+v", secure != nil, err, p.Stats())
				}
				p.Put(again)
			}
			b.exec(fmt.Sprintf("KILL %d", c.Session().Conn))
			waitFor(t, func() bool {
				var n int
				b.db.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE id=?", c.Session().Conn).Scan(&n)
				return n == 0
			})
			again, err := p.Get(t.Context(), backend.State{})
			if err != nil || again == c || ask(t, again, "SELECT 1") != "1" {
				t.Errorf("a connection that the server has ended was handed out, TLS %t: %v", secure != nil, err)
			}
			p.Put(again)
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestShardGoesDownAndComesBack(t *testing.T) {
	server := launchtest.Start(t, launch.Options{Engine: launch.MariaDB1011})[0]
	o, err := backend.ParseDSN(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan bool, 10)
	p := backend.NewPool(o, backend.PoolOptions{Log: slog.New(slog.DiscardHandler), OnState: func(up bool) { states <- up }})
	defer func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	c, err := p.Get(t.Context(), backend.State{})
	if err != nil {
		t.Fatal(err)
	}
	first := c.Session()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exchange(t.Context(), query("SELECT 1")); err == nil || !c.Broken() {
		t.Errorf("the server is dead: %v", err)
	}
	p.Put(c)
	var down *backend.DownError
	if _, err := p.Get(t.Context(), backend.State{}); !errors.As(err, &down) {
		t.Errorf("the server is dead: %v", err)
	}
	if up := <-states; up {
		t.Error("up?")
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case up := <-states:
		if !up {
			t.Error("down again?")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("nobody noticed that the shard is back")
	}
	if c, err = p.Get(t.Context(), backend.State{}); err != nil {
		t.Fatal(err)
	}
	// A server that dies within 2 s of its start comes back with what counts as the same run, and numbers its
	// connections anew: the name of a session may then repeat.
	if c.Session().Run < first.Run {
		t.Errorf("sessions %+v and %+v", first, c.Session())
	}
	p.Put(c)
}
