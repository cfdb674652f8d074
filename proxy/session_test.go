package proxy_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// statements returns what the connections that touched bank.account sent to a
// shard since from, in order. It returns the log's length, too.
func (w *world) statements(shard int, from int) ([]string, int) {
	w.t.Helper()
	time.Sleep(50 * time.Millisecond) // the server writes its log a moment later
	b, err := os.ReadFile(w.servers[shard].GeneralLog())
	if err != nil {
		w.t.Fatal(err)
	}
	line := regexp.MustCompile(`^(?:\S+)?\s+(\d+) (Query|Execute|Prepare|Init DB|Reset stmt)\s(.*)$`)
	stamped := regexp.MustCompile(`^\d{6}\s+\d+:\d+:\d+\s`)
	type entry struct{ id, text string }
	var all []entry
	ids := map[string]bool{}
	for _, l := range strings.Split(string(b[from:]), "\n") {
		l = stamped.ReplaceAllString(l, "\t")
		m := line.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		all = append(all, entry{m[1], m[2] + " " + m[3]})
		if strings.Contains(m[3], "account") {
			ids[m[1]] = true
		}
	}
	var out []string
	for _, e := range all {
		if ids[e.id] {
			kind, text, _ := strings.Cut(e.text, " ")
			for _, one := range strings.Split(text, ";") { // MariaDB writes a packet of several as one
				out = append(out, kind+" "+one)
			}
		}
	}
	return out, len(b)
}

func TestStatementCounts(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	db := w.open("bank")
	exec(t, db, "UPDATE account SET balance=balance+0 WHERE id=?", 1) // warm
	sum := func(f func()) [][]string {
		_, from0 := w.statements(0, 0)
		_, from1 := w.statements(1, 0)
		f()
		a, _ := w.statements(0, from0)
		b, _ := w.statements(1, from1)
		return [][]string{a, b}
	}
	point := fmt.Sprintf("UPDATE account SET balance=balance+1 WHERE id=%d", ids[0])
	got := sum(func() { exec(t, db, point) })
	if len(got[0]) != 1 || len(got[1]) != 0 || got[0][0] != "Query "+point {
		t.Errorf("autocommit point statement: %q", got)
	}
	got = sum(func() {
		c := w.conn("bank")
		exec(t, c, "BEGIN")
		exec(t, c, point)
		exec(t, c, "COMMIT")
	})
	if want := []string{"Query BEGIN", "Query " + point, "Query COMMIT AND NO CHAIN NO RELEASE"}; len(got[1]) != 0 || !equalFold(got[0], want) {
		t.Errorf("single-shard transaction: %q", got)
	}
	got = sum(func() { transfer(t, w.open("bank?interpolateParams=true"), ids, true) })
	if n := len(got[0]) + len(got[1]); n != 9 {
		t.Errorf("two-shard transfer has %d statements: %q", n, got)
	}
	got = sum(func() {
		c := w.conn("bank")
		exec(t, c, "BEGIN")
		exec(t, c, point)
		values(t, c, fmt.Sprintf("SELECT balance FROM account WHERE id=%d", ids[1]))
		exec(t, c, "COMMIT")
	})
	if slices.ContainsFunc(append(got[0], got[1]...), func(s string) bool {
		return strings.Contains(s, "PREPARE") || strings.Contains(s, "claim")
	}) {
		t.Errorf("a reader was prepared: %q", got)
	}
}

func equalFold(a, b []string) bool {
	return strings.EqualFold(strings.Join(a, "|"), strings.Join(b, "|"))
}

