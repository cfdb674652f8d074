package proxy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"xaproxy/proxy/route"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// TestWarningsOfADefinitionAreTold: the proxy's own statements around it must not replace them.
func TestWarningsOfADefinitionAreTold(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	c := w.conn("bank")
	exec(t, c, "DROP TABLE IF EXISTS nowhere")
	var level, text string
	var number int
	if err := c.QueryRowContext(context.Background(), "SHOW WARNINGS").Scan(&level, &number, &text); err != nil || number != 1051 {
		t.Errorf("%s %d %q %v", level, number, text, err)
	}
}

// TestMemberThatSaysNothingIsForgotten: it crashed, and nobody else removes its row.
func TestMemberThatSaysNothingIsForgotten(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	c := w.conn("bank")
	exec(t, w.direct(1), "INSERT INTO xaproxy.catalog_member (token,node_id,beat,seen,drained) VALUES ('gone',7,1,'',0)")
	began := time.Now()
	exec(t, c, "CREATE TABLE t (id INT PRIMARY KEY)")
	if d := time.Since(began); d < 4*time.Second || d > 9*time.Second {
		t.Errorf("waited %s", d)
	}
	var rows int
	if err := w.direct(1).QueryRow("SELECT COUNT(*) FROM xaproxy.catalog_member").Scan(&rows); err != nil || rows > 1 {
		t.Errorf("%d members, %v", rows, err)
	}
	began = time.Now()
	exec(t, c, "ALTER TABLE t ADD COLUMN v INT")
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("the next one waited %s", d)
	}
}

// TestDefinitionsOfManySessionsRunOneAfterTheOther, while others use the tables.
func TestDefinitionsOfManySessionsRunOneAfterTheOther(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	var wg sync.WaitGroup
	for i := range 4 {
		c := w.conn("bank")
		wg.Go(func() {
			for j := range 4 {
				for _, q := range []string{"CREATE TABLE t%d_%d (id INT PRIMARY KEY, v INT)", "INSERT INTO t%d_%d VALUES (1,1),(2,2),(3,3)",
					"ALTER TABLE t%d_%d MODIFY v INT FIRST", "UPDATE t%d_%d SET v=5 WHERE id=3", "DROP TABLE t%d_%d"} {
					if _, err := c.ExecContext(context.Background(), fmt.Sprintf(q, i, j)); err != nil {
						t.Errorf("%s: %v", q, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestFencedChangeRunsNoMorePart: whoever took the owner for gone must not be surprised by it.
func TestFencedChangeRunsNoMorePart(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ctx := context.Background()
	x, err := xamysql.Open(xamysql.Options{DSN: w.servers[0].DSN(), Number: xa.ShardID(0), Name: "s0", Cluster: cluster, Node: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if err := x.StoreChange(ctx, xamysql.Change{ID: "c", Runner: "a", Tables: `[{"Schema":"no","Name":"table"}]`}); err != nil {
		t.Fatal(err)
	}
	enter, allowed, leave := x.PartFence("c", "a")
	part, err := w.direct(0).Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	ask := func(q string) (n int) {
		t.Helper()
		if err := part.QueryRowContext(ctx, q).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if ask(enter) != 1 || ask(allowed) != 1 {
		t.Error("a part may not run")
	}
	if err := x.TakeChange(ctx, xamysql.Change{ID: "c", Runner: "b"}, false); err == nil || !strings.Contains(err.Error(), xamysql.ErrDefinitionRuns.Error()) {
		t.Errorf("fenced while a part runs: %v", err)
	}
	ask(leave)
	if err := x.TakeChange(ctx, xamysql.Change{ID: "c", Runner: "b"}, false); err != nil {
		t.Error(err)
	}
	if ask(enter) != 1 || ask(allowed) != 0 {
		t.Error("a part may run after the fence")
	}
	release, err := x.HoldDefinitions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.HoldDefinitions(ctx); err == nil {
		t.Error("two hold the right")
	}
	release()
	ask(leave)
}

// TestShardThatHasNotToldOfAChange: what it has is not known, which is neither a difference nor nothing.
func TestShardThatHasNotToldOfAChange(t *testing.T) {
	o := twoMariaDB()
	one := route.Shard(1)
	o.tables = map[string]route.Placement{"lone": {Shard: &one}}
	w := newWorld(t, o)
	ids := w.bank()
	c := w.conn("bank")
	exec(t, c, "CREATE TABLE lone (id INT PRIMARY KEY)")
	for i := range w.servers {
		exec(t, w.direct(i), `INSERT INTO xaproxy.catalog_change (id,node_id,tables) VALUES ('gone',3,'[{"Schema":"bank","Name":"account"},{"Schema":"bank","Name":"lone"}]')`)
	}
	time.Sleep(time.Second)
	if err := w.servers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	exec(t, w.direct(0), "DELETE FROM xaproxy.catalog_change")
	for _, q := range []string{fmt.Sprintf("UPDATE account SET balance=1 WHERE id=%d", ids[0]), "SELECT * FROM lone"} {
		_, err := c.ExecContext(t.Context(), q)
		if n := numberOf(t, err); n != 17025 {
			t.Errorf("%s: %v", q, err)
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(context.Background(), fmt.Sprintf("UPDATE account SET balance=1 WHERE id=%d", ids[0]))
		done <- err
	}()
	time.Sleep(500 * time.Millisecond)
	if err := w.servers[1].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	exec(t, c, "INSERT INTO lone VALUES (1)")
}
