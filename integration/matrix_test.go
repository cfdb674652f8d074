package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// pair is two servers and the one that is touched first.
type pair struct {
	name    string
	engines [2]launch.Engine
	home    int
}

func pairs() []pair {
	mixed := [2]launch.Engine{launch.MySQL, launch.MariaDB1011}
	return []pair{
		{"MySQL+MySQL", [2]launch.Engine{launch.MySQL, launch.MySQL}, 0},
		{"MariaDB+MariaDB", [2]launch.Engine{launch.MariaDB1011, launch.MariaDB1011}, 0},
		{"MySQL+MariaDB", mixed, 0},
		{"MariaDB+MySQL", mixed, 1},
	}
}

// action is what happens at the chosen packet.
type action uint8

const (
	killShardBefore action = iota
	killProxyBefore
	cutBefore
	killShardAfter
	killProxyAfter
	cutAfter
	ackedThenKilled // the shard is killed once it has answered, and the answer arrives
	orphaned        // the connection breaks, and the packet arrives at the shard later all the same
	lateBefore      // the packet arrives after the proxy, alive, has given it up
	lateAfter       // the reply does
	zombieBefore    // the proxy stops, another one recovers, then packet and proxy go on
	zombieAfter
	actions
)

func (a action) String() string {
	return [...]string{"kill shard before", "kill proxy before", "cut before", "kill shard after", "kill proxy after", "cut after", "shard acks and dies",
		"cut, packet arrives late", "late packet", "late reply", "zombie before", "zombie after"}[a]
}

func (a action) zombie() bool { return a == zombieBefore || a == zombieAfter }

func (a action) side() faultwire.Side {
	if slices.Contains([]action{killProxyBefore, killShardBefore, cutBefore, orphaned, lateBefore, zombieBefore}, a) {
		return faultwire.Before
	}
	return faultwire.After
}

// point is the kth packet with a verb that a workload sends to a shard.
type point struct {
	end  string // COMMIT or ROLLBACK
	verb faultwire.Verb
	nth  int
	home bool // at home, or at the other shard
}

func (p point) String() string {
	at := "other"
	if p.home {
		at = "home"
	}
	s := fmt.Sprintf("%s at %s", p.verb, at)
	if p.nth > 1 {
		s = fmt.Sprintf("%s #%d", s, p.nth)
	}
	if p.end == "ROLLBACK" {
		s += " (rollback)"
	}
	return s
}

// telling says whether the short form has the case.
func telling(p point, a action) bool {
	verbs := []faultwire.Verb{faultwire.Prepare, faultwire.Claim, faultwire.XACommit}
	others := []action{lateBefore, lateAfter, ackedThenKilled, cutBefore}
	return p.end == "COMMIT" && slices.Contains(verbs, p.verb) && !slices.Contains(others, a)
}

// result is one case's.
type result struct {
	row, pair string
	err       error
	recovered time.Duration
	answer    answer
	unnamed   bool // the outcome was unknown and no gtrid was told
}

// limit is how long recovery may take.
const limit = 2 * time.Second

// TestCrashMatrix kills, cuts and hangs at every packet of a transfer.
func TestCrashMatrix(t *testing.T) {
	var table matrixTable
	start := time.Now()
	t.Cleanup(func() { table.publish(t, time.Since(start)) }) // when all pairs have ended
	for _, p := range pairs() {
		if testing.Short() && p.engines[0] != p.engines[1] {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel() // a case mostly waits
			m := newMatrix(t, p)
			m.table = &table
			m.runAll()
		})
	}
}

