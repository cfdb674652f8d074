package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/xa"
)

// catalog keeps the snapshot of what is known about tables: their definitions
// as all shards have them, and where their rows are. Safe for concurrent use.
type catalog struct {
	e   *engine
	m   *route.Map
	now atomic.Pointer[snapshot]
	// stale takes the wish that the catalog be read anew.
	stale chan struct{}

	mu sync.Mutex // one refresh at a time
	// Guarded by mu:
	loaded map[xa.ShardID]*shardCatalog // the last that each shard has told
	last   time.Time                    // when the last refresh ended
}

// soonest bounds how often statements about unknown tables make the catalog be
// read anew.
const soonest = time.Second

// loadPatience bounds the reading at one shard.
const loadPatience = 20 * time.Second

func newCatalog(e *engine, m *route.Map) *catalog {
	c := &catalog{e: e, m: m, stale: make(chan struct{}, 1), loaded: map[xa.ShardID]*shardCatalog{}}
	c.now.Store(&snapshot{m: m, tables: map[plan.TableName]entry{}, charsets: fallbackCharsets()})
	return c
}

// current returns the latest snapshot.
func (c *catalog) current() *snapshot { return c.now.Load() }

// refresh reads all shards and publishes a new snapshot. A shard that does not
// answer keeps what it told before.
func (c *catalog) refresh(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load(ctx)
}

// followStep is how often it is looked at whether a shard is back.
const followStep = time.Second

// follow reads the catalog anew when it was said to be stale, when a shard that
// was down is up, and as long as a shard has told nothing; until the returned
// function is called, which waits for the goroutine.
func (c *catalog) follow(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(followStep)
		defer tick.Stop()
		down := map[xa.ShardID]bool{}
		for {
			select {
			case <-ctx.Done():
				return
			case <-c.stale:
				c.refresh(ctx)
			case <-tick.C:
				if c.returned(down) {
					c.refresh(ctx)
				}
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// returned reports whether a shard is up that was down when it was called last,
// or that has told nothing yet.
func (c *catalog) returned(down map[xa.ShardID]bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := false
	for n, s := range c.e.shards {
		isDown := s.Pool.Stats().Down
		if !isDown && (down[n] || c.loaded[n] == nil) {
			found = true
		}
		down[n] = isDown
	}
	return found
}

// refreshSoon is refresh for whoever missed a table; false: it was done a moment
// ago, or there is nothing new.
func (c *catalog) refreshSoon(ctx context.Context) bool {
	before := c.current().version
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current().version != before {
		return true // somebody was faster
	}
	if time.Since(c.last) < soonest {
		return false
	}
	c.load(ctx)
	return c.current().version != before
}

// load does the work; mu is held.
func (c *catalog) load(ctx context.Context) {
	// A client that goes away must not leave half a catalog.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadPatience)
	defer cancel()
	var wg sync.WaitGroup
	fresh := make([]*shardCatalog, len(c.e.order))
	for i, n := range c.e.order {
		wg.Go(func() {
			var err error
			if fresh[i], err = loadShard(ctx, c.e.shards[n]); err != nil {
				c.e.log.Warn("catalog of a shard cannot be read", slog.String("shard", c.e.name(n)), slog.Any("err", err))
			}
		})
	}
	wg.Wait()
	for i, n := range c.e.order {
		if fresh[i] != nil {
			c.loaded[n] = fresh[i]
		}
	}
	b := builder{e: c.e, m: c.m, shards: c.loaded}
	next := b.build(ctx)
	next.version = c.current().version + 1
	c.now.Store(next)
	c.last = time.Now()
}

// snapshot is an immutable catalog. It implements plan.Catalog.
type snapshot struct {
	version  uint64
	m        *route.Map
	tables   map[plan.TableName]entry
	stored   []plan.TableName // that have a stored placement
	charsets charsets
	// schemas and defaults are the default collations of schemas and character
	// sets, where all shards agree.
	schemas, defaults map[string]string
	sqlMode           string          // the servers' default
	isolation         string          // the servers' default, "" where they differ
	collations        map[string]bool // those that all shards know
}

// entry is a table, or why it cannot be used.
type entry struct {
	table  *plan.Table
	reason error
	shards []xa.ShardID // that have it
}

// Version implements plan.Catalog.
func (s *snapshot) Version() uint64 { return s.version }

// Map implements plan.Catalog.
func (s *snapshot) Map() *route.Map { return s.m }

// Table implements plan.Catalog.
func (s *snapshot) Table(schema, name string) (*plan.Table, error) {
	e, known := s.tables[plan.TableName{Schema: schema, Name: name}]
	if !known {
		return nil, &plan.Refusal{Code: plan.CodeNoSuchTable, Construct: fmt.Sprintf("table '%s.%s' doesn't exist", schema, name)}
	}
	return e.table, e.reason
}

// TablesOf implements plan.Catalog.
func (s *snapshot) TablesOf(schema string) []plan.TableName {
	var list []plan.TableName
	for name := range s.tables {
		if strings.EqualFold(name.Schema, schema) {
			list = append(list, name)
		}
	}
	slices.SortFunc(list, func(a, b plan.TableName) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Collation implements plan.Catalog.
func (s *snapshot) Collation(schema, charset string) string {
	if charset == "" {
		return s.schemas[schema]
	}
	return s.defaults[canonicalCharset(charset)]
}

// placed are the tables of a schema that have a stored placement.
func (s *snapshot) placed(schema string) []plan.TableName {
	var list []plan.TableName
	for _, t := range s.stored {
		if t.Schema == schema {
			list = append(list, t)
		}
	}
	return list
}

// shardsOf are the shards that have all of the tables.
func (s *snapshot) shardsOf(tables []plan.TableName) []xa.ShardID {
	var list []xa.ShardID
	for i, t := range tables {
		e := s.tables[t]
		if i == 0 {
			list = slices.Clone(e.shards)
			continue
		}
		list = slices.DeleteFunc(list, func(n xa.ShardID) bool { return !slices.Contains(e.shards, n) })
	}
	return list
}

// unknownTable reports whether err says that a table does not exist.
func unknownTable(err error) bool {
	var r *plan.Refusal
	return errors.As(err, &r) && r.Code == plan.CodeNoSuchTable
}

// loadShard reads what one shard has to tell.
func loadShard(ctx context.Context, s *Shard) (*shardCatalog, error) {
	conn, err := s.Pool.Get(ctx, backend.State{})
	if err != nil {
		return nil, err
	}
	defer s.Pool.Put(conn)
	sc, err := readCatalog(ctx, conn)
	if err != nil {
		return nil, err
	}
	placements, err := s.Store.Placements(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range placements {
		sc.placements[plan.TableName{Schema: p.Schema, Name: p.Table}] = p
	}
	return sc, nil
}
