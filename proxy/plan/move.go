package plan

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"xaproxy/proxy/route"
)

// Move says how the rows of an UPDATE of the sharding key get to the shard that
// the new key belongs to. The parts are executed first, as they are: their servers
// convert, count and warn. Then the rows that have the new key at another shard
// than To are exactly those that the statement has changed, since no row with that
// key can have been there.
//
// The texts are to be executed with the settings of MoveModes, character_set_client
// utf8mb4, no character_set_results and time_zone +00:00: so that every value is
// stored as it was read.
type Move struct {
	To route.Shard
	// Select and Delete are of the rows with the new key; Insert is everything
	// before the rows, which have Columns.
	Select, Delete, Insert string
	Columns                []ColumnType
}

// MoveModes is the sql_mode under which rows are carried: nothing is generated,
// nothing is refused that was stored once, nothing is cut.
const MoveModes = "NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES,ALLOW_INVALID_DATES"

// moved binds the new key of an UPDATE.
type moved struct {
	table  *Table
	key    value
	scan   string // SELECT ... WHERE key =
	remove string // DELETE ... WHERE key =
	insert string
	types  []ColumnType
}

// moves plans an UPDATE that assigns the sharding key; nil when it does not.
func (a *analysis) moves(n *ast.UpdateStmt) (*moved, error) {
	t := a.site.sharded
	name := t.Name + "." + t.Rule.Column()
	var given []ast.ExprNode
	for _, as := range n.List {
		if as.Column.Name.L == t.Rule.Column() {
			given = append(given, as.Expr)
		}
	}
	if len(given) == 0 {
		return nil, nil //nolint:nilnil // nothing moves
	}
	key := a.value(given[0])
	switch {
	case len(given) > 1:
		return nil, unsupported("UPDATE that assigns the sharding key "+name+" twice", "")
	case n.IgnoreErr:
		return nil, unsupported("UPDATE IGNORE of the sharding key "+name, "leave IGNORE out")
	case t.ForeignKeys:
		return nil, unsupported("UPDATE of the sharding key "+name+" of a table with FOREIGN KEYs", "")
	case a.facts.session != "":
		return nil, unsupported(a.facts.session+" in an UPDATE of the sharding key "+name, "give its value instead")
	case key.kind == valueOther || key.kind == valueDefault:
		return nil, unsupported("an expression for the sharding key "+name+" in UPDATE", "give the new value as a literal or a parameter")
	}
	return t.mover(key), nil
}

// mover makes the texts up to the new key.
func (t *Table) mover(key value) *moved {
	m := &moved{table: t, key: key}
	table := string(appendName(append(appendName(nil, t.Schema), '.'), t.Name))
	where := " WHERE " + string(appendName(nil, t.column(t.Rule.Column()).Name)) + "="
	var names []string
	for i := range t.Columns {
		if c := &t.Columns[i]; !c.Generated {
			names = append(names, string(appendName(nil, c.Name)))
			m.types = append(m.types, c.Type)
		}
	}
	list := strings.Join(names, ",")
	m.scan = "SELECT " + list + " FROM " + table + where
	m.remove = "DELETE FROM " + table + where
	m.insert = "INSERT INTO " + table + " (" + list + ") VALUES "
	return m
}

// move returns the shard of the new key, and how rows get there.
func (m *moved) move(b *binding) (route.Shard, *Move, error) {
	t := m.table
	name := t.Name + "." + t.Rule.Column()
	if b.isNull(m.key) {
		return 0, nil, unsupported("NULL for the sharding key "+name, "")
	}
	column := t.column(t.Rule.Column())
	key, f := b.key(column, m.key, toStore)
	if f == fitExact && key.NeedsWeight() {
		return 0, nil, nil // asked for; the next Bind has it
	}
	literal, ok := b.stored(column, m.key, key)
	if f != fitExact || !ok {
		return 0, nil, unsupportedf("give it as the column stores it", "a new value for the sharding key %s that does not convert exactly", name)
	}
	to, ok := t.Rule.Place(key)
	if !ok {
		return 0, nil, noKey("a value for "+name+" that has no place", "")
	}
	return to, &Move{To: to, Select: m.scan + literal + " FOR UPDATE", Delete: m.remove + literal, Insert: m.insert, Columns: m.types}, nil
}

// stored is a literal that equals what a column stores for a value that is its
// key exactly, whatever the session's sql_mode and character set, with time zone
// +00:00.
func (b *binding) stored(c *Column, v value, key route.Key) (string, bool) {
	switch c.keyType() {
	case route.KeyTypeInt, route.KeyTypeUint:
		if c.Unsigned || c.keyType() == route.KeyTypeUint {
			return strconv.FormatUint(uint64(key.Int), 10), true
		}
		return strconv.FormatInt(key.Int, 10), true
	case route.KeyTypeBytes:
		return "X'" + hex.EncodeToString(key.Bytes) + "'", true
	case route.KeyTypeString:
		text, ok := b.text8(v)
		if c.Type == TypeChar {
			text = strings.TrimRight(text, " ")
		}
		return "_utf8mb4 X'" + hex.EncodeToString([]byte(text)) + "'", ok
	case route.KeyTypeDecimal:
		return string(key.Bytes), true
	case route.KeyTypeDate, route.KeyTypeDatetime, route.KeyTypeTimestamp, route.KeyTypeTime:
		return "'" + string(key.Bytes) + "'", true
	case route.KeyTypeUUID:
		return uuidText(key.Bytes)
	case route.KeyTypeInvalid:
	}
	return "", false
}

func uuidText(b []byte) (string, bool) {
	const size = 16
	if len(b) != size {
		return "", false
	}
	return fmt.Sprintf("'%x-%x-%x-%x-%x'", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), true
}

// text8 is the text of a value that is a string, in UTF-8: binding has made sure
// that it means the same to the server.
func (b *binding) text8(v value) (string, bool) {
	switch v.kind {
	case valueLiteral:
		t, ok := b.literal(v.index)
		if !ok || t.kind != tokString {
			return "", false
		}
		return unquote(b.text(t), b.flags&lexNoBackslash == 0), true
	case valueParam:
		if p := b.params[v.index]; p.Kind == ValueText {
			return string(p.Bytes), true
		}
	case valueOther, valueNull, valueDefault, valueInsertID, valueGenerated:
	}
	return "", false
}
