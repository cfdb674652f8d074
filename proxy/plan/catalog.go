package plan

import (
	"fmt"

	"xaproxy/proxy/route"
)

// Catalog is an immutable snapshot of what is known about tables. It is used
// by value: a change makes a new one with another version.
type Catalog interface {
	// Version differs between any two snapshots that differ.
	Version() uint64
	// Map is the configured placement.
	Map() *route.Map
	// Table returns a table's facts, or an error with a *Refusal in its chain:
	// CodeNoSuchTable when it does not exist on any shard, CodeUnusable when its
	// definitions differ or its rule is not known, CodeUnsupported when it cannot
	// be used and why. The table returned has passed Check. It is not to be changed.
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

// Families is a Catalog that knows what servers the shards are. One that is none
// is taken for a catalog of both families.
type Families interface {
	// OnlyMySQL reports whether all shards are known to be MySQL: a collation of
	// which OneFamilyWeighs can place rows then, and what MySQL alone reads as code
	// is code.
	OnlyMySQL() bool
}

// Defaults is a Catalog that knows what a new schema would get on each shard.
type Defaults interface {
	// SchemaDefault is the collation that a CREATE DATABASE without one must name, so
	// that its tables are alike everywhere: "" when all shards choose the same by
	// themselves. charset is the character set that it names, or "".
	SchemaDefault(charset string) string
}

// Table is what the planner must know about a table.
type Table struct {
	Schema, Name string
	Rule         route.Rule
	Columns      []Column // in definition order
	Primary      []string // the primary key's columns, in order; empty: none. A prefix is left out
	// PartialPrimary: the primary key has a prefix of a column.
	PartialPrimary bool
	Unique         []Unique // the other unique keys
	ForeignKeys    bool     // it refers to a table, or a table refers to it
	Triggers       bool
	View           bool // not a base table
}

// Column is what the planner must know about a column.
type Column struct {
	Name     string
	Type     ColumnType
	Nullable bool
	Unsigned bool
	// Length is in characters for CHAR and VARCHAR, in bytes for TEXT and the
	// binary strings, in bits for BIT.
	Length    int
	Precision int // of DECIMAL: all digits
	// Decimals are the digits behind the point of DECIMAL, and of the seconds of
	// TIME, DATETIME and TIMESTAMP.
	Decimals  int
	Members   []string // of ENUM and SET, in their order
	Charset   string   // of CHAR, VARCHAR, TEXT, ENUM and SET
	Collation string   // of CHAR, VARCHAR, TEXT, ENUM and SET
	AutoInc   bool
	Generated bool
	Invisible bool // left out by INSERT without a column list
	// VolatileDefault: the default is not a constant (CURRENT_TIMESTAMP, UUID() ...).
	VolatileDefault bool
	// ClockDefault: the default is CURRENT_TIMESTAMP and nothing else, which is a
	// volatile one that all parts of a statement can be given.
	ClockDefault bool
	// OnUpdateNow: ON UPDATE CURRENT_TIMESTAMP.
	OnUpdateNow bool
}

// Unique is a unique key.
type Unique struct {
	Name    string
	Columns []string // the columns it has in full: expressions and prefixes are left out
}

// ColumnType is a column's type.
type ColumnType uint8

// The column types. What is not known is TypeOther.
const (
	TypeOther ColumnType = iota
	TypeTiny
	TypeSmall
	TypeMedium
	TypeInt
	TypeBig
	TypeDecimal
	TypeFloat
	TypeDouble
	TypeBit
	TypeDate
	TypeTime
	TypeDatetime
	TypeTimestamp
	TypeYear
	TypeChar
	TypeVarchar
	TypeText // TINYTEXT to LONGTEXT; JSON of MariaDB
	TypeBinary
	TypeVarbinary
	TypeBlob // TINYBLOB to LONGBLOB
	TypeEnum
	TypeSet
	TypeJSON
	TypeGeometry
	TypeUUID // MariaDB
	TypeInet // INET4 and INET6, MariaDB
)

// typeNames are the types as people write them.
//
//nolint:gochecknoglobals // a table
var typeNames = [...]string{TypeOther: "an unknown type", TypeTiny: "TINYINT", TypeSmall: "SMALLINT", TypeMedium: "MEDIUMINT", TypeInt: "INT", TypeBig: "BIGINT",
	TypeDecimal: "DECIMAL", TypeFloat: "FLOAT", TypeDouble: "DOUBLE", TypeBit: "BIT", TypeDate: "DATE", TypeTime: "TIME", TypeDatetime: "DATETIME",
	TypeTimestamp: "TIMESTAMP", TypeYear: "YEAR", TypeChar: "CHAR", TypeVarchar: "VARCHAR", TypeText: "TEXT", TypeBinary: "BINARY",
	TypeVarbinary: "VARBINARY", TypeBlob: "BLOB", TypeEnum: "ENUM", TypeSet: "SET", TypeJSON: "JSON", TypeGeometry: "GEOMETRY", TypeUUID: "UUID", TypeInet: "INET"}

func (t ColumnType) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return typeNames[TypeOther]
}

// Text reports whether the type has a character set and a collation.
func (t ColumnType) Text() bool {
	return t == TypeChar || t == TypeVarchar || t == TypeText || t == TypeEnum || t == TypeSet
}

// MembersOf reads the members of an ENUM or SET from its type as
// information_schema writes it: enum('a','it”s').
func MembersOf(columnType string) ([]string, error) {
	var l lexed
	if err := l.lex(columnType, lexUTF8); err != nil {
		return nil, fmt.Errorf("the type %s: %w", columnType, err)
	}
	end, ok := l.closing(1)
	if !ok || end != len(l.toks)-1 {
		return nil, fmt.Errorf("the type %s has no list of members", columnType)
	}
	var members []string
	for _, t := range l.toks[2:end] {
		if t.kind == tokString {
			members = append(members, unquote(l.text(t), true))
		}
	}
	return members, nil
}