func TestErrorsInsideTransactions(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")

	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0])
	if n := number(t, c, fmt.Sprintf("INSERT INTO account VALUES (%d,0,NULL)", ids[1])); n != 1062 {
		t.Fatalf("error %d", n)
	}
	exec(t, c, "UPDATE account SET balance=2 WHERE id=?", ids[1])
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 1 || b != 2 {
		t.Errorf("a failed statement ended the transaction: %d %d", a, b)
	}

	// A statement over both shards that fails at one leaves nothing at the other.
	insert := fmt.Sprintf("INSERT INTO account VALUES (1001,1,NULL),(1002,1,NULL),(1003,1,NULL),(1004,1,NULL),(%d,1,NULL)", ids[1])
	if n := number(t, c, insert); n != 1062 {
		t.Fatalf("autocommit: error %d", n)
	}
	if got := values(t, c, "SELECT id FROM account WHERE id>1000"); len(got) != 0 {
		t.Errorf("autocommit left %q", got)
	}
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=3 WHERE id=?", ids[0])
	if n := number(t, c, insert); n != 1062 {
		t.Fatalf("in a transaction: error %d", n)
	}
	if got := values(t, c, "SELECT id FROM account WHERE id>1000"); len(got) != 0 {
		t.Errorf("within the transaction there is %q", got)
	}
	r := exec(t, c, "UPDATE account SET balance=balance+1")
	if n, err := r.RowsAffected(); err != nil || n != 20 {
		t.Errorf("%d rows, %v", n, err)
	}
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 4 || b != 3 {
		t.Errorf("%d %d", a, b)
	}
}

func TestDeadlockRollsBackEverywhere(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			w := newWorld(t, worldOptions{engines: []launch.Engine{e, e}})
			ids := w.bank()
			var other, free int
			if err := w.direct(0).QueryRow("SELECT MAX(id) FROM bank.account").Scan(&free); err != nil {
				t.Fatal(err)
			}
			if err := w.direct(1).QueryRow("SELECT MAX(id) FROM bank.account").Scan(&other); err != nil {
				t.Fatal(err)
			}
			a, b := w.conn("bank"), w.conn("bank")
			for _, c := range []*sql.Conn{a, b} {
				exec(t, c, "BEGIN")
			}
			exec(t, a, "UPDATE account SET balance=1 WHERE id=?", ids[0])
			exec(t, a, "UPDATE account SET balance=1 WHERE id=?", ids[1])
			exec(t, b, "UPDATE account SET balance=2 WHERE id=?", other)
			errs := make(chan error, 2)
			go func() {
				_, err := a.ExecContext(context.Background(), "UPDATE account SET balance=1 WHERE id=?", other)
				errs <- err
			}()
			time.Sleep(300 * time.Millisecond)
			_, errB := b.ExecContext(context.Background(), "UPDATE account SET balance=2 WHERE id=?", ids[1])
			errA := <-errs
			na, nb := numberOf(t, errA), numberOf(t, errB)
			if (na == 1213) == (nb == 1213) {
				t.Fatalf("errors %d and %d", na, nb)
			}
			loser, winner := a, b
			if nb == 1213 {
				loser, winner = b, a
			}
			// The loser is out of its transaction: this commits by itself.
			exec(t, loser, "UPDATE account SET note='alone' WHERE id=?", free)
			exec(t, loser, "ROLLBACK")
			var note sql.NullString
			if err := w.direct(0).QueryRow("SELECT note FROM bank.account WHERE id=?", free).Scan(&note); err != nil || note.String != "alone" {
				t.Errorf("the loser was still in a transaction: %v %v", note, err)
			}
			exec(t, winner, "COMMIT")
			want := 100
			if winner == a {
				want = 1
			}
			if got := w.balance(0, ids[0]); got != want {
				t.Errorf("balance at home is %d, not %d", got, want)
			}
		})
	}
}

