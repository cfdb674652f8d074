package integration

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"xaproxy/internal/faultwire"
)

// chaosFault is one kind of fault. It is over, and healed, when run returns; false means that it did not come about.
type chaosFault struct {
	name    string
	weight  int
	proxies int // how many it concerns
	shards  int
	shared  bool // others may concern the same targets at the same time
	run     func(w *chaos, p []*chaosProxy, s []*chaosShard) bool
}

func chaosFaults() []chaosFault {
	return append(atVerbs(), []chaosFault{
		{"kill -9 of a proxy", 12, 1, 0, false, func(w *chaos, p []*chaosProxy, _ []*chaosShard) bool { return w.killProxies(p) }},
		{"kill -9 of two proxies", 2, 2, 0, false, func(w *chaos, p []*chaosProxy, _ []*chaosShard) bool { return w.killProxies(p) }},
		{"kill -9 of a shard", 10, 0, 1, false, func(w *chaos, _ []*chaosProxy, s []*chaosShard) bool { return w.killShards(s) }},
		{"kill -9 of two shards", 2, 0, 2, false, func(w *chaos, _ []*chaosProxy, s []*chaosShard) bool { return w.killShards(s) }},
		{"kill -9 of a proxy and a shard", 5, 1, 1, false, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool {
			var both sync.WaitGroup
			both.Go(func() { w.killProxies(p) })
			both.Go(func() { w.killShards(s) })
			both.Wait()
			return true
		}},
		{"proxy stopped for longer than dead_after", 8, 1, 0, false, func(w *chaos, p []*chaosProxy, _ []*chaosShard) bool {
			return w.still(p, nil, 1500*time.Millisecond, 5*time.Second)
		}},
		{"two proxies stopped for longer than dead_after", 4, 2, 0, false, func(w *chaos, p []*chaosProxy, _ []*chaosShard) bool {
			return w.still(p, nil, 1500*time.Millisecond, 5*time.Second)
		}},
		{"shard stopped", 5, 0, 1, false, func(w *chaos, _ []*chaosProxy, s []*chaosShard) bool {
			return w.still(nil, s, 300*time.Millisecond, 4*time.Second)
		}},
		{"two shards stopped", 2, 0, 2, false, func(w *chaos, _ []*chaosProxy, s []*chaosShard) bool {
			return w.still(nil, s, 300*time.Millisecond, 4*time.Second)
		}},
		{"a proxy and a shard stopped", 4, 1, 1, false, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool {
			return w.still(p, s, 1500*time.Millisecond, 5*time.Second)
		}},
		{"a proxy drained and started again", 5, 1, 0, false, func(w *chaos, p []*chaosProxy, _ []*chaosShard) bool {
			if err := p[0].stop(); err != nil {
				w.violate(nil, "proxy %s was asked to end: %v\n%s", p[0].name, err, p[0].logTail(20))
			}
			p[0].start()
			return true
		}},
		{"the configuration read anew", 3, 1, 0, true, func(_ *chaos, p []*chaosProxy, _ []*chaosShard) bool {
			p[0].signal(syscall.SIGHUP)
			return true
		}},
		{"all connections between a proxy and a shard cut", 10, 1, 1, true, func(_ *chaos, p []*chaosProxy, s []*chaosShard) bool {
			p[0].relays[s[0].index].CutAll()
			return true
		}},
		{"a proxy cut off from a shard", 6, 1, 1, false, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool { return w.cutOff(p, s) }},
		{"a proxy cut off from two shards", 4, 1, 2, false, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool { return w.cutOff(p, s) }},
		{"a proxy cut off from all shards", 4, 1, 0, false, func(w *chaos, p []*chaosProxy, _ []*chaosShard) bool { return w.cutOff(p, w.shards) }},
		{"a shard cut off from two proxies", 3, 2, 1, false, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool { return w.cutOff(p, s) }},
	}...)
}

