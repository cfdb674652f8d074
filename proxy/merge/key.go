package merge

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"strconv"

	"xaproxy/proxy/wire"
)

// kind says how the values of a column compare.
type kind uint8

const (
	kindNone   kind = iota // they do not
	kindNull               // all of them are NULL
	kindInt                // integers and YEAR
	kindExact              // DECIMAL
	kindDouble             // DOUBLE
	kindDate               // DATE, DATETIME, TIMESTAMP
	kindTime               // TIME
	kindBytes              // binary strings, weights
)

// binaryCollation is the collation of what has no character set.
const binaryCollation = 63

const flagUnsigned = 0x20

// kindOf says how a column's values compare. FLOAT does not: the text protocol
// shows six digits of it, which are not its value.
func kindOf(c wire.Column) kind {
	switch c.Type {
	case wire.TypeNull:
		return kindNull
	case wire.TypeTiny, wire.TypeShort, wire.TypeInt24, wire.TypeLong, wire.TypeLongLong, wire.TypeYear:
		return kindInt
	case wire.TypeNewDecimal, wire.TypeDecimal:
		return kindExact
	case wire.TypeDouble:
		return kindDouble
	case wire.TypeDate, wire.TypeDateTime, wire.TypeTimestamp:
		return kindDate
	case wire.TypeTime:
		return kindTime
	case wire.TypeVarChar, wire.TypeVarString, wire.TypeString, wire.TypeTinyBlob, wire.TypeMediumBlob, wire.TypeLongBlob, wire.TypeBlob:
		if c.Collation == binaryCollation && c.Flags&(flagEnum|flagSet) == 0 {
			return kindBytes
		}
	case wire.TypeFloat, wire.TypeBit, wire.TypeVector, wire.TypeJSON, wire.TypeEnum, wire.TypeSet, wire.TypeGeometry:
	}
	return kindNone
}

// Flags of columns that are shown as strings and sorted as numbers.
const (
	flagEnum = 0x100
	flagSet  = 0x800
)

// key is a value as it compares. Its bytes are in the row's payload; it has no
// pointers, so it is copied with the payload.
type key struct {
	null bool
	// whole: n alone compares.
	whole bool
	neg   bool   // of digits
	n     uint64 // order-preserving
	// start to dot are a number's integer digits without zeros in front, dot+1 to
	// end its fraction without zeros at the end; or start to end are bytes.
	start, dot, end uint32
}

// decodeKey makes the key of a field. False: the payload is malformed.
func decodeKey(k kind, t wire.FieldType, unsigned, binaryRow bool, p []byte, f wire.Field) (key, bool) {
	if f.Null {
		return key{null: true}, true
	}
	v := p[f.Start:f.End]
	switch k {
	case kindNone, kindNull:
		return key{}, false
	case kindInt:
		if binaryRow {
			return wholeKey(binaryInt(v, t, unsigned)), true
		}
		return digitsKey(v, f.Start)
	case kindExact:
		return digitsKey(v, f.Start)
	case kindDouble:
		x, ok := double(v, binaryRow)
		return wholeKey(orderedFloat(x)), ok
	case kindDate:
		if binaryRow {
			n, ok := packedDate(v)
			return wholeKey(n), ok
		}
	case kindTime:
		n, ok := micros(v, binaryRow)
		return wholeKey(orderedInt(n)), ok
	case kindBytes:
	}
	return key{start: f.Start, end: f.End}, true
}

func wholeKey(n uint64) key { return key{whole: true, n: n} }

func orderedInt(n int64) uint64 { return uint64(n) ^ 1<<63 }