func TestClientGoneInTheMiddle(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	db := w.open("bank")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "UPDATE account SET balance=5 WHERE id=?", ids[0])
	exec(t, tx, "UPDATE account SET balance=5 WHERE id=?", ids[1])
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := tx.ExecContext(ctx, "UPDATE account SET balance=balance+SLEEP(30) WHERE id="+fmt.Sprint(ids[1])); err == nil {
		t.Fatal("answered")
	}
	deadline := time.Now().Add(4 * time.Second)
	for w.balanceLocked(1, ids[1]) {
		if time.Now().After(deadline) {
			t.Fatal("the statement still runs")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 100 || b != 100 {
		t.Errorf("%d %d", a, b)
	}
}

// balanceLocked reports whether somebody holds the row.
func (w *world) balanceLocked(shard, id int) bool {
	w.t.Helper()
	_, err := w.direct(shard).Exec("SET STATEMENT innodb_lock_wait_timeout=0 FOR UPDATE bank.account SET note='probe' WHERE id=?", id)
	return err != nil
}

func TestLeasesAndLimits(t *testing.T) {
	o := twoMariaDB()
	o.lease = 2 * time.Second
	o.limits.IdleTime = 6 * time.Second
	w := newWorld(t, o)
	ids := w.bank()
	c := w.conn("bank")
	begin := func() {
		exec(t, c, "BEGIN")
		exec(t, c, "UPDATE account SET balance=7 WHERE id=?", ids[0])
		exec(t, c, "UPDATE account SET balance=7 WHERE id=?", ids[1])
	}
	begin()
	time.Sleep(4 * time.Second) // two leases
	exec(t, c, "UPDATE account SET note=SLEEP(4) WHERE id=?", ids[1])
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 7 || b != 7 {
		t.Errorf("%d %d", a, b)
	}
	begin()
	time.Sleep(7 * time.Second)
	_, err := c.ExecContext(context.Background(), "COMMIT")
	if numberOf(t, err) != 17032 || !strings.Contains(err.Error(), "it was idle for longer than 6s (transactions.idle_time)") {
		t.Errorf("%v", err)
	}
	exec(t, c, "COMMIT")
}

func TestSettingsAreTracked(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")
	for stmt, want := range map[string]uint16{
		"SET sql_mode='NONSENSE'":                 17021,
		"SET sql_mode='TIME_TRUNCATE_FRACTIONAL'": 1231, // MySQL's only
		"SET time_zone='Nowhere/Land'":            1298,
		"SET SESSION sort_buffer_size=1000000":    17021,
		"SET NAMES gbk":                           17021,
		"SET GLOBAL max_connections=10":           17021,
		"USE nothing":                             1049,
		"USE xaproxy":                             1044,
	} {
		if n := number(t, c, stmt); n != want {
			t.Errorf("%s: error %d, not %d", stmt, n, want)
		}
	}
	exec(t, c, "SET sql_mode='ANSI_QUOTES', time_zone='+03:00'")
	exec(t, c, "SET NAMES latin1")
	exec(t, c, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
	for _, id := range ids {
		got := values(t, c, fmt.Sprintf(`SELECT @@sql_mode,@@time_zone,@@character_set_client FROM "account" WHERE id=%d`, id))
		if len(got) != 1 || got[0] != "ANSI_QUOTES,+03:00,latin1" {
			t.Errorf("%q", got)
		}
	}
	// Another client's connections are as fresh.
	d := w.conn("bank")
	for _, id := range ids {
		got := values(t, d, fmt.Sprintf("SELECT @@time_zone,@@character_set_client FROM account WHERE id=%d", id))
		if len(got) != 1 || got[0] != "SYSTEM,utf8mb4" {
			t.Errorf("%q", got)
		}
	}
}

func TestSavepoints(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")
	exec(t, c, "BEGIN")
	exec(t, c, "SAVEPOINT first")
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0])
	exec(t, c, "SAVEPOINT second")
	exec(t, c, "UPDATE account SET balance=2 WHERE id=?", ids[0])
	exec(t, c, "UPDATE account SET balance=2 WHERE id=?", ids[1])
	exec(t, c, "ROLLBACK TO SECOND")
	if n := number(t, c, "ROLLBACK TO third"); n != 1305 {
		t.Errorf("error %d", n)
	}
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 1 || b != 100 {
		t.Errorf("%d %d", a, b)
	}
	exec(t, c, "BEGIN")
	exec(t, c, "SAVEPOINT a")
	exec(t, c, "UPDATE account SET balance=9")
	exec(t, c, "ROLLBACK TO a")
	exec(t, c, "RELEASE SAVEPOINT a")
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 1 || b != 100 {
		t.Errorf("%d %d", a, b)
	}
}

