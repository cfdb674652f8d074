package proxy_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// shown is SHOW DDL's row of the latest statement that is not over, else of the latest.
type shown struct{ id, statement, state, shards, advice string }

func showDDL(t *testing.T, c queryer) []shown {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), "SHOW DDL")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []shown
	for rows.Next() {
		var s shown
		var schema, node, since, advice sql.NullString
		if err := rows.Scan(&s.id, &s.statement, &schema, &s.state, &s.shards, &node, &since, &advice); err != nil {
			t.Fatal(err)
		}
		s.advice = advice.String
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// open are the statements that are not over.
func openDDL(t *testing.T, c queryer) (open []shown) {
	t.Helper()
	for _, s := range showDDL(t, c) {
		if s.state == "open" || s.state == "stuck" {
			open = append(open, s)
		}
	}
	return open
}

// TestDefinitionRefusedByTheFirstShardChangesNothing, and leaves nothing to be done.
func TestDefinitionRefusedByTheFirstShardChangesNothing(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")
	exec(t, w.direct(1), "UPDATE bank.account SET note='x'")
	exec(t, w.direct(0), "UPDATE bank.account SET note='x' WHERE id<>?", ids[0])
	if n := number(t, c, "ALTER TABLE account MODIFY note VARCHAR(20) NOT NULL"); n == 0 || n >= 17000 {
		t.Errorf("error %d, want the server's", n)
	}
	exec(t, c, "UPDATE account SET balance=1")
	if n := number(t, c, "CREATE TABLE n (a INT, b VARCHAR(70000), PRIMARY KEY(a))"); n == 0 || n >= 17000 {
		t.Errorf("error %d, want the server's", n)
	}
	exec(t, c, "CREATE TABLE n (b INT PRIMARY KEY)") // another rule
	exec(t, w.direct(0), "CREATE TABLE bank.stray (id INT PRIMARY KEY)")
	if n := number(t, c, "CREATE TABLE stray (id INT PRIMARY KEY)"); n != 1050 {
		t.Errorf("error %d", n)
	}
	if open := openDDL(t, c); len(open) > 0 {
		t.Errorf("%+v", open)
	}
	all := showDDL(t, c)
	if all[0].state != "refused" || all[1].state != "done" || !strings.Contains(all[1].statement, "CREATE TABLE n (b") {
		t.Errorf("%+v", all)
	}
}

// TestDefinitionThatFitsOneShardOnly waits for a person, who repairs it in one of three ways.
func TestDefinitionThatFitsOneShardOnly(t *testing.T) {
	const alter = "ALTER TABLE account MODIFY note VARCHAR(20) NOT NULL"
	for name, repair := range map[string]func(*testing.T, *world, *sql.Conn, string){
		"retry": func(t *testing.T, w *world, c *sql.Conn, id string) {
			if err := w.server.RetryDefinition(t.Context(), id); err == nil {
				t.Error("it can be executed although the cause is still there")
			}
			if open := openDDL(t, c); len(open) != 1 || open[0].state != "stuck" {
				t.Errorf("%+v", open)
			}
			exec(t, w.direct(1), "UPDATE bank.account SET note=''")
			if err := w.server.RetryDefinition(t.Context(), id); err != nil {
				t.Error(err)
			}
		},
		"retry after it was done by hand": func(t *testing.T, w *world, _ *sql.Conn, id string) {
			exec(t, w.direct(1), "UPDATE bank.account SET note=''")
			exec(t, w.direct(1), "ALTER TABLE bank.account MODIFY note VARCHAR(20) NOT NULL")
			if err := w.server.RetryDefinition(t.Context(), id); err != nil {
				t.Error(err)
			}
		},
		"forget": func(t *testing.T, w *world, _ *sql.Conn, id string) {
			exec(t, w.direct(0), "ALTER TABLE bank.account MODIFY note VARCHAR(20)")
			if err := w.server.ForgetDefinition(t.Context(), id); err != nil {
				t.Error(err)
			}
		},
		"drop": func(t *testing.T, w *world, c *sql.Conn, _ string) {
			exec(t, c, "DROP TABLE IF EXISTS account")
			exec(t, c, "CREATE TABLE account (id INT PRIMARY KEY, balance INT, note VARCHAR(20))")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, twoMariaDB())
			ids := w.bank()
			c := w.conn("bank")
			exec(t, w.direct(0), "UPDATE bank.account SET note=''")
			_, err := c.ExecContext(t.Context(), alter)
			if numberOf(t, err) != 17022 || !strings.Contains(err.Error(), "s0: done") || !strings.Contains(err.Error(), "SHOW DDL") {
				t.Errorf("%v", err)
			}
			for _, q := range []string{"UPDATE account SET balance=1 WHERE id=%d", "SELECT balance FROM account WHERE id=%d", "ALTER TABLE account ADD COLUMN x%d INT"} {
				if n := number(t, c, fmt.Sprintf(q, ids[0])); n != 17024 {
					t.Errorf("%s: error %d", q, n)
				}
			}
			exec(t, c, "CREATE TABLE other (id INT PRIMARY KEY)")
			open := openDDL(t, c)
			if len(open) != 1 || open[0].state != "stuck" || open[0].statement != alter || !strings.Contains(open[0].shards, "s1: failed: ") ||
				!strings.Contains(open[0].advice, "DDL RETRY '"+open[0].id+"'") {
				t.Fatalf("%+v", open)
			}
			repair(t, w, c, open[0].id)
			if open := openDDL(t, c); len(open) > 0 {
				t.Errorf("%+v", open)
			}
			exec(t, c, "REPLACE INTO account VALUES (1,1,'a'),(2,2,'b'),(3,3,'c')")
		})
	}
}

