package integration

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// quiet are settings under which a proxy writes nothing of its own accord while a test counts.
func quiet() proxySettings {
	return proxySettings{
		node:     1,
		recovery: map[string]string{"beat": "60s", "dead_after": "180s", "grace": "180s", "interval": "600s", "session_lease": "600s"},
		retain:   "10m",
	}
}

// sessionThreads are the server's ids of the connections that carried clients' work.
func (s *shard) sessionThreads() []uint32 {
	var all []uint32
	for _, e := range s.journal.take() {
		if e.Command.Source == faultwire.Session && e.Command.Thread != 0 && !slices.Contains(all, e.Command.Thread) {
			all = append(all, e.Command.Thread)
		}
	}
	return all
}

// logged is what the server's general log holds of clients' work since startLog; the server logs each statement of a
// packet and every execution.
func (s *shard) logged(t *testing.T) []string {
	t.Helper()
	threads := s.sessionThreads()
	rows, err := s.db.QueryContext(t.Context(),
		"SELECT thread_id, command_type, CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type IN ('Query','Execute','Ping','Prepare') ORDER BY event_time, thread_id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var thread uint32
		var kind, text string
		if err := rows.Scan(&thread, &kind, &text); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(threads, thread) && kind != "Ping" {
			// MariaDB logs a packet of several statements as one, MySQL each with its semicolon.
			all = append(all, strings.FieldsFunc(text, func(r rune) bool { return r == ';' })...)
		}
	}
	return all
}

func (s *shard) startLog(t *testing.T) {
	t.Helper()
	for _, q := range []string{"SET GLOBAL general_log=OFF", "TRUNCATE mysql.general_log", "SET GLOBAL log_output='TABLE'", "SET GLOBAL general_log=ON"} {
		s.exec(t, q)
	}
}

func (s *shard) stopLog(t *testing.T) {
	t.Helper()
	s.exec(t, "SET GLOBAL general_log=OFF")
}

// forcedWrites is how often the server has waited for redo log or binary log to reach the disk.
func (s *shard) forcedWrites(t *testing.T) int64 {
	t.Helper()
	return s.mustNumber(t, `SELECT SUM(COUNT_MISC) FROM performance_schema.file_summary_by_event_name
		WHERE EVENT_NAME IN ('wait/io/file/innodb/innodb_log_file','wait/io/file/sql/binlog')`)
}

// counted is a cluster with a proxy that is silent by itself, and a bank in it.
type counted struct {
	c    *cluster
	p    *proxyProcess
	bank *bank
	db   *sql.DB
}

func newCounted(t *testing.T, options ...launch.Options) *counted {
	t.Helper()
	k := &counted{c: newClusterOf(t, options...)}
	k.p = k.c.newProxy(t, "a", quiet())
	k.p.up()
	k.bank = newBank(t, k.c, k.p)
	k.db = k.p.open("", "timeout=5s&readTimeout=20s&interpolateParams=true")
	k.db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = k.db.Close() })
	k.run(t, "BEGIN", k.update(0, 0), k.update(1, 0), "COMMIT") // all connections are made, all plans known
	return k
}

// update changes an account on a shard by some amount.
func (k *counted) update(shard, by int) string {
	return fmt.Sprintf("UPDATE bank.account SET balance=balance+%d WHERE id=%d", by, k.bank.ids[shard])
}

func (k *counted) read(shard int) string {
	return fmt.Sprintf("SELECT balance FROM bank.account WHERE id=%d", k.bank.ids[shard])
}

func (k *counted) run(t *testing.T, queries ...string) {
	t.Helper()
	for _, q := range queries {
		var err error
		if strings.HasPrefix(q, "SELECT") {
			var n int64
			err = k.db.QueryRowContext(t.Context(), q).Scan(&n)
		} else {
			_, err = k.db.ExecContext(t.Context(), q)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", q, err, k.p.logTail(20))
		}
	}
}

// statements runs the queries and returns what each server's general log shows of them.
func (k *counted) statements(t *testing.T, queries ...string) [2][]string {
	t.Helper()
	for _, s := range k.c.shards {
		s.startLog(t)
	}
	k.run(t, queries...)
	time.Sleep(50 * time.Millisecond) // a reader that is ended after the answer
	var got [2][]string
	for i, s := range k.c.shards {
		s.stopLog(t)
		got[i] = s.logged(t)
	}
	return got
}

func wantLog(t *testing.T, where string, got []string, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		ok = strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("%s:\n got  %s\n want %s", where, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

func countedOn(t *testing.T, test func(t *testing.T, k *counted)) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) { test(t, newCounted(t, launch.Options{Engine: e}, launch.Options{Engine: e})) })
	}
}