// publish prints the table, and writes it where XAPROXY_MATRIX says.
func (m *matrixTable) publish(t *testing.T, took time.Duration) {
	text := m.text(took)
	t.Log("\n" + text)
	if path := os.Getenv("XAPROXY_MATRIX"); path != "" {
		if !filepath.IsAbs(path) {
			path = filepath.Join("..", path) // relative to the repository, where make runs
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// matrix runs the cases of one pair.
type matrix struct {
	t     *testing.T
	pair  pair
	c     *cluster
	a, b  *proxyProcess
	bank  *bank
	table *matrixTable
}

func newMatrix(t *testing.T, p pair) *matrix {
	t.Helper()
	m := &matrix{t: t, pair: p, c: newCluster(t, p.engines[0], p.engines[1])}
	m.a = m.c.newProxy(t, "a", proxySettings{node: 1})
	m.b = m.c.newProxy(t, "b", proxySettings{node: 2})
	m.a.up()
	m.bank = newBank(t, m.c, m.a)
	return m
}

// points runs both workloads without faults and lists the packets that they send.
func (m *matrix) points() []point {
	m.t.Helper()
	var all []point
	for _, end := range []string{"COMMIT", "ROLLBACK"} {
		if err := m.bank.works(m.t.Context(), m.a, m.pair.home, 10*time.Second); err != nil {
			m.t.Fatalf("%v\n%s", err, m.a.logTail(20))
		}
		m.c.resetJournals()
		db := m.a.open("", "")
		a := m.bank.transfer(m.t.Context(), db, m.pair.home, end)
		_ = db.Close()
		if a.err != nil {
			m.t.Fatalf("without a fault: %s\n%s", a, m.c.trace())
		}
		for _, i := range []int{m.pair.home, 1 - m.pair.home} {
			all = append(all, pointsOf(m.c.shards[i].journal.take(), end, i == m.pair.home)...)
		}
		if _, err := poll(m.t.Context(), limit+slack(), m.bank.settled); err != nil {
			m.t.Errorf("not settled without a fault: %v\n%s", err, m.c.trace())
		}
	}
	return all
}

func pointsOf(events []faultwire.Event, end string, home bool) []point {
	count := map[faultwire.Verb]int{}
	var all []point
	for _, e := range events {
		if e.Phase != faultwire.Sent || e.Command.Source != faultwire.Session {
			continue
		}
		for _, v := range e.Command.Verbs {
			if v == faultwire.Other || v == faultwire.Ping || v == faultwire.Recover {
				continue
			}
			if count[v]++; end == "ROLLBACK" && (v == faultwire.Begin || v == faultwire.Start) {
				continue // the same as in the other workload
			}
			all = append(all, point{end: end, verb: v, nth: count[v], home: home})
		}
	}
	return all
}

func (m *matrix) runAll() {
	points := m.points()
	for _, zombies := range []bool{false, true} {
		if zombies { // only now: a second proxy would help the first one in the other cases
			m.b.up()
		}
		for _, p := range points {
			for a := range actions {
				if a.zombie() != zombies || (testing.Short() && !telling(p, a)) {
					continue
				}
				m.t.Run(fmt.Sprintf("%s/%s", p, a), func(t *testing.T) { m.run(t, p, a) })
			}
		}
	}
}

// run runs one case and repairs by force what a failed one leaves.
func (m *matrix) run(t *testing.T, p point, a action) {
	m.c.resetJournals()
	r := m.attempt(t, p, a)
	r.row, r.pair = fmt.Sprintf("%s, %s", p, a), m.pair.name
	m.table.add(r)
	if r.err == nil {
		return
	}
	trace := fmt.Sprintf("%v\nanswer: %s\n\n%s\nproxy a:\n%s\n\nproxy b:\n%s\n", r.err, r.answer, m.c.trace(), m.a.logTail(40), m.b.logTail(20))
	if path := keep(t.Name(), trace); path != "" {
		t.Errorf("%v (answer: %s; trace in %s)", r.err, r.answer, path)
	} else {
		t.Error(trace)
	}
	m.repair(t)
}

// attempt does one transfer with one fault and judges everything.
func (m *matrix) attempt(t *testing.T, p point, a action) result {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	target := m.c.shards[m.pair.home]
	if !p.home {
		target = m.c.shards[1-m.pair.home]
	}
	if err := m.steady(ctx, a, target); err != nil {
		return result{err: err}
	}
	before := m.bank.mustBalances(t)
	armed := target.relay.Arm(m.rule(t, p, a, target))
	defer target.relay.DisarmAll()

	answers := make(chan answer, 1)
	go func() {
		db := m.a.open("", "timeout=5s&readTimeout=25s")
		defer db.Close()
		answers <- m.bank.transfer(ctx, db, m.pair.home, p.end)
	}()
	select {
	case <-armed.Fired():
	case got := <-answers:
		return result{err: fmt.Errorf("the packet was never sent: %s", got), answer: got}
	case <-ctx.Done():
		return result{err: errors.New("the packet was never sent, and the client never answered")}
	}
	if err := m.afterFault(t, a, armed, target); err != nil {
		return result{err: err}
	}
	r := result{}
	took, unsettled := m.settle(ctx)
	select {
	case r.answer = <-answers:
	case <-ctx.Done():
		r.err = errors.New("the client was never answered")
		return r
	}
	if unsettled != nil { // perhaps because the client had yet to be told
		var more time.Duration
		more, unsettled = m.settle(ctx)
		took += more
	}
	r.recovered = took
	r.err = m.judge(ctx, t, p, before, took, unsettled, &r)
	return r
}

// steady waits until the case begins from an ordinary state: the proxies are registered at every shard, and a server
// that is to be killed is old enough to be told from its next run.
func (m *matrix) steady(ctx context.Context, a action, target *shard) error {
	live := int64(1)
	if m.b.alive() {
		live = 2
	}
	_, err := poll(ctx, 5*time.Second+slack(), func(ctx context.Context) error {
		for _, s := range m.c.shards {
			n, err := s.number(ctx, "SELECT COUNT(DISTINCT node_id) FROM xaproxy.node WHERE state='L'")
			if err == nil && n != live {
				err = fmt.Errorf("%s: %d proxies are registered as live, want %d", s.name, n, live)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if a == killShardBefore || a == killShardAfter || a == ackedThenKilled {
		target.grow()
	}
	return err
}

func (m *matrix) settle(ctx context.Context) (time.Duration, error) {
	return poll(ctx, limit+slack(), m.bank.settled)
}

// rule is the fault of an action.
func (m *matrix) rule(t *testing.T, p point, a action, target *shard) faultwire.Rule {
	r := faultwire.Rule{Verb: p.verb, Nth: p.nth, Side: a.side(), From: faultwire.Session}
	switch a {
	case killProxyBefore, killProxyAfter:
		r.Hook = m.a.kill
	case killShardBefore, killShardAfter:
		r.Hook = func() { target.kill(t) }
	case ackedThenKilled:
		r.Hook = func() { target.kill(t) }
		r.Then = faultwire.Forward
	case lateBefore, lateAfter:
		r.Hold, r.Then = true, faultwire.Forward
	case orphaned:
		r.Sever, r.Hold, r.Then = true, true, faultwire.Forward
	case zombieBefore, zombieAfter:
		r.Hook = m.a.pause
		r.Hold, r.Then = true, faultwire.Forward
	case cutBefore, cutAfter, actions:
	}
	return r
}

// afterFault brings back what the action took away; when it returns, recovery has all it needs.
func (m *matrix) afterFault(t *testing.T, a action, armed *faultwire.Armed, target *shard) error {
	wait := func() error {
		select {
		case <-armed.Done():
			return nil
		case <-time.After(20 * time.Second):
			return errors.New("the fault never ended")
		}
	}
	switch a {
	case killProxyBefore, killProxyAfter:
		if err := wait(); err != nil {
			return err
		}
		m.a.start()
		_, err := poll(t.Context(), 10*time.Second+slack(), m.a.ready)
		return err
	case killShardBefore, killShardAfter, ackedThenKilled:
		if err := wait(); err != nil {
			return err
		}
		target.restart(t)
	case orphaned:
		time.Sleep(1500 * time.Millisecond)
		armed.Release()
		return wait()
	case lateBefore, lateAfter:
		// Longer than prepare_timeout and any other patience of the proxy's.
		time.Sleep(4 * time.Second)
		armed.Release()
		return wait()
	case zombieBefore, zombieAfter:
		return m.zombie(t, armed, wait)
	case cutBefore, cutAfter, actions:
		return wait()
	}
	return nil
}

// zombie waits until the other proxy has ended what it can, then lets the first one go on.
func (m *matrix) zombie(t *testing.T, armed *faultwire.Armed, wait func() error) error {
	// dead_after, and then what recovery may take
	_, err := poll(t.Context(), time.Second+limit+slack(), m.c.nothingPrepared)
	if err == nil {
		time.Sleep(1500 * time.Millisecond) // it must be dead for the other one, also when it left nothing prepared
	}
	armed.Release()
	ended := wait()
	m.a.resume()
	if err != nil {
		err = fmt.Errorf("while the zombie slept: %w", err)
	}
	return errors.Join(err, ended)
}

// judge says what is wrong with what is left and what was told.
func (m *matrix) judge(ctx context.Context, t *testing.T, p point, before [2]int64, took time.Duration, unsettled error, r *result) error {
	if unsettled != nil {
		return fmt.Errorf("not settled after %v: %w", took.Round(time.Millisecond), unsettled)
	}
	if took > limit+slack() {
		return fmt.Errorf("settled after %v", took.Round(time.Millisecond))
	}
	if err := m.bank.writable(ctx); err != nil {
		return err
	}
	after, err := m.bank.balances(ctx)
	if err != nil {
		return err
	}
	committed, err := m.bank.verdict(before, after, m.pair.home, r.answer)
	if err != nil {
		return err
	}
	if err := m.askOutcome(ctx, r, committed); err != nil {
		return err
	}
	return m.bank.works(ctx, m.a, m.pair.home, 5*time.Second+slack())
}

// askOutcome asks what became of the transaction, by the name that the client was told, or that the wire showed.
func (m *matrix) askOutcome(ctx context.Context, r *result, committed bool) error {
	names := m.c.shards[1-m.pair.home].gtrids()
	if r.answer.told == toldNothing && r.answer.gtrid == "" {
		r.unnamed = true
	}
	if r.answer.gtrid != "" {
		names = append(names, r.answer.gtrid)
	}
	db := m.a.open("", "timeout=2s&readTimeout=5s")
	defer db.Close()
	for _, g := range names {
		var text string
		if _, err := poll(ctx, 3*time.Second+slack(), func(ctx context.Context) (err error) {
			text, err = outcome(ctx, db, g)
			return err
		}); err != nil {
			return err
		}
		if err := truthful(text, committed); err != nil {
			return err
		}
	}
	// Asking may have recorded an abort; it must go too.
	_, err := poll(ctx, limit+slack(), m.c.collected)
	return err
}

// repair ends by force what a failed case left, so that the next one starts clean.
func (m *matrix) repair(t *testing.T) {
	zombies := m.b.alive()
	m.a.kill()
	m.b.kill()
	for _, s := range m.c.shards {
		s.relay.DisarmAll()
		s.relay.CutAll()
		if s.server.PID() == 0 {
			s.restart(t)
		}
		if _, err := poll(t.Context(), 20*time.Second, func(ctx context.Context) error { return s.wipe(ctx) }); err != nil {
			t.Errorf("repair: %v", err)
		}
	}
	for i, s := range m.c.shards[:2] {
		s.exec(t, fmt.Sprintf("UPDATE bank.account SET balance=1000000 WHERE id=%d", m.bank.ids[i]))
	}
	m.bank.total = m.bank.mustSum(t)
	m.a.up()
	if zombies {
		m.b.up()
	}
}

// wipe rolls back what is prepared and deletes the claims.
func (s *shard) wipe(ctx context.Context) error {
	all, err := s.prepared(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, x := range all {
		_, err := s.db.ExecContext(ctx, "XA ROLLBACK "+x.literal())
		errs = append(errs, err)
	}
	_, err = s.db.ExecContext(ctx, "DELETE FROM xaproxy.claim")
	return errors.Join(append(errs, err)...)
}

// matrixTable collects results.
type matrixTable struct {
	mu      sync.Mutex
	rows    []string
	results map[string]map[string][]result
}

func (m *matrixTable) add(r result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.results == nil {
		m.results = map[string]map[string][]result{}
	}
	if m.results[r.row] == nil {
		m.results[r.row] = map[string][]result{}
		m.rows = append(m.rows, r.row)
	}
	m.results[r.row][r.pair] = append(m.results[r.row][r.pair], r)
}

// text prints the results as Markdown.
func (m *matrixTable) text(took time.Duration) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "# Crash matrix\n\nWritten by `make crash`. One row per packet and fault: what was cut, killed or hung, and where. In each column: cases that held of cases run, the slowest\nrecovery from readiness to nothing left (both shards agree, nothing prepared, no lock, no claim), and what the client was told (c committed, a aborted, u unknown).\n\n")
	columns := m.columns()
	fmt.Fprintf(&b, "| packet, fault | %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	ok, all := 0, 0
	slowest := time.Duration(0)
	for _, row := range m.rows {
		fmt.Fprintf(&b, "| %s |", row)
		for _, column := range columns {
			cell, good, n, slow := describe(m.results[row][column])
			ok, all = ok+good, all+n
			slowest = max(slowest, slow)
			fmt.Fprintf(&b, " %s |", cell)
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprintf(&b, "\n%d of %d held; slowest recovery %v; the whole run took %v.\n", ok, all, slowest.Round(10*time.Millisecond), took.Round(time.Second))
	return b.String()
}

func (m *matrixTable) columns() []string {
	var all []string
	for _, p := range pairs() {
		for _, row := range m.results {
			if len(row[p.name]) > 0 {
				all = append(all, p.name)
				break
			}
		}
	}
	return all
}

func describe(results []result) (cell string, ok, all int, slowest time.Duration) {
	if len(results) == 0 {
		return "-", 0, 0, 0
	}
	letters := map[told]string{toldCommitted: "c", toldAborted: "a", toldNothing: "u"}
	var said string
	for _, r := range results {
		all++
		if r.err == nil {
			ok++
			slowest = max(slowest, r.recovered)
			said += letters[r.answer.told]
		}
	}
	cell = fmt.Sprintf("%d/%d %.2f s %s", ok, all, slowest.Seconds(), said)
	if ok < all {
		cell = "**" + cell + "**"
	}
	return cell, ok, all, slowest
}
