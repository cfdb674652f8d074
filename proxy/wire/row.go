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
