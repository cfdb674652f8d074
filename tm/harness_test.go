package tm_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"xaproxy/tm"
	"xaproxy/xa"
)

const cluster xa.ClusterID = 77

// proxy is a manager on a process.
type proxy struct {
	m     *tm.Manager
	p     *process
	w     *world
	saved *uint32
	stop  func()
}

type settings struct {
	name   string
	node   uint32
	saved  *uint32      // the state directory
	full   *atomic.Bool // nothing can be saved any more
	timing tm.Timing
	shards []xa.ShardID // default: all
	heur   func(context.Context, tm.Heuristic) error
	bulk   bool // the shards can do much at a time
}

func quick() tm.Timing {
	return tm.Timing{DeadAfter: 3 * time.Second, Retain: -1}
}

// open makes and starts a manager, but does not run it.
func (w *world) open(s settings) (*proxy, error) {
	p := w.process(s.name)
	if s.saved == nil {
		s.saved = new(uint32)
	}
	o := tm.Options{
		Cluster: cluster, Node: s.node, MinIncarnation: *s.saved,
		SaveIncarnation: func(n uint32) error {
			if s.full != nil && s.full.Load() {
				return errors.New("disk full")
			}
			*s.saved = n
			return nil
		},
		Endpoint: s.name + ":4407", Timing: s.timing, OnHeuristic: s.heur,
	}
	if os.Getenv("TM_LOG") != "" {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With(slog.String("proxy", s.name))
	}
	if s.shards == nil {
		for id := range w.servers {
			s.shards = append(s.shards, id)
		}
	}
	for _, id := range s.shards {
		l := link{p, w.servers[id]}
		if s.bulk {
			o.Shards = append(o.Shards, tm.Shard{Resource: bulkLink{l}, Claims: bulkLink{l}, Nodes: l})
			continue
		}
		o.Shards = append(o.Shards, tm.Shard{Resource: l, Claims: l, Nodes: l})
	}
	m, err := tm.New(o)
	if err != nil {
		return nil, err
	}
	x := &proxy{m: m, p: p, w: w, saved: s.saved}
	return x, m.Start(w.t.Context())
}

// run starts a manager and runs it until stop, at the latest the test's end.
func (w *world) start(s settings) *proxy {
	w.t.Helper()
	x, err := w.open(s)
	if err != nil {
		w.t.Fatalf("start %s: %v", s.name, err)
	}
	x.run()
	return x
}

func (x *proxy) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.m.Run(ctx) }()
	stopped := false
	x.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			x.w.t.Errorf("run: %v", err)
		}
	}
}

// txn is a transaction under test: home on the first shard.
type txn struct {
	*tm.Txn
	g        xa.GlobalID
	branches []*branch // 0 is home
}

// begin opens a transaction that writes at all of the shards.
func (x *proxy) begin(shards ...xa.ShardID) *txn {
	x.w.t.Helper()
	t := &txn{Txn: x.m.Begin()}
	for i, id := range shards {
		c := x.p.connect(id)
		if c == nil {
			x.w.t.Fatalf("no connection to shard %d", id)
		}
		if i == 0 {
			g, err := t.Name(c.id)
			if err != nil {
				x.w.t.Fatalf("name: %v", err)
			}
			t.g = g
			h := x.p.home(c, string(g))
			t.SetHome(h)
			t.branches = append(t.branches, h)
			continue
		}
		b, err := t.NewID(c.id)
		if err != nil {
			x.w.t.Fatalf("new id: %v", err)
		}
		br := x.p.branch(c, b)
		t.Enlist(br)
		t.branches = append(t.branches, br)
	}
	return t
}

// told says what an error of Commit tells the client.
func told(err error) xa.Outcome {
	var e *tm.EndError
	switch {
	case err == nil:
		return xa.Committed
	case errors.As(err, &e):
		return e.Outcome
	}
	return xa.Undecided
}

// close ends the transaction's sessions, as a session that is not pooled.
func (t *txn) close(w *world) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range t.branches {
		b.s.drop(b.x)
	}
}

// verdict returns how the transaction ended at the servers, and complains when
// they disagree or something is left.
func (w *world) verdict(g xa.GlobalID, branches int) string {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	how, n := "", 0
	for id, s := range w.servers {
		for p := range s.prepared {
			if p.Global == g {
				w.t.Errorf("still prepared at shard %d", id)
			}
		}
		e := s.ends[string(g)]
		if e == "" {
			continue
		}
		n++
		if how != "" && how != e {
			w.t.Errorf("MIXED: shard %d has %s, another one %s", id, e, how)
		}
		how = e
	}
	if n != branches {
		w.t.Errorf("%d of %d branches have ended", n, branches)
	}
	return how
}

// expect compares what the client was told with what the servers did.
func (w *world) expect(g xa.GlobalID, branches int, o xa.Outcome) {
	w.t.Helper()
	how := w.verdict(g, branches)
	if o == xa.Committed && how != "C" || o == xa.Aborted && how != "R" {
		w.t.Errorf("client was told %v, servers did %q", o, how)
	}
}

func (w *world) claimCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.servers {
		n += len(s.claims)
	}
	return n
}

func (w *world) claim(id xa.ShardID, g xa.GlobalID) xa.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.servers[id].claims[g].d.Outcome
}

func (w *world) node(id xa.ShardID, node, inc uint32) *xa.Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.servers[id].nodes[[2]uint32{node, inc}]
	if n == nil {
		return nil
	}
	c := *n
	return &c
}

func (w *world) called(op string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[op]
}

// bubble runs a test with fake time.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
