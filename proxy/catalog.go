package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// catalog keeps the snapshot of what is known about tables: their definitions
// as all shards have them, and where their rows are. Safe for concurrent use.
type catalog struct {
	e   *engine
	m   *route.Map
	now atomic.Pointer[snapshot]
	// stale takes the wish that the catalog be read anew.
	stale chan struct{}
	// share is what this proxy and the others tell each other about changes.
	share *share
	// turn is held by the session whose definition statement is executed.
	turn chan struct{}

	mu sync.Mutex // one refresh at a time
	// Guarded by mu:
	loaded map[xa.ShardID]*shardCatalog // the last that each shard has told
	began  time.Time                    // when the last refresh began
	last   time.Time                    // when it ended
}

// soonest bounds how often statements about unknown tables make the catalog be
// read anew.
const soonest = 500 * time.Millisecond

// loadPatience bounds the reading at one shard.
const loadPatience = 20 * time.Second

func newCatalog(e *engine, m *route.Map) *catalog {
	c := &catalog{e: e, m: m, stale: make(chan struct{}, 1), loaded: map[xa.ShardID]*shardCatalog{},
		turn: make(chan struct{}, 1)}
	c.share = newShare(c)
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
	c.load(ctx, doubt{})
}

// doubt is what must not be believed any more of a shard that cannot be asked.
type doubt struct {
	all    bool
	tables []plan.TableName // without a name: all of the schema
}

// reload is refresh after somebody has changed definitions. A shard that does
// not answer keeps nothing of what is in doubt.
func (c *catalog) reload(ctx context.Context, d doubt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load(ctx, d)
}

// setMap replaces the configured placement, unless a table that can be used would
// be placed otherwise or could not be used any more: rows would be looked for
// where they are not. The error says which, and nothing has changed.
func (c *catalog) setMap(ctx context.Context, m *route.Map) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load(ctx, doubt{})
	now := c.current()
	if !now.whole {
		return errors.New("not every shard answers: whether rows would have to move cannot be told")
	}
	before := c.m
	c.m = m
	next := c.snapshot(ctx)
	if err := moved(now, next); err != nil {
		c.m = before
		return err
	}
	c.now.Store(next)
	return nil
}

// moved names a table whose rows would have to be elsewhere.
func moved(now, next *snapshot) error {
	for name, have := range now.tables {
		then := next.tables[name]
		switch {
		case have.table == nil:
		case then.table == nil:
			return fmt.Errorf("table %s.%s could not be used any more: %w", name.Schema, name.Name, then.reason)
		case have.table.Rule.Fingerprint() != then.table.Rule.Fingerprint():
			return fmt.Errorf("rows of table %s.%s would have to move: it is placed by %s, not by %s", name.Schema, name.Name, have.table.Rule.Text(), then.table.Rule.Text())
		}
	}
	return nil
}

// suspect forgets at a shard what is in doubt; mu is held.
func (c *catalog) suspect(n xa.ShardID, d doubt) {
	have := c.loaded[n]
	switch {
	case have == nil, !d.all && len(d.tables) == 0:
	case d.all:
		delete(c.loaded, n)
	default:
		changed := change{tables: d.tables}
		have.doubt = append(have.doubt, changed)
		maps.DeleteFunc(have.tables, func(name plan.TableName, _ *tableFacts) bool { return changed.concerns(name) })
		maps.DeleteFunc(have.placements, func(name plan.TableName, _ xamysql.Placement) bool { return changed.concerns(name) })
	}
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

// refreshSince is refresh for whoever missed a table at a time, as soon as that
// is permitted; false: it was done since, or the session's time is over.
func (c *catalog) refreshSince(ctx context.Context, missed time.Time) bool {
	c.mu.Lock()
	done, wait := c.began.After(missed), time.Until(c.last.Add(soonest))
	c.mu.Unlock()
	if done || !pause(ctx, wait) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.began.After(missed) {
		c.load(ctx, doubt{})
	}
	return true
}

// unusableSoonest bounds how often a table that cannot be used makes the catalog
// be read anew: people mend it past the proxy.
const unusableSoonest = 5 * time.Second

// suspectUnusable has the catalog read anew in the background, for a statement
// that was refused because of what is known of a table.
func (c *catalog) suspectUnusable() {
	if !c.mu.TryLock() { // it is being read
		return
	}
	old := time.Since(c.last) > unusableSoonest
	c.mu.Unlock()
	if !old {
		return
	}
	select {
	case c.stale <- struct{}{}:
	default:
	}
}

// load does the work; mu is held.
func (c *catalog) load(ctx context.Context, d doubt) {
	c.began = time.Now()
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
		} else {
			c.suspect(n, d)
		}
	}
	c.now.Store(c.snapshot(ctx))
	c.last = time.Now()
}

// snapshot is made of what the shards have told; mu is held.
func (c *catalog) snapshot(ctx context.Context) *snapshot {
	b := builder{e: c.e, m: c.m, shards: c.loaded}
	next := b.build(ctx)
	next.version = c.current().version + 1
	next.complete = len(c.loaded) == len(c.e.order)
	next.whole = next.complete
	for _, sc := range c.loaded {
		next.whole = next.whole && len(sc.doubt) == 0
	}
	for name, e := range next.tables {
		e.gate = c.share.gate(name)
		next.tables[name] = e
	}
	return next
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
	// newSchema is the collation that a new schema must name, newIn by the character
	// set that it names; "": none.
	newSchema  string
	newIn      map[string]string
	collations map[string]bool // those that all shards know
	mariaDB    bool            // a shard is
	complete   bool            // every shard has told something since the proxy started
	whole      bool            // every shard has told all that it was asked for
}

// entry is a table, or why it cannot be used.
type entry struct {
	table  *plan.Table
	reason error
	shards []xa.ShardID // that have it
	gate   *gate
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

// OnlyMySQL implements plan.Families.
func (s *snapshot) OnlyMySQL() bool { return s.whole && !s.mariaDB }

// Collation implements plan.Catalog.
func (s *snapshot) Collation(schema, charset string) string {
	if charset == "" {
		return s.schemas[schema]
	}
	return s.defaults[canonicalCharset(charset)]
}

// SchemaDefault implements plan.Defaults.
func (s *snapshot) SchemaDefault(charset string) string {
	if charset == "" {
		return s.newSchema
	}
	return s.newIn[canonicalCharset(charset)]
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

// loadShard reads what one shard has to tell.
func loadShard(ctx context.Context, s *Shard) (*shardCatalog, error) {
	conn, err := s.own.Get(ctx, backend.State{})
	if err != nil {
		return nil, err
	}
	defer s.own.Put(conn)
	sc, err := readCatalog(ctx, conn)
	if err != nil {
		return nil, err
	}
	stuck, err := s.Store.Definitions(ctx, "", xamysql.DefinitionStuck)
	if err != nil {
		return nil, err
	}
	for _, row := range stuck {
		about, err := decodeAbout(row)
		if err != nil {
			return nil, err
		}
		sc.stuck = append(sc.stuck, change{id: row.ID, tables: about.Tables})
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
