package plan

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"xaproxy/proxy/route"
)

// fit says what became of a value that was to be a key.
type fit uint8

const (
	fitInexact fit = iota // the servers may find other values equal to it: look everywhere
	fitExact              // this key and no other
	fitNone               // no row can have it
)

// purpose says what a key is wanted for.
type purpose uint8

const (
	toCompare purpose = iota // with what is stored
	toStore                  // the column must keep it unchanged
)

// binding is the work of one Bind.
type binding struct {
	*scratch
	params  []Value
	given   Given
	weights Weights
	zone    zone
	missing []WeightRequest
}

// literal returns the token of literal number i, and false when the literal is
// part of a longer construct (an introducer stands before it).
func (b *binding) literal(i int) (token, bool) {
	if i >= len(b.marks) {
		return token{}, false
	}
	at := int(b.marks[i])
	if at > 0 && b.introducer(at-1) {
		return token{}, false
	}
	return b.toks[at], true
}

// key converts a value to the key that column c stores for it.
func (b *binding) key(c *Column, v value, u purpose) (route.Key, fit) {
	switch v.kind {
	case valueLiteral:
		t, ok := b.literal(v.index)
		if !ok {
			return route.Key{}, fitInexact
		}
		return b.literalKey(c, t, v.negative, u)
	case valueParam:
		if v.index >= len(b.params) {
			return route.Key{}, fitInexact
		}
		return b.paramKey(c, b.params[v.index], u)
	case valueGenerated:
		return b.paramKey(c, Value{Kind: ValueUint, Uint: b.given.IDs[v.index]}, u)
	case valueInsertID:
		return b.paramKey(c, Value{Kind: ValueUint, Uint: b.given.InsertID}, u)
	case valueNull:
		return route.Key{}, fitNone
	case valueOther, valueDefault:
		return route.Key{}, fitInexact
	}
	return route.Key{}, fitInexact
}

func (b *binding) literalKey(c *Column, t token, negative bool, u purpose) (route.Key, fit) {
	text := b.text(t)
	switch t.kind {
	case tokInt, tokDecimal, tokFloat:
		return c.numberKey(text, t.kind, negative, u)
	case tokString:
		return b.stringKey(c, unquote(text, b.flags&lexNoBackslash == 0), u)
	case tokHex:
		return b.hexKey(c, text, u)
	case tokBit, tokNString, tokOp, tokWord, tokQuoted, tokParam, tokUserVar, tokSysVar:
	}
	return route.Key{}, fitInexact
}

// numberKey makes the key of an unsigned number's text.
func (c *Column) numberKey(text string, kind tokenKind, negative bool, u purpose) (route.Key, fit) {
	//nolint:exhaustive // to no other type a number is one value
	switch c.Type {
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig, TypeBit:
		n, f := parseNumber(text, kind)
		n.negative = negative
		return c.intKey(n, f, u)
	case TypeYear:
		n, f := parseNumber(text, kind)
		n.negative = negative
		return yearKey(n, f)
	case TypeDecimal:
		if kind == tokFloat {
			return route.Key{}, fitInexact // compared as doubles
		}
		return c.decimalKey(text, negative, u)
	}
	return route.Key{}, fitInexact
}

// hexKey: hexadecimal literals are bytes to a binary column. To a number they
// are a number on MySQL and, written x'..', a string on MariaDB.
func (b *binding) hexKey(c *Column, text string, u purpose) (route.Key, fit) {
	if c.keyType() != route.KeyTypeBytes {
		return route.Key{}, fitInexact
	}
	raw, ok := hexBytes(strings.TrimSuffix(text[2:], "'"))
	if !ok {
		return route.Key{}, fitInexact
	}
	return c.bytesKey(raw, u)
}

func hexBytes(digits string) ([]byte, bool) {
	if len(digits)%2 != 0 {
		digits = "0" + digits
	}
	raw, err := hex.DecodeString(digits)
	return raw, err == nil
}

