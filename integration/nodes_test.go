package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// incarnations counts the rows of the node table, and the highest incarnation of a node.
func (s *shard) incarnations(t *testing.T, where string) (rows, highest int64) {
	t.Helper()
	rows = s.mustNumber(t, "SELECT COUNT(*) FROM xaproxy.node WHERE "+where)
	highest = s.mustNumber(t, "SELECT COALESCE(MAX(incarnation),0) FROM xaproxy.node WHERE "+where)
	return rows, highest
}

// leavePrepared kills the proxy when a transfer's branch is prepared and nothing is decided.
func leavePrepared(t *testing.T, c *cluster, b *bank, p *proxyProcess) {
	t.Helper()
	killed := c.shards[1].relay.Arm(faultwire.Rule{Verb: faultwire.Prepare, Side: faultwire.After, From: faultwire.Session, Hook: p.kill})
	db := p.open("", "readTimeout=20s")
	defer db.Close()
	if a := b.transfer(t.Context(), db, 0, "COMMIT"); a.told == toldCommitted {
		t.Fatalf("the proxy was killed, and the client was told %s", a)
	}
	<-killed.Done()
	if all, err := c.shards[1].prepared(t.Context()); err != nil || len(all) != 1 {
		t.Fatalf("prepared: %v %v", all, err)
	}
}

func mustSettle(t *testing.T, b *bank, p *proxyProcess) {
	t.Helper()
	took, err := poll(t.Context(), limit+slack(), b.settled)
	if err != nil {
		t.Fatalf("not settled after %v: %v\n%s\n%s", took, err, b.c.trace(), p.logTail(40))
	}
	t.Logf("settled after %v", took.Round(time.Millisecond))
}

func mustWork(t *testing.T, b *bank, p *proxyProcess) {
	t.Helper()
	if err := b.works(t.Context(), p, 0, 5*time.Second+slack()); err != nil {
		t.Fatalf("%v\n%s\n%s", err, b.c.trace(), p.logTail(40))
	}
}

func TestSecondProcessWithTheSameNodeIsRefused(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	first := c.newProxy(t, "first", proxySettings{node: 5})
	first.up()
	b := newBank(t, c, first)
	second := c.newProxy(t, "second", proxySettings{node: 5})
	second.start()
	text, err := second.ends(15 * time.Second)
	if err == nil {
		t.Fatalf("a second process with node 5 serves:\n%s", text)
	}
	if !strings.Contains(text, first.adminAddr) && !strings.Contains(text, first.data) {
		t.Errorf("the refusal does not name the holder's endpoint (%s or %s):\n%s", first.adminAddr, first.data, text)
	}
	mustWork(t, b, first)
	mustSettle(t, b, first)
}

func TestNodeIsTakenOverFromAHolderThatStandsStill(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	first := c.newProxy(t, "first", proxySettings{node: 5})
	first.up()
	b := newBank(t, c, first)
	first.pause()
	second := c.newProxy(t, "second", proxySettings{node: 5})
	second.up()
	mustWork(t, b, second)
	mustSettle(t, b, second)
	first.resume()
	time.Sleep(2 * time.Second) // it finds out
	mustWork(t, b, second)
	mustSettle(t, b, second)
}

func TestCopiedStateDirectory(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	original := c.newProxy(t, "original", proxySettings{})
	original.up()
	b := newBank(t, c, original)
	node := c.shards[0].mustNumber(t, "SELECT MAX(node_id) FROM xaproxy.node")
	copied := c.newProxy(t, "copied", proxySettings{})
	if err := os.CopyFS(copied.stateDir, os.DirFS(original.stateDir)); err != nil {
		t.Fatal(err)
	}
	copied.start()
	if text, err := copied.ends(15 * time.Second); err == nil {
		t.Fatalf("a process with a copied state directory serves beside the original:\n%s", text)
	}
	mustWork(t, b, original)

	leavePrepared(t, c, b, original)
	copied.up()
	mustSettle(t, b, copied)
	mustWork(t, b, copied)
	copied.kill()
	original.up() // its own state directory is behind by one incarnation
	mustWork(t, b, original)
	mustSettle(t, b, original)
	where := fmt.Sprintf("node_id=%d", node)
	if rows, highest := c.shards[0].incarnations(t, where); rows > highest || highest < 3 {
		t.Errorf("three processes made %d rows, highest incarnation %d", rows, highest)
	}
}