// orderedFloat makes the order of floats that of integers; the two zeros are equal.
func orderedFloat(x float64) uint64 {
	if x == 0 {
		return 1 << 63
	}
	b := math.Float64bits(x)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

// binaryInt is an integer of the binary protocol in an order-preserving form.
func binaryInt(v []byte, t wire.FieldType, unsigned bool) uint64 {
	u, n := rawInt(v)
	if unsigned || t == wire.TypeYear {
		return u
	}
	return orderedInt(n)
}

// rawInt decodes an integer of 1, 2, 4 or 8 bytes both ways.
func rawInt(v []byte) (uint64, int64) {
	switch len(v) {
	case 1:
		return uint64(v[0]), int64(int8(v[0]))
	case 2:
		u := binary.LittleEndian.Uint16(v)
		return uint64(u), int64(int16(u))
	case 4:
		u := binary.LittleEndian.Uint32(v)
		return uint64(u), int64(int32(u))
	case 8:
		u := binary.LittleEndian.Uint64(v)
		return u, int64(u)
	}
	return 0, 0
}

// maxWhole is how many digits always fit an int64.
const maxWhole = 18

// digitsKey decodes the text of an integer or decimal, which begins at a byte of
// its row.
func digitsKey(v []byte, at uint32) (key, bool) {
	first, neg := 0, false
	if len(v) > 0 && v[0] == '-' {
		neg, first = true, 1
	}
	start := first
	for start < len(v) && v[start] == '0' {
		start++
	}
	n, dot := leadingDigits(v, start)
	end, ok := fractionEnd(v, dot)
	if !ok || dot == first {
		return key{}, false
	}
	k := key{neg: neg && (dot > start || end > dot), start: at + uint32(start), dot: at + uint32(dot), end: at + uint32(end)}
	if end == dot && dot-start <= maxWhole {
		if neg {
			n = -n
		}
		k.whole, k.n = true, orderedInt(n)
	}
	return k, true
}

// leadingDigits is the number that stands at a place, if it is not too long, and
// where it ends.
func leadingDigits(v []byte, at int) (n int64, end int) {
	for at < len(v) && v[at]-'0' <= 9 {
		n = n*10 + int64(v[at]-'0')
		at++
	}
	return n, at
}

// fractionEnd is the end of the fraction behind a number's integer digits, without
// zeros at its end: where it begins when there is none.
func fractionEnd(v []byte, dot int) (int, bool) {
	end := dot
	if dot == len(v) {
		return end, true
	}
	if v[dot] != '.' {
		return 0, false
	}
	for i := dot + 1; i < len(v); i++ {
		if v[i]-'0' > 9 {
			return 0, false
		}
		if v[i] != '0' {
			end = i + 1
		}
	}
	return end, true
}

// double decodes a DOUBLE. What is no finite number is malformed.
func double(v []byte, binaryRow bool) (float64, bool) {
	var x float64
	var err error
	if binaryRow {
		x = math.Float64frombits(binary.LittleEndian.Uint64(v))
	} else {
		x, err = strconv.ParseFloat(string(v), 64)
	}
	return x, err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
}

// packedDate puts a date of the binary protocol into one number.
func packedDate(v []byte) (uint64, bool) {
	var b [11]byte
	copy(b[:], v)
	micro := binary.LittleEndian.Uint32(b[7:])
	n := uint64(binary.LittleEndian.Uint16(b[:]))
	n = n<<4 | uint64(b[2]&15)
	n = n<<5 | uint64(b[3]&31)
	n = n<<5 | uint64(b[4]&31)
	n = n<<6 | uint64(b[5]&63)
	n = n<<6 | uint64(b[6]&63)
	good := b[2] < 16 && b[3] < 32 && b[4] < 32 && b[5] < 64 && b[6] < 64 && micro < 1<<20
	return n<<20 | uint64(micro), good
}

// micros decodes a TIME.
func micros(v []byte, binaryRow bool) (int64, bool) {
	if binaryRow {
		return binaryMicros(v), true
	}
	neg := len(v) > 0 && v[0] == '-'
	if neg {
		v = v[1:]
	}
	var n int64
	parts := 0
	for ; parts < 3; parts++ {
		part, rest, ok := number(v)
		if !ok || parts > 0 && part > 59 {
			return 0, false
		}
		n, v = n*60+part, rest
		if parts < 2 {
			if len(v) == 0 || v[0] != ':' {
				return 0, false
			}
			v = v[1:]
		}
	}
	fraction, ok := sixDigits(v)
	n = n*1_000_000 + fraction
	if neg {
		n = -n
	}
	return n, ok
}

// number takes up to six digits from the front.
func number(v []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for i < len(v) && i < 6 && v[i]-'0' <= 9 {
		n = n*10 + int64(v[i]-'0')
		i++
	}
	return n, v[i:], i > 0
}

// sixDigits decodes a fraction of seconds with its point, or nothing.
func sixDigits(v []byte) (int64, bool) {
	if len(v) == 0 {
		return 0, true
	}
	if v[0] != '.' {
		return 0, false
	}
	n, rest, ok := number(v[1:])
	for i := len(v) - 1; i < 6; i++ {
		n *= 10
	}
	return n, ok && len(rest) == 0
}

func binaryMicros(v []byte) int64 {
	if len(v) < 8 {
		return 0
	}
	n := int64(binary.LittleEndian.Uint32(v[1:]))*24 + int64(v[5])
	n = (n*60+int64(v[6]))*60 + int64(v[7])
	n *= 1_000_000
	if len(v) >= 12 {
		n += int64(binary.LittleEndian.Uint32(v[8:]))
	}
	if v[0] != 0 {
		n = -n
	}
	return n
}

// compareKeys compares two values of one kind, NULL first. pad is the weight of a
// space that continues the shorter string.
func compareKeys(k kind, pad, ap []byte, a *key, bp []byte, b *key) int {
	switch {
	case a.null || b.null:
		return nullFirst(a.null, b.null)
	case a.whole && b.whole:
		return cmp.Compare(a.n, b.n)
	case k == kindBytes || k == kindDate:
		return compareBytes(ap[a.start:a.end], bp[b.start:b.end], pad)
	}
	return compareDigits(ap, a, bp, b)
}

func nullFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// compareBytes compares two strings, of which the shorter one is continued by
// pad, when there is one.
func compareBytes(a, b, pad []byte) int {
	if len(pad) == 0 || len(a) == len(b) {
		return bytes.Compare(a, b)
	}
	n := min(len(a), len(b))
	if c := bytes.Compare(a[:n], b[:n]); c != 0 {
		return c
	}
	if len(a) > n {
		return comparePad(a[n:], pad)
	}
	return -comparePad(b[n:], pad)
}

// comparePad compares what is left of a string with the endless repetition of pad.
func comparePad(rest, pad []byte) int {
	for len(rest) > 0 {
		n := min(len(rest), len(pad))
		if c := bytes.Compare(rest[:n], pad[:n]); c != 0 {
			return c
		}
		rest = rest[n:]
	}
	return 0
}

// compareDigits compares two decimal numbers.
func compareDigits(ap []byte, a *key, bp []byte, b *key) int {
	if a.neg != b.neg {
		if a.neg {
			return -1
		}
		return 1
	}
	c := cmp.Compare(a.dot-a.start, b.dot-b.start)
	if c == 0 {
		c = bytes.Compare(ap[a.start:a.dot], bp[b.start:b.dot])
	}
	if c == 0 {
		c = bytes.Compare(fraction(ap, a), fraction(bp, b))
	}
	if a.neg {
		return -c
	}
	return c
}

// fraction are the digits behind the point.
func fraction(p []byte, k *key) []byte {
	if k.end == k.dot {
		return nil
	}
	return p[k.dot+1 : k.end]
}