func TestStatementsThatReachTheShards(t *testing.T) {
	countedOn(t, func(t *testing.T, k *counted) {
		t.Run("an autocommit point statement is one statement", func(t *testing.T) {
			got := k.statements(t, k.update(0, 1), k.update(0, -1))
			wantLog(t, "shard 0", got[0], k.update(0, 1), k.update(0, -1))
			wantLog(t, "shard 1", got[1])
			got = k.statements(t, k.read(1))
			wantLog(t, "shard 0", got[0])
			wantLog(t, "shard 1", got[1], k.read(1))
		})
		t.Run("a single-shard transaction is what the client sent", func(t *testing.T) {
			got := k.statements(t, "BEGIN", k.read(1), k.update(1, 1), k.update(1, -1), "COMMIT")
			wantLog(t, "shard 0", got[0])
			wantLog(t, "shard 1", got[1], "BEGIN", k.read(1), k.update(1, 1), k.update(1, -1), "COMMIT")
			got = k.statements(t, "BEGIN", k.update(0, 1), "ROLLBACK")
			wantLog(t, "shard 0", got[0], "BEGIN", k.update(0, 1), "ROLLBACK")
			wantLog(t, "shard 1", got[1])
		})
		t.Run("a two-shard transfer is nine statements", func(t *testing.T) {
			got := k.statements(t, "BEGIN", k.update(0, -1), k.update(1, 1), "COMMIT")
			wantLog(t, "home", got[0], "BEGIN", k.update(0, -1), "INSERT INTO xaproxy.claim", "COMMIT")
			wantLog(t, "other", got[1], "XA START", k.update(1, 1), "XA END", "XA PREPARE", "XA COMMIT")
		})
		t.Run("a shard that was only read is not prepared", func(t *testing.T) {
			got := k.statements(t, "BEGIN", k.read(0), k.update(1, 1), k.update(1, -1), "COMMIT")
			for i := range got {
				for _, q := range got[i] {
					if strings.HasPrefix(q, "XA PREPARE") || strings.HasPrefix(q, "INSERT INTO xaproxy.claim") {
						t.Errorf("shard %d: %s", i, q)
					}
				}
			}
			got = k.statements(t, "BEGIN", k.update(0, 1), k.read(1), "COMMIT")
			for i := range got {
				for _, q := range got[i] {
					if strings.HasPrefix(q, "XA PREPARE") || strings.HasPrefix(q, "INSERT INTO xaproxy.claim") {
						t.Errorf("shard %d: %s", i, q)
					}
				}
			}
		})
	})
}

func TestForcedWritesOfATransfer(t *testing.T) {
	k := newCounted(t, launch.Options{Engine: launch.MySQL}, launch.Options{Engine: launch.MySQL})
	const transactions = 300
	count := func() int64 { return k.c.shards[0].forcedWrites(t) + k.c.shards[1].forcedWrites(t) }
	for _, c := range []struct {
		name    string
		want    int64
		queries []string
	}{
		{"a transfer over two shards", 7, []string{"BEGIN", k.update(0, -1), k.update(1, 1), "COMMIT"}},
		{"a transaction on one shard", 2, []string{"BEGIN", k.update(0, -1), k.update(0, 1), "COMMIT"}},
		{"a transaction that only reads the second shard", 2, []string{"BEGIN", k.update(0, 1), k.read(1), "COMMIT"}},
		{"a transaction that only reads the first shard", 2, []string{"BEGIN", k.read(1), k.update(0, 1), "COMMIT"}},
	} {
		first := count()
		var each []int64
		for from := first; len(each) < transactions; {
			k.run(t, c.queries...)
			to := count()
			each = append(each, to-from)
			from = to
		}
		mean := float64(count()-first) / transactions
		slices.Sort(each)
		t.Logf("%s: %d forced writes, mean %.2f", c.name, each[transactions/2], mean)
		// The servers also flush by themselves, some times a second: the mean of a slow run is a little higher, the
		// median is not.
		if each[transactions/2] != c.want || each[transactions/10] != c.want || mean > float64(c.want)+1 {
			t.Errorf("%s: forced writes: median %d, lowest tenth %d, mean %.2f; want %d", c.name, each[transactions/2], each[transactions/10], mean, c.want)
		}
	}
}

// TestForcedWritesAreCounted checks the instrument itself without a proxy: what a plain commit and a two-phase commit cost.
func TestForcedWritesAreCounted(t *testing.T) {
	c := newCluster(t, launch.MySQL)
	s := c.shards[0]
	s.exec(t, "CREATE DATABASE bank")
	s.exec(t, "CREATE TABLE bank.account (id INT PRIMARY KEY, balance BIGINT NOT NULL) ENGINE=InnoDB")
	s.exec(t, "INSERT INTO bank.account VALUES (1,0)")
	const rounds = 100
	for name, test := range map[string]struct {
		want    float64
		queries []string
	}{
		"commit":    {2, []string{"BEGIN", "UPDATE bank.account SET balance=balance+1 WHERE id=1", "COMMIT"}},
		"two-phase": {5, []string{"XA START 'x'", "UPDATE bank.account SET balance=balance+1 WHERE id=1", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"}},
		"reads":     {0, []string{"BEGIN", "SELECT balance FROM bank.account WHERE id=1 FOR UPDATE", "COMMIT"}},
	} {
		from := s.forcedWrites(t)
		for range rounds {
			onOne(t, s.db, test.queries...)
		}
		got := float64(s.forcedWrites(t)-from) / rounds
		t.Logf("%s: %.2f forced writes", name, got)
		if got < test.want-0.05 || got > test.want+0.3 {
			t.Errorf("%s: %.2f forced writes, want %.0f", name, got, test.want)
		}
	}
}

// onOne runs queries on one connection.
func onOne(t testing.TB, db *sql.DB, queries ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer discard(conn) // on MariaDB a branch that it prepared stays bound to it
	for _, q := range queries {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}
