package integration

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"context"

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
	// A user that is gone has no login any more; a shard more needs a restart, with tables nothing is taken.
	p.rewrite(t, "  new: { password: other }\n", "")
	p.rewrite(t, "shards:\n", "shards:\n  s9: { dsn: \"u:p@tcp(127.0.0.1:1)/\" }\n")
	said("recovery.grace|1s|2s|needs a restart", "shards.s9.dsn||(hidden)|needs a restart", "users.new.health|false||taken", "users.new.password|(hidden)||taken")
	if err := openAt(t, "new:other@tcp("+p.data+")/").Ping(); errorNumber(err) != 1045 {
		t.Errorf("a user who is gone: %v", err)
	}
	p.rewrite(t, "later: { shard: s1 }", "later: { shard: s1 }\n  last: { shard: s9 }")
	refused("shards.s9", "restart")
	if err := runAll(t.Context(), held, fmt.Sprintf("UPDATE bank.account SET balance=balance+1 WHERE id=%d", bank.ids[1]), "COMMIT"); err != nil {
		t.Errorf("the transaction that was open all the time: %v", err)
	}
	if err := errors.Join(bank.agreed(t.Context()), p.stop()); err != nil {
		t.Error(err)
	}
}