func TestLostShardConnection(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0])
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[1])
	w.killSessionsInTransaction(1)
	if n := number(t, c, "UPDATE account SET balance=2 WHERE id=?", ids[1]); n != 1213 {
		t.Errorf("error %d", n)
	}
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 100 || b != 100 {
		t.Errorf("%d %d", a, b)
	}

	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0])
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[1])
	if err := w.servers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	if n := number(t, c, "COMMIT"); n != 17030 {
		t.Errorf("commit with a dead shard: error %d", n)
	}
	if n := number(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[1]); n != 17030 {
		t.Errorf("statement at a dead shard: error %d", n)
	}
	exec(t, c, "UPDATE account SET balance=50 WHERE id=?", ids[0])
	if err := w.servers[1].Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for number(t, c, "UPDATE account SET balance=51 WHERE id=?", ids[1]) != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the shard is not used again")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 50 || b != 51 {
		t.Errorf("%d %d", a, b)
	}
}

func (w *world) killSessionsInTransaction(shard int) {
	w.t.Helper()
	db := w.direct(shard)
	// The table may be a copy that is 0.1 s old, and stays one while it is read more often.
	for range 10 {
		ids := values(w.t, db, "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_mysql_thread_id<>0")
		for _, id := range ids {
			exec(w.t, db, "KILL "+id)
		}
		if len(ids) > 0 {
			return
		}
		time.Sleep(150 * time.Millisecond)
	}
	w.t.Fatal("no session is in a transaction")
}

func TestPreparedStatements(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	db := w.open("bank")
	st, err := db.Prepare("SELECT balance,note FROM account WHERE id=?")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for range 3 {
		for _, id := range ids {
			var n int
			var note sql.NullString
			if err := st.QueryRow(id).Scan(&n, &note); err != nil || n != 100 || note.Valid {
				t.Fatalf("%d %v %v", n, note, err)
			}
		}
	}
	ins, err := db.Prepare("INSERT INTO account VALUES (?,?,?),(?,?,?),(?,?,?),(?,?,?)")
	if err != nil {
		t.Fatal(err)
	}
	defer ins.Close()
	r, err := ins.Exec(101, 1, "a", 102, 2, nil, 103, 3, "c", 104, 4, strings.Repeat("x", 20))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.RowsAffected(); err != nil || n != 4 {
		t.Errorf("%d %v", n, err)
	}
	got := values(t, db, "SELECT id,balance,note FROM account WHERE id>?", 100)
	slices.Sort(got)
	if want := []string{"101,1,a", "102,2,NULL", "103,3,c", "104,4," + strings.Repeat("x", 20)}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	all, err := db.Prepare("UPDATE account SET note=? WHERE balance<?")
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	if r, err = all.Exec("poor", 10); err != nil {
		t.Fatal(err)
	}
	if n, err := r.RowsAffected(); err != nil || n != 4 {
		t.Errorf("%d %v", n, err)
	}
}

func TestLastInsertIDAndWarnings(t *testing.T) {
	o := twoMariaDB()
	w := newWorld(t, o)
	ids := w.bank()
	c := w.conn("bank")
	exec(t, w.servers0(), "CREATE TABLE bank.log (id INT AUTO_INCREMENT PRIMARY KEY, t VARCHAR(3))")
	w.server.Refresh(context.Background())
	r := exec(t, c, "INSERT INTO log (t) VALUES ('a')")
	if id, err := r.LastInsertId(); err != nil || id != 1 {
		t.Errorf("%d %v", id, err)
	}
	if got := values(t, c, "SELECT LAST_INSERT_ID()"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("at once: %q", got)
	}
	time.Sleep(100 * time.Millisecond) // the connection was given back
	exec(t, w.open("bank"), "INSERT INTO log (t) VALUES ('b')")
	if got := values(t, c, "SELECT LAST_INSERT_ID()"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("later: %q", got)
	}
	exec(t, c, "UPDATE account SET balance=LAST_INSERT_ID() WHERE id=?", ids[1])
	if got := w.balance(1, ids[1]); got != 1 {
		t.Errorf("at another shard: %d", got)
	}
	exec(t, c, "SET sql_mode=''")
	for _, wait := range []time.Duration{0, 100 * time.Millisecond} {
		exec(t, c, "INSERT INTO log (t) VALUES ('toolong')")
		time.Sleep(wait)
		if got := values(t, c, "SHOW WARNINGS"); len(got) != 1 || !strings.Contains(got[0], "1265") {
			t.Errorf("warnings after %s: %q", wait, got)
		}
	}
}