func (b *binding) paramKey(c *Column, v Value, u purpose) (route.Key, fit) {
	switch v.Kind {
	case ValueNull:
		return route.Key{}, fitNone
	case ValueText:
		return b.stringKey(c, string(v.Bytes), u)
	case ValueBinary:
		if c.keyType() == route.KeyTypeBytes {
			return c.bytesKey(v.Bytes, u)
		}
		return route.Key{}, fitInexact
	case ValueTemporal:
		return b.temporalKey(c, string(v.Bytes))
	case ValueInt, ValueUint, ValueFloat, ValueDecimal:
		return v.numberKey(c, u)
	case ValueOther:
	}
	return route.Key{}, fitInexact
}

func (v Value) numberKey(c *Column, u purpose) (route.Key, fit) {
	//nolint:exhaustive // to no other type a number is one value
	switch c.Type {
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig, TypeBit:
		n, f := v.number()
		return c.intKey(n, f, u)
	case TypeYear:
		n, f := v.number()
		return yearKey(n, f)
	case TypeDecimal:
		//nolint:exhaustive // the callers have seen that it is a number
		switch v.Kind {
		case ValueInt:
			text, negative := strings.CutPrefix(strconv.FormatInt(v.Int, 10), "-")
			return c.decimalKey(text, negative, u)
		case ValueUint:
			return c.decimalKey(strconv.FormatUint(v.Uint, 10), false, u)
		case ValueDecimal:
			text, negative := strings.CutPrefix(string(v.Bytes), "-")
			return c.decimalKey(text, negative, u)
		}
	}
	return route.Key{}, fitInexact
}

// number is a whole number's sign and magnitude.
type number struct {
	negative  bool
	magnitude uint64
}

// number reads a numeric parameter.
func (v Value) number() (number, fit) {
	switch v.Kind {
	case ValueInt:
		if v.Int < 0 {
			return number{negative: true, magnitude: -uint64(v.Int)}, fitExact
		}
		return number{magnitude: uint64(v.Int)}, fitExact
	case ValueUint:
		return number{magnitude: v.Uint}, fitExact
	case ValueFloat:
		return wholeFloat(v.Float)
	case ValueDecimal:
		text, negative := strings.CutPrefix(string(v.Bytes), "-")
		n, f := parseNumber(text, tokDecimal)
		n.negative = negative
		return n, f
	case ValueOther, ValueNull, ValueText, ValueBinary, ValueTemporal:
	}
	return number{}, fitInexact
}

// exactFloat is where a double stops telling whole numbers apart.
const exactFloat = 1 << 53

func wholeFloat(f float64) (number, fit) {
	if math.IsNaN(f) || math.Abs(f) >= exactFloat || f != math.Trunc(f) {
		return number{}, fitInexact
	}
	return number{negative: f < 0, magnitude: uint64(math.Abs(f))}, fitExact
}

// parseNumber reads an unsigned number's text: 5, 5.0, 5e0.
func parseNumber(text string, kind tokenKind) (number, fit) {
	if kind == tokFloat {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return number{}, fitInexact
		}
		return wholeFloat(f)
	}
	whole, fraction, _ := strings.Cut(text, ".")
	if strings.Trim(fraction, "0") != "" {
		return number{}, fitInexact
	}
	if whole == "" {
		whole = "0"
	}
	n, err := strconv.ParseUint(whole, 10, 64)
	if err != nil {
		return number{}, fitInexact
	}
	return number{magnitude: n}, fitExact
}

// intKey makes the key of a whole number for an integer column. What is outside
// of the column's range is no row's key, and would be stored as another number.
func (c *Column) intKey(n number, f fit, u purpose) (route.Key, fit) {
	if f != fitExact {
		return route.Key{}, f
	}
	if n.magnitude == 0 {
		n.negative = false
	}
	if n.negative && n.magnitude > c.lowest() || !n.negative && n.magnitude > c.highest() {
		if u == toStore {
			return route.Key{}, fitInexact
		}
		return route.Key{}, fitNone
	}
	i := int64(n.magnitude)
	if n.negative {
		i = -i
	}
	return route.Key{Kind: route.KeyInt, Int: i}, fitExact
}

