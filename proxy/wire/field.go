package wire

import (
	"encoding/binary"
	"fmt"
)

// Field is the place of one value in a row's payload.
type Field struct {
	At         uint32 // where it begins, its length included
	Start, End uint32 // of the value itself
	Null       bool
}

// Value returns the field's bytes, nil for NULL. They alias the payload.
func (f Field) Value(p []byte) []byte {
	if f.Null {
		return nil
	}
	return p[f.Start:f.End:f.End]
}

// nullMark stands in place of a length.
const nullMark = int(headLocalInfile)

// SplitText appends the fields of a row in the text protocol to dst.
func SplitText(dst []Field, p []byte, columns int) ([]Field, error) {
	at := 0
	for range columns {
		if at >= len(p) {
			return dst, malformedRow()
		}
		size, skip := int(p[at]), 1
		if size >= nullMark {
			if size == nullMark {
				dst = append(dst, Field{At: uint32(at), Start: uint32(at + 1), End: uint32(at + 1), Null: true})
				at++
				continue
			}
			if size, skip = longSize(p[at:]); size < 0 {
				return dst, malformedRow()
			}
		}
		start := at + skip
		if size > len(p)-start {
			return dst, malformedRow()
		}
		dst = append(dst, Field{At: uint32(at), Start: uint32(start), End: uint32(start + size)})
		at = start + size
	}
	if at != len(p) {
		return dst, malformedRow()
	}
	return dst, nil
}

// longSize decodes a length of more than one byte, and how many it takes; a
// negative one is malformed.
func longSize(p []byte) (size, width int) {
	c := cursor{b: p}
	n := c.lenenc()
	if c.bad || n > uint64(len(c.b)) {
		return -1, 0
	}
	return int(n), len(p) - len(c.b)
}

func malformedRow() error { return fmt.Errorf("row: %w", ErrMalformed) }

// binaryBitmap is the place of the bit of a row's first column: two bits are
// reserved.
const binaryBitmap = 2

// bitmapLen is the length of the bitmap of NULLs in a binary row.
func bitmapLen(columns int) int { return (columns + 7 + binaryBitmap) / 8 }

// SplitBinary appends the fields of a row in the binary protocol to dst; types
// are those of its columns.
func SplitBinary(dst []Field, p []byte, types []FieldType) ([]Field, error) {
	at := 1 + bitmapLen(len(types))
	if len(p) < at || p[0] != headOK {
		return dst, malformedRow()
	}
	for i, t := range types {
		bit := i + binaryBitmap
		f := Field{At: uint32(at), Start: uint32(at), End: uint32(at), Null: p[1+bit/8]>>(bit%8)&1 != 0}
		if !f.Null {
			start, end := binaryPlace(p, at, t)
			if end < 0 {
				return dst, malformedRow()
			}
			f.Start, f.End = uint32(start), uint32(end)
			at = end
		}
		dst = append(dst, f)
	}
	if at != len(p) {
		return dst, malformedRow()
	}
	return dst, nil
}

// binaryPlace is the place of a value that begins at a byte of a binary row; a
// negative end is malformed.
func binaryPlace(p []byte, at int, t FieldType) (start, end int) {
	if n := int(t.width()); n > 0 {
		if n > len(p)-at {
			return 0, -1
		}
		return at, at + n
	}
	c := cursor{b: p[at:]}
	value := c.binary(t)
	if c.bad || !t.temporal() && !t.text() {
		return 0, -1
	}
	end = len(p) - len(c.b)
	return end - len(value), end
}

// appendSize appends what stands in front of a value of n bytes.
func appendSize(dst []byte, n int) []byte {
	if n < nullMark {
		return append(dst, byte(n))
	}
	return appendLenenc(dst, uint64(n))
}

// AppendTextBytes appends a field of a row in the text protocol.
func AppendTextBytes(dst, value []byte) []byte { return append(appendSize(dst, len(value)), value...) }

// AppendBinaryHead appends the beginning of a binary row in which no column is
// NULL.
func AppendBinaryHead(dst []byte, columns int) []byte {
	dst = append(dst, headOK)
	for range bitmapLen(columns) {
		dst = append(dst, 0)
	}
	return dst
}

// CutBinary appends a binary row's first columns as a row of their own. fields
// are those of the whole row.
func CutBinary(dst, p []byte, fields []Field, columns int) []byte {
	head := bitmapLen(columns)
	at := len(dst)
	dst = append(dst, p[:1+head]...)
	used := (columns + binaryBitmap) % 8
	if used > 0 {
		dst[at+head] &= 1<<used - 1
	}
	end := len(p)
	if columns < len(fields) {
		end = int(fields[columns].At)
	}
	return append(dst, p[1+bitmapLen(len(fields)):end]...)
}

// SetBinaryNull makes a column NULL in a row that begins at row.
func SetBinaryNull(row []byte, column int) {
	bit := column + binaryBitmap
	row[1+bit/8] |= 1 << (bit % 8)
}

// AppendBinary appends a value to a binary row. It has the length of the type,
// where that is fixed.
func AppendBinary(dst []byte, t FieldType, value []byte) []byte {
	if t.text() {
		dst = appendSize(dst, len(value))
	} else if t.temporal() {
		dst = append(dst, byte(len(value)))
	}
	return append(dst, value...)
}

// AppendBinaryInt appends an integer of the type's width.
func AppendBinaryInt(dst []byte, t FieldType, n uint64) []byte {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return append(dst, b[:t.width()]...)
}