// TestDefinitionCommitsBefore the statement, also when it fails, as on a server.
func TestDefinitionCommitsBefore(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	for i, q := range []string{"CREATE TABLE account (id INT PRIMARY KEY)", "ALTER TABLE account ADD COLUMN id INT", "CREATE TABLE t (id INT PRIMARY KEY)", "DROP TABLE t"} {
		c := w.conn("bank")
		exec(t, c, "BEGIN")
		exec(t, c, "UPDATE account SET balance=? WHERE id=?", i, ids[0])
		exec(t, c, "UPDATE account SET balance=? WHERE id=?", i, ids[1])
		_, err := c.ExecContext(context.Background(), q)
		if failed := err != nil; failed != (i < 2) {
			t.Errorf("%s: %v", q, err)
		}
		exec(t, c, "ROLLBACK")
		if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != i || b != i {
			t.Errorf("%s: %d %d", q, a, b)
		}
	}
}

// TestTableWithDifferentDefinitionsIsNotUsable, whatever differs.
func TestTableWithDifferentDefinitionsIsNotUsable(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	c := w.conn("bank")
	for i, change := range []string{"ADD COLUMN x INT", "MODIFY balance BIGINT NOT NULL", "MODIFY note VARCHAR(21)", "MODIFY note VARCHAR(20) COLLATE utf8mb4_bin",
		"ALTER balance SET DEFAULT 5", "MODIFY note VARCHAR(20) AFTER id", "ADD INDEX (balance)", "ADD UNIQUE (note, id)", "ADD FULLTEXT INDEX (note)"} {
		table := fmt.Sprintf("t%d", i)
		exec(t, c, "CREATE TABLE "+table+" (id INT PRIMARY KEY, balance INT NOT NULL, note VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci)")
		exec(t, c, "INSERT INTO "+table+" VALUES (1,1,''),(2,2,'')")
		exec(t, w.direct(1), "ALTER TABLE bank."+table+" "+change)
		w.server.Refresh(t.Context())
		_, err := c.ExecContext(t.Context(), "UPDATE "+table+" SET balance=1 WHERE id=1")
		if numberOf(t, err) != 17024 || !strings.Contains(err.Error(), "differs between shard s0 and shard s1") {
			t.Errorf("%s: %v", change, err)
		}
	}
}

// TestHalfATableIsCompleted by what its error says.
func TestHalfATableIsCompleted(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	c := w.conn("bank")
	exec(t, c, "CREATE TABLE half (id INT PRIMARY KEY)")
	exec(t, w.direct(1), "DROP TABLE bank.half")
	w.server.Refresh(t.Context())
	if n := number(t, c, "INSERT INTO half VALUES (1)"); n != 17024 {
		t.Errorf("error %d", n)
	}
	if n := number(t, c, "CREATE TABLE half (id INT PRIMARY KEY)"); n != 17024 {
		t.Errorf("error %d", n)
	}
	exec(t, c, "CREATE TABLE IF NOT EXISTS half (id INT PRIMARY KEY)")
	exec(t, c, "INSERT INTO half VALUES (1),(2),(3),(4)")
	exec(t, w.direct(0), "DROP TABLE bank.half")
	w.server.Refresh(t.Context())
	exec(t, c, "DROP TABLE IF EXISTS half")
	if n := number(t, c, "DROP TABLE half"); n != 1051 {
		t.Errorf("error %d", n)
	}
}