// atVerbs are the faults that strike at a chosen packet.
func atVerbs() []chaosFault {
	forward := faultwire.Rule{Hold: true, Then: faultwire.Forward}
	late := faultwire.Rule{Sever: true, Hold: true, Then: faultwire.Forward}
	return []chaosFault{
		{"connection cut at a verb", 12, 1, 1, true, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool {
			return w.atVerb(p[0], s[0], faultwire.Rule{}, 0)
		}},
		{"packet or reply held, then goes on", 10, 1, 1, true, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool {
			return w.atVerb(p[0], s[0], forward, w.random.between(200*time.Millisecond, 6*time.Second))
		}},
		{"connection lost, the packet arrives late", 8, 1, 1, true, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool {
			return w.atVerb(p[0], s[0], late, w.random.between(200*time.Millisecond, 6*time.Second))
		}},
		{"kill -9 of a proxy at a verb", 8, 1, 1, false, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool {
			return w.atVerb(p[0], s[0], faultwire.Rule{Hook: p[0].kill, Then: faultwire.Forward}, 0) && w.killProxies(p)
		}},
		{"kill -9 of a shard at a verb", 8, 1, 1, false, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool {
			return w.atVerb(p[0], s[0], faultwire.Rule{Hook: func() { s[0].kill(w.t) }}, 0) && w.killShards(s)
		}},
		{"proxy stopped at a verb, goes on as a zombie", 14, 1, 1, false, func(w *chaos, p []*chaosProxy, s []*chaosShard) bool {
			defer p[0].resume()
			zombie := forward
			zombie.Hook = p[0].pause
			return w.atVerb(p[0], s[0], zombie, w.random.between(1500*time.Millisecond, 4*time.Second))
		}},
	}
}

// chaosVerbs are where rules act; what is named more often is chosen more often.
var chaosVerbs = []faultwire.Verb{
	faultwire.Start, faultwire.End, faultwire.Prepare, faultwire.Prepare, faultwire.Prepare, faultwire.Claim, faultwire.Claim, faultwire.Claim,
	faultwire.Commit, faultwire.Commit, faultwire.XACommit, faultwire.XACommit, faultwire.XACommit, faultwire.OnePhase, faultwire.Rollback,
	faultwire.XARollback, faultwire.XARollback, faultwire.Begin, faultwire.Recover, faultwire.Other, faultwire.Ping,
}

