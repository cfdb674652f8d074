package plan

import "xaproxy/proxy/route"

// Catalog is an immutable snapshot of what is known about tables. It is used
// by value: a change makes a new one with another version.
type Catalog interface {
	// Version differs between any two snapshots that differ.
	Version() uint64
	// Map is the configured placement.
	Map() *route.Map
	// Table returns a table's facts, or a *Refusal: CodeNoSuchTable when it does
	// not exist on any shard, CodeUnsupported when it cannot be used and why
	// (its definitions differ, its rule was not adopted ...). The table returned
	// has passed Check. It is not to be changed.
	Table(schema, name string) (*Table, error)
	// TablesOf returns the tables and views that exist on any shard in the
	// schemas whose name equals schema without regard to case: so compares
	// information_schema.
	TablesOf(schema string) []TableName
	// Collation returns the collation that a new column of a schema gets: by the
	// character set, or by the schema's default when charset is "". It returns ""
	// when that is not known or not the same on all shards.
	Collation(schema, charset string) string
}

// Table is what the planner must know about a table.
type Table struct {
	Schema, Name string
	Rule         route.Rule
	Columns      []Column // in definition order
	Primary      []string // the primary key's columns, in order; empty: none. A prefix is left out
	Unique       []Unique // the other unique keys
	ForeignKeys  bool     // it refers to a table, or a table refers to it
	Triggers     bool
	View         bool // not a base table
}

// Column is what the planner must know about a column.
type Column struct {
	Name      string
	Type      ColumnType
	Unsigned  bool
	Length    int    // characters of CHAR and VARCHAR, bytes of BINARY and VARBINARY
	Charset   string // of CHAR and VARCHAR
	Collation string // of CHAR and VARCHAR
	AutoInc   bool
	Generated bool
	Invisible bool // left out by INSERT without a column list
	// VolatileDefault: the default is not a constant (CURRENT_TIMESTAMP, UUID() ...).
	VolatileDefault bool
	// OnUpdateNow: ON UPDATE CURRENT_TIMESTAMP.
	OnUpdateNow bool
}

// Unique is a unique key.
type Unique struct {
	Name    string
	Columns []string // the columns it has in full: expressions and prefixes are left out
}

// ColumnType is a column's type as far as keys are concerned.
type ColumnType uint8

// The column types. Everything that cannot be a key is TypeOther.
const (
	TypeOther ColumnType = iota
	TypeTiny
	TypeSmall
	TypeMedium
	TypeInt
	TypeBig
	TypeChar
	TypeVarchar
	TypeBinary
	TypeVarbinary
)
