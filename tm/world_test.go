package tm_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"xaproxy/xa"
)

// world is a set of servers that behave like MySQL or, where sessions stay
// bound to what they prepared, like MariaDB. Faults are scripted by rules.
// Everything runs in a synctest bubble.
type world struct {
	t       *testing.T
	mu      sync.Mutex
	servers map[xa.ShardID]*server
	rules   []*rule
	calls   map[string]int
}

type sessionState uint8

const (
	idle sessionState = iota
	local
	active
	preparedHere
)

type session struct {
	id    xa.SessionID
	owner *process
	alive bool
	busy  int // verbs that are still executing although their caller is gone
	state sessionState
	id2pc xa.ID
	key   string
}

type claimRow struct {
	d    xa.Decision
	made time.Time
}

type server struct {
	w        *world
	id       xa.ShardID
	maria    bool
	up       bool
	run      uint32
	next     uint32
	sessions map[uint32]*session
	prepared map[xa.ID]*session // by whom it was prepared
	claims   map[xa.GlobalID]claimRow
	nodes    map[[2]uint32]*xa.Node
	holder   map[uint32]*process
	// ends says how each branch or home transaction ended: "C" or "R".
	ends map[string]string
}

// rule makes one matching call fail. An empty process or op matches all.
type rule struct {
	proc  string
	shard xa.ShardID
	op    string
	skip  int
	count int // how often it applies; 0: once
	kind  faultKind
	then  func() // run without locks at the moment of the fault
}

type faultKind uint8

const (
	cutBefore faultKind = iota + 1 // an error, nothing happens
	cutAfter                       // it happens, the answer is lost
	cutLate                        // an error now, it happens 700 ms later
	hang                           // nothing happens, no answer until the context ends
	hangAfter                      // it happens, no answer until the context ends
	pass                           // only then is run
)

var errCut = errors.New("connection lost")

func newWorld(t *testing.T, shards ...xa.ShardID) *world {
	w := &world{t: t, servers: map[xa.ShardID]*server{}, calls: map[string]int{}}
	for _, id := range shards {
		w.servers[id] = &server{
			w: w, id: id, up: true, run: 1000, sessions: map[uint32]*session{},
			prepared: map[xa.ID]*session{}, claims: map[xa.GlobalID]claimRow{},
			nodes: map[[2]uint32]*xa.Node{}, holder: map[uint32]*process{}, ends: map[string]string{},
			maria: id%2 == 1,
		}
	}
	return w
}

func (w *world) rule(r rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.count == 0 {
		r.count = 1
	}
	w.rules = append(w.rules, &r)
}

// match finds the fault for a call; w.mu is held.
func (w *world) match(p *process, s *server, op string) *rule {
	for _, r := range w.rules {
		if r.count == 0 || r.op != op || r.shard != s.id || (r.proc != "" && r.proc != p.name) {
			continue
		}
		if r.skip > 0 {
			r.skip--
			continue
		}
		r.count--
		return r
	}
	return nil
}

// call runs effect, which holds w.mu, as op of p at s. Each takes a millisecond.
func (w *world) call(ctx context.Context, p *process, s *server, sess *session, op string, effect func() error) error {
	time.Sleep(time.Millisecond)
	w.mu.Lock()
	w.calls[op]++
	if p.dead || !s.up || p.cutFrom[s.id] || ctx.Err() != nil {
		if sess != nil {
			s.drop(sess)
		}
		w.mu.Unlock()
		return errCut
	}
	r := w.match(p, s, op)
	if r == nil {
		defer w.mu.Unlock()
		return effect()
	}
	err := errCut
	switch r.kind {
	case cutAfter, hangAfter:
		_ = effect()
	case cutLate:
		if sess != nil {
			sess.busy++
		}
		time.AfterFunc(700*time.Millisecond, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if s.up {
				_ = effect()
			}
			if sess != nil {
				sess.busy--
			}
		})
	case pass:
		err = effect()
	case cutBefore, hang:
	}
	if sess != nil && r.kind != pass && r.kind != cutLate && r.kind != hang && r.kind != hangAfter {
		s.drop(sess)
	}
	w.mu.Unlock()
	if r.then != nil {
		r.then()
	}
	if r.kind == hang || r.kind == hangAfter {
		<-ctx.Done()
		if sess != nil {
			w.mu.Lock()
			s.drop(sess)
			w.mu.Unlock()
		}
		return fmt.Errorf("%w: %w", errCut, ctx.Err())
	}
	return err
}

