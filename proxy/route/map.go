package route

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Placement says how a table that the configuration names is to be placed.
// Exactly one of Key, Shard and Copies is given.
type Placement struct {
	Key    string // the sharding key's column
	Shard  *Shard // the one shard that holds the table
	Copies bool   // a reference table: every shard holds the whole table

	// Function spreads the rows of Key. Its Values have their Texts; the Keys
	// follow from the column.
	Function Function
	// Group is the name of a group of tables that must be placed together; "": none.
	Group string
}

// ways counts what the placement gives.
func (p Placement) ways() int {
	n := 0
	for _, given := range []bool{p.Key != "", p.Shard != nil, p.Copies} {
		if given {
			n++
		}
	}
	return n
}

// shards are those that the placement names.
func (p Placement) shards() []Shard {
	f := p.Function
	named := slices.Clone(f.Shards)
	for _, s := range []*Shard{p.Shard, f.Rest} {
		if s != nil {
			named = append(named, *s)
		}
	}
	for s := range f.Weights {
		named = append(named, s)
	}
	for _, r := range f.Ranges {
		named = append(named, r.Shard)
	}
	for _, v := range f.Values {
		named = append(named, v.Shard)
	}
	return named
}

// DefaultKind says what happens to a table that the configuration does not name.
type DefaultKind uint8

// The defaults. The zero value refuses.
const (
	DefaultRefuse     DefaultKind = iota // such tables cannot be created
	DefaultPrimaryKey                    // by the primary key's first column; without one: on the first shard
	DefaultShard                         // on one shard
)

// Default is the rule for tables that are created without an entry.
type Default struct {
	Kind  DefaultKind
	Shard Shard // of DefaultShard
}

// MapConfig is what a Map is made of.
type MapConfig struct {
	Shards  []Shard              // all shards
	Tables  map[string]Placement // by "table" or "schema.table"
	Default Default
}

// Map holds which tables are placed how. It is immutable.
type Map struct {
	shards []Shard
	tables map[string]Placement
	def    Default
}

// ErrMap is the cause of every error about a map that cannot be.
var ErrMap = errors.New("invalid placement")

// NewMap checks and copies a configuration.
func NewMap(c MapConfig) (*Map, error) {
	shards := slices.Clone(c.Shards)
	slices.Sort(shards)
	if len(shards) == 0 || len(slices.Compact(slices.Clone(shards))) != len(shards) {
		return nil, fmt.Errorf("%w: shard numbers %v must be given and differ", ErrMap, c.Shards)
	}
	m := &Map{shards: shards, tables: maps.Clone(c.Tables), def: c.Default}
	for name, p := range m.tables {
		if p.ways() != 1 {
			return nil, fmt.Errorf("%w: table %q needs a key, a shard or copies", ErrMap, name)
		}
		for _, s := range p.shards() {
			if !m.has(s) {
				return nil, fmt.Errorf("%w: table %q is placed on shard %d, which does not exist", ErrMap, name, s)
			}
		}
	}
	if c.Default.Kind == DefaultShard && !m.has(c.Default.Shard) {
		return nil, fmt.Errorf("%w: the default is shard %d, which does not exist", ErrMap, c.Default.Shard)
	}
	return m, nil
}

func (m *Map) has(s Shard) bool { return slices.Contains(m.shards, s) }

// Shards are all shard numbers, ascending. Not to be changed.
func (m *Map) Shards() []Shard { return m.shards }

// Lookup returns the configured placement of a table. An entry that names the
// schema goes before one that does not.
func (m *Map) Lookup(schema, table string) (Placement, bool) {
	if p, ok := m.tables[schema+"."+table]; ok {
		return p, true
	}
	p, ok := m.tables[table]
	return p, ok
}

// Group returns the configured names of the group's tables, ascending.
func (m *Map) Group(name string) []string {
	var names []string
	for table, p := range m.tables {
		if name != "" && p.Group == name {
			names = append(names, table)
		}
	}
	slices.Sort(names)
	return names
}

// Default is what happens to tables without an entry.
func (m *Map) Default() Default { return m.def }

// First is the lowest shard number: the place of tables and statements that
// are bound to no other.
func (m *Map) First() Shard { return m.shards[0] }
