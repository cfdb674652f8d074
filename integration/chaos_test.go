package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// TestChaos lets clients move money over four shards through three proxies while everything is killed, stopped, cut and
// held at random, while definitions change under them and operators resolve transactions. It goes in rounds: faults, then
// peace, then judgement of every transaction of the round (chaos_judge_test.go). The first round that is not right ends it.
//
// XAPROXY_CHAOS is the time it runs, XAPROXY_SEED the seed of the faults, XAPROXY_CHAOS_DOC a file that gets the figures.
// Chance finds little (the matrix is for that), but it finds what only many transactions at once do.
func TestChaos(t *testing.T) {
	lasts := 10 * time.Second
	if d, err := time.ParseDuration(os.Getenv("XAPROXY_CHAOS")); err == nil {
		lasts = d
	}
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("XAPROXY_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("seed %d, %v", seed, lasts)
	w := newChaos(t, seed, lasts)
	began := time.Now()
	for end := began.Add(lasts); time.Now().Before(end) && !t.Failed(); {
		w.playRound(min(time.Until(end), chaosRound))
	}
	w.figures.lasted, w.figures.seed = time.Since(began), seed
	text := w.figures.String()
	t.Logf("figures\n%s", text)
	if w.figures.told[toldCommitted] == 0 {
		t.Error("nothing was committed: nothing was tested")
	}
	if path := os.Getenv("XAPROXY_CHAOS_DOC"); path != "" {
		if err := writeSection(path, "chaos", text); err != nil {
			t.Error(err)
		}
	}
}

const (
	chaosRound    = 75 * time.Second // of faults
	chaosClients  = 12
	chaosAccounts = 40
	chaosWealth   = 1000000 // on each account
)

// chaos is the world of the test.
type chaos struct {
	t       *testing.T
	c       *cluster
	proxies []*chaosProxy
	shards  []*chaosShard
	home    map[int]int // account to shard
	trace   *chaosTrace
	figures *chaosFigures
	random  *lockedRandom
	round   int

	mu       sync.Mutex
	txns     []*chaosTxn       // of the round; guarded by mu, and what follows
	outcomes map[string]string // gtrid to what XA OUTCOME has said that cannot change any more
	wrong    int
}

// chaosProxy is a proxy, and a relay of its own to each shard: the network of one proxy may fail alone.
type chaosProxy struct {
	*proxyProcess
	index  int
	relays []*faultwire.Relay // by shard
	busy   chaosBusy
}

type chaosShard struct {
	*shard
	index int
	busy  chaosBusy
}

// lockedRandom is a source for several goroutines.
type lockedRandom struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (l *lockedRandom) IntN(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.IntN(n)
}

// chance is true in percent of 100 cases.
func (l *lockedRandom) chance(percent int) bool { return l.IntN(100) < percent }

// between is a time from a to b.
func (l *lockedRandom) between(a, b time.Duration) time.Duration {
	return a + time.Duration(l.IntN(int((b-a)/time.Millisecond)+1))*time.Millisecond
}

func newChaos(t *testing.T, seed uint64, lasts time.Duration) *chaos {
	t.Helper()
	retain := "10s" // the next question for an outcome finds the claim, most times
	if lasts < chaosRound {
		retain = "2s"
	}
	w := &chaos{
		t: t, c: newCluster(t, launch.MySQL, launch.MariaDB1011, launch.MariaDB118, launch.MySQL),
		random: &lockedRandom{r: rand.New(rand.NewPCG(seed, 1))}, figures: newChaosFigures(), outcomes: map[string]string{},
	}
	w.trace = newChaosTrace(t, filepath.Join(w.c.dir, "trace"), w.figures)
	for i, s := range w.c.shards {
		w.shards = append(w.shards, &chaosShard{shard: s, index: i})
	}
	for i, name := range []string{"a", "b", "c"} {
		p := &chaosProxy{index: i}
		dsn := map[string]string{}
		for _, s := range w.c.shards {
			r, err := faultwire.Listen(t.Context(), faultwire.Options{Name: name + "-" + s.name, Target: s.server.Addr(), Journal: w.trace.add})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.Close() })
			p.relays = append(p.relays, r)
			dsn[s.name] = fmt.Sprintf("%s:%s@tcp(%s)/", s.server.User(), s.server.Password(), r.Addr())
		}
		p.proxyProcess = w.c.newProxy(t, name, proxySettings{
			node: i + 1, shards: dsn, retain: retain,
			recovery:     map[string]string{"interval": "5s"},
			transactions: map[string]string{"lock_timeout": "2s"},
			more:         "drain: { limit: 5s }\n",
		})
		p.up()
		w.proxies = append(w.proxies, p)
	}
	w.build()
	return w
}

