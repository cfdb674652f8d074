package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"xaproxy/proxy/route"
	"xaproxy/xa"
)

// lifetime ends what an engine does by itself once there is a newer one and no
// session uses it any more.
type lifetime struct {
	mu sync.Mutex
	// Guarded by mu:
	sessions int
	retired  bool
	end      context.CancelFunc // nil: it has not begun
}

// begin notes how what runs is ended; false: it runs already.
func (l *lifetime) begin(end context.CancelFunc) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		return false
	}
	l.end = end
	return true
}

// enter counts a session; false: there is a newer engine.
func (l *lifetime) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		return false
	}
	l.sessions++
	return true
}

func (l *lifetime) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions--
	l.endUnused()
}

func (l *lifetime) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired = true
	l.endUnused()
}

// endUnused is called with mu held.
func (l *lifetime) endUnused() {
	if l.retired && l.sessions == 0 && l.end != nil {
		l.end()
	}
}

// begin joins the cluster's catalog and follows it until ctx ends or the engine's
// life does. It returns after the catalog was read. What has begun is not begun again.
func (e *engine) begin(ctx context.Context, background func(func())) {
	ctx, end := context.WithCancel(ctx)
	if !e.life.begin(end) {
		end()
		return
	}
	e.catalog.share.join(ctx, background)
	stop := e.catalog.follow(ctx)
	background(func() {
		<-ctx.Done()
		stop()
		end()
	})
}

// current is the engine of the data port that sessions begin with; nil at other
// ports.
func (s *Server) current() *engine { return s.engine.Load() }

// enter returns the newest engine, which lasts until its lifetime is left.
func (s *Server) enter() *engine {
	for {
		if e := s.current(); e.life.enter() {
			return e
		}
	}
}

// generations is how far the versions of two engines' catalogs are apart, so that
// a plan of one is never taken for a plan of the other.
const generations = 1 << 32

// AddShards takes more shards, with the placement map for all of them. When a table
// that can be used would be placed otherwise or could not be used any more, it
// returns an error and nothing has changed, as when admit, which is called before the
// first session sees them, returns one. Sessions see the shards from their next
// statement outside of a transaction on.
func (s *Server) AddShards(ctx context.Context, added []Shard, m *route.Map, admit func() error) error {
	s.extending.Lock()
	defer s.extending.Unlock()
	old := s.current()
	if old == nil {
		return errors.New("this port has no shards")
	}
	next, err := old.with(added, m) //nolint:contextcheck // pools outlive the call
	if err != nil {
		return err
	}
	next.begin(s.ctx, s.background) //nolint:contextcheck // it lives as long as the sessions
	old.catalog.refresh(ctx)
	err = next.succeeds(old)
	if err == nil {
		err = admit()
	}
	if err != nil {
		next.life.retire()
		return errors.Join(err, next.closeOwn(ctx, func(n xa.ShardID) bool { return old.shards[n] == nil }))
	}
	s.engine.Store(next)
	old.life.retire()
	return nil
}

// with is an engine for the same shards and the added ones.
func (e *engine) with(added []Shard, m *route.Map) (*engine, error) {
	o := e.made
	o.Shards, o.Map = nil, m
	for _, n := range e.order {
		o.Shards = append(o.Shards, *e.shards[n]) // with the connections of the proxy's own
	}
	o.Shards = append(o.Shards, added...)
	next, err := newEngine(o)
	if err != nil {
		return nil, err
	}
	next.limits = e.limits
	first := *next.catalog.current()
	first.version = e.catalog.current().version + generations
	next.catalog.now.Store(&first)
	return next, nil
}

// succeeds says why an engine cannot take another one's place.
func (e *engine) succeeds(old *engine) error {
	was, is := old.catalog.current(), e.catalog.current()
	if !was.whole || !is.whole {
		return errors.New("not every shard answers: whether rows would have to move cannot be told")
	}
	for _, n := range e.order {
		if lost := e.catalog.lacksSchema(n, was); old.shards[n] == nil && lost != "" {
			return fmt.Errorf("schema %s is missing at shard %s, or has another collation there than at the others", lost, e.name(n))
		}
	}
	return moved(was, is)
}

// lacksSchema names a schema that a shard has not as all did before; "": there is none.
func (c *catalog) lacksSchema(n xa.ShardID, before *snapshot) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(before.schemas)) {
		if collation := before.schemas[name]; collation != "" && c.loaded[n].schemas[name] != collation {
			return name
		}
	}
	return ""
}

// goOver makes a session use the newest engine. It is called between commands,
// outside of transactions.
func (s *session) goOver() {
	if s.c.srv.current() == s.e {
		return
	}
	old := s.e
	s.e = s.c.srv.enter()
	old.life.leave()
	s.guessed = true // the defaults were chosen before all shards had told theirs
}
