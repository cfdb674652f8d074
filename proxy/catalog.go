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
	sqlMode           string // the servers' default
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

// builder makes a snapshot of what the shards have told.
type builder struct {
	e      *engine
	m      *route.Map
	shards map[xa.ShardID]*shardCatalog
}

func (b *builder) build(ctx context.Context) *snapshot {
	s := &snapshot{m: b.m, tables: map[plan.TableName]entry{}, charsets: b.charsets()}
	for _, n := range b.e.order {
		if sc := b.shards[n]; sc != nil {
			s.sqlMode = sc.sqlMode
			break
		}
	}
	s.schemas = b.agreed(func(sc *shardCatalog) map[string]string { return sc.schemas })
	s.defaults = b.agreed(func(sc *shardCatalog) map[string]string { return sc.defaults })
	names := map[plan.TableName]bool{}
	stored := map[plan.TableName]bool{}
	for _, sc := range b.shards {
		for name := range sc.tables {
			names[name] = true
		}
		for name := range sc.placements {
			stored[name] = true
		}
	}
	for name := range stored {
		s.stored = append(s.stored, name)
	}
	for name := range names {
		s.tables[name] = b.entry(ctx, name)
	}
	return s
}

// charsets are the supported character sets with the default collations of the
// lowest shard, where all shards know them.
func (b *builder) charsets() charsets {
	out := fallbackCharsets()
	for cs := range out {
		for _, n := range b.e.order {
			if sc := b.shards[n]; sc != nil {
				if collation := sc.defaults[cs]; b.allKnow(collation) {
					out[cs] = collation
				}
				break
			}
		}
	}
	return out
}

// agreed keeps what all shards say alike.
func (b *builder) agreed(of func(*shardCatalog) map[string]string) map[string]string {
	out := map[string]string{}
	for _, sc := range b.shards {
		for name, value := range of(sc) {
			if have, seen := out[name]; seen && have != value {
				value = ""
			}
			out[name] = value
		}
	}
	return out
}

func (b *builder) allKnow(collation string) bool {
	for _, sc := range b.shards {
		if !sc.collations[collation] {
			return false
		}
	}
	return collation != ""
}

// entry compares a table's definitions and finds its rule.
func (b *builder) entry(ctx context.Context, name plan.TableName) entry {
	var e entry
	var first *tableFacts
	for _, n := range b.e.order {
		sc := b.shards[n]
		if sc == nil || sc.tables[name] == nil {
			continue
		}
		t := sc.tables[name]
		e.shards = append(e.shards, n)
		if first == nil {
			first = t
			continue
		}
		if what := first.differs(t); what != "" {
			e.reason = b.unusable(name, fmt.Sprintf("its definition differs between shard %s and shard %s: %s; make them equal",
				b.e.name(e.shards[0]), b.e.name(n), what))
			return e
		}
	}
	t := first.table
	t.Schema, t.Name = name.Schema, name.Name
	rule, err := b.rule(ctx, name, &t, e.shards)
	if err != nil {
		e.reason = err
		return e
	}
	t.Rule = rule
	if missing := b.missing(rule, e.shards); missing != "" {
		e.reason = b.unusable(name, "it is missing at shard "+missing+"; create it there, or run its CREATE TABLE IF NOT EXISTS through the proxy")
		return e
	}
	if err := plan.Check(&t); err != nil {
		e.reason = err
		return e
	}
	e.table = &t
	return e
}

func (b *builder) unusable(name plan.TableName, why string) error {
	return fail(codeDefinitionsDiffer, name.Schema+"."+name.Name, why)
}

// missing names a shard that the rule needs and that lacks the table. Shards
// that have not told anything yet are trusted: statements there fail by themselves.
func (b *builder) missing(rule route.Rule, have []xa.ShardID) string {
	for _, n := range rule.Shards() {
		if b.shards[shardID(n)] != nil && !slices.Contains(have, shardID(n)) {
			return b.e.name(shardID(n))
		}
	}
	return ""
}

// rule finds where a table's rows are. A stored rule is the truth; what the
// configuration says must agree with it, and is stored at the first sight of a
// table that it names.
func (b *builder) rule(ctx context.Context, name plan.TableName, t *plan.Table, have []xa.ShardID) (route.Rule, error) {
	want, configured, err := configuredRule(b.m, t)
	if err != nil {
		return route.Rule{}, err
	}
	stored, known, err := b.storedRule(name)
	switch {
	case err != nil:
		return route.Rule{}, err
	case known && configured && stored.Fingerprint != want.Fingerprint():
		return route.Rule{}, b.unusable(name, "its rows are placed by "+stored.Rule+", the configuration asks for "+want.Text()+"; restore the configuration")
	case known && configured:
		return want, nil
	case known:
		return b.recognise(name, t, stored)
	case configured:
		return want, b.adopt(ctx, name, want)
	}
	return b.unplaced(name, have)
}

// storedRule is the placement that the shards have stored; they must agree.
func (b *builder) storedRule(name plan.TableName) (xamysql.Placement, bool, error) {
	var found xamysql.Placement
	known := false
	for _, n := range b.e.order {
		sc := b.shards[n]
		if sc == nil {
			continue
		}
		p, ok := sc.placements[name]
		switch {
		case !ok:
		case known && p.Fingerprint != found.Fingerprint:
			return found, false, b.unusable(name, "shards have stored different placements: "+found.Rule+" and, at "+b.e.name(n)+", "+p.Rule)
		default:
			found, known = p, true
		}
	}
	return found, known, nil
}

// recognise finds the rule that a stored fingerprint belongs to, for a table that
// the configuration does not name.
func (b *builder) recognise(name plan.TableName, t *plan.Table, stored xamysql.Placement) (route.Rule, error) {
	for _, n := range b.m.Shards() {
		if r := route.OnShard(n); r.Fingerprint() == stored.Fingerprint {
			return r, nil
		}
	}
	for _, c := range t.Columns {
		r, err := shardedBy(b.m, t, c.Name)
		if err == nil && r.Fingerprint() == stored.Fingerprint {
			return r, nil
		}
	}
	return route.Rule{}, b.unusable(name, "its rows are placed by "+stored.Rule+", which does not fit the shards of this configuration or the table's definition")
}

// adopt stores the configured rule of a table that was not created through the
// proxy, at every shard.
func (b *builder) adopt(ctx context.Context, name plan.TableName, want route.Rule) error {
	p := xamysql.Placement{Schema: name.Schema, Table: name.Name, Rule: want.Text(), Fingerprint: want.Fingerprint()}
	for _, n := range b.e.order {
		have, err := b.e.shards[n].Store.StorePlacement(ctx, p)
		switch {
		case err != nil:
			return b.unusable(name, "its placement cannot be stored at shard "+b.e.name(n)+" now: "+err.Error())
		case have.Fingerprint != p.Fingerprint:
			return b.unusable(name, "its rows are placed by "+have.Rule+" (shard "+b.e.name(n)+"), the configuration asks for "+want.Text())
		}
	}
	return nil
}

// unplaced is the rule of a table that nobody configured: it is on the one shard
// that has it.
func (b *builder) unplaced(name plan.TableName, have []xa.ShardID) (route.Rule, error) {
	switch {
	case len(have) > 1:
		return route.Rule{}, b.unusable(name, "several shards have it, and neither the configuration nor a stored placement says how its rows are placed; name it under tables: in the configuration")
	case len(b.shards) < len(b.e.order):
		return route.Rule{}, b.unusable(name, "its placement is not known while a shard is down")
	}
	return route.OnShard(route.Shard(have[0])), nil
}

// pool of the catalog's reading.
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
