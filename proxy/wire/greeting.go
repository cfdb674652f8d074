package wire

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
)

// ScrambleLen is the length of the random bytes that passwords are mixed with.
const ScrambleLen = 20

// Greeting is the server's first packet (protocol version 10).
type Greeting struct {
	Version      string
	ConnectionID uint32
	Scramble     []byte // ScrambleLen bytes
	Capabilities Capabilities
	Collation    uint8
	Status       Status
	Plugin       string
}

// ParseGreeting decodes a greeting. A server that refuses the connection sends
// an ERR packet instead: the error is then a *ServerError.
func ParseGreeting(p []byte) (Greeting, error) {
	if IsError(p) {
		return Greeting{}, ParseError(p)
	}
	c := cursor{b: p}
	if v := c.u8(); v != headGreeting {
		return Greeting{}, fmt.Errorf("greeting of protocol version %d: %w", v, ErrMalformed)
	}
	g := Greeting{Version: string(c.untilNUL()), ConnectionID: c.u32()}
	g.Scramble = append(g.Scramble, c.take(8)...)
	c.u8()
	g.Capabilities = Capabilities(c.u16())
	g.Collation = c.u8()
	g.Status = Status(c.u16())
	g.Capabilities |= Capabilities(c.u16()) << 16
	c.u8()     // length of the scramble with its zero byte
	c.take(10) // reserved
	g.Scramble = append(g.Scramble, c.take(ScrambleLen-8)...)
	c.u8()
	if g.Capabilities.Has(PluginAuth) {
		g.Plugin = string(c.nulOrRest())
	}
	return g, c.err("greeting")
}

// AppendGreeting appends a greeting. The scramble must have ScrambleLen bytes.
func AppendGreeting(dst []byte, g Greeting) []byte {
	dst = append(dst, headGreeting)
	dst = appendNUL(dst, g.Version)
	dst = binary.LittleEndian.AppendUint32(dst, g.ConnectionID)
	dst = append(dst, g.Scramble[:8]...)
	dst = append(dst, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(g.Capabilities))
	dst = append(dst, g.Collation)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(g.Status))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(g.Capabilities>>16))
	dst = append(dst, ScrambleLen+1)
	dst = append(dst, make([]byte, 10)...)
	dst = append(dst, g.Scramble[8:ScrambleLen]...)
	dst = append(dst, 0)
	return appendNUL(dst, g.Plugin)
}

// newScramble draws random bytes that are no zero byte, no '$' and 7 bits wide,
// as some clients treat them as text.
func newScramble() []byte {
	s := make([]byte, ScrambleLen)
	rand.Read(s) // never fails: crypto/rand ends the process instead
	for i, b := range s {
		b &= 0x7f
		if b == 0 || b == '$' {
			b++
		}
		s[i] = b
	}
	return s
}
