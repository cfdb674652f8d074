package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch"
)

// numbered is an INSERT of some rows that was acknowledged with an insert id.
type numbered struct {
	table      string
	worker, no int // of the first row
	rows       int
	id         int64
}

// numbering is clients that insert rows without ids through several proxies.
type numbering struct {
	t       *testing.T
	proxies []*proxyProcess

	mu       sync.Mutex
	told     []numbered
	failures map[uint16]int
}

// TestGeneratedIDsSurviveKills inserts rows through two proxies that are killed again and again, and so are the shards. The
// id is the sharding key of one table, and stands beside it in the other, where no server would notice that two rows have one.
func TestGeneratedIDsSurviveKills(t *testing.T) {
	for _, engines := range [][]launch.Engine{{launch.MariaDB1011, launch.MySQL}, {launch.MySQL, launch.MariaDB118}} {
		t.Run(string(engines[0]), func(t *testing.T) {
			c := newCluster(t, engines...)
			n := &numbering{t: t, failures: map[uint16]int{}}
			for i := range 2 {
				p := c.newProxy(t, fmt.Sprintf("p%d", i), proxySettings{node: i + 1, more: "auto_increment: { block: 20 }\n"})
				p.up()
				n.proxies = append(n.proxies, p)
			}
			db := n.proxies[0].open("", "")
			for _, q := range []string{"CREATE DATABASE ids",
				"CREATE TABLE ids.id_key (id BIGINT AUTO_INCREMENT PRIMARY KEY, worker INT, no INT)",
				"CREATE TABLE ids.id_beside (worker INT, id INT AUTO_INCREMENT, no INT, PRIMARY KEY (worker, id), KEY (id))"} {
				if _, err := db.ExecContext(t.Context(), q); err != nil {
					t.Fatalf("%s: %v", q, err)
				}
			}
			_ = db.Close()
			lasts := 12 * time.Second
			if testing.Short() {
				lasts /= 2
			}
			n.run(c, lasts)
			n.settle(c)
			n.judge(c)
		})
	}
}

// run lets clients insert while everything is killed in turn.
func (n *numbering) run(c *cluster, lasts time.Duration) {
	ctx, cancel := context.WithTimeout(n.t.Context(), lasts)
	defer cancel()
	var wg sync.WaitGroup
	for worker := range 6 {
		wg.Go(func() { n.insert(ctx, worker) })
	}
	for round := 0; ctx.Err() == nil; round++ {
		p := n.proxies[round%2]
		time.Sleep(time.Duration(300+rand.IntN(700)) * time.Millisecond)
		if round%4 == 3 {
			s := c.shards[round/4%2]
			s.grow()
			s.kill(n.t)
			s.restart(n.t)
			continue
		}
		p.kill()
		p.up()
	}
	wg.Wait()
	for _, p := range n.proxies {
		if !p.alive() {
			p.up()
		}
	}
}

// settle waits until every transaction that was acknowledged has reached every shard.
func (n *numbering) settle(c *cluster) {
	n.t.Helper()
	took, err := poll(n.t.Context(), limit+slack(), func(ctx context.Context) error {
		for _, s := range c.shards {
			if all, err := s.prepared(ctx); err != nil || len(all) > 0 {
				return fmt.Errorf("prepared at %s: %v: %w", s.name, all, err)
			}
		}
		return nil
	})
	if err != nil {
		n.t.Fatalf("not settled after %v: %v", took, err)
	}
}

// insert is one client; it connects anew after each error.
func (n *numbering) insert(ctx context.Context, worker int) {
	random := rand.New(rand.NewPCG(uint64(worker), 9))
	no := 0
	for ctx.Err() == nil {
		db := n.proxies[random.IntN(2)].open("ids", "timeout=1s&readTimeout=20s")
		conn, err := db.Conn(ctx)
		for err == nil && ctx.Err() == nil {
			err = n.statement(ctx, conn, worker, no, random)
			no += 3
		}
		n.failed(err)
		_ = db.Close()
	}
}

// statement inserts one to three rows, alone or in a transaction.
func (n *numbering) statement(ctx context.Context, conn *sql.Conn, worker, no int, random *rand.Rand) error {
	w := numbered{table: []string{"id_key", "id_beside"}[random.IntN(2)], worker: worker, no: no, rows: 1 + random.IntN(3)}
	q := "INSERT INTO " + w.table + " (worker, no) VALUES "
	for i := range w.rows {
		if i > 0 {
			q += ","
		}
		q += fmt.Sprintf("(%d,%d)", worker, no+i)
	}
	tx := random.IntN(3) == 0
	if tx {
		if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
	}
	r, err := conn.ExecContext(ctx, q)
	if err != nil {
		return err
	}
	if w.id, err = r.LastInsertId(); err != nil {
		return err
	}
	if tx {
		if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, w)
	return nil
}

// failed counts errors. Whatever is killed, a number is never there already.
func (n *numbering) failed(err error) {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failures[e.Number]++
	const duplicate = 1062
	if e.Number == duplicate {
		n.t.Errorf("a number was given twice: %v", e)
	}
}

// judge reads the shards themselves: no id twice, and each acknowledged row with the id that its client computes from the first.
func (n *numbering) judge(c *cluster) {
	n.t.Helper()
	type row struct{ worker, no int }
	for _, table := range []string{"id_key", "id_beside"} {
		byID := map[int64]row{}
		for _, s := range c.shards {
			rows, err := s.db.QueryContext(n.t.Context(), "SELECT id, worker, no FROM ids."+table)
			if err != nil {
				n.t.Fatal(err)
			}
			for rows.Next() {
				var id int64
				var r row
				if err := rows.Scan(&id, &r.worker, &r.no); err != nil {
					n.t.Fatal(err)
				}
				if other, twice := byID[id]; twice {
					n.t.Errorf("%s: id %d belongs to %v and %v", table, id, other, r)
				}
				byID[id] = r
			}
			if err := rows.Err(); err != nil {
				n.t.Fatal(err)
			}
			_ = rows.Close()
		}
		acknowledged := 0
		for _, w := range n.told {
			if w.table != table {
				continue
			}
			for i := range w.rows {
				acknowledged++
				if got := byID[w.id+int64(i)]; got != (row{w.worker, w.no + i}) {
					n.t.Errorf("%s: row %d of worker %d was told id %d, which %v has", table, w.no+i, w.worker, w.id+int64(i), got)
				}
			}
		}
		n.t.Logf("%s: %d rows, %d acknowledged", table, len(byID), acknowledged)
		if acknowledged == 0 {
			n.t.Error("nothing was acknowledged: nothing was tested")
		}
	}
	n.t.Logf("errors by number: %v", n.failures)
}