// read returns what an effect has written; one that comes late may write still.
func read[T any](w *world, from *T) T {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *from
}

// drop ends a session; w.mu is held.
func (s *server) drop(x *session) {
	if !x.alive {
		return
	}
	x.alive = false
	if x.state == local || x.state == active {
		s.end(x.key, "R")
		x.state = idle
	}
}

// present: the session is in the process list; w.mu is held.
func (x *session) present() bool { return x != nil && (x.alive || x.busy > 0) }

// end notes how a branch ended; w.mu is held.
func (s *server) end(key, how string) {
	if key == "" {
		return
	}
	if was := s.ends[key]; was != "" && was != how {
		s.w.t.Errorf("shard %d: %s ended both ways", s.id, key)
	}
	s.ends[key] = how
}

// crash kills the server; restart brings it back.
func (w *world) crash(id xa.ShardID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.servers[id]
	s.up = false
	for _, x := range s.sessions {
		s.drop(x)
	}
	clear(s.sessions)
	clear(s.holder)
}

func (w *world) restart(id xa.ShardID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.servers[id]
	s.up = true
	s.run += 100
}

// process is a proxy as the servers see it.
type process struct {
	w       *world
	name    string
	dead    bool
	cutFrom map[xa.ShardID]bool
}

func (w *world) process(name string) *process {
	return &process{w: w, name: name, cutFrom: map[xa.ShardID]bool{}}
}

// die is kill -9 of the process: its sockets close.
func (p *process) die() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.dead = true
	for _, s := range p.w.servers {
		for _, x := range s.sessions {
			if x.owner == p {
				s.drop(x)
			}
		}
		for n, h := range s.holder {
			if h == p {
				delete(s.holder, n)
			}
		}
	}
}

// vanish is power off: nobody closes its sockets.
func (p *process) vanish() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.dead = true
}

// cut cuts or mends the network between the process and a shard.
func (p *process) cut(id xa.ShardID, cut bool) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.cutFrom[id] = cut
}

func (p *process) connect(id xa.ShardID) *session {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	s := p.w.servers[id]
	if !s.up || p.dead || p.cutFrom[id] {
		return nil
	}
	s.next++
	x := &session{id: xa.SessionID{Shard: id, Run: s.run, Conn: s.next}, owner: p, alive: true}
	s.sessions[s.next] = x
	return x
}

// branch is a branch or home on a session.
type branch struct {
	p         *process
	s         *server
	x         *session
	id        xa.ID
	wrote     bool
	lockless  bool
	abandoned int
	verbs     []string
	busy      bool
}

func (p *process) home(x *session, key string) *branch {
	x.state, x.key = local, key
	return &branch{p: p, s: p.w.servers[x.id.Shard], x: x, wrote: true}
}

func (p *process) branch(x *session, id xa.ID) *branch {
	x.state, x.key, x.id2pc = active, string(id.Global), id
	return &branch{p: p, s: p.w.servers[x.id.Shard], x: x, id: id, wrote: true}
}

func (b *branch) ID() xa.ID    { return b.id }
func (b *branch) Wrote() bool  { return b.wrote }
func (b *branch) Locked() bool { return !b.lockless }

func (b *branch) Abandon() {
	b.abandoned++
	b.s.w.mu.Lock()
	defer b.s.w.mu.Unlock()
	b.s.drop(b.x)
}

// do runs a verb on the branch's own session.
func (b *branch) do(ctx context.Context, op string, f func() error) error {
	b.s.w.mu.Lock()
	if b.busy {
		b.s.w.t.Errorf("two verbs on one session at once: %s", op)
	}
	b.busy = true
	b.verbs = append(b.verbs, op)
	b.s.w.mu.Unlock()
	defer func() {
		b.s.w.mu.Lock()
		b.busy = false
		b.s.w.mu.Unlock()
	}()
	return b.s.w.call(ctx, b.p, b.s, b.x, op, func() error {
		if !b.x.alive && b.x.busy == 0 {
			return errCut
		}
		return f()
	})
}

func (b *branch) Prepare(ctx context.Context) (xa.Vote, error) {
	v := xa.NoVote
	op := "prepare"
	if !b.wrote {
		op = "ping"
	}
	err := b.do(ctx, op, func() error {
		switch {
		case b.x.state != local && b.x.state != active:
			return xa.WithEffect(xa.ErrLost, xa.EffectNone)
		case !b.wrote:
			v = xa.ReadOnly
		default:
			b.x.state = preparedHere
			b.s.prepared[b.id] = b.x
			v = xa.Prepared
		}
		return nil
	})
	return read(b.s.w, &v), err
}

