package proxy

import (
	"encoding/binary"
	"strconv"

	"xaproxy/proxy/wire"
)

// Flags of column definitions.
const (
	flagUnsigned = 32
	flagBinary   = 128
)

// definition is a column as clients are told of it.
func definition(c Column) wire.Column {
	switch c.Type {
	case Integer:
		return wire.Column{Name: c.Name, Collation: wire.CollationBinary, Length: 20, Type: wire.TypeLongLong,
			Flags: flagUnsigned | flagBinary}
	case Text:
	}
	return wire.Column{Name: c.Name, Collation: wire.CollationUTF8MB4General, Length: 4 * 1024, Type: wire.TypeVarString, Decimals: 31}
}

func appendTextRow(dst []byte, row []Value) []byte {
	for _, v := range row {
		switch v.kind {
		case valueNull:
			dst = wire.AppendNull(dst)
		case valueText:
			dst = wire.AppendText(dst, v.text)
		case valueInteger:
			dst = wire.AppendText(dst, strconv.FormatUint(v.number, 10))
		}
	}
	return dst
}

// appendBinaryRow appends a row as prepared statements send it: a zero byte, a
// bit for each NULL (the first two are unused), the values.
func appendBinaryRow(dst []byte, row []Value) []byte {
	at := len(dst) + 1
	dst = append(dst, make([]byte, 1+(len(row)+9)/8)...)
	for i, v := range row {
		switch v.kind {
		case valueNull:
			dst[at+(i+2)/8] |= 1 << ((i + 2) % 8)
		case valueText:
			dst = wire.AppendText(dst, v.text)
		case valueInteger:
			dst = binary.LittleEndian.AppendUint64(dst, v.number)
		}
	}
	return dst
}
