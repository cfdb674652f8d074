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
	// TablesOf returns the tables of a schema that exist on any shard. It is
	// asked for DROP DATABASE and SHOW.
	TablesOf(schema string) []TableName
}

// Table is what the planner must know about a table.
type Table struct {
	Schema, Name string
	Rule         route.Rule
	Columns      []Column // in definition order
	Primary      []string // the primary key's columns, in order; empty: none
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
	// VolatileDefault: the default is not a constant (CURRENT_TIMESTAMP, UUID() ...).
	VolatileDefault bool
	// OnUpdateNow: ON UPDATE CURRENT_TIMESTAMP.
	OnUpdateNow bool
}

// Unique is a unique key.
type Unique struct {
	Name    string
	Columns []string // columns in full; an expression or a prefix is not listed
	Partial bool     // a part is an expression or a prefix
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
