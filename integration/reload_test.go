package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// rewrite changes a proxy's configuration file.
func (p *proxyProcess) rewrite(t *testing.T, old, now string) {
	t.Helper()
	b, err := os.ReadFile(p.config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		t.Fatalf("%q is not in\n%s", old, b)
	}
	if err := os.WriteFile(p.config, []byte(strings.Replace(string(b), old, now, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload says RELOAD and returns its rows, "key old new state" each.
func (p *proxyProcess) reload() ([]string, error) {
	rows, err := p.admin().Query("RELOAD")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var key, old, now, state string
		if err := rows.Scan(&key, &old, &now, &state); err != nil {
			return nil, err
		}
		all = append(all, key+"|"+old+"|"+now+"|"+state)
	}
	return all, rows.Err()
}

// TestReload: a changed file is taken as a whole or not at all, while clients work.
func TestReload(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	p := c.newProxy(t, "p", proxySettings{node: 1, more: "limits: { statement_time: 0s, session_statements: 100 }\n"})
	p.up()
	bank := newBank(t, c, p)
	held, end, err := dial(t.Context(), "app:"+appPassword+"@tcp("+p.data+")/")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if err := runAll(t.Context(), held, "BEGIN", fmt.Sprintf("UPDATE bank.account SET balance=balance-1 WHERE id=%d", bank.ids[0])); err != nil {
		t.Fatal(err)
	}
	said := func(want ...string) {
		t.Helper()
		got, err := p.reload()
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got %q %v\nwant %q", got, err, want)
		}
	}
	refused := func(parts ...string) {
		t.Helper()
		_, err := p.reload()
		for _, part := range append(parts, "nothing has changed") {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%v, want %q in it", err, part)
			}
		}
	}
	said()
	p.rewrite(t, "users:\n", "users:\n  new: { password: fresh }\n")
	p.rewrite(t, "statement_time: 0s", "statement_time: 700ms")
	p.rewrite(t, "grace: 1s", "grace: 2s")
	said("limits.statement_time|0s|700ms|taken", "recovery.grace|1s|2s|needs a restart", "users.new.health||false|taken",
		"users.new.password||(hidden)|taken")
	if err := openAt(t, "new:fresh@tcp("+p.data+")/").Ping(); err != nil {
		t.Errorf("a new user: %v", err)
	}
	if _, err := openAt(t, "new:fresh@tcp("+p.data+")/").Exec("SELECT SLEEP(5)"); errorNumber(err) != 17034 {
		t.Errorf("a new limit: %v", err)
	}
	// A broken file, and one that would move rows, change nothing; what else is in them is not taken either.
	p.rewrite(t, "password: fresh", "password: other")
	p.rewrite(t, "session_statements: 100", "session_statement: 100")
	refused("xaproxy.yaml:", `unknown field "session_statement"`)
	p.rewrite(t, "session_statement: 100", "session_statements: 100")
	p.rewrite(t, "account: { key: id }", "account: { key: id, function: mod }")
	refused("bank.account")
	if err := openAt(t, "new:fresh@tcp("+p.data+")/").Ping(); err != nil {
		t.Errorf("the old password after refused files: %v", err)
	}
	// The rule of a table that does not exist yet.
	p.rewrite(t, "account: { key: id, function: mod }", "account: { key: id }\n  later: { shard: s1 }")
	p.signal(syscall.SIGHUP)
	if _, err := poll(t.Context(), 5*time.Second+slack(), func(context.Context) error {
		return openAt(t, "new:other@tcp("+p.data+")/").Ping()
	}); err != nil {
		t.Errorf("SIGHUP: %v\n%s", err, p.logTail(5))
	}
	db := p.open("bank", "")
	defer db.Close()
	for _, q := range []string{"CREATE TABLE later (n INT PRIMARY KEY)", "INSERT INTO later VALUES (1),(2),(3)"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(q, err)
		}
	}
	if n := c.shards[1].mustNumber(t, "SELECT COUNT(*) FROM bank.later"); n != 3 {
		t.Errorf("%d rows at s1", n)
	}
	// A user that is gone has no login any more; with a shard that does not answer nothing is taken.
	p.rewrite(t, "  new: { password: other }\n", "")
	p.rewrite(t, "shards:\n", "shards:\n  s9: { dsn: \"u:p@tcp(127.0.0.1:1)/\" }\n")
	refused("shards.s9", "does not answer")
	if err := openAt(t, "new:other@tcp("+p.data+")/").Ping(); err != nil {
		t.Errorf("a user of a configuration that was refused: %v", err)
	}
	p.rewrite(t, "  s9: { dsn: \"u:p@tcp(127.0.0.1:1)/\" }\n", "")
	said("recovery.grace|1s|2s|needs a restart", "users.new.health|false||taken", "users.new.password|(hidden)||taken")
	if err := openAt(t, "new:other@tcp("+p.data+")/").Ping(); errorNumber(err) != 1045 {
		t.Errorf("a user who is gone: %v", err)
	}
	if err := runAll(t.Context(), held, fmt.Sprintf("UPDATE bank.account SET balance=balance+1 WHERE id=%d", bank.ids[1]), "COMMIT"); err != nil {
		t.Errorf("the transaction that was open all the time: %v", err)
	}
	if err := errors.Join(bank.agreed(t.Context()), p.stop()); err != nil {
		t.Error(err)
	}
}