// torment begins a fault about once a second until ctx ends. Faults overlap, but never on the same target.
func (w *chaos) torment(ctx context.Context, running *sync.WaitGroup) {
	faults := chaosFaults()
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	for rest := 12; ; rest-- {
		wait := w.random.between(100*time.Millisecond, 1200*time.Millisecond)
		if rest == 0 { // some peace, in which definitions come to their end
			rest, wait = 8+w.random.IntN(12), 6*time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		for range 5 { // until one finds its targets free
			n, i := w.random.IntN(total), 0
			for ; n >= faults[i].weight; i++ {
				n -= faults[i].weight
			}
			if p, s, ok := w.targets(faults[i]); ok {
				running.Go(func() { w.strike(faults[i], p, s) })
				break
			}
		}
	}
}

// strike runs a fault and gives its targets back.
func (w *chaos) strike(f chaosFault, p []*chaosProxy, s []*chaosShard) {
	began := time.Now()
	struck := f.run(w, p, s)
	if struck {
		w.figures.fault(f.name)
		w.trace.note("FAULT from %s: %s: %s", began.Format("15:04:05.000000"), f.name, targetNames(p, s))
	}
	for _, x := range p {
		x.busy.giveBack(f.shared, struck)
	}
	for _, x := range s {
		x.busy.giveBack(f.shared, struck)
	}
}

func targetNames(p []*chaosProxy, s []*chaosShard) string {
	var names []string
	for _, x := range p {
		names = append(names, "proxy "+x.name)
	}
	for _, x := range s {
		names = append(names, "shard "+x.name)
	}
	return strings.Join(names, ", ")
}

// targets takes the targets of a fault, or none.
func (w *chaos) targets(f chaosFault) (p []*chaosProxy, s []*chaosShard, ok bool) {
	first := w.random.IntN(len(w.proxies) * len(w.shards))
	for i := range f.proxies {
		if x := w.proxies[(first+i)%len(w.proxies)]; x.busy.take(f.shared) {
			p = append(p, x)
		}
	}
	for i := range f.shards {
		if x := w.shards[(first+i)%len(w.shards)]; x.busy.take(f.shared) {
			s = append(s, x)
		}
	}
	if len(p) == f.proxies && len(s) == f.shards {
		return p, s, true
	}
	for _, x := range p {
		x.busy.giveBack(f.shared, false)
	}
	for _, x := range s {
		x.busy.giveBack(f.shared, false)
	}
	return nil, nil, false
}

// pass lets some time go by.
func (w *chaos) pass(a, b time.Duration) { time.Sleep(w.random.between(a, b)) }

func (w *chaos) killProxies(all []*chaosProxy) bool {
	for _, p := range all {
		p.kill()
	}
	if w.random.chance(60) {
		w.pass(0, 2500*time.Millisecond)
	}
	for _, p := range all {
		p.start()
	}
	return true
}

// still stops processes for a while.
func (w *chaos) still(proxies []*chaosProxy, shards []*chaosShard, a, b time.Duration) bool {
	for _, p := range proxies {
		p.pause()
	}
	for _, s := range shards {
		if err := s.server.Pause(); err != nil {
			w.t.Errorf("pause %s: %v", s.name, err)
		}
	}
	w.pass(a, b)
	for _, s := range shards {
		if err := s.server.Resume(); err != nil {
			w.t.Errorf("resume %s: %v", s.name, err)
		}
	}
	for _, p := range proxies {
		p.resume()
	}
	return true
}

func (w *chaos) killShards(all []*chaosShard) bool {
	for _, s := range all {
		s.kill(w.t)
	}
	if w.random.chance(60) {
		w.pass(0, 2500*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	for _, s := range all {
		if err := s.server.Restart(ctx); err != nil {
			w.t.Errorf("restart %s: %v", s.name, err)
		}
	}
	return true
}

// cutOff closes the relays between some proxies and some shards for a while.
func (w *chaos) cutOff(proxies []*chaosProxy, shards []*chaosShard) bool {
	each := func(do func(*faultwire.Relay)) {
		for _, p := range proxies {
			for _, s := range shards {
				do(p.relays[s.index])
			}
		}
	}
	each((*faultwire.Relay).Refuse)
	each((*faultwire.Relay).CutAll)
	w.pass(300*time.Millisecond, 4*time.Second)
	each((*faultwire.Relay).Admit)
	return true
}

// atVerb lets a rule act at a random verb, holds what it holds for a while, and reports whether it acted at all.
func (w *chaos) atVerb(p *chaosProxy, s *chaosShard, r faultwire.Rule, hold time.Duration) bool {
	r.Verb = chaosVerbs[w.random.IntN(len(chaosVerbs))]
	if hold > 0 && w.random.chance(30) {
		r.Verb = faultwire.Claim // what a fence is for
	}
	r.Nth = 1 + w.random.IntN(3)
	if w.random.chance(50) {
		r.Side = faultwire.After
	}
	if !w.random.chance(20) {
		r.From = faultwire.Session
	}
	a := p.relays[s.index].Arm(r)
	defer a.Release()
	select {
	case <-a.Fired():
	case <-time.After(3 * time.Second):
		if !a.Disarm() {
			return false
		}
	}
	w.trace.note("RULE %s: %v %s of %v, hold %v: %s", p.relays[s.index].Addr(), r.Side, r.Verb, r.From, hold, a.Command())
	time.Sleep(hold)
	a.Release()
	select {
	case <-a.Done():
	case <-time.After(10 * time.Second):
		w.t.Errorf("a rule does not end: %v %v at proxy %s, shard %s", r.Side, r.Verb, p.name, s.name)
	}
	w.figures.verb(fmt.Sprintf("%s %s", r.Side, r.Verb))
	return true
}

// heal ends what faults may have left.
func (w *chaos) heal() {
	for _, p := range w.proxies {
		for _, r := range p.relays {
			r.DisarmAll()
			r.Admit()
		}
	}
}

// supervise starts proxies and shards again that have ended by themselves, as every service manager does.
func (w *chaos) supervise(ctx context.Context) {
	for ctx.Err() == nil {
		for _, p := range w.proxies {
			if !p.busy.take(false) {
				continue
			}
			ended := !p.alive()
			if ended {
				w.figures.count(&w.figures.exits)
				w.trace.note("proxy %s has ended by itself", p.name)
				w.t.Logf("proxy %s has ended by itself:\n%s", p.name, p.logTail(5))
				p.start()
			}
			p.busy.giveBack(false, ended)
		}
		for _, s := range w.shards {
			if s.busy.take(false) {
				s.busy.giveBack(false, w.revive(s))
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// revive starts a server again that has ended by itself, and reports whether it had.
func (w *chaos) revive(s *chaosShard) bool {
	if s.server.PID() != 0 {
		return false
	}
	w.figures.count(&w.figures.crashes)
	w.trace.note("shard %s has ended by itself", s.name)
	log, err := os.ReadFile(s.server.ErrorLog())
	if err != nil {
		w.t.Error(err)
	}
	w.t.Logf("shard %s (%s) has ended by itself:\n%s", s.name, s.server.Engine(), log[max(0, len(log)-20000):])
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	if err := s.server.Restart(ctx); err != nil {
		w.t.Errorf("restart %s: %v", s.name, err)
	}
	return true
}

// define changes definitions while they are used. What was executed on a part of the shards only is repeated, as the
// error asks for.
func (w *chaos) define(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.random.between(time.Second, 6*time.Second)):
		}
		table := []string{"ledger", "account", "note", ""}[w.random.IntN(4)]
		if table == "" {
			if w.settleDefinition(ctx, "CREATE TABLE bank.passing (id INT PRIMARY KEY, v INT) ENGINE=InnoDB", 1050) {
				w.settleDefinition(ctx, "DROP TABLE bank.passing", 1051)
			}
			continue
		}
		column := fmt.Sprintf("extra%d", w.random.IntN(3))
		if w.settleDefinition(ctx, fmt.Sprintf("ALTER TABLE bank.%s ADD COLUMN %s INT NULL", table, column), 1060) {
			w.settleDefinition(ctx, fmt.Sprintf("ALTER TABLE bank.%s DROP COLUMN %s", table, column), 1091)
		}
	}
}

// settleDefinition executes a definition until every shard has it: until it is OK, or every shard says that it has it.
func (w *chaos) settleDefinition(ctx context.Context, q string, already uint16) bool {
	var err error
	for began := time.Now(); time.Since(began) < 90*time.Second; {
		err = w.defineOnce(ctx, q)
		if err == nil || errorNumber(err) == already {
			w.figures.count(&w.figures.definitions)
			return true
		}
		w.trace.note("%s: %v", q, err)
		w.figures.refused(err)
		select {
		case <-ctx.Done(): // judge asks for what is left
			return false
		case <-time.After(w.random.between(100*time.Millisecond, 500*time.Millisecond)):
		}
	}
	w.violate(nil, "a definition does not come to its end: %s: %v", q, err)
	return false
}

func (w *chaos) defineOnce(ctx context.Context, q string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 60*time.Second)
	defer cancel()
	db := w.proxies[w.random.IntN(len(w.proxies))].open("", "timeout=2s&readTimeout=55s")
	defer db.Close()
	_, err := db.ExecContext(ctx, q)
	return err
}

// operate does what operators do, on the admin ports.
func (w *chaos) operate(ctx context.Context) {
	admins := make([]*sql.DB, len(w.proxies))
	for i, p := range w.proxies {
		var err error
		if admins[i], err = sql.Open("mysql", fmt.Sprintf("ops:%s@tcp(%s)/?timeout=1s&readTimeout=20s", opsPassword, p.adminAddr)); err != nil {
			w.t.Error(err)
			return
		}
		defer admins[i].Close()
	}
	for ctx.Err() == nil {
		q := []string{"SHOW XA TRANSACTIONS", "XA RECOVER", "XA RESOLVE ALL", "SHOW SHARDS", "SHOW NODES"}[w.random.IntN(5)]
		if g := w.trace.recent(w.random); g != "" && w.random.chance(50) {
			q = fmt.Sprintf("XA RESOLVE '%s'", g)
			if w.random.chance(30) {
				q = fmt.Sprintf("SHOW XA TRANSACTION '%s'", g)
			}
		}
		if readAll(ctx, admins[w.random.IntN(len(admins))], q) == nil {
			w.figures.count(&w.figures.operated)
		}
		select {
		case <-ctx.Done():
		case <-time.After(w.random.between(50*time.Millisecond, 700*time.Millisecond)):
		}
	}
}

// readAll executes a query and reads its rows.
func readAll(ctx context.Context, db *sql.DB, q string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	rows, err := db.QueryContext(ctx, q)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		continue
	}
	return rows.Err()
}
