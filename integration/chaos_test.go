package integration

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// TestChaos lets clients transfer through two proxies while everything is killed, stopped and cut at random. Each client
// has an account on each shard: how often either changed is counted by its balance, so one mixed outcome shows for ever.
// XAPROXY_CHAOS is the time it runs, XAPROXY_SEED the seed. Chance finds little (the matrix is for that), but it finds
// what only many transactions at once do.
func TestChaos(t *testing.T) {
	lasts := 15 * time.Second
	if d, err := time.ParseDuration(os.Getenv("XAPROXY_CHAOS")); err == nil {
		lasts = d
	}
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("XAPROXY_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("seed %d, %v", seed, lasts)
	c := newCluster(t, launch.MySQL, launch.MariaDB1011)
	world := &chaos{t: t, c: c}
	for i, name := range []string{"a", "b"} {
		p := c.newProxy(t, name, proxySettings{node: i + 1})
		p.up()
		world.proxies = append(world.proxies, p)
	}
	world.bank = newBank(t, c, world.proxies[0])
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var clients sync.WaitGroup
	var tallies []*tally
	for i := range min(8, len(world.bank.more[0]), len(world.bank.more[1])) {
		y := &tally{ids: [2]int{world.bank.more[0][i], world.bank.more[1][i]}}
		tallies = append(tallies, y)
		clients.Go(func() { world.client(ctx, y, i) })
	}
	world.torment(ctx, rand.New(rand.NewPCG(seed, 1)))
	clients.Wait()
	world.judge(tallies)
}

type chaos struct {
	t       *testing.T
	c       *cluster
	proxies []*proxyProcess
	bank    *bank
}

// tally is what one client was told.
type tally struct {
	ids                         [2]int
	committed, aborted, unknown int64
}

// client transfers until ctx ends, each time through a proxy and from a shard of its choice.
func (w *chaos) client(ctx context.Context, y *tally, n int) {
	own := &bank{c: w.c, ids: y.ids}
	for i := 0; ctx.Err() == nil; i++ {
		// A transaction that has begun is waited for: how it ended must be known.
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		db := w.proxies[(n+i)%2].open("", "timeout=1s&readTimeout=25s")
		a := own.transferBy(call, db, i%2)
		switch a.told {
		case toldCommitted:
			y.committed++
		case toldAborted:
			y.aborted++
		case toldNothing:
			y.unknown++
		}
		_ = db.Close()
		cancel()
		if a.err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// transferBy is transfer with the shards touched in either order; the money always goes from shard 0 to shard 1.
func (b *bank) transferBy(ctx context.Context, db *sql.DB, home int) answer {
	steps := [2]string{
		fmt.Sprintf("UPDATE bank.account SET balance=balance-1 WHERE id=%d", b.ids[0]),
		fmt.Sprintf("UPDATE bank.account SET balance=balance+1 WHERE id=%d", b.ids[1]),
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return answer{stage: "login", told: toldAborted, err: err}
	}
	defer discard(conn)
	for _, q := range []string{"BEGIN", steps[home], steps[1-home]} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			_, _ = conn.ExecContext(ctx, "ROLLBACK")
			return answer{stage: q, told: toldAborted, err: err}
		}
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return conclude("COMMIT", err)
}

// torment does something bad about once per second.
func (w *chaos) torment(ctx context.Context, random *rand.Rand) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(200+random.IntN(900)) * time.Millisecond):
		}
		p, s := w.proxies[random.IntN(2)], w.c.shards[random.IntN(2)]
		switch what := random.IntN(6); what {
		case 0, 1:
			p.kill()
			p.start()
			w.t.Logf("killed proxy %s", p.name)
		case 2:
			s.kill(w.t)
			s.restart(w.t)
			w.t.Logf("killed shard %s", s.name)
		case 3:
			s.relay.CutAll()
			w.t.Logf("cut shard %s", s.name)
		case 4:
			p.pause()
			time.Sleep(2500 * time.Millisecond)
			p.resume()
			w.t.Logf("stopped proxy %s for 2.5 s", p.name)
		case 5:
			s.relay.Refuse()
			s.relay.CutAll()
			time.Sleep(700 * time.Millisecond)
			s.relay.Admit()
			w.t.Logf("cut shard %s off for 0.7 s", s.name)
		}
	}
}

// judge waits until nothing is left and compares the accounts with what the clients were told.
func (w *chaos) judge(tallies []*tally) {
	for _, p := range w.proxies {
		if _, err := poll(w.t.Context(), 20*time.Second+slack(), p.ready); err != nil {
			w.t.Errorf("%v\n%s", err, p.logTail(30))
		}
	}
	// Claims of proxies that were killed twice in a row, and sessions that look like ones of an earlier run of the
	// server, are collected by the next sweep only.
	took, err := poll(w.t.Context(), 35*time.Second+slack(), w.bank.settled)
	w.t.Logf("settled after %v", took.Round(time.Millisecond))
	if err != nil {
		w.t.Errorf("not settled: %v\n%s\n%s", err, w.proxies[0].logTail(40), w.proxies[1].logTail(40))
	}
	var sum tally
	for _, y := range tallies {
		var moved [2]int64
		for i, s := range w.c.shards[:2] {
			moved[i] = s.mustNumber(w.t, fmt.Sprintf("SELECT balance FROM bank.account WHERE id=%d", y.ids[i])) - 1000000
		}
		n := moved[1]
		if moved[0] != -n || n < y.committed || n > y.committed+y.unknown {
			w.t.Errorf("accounts %v moved %v; the client was told: %d committed, %d aborted, %d unknown", y.ids, moved, y.committed, y.aborted, y.unknown)
		}
		sum.committed += y.committed
		sum.aborted += y.aborted
		sum.unknown += y.unknown
	}
	w.t.Logf("%d committed, %d aborted, %d unknown", sum.committed, sum.aborted, sum.unknown)
	if sum.committed == 0 {
		w.t.Error("nothing was committed: nothing was tested")
	}
}
