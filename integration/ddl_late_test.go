package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

const lateRows = "INSERT INTO d.t (id,v) VALUES (1,1),(2,2),(3,3),(4,4),(5,5),(6,6),(7,7),(8,8)"

// lateWorld has a table with rows on both shards, which is emptied while something happens to the statement: a part of
// it that was executed later would lose rows that came meanwhile.
func lateWorld(t *testing.T) *ddlWorld {
	t.Helper()
	w := newDDLWorld(t, launch.MariaDB1011, launch.MariaDB1011)
	mustRun(t, oneConn(t, w.proxies[0].dsnOf("")), "CREATE TABLE d.t (id INT PRIMARY KEY, v INT)", lateRows)
	return w
}

// filled waits until the statement was completed by others, and puts new rows into the table.
func (w *ddlWorld) filled(t *testing.T) {
	t.Helper()
	db := w.proxies[1].open("", "")
	defer db.Close()
	if _, err := poll(t.Context(), 90*time.Second+slack(), func(ctx context.Context) error { return w.settled(ctx, db) }); err != nil {
		t.Fatalf("%v\n%s", err, w.proxies[1].logTail(30))
	}
	for _, s := range w.shards {
		if n := s.mustNumber(t, "SELECT COUNT(*) FROM d.t"); n != 0 {
			t.Errorf("%s: %d rows are left", s.name, n)
		}
	}
	mustRun(t, oneConn(t, w.proxies[1].dsnOf("")), lateRows)
}

func (w *ddlWorld) stillFilled(t *testing.T) {
	t.Helper()
	all := int64(0)
	for _, s := range w.shards {
		all += s.mustNumber(t, "SELECT COUNT(*) FROM d.t")
	}
	if all != 8 {
		t.Errorf("%d of 8 rows are left", all)
	}
	mustRun(t, oneConn(t, w.proxies[0].dsnOf("")), "ALTER TABLE d.t ADD COLUMN w INT", "UPDATE d.t SET w=1 WHERE id=3")
}

// TestDefinitionOfAProxyThatSleepsIsTakenOver, and the proxy executes nothing of it when it goes on.
func TestDefinitionOfAProxyThatSleepsIsTakenOver(t *testing.T) {
	for _, shard := range []int{0, 1} {
		t.Run(fmt.Sprintf("behind the part of s%d", shard), func(t *testing.T) {
			w := lateWorld(t)
			one := w.proxies[0]
			asleep := w.shards[shard].relay.Arm(faultwire.Rule{Side: faultwire.After, From: faultwire.Session, Hook: one.pause, Then: faultwire.Forward,
				Match: func(c faultwire.Command) bool { return c.SQL == "TRUNCATE TABLE d.t" }})
			done := make(chan error, 1)
			c := oneConn(t, one.dsnOf(""))
			go func() {
				_, err := c.ExecContext(t.Context(), "TRUNCATE TABLE d.t")
				done <- err
			}()
			<-asleep.Done()
			w.filled(t)
			one.resume()
			t.Logf("the statement's own proxy says: %v", <-done)
			w.stillFilled(t)
		})
	}
}

// TestPartThatArrivesLateIsNotExecuted: its packet is under way while the connection is lost, and others complete the
// statement.
func TestPartThatArrivesLateIsNotExecuted(t *testing.T) {
	for _, shard := range []int{0, 1} {
		t.Run(fmt.Sprintf("at s%d", shard), func(t *testing.T) {
			w := lateWorld(t)
			late := w.shards[shard].relay.Arm(faultwire.Rule{Side: faultwire.Before, From: faultwire.Session, Sever: true, Hold: true, Then: faultwire.Forward,
				Match: func(c faultwire.Command) bool { return c.SQL == "TRUNCATE TABLE d.t" }})
			_, err := oneConn(t, w.proxies[0].dsnOf("")).ExecContext(t.Context(), "TRUNCATE TABLE d.t")
			t.Logf("the client is told: %v", err)
			w.filled(t)
			late.Release()
			<-late.Done()
			time.Sleep(time.Second)
			w.stillFilled(t)
		})
	}
}

// TestShardThatDiesWithinADefinition has executed it wholly or not at all.
func TestShardThatDiesWithinADefinition(t *testing.T) {
	for _, engine := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			w := newDDLWorld(t, engine, engine)
			c := oneConn(t, w.proxies[0].dsnOf(""))
			mustRun(t, c, "CREATE TABLE d.t (id INT PRIMARY KEY, v INT)", lateRows)
			s := w.shards[1]
			reader := oneConn(t, s.server.DSN())
			mustRun(t, reader, "BEGIN", "SELECT * FROM d.t") // the ALTER does its work and waits at its end
			done := make(chan error, 1)
			go func() {
				_, err := c.ExecContext(t.Context(), "ALTER TABLE d.t ADD COLUMN w INT NOT NULL DEFAULT 5, ALGORITHM=COPY")
				done <- err
			}()
			if _, err := poll(t.Context(), 20*time.Second+slack(), func(ctx context.Context) error {
				n, err := s.number(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'ALTER TABLE%' AND state LIKE 'Waiting for table metadata lock%'")
				if err == nil && n == 0 {
					err = fmt.Errorf("the statement does not run")
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			s.kill(t)
			t.Logf("the client is told: %v", <-done)
			for _, q := range []string{"ALTER TABLE d.t ADD COLUMN x INT", "CREATE TABLE d.u (id INT PRIMARY KEY)"} {
				if _, err := c.ExecContext(t.Context(), q); err == nil {
					t.Errorf("%s while a shard is down", q)
				}
			}
			s.restart(t)
			w.completed(t, definition{exists: true, executed: "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='d' AND TABLE_NAME='t' AND COLUMN_NAME='w'"}, "t", w.proxies[1])
		})
	}
}