func (b *branch) Commit(ctx context.Context) error {
	return b.do(ctx, "commit", func() error { return b.finish("C") })
}

func (b *branch) Rollback(ctx context.Context) error {
	return b.do(ctx, "rollback", func() error { return b.finish("R") })
}

func (b *branch) finish(how string) error {
	if b.x.state == idle {
		return xa.WithEffect(xa.ErrLost, xa.EffectNone)
	}
	if b.x.state == preparedHere {
		delete(b.s.prepared, b.id)
	}
	if b.wrote {
		b.s.end(b.x.key, how)
	}
	b.x.state = idle
	return nil
}

func (b *branch) CommitClaim(ctx context.Context, d xa.Decision) error {
	return b.do(ctx, "claim", func() error {
		if b.x.state != local {
			return xa.WithEffect(xa.ErrLost, xa.EffectNone)
		}
		if _, there := b.s.claims[d.Global]; there {
			return xa.WithEffect(xa.ErrFenced, xa.EffectNone)
		}
		b.s.claims[d.Global] = claimRow{d, time.Now()}
		b.s.end(b.x.key, "C")
		b.x.state = idle
		return nil
	})
}

// link is a server as one process's resource, claim store and node store.
type link struct {
	p *process
	s *server
}

func (l link) call(ctx context.Context, op string, f func() error) error {
	return l.s.w.call(ctx, l.p, l.s, nil, op, f)
}

func (l link) Shard() xa.ShardID { return l.s.id }
func (l link) Name() string      { return fmt.Sprintf("s%d", l.s.id) }

func (l link) InDoubt(ctx context.Context) iter.Seq2[xa.ID, error] {
	return func(yield func(xa.ID, error) bool) {
		var list []xa.ID
		err := l.call(ctx, "list", func() error {
			for id := range l.s.prepared {
				list = append(list, id)
			}
			return nil
		})
		for _, id := range read(l.s.w, &list) {
			if !yield(id, nil) {
				return
			}
		}
		if err != nil {
			yield(xa.ID{}, err)
		}
	}
}

// named returns the session that a name names, if the server's run is its; w.mu is held.
func (s *server) named(id xa.SessionID) *session {
	if !xa.SameRun(id.Run, s.run) {
		return nil
	}
	return s.sessions[id.Conn]
}

func (l link) settle(id xa.ID, how string, o xa.Owner) error {
	q, err := xa.ParseQualifier(id.Branch)
	if err != nil {
		return err
	}
	x := l.s.named(q.Session)
	_, there := l.s.prepared[id]
	inTheWay := x.present() && (x.busy > 0 || x.id2pc == id && x.state != idle)
	if inTheWay && (l.s.maria || !there && how == "R") {
		if o == xa.OwnerAlive {
			return xa.ErrBusy
		}
		l.s.drop(x)
		if x.present() {
			return errors.New("killed session has not left yet")
		}
		_, there = l.s.prepared[id]
	}
	if there {
		delete(l.s.prepared, id)
		l.s.end(string(id.Global), how)
	}
	return nil
}

func (l link) Commit(ctx context.Context, id xa.ID, o xa.Owner) error {
	return l.call(ctx, "rcommit", func() error { return l.settle(id, "C", o) })
}

func (l link) Rollback(ctx context.Context, id xa.ID, o xa.Owner) error {
	return l.call(ctx, "rrollback", func() error { return l.settle(id, "R", o) })
}

func (l link) ownLive(g xa.GlobalID) bool {
	n, _ := g.Parse()
	row := l.s.nodes[[2]uint32{n.Node, n.Incarnation}]
	return row != nil && !row.Dead
}

func (l link) Fence(ctx context.Context, g xa.GlobalID, a xa.Asker, o xa.Owner) (xa.Outcome, error) {
	out := xa.Undecided
	err := l.call(ctx, "fence", func() error {
		row, there := l.s.claims[g]
		doubt := a == xa.AskOwner && !l.ownLive(g)
		switch {
		case there && row.d.Outcome == xa.Committed:
			out = xa.Committed
		case doubt:
			out = xa.Unknown
		case there:
			out = xa.Aborted
		default:
			l.s.claims[g] = claimRow{xa.Decision{Global: g, Outcome: xa.Aborted}, time.Now()}
			out = xa.Aborted
		}
		return nil
	})
	return read(l.s.w, &out), err
}

