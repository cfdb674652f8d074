package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// TestMovedRowsSurviveTheProxysDeath kills the proxy at each command of an UPDATE that carries rows to another shard,
// and of an UPDATE with LIMIT: all rows are changed or none, each row is there once, where its key belongs.
func TestMovedRowsSurviveTheProxysDeath(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			c := newCluster(t, e, e)
			w := &moves{cluster: c, one: c.newProxy(t, "a", proxySettings{node: 1}), two: c.newProxy(t, "b", proxySettings{node: 2})}
			w.one.up()
			w.two.up()
			conn := oneConn(t, w.one.dsnOf(""))
			mustRun(t, conn, "CREATE DATABASE d", "CREATE TABLE d.m (k INT, n INT, v INT, PRIMARY KEY (k,n))")
			for _, q := range []string{"UPDATE d.m SET k=%d,v=1", "UPDATE d.m SET v=1 ORDER BY n DESC LIMIT 6"} {
				for s := range c.shards {
					hits := 0
					for nth := 1; w.dies(t, q, s, nth); nth++ {
						hits++
					}
					t.Logf("%s: killed at %d commands at %s", q, hits, c.shards[s].name)
					if hits < 2 {
						t.Errorf("killed at %d commands only", hits)
					}
				}
			}
		})
	}
}

type moves struct {
	*cluster
	one, two *proxyProcess
}

// dies kills the proxy at the nth command of a session at a shard; false: there were fewer.
func (w *moves) dies(t *testing.T, q string, at, nth int) bool {
	t.Helper()
	if !w.one.alive() {
		w.one.up()
	}
	c := oneConn(t, w.one.dsnOf(""))
	mustRun(t, c, "DELETE FROM d.m", "INSERT INTO d.m VALUES (1,1,0),(2,2,0),(3,3,0),(4,4,0),(5,5,0),(6,6,0),(7,7,0),(8,8,0)")
	if strings.Contains(q, "%d") {
		q = fmt.Sprintf(q, nth%2+1) // a key of each shard, or of one
	}
	side := faultwire.Before
	if nth%2 == 0 {
		side = faultwire.After
	}
	armed := w.shards[at].relay.Arm(faultwire.Rule{Nth: nth, Side: side, From: faultwire.Session, Hook: w.one.kill,
		Match: func(c faultwire.Command) bool { return c.SQL != "" && !strings.Contains(c.SQL, "catalog_") }})
	defer armed.Disarm()
	_, err := c.ExecContext(t.Context(), q)
	select {
	case <-armed.Done():
	case <-time.After(100 * time.Millisecond):
		if err != nil {
			t.Errorf("%s without a fault: %v", q, err)
		}
		return false
	}
	if _, err := poll(t.Context(), 60*time.Second+slack(), w.settled); err != nil {
		t.Fatal(err)
	}
	w.judge(t, q, nth, err)
	return true
}

// settled: no branch is left, and nobody holds a row.
func (w *moves) settled(ctx context.Context) error {
	time.Sleep(150 * time.Millisecond) // who asks for innodb_trx more often reads an old answer again and again
	for _, s := range w.shards {
		all, err := s.prepared(ctx)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			return fmt.Errorf("%s has %v", s.name, all)
		}
		n, err := s.number(ctx, "SELECT COUNT(*) FROM information_schema.innodb_trx")
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%s has %d transactions", s.name, n)
		}
	}
	return nil
}

// judge looks at all rows.
func (w *moves) judge(t *testing.T, q string, nth int, told error) {
	t.Helper()
	var ns []int64
	changed := 0
	for _, s := range w.shards {
		rows, err := s.db.QueryContext(t.Context(), "SELECT n,v FROM d.m")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var n int64
			var v int
			if err := rows.Scan(&n, &v); err != nil {
				t.Fatal(err)
			}
			ns, changed = append(ns, n), changed+v
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	slices.Sort(ns)
	all := 8
	if strings.Contains(q, "LIMIT") {
		all = 6
	}
	if want := []int64{1, 2, 3, 4, 5, 6, 7, 8}; !slices.Equal(ns, want) {
		t.Errorf("killed at command %d of %s: rows %v", nth, q, ns)
	}
	if changed != 0 && changed != all || told == nil && changed != all {
		t.Errorf("killed at command %d of %s (%v): %d rows changed", nth, q, told, changed)
	}
	c := oneConn(t, w.two.dsnOf(""))
	if lost, n := lostKeys(t, c, "d.m", "k"); lost > 0 || n != 8 {
		t.Errorf("killed at command %d of %s: %d of %d rows are not found by their key", nth, q, lost, n)
	}
}
