package faultwire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	headerLen  = 4
	maxPayload = 1<<24 - 1
)

// frame is one packet as it was read: header and payload.
type frame []byte

func (f frame) seq() byte       { return f[3] }
func (f frame) payload() []byte { return f[headerLen:] }

// full reports whether the next frame continues this one's payload.
func (f frame) full() bool { return len(f.payload()) == maxPayload }

func readFrame(r *bufio.Reader) (frame, error) {
	var head [headerLen]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read packet header: %w", err)
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	f := make(frame, headerLen+n)
	copy(f, head[:])
	if _, err := io.ReadFull(r, f[headerLen:]); err != nil {
		return nil, fmt.Errorf("read packet: %w", err)
	}
	return f, nil
}

// The capabilities that change what a packet looks like.
const (
	capConnectWithDB    = 1 << 3
	capCompress         = 1 << 5
	capSSL              = 1 << 11
	capSecureConnection = 1 << 15
	capPluginAuth       = 1 << 19
	capConnectAttrs     = 1 << 20
	capLenencAuth       = 1 << 21
	capDeprecateEOF     = 1 << 24
	capOptionalMetadata = 1 << 25
	capZstd             = 1 << 26
	capQueryAttributes  = 1 << 27

	// MariaDB's extended capabilities.
	extCacheMetadata = 1 << 4
)

const (
	statusInTrans     = 1 << 0
	statusMoreResults = 1 << 3
	statusCursor      = 1 << 6
)

// capabilities are what both sides of a connection have agreed on.
type capabilities struct {
	flags uint32
	ext   uint32
}

// greeting is what the relay reads from the server's first packet.
type greeting struct {
	version      string
	connectionID uint32
	caps         capabilities
}

var errMalformed = errors.New("malformed packet")

func parseGreeting(p []byte) (greeting, error) {
	var g greeting
	if len(p) < 1 || p[0] != 10 {
		return g, fmt.Errorf("greeting: %w", errMalformed)
	}
	end := 1
	for end < len(p) && p[end] != 0 {
		end++
	}
	// NUL, thread id 4, salt 8, filler 1, flags 2, charset 1, status 2, flags 2, salt length 1, reserved 6, extended flags 4
	if len(p) < end+1+4+8+1+2+1+2+2+1+6+4 {
		return g, fmt.Errorf("greeting: %w", errMalformed)
	}
	g.version = string(p[1:end])
	p = p[end+1:]
	g.connectionID = binary.LittleEndian.Uint32(p)
	p = p[4+8+1:]
	g.caps.flags = uint32(binary.LittleEndian.Uint16(p)) | uint32(binary.LittleEndian.Uint16(p[5:]))<<16
	if g.caps.flags&1 == 0 { // not CLIENT_LONG_PASSWORD: MariaDB 10.2 and newer
		g.caps.ext = binary.LittleEndian.Uint32(p[7+1+6:])
	}
	return g, nil
}

// login is what the relay reads from the client's first packet.
type login struct {
	caps  capabilities
	attrs map[string]string
}

// parseLogin reads a login packet. Attributes that can not be read are left out.
func parseLogin(p []byte) (login, error) {
	l := login{attrs: map[string]string{}}
	if len(p) < 32 {
		return l, fmt.Errorf("login: %w", errMalformed)
	}
	l.caps.flags = binary.LittleEndian.Uint32(p)
	if l.caps.flags&1 == 0 {
		l.caps.ext = binary.LittleEndian.Uint32(p[28:])
	}
	if l.caps.flags&capConnectAttrs == 0 || l.caps.flags&capSSL != 0 {
		return l, nil
	}
	c := cursor{p: p[32:]}
	c.cString()
	switch {
	case l.caps.flags&capLenencAuth != 0:
		c.lenencBytes()
	case l.caps.flags&capSecureConnection != 0:
		c.skip(int(c.byte()))
	default:
		c.cString()
	}
	if l.caps.flags&capConnectWithDB != 0 {
		c.cString()
	}
	if l.caps.flags&capPluginAuth != 0 {
		c.cString()
	}
	a := cursor{p: c.lenencBytes()}
	for len(a.p) > 0 && !a.bad {
		k := string(a.lenencBytes())
		l.attrs[k] = string(a.lenencBytes())
	}
	return l, nil
}

// cursor reads a payload; bad is set by a read behind its end, and then reads are empty.
type cursor struct {
	p   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.p) {
		c.bad, c.p = true, nil
		return nil
	}
	b := c.p[:n]
	c.p = c.p[n:]
	return b
}

func (c *cursor) skip(n int) { c.take(n) }

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) cString() {
	for i, b := range c.p {
		if b == 0 {
			c.p = c.p[i+1:]
			return
		}
	}
	c.bad, c.p = true, nil
}

func (c *cursor) lenenc() uint64 {
	b := c.byte()
	n := 0
	switch b {
	case 0xfc:
		n = 2
	case 0xfd:
		n = 3
	case 0xfe:
		n = 8
	case 0xfb, 0xff:
		c.bad = true
		return 0
	default:
		return uint64(b)
	}
	var v uint64
	for i, x := range c.take(n) {
		v |= uint64(x) << (8 * i)
	}
	return v
}

func (c *cursor) lenencBytes() []byte {
	n := c.lenenc()
	if n > uint64(len(c.p)) {
		c.bad, c.p = true, nil
		return nil
	}
	return c.take(int(n))
}