// build makes the tables through a proxy and finds out where the accounts are.
func (w *chaos) build() {
	w.t.Helper()
	db := w.proxies[0].open("", "timeout=5s&readTimeout=20s")
	defer db.Close()
	var rows []string
	for id := 1; id <= chaosAccounts; id++ {
		rows = append(rows, fmt.Sprintf("(%d,%d,0)", id, chaosWealth))
	}
	for _, q := range []string{
		"CREATE DATABASE bank",
		"CREATE TABLE bank.account (id INT PRIMARY KEY, balance BIGINT NOT NULL, n BIGINT NOT NULL) ENGINE=InnoDB",
		"CREATE TABLE bank.ledger (account INT NOT NULL, txn BIGINT NOT NULL, delta BIGINT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (account, txn), KEY (txn)) ENGINE=InnoDB",
		"CREATE TABLE bank.note (account INT NOT NULL, txn BIGINT NOT NULL, PRIMARY KEY (account, txn), KEY (txn)) ENGINE=InnoDB",
		"CREATE TABLE bank.canary (id INT PRIMARY KEY, n BIGINT NOT NULL) ENGINE=InnoDB",
		"INSERT INTO bank.account (id, balance, n) VALUES " + strings.Join(rows, ","),
		"INSERT INTO bank.canary (id, n) VALUES " + strings.ReplaceAll(strings.Join(rows, ","), fmt.Sprintf(",%d,", chaosWealth), ","),
	} {
		if _, err := db.ExecContext(w.t.Context(), q); err != nil {
			w.t.Fatalf("%s: %v\n%s", q, err, w.proxies[0].logTail(20))
		}
	}
	w.home = map[int]int{}
	for i, s := range w.c.shards {
		ids := s.ids(w.t)
		if len(ids) < 4 {
			w.t.Fatalf("shard %s holds %v", s.name, ids)
		}
		for _, id := range ids {
			w.home[id] = i
		}
	}
	if len(w.home) != chaosAccounts {
		w.t.Fatalf("%d accounts, want %d", len(w.home), chaosAccounts)
	}
}

// on returns the accounts of a shard in order.
func (w *chaos) on(shard int) []int {
	var ids []int
	for id := 1; id <= chaosAccounts; id++ {
		if w.home[id] == shard {
			ids = append(ids, id)
		}
	}
	return ids
}

// playRound does one round.
func (w *chaos) playRound(lasts time.Duration) {
	w.round++
	w.mu.Lock()
	w.txns = nil
	w.mu.Unlock()
	w.trace.reset()
	ctx, cancel := context.WithTimeout(w.t.Context(), lasts)
	defer cancel()
	var all, faults sync.WaitGroup
	clients, endClients := context.WithCancel(w.t.Context())
	defer endClients()
	storm := &chaosStorm{}
	for i := range chaosClients {
		all.Go(func() { w.client(clients, storm, i) })
	}
	for p := range w.proxies {
		for s := range w.shards {
			all.Go(func() { w.canary(clients, p, s) })
		}
	}
	all.Go(func() { w.supervise(clients) })
	all.Go(func() { w.define(clients) })
	all.Go(func() { w.operate(clients) })
	all.Go(func() { w.ask(clients) })
	all.Go(func() { storm.blow(clients, w.random) })
	w.torment(ctx, &faults)
	faults.Wait()
	w.heal()
	select { // what comes back serves its first transactions while clients go on
	case <-w.t.Context().Done():
	case <-time.After(time.Second):
	}
	endClients()
	all.Wait()
	w.judge()
}

// violate reports that something is not right, with all that is known about it.
func (w *chaos) violate(x *chaosTxn, format string, a ...any) {
	w.mu.Lock()
	w.wrong++
	first := w.wrong <= 5
	w.mu.Unlock()
	w.figures.count(&w.figures.violations)
	text := fmt.Sprintf(format, a...)
	if x != nil {
		text += "\n" + x.String()
		if first {
			text += "\n" + w.known(x)
		}
	}
	w.t.Errorf("VIOLATION: %s", text)
}