// bits is the width of an integer column.
func (c *Column) bits() uint {
	//nolint:exhaustive // no other type is an integer
	switch c.Type {
	case TypeTiny:
		return 8
	case TypeSmall:
		return 16
	case TypeMedium:
		return 24
	case TypeInt:
		return 32
	case TypeBig:
		return 64
	case TypeBit:
		return uint(c.Length)
	}
	return 0
}

// wide reports whether the column has numbers above those of a BIGINT.
func (c *Column) wide() bool {
	return c.Type == TypeBig && c.Unsigned || c.Type == TypeBit && c.Length == 64
}

func (c *Column) highest() uint64 {
	if c.Unsigned || c.Type == TypeBit {
		return math.MaxUint64 >> (64 - c.bits())
	}
	return math.MaxUint64 >> (64 - c.bits() + 1)
}

// lowest is the magnitude of the lowest negative number.
func (c *Column) lowest() uint64 {
	if c.Unsigned || c.Type == TypeBit {
		return 0
	}
	return 1 << (c.bits() - 1)
}

// stringKey makes the key of a string.
func (b *binding) stringKey(c *Column, s string, u purpose) (route.Key, fit) {
	switch c.Type {
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig:
		return stringNumber(c, s, u)
	case TypeDecimal:
		return c.stringDecimal(s, u)
	case TypeYear:
		return stringYear(s)
	case TypeDate, TypeTime, TypeDatetime, TypeTimestamp:
		return b.temporalKey(c, s)
	case TypeBinary, TypeVarbinary:
		if b.flags&lexASCIIOnly != 0 && !isASCII(s) {
			return route.Key{}, fitInexact
		}
		return c.bytesKey([]byte(s), u)
	case TypeChar, TypeVarchar:
		return b.textKey(c, s, u)
	case TypeEnum, TypeSet:
		return b.memberKey(c, s, u)
	case TypeUUID:
		return uuidKey(s)
	case TypeOther, TypeFloat, TypeDouble, TypeBit, TypeText, TypeBlob, TypeJSON, TypeGeometry, TypeInet:
	}
	return route.Key{}, fitInexact
}

// stringNumber: an integer column compares with a string by value, and with
// many digits perhaps as doubles. Digits alone, few enough, mean one number.
func stringNumber(c *Column, s string, u purpose) (route.Key, fit) {
	digits, negative := strings.CutPrefix(s, "-")
	const exactDigits = 15
	if digits == "" || len(digits) > exactDigits {
		return route.Key{}, fitInexact
	}
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return route.Key{}, fitInexact
		}
	}
	n, f := parseNumber(digits, tokInt)
	n.negative = negative
	return c.intKey(n, f, u)
}

// bytesKey makes the key of a binary column: BINARY(n) fills up with zeros.
func (c *Column) bytesKey(raw []byte, u purpose) (route.Key, fit) {
	if len(raw) > c.Length {
		if u == toStore {
			return route.Key{}, fitInexact
		}
		return route.Key{}, fitNone
	}
	if c.Type == TypeBinary {
		full := make([]byte, c.Length)
		copy(full, raw)
		raw = full
	}
	return route.Key{Kind: route.KeyBytes, Bytes: raw}, fitExact
}

// textKey makes the key of a CHAR or VARCHAR column: the weight of its text.
func (b *binding) textKey(c *Column, s string, u purpose) (route.Key, fit) {
	if !b.understood(s) || b.flags&lexPadChar != 0 && c.Type == TypeChar || c.Charset == "utf8mb3" && !isBMP(s) {
		return route.Key{}, fitInexact
	}
	if c.Type == TypeChar && u == toStore {
		s = strings.TrimRight(s, " ") // not to compare: where a collation does not pad, spaces count
	}
	if utf8.RuneCountInString(s) > c.Length {
		if u == toStore {
			return route.Key{}, fitInexact
		}
		// Longer than any stored text; but trailing pad or ignorable characters may
		// make a shorter one equal: its weight tells the shard.
	}
	return b.weighed(c, s), fitExact
}

