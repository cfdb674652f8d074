package integration

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// benchPair is two shards and the addresses at which everybody reaches them.
type benchPair struct {
	c     *cluster
	addrs []string
	p     *proxyProcess
	early *proxyProcess // transactions.ack: decided
	ids   [2][]int      // accounts on each: one for each client
}

const (
	slowFlushTime = time.Millisecond
	slowTrip      = 500 * time.Microsecond
)

// newBenchPair starts two servers, as they are or in the slow condition: each forced write takes a millisecond longer,
// each round trip to a shard half a millisecond.
func newBenchPair(t *testing.T, e launch.Engine, slow bool) *benchPair {
	t.Helper()
	o := launch.Options{Engine: e}
	if slow {
		library := filepath.Join(t.TempDir(), "slowflush.so")
		if err := launch.BuildPreload(t.Context(), "testdata/slowflush.c", library, func(line string) { t.Log(line) }); err != nil {
			t.Fatal(err)
		}
		o.Env = []string{"LD_PRELOAD=" + library, fmt.Sprintf("SLOWFLUSH_DELAY=%d", slowFlushTime.Microseconds())}
	}
	k := &benchPair{c: newClusterOf(t, o, o)}
	k.addrs = k.c.addrs()
	if slow {
		for i := range k.addrs {
			k.addrs[i] = startDelayRelay(t, k.addrs[i], slowTrip/2).addr()
		}
	}
	k.p = benchProxy(t, k.c, "p", k.addrs, 1, "finished")
	k.early = benchProxy(t, k.c, "early", k.addrs, 2, "decided")
	makeRows(t, k.p, 500)
	for i := range k.ids {
		k.ids[i] = k.c.shards[i].ids(t)
	}
	return k
}

func (k *benchPair) update(shard, client, by int) string {
	return fmt.Sprintf("UPDATE bank.account SET balance=balance+(%d) WHERE id=%d", by, k.ids[shard][client])
}

// both opens a connection to each shard.
func (k *benchPair) both(ctx context.Context) (all [2]*sql.Conn, end func(), err error) {
	var ends []func()
	end = func() {
		for _, f := range ends {
			f()
		}
	}
	for i, s := range k.c.shards {
		conn, f, err := dial(ctx, fmt.Sprintf("%s:%s@tcp(%s)/", s.server.User(), s.server.Password(), k.addrs[i]))
		if err != nil {
			end()
			return all, nil, err
		}
		all[i], ends = conn, append(ends, f)
	}
	return all, end, nil
}

// by transfers through a proxy.
func (k *benchPair) by(p *proxyProcess) func(ctx context.Context, client int) (func(context.Context) error, func(), error) {
	return func(ctx context.Context, client int) (func(context.Context) error, func(), error) {
		conn, end, err := dial(ctx, fmt.Sprintf("app:%s@tcp(%s)/", appPassword, p.data))
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) error {
			return runAll(ctx, conn, "BEGIN", k.update(0, client, -1), k.update(1, client, 1), "COMMIT")
		}, end, nil
	}
}

// byTwoCommits transfers by two local transactions: a crash between the commits loses money.
func (k *benchPair) byTwoCommits(ctx context.Context, client int) (func(context.Context) error, func(), error) {
	conns, end, err := k.both(ctx)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) error {
		for i, by := range []int{-1, 1} {
			if err := runAll(ctx, conns[i], "BEGIN", k.update(i, client, by)); err != nil {
				return err
			}
		}
		for _, conn := range conns {
			if err := runAll(ctx, conn, "COMMIT"); err != nil {
				return err
			}
		}
		return nil
	}, end, nil
}

// byTwoStatements transfers by two statements that commit by themselves: the least that two servers can do.
func (k *benchPair) byTwoStatements(ctx context.Context, client int) (func(context.Context) error, func(), error) {
	conns, end, err := k.both(ctx)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) error {
		if err := runAll(ctx, conns[0], k.update(0, client, -1)); err != nil {
			return err
		}
		return runAll(ctx, conns[1], k.update(1, client, 1))
	}, end, nil
}

// byXA transfers as an application does that drives XA by itself, one verb after the other, without a log of its own: a
// crash of the application leaves branches that nobody decides about.
func (k *benchPair) byXA() func(ctx context.Context, client int) (func(context.Context) error, func(), error) {
	var last atomic.Int64
	return func(ctx context.Context, client int) (func(context.Context) error, func(), error) {
		conns, end, err := k.both(ctx)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) error {
			x := fmt.Sprintf("'bench-%d'", last.Add(1))
			for i, by := range []int{-1, 1} {
				if err := runAll(ctx, conns[i], "XA START "+x, k.update(i, client, by)); err != nil {
					return err
				}
			}
			for _, verb := range []string{"XA END ", "XA PREPARE ", "XA COMMIT "} {
				for _, conn := range conns {
					if err := runAll(ctx, conn, verb+x); err != nil {
						return err
					}
				}
			}
			return nil
		}, end, nil
	}
}

// TestBenchTransfer: what atomicity over two servers costs.
func TestBenchTransfer(t *testing.T) {
	doc := benchDocument(t)
	var b strings.Builder
	b.WriteString("| shards | condition | clients | xaproxy : two statements | xaproxy : two transactions | xaproxy : XA by the application | decided : two transactions | decided : XA by the application | medians of time: two statements, two transactions, XA, xaproxy, decided | CPU of xaproxy per transfer |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, e := range []launch.Engine{launch.MySQL, launch.MariaDB1011} {
		for _, slow := range []bool{false, true} {
			k := newBenchPair(t, e, slow)
			condition := "plain"
			if slow {
				condition = "slow"
			}
			for _, clients := range []int{1, 8, 32} {
				r := compare(t, []benchWay{
					{"two statements", 0, k.byTwoStatements},
					{"two transactions", 0, k.byTwoCommits},
					{"XA by the application", 0, k.byXA()},
					{"xaproxy", k.p.pid(), k.by(k.p)},
					{"xaproxy, ack: decided", k.early.pid(), k.by(k.early)},
				}, clients)
				var times []string
				for _, way := range r {
					times = append(times, medianLatency(way).Round(10*time.Microsecond).String())
				}
				fmt.Fprintf(&b, "| %s | %s | %d | %.2f | %.2f | %.2f | %.2f | %.2f | %s | %v |\n", e, condition, clients, ratio(r[3], r[0]), ratio(r[3], r[1]), ratio(r[3], r[2]),
					ratio(r[4], r[1]), ratio(r[4], r[2]),
					strings.Join(times, ", "), medianCPU(r[3]).Round(time.Microsecond))
			}
			t.Logf("forced writes and round trips, %s, %s: %s", e, condition, k.instrument(t))
			k.p.kill()
			k.early.kill()
		}
	}
	t.Logf("\n%s", b.String())
	if err := writeSection(doc, "transfer", b.String()); err != nil {
		t.Error(err)
	}
}

// instrument says what the condition really is: the time of a round trip, and of a commit of one row.
func (k *benchPair) instrument(t *testing.T) string {
	conns, end, err := k.both(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	took := func(query string) time.Duration {
		return medianOf(101, func(int) time.Duration {
			began := time.Now()
			if err := runAll(t.Context(), conns[0], query); err != nil {
				t.Fatal(err)
			}
			return time.Since(began).Round(10 * time.Microsecond)
		})
	}
	return fmt.Sprintf("round trip %v, commit %v", took("DO 1"), took(k.update(0, 0, 1)))
}
