package wire

// ParseTextRow appends the fields of a row in the text protocol to dst; nil is
// NULL. The fields alias the payload.
func ParseTextRow(dst [][]byte, p []byte, columns int) ([][]byte, error) {
	c := cursor{b: p}
	for range columns {
		n, null := c.lenencOrNull()
		if null {
			dst = append(dst, nil)
			continue
		}
		field := c.take(n)
		if c.bad {
			break
		}
		dst = append(dst, field)
	}
	if len(c.b) > 0 {
		c.fail()
	}
	return dst, c.err("text row")
}

// AppendText appends a field of a row in the text protocol.
func AppendText(dst []byte, s string) []byte { return appendLenencString(dst, s) }

// AppendNull appends NULL as a field of a row in the text protocol.
func AppendNull(dst []byte) []byte { return append(dst, headLocalInfile) }

// ParseBinaryRow appends the values of a row as prepared statements send it to
// dst: each as a parameter that stores it unchanged. They alias the payload.
func ParseBinaryRow(dst []Param, p []byte, columns []Column) ([]Param, error) {
	c := cursor{b: p}
	c.u8()
	nulls := c.take(uint64(len(columns)+9) / 8)
	for i, col := range columns {
		if c.bad {
			break
		}
		v := Param{Type: col.Type, Unsigned: col.Flags&flagUnsigned != 0}
		if nulls[(i+2)/8]>>((i+2)%8)&1 != 0 {
			v.Null = true
		} else {
			v.Value = c.binary(col.Type)
		}
		dst = append(dst, v)
	}
	if len(c.b) > 0 {
		c.fail()
	}
	return dst, c.err("binary row")
}

// flagUnsigned is a flag of column definitions.
const flagUnsigned = 32
