package integration

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/xa"
)

// doomedNode is the node of a proxy that the tests play: it has prepared branches, and dies.
const doomedNode = 77

// doomed are the transactions of a proxy that died with them in doubt. Home is at each shard in turn, the other shard has
// a prepared branch; every second transaction is decided.
type doomed struct {
	c       *cluster
	cluster xa.ClusterID
	runs    []uint32      // of the shards' servers
	names   []xa.GlobalID // by number
	bquals  []string
}

// decided says whether transaction n has a commit claim. Its branch inserts row n.
func (d *doomed) decided(n int) bool { return n%2 == 0 }

// home and at are the shards of transaction n's home and of its branch.
func (d *doomed) home(n int) int { return n / 2 % 2 }
func (d *doomed) at(n int) int   { return 1 - d.home(n) }

// doom prepares so many branches over both shards, as a proxy does that is alive until die is called.
func doom(t *testing.T, c *cluster, branches int) (d *doomed, die func()) {
	t.Helper()
	d = &doomed{c: c, names: make([]xa.GlobalID, branches), bquals: make([]string, branches)}
	for _, s := range c.shards {
		s.exec(t, "CREATE DATABASE doomed")
		s.exec(t, "CREATE TABLE doomed.mark (n INT PRIMARY KEY) ENGINE=InnoDB")
		status := "performance_schema"
		if s.server.Engine() != launch.MySQL {
			status = "information_schema"
		}
		d.runs = append(d.runs, uint32(s.mustNumber(t, "SELECT CAST(UNIX_TIMESTAMP()-VARIABLE_VALUE AS UNSIGNED) FROM "+status+".global_status WHERE VARIABLE_NAME='UPTIME'")))
		s.exec(t, fmt.Sprintf("INSERT INTO xaproxy.node (node_id,incarnation,state,beat,collected_upto,endpoint) VALUES (%d,1,'L',1,0,'nowhere')", doomedNode))
	}
	d.cluster = xa.ClusterID(c.shards[0].mustNumber(t, "SELECT cluster FROM xaproxy.meta"))
	die = d.live(t)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < branches && !t.Failed(); n = int(next.Add(1)) - 1 {
				if err := d.prepare(t.Context(), n); err != nil {
					t.Errorf("branch %d: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return d, die
}

// prepare makes transaction n and closes its session: one that has prepared is the only one that MariaDB lets go on with it.
func (d *doomed) prepare(ctx context.Context, n int) error {
	home, at := d.c.shards[d.home(n)], d.c.shards[d.at(n)]
	conn, end, err := dial(ctx, fmt.Sprintf("%s:%s@tcp(%s)/", at.server.User(), at.server.Password(), at.server.Addr()))
	if err != nil {
		return err
	}
	defer end()
	session := xa.SessionID{Shard: xa.ShardID(d.at(n)), Run: d.runs[d.at(n)]}
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&session.Conn); err != nil {
		return err
	}
	name := xa.GlobalName{Cluster: d.cluster, Node: doomedNode, Incarnation: 1, Sequence: uint64(n + 1)}
	name.Home = xa.SessionID{Shard: xa.ShardID(d.home(n)), Conn: 1<<30 + uint32(n), Run: d.runs[d.home(n)]} // a session that is gone
	if _, err := rand.Read(name.Random[:]); err != nil {
		return err
	}
	if d.names[n], err = name.ID(); err != nil {
		return err
	}
	if d.bquals[n], err = (xa.Qualifier{Session: session, Ordinal: 1}).Encode(); err != nil {
		return err
	}
	x := xid{gtrid: string(d.names[n]), bqual: d.bquals[n], format: int64(xa.FormatID)}.literal()
	if err := runAll(ctx, conn, "XA START "+x, fmt.Sprintf("INSERT INTO doomed.mark VALUES (%d)", n), "XA END "+x, "XA PREPARE "+x); err != nil {
		return err
	}
	if !d.decided(n) {
		return nil
	}
	_, err = home.db.ExecContext(ctx, fmt.Sprintf("INSERT INTO xaproxy.claim (name,outcome,participants,created) VALUES ('%s','C',CONCAT(X'010001','%s'),SYSDATE(3))",
		d.names[n], d.bquals[n]))
	return err
}

// live beats for the proxy that is to die until the returned function is called.
func (d *doomed) live(t *testing.T) (die func()) {
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			for _, s := range d.c.shards {
				if _, err := s.db.ExecContext(ctx, fmt.Sprintf("UPDATE xaproxy.node SET beat=beat+1 WHERE node_id=%d", doomedNode)); err != nil && ctx.Err() == nil {
					t.Errorf("beat: %v", err)
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return func() {
		stop()
		wg.Wait()
	}
}

// dead fails until it is marked dead somewhere.
func (d *doomed) dead(ctx context.Context) error {
	for _, s := range d.c.shards {
		n, err := s.number(ctx, fmt.Sprintf("SELECT COUNT(*) FROM xaproxy.node WHERE node_id=%d AND state='D'", doomedNode))
		if err != nil || n == 1 {
			return err
		}
	}
	return errors.New("not marked dead")
}

// over fails while something of them is prepared.
func (d *doomed) over(ctx context.Context) error {
	for _, s := range d.c.shards {
		all, err := s.prepared(ctx)
		if err != nil {
			return err
		}
		for _, x := range all {
			if n, err := xa.GlobalID(x.gtrid).Parse(); err == nil && n.Node == doomedNode {
				return fmt.Errorf("%s: %d branches are prepared", s.name, len(all))
			}
		}
	}
	return nil
}

// judge compares what became of them with what was decided.
func (d *doomed) judge(t *testing.T) {
	t.Helper()
	for i, s := range d.c.shards {
		done := map[int]bool{}
		if err := s.each(t.Context(), "SELECT n FROM doomed.mark", nil, func(rows *sql.Rows) error {
			var n int
			err := rows.Scan(&n)
			done[n] = true
			return err
		}); err != nil {
			t.Fatal(err)
		}
		wrong := 0
		for n := range d.names {
			if want := d.at(n) == i && d.decided(n); done[n] != want {
				wrong++
			}
		}
		if wrong > 0 {
			t.Errorf("%s: %d of %d transactions did not end as was decided", s.name, wrong, len(d.names))
		}
	}
}

// traffic are clients that transfer through a proxy, and count what they do.
type traffic struct {
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu   sync.Mutex
	took []time.Duration // guarded by mu
}

// traffic starts clients. Each begins a transfer every pace, or, if that is 0, when the last one has ended.
func (k *benchPair) traffic(t *testing.T, clients int, pace time.Duration) *traffic {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &traffic{stop: stop}
	for i := range clients {
		once, end, err := k.by(k.p)(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		f.wg.Go(func() {
			defer end()
			for due := time.Now(); ctx.Err() == nil; due = due.Add(pace) {
				time.Sleep(time.Until(due)) // not at all when it is late
				began := time.Now()
				if err := once(context.WithoutCancel(ctx)); err != nil {
					t.Errorf("transfer: %v", err)
					return
				}
				f.mu.Lock()
				f.took = append(f.took, time.Since(began))
				f.mu.Unlock()
			}
		})
	}
	return f
}

func (f *traffic) end() {
	f.stop()
	f.wg.Wait()
}

// pulse is what clients did in a while.
type pulse struct {
	rate   float64 // a second
	median time.Duration
}

// watch measures until the returned function is called.
func (f *traffic) watch() func() pulse {
	f.mu.Lock()
	defer f.mu.Unlock()
	began, before := time.Now(), len(f.took)
	return func() pulse {
		f.mu.Lock()
		defer f.mu.Unlock()
		took := slices.Sorted(slices.Values(f.took[before:]))
		if len(took) == 0 {
			return pulse{}
		}
		return pulse{float64(len(took)) / time.Since(began).Seconds(), took[len(took)/2]}
	}
}

func (f *traffic) watchFor(d time.Duration) pulse {
	measured := f.watch()
	time.Sleep(d)
	return measured()
}

// recovered is how long one proxy worked on what a dead one had left, and what that did to its clients.
type recovered struct {
	took                  time.Duration
	before, during, after pulse
}

// recoverDoomed lets a proxy with clients finish what another one leaves.
func (k *benchPair) recoverDoomed(t *testing.T, branches, clients int, pace, calm time.Duration) recovered {
	t.Helper()
	d, die := doom(t, k.c, branches)
	var r recovered
	f := k.traffic(t, clients, pace)
	f.watchFor(calm) // connections are made
	r.before = f.watchFor(calm)
	if err := d.over(t.Context()); err == nil {
		t.Error("recovered before its owner was dead")
	}
	die()
	if _, err := poll(t.Context(), 30*time.Second, d.dead); err != nil {
		t.Fatalf("%v\n%s", err, k.p.logTail(10))
	}
	during := f.watch()
	began := time.Now()
	for {
		if err := d.over(t.Context()); err == nil {
			break
		} else if time.Since(began) > 5*time.Minute {
			t.Fatalf("%v\n%s", err, k.p.logTail(20))
		}
		time.Sleep(200 * time.Millisecond)
	}
	r.took, r.during = time.Since(began), during()
	r.after = f.watchFor(calm)
	f.end()
	d.judge(t)
	return r
}

// newDoomedPair is a pair of shards with a proxy that leaves alone what is prepared while its owner lives.
func newDoomedPair(t *testing.T, engines ...launch.Engine) *benchPair {
	t.Helper()
	k := &benchPair{c: newCluster(t, engines...)}
	k.addrs = k.c.addrs()
	dsn := map[string]string{}
	for i, s := range k.c.shards {
		dsn[s.name] = fmt.Sprintf("%s:%s@tcp(%s)/", s.server.User(), s.server.Password(), k.addrs[i])
	}
	recovery := defaultRecovery()
	recovery["grace"] = "10m"
	k.p = k.c.newProxy(t, "p", proxySettings{node: 1, shards: dsn, retain: "1s", recovery: recovery})
	k.p.up()
	makeRows(t, k.p, 500)
	for i := range k.ids {
		k.ids[i] = k.c.shards[i].ids(t)
	}
	return k
}

// TestManyInDoubt: a proxy finds hundreds of branches of one that died; each ends as was decided.
func TestManyInDoubt(t *testing.T) {
	k := newDoomedPair(t, launch.MariaDB1011, launch.MySQL)
	r := k.recoverDoomed(t, 600, 2, 0, 200*time.Millisecond)
	t.Logf("600 branches after %v", r.took.Round(time.Millisecond))
	if err := k.p.stop(); err != nil {
		t.Error(err)
	}
}

// TestBenchRecovery: how fast one proxy finishes 10,000 branches, and what its clients notice.
func TestBenchRecovery(t *testing.T) {
	doc := benchDocument(t)
	var b strings.Builder
	b.WriteString("| shards | clients | 10,000 branches ended after | transfers per second before, during, after | median time before, during, after | during : mean of before and after |\n|---|---|---|---|---|---|\n")
	for _, engines := range [][]launch.Engine{{launch.MySQL, launch.MySQL}, {launch.MariaDB1011, launch.MariaDB1011}} {
		for _, load := range []struct {
			name    string
			clients int
			pace    time.Duration
		}{{"none", 0, 0}, {"4, a transfer each 40 ms", 4, 40 * time.Millisecond}, {"2, as fast as they can", 2, 0}} {
			k := newDoomedPair(t, engines...)
			r := k.recoverDoomed(t, 10_000, load.clients, load.pace, 5*time.Second)
			share, rates, times := "", "", ""
			if load.clients > 0 {
				share = fmt.Sprintf("%.2f", 2*r.during.rate/(r.before.rate+r.after.rate))
				rates = fmt.Sprintf("%.0f, %.0f, %.0f", r.before.rate, r.during.rate, r.after.rate)
				ms := func(f pulse) time.Duration { return f.median.Round(100 * time.Microsecond) }
				times = fmt.Sprintf("%v, %v, %v", ms(r.before), ms(r.during), ms(r.after))
			}
			line := fmt.Sprintf("| %s, %s | %s | %.1f s | %s | %s | %s |\n", engines[0], engines[1], load.name, r.took.Seconds(), rates, times, share)
			t.Log(line)
			b.WriteString(line)
			k.p.kill()
		}
	}
	if err := writeSection(doc, "recovery", b.String()); err != nil {
		t.Error(err)
	}
}
