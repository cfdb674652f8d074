package proxy_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"xaproxy/internal/launch"
)

// pairs runs a test over two servers of each family.
func pairs(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for name, engines := range map[string][]launch.Engine{
		"MySQL": {launch.MySQL, launch.MySQL}, "MariaDB": {launch.MariaDB1011, launch.MariaDB1011},
	} {
		t.Run(name, func(t *testing.T) { test(t, newWorld(t, worldOptions{engines: engines})) })
	}
}

const createClocked = "CREATE TABLE d.c (id INT PRIMARY KEY, v INT, e DATETIME(6), made DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6)," +
	" changed TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)) ENGINE=InnoDB"

// times are the different values of a column, over all shards.
func (w *world) times(column string) []string {
	w.t.Helper()
	var all []string
	for i := range w.servers {
		rows := values(w.t, w.direct(i), "SELECT DISTINCT "+column+" FROM d.c")
		if len(rows) == 0 {
			w.t.Fatalf("no rows at shard %d", i)
		}
		all = append(all, rows...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestPartsOfAStatementHaveOneTime(t *testing.T) {
	pairs(t, func(t *testing.T, w *world) {
		db := w.conn("")
		exec(t, db, "CREATE DATABASE d")
		exec(t, db, createClocked)
		one := func(what, column string) string {
			t.Helper()
			got := w.times(column)
			if len(got) != 1 || strings.HasSuffix(got[0], ".000000") {
				t.Fatalf("%s: %s is %q", what, column, got)
			}
			return got[0]
		}
		exec(t, db, "INSERT INTO d.c (id,e) VALUES (1,NOW(6)),(2,NOW(6)),(3,NOW(6)),(4,NOW(6)),(5,NOW(6)),(6,NOW(6))")
		made := one("default", "made")
		if e := one("function", "e"); e != made {
			t.Errorf("NOW(6) is %s, the default %s", e, made)
		}
		exec(t, db, "UPDATE d.c SET v=1")
		first := one("on update", "changed")
		if one("on update", "made") != made || first <= made {
			t.Errorf("made %s, changed %s", made, first)
		}
		exec(t, db, "UPDATE d.c SET v=v+?, e=CURRENT_TIMESTAMP(6)", 1)
		second := one("prepared", "e")
		if one("prepared", "changed") != second || second <= first {
			t.Errorf("changed %s, then %s", first, second)
		}
		exec(t, db, "INSERT INTO d.c (id) VALUES (?),(?),(?),(?),(?),(?) ON DUPLICATE KEY UPDATE v=?", 1, 2, 3, 4, 5, 6, 9)
		third := one("on duplicate key", "changed")
		exec(t, db, "BEGIN")
		exec(t, db, "UPDATE d.c SET v=10")
		fourth := values(t, db, "SELECT DISTINCT changed FROM d.c WHERE id=1")[0]
		exec(t, db, "UPDATE d.c SET v=11")
		exec(t, db, "COMMIT")
		if fifth := one("within a transaction", "changed"); fourth <= third || fifth <= fourth {
			t.Errorf("statements of a transaction at %s, %s, %s", third, fourth, fifth)
		}
		exec(t, db, "REPLACE INTO d.c (id) VALUES (1),(2),(3),(4),(5),(6)")
		if one("replaced", "made") == made {
			t.Error("replaced rows have the old time")
		}
		rows := values(t, db, "SELECT id FROM d.c WHERE made<NOW(6) AND made>NOW(6)-INTERVAL 1 HOUR")
		if len(rows) != 6 {
			t.Errorf("%q", rows)
		}
		if r, err := exec(t, db, "DELETE FROM d.c WHERE made<NOW(6)").RowsAffected(); r != 6 || err != nil {
			t.Error(r, err)
		}
	})
}

func TestClocksGoOnAfterwards(t *testing.T) {
	pairs(t, func(t *testing.T, w *world) {
		db := w.conn("")
		exec(t, db, "CREATE DATABASE d")
		exec(t, db, createClocked)
		runs := func(after string) {
			t.Helper()
			for _, in := range []string{"SELECT 1", "BEGIN"} {
				exec(t, db, in)
				for _, id := range []string{"1", "2", "3", "4", "5", "6"} {
					// One shard, whichever it is.
					q := "SELECT NOW(6)>=SYSDATE(6)-INTERVAL 900000 MICROSECOND FROM d.c WHERE id=" + id
					if got := values(t, db, q); len(got) == 1 && got[0] != "1" {
						t.Errorf("after %s: the clock of the session stands still", after)
					}
				}
				exec(t, db, "ROLLBACK")
			}
		}
		exec(t, db, "INSERT INTO d.c (id) VALUES (1),(2),(3),(4),(5),(6)")
		exec(t, db, "DO SLEEP(1)")
		runs("an INSERT")
		for _, q := range []string{"INSERT INTO d.c (id) VALUES (7),(8),(9),(10),(1),(2)", "INSERT INTO d.c (id,v) VALUES (7,'x'),(8,'x'),(9,'x')"} {
			for _, text := range []bool{true, false} {
				var err error
				if text {
					_, err = db.ExecContext(context.Background(), q)
				} else {
					_, err = db.ExecContext(context.Background(), q+" ON DUPLICATE KEY UPDATE id=id+?", 1)
				}
				if text && err == nil {
					t.Fatalf("%s succeeded", q)
				}
				exec(t, db, "DO SLEEP(1)")
				runs("a statement that failed")
			}
		}
		if strings.Contains(w.log.String(), "clock") {
			t.Error("a clock was not let go")
		}
	})
}

func TestWarningsBesideTheClock(t *testing.T) {
	pairs(t, func(t *testing.T, w *world) {
		db := w.conn("")
		exec(t, db, "CREATE DATABASE d")
		exec(t, db, createClocked)
		exec(t, db, "INSERT INTO d.c (id) VALUES (2),(5)")
		exec(t, db, "INSERT IGNORE INTO d.c (id,v) VALUES (1,1),(2,1),(3,'x'),(4,1),(5,1),(6,'y')")
		got := values(t, db, "SHOW WARNINGS")
		slices.Sort(got)
		if len(got) != 4 || !strings.Contains(got[0], "1062,Duplicate entry '2'") || !strings.Contains(got[1], "1062,Duplicate entry '5'") ||
			!strings.HasSuffix(got[2], "at row 3") || !strings.HasSuffix(got[3], "at row 6") {
			t.Errorf("%q", got)
		}
	})
}
