package integration

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// TestABadShardHoldsNobodyElseUp: while one of three shards is dead, stands still, refuses connections or is slow, a
// client of the others logs in, reads and commits over both without a stall of a second; who needs the bad one is told so.
func TestABadShardHoldsNobodyElseUp(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL, launch.MariaDB1011)
	bad := c.shards[2]
	wire := startDelayRelay(t, bad.relay.Addr(), 0)
	dsn := map[string]string{"s0": c.shards[0].dsn(), "s1": c.shards[1].dsn(), "s2": strings.Replace(bad.dsn(), bad.relay.Addr(), wire.addr(), 1)}
	p := c.newProxy(t, "p", proxySettings{node: 1, shards: dsn, recovery: defaultRecovery(),
		more: "limits: { statement_time: 0s, pool_wait: 3s, shard_connections: 10 }\n"})
	p.up()
	bank := newBank(t, c, p)
	lost := bad.ids(t)
	for name, fault := range map[string]func() (heal func()){
		"dead": func() func() {
			bad.kill(t)
			return func() { bad.restart(t) }
		},
		"stands still": func() func() {
			if err := bad.server.Pause(); err != nil {
				t.Fatal(err)
			}
			return func() { _ = bad.server.Resume() }
		},
		"refuses": func() func() { return cutOff(bad.relay) },
		"is slow": func() func() {
			wire.late.Store(int64(400 * time.Millisecond))
			return func() { wire.late.Store(0) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			heal := fault()
			ctx, stop := context.WithTimeout(t.Context(), 8*time.Second)
			defer stop()
			var clients sync.WaitGroup
			for i := range 4 { // those who need it, more than a shard's share
				clients.Go(func() { needy(ctx, p, lost[i%len(lost)]) })
			}
			var stalls stalls
			for i := range 3 {
				clients.Go(func() { stalls.happy(ctx, t, p, bank, i) })
			}
			clients.Wait()
			heal()
			stalls.report(t)
			if _, err := poll(t.Context(), 20*time.Second+slack(), func(ctx context.Context) error { return needs(ctx, p, lost[0]) }); err != nil {
				t.Errorf("after it is well again: %v\n%s", err, p.logTail(10))
			}
		})
	}
}

// needs reads a row of the bad shard.
func needs(ctx context.Context, p *proxyProcess, id int) error {
	db := p.open("", "timeout=2s&readTimeout=15s")
	defer db.Close()
	var n int64
	return db.QueryRowContext(ctx, fmt.Sprintf("SELECT balance FROM bank.account WHERE id=%d", id)).Scan(&n)
}

func needy(ctx context.Context, p *proxyProcess, id int) {
	for ctx.Err() == nil {
		if needs(ctx, p, id) != nil {
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// stalls are how long what needs only the other shards took.
type stalls struct {
	mu   sync.Mutex
	took map[string][]time.Duration
}

func (s *stalls) note(what string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.took == nil {
		s.took = map[string][]time.Duration{}
	}
	s.took[what] = append(s.took[what], time.Since(since))
}

// happy logs in, reads, and commits over both good shards, again and again.
func (s *stalls) happy(ctx context.Context, t *testing.T, p *proxyProcess, b *bank, client int) {
	end, _ := ctx.Deadline()
	over := func() bool { return ctx.Err() != nil || !time.Now().Before(end) } // a dial looks at the clock, the context at its timer, which may be late
	step := func(what string, f func() error) bool {
		began := time.Now()
		err := f()
		if over() {
			return false
		}
		s.note(what, began)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return err == nil
	}
	for !over() {
		db := p.open("bank", "timeout=5s&readTimeout=15s")
		var conn *sql.Conn
		if step("login", func() (err error) { conn, err = db.Conn(ctx); return err }) {
			from, to := b.more[0][client], b.more[1][client]
			step("read", func() error { return runAll(ctx, conn, fmt.Sprintf("SELECT balance FROM account WHERE id=%d", from)) })
			step("transfer", func() error {
				return runAll(ctx, conn, "BEGIN", fmt.Sprintf("UPDATE account SET balance=balance-1 WHERE id=%d", from),
					fmt.Sprintf("UPDATE account SET balance=balance+1 WHERE id=%d", to), "COMMIT")
			})
			discard(conn)
		}
		_ = db.Close()
	}
}

func (s *stalls) report(t *testing.T) {
	t.Helper()
	for _, what := range []string{"login", "read", "transfer"} {
		all := s.took[what]
		if len(all) < 20 {
			t.Errorf("only %d of %s", len(all), what)
			continue
		}
		slices.Sort(all)
		longest := all[len(all)-1]
		t.Logf("%s: %d, median %v, longest %v", what, len(all), all[len(all)/2].Round(10*time.Microsecond), longest.Round(time.Millisecond))
		if longest > time.Second+slack() {
			t.Errorf("%s: a stall of %v", what, longest)
		}
	}
}

// TestStartWithASlowShard: a proxy that starts while a shard is slow serves the others soon.
func TestStartWithASlowShard(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL, launch.MariaDB1011)
	bad := c.shards[2]
	wire := startDelayRelay(t, bad.relay.Addr(), 0)
	dsn := map[string]string{"s0": c.shards[0].dsn(), "s1": c.shards[1].dsn(), "s2": strings.Replace(bad.dsn(), bad.relay.Addr(), wire.addr(), 1)}
	p := c.newProxy(t, "p", proxySettings{node: 1, shards: dsn, recovery: defaultRecovery()})
	p.up()
	bank := newBank(t, c, p)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	wire.late.Store(int64(100 * time.Millisecond))
	began := time.Now()
	p.start()
	if err := bank.works(t.Context(), p, 0, 15*time.Second+slack()); err != nil {
		t.Errorf("%v\n%s", err, p.logTail(20))
	}
	t.Logf("transfers between the others %v after the start", time.Since(began).Round(time.Millisecond))
	if strings.Contains(p.logTail(100), "lease of the catalog was lost") {
		t.Errorf("the catalog was read twice:\n%s", p.logTail(20))
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if err := needs(ctx, p, bad.ids(t)[0]); err != nil {
		t.Errorf("the slow shard: %v\n%s", err, p.logTail(20))
	}
}
