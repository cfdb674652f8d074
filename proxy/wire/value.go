package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// The field types.
const (
	TypeDecimal    = FieldType(mysql.MYSQL_TYPE_DECIMAL)
	TypeTiny       = FieldType(mysql.MYSQL_TYPE_TINY)
	TypeShort      = FieldType(mysql.MYSQL_TYPE_SHORT)
	TypeLong       = FieldType(mysql.MYSQL_TYPE_LONG)
	TypeFloat      = FieldType(mysql.MYSQL_TYPE_FLOAT)
	TypeDouble     = FieldType(mysql.MYSQL_TYPE_DOUBLE)
	TypeNull       = FieldType(mysql.MYSQL_TYPE_NULL)
	TypeTimestamp  = FieldType(mysql.MYSQL_TYPE_TIMESTAMP)
	TypeLongLong   = FieldType(mysql.MYSQL_TYPE_LONGLONG)
	TypeInt24      = FieldType(mysql.MYSQL_TYPE_INT24)
	TypeDate       = FieldType(mysql.MYSQL_TYPE_DATE)
	TypeTime       = FieldType(mysql.MYSQL_TYPE_TIME)
	TypeDateTime   = FieldType(mysql.MYSQL_TYPE_DATETIME)
	TypeYear       = FieldType(mysql.MYSQL_TYPE_YEAR)
	TypeVarChar    = FieldType(mysql.MYSQL_TYPE_VARCHAR)
	TypeBit        = FieldType(mysql.MYSQL_TYPE_BIT)
	TypeVector     = FieldType(242)
	TypeJSON       = FieldType(mysql.MYSQL_TYPE_JSON)
	TypeNewDecimal = FieldType(mysql.MYSQL_TYPE_NEWDECIMAL)
	TypeEnum       = FieldType(mysql.MYSQL_TYPE_ENUM)
	TypeSet        = FieldType(mysql.MYSQL_TYPE_SET)
	TypeTinyBlob   = FieldType(mysql.MYSQL_TYPE_TINY_BLOB)
	TypeMediumBlob = FieldType(mysql.MYSQL_TYPE_MEDIUM_BLOB)
	TypeLongBlob   = FieldType(mysql.MYSQL_TYPE_LONG_BLOB)
	TypeBlob       = FieldType(mysql.MYSQL_TYPE_BLOB)
	TypeVarString  = FieldType(mysql.MYSQL_TYPE_VAR_STRING)
	TypeString     = FieldType(mysql.MYSQL_TYPE_STRING)
	TypeGeometry   = FieldType(mysql.MYSQL_TYPE_GEOMETRY)
)

// width is the length of a number in the binary protocol, 0 for other types.
func (t FieldType) width() uint64 {
	if t == TypeTiny {
		return 1
	}
	if t == TypeShort || t == TypeYear {
		return 2
	}
	if t == TypeLong || t == TypeInt24 || t == TypeFloat {
		return 4
	}
	if t == TypeLongLong || t == TypeDouble {
		return 8
	}
	return 0
}

// temporal reports whether values have a length of one byte.
func (t FieldType) temporal() bool {
	return t == TypeDate || t == TypeDateTime || t == TypeTimestamp || t == TypeTime
}

// text reports whether values are length-encoded strings.
func (t FieldType) text() bool {
	return t == TypeDecimal || t == TypeVarChar || t == TypeBit || t == TypeVector || t >= TypeJSON
}

func (t FieldType) known() bool {
	return t == TypeNull || t.width() > 0 || t.temporal() || t.text()
}

// binary takes a value of the binary protocol without its length.
func (c *cursor) binary(t FieldType) []byte {
	if n := t.width(); n > 0 {
		return c.take(n)
	}
	if t.text() {
		return c.lenencBytes()
	}
	n := c.u8()
	good := n == 4 || n == 7 || n == 11
	if t == TypeTime {
		good = n == 8 || n == 12
	}
	if n != 0 && !good {
		c.fail()
		return nil
	}
	return c.take(uint64(n))
}

// ParamKind says which of Param's accessors has the value.
type ParamKind uint8

// The kinds.
const (
	ParamNull     ParamKind = iota
	ParamInt                // Int
	ParamUint               // Uint
	ParamFloat              // Float
	ParamDecimal            // Value: decimal digits
	ParamBytes              // Value: a string or bytes
	ParamTemporal           // Text
)

// Kind says which accessor has the value.
func (v Param) Kind() ParamKind {
	switch {
	case v.Null:
		return ParamNull
	case v.Type == TypeFloat || v.Type == TypeDouble:
		return ParamFloat
	case v.Type.width() > 0 && v.Unsigned:
		return ParamUint
	case v.Type.width() > 0:
		return ParamInt
	case v.Type == TypeDecimal || v.Type == TypeNewDecimal:
		return ParamDecimal
	case v.Type.temporal():
		return ParamTemporal
	}
	return ParamBytes
}

// Uint returns the value of a ParamUint.
func (v Param) Uint() uint64 {
	var n uint64
	for i := len(v.Value) - 1; i >= 0; i-- {
		n = n<<8 | uint64(v.Value[i])
	}
	return n
}

// Int returns the value of a ParamInt.
func (v Param) Int() int64 {
	unused := 64 - 8*uint(len(v.Value))
	return int64(v.Uint()<<unused) >> unused
}

// Float returns the value of a ParamFloat.
func (v Param) Float() float64 {
	switch len(v.Value) {
	case 4:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(v.Value)))
	case 8:
		return math.Float64frombits(binary.LittleEndian.Uint64(v.Value))
	}
	return 0
}

// Text returns the value as SQL would print it, without quotes; NULL is "NULL".
func (v Param) Text() string {
	switch v.Kind() {
	case ParamNull:
		return "NULL"
	case ParamInt:
		return strconv.FormatInt(v.Int(), 10)
	case ParamUint:
		return strconv.FormatUint(v.Uint(), 10)
	case ParamFloat:
		return strconv.FormatFloat(v.Float(), 'g', -1, 8*len(v.Value))
	case ParamDecimal, ParamBytes:
		return string(v.Value)
	case ParamTemporal:
	}
	if v.Type == TypeTime {
		return timeText(v.Value)
	}
	return dateText(v.Value, v.Type == TypeDate)
}

func dateText(p []byte, dateOnly bool) string {
	c := cursor{b: p}
	year, month, day := c.u16(), c.u8(), c.u8()
	c.bad = false // fields that are not sent are zero
	s := fmt.Sprintf("%04d-%02d-%02d", year, month, day)
	if dateOnly {
		return s
	}
	hour, minute, second := c.u8(), c.u8(), c.u8()
	s += fmt.Sprintf(" %02d:%02d:%02d", hour, minute, second)
	if len(p) == 11 {
		s += fmt.Sprintf(".%06d", c.u32())
	}
	return s
}

func timeText(p []byte) string {
	c := cursor{b: p}
	sign := ""
	if c.u8() == 1 {
		sign = "-"
	}
	days, hour, minute, second := c.u32(), c.u8(), c.u8(), c.u8()
	s := fmt.Sprintf("%s%02d:%02d:%02d", sign, uint64(days)*24+uint64(hour), minute, second)
	if len(p) == 12 {
		s += fmt.Sprintf(".%06d", c.u32())
	}
	return s
}
