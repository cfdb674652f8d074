package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// OK is an OK packet, or the end of a result set in either of its two forms.
type OK struct {
	Affected uint64
	InsertID uint64
	Status   Status
	Warnings uint16
	Info     string
	Changes  []Change // session state that changed; needs SessionTrack
}

// ServerError is an ERR packet. It is an error by itself.
type ServerError struct {
	Number  uint16
	State   string // SQLSTATE, five characters
	Message string
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("error %d (%s): %s", e.Number, e.State, e.Message)
}

// TooLarge is the server's error for a packet beyond the limit.
func TooLarge() *ServerError {
	return &ServerError{Number: mysql.ER_NET_PACKET_TOO_LARGE, State: "08S01",
		Message: "Got a packet bigger than 'max_allowed_packet' bytes"}
}

// IsOK reports whether a payload is an OK packet where a reply begins.
func IsOK(p []byte) bool { return len(p) > 0 && p[0] == headOK }

// IsError reports whether a payload is an ERR packet.
func IsError(p []byte) bool { return len(p) > 0 && p[0] == headERR }

// IsLocalInfile reports whether a payload, where a reply begins, asks for a
// file of the client's.
func IsLocalInfile(p []byte) bool { return len(p) > 0 && p[0] == headLocalInfile }

// IsEnd reports whether a payload, where a row may be, ends the rows. A row can
// begin with the same byte only when it is at least MaxFrame long.
func IsEnd(p []byte, caps Capabilities) bool {
	if len(p) == 0 || p[0] != headEOF {
		return false
	}
	if caps.Has(DeprecateEOF) {
		return len(p) < MaxFrame
	}
	return isEOF(p)
}

// isEOF reports whether a payload is an EOF packet in the old form.
func isEOF(p []byte) bool { return len(p) > 0 && p[0] == headEOF && len(p) <= 5 }

// ParseOK decodes an OK packet.
func ParseOK(p []byte, caps Capabilities) (OK, error) {
	c := cursor{b: p}
	if h := c.u8(); h != headOK && h != headEOF {
		return OK{}, fmt.Errorf("ok packet: %w", ErrMalformed)
	}
	ok := OK{Affected: c.lenenc(), InsertID: c.lenenc(), Status: Status(c.u16()), Warnings: c.u16()}
	if !caps.Has(SessionTrack) {
		ok.Info = string(c.rest())
		return ok, c.err("ok packet")
	}
	if len(c.b) > 0 {
		ok.Info = string(c.lenencBytes())
	}
	if ok.Status.Has(StatusSessionChanged) && !c.bad {
		var err error
		if ok.Changes, err = parseChanges(c.lenencBytes()); err != nil {
			return OK{}, err
		}
	}
	return ok, c.err("ok packet")
}

// ParseEnd decodes what IsEnd has recognised.
func ParseEnd(p []byte, caps Capabilities) (OK, error) {
	if caps.Has(DeprecateEOF) {
		return ParseOK(p, caps)
	}
	c := cursor{b: p}
	if c.u8() != headEOF {
		return OK{}, fmt.Errorf("eof packet: %w", ErrMalformed)
	}
	ok := OK{Warnings: c.u16(), Status: Status(c.u16())}
	return ok, c.err("eof packet")
}

// AppendOK appends an OK packet for a client with these capabilities.
func AppendOK(dst []byte, caps Capabilities, ok OK) []byte { return appendOK(dst, headOK, caps, ok) }

// AppendEnd appends the packet that ends the rows for a client with these
// capabilities.
func AppendEnd(dst []byte, caps Capabilities, ok OK) []byte {
	if caps.Has(DeprecateEOF) {
		return appendOK(dst, headEOF, caps, ok)
	}
	return AppendEOF(dst, ok.Status, ok.Warnings)
}

// AppendEOF appends an EOF packet in the old form: behind column definitions for
// clients without DeprecateEOF.
func AppendEOF(dst []byte, status Status, warnings uint16) []byte {
	dst = append(dst, headEOF)
	dst = binary.LittleEndian.AppendUint16(dst, warnings)
	return binary.LittleEndian.AppendUint16(dst, uint16(status&^StatusSessionChanged))
}

func appendOK(dst []byte, head byte, caps Capabilities, ok OK) []byte {
	tracked := caps.Has(SessionTrack) && len(ok.Changes) > 0
	status := ok.Status &^ StatusSessionChanged
	if tracked {
		status |= StatusSessionChanged
	}
	dst = append(dst, head)
	dst = appendLenenc(dst, ok.Affected)
	dst = appendLenenc(dst, ok.InsertID)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(status))
	dst = binary.LittleEndian.AppendUint16(dst, ok.Warnings)
	if !caps.Has(SessionTrack) {
		return append(dst, ok.Info...)
	}
	if tracked || ok.Info != "" {
		dst = appendLenencString(dst, ok.Info)
	}
	if tracked {
		dst = appendLenencBytes(dst, appendChanges(nil, ok.Changes))
	}
	return dst
}

// ParseError decodes an ERR packet, with or without SQLSTATE. What is too short
// becomes an error with number 0.
func ParseError(p []byte) *ServerError {
	c := cursor{b: p}
	c.u8()
	e := &ServerError{Number: c.u16(), State: "HY000"}
	if len(c.b) >= 6 && c.b[0] == '#' {
		c.u8()
		e.State = string(c.take(5))
	}
	e.Message = string(c.rest())
	return e
}

// AppendError appends an ERR packet.
func AppendError(dst []byte, e *ServerError) []byte {
	dst = append(dst, headERR)
	dst = binary.LittleEndian.AppendUint16(dst, e.Number)
	state := e.State
	if len(state) != 5 {
		state = "HY000"
	}
	dst = append(dst, '#')
	dst = append(dst, state...)
	return append(dst, e.Message...)
}