// TestReloadAddsAShard: a new empty server becomes a shard of proxies that run. Sessions that were there before use it
// from their next transaction on, and what is prepared there is recovered; a table whose rows would have to move stops it.
func TestReloadAddsAShard(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL, launch.MariaDB1011)
	two := map[string]string{"s0": c.shards[0].dsn(), "s1": c.shards[1].dsn()}
	p := c.newProxy(t, "p", proxySettings{node: 1, shards: two})
	q := c.newProxy(t, "q", proxySettings{node: 2, shards: two})
	p.up()
	q.up()
	all := c.shards
	c.shards = all[:2]
	bank := newBank(t, c, p)
	verify := load(t, "money", 4, p, q)
	added := all[2]
	open := func() (*sql.Conn, *sql.Stmt) {
		conn, end, err := dial(t.Context(), "app:"+appPassword+"@tcp("+p.data+")/")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
		stmt, err := conn.PrepareContext(t.Context(), "UPDATE bank.account SET balance=balance+? WHERE id=?")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stmt.Close() })
		return conn, stmt
	}
	held, _ := open()
	idle, stmt := open()
	must := func(conn *sql.Conn, statements ...string) {
		t.Helper()
		if err := runAll(t.Context(), conn, statements...); err != nil {
			t.Fatal(err)
		}
	}
	must(held, "BEGIN", fmt.Sprintf("UPDATE bank.account SET balance=balance-1 WHERE id=%d", bank.ids[0]))

	for _, each := range []*proxyProcess{p, q} {
		each.rewrite(t, "  s1: {", fmt.Sprintf("  s2: { dsn: %q }\n  s1: {", added.dsn()))
	}
	if _, err := p.reload(); err == nil || !strings.Contains(err.Error(), "restore the configuration") || !strings.Contains(err.Error(), "account") {
		t.Fatalf("rows would have to move: %v", err)
	}
	if n := shardsShown(t, p); n != 2 {
		t.Errorf("%d shards after a reload that was refused", n)
	}
	for _, each := range []*proxyProcess{p, q} {
		each.rewrite(t, "account: { key: id }", "account: { key: id, shards: [s0, s1] }\n  wide: { key: n }\n  there: { shard: s2 }")
	}
	rows, err := p.reload()
	if err != nil || !slices.Contains(rows, "shards.s2.dsn||(hidden)|taken") {
		t.Fatalf("%q %v\n%s", rows, err, p.logTail(20))
	}
	if n := shardsShown(t, p); n != 3 {
		t.Errorf("%d shards shown", n)
	}
	must(idle, "CREATE TABLE bank.wide (n INT PRIMARY KEY)", "CREATE TABLE bank.there (n INT PRIMARY KEY, v INT)")
	must(idle, "BEGIN", "INSERT INTO bank.there VALUES (1,1)")
	if _, err := stmt.ExecContext(t.Context(), 1, bank.ids[1]); err != nil {
		t.Fatal(err)
	}
	must(idle, "COMMIT")
	for n := range 60 {
		must(idle, fmt.Sprintf("INSERT INTO bank.wide VALUES (%d)", n))
	}
	for _, s := range all {
		if n := s.mustNumber(t, "SELECT COUNT(*) FROM bank.wide"); n < 5 {
			t.Errorf("%d of 60 rows at %s", n, s.name)
		}
	}
	must(held, "UPDATE bank.account SET balance=balance+0 WHERE id="+fmt.Sprint(bank.ids[1]), "COMMIT")
	if err := bank.agreed(t.Context()); err != nil {
		t.Error(err)
	}
	must(held, "SELECT * FROM bank.there")

	// Killed with a branch prepared at the new shard: the other proxy, reloaded later, finishes it.
	if _, err := q.reload(); err != nil {
		t.Fatal(err)
	}
	c.shards = all
	dead := added.relay.Arm(faultwire.Rule{Verb: faultwire.Prepare, Side: faultwire.After, From: faultwire.Session, Hook: p.kill})
	if err := runAll(t.Context(), idle, "BEGIN", fmt.Sprintf("UPDATE bank.account SET balance=balance WHERE id=%d", bank.ids[0]), "INSERT INTO bank.there VALUES (2,2)", "COMMIT"); err == nil {
		t.Error("COMMIT of a proxy that was killed")
	}
	<-dead.Done()
	if _, err := poll(t.Context(), limit+slack(), c.nothingPrepared); err != nil {
		t.Errorf("%v\n%s", err, q.logTail(20))
	}
	p.up()
	if err := bank.works(t.Context(), p, 0, 5*time.Second+slack()); err != nil {
		t.Error(err)
	}
	verify()
	if err := errors.Join(p.stop(), q.stop()); err != nil {
		t.Error(err)
	}
}

func shardsShown(t *testing.T, p *proxyProcess) int {
	t.Helper()
	rows, err := p.admin().Query("SHOW SHARDS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	return n
}