func (l link) Peek(ctx context.Context, g xa.GlobalID) (xa.Record, error) {
	d := xa.Record{Decision: xa.Decision{Global: g}}
	err := l.call(ctx, "peek", func() error {
		if row, there := l.s.claims[g]; there {
			d.Decision = row.d
		}
		n, err := g.Parse()
		if owner := l.s.nodes[[2]uint32{n.Node, n.Incarnation}]; owner != nil {
			d.OwnerDead, d.CollectedUpto = owner.Dead, owner.CollectedUpto
		}
		return err
	})
	return read(l.s.w, &d), err
}

func (l link) Sweep(ctx context.Context) iter.Seq2[xa.Claim, error] {
	return func(yield func(xa.Claim, error) bool) {
		var list []xa.Claim
		err := l.call(ctx, "sweep", func() error {
			for _, row := range l.s.claims {
				list = append(list, xa.Claim{Decision: row.d, AgeMillis: time.Since(row.made).Milliseconds()})
			}
			return nil
		})
		for _, c := range read(l.s.w, &list) {
			if !yield(c, nil) {
				return
			}
		}
		if err != nil {
			yield(xa.Claim{}, err)
		}
	}
}

func (l link) Collect(ctx context.Context, a xa.Asker, claims []xa.Claim) error {
	return l.call(ctx, "collect", func() error {
		for _, c := range claims {
			row, there := l.s.claims[c.Global]
			if !there || row.d.Outcome != c.Outcome {
				continue
			}
			n, err := c.Global.Parse()
			if err != nil {
				return err
			}
			if owner := l.s.nodes[[2]uint32{n.Node, n.Incarnation}]; owner != nil && c.Outcome == xa.Committed {
				if a == xa.AskRecoverer && !owner.Dead {
					return errors.New("the owner is not marked dead")
				}
				owner.CollectedUpto = max(owner.CollectedUpto, n.Sequence)
			}
			delete(l.s.claims, c.Global)
		}
		return nil
	})
}

func (l link) HomeGone(ctx context.Context, g xa.GlobalID) (bool, error) {
	gone := false
	err := l.call(ctx, "homegone", func() error {
		n, err := g.Parse()
		gone = err == nil && !l.s.named(n.Home).present()
		return err
	})
	return read(l.s.w, &gone), err
}

func (l link) Nodes(ctx context.Context) ([]xa.Node, error) {
	var list []xa.Node
	err := l.call(ctx, "nodes", func() error {
		for _, n := range l.s.nodes {
			list = append(list, *n)
		}
		return nil
	})
	return read(l.s.w, &list), err
}

func (l link) Register(ctx context.Context, n xa.Node) error {
	return l.call(ctx, "register", func() error {
		key := [2]uint32{n.ID, n.Incarnation}
		if row := l.s.nodes[key]; row != nil {
			if row.Dead {
				return xa.ErrDead
			}
			return nil
		}
		l.s.nodes[key] = &n
		return nil
	})
}

func (l link) Beat(ctx context.Context, node, inc uint32) (xa.Node, error) {
	var row xa.Node
	err := l.call(ctx, "beat", func() error {
		n := l.s.nodes[[2]uint32{node, inc}]
		if n == nil {
			return errors.New("no such row")
		}
		if !n.Dead {
			n.Beat++
		}
		row = *n
		return nil
	})
	return read(l.s.w, &row), err
}

func (l link) MarkDead(ctx context.Context, node, inc uint32) error {
	return l.call(ctx, "markdead", func() error {
		key := [2]uint32{node, inc}
		if l.s.nodes[key] == nil {
			l.s.nodes[key] = &xa.Node{ID: node, Incarnation: inc}
		}
		l.s.nodes[key].Dead = true
		l.s.nodes[key].Beat++ // as xamysql does, so that the mark is flushed
		return nil
	})
}

func (l link) Hold(ctx context.Context, node uint32) (func(), error) {
	err := l.call(ctx, "hold", func() error {
		if l.s.holder[node] != nil {
			return xa.ErrHeld
		}
		l.s.holder[node] = l.p
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func() {
		l.s.w.mu.Lock()
		defer l.s.w.mu.Unlock()
		if l.s.holder[node] == l.p && !l.p.dead {
			delete(l.s.holder, node)
		}
	}, nil
}

func (l link) KillHolder(ctx context.Context, node uint32) error {
	return l.call(ctx, "killholder", func() error {
		delete(l.s.holder, node)
		return nil
	})
}
