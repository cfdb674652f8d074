package proxy

import "context"

// Handler answers the statements of a port that has no shards behind it (the
// admin port). NewHandlerServer gives it the same listener, connection phase and
// command loop as the data port has.
type Handler interface {
	// Query executes one statement for the client. It is called by the client's
	// goroutine, for several clients at once; ctx ends when the client has gone
	// or the server closes. A nil *Table means OK without rows. An error becomes
	// an ERR packet: an *Error in its chain as it is, anything else as 1105.
	Query(ctx context.Context, c Client, sql string) (*Table, error)
}

// Client says who asks.
type Client struct {
	ID     uint32 // connection id, unique within the process
	User   User
	Addr   string
	Schema string // of the last USE or the login
}

// ColumnType is the type that clients are told for a column of a Table.
type ColumnType uint8

// The column types.
const (
	Text    ColumnType = iota // VARCHAR, utf8mb4
	Integer                   // BIGINT UNSIGNED
)

func (t ColumnType) String() string {
	switch t {
	case Text:
		return "text"
	case Integer:
		return "integer"
	}
	return "invalid column type"
}

// Column is a column of a Table.
type Column struct {
	Name string
	Type ColumnType
}

// Value is one field of a row: a string, an integer, or NULL (the zero value).
type Value struct {
	text   string
	number uint64
	kind   valueKind
}

type valueKind uint8

const (
	valueNull valueKind = iota
	valueText
	valueInteger
)

// Null returns SQL's NULL.
func Null() Value { return Value{} }

// String returns a text value.
func String(s string) Value { return Value{text: s, kind: valueText} }

// Uint returns an integer value.
func Uint(n uint64) Value { return Value{number: n, kind: valueInteger} }

// Table is a complete result set, held in memory: answers of the proxy itself.
type Table struct {
	Columns  []Column
	Rows     [][]Value
	Warnings uint16
}