func TestLostStateDirectory(t *testing.T) {
	for name, node := range map[string]int{"configured node": 7, "node of the state directory": 0} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, launch.MariaDB1011, launch.MySQL)
			p := c.newProxy(t, "a", proxySettings{node: node})
			p.up()
			b := newBank(t, c, p)
			_, before := c.shards[0].incarnations(t, "1=1")
			leavePrepared(t, c, b, p)
			if err := os.RemoveAll(p.stateDir); err != nil {
				t.Fatal(err)
			}
			p.up()
			if node == 0 {
				time.Sleep(time.Second) // the lost node is dead after a second, and nobody else can say so earlier
			}
			mustSettle(t, b, p)
			mustWork(t, b, p)
			if node != 0 {
				if _, after := c.shards[0].incarnations(t, "node_id=7"); after <= before {
					t.Errorf("incarnation %d before the loss, %d after", before, after)
				}
			}
		})
	}
}

func TestForeignBranchesAreLeftAlone(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			c := newCluster(t, e, e)
			p := c.newProxy(t, "a", proxySettings{node: 1, recovery: map[string]string{"interval": "1s"}})
			p.up()
			b := newBank(t, c, p)
			leavePrepared(t, c, b, p)
			ours, err := c.shards[1].prepared(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p.up()
			mustSettle(t, b, p)

			cluster := []byte(ours[0].gtrid) // the same name in another cluster
			if cluster[5]++; cluster[5] > 'v' {
				cluster[5] = '0'
			}
			foreign := []xid{
				{format: 1, gtrid: "somebody-else", bqual: "b1"},
				{format: ours[0].format, gtrid: "x1h-not-ours", bqual: "b1"},
				{format: ours[0].format, gtrid: string(cluster), bqual: ours[0].bqual},
				{format: ours[0].format, gtrid: ours[0].gtrid + "0", bqual: ours[0].bqual},
			}
			s := c.shards[1]
			for i, x := range foreign {
				onOne(t, s.db, "XA START "+x.literal(), fmt.Sprintf("UPDATE bank.account SET balance=balance+1 WHERE id=%d", b.more[1][1+i]),
					"XA END "+x.literal(), "XA PREPARE "+x.literal())
			}
			p.kill()
			p.up()
			admin := p.admin()
			if rows, err := admin.QueryContext(t.Context(), "XA RESOLVE ALL"); err != nil {
				t.Errorf("XA RESOLVE ALL: %v", err)
			} else {
				_ = rows.Close()
			}
			time.Sleep(3 * time.Second)
			left, err := s.prepared(t.Context())
			if err != nil || len(left) != len(foreign) {
				t.Errorf("of %v are left %v (%v)\n%s", foreign, left, err, c.trace())
			}
			mustWork(t, b, p)
			for _, x := range foreign {
				if _, err := poll(t.Context(), 5*time.Second, func(ctx context.Context) error {
					_, err := s.db.ExecContext(ctx, "XA ROLLBACK "+x.literal())
					return err
				}); err != nil {
					t.Errorf("roll back %v: %v", x, err)
				}
			}
		})
	}
}

// TestFirstStartsTogether: proxies that start for the first time at the same moment make one cluster.
func TestFirstStartsTogether(t *testing.T) {
	for range 3 {
		c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011, launch.MariaDB1011)
		var all []*proxyProcess
		for i := range 4 {
			all = append(all, c.newProxy(t, fmt.Sprintf("p%d", i), proxySettings{node: i + 1}))
		}
		for _, p := range all {
			p.start()
		}
		for _, p := range all {
			if _, err := poll(t.Context(), 20*time.Second+slack(), p.ready); err != nil {
				t.Errorf("%s: %v\n%s", p.name, err, p.logTail(5))
			}
		}
		for i, s := range c.shards {
			if n := s.mustNumber(t, "SELECT shard FROM xaproxy.meta"); n != int64(i) {
				t.Errorf("shard %s has number %d", s.name, n)
			}
		}
		for _, p := range all {
			p.kill()
		}
	}
}
