package proxy_test

import (
	"context"
	"database/sql"
	"testing"

	"xaproxy/internal/launch"
)

func TestTransfer(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			w := newWorld(t, worldOptions{engines: []launch.Engine{e, e}})
			ids := w.bank()
			db := w.open("bank")
			transfer(t, db, ids, true)
			if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 90 || b != 110 {
				t.Fatalf("after commit: %d and %d", a, b)
			}
			transfer(t, db, ids, false)
			if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 90 || b != 110 {
				t.Fatalf("after rollback: %d and %d", a, b)
			}
			prepared := w.open("bank?interpolateParams=false")
			transfer(t, prepared, ids, true)
			if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 80 || b != 120 {
				t.Fatalf("after prepared commit: %d and %d", a, b)
			}
			if got := values(t, db, "SELECT id,balance FROM account WHERE id=?", ids[0]); len(got) != 1 {
				t.Fatalf("%q", got)
			}
			if got := values(t, db, "SELECT id FROM account"); len(got) != 20 {
				t.Fatalf("concatenation has %d rows", len(got))
			}
		})
	}
}

func transfer(t *testing.T, db *sql.DB, ids []int, commit bool) {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "UPDATE account SET balance=balance-10 WHERE id=?", ids[0])
	exec(t, tx, "UPDATE account SET balance=balance+10 WHERE id=?", ids[1])
	end := tx.Rollback
	if commit {
		end = tx.Commit
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
}
