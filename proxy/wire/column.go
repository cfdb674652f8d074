package wire

import (
	"encoding/binary"
	"fmt"
)

// FieldType is the type of a column or parameter.
type FieldType byte

// Column is a column definition.
type Column struct {
	Schema, Table, OrgTable, Name, OrgName string
	Collation                              uint16
	Length                                 uint32
	Type                                   FieldType
	Flags                                  uint16
	Decimals                               uint8
}

// columnFixed is the length of the fields behind the names.
const columnFixed = 0x0c

// ParseColumn decodes a column definition.
func ParseColumn(p []byte) (Column, error) {
	c := cursor{b: p}
	c.lenencBytes() // catalog: "def"
	col := Column{
		Schema: string(c.lenencBytes()), Table: string(c.lenencBytes()), OrgTable: string(c.lenencBytes()),
		Name: string(c.lenencBytes()), OrgName: string(c.lenencBytes()),
	}
	if n := c.lenenc(); n < columnFixed-2 {
		return Column{}, fmt.Errorf("column definition: %w", ErrMalformed)
	}
	col.Collation = c.u16()
	col.Length = c.u32()
	col.Type = FieldType(c.u8())
	col.Flags = c.u16()
	col.Decimals = c.u8()
	return col, c.err("column definition")
}

// AppendColumn appends a column definition.
func AppendColumn(dst []byte, col Column) []byte {
	dst = appendLenencString(dst, "def")
	for _, s := range [...]string{col.Schema, col.Table, col.OrgTable, col.Name, col.OrgName} {
		dst = appendLenencString(dst, s)
	}
	dst = append(dst, columnFixed)
	dst = binary.LittleEndian.AppendUint16(dst, col.Collation)
	dst = binary.LittleEndian.AppendUint32(dst, col.Length)
	dst = append(dst, byte(col.Type))
	dst = binary.LittleEndian.AppendUint16(dst, col.Flags)
	return append(dst, col.Decimals, 0, 0)
}

// AppendColumnCount appends the packet that begins a result set.
func AppendColumnCount(dst []byte, n int) []byte { return appendLenenc(dst, uint64(n)) }

// MaxColumns is the most columns a server sends.
const MaxColumns = 1 << 16

// ParseColumnCount decodes the packet that begins a result set.
func ParseColumnCount(p []byte) (int, error) {
	c := cursor{b: p}
	n := c.lenenc()
	if n == 0 || n > MaxColumns || len(c.b) > 0 {
		c.fail()
	}
	return int(n), c.err("column count")
}
