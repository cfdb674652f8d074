package proxy_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// onePerShard is a world where a session can hold a shard's only connection.
func onePerShard(t *testing.T, wait time.Duration) *world {
	t.Helper()
	o := twoMariaDB()
	o.conns, o.wait = 1, wait
	return newWorld(t, o)
}

// TestCrossingTransactionsDoNotWaitForEachOther: each holds the connection that the other wants. One is told so within
// limits.pool_wait and rolled back, the other commits.
func TestCrossingTransactionsDoNotWaitForEachOther(t *testing.T) {
	const wait = 4 * time.Second
	w := onePerShard(t, wait)
	ids := w.bank()
	for round := range 3 {
		sessions := []*sql.Conn{w.conn("bank"), w.conn("bank")}
		for i, c := range sessions {
			exec(t, c, "BEGIN")
			exec(t, c, "UPDATE account SET balance=? WHERE id=?", 1000*(round+1)+i, ids[i])
		}
		errs := make([]error, 2)
		var wg sync.WaitGroup
		began := time.Now()
		for i, c := range sessions {
			wg.Go(func() {
				if _, errs[i] = c.ExecContext(t.Context(), fmt.Sprintf("UPDATE account SET balance=%d WHERE id=%d", 1000*(round+1)+i, ids[1-i])); errs[i] == nil {
					_, errs[i] = c.ExecContext(t.Context(), "COMMIT")
				}
			})
		}
		wg.Wait()
		if d := time.Since(began); d > 2*wait {
			t.Errorf("they waited %s", d)
		}
		loser := slices.IndexFunc(errs, func(err error) bool { return err != nil })
		if loser < 0 || errs[1-loser] != nil || numberOf(t, errs[loser]) != 17031 {
			t.Fatalf("%v", errs)
		}
		for _, part := range []string{"all 1 in use", "the oldest for", "more waiting", "limits.pool_wait", "limits.shard_connections"} {
			if !strings.Contains(errs[loser].Error(), part) {
				t.Errorf("%v does not say %q", errs[loser], part)
			}
		}
		won := 1000*(round+1) + 1 - loser
		if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != won || b != won {
			t.Errorf("%d %d, want %d", a, b, won)
		}
		for _, c := range sessions {
			c.Close()
		}
	}
}

// TestOwnQuestionsDoNotNeedAClientsConnection: a transaction that holds the last one can still be asked for weights, and
// definitions are still read.
func TestOwnQuestionsDoNotNeedAClientsConnection(t *testing.T) {
	w := onePerShard(t, time.Minute)
	ids := w.bank()
	c := w.conn("bank")
	exec(t, c, "CREATE TABLE names (name VARCHAR(20) PRIMARY KEY, a INT)")
	exec(t, c, "CREATE TABLE other (id INT PRIMARY KEY)")
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0])
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[1])
	began := time.Now()
	exec(t, c, "INSERT INTO names VALUES ('Ada',1)")
	exec(t, c, "SET NAMES latin1")
	exec(t, c, "USE bank")
	w.server.Refresh(t.Context())
	exec(t, c, "UPDATE account SET balance=2 WHERE id=?", ids[0])
	if got := values(t, c, "SHOW DDL"); len(got) == 0 {
		t.Error("SHOW DDL is empty")
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("it waited %s", d)
	}
	exec(t, c, "COMMIT")
}
