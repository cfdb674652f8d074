package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// cursor takes fields from the front of a payload. The first field that does not
// fit sets bad; everything taken afterwards is zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) fail() {
	c.b = nil
	c.bad = true
}

// take returns the next n bytes, aliasing the payload; n zero bytes are not
// made up when they are missing.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.fail()
		return nil
	}
	p := c.b[:n:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) u8() uint8 {
	if p := c.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if p := c.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if p := c.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

// lenenc takes a length-encoded integer. NULL and 0xff are malformed.
func (c *cursor) lenenc() uint64 {
	n, null := c.lenencOrNull()
	if null {
		c.fail()
		return 0
	}
	return n
}

func (c *cursor) lenencOrNull() (n uint64, null bool) {
	first := c.u8()
	width := uint64(0)
	switch first {
	case 0xfb:
		return 0, true
	case 0xfc:
		width = 2
	case 0xfd:
		width = 3
	case 0xfe:
		width = 8
	case 0xff:
		c.fail()
		return 0, false
	default:
		return uint64(first), false
	}
	p := c.take(width)
	for i := len(p) - 1; i >= 0; i-- {
		n = n<<8 | uint64(p[i])
	}
	return n, false
}

// lenencBytes takes a length-encoded string; it aliases the payload.
func (c *cursor) lenencBytes() []byte { return c.take(c.lenenc()) }

// untilNUL takes a string and the zero byte behind it.
func (c *cursor) untilNUL() []byte {
	i := bytes.IndexByte(c.b, 0)
	if i < 0 {
		c.fail()
		return nil
	}
	p := c.b[:i:i]
	c.b = c.b[i+1:]
	return p
}

// rest takes everything.
func (c *cursor) rest() []byte {
	p := c.b
	c.b = nil
	return p
}

// err is nil, or says that what was read is malformed.
func (c *cursor) err(what string) error {
	if c.bad {
		return fmt.Errorf("%s: %w", what, ErrMalformed)
	}
	return nil
}

func appendLenenc(dst []byte, n uint64) []byte { return mysql.AppendLengthEncodedInteger(dst, n) }

func appendLenencBytes(dst, p []byte) []byte {
	return append(appendLenenc(dst, uint64(len(p))), p...)
}

func appendLenencString(dst []byte, s string) []byte {
	return append(appendLenenc(dst, uint64(len(s))), s...)
}

func appendNUL(dst []byte, s string) []byte { return append(append(dst, s...), 0) }
