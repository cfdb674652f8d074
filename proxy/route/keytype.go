package route

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// KeyType is the class of a key column's type: how values become bytes.
type KeyType uint8

// The classes of key types that can be sharded by.
const (
	KeyTypeInvalid   KeyType = iota
	KeyTypeInt               // TINYINT to BIGINT, signed or unsigned; YEAR, BIT
	KeyTypeBytes             // BINARY, VARBINARY
	KeyTypeString            // CHAR, VARCHAR, ENUM, SET: weight bytes of the collation
	KeyTypeUint              // BIGINT UNSIGNED and BIT(64) where the function calculates with the sign
	KeyTypeDecimal           // DECIMAL: the number's shortest text
	KeyTypeDate              // DATE: YYYY-MM-DD
	KeyTypeDatetime          // DATETIME: YYYY-MM-DD hh:mm:ss, and the fraction without zeros at its end
	KeyTypeTimestamp         // TIMESTAMP: as DATETIME, in UTC
	KeyTypeTime              // TIME: [-]hh:mm:ss, and the fraction without zeros at its end
	KeyTypeUUID              // UUID of MariaDB: 16 bytes
)

func (t KeyType) String() string {
	switch t {
	case KeyTypeInt:
		return "int"
	case KeyTypeBytes:
		return "bytes"
	case KeyTypeString:
		return "string"
	case KeyTypeUint:
		return "uint"
	case KeyTypeDecimal:
		return "decimal"
	case KeyTypeDate:
		return "date"
	case KeyTypeDatetime:
		return "datetime"
	case KeyTypeTimestamp:
		return "timestamp"
	case KeyTypeTime:
		return "time"
	case KeyTypeUUID:
		return "uuid"
	case KeyTypeInvalid:
	}
	return "invalid"
}

func keyTypeNamed(name string) (KeyType, bool) {
	for t := KeyTypeInt; t <= KeyTypeUUID; t++ {
		if t.String() == name {
			return t, true
		}
	}
	return KeyTypeInvalid, false
}

// kind is the kind of keys that have a place by a rule of the class.
func (t KeyType) kind() KeyKind {
	switch t {
	case KeyTypeInt, KeyTypeUint:
		return KeyInt
	case KeyTypeBytes, KeyTypeDecimal, KeyTypeDate, KeyTypeDatetime, KeyTypeTimestamp, KeyTypeTime, KeyTypeUUID:
		return KeyBytes
	case KeyTypeString:
		return KeyWeight
	case KeyTypeInvalid:
	}
	return KeyInvalid
}

// ordered reports whether the order of canonical keys is that of the values.
func (t KeyType) ordered() bool {
	return t != KeyTypeDecimal && t != KeyTypeTime && t != KeyTypeInvalid
}

// readable reports whether canonical keys are text without commas and colons
// but those of clock times.
func (t KeyType) readable() bool {
	switch t {
	case KeyTypeDecimal, KeyTypeDate, KeyTypeDatetime, KeyTypeTimestamp, KeyTypeTime:
		return true
	case KeyTypeInt, KeyTypeUint, KeyTypeBytes, KeyTypeString, KeyTypeUUID, KeyTypeInvalid:
	}
	return false
}

// write is a key's form in a rule's text: a number, a date, or x and the
// canonical bytes in hexadecimal. read is its inverse.
func (t KeyType) write(k Key, canonical []byte) string {
	switch {
	case t == KeyTypeInt:
		return strconv.FormatInt(k.Int, 10)
	case t == KeyTypeUint:
		return strconv.FormatUint(uint64(k.Int), 10)
	case t.readable():
		return strings.ReplaceAll(string(canonical), " ", "T")
	}
	return "x" + hex.EncodeToString(canonical)
}

func (t KeyType) read(text string) (Key, error) {
	bad := fmt.Errorf("%w: %q is no key of type %s", ErrRule, text, t)
	switch {
	case t == KeyTypeInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Key{}, bad
		}
		return Key{Kind: KeyInt, Int: n}, nil
	case t == KeyTypeUint:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return Key{}, bad
		}
		return Key{Kind: KeyInt, Int: int64(n)}, nil
	case t.readable():
		return Key{Kind: KeyBytes, Bytes: []byte(strings.ReplaceAll(text, "T", " "))}, nil
	}
	digits, ok := strings.CutPrefix(text, "x")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil {
		return Key{}, bad
	}
	return Key{Kind: t.kind(), Bytes: b}, nil
}