func (w *world) servers0() *sql.DB { return w.direct(0) }

func TestUserVariablesPin(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	c := w.conn("bank")
	exec(t, c, "SET @x = 5")
	if got := values(t, c, "SELECT @x"); !slices.Equal(got, []string{"5"}) {
		t.Errorf("%q", got)
	}
	d := w.conn("bank")
	if got := values(t, d, "SELECT @x"); !slices.Equal(got, []string{"NULL"}) {
		t.Errorf("another session sees %q", got)
	}
	exec(t, c, "UPDATE account SET note='x'") // both shards, without the variable
	if n := number(t, c, "UPDATE account SET balance=@x"); n != 17021 {
		t.Errorf("error %d", n)
	}
}

func TestAutocommitOff(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")
	exec(t, c, "SET autocommit=0")
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0])
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[1])
	exec(t, c, "ROLLBACK")
	exec(t, c, "UPDATE account SET balance=2 WHERE id=?", ids[0])
	exec(t, c, "UPDATE account SET balance=2 WHERE id=?", ids[1])
	exec(t, c, "SET autocommit=1")
	exec(t, c, "ROLLBACK")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 2 || b != 2 {
		t.Errorf("%d %d", a, b)
	}
	exec(t, c, "START TRANSACTION READ ONLY")
	values(t, c, "SELECT * FROM account")
	for _, id := range ids {
		if n := number(t, c, "UPDATE account SET balance=3 WHERE id=?", id); n != 1792 {
			t.Errorf("error %d", n)
		}
	}
	exec(t, c, "COMMIT AND CHAIN")
	if n := number(t, c, "UPDATE account SET balance=3 WHERE id=?", ids[0]); n != 1792 {
		t.Errorf("error %d", n)
	}
	exec(t, c, "ROLLBACK")
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=4 WHERE id=?", ids[0])
	exec(t, c, "CREATE TABLE other (id INT PRIMARY KEY)") // commits first
	exec(t, c, "ROLLBACK")
	if a := w.balance(0, ids[0]); a != 4 {
		t.Errorf("%d", a)
	}
}

func TestOutcomeAndKill(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")
	if n := number(t, c, "XA OUTCOME 'nonsense'"); n != 17021 {
		t.Errorf("error %d", n)
	}
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0])
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[1])
	var victim uint32
	for _, s := range w.server.Sessions() {
		if len(s.Shards) == 2 {
			victim = s.ID
		}
	}
	exec(t, c, "COMMIT")
	// Nobody is told the gtrid of an open transaction; afterwards home has it.
	g := strings.Join(values(t, w.direct(0), "SELECT name FROM xaproxy.claim ORDER BY name DESC LIMIT 1"), "")
	if got := values(t, c, "XA OUTCOME '"+g+"'"); len(got) != 1 || !strings.Contains(got[0], "COMMITTED") {
		t.Errorf("%q", got)
	}

	done := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(context.Background(), "UPDATE account SET note=SLEEP(30) WHERE id="+fmt.Sprint(ids[0]))
		done <- err
	}()
	time.Sleep(300 * time.Millisecond)
	exec(t, w.open(""), fmt.Sprintf("KILL QUERY %d", victim))
	if n := numberOf(t, <-done); n != 1317 && n != 0 {
		t.Errorf("error %d", n)
	}
	exec(t, c, "UPDATE account SET balance=11 WHERE id=?", ids[0])
	exec(t, w.open(""), fmt.Sprintf("KILL %d", victim))
	time.Sleep(100 * time.Millisecond)
	if _, err := c.ExecContext(context.Background(), "DO 1"); err == nil {
		t.Error("a killed session goes on")
	}
	if n := number(t, w.open(""), "KILL 99999"); n != 1094 {
		t.Errorf("error %d", n)
	}
}