// weighed is the key of a text: its weight, or what asks for it.
func (b *binding) weighed(c *Column, s string) route.Key {
	request := WeightRequest{Charset: c.Charset, Collation: c.Collation, Text: s}
	if b.weights != nil {
		if weight, space, ok := b.weights.Weight(request); ok {
			return route.Key{Kind: route.KeyText, Bytes: []byte(s)}.WithWeight(weight, space)
		}
	}
	b.missing = append(b.missing, request)
	return route.Key{Kind: route.KeyText, Bytes: []byte(s)}
}

// memberKey makes the key of an ENUM or SET column: the weight of the text that
// it shows. Stored is what is written exactly as the definition has it; what a
// server would find by the collation, by number or in another order is not.
func (b *binding) memberKey(c *Column, s string, u purpose) (route.Key, fit) {
	if !b.understood(s) || c.Charset == "utf8mb3" && !isBMP(s) {
		return route.Key{}, fitInexact
	}
	if u == toStore && !c.isMember(s) {
		return route.Key{}, fitInexact
	}
	return b.weighed(c, s), fitExact
}

func (c *Column) isMember(s string) bool {
	if c.Type == TypeEnum {
		return slices.Contains(c.Members, s)
	}
	if s == "" {
		return true
	}
	last := -1
	for one := range strings.SplitSeq(s, ",") {
		i := slices.Index(c.Members, one)
		if i <= last {
			return false
		}
		last = i
	}
	return true
}

// understood reports whether a text means the same to the server as here.
func (b *binding) understood(s string) bool {
	switch {
	case isASCII(s):
		return true
	case b.flags&lexASCIIOnly != 0 || b.flags&lexUTF8 == 0 || !utf8.ValidString(s):
		return false
	}
	return b.flags&lexBMPOnly == 0 || isBMP(s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isBMP(s string) bool {
	for _, r := range s {
		if r > 0xFFFF {
			return false
		}
	}
	return true
}

// keyType is the class of a column's type as a sharding key, by itself.
func (c *Column) keyType() route.KeyType {
	switch c.Type {
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig, TypeBit, TypeYear:
		return route.KeyTypeInt
	case TypeBinary, TypeVarbinary:
		return route.KeyTypeBytes
	case TypeChar, TypeVarchar, TypeEnum, TypeSet:
		return route.KeyTypeString
	case TypeDecimal:
		return route.KeyTypeDecimal
	case TypeDate:
		return route.KeyTypeDate
	case TypeDatetime:
		return route.KeyTypeDatetime
	case TypeTimestamp:
		return route.KeyTypeTimestamp
	case TypeTime:
		return route.KeyTypeTime
	case TypeUUID:
		return route.KeyTypeUUID
	case TypeOther, TypeFloat, TypeDouble, TypeText, TypeBlob, TypeJSON, TypeGeometry, TypeInet:
	}
	return route.KeyTypeInvalid
}

// keyTypeFor is the class of a column's type under a function.
func (c *Column) keyTypeFor(f route.FunctionKind) route.KeyType {
	if f.Signed() && c.wide() {
		return route.KeyTypeUint
	}
	return c.keyType()
}

// WeightSQL is the statement that a shard answers a WeightRequest by: one row of
// two columns in hexadecimal, the text's weight bytes and the bytes of one
// space, the latter empty where the collation does not pad. It does not depend
// on the session's settings.
func WeightSQL(r WeightRequest) string {
	weight := func(text string) string {
		return "HEX(WEIGHT_STRING(CONVERT(_utf8mb4 X'" + hex.EncodeToString([]byte(text)) + "' USING " + r.Charset + ") COLLATE " + r.Collation + "))"
	}
	pads, _ := keyWeighing(r.Collation)
	if !pads {
		return "SELECT " + weight(r.Text) + ", ''"
	}
	return "SELECT " + weight(r.Text) + ", " + weight(" ")
}
