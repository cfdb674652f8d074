package wire

import (
	"encoding/binary"
	"fmt"
)

// Prepared is the first packet of the reply to COM_STMT_PREPARE. Params
// parameter definitions and Columns column definitions follow, each list with an
// EOF behind it for clients without DeprecateEOF.
type Prepared struct {
	Statement       uint32
	Columns, Params uint16
	Warnings        uint16
}

// ParsePrepared decodes the first packet of the reply to COM_STMT_PREPARE.
func ParsePrepared(p []byte) (Prepared, error) {
	c := cursor{b: p}
	if c.u8() != headOK {
		c.fail()
	}
	r := Prepared{Statement: c.u32(), Columns: c.u16(), Params: c.u16()}
	c.u8()
	if len(c.b) > 0 {
		r.Warnings = c.u16()
	}
	return r, c.err("prepare reply")
}

// AppendPrepared appends the first packet of the reply to COM_STMT_PREPARE.
func AppendPrepared(dst []byte, r Prepared) []byte {
	dst = append(dst, headOK)
	dst = binary.LittleEndian.AppendUint32(dst, r.Statement)
	dst = binary.LittleEndian.AppendUint16(dst, r.Columns)
	dst = binary.LittleEndian.AppendUint16(dst, r.Params)
	dst = append(dst, 0)
	return binary.LittleEndian.AppendUint16(dst, r.Warnings)
}

// ParseStatement returns the statement that a COM_STMT_CLOSE, COM_STMT_RESET,
// COM_STMT_EXECUTE, COM_STMT_FETCH or COM_STMT_SEND_LONG_DATA is for.
func ParseStatement(p []byte) (uint32, error) {
	c := cursor{b: p}
	c.u8()
	id := c.u32()
	return id, c.err("statement id")
}

// AppendStatement appends a COM_STMT_CLOSE or COM_STMT_RESET.
func AppendStatement(dst []byte, com Command, id uint32) []byte {
	return binary.LittleEndian.AppendUint32(append(dst, byte(com)), id)
}

// LongData is a part of a parameter's value. Data aliases the payload.
type LongData struct {
	Statement uint32
	Param     uint16
	Data      []byte
}

// ParseLongData decodes a COM_STMT_SEND_LONG_DATA. It has no reply.
func ParseLongData(p []byte) (LongData, error) {
	c := cursor{b: p}
	c.u8()
	l := LongData{Statement: c.u32(), Param: c.u16(), Data: c.rest()}
	return l, c.err("long data")
}

// Param is a value that is bound to a parameter.
type Param struct {
	Type     FieldType
	Unsigned bool
	Null     bool
	// Value is the value in the binary protocol's form without its length; it
	// aliases the payload.
	Value []byte
}

// Execute is a COM_STMT_EXECUTE.
type Execute struct {
	Statement uint32
	Cursor    byte // the wanted kind of cursor; 0 is none
	Params    []Param
}

// Parameters is what a server remembers of a prepared statement's parameters
// between executions: their types, since a client need not send them again
// (new-params-bound = 0), and the values that came as long data.
type Parameters struct {
	types  []paramType
	bound  bool
	long   [][]byte
	longed int // bytes in long
}

type paramType struct {
	fieldType FieldType
	unsigned  bool
}

// NewParameters returns the memory for a statement with n parameters.
func NewParameters(n int) *Parameters { return &Parameters{types: make([]paramType, n)} }

// AddLong appends to a parameter's long data. All of it together may have limit
// bytes; beyond, and for parameters that do not exist, the error is final for
// the next execution.
func (s *Parameters) AddLong(l LongData, limit int) error {
	if int(l.Param) >= len(s.types) {
		return fmt.Errorf("long data for parameter %d of %d: %w", l.Param, len(s.types), ErrMalformed)
	}
	if len(l.Data) > limit-s.longed {
		return ErrPacketTooLarge
	}
	if s.long == nil {
		s.long = make([][]byte, len(s.types))
	}
	if s.long[l.Param] == nil {
		s.long[l.Param] = []byte{}
	}
	s.long[l.Param] = append(s.long[l.Param], l.Data...)
	s.longed += len(l.Data)
	return nil
}

// Reset forgets long data, as COM_STMT_RESET does.
func (s *Parameters) Reset() { s.long, s.longed = nil, 0 }

// Decode decodes a COM_STMT_EXECUTE, remembers its types and uses up the long
// data.
func (s *Parameters) Decode(p []byte) (Execute, error) {
	long := s.long
	s.Reset()
	c := cursor{b: p}
	c.u8()
	e := Execute{Statement: c.u32(), Cursor: c.u8()}
	c.u32() // iteration count, always 1
	n := len(s.types)
	if n == 0 || c.bad {
		return e, c.err("execute")
	}
	nulls := c.take(uint64(n+7) / 8)
	if c.u8() == 1 {
		s.bind(&c)
	}
	if c.bad || !s.bound {
		return Execute{}, fmt.Errorf("execute: %w", ErrMalformed)
	}
	e.Params = make([]Param, n)
	for i, t := range s.types {
		v := Param{Type: t.fieldType, Unsigned: t.unsigned}
		switch {
		case long != nil && long[i] != nil:
			v.Value = long[i]
			if !t.fieldType.text() {
				v.Type = TypeVarString
			}
		case nulls[i/8]>>(i%8)&1 != 0 || t.fieldType == TypeNull:
			v.Null = true
		default:
			v.Value = c.binary(t.fieldType)
		}
		e.Params[i] = v
	}
	return e, c.err("execute")
}

func (s *Parameters) bind(c *cursor) {
	types := c.take(2 * uint64(len(s.types)))
	if c.bad {
		return
	}
	for i := range s.types {
		s.types[i] = paramType{fieldType: FieldType(types[2*i]), unsigned: types[2*i+1]&0x80 != 0}
		if !s.types[i].fieldType.known() {
			s.bound = false
			c.fail()
			return
		}
	}
	s.bound = true
}

// AppendExecute appends a COM_STMT_EXECUTE that sends all types and asks for no
// cursor.
func AppendExecute(dst []byte, statement uint32, params []Param) []byte {
	dst = append(dst, byte(ComStmtExecute))
	dst = binary.LittleEndian.AppendUint32(dst, statement)
	dst = append(dst, 0, 1, 0, 0, 0)
	if len(params) == 0 {
		return dst
	}
	at := len(dst)
	dst = append(dst, make([]byte, (len(params)+7)/8)...)
	dst = append(dst, 1)
	for i, v := range params {
		if v.Null {
			dst[at+i/8] |= 1 << (i % 8)
		}
		sign := byte(0)
		if v.Unsigned {
			sign = 0x80
		}
		dst = append(dst, byte(v.Type), sign)
	}
	for _, v := range params {
		switch {
		case v.Null:
		case v.Type.text():
			dst = appendLenencBytes(dst, v.Value)
		case v.Type.temporal():
			dst = append(append(dst, byte(len(v.Value))), v.Value...)
		default:
			dst = append(dst, v.Value...)
		}
	}
	return dst
}