func TestShutdown(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	idle, busy, stuck := w.conn("bank"), w.conn("bank"), w.conn("bank")
	exec(t, idle, "DO 1")
	for i, c := range []*sql.Conn{busy, stuck} {
		exec(t, c, "BEGIN")
		exec(t, c, "UPDATE account SET balance=? WHERE id=?", 60+i, ids[i])
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	down := make(chan error, 1)
	go func() { down <- w.server.Shutdown(ctx) }()
	time.Sleep(300 * time.Millisecond)
	if _, err := idle.ExecContext(context.Background(), "DO 1"); err == nil {
		t.Error("an idle session goes on")
	}
	exec(t, busy, "COMMIT")
	if err := <-down; err == nil {
		t.Error("shutdown did not say that a transaction was ended")
	}
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 60 || b != 100 {
		t.Errorf("%d %d", a, b)
	}
}

func TestDefinitionsOnAllShards(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	c := w.conn("bank")
	exec(t, w.direct(1), "CREATE TABLE bank.half (id INT PRIMARY KEY)")
	_, err := c.ExecContext(context.Background(), "CREATE TABLE half (id INT PRIMARY KEY)")
	if numberOf(t, err) != 17022 || !strings.Contains(err.Error(), "s0: done") {
		t.Errorf("%v", err)
	}
	if n := number(t, c, "INSERT INTO half VALUES (1),(2),(3),(4),(5)"); n != 17024 {
		t.Errorf("error %d", n)
	}
	open := openDDL(t, c)
	if len(open) != 1 {
		t.Fatalf("%+v", open)
	}
	if err := w.server.ForgetDefinition(context.Background(), open[0].id); err != nil {
		t.Fatal(err)
	}
	exec(t, c, "INSERT INTO half VALUES (1),(2),(3),(4),(5)")
	exec(t, c, "ALTER TABLE half ADD COLUMN x INT")
	if n := number(t, c, "CREATE TABLE half (id INT PRIMARY KEY)"); n != 1050 {
		t.Errorf("error %d", n)
	}
	exec(t, w.direct(1), "ALTER TABLE bank.half ADD COLUMN y INT")
	w.server.Refresh(context.Background())
	_, err = c.ExecContext(context.Background(), "DELETE FROM half")
	if n := numberOf(t, err); n != 17024 && n != 17021 {
		t.Errorf("%v", err)
	}
	exec(t, w.direct(1), "ALTER TABLE bank.half DROP COLUMN y")
	w.server.Refresh(context.Background())
	exec(t, c, "DROP TABLE half")
	if n := number(t, c, "DELETE FROM half"); n != 1146 {
		t.Errorf("error %d", n)
	}
	exec(t, c, "DROP DATABASE bank")
}

func TestPoolWaitIsNamed(t *testing.T) {
	o := twoMariaDB()
	o.conns, o.wait = 2, 500*time.Millisecond
	w := newWorld(t, o)
	ids := w.bank()
	for range 2 {
		c := w.conn("bank")
		exec(t, c, "BEGIN")
		values(t, c, "SELECT * FROM account WHERE id="+fmt.Sprint(ids[0]))
	}
	c := w.conn("")
	_, err := c.ExecContext(context.Background(), fmt.Sprintf("UPDATE bank.account SET balance=1 WHERE id=%d", ids[0]))
	if numberOf(t, err) != 17031 || !strings.Contains(err.Error(), "limits.pool_wait") {
		t.Errorf("%v", err)
	}
}

func TestCatalogFollowsAShardThatWasDown(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	c := w.conn("bank")
	if err := w.servers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	if n := number(t, c, "UPDATE account SET balance=1"); n != 17030 && n != 17001 {
		t.Errorf("error %d", n)
	}
	time.Sleep(1500 * time.Millisecond)
	if err := w.servers[1].Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	exec(t, w.direct(1), "CREATE TABLE bank.late (id INT PRIMARY KEY)")
	deadline := time.Now().Add(8 * time.Second)
	for number(t, c, "INSERT INTO late VALUES (1)") != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the table is not seen")
		}
		time.Sleep(200 * time.Millisecond)
	}
}
