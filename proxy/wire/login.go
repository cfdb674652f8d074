package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Attribute is a connection attribute: what a client says of itself.
type Attribute struct{ Name, Value string }

// Login is the client's answer to the greeting.
type Login struct {
	Capabilities Capabilities
	MaxPacket    uint32
	Collation    uint8
	User         string
	Auth         []byte // aliases the payload when parsed
	Database     string
	Plugin       string
	Attributes   []Attribute
}

const sslRequestLen = 4 + 4 + 1 + 23

// IsSSLRequest reports whether a payload, in the place of a login, asks for TLS.
func IsSSLRequest(p []byte) bool {
	return len(p) == sslRequestLen && Capabilities(binary.LittleEndian.Uint32(p)).Has(SSL|Protocol41)
}

// AppendSSLRequest appends the request for TLS that precedes a login.
func AppendSSLRequest(dst []byte, caps Capabilities, collation uint8, maxPacket uint32) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(caps))
	dst = binary.LittleEndian.AppendUint32(dst, maxPacket)
	dst = append(dst, collation)
	return append(dst, make([]byte, 23)...)
}

// ParseLogin decodes a login request of protocol 4.1.
func ParseLogin(p []byte) (Login, error) {
	c := cursor{b: p}
	l := Login{Capabilities: Capabilities(c.u32()), MaxPacket: c.u32(), Collation: c.u8()}
	if !l.Capabilities.Has(Protocol41) {
		return Login{}, fmt.Errorf("login without protocol 4.1: %w", ErrMalformed)
	}
	c.take(23)
	l.User = string(c.untilNUL())
	switch {
	case l.Capabilities.Has(PluginAuthLenenc):
		l.Auth = c.lenencBytes()
	case l.Capabilities.Has(SecureConnection):
		l.Auth = c.take(uint64(c.u8()))
	default:
		l.Auth = c.nulOrRest()
	}
	if l.Capabilities.Has(ConnectWithDB) {
		l.Database = string(c.nulOrRest())
	}
	if l.Capabilities.Has(PluginAuth) {
		l.Plugin = string(c.nulOrRest())
	}
	l.attributes(&c)
	return l, c.err("login")
}

// attributes takes the connection attributes, the last part of a login.
func (l *Login) attributes(c *cursor) {
	if !l.Capabilities.Has(ConnectAttrs) || len(c.b) == 0 {
		return
	}
	attrs := cursor{b: c.lenencBytes()}
	for len(attrs.b) > 0 {
		l.Attributes = append(l.Attributes,
			Attribute{Name: string(attrs.lenencBytes()), Value: string(attrs.lenencBytes())})
	}
	c.bad = c.bad || attrs.bad
}

// ParseChangeUser decodes COM_CHANGE_USER of a client that has logged in as was
// says: its capabilities hold, and its collation where the packet names none.
func ParseChangeUser(p []byte, was Login) (Login, error) {
	c := cursor{b: p}
	l := Login{Capabilities: was.Capabilities, MaxPacket: was.MaxPacket, Collation: was.Collation}
	c.take(1)
	l.User = string(c.untilNUL())
	if l.Capabilities.Has(SecureConnection) {
		l.Auth = c.take(uint64(c.u8()))
	} else {
		l.Auth = c.untilNUL()
	}
	l.Database = string(c.untilNUL())
	if len(c.b) >= 2 {
		if collation := c.u16(); collation <= math.MaxUint8 { // as at login, which has one byte for it
			l.Collation = uint8(collation)
		}
	}
	if l.Capabilities.Has(PluginAuth) && len(c.b) > 0 {
		l.Plugin = string(c.nulOrRest())
	}
	l.attributes(&c)
	return l, c.err("change of user")
}

// AppendChangeUser appends the payload of COM_CHANGE_USER.
func AppendChangeUser(dst []byte, l Login) []byte {
	dst = append(append(dst, byte(ComChangeUser)), l.User...)
	dst = append(dst, 0, byte(len(l.Auth)))
	dst = append(append(dst, l.Auth...), l.Database...)
	dst = append(dst, 0, l.Collation, 0)
	if l.Capabilities.Has(PluginAuth) {
		dst = append(append(dst, l.Plugin...), 0)
	}
	return dst
}

// nulOrRest takes a string that ends with a zero byte or with the payload.
func (c *cursor) nulOrRest() []byte {
	for _, b := range c.b {
		if b == 0 {
			return c.untilNUL()
		}
	}
	return c.rest()
}

// AppendLogin appends a login request. Its Capabilities must have
// PluginAuthLenenc.
func AppendLogin(dst []byte, l Login) []byte {
	dst = AppendSSLRequest(dst, l.Capabilities, l.Collation, l.MaxPacket)
	dst = appendNUL(dst, l.User)
	dst = appendLenencBytes(dst, l.Auth)
	if l.Capabilities.Has(ConnectWithDB) {
		dst = appendNUL(dst, l.Database)
	}
	if l.Capabilities.Has(PluginAuth) {
		dst = appendNUL(dst, l.Plugin)
	}
	if l.Capabilities.Has(ConnectAttrs) {
		var attrs []byte
		for _, a := range l.Attributes {
			attrs = appendLenencString(attrs, a.Name)
			attrs = appendLenencString(attrs, a.Value)
		}
		dst = appendLenencBytes(dst, attrs)
	}
	return dst
}

// AuthSwitch asks the client to authenticate by another plugin.
type AuthSwitch struct {
	Plugin   string
	Scramble []byte
}

// ParseAuthSwitch decodes an auth switch request.
func ParseAuthSwitch(p []byte) (AuthSwitch, error) {
	c := cursor{b: p}
	if c.u8() != headEOF || len(c.b) == 0 {
		return AuthSwitch{}, fmt.Errorf("auth switch: %w", ErrMalformed)
	}
	s := AuthSwitch{Plugin: string(c.untilNUL())}
	data := c.rest()
	if n := len(data); n > 0 && data[n-1] == 0 {
		data = data[:n-1]
	}
	s.Scramble = append(s.Scramble, data...)
	return s, c.err("auth switch")
}

// AppendAuthSwitch appends an auth switch request.
func AppendAuthSwitch(dst []byte, s AuthSwitch) []byte {
	dst = append(dst, headEOF)
	dst = appendNUL(dst, s.Plugin)
	dst = append(dst, s.Scramble...)
	return append(dst, 0)
}

// AppendMoreData appends auth more data.
func AppendMoreData(dst, data []byte) []byte { return append(append(dst, headMoreData), data...) }
