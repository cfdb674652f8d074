package plan

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"xaproxy/proxy/route"
)

// Key is the sharding key's column, nil for a table that is not sharded.
func (t *Table) Key() *Column {
	if !t.sharded() {
		return nil
	}
	return t.column(t.Rule.Column())
}

// StoredSQL is an expression over a table's key column whose text StoredKey
// reads. The session's time_zone must be +00:00, its character set utf8mb4.
func StoredSQL(c *Column) string {
	name := string(appendName(nil, c.Name))
	switch c.Type {
	case TypeBit:
		return name + "+0"
	case TypeBinary, TypeVarbinary:
		return "HEX(" + name + ")"
	case TypeChar, TypeVarchar:
		return "HEX(WEIGHT_STRING(" + name + "))"
	case TypeEnum, TypeSet:
		return "HEX(WEIGHT_STRING(CONVERT(" + name + " USING " + c.Charset + ") COLLATE " + c.Collation + "))"
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig, TypeDecimal, TypeDate, TypeTime, TypeDatetime, TypeTimestamp, TypeYear, TypeUUID,
		TypeFloat, TypeDouble, TypeText, TypeBlob, TypeJSON, TypeGeometry, TypeInet, TypeOther:
	}
	return name
}

// StoredKey makes the key of a stored value. space is the weight of one space
// where the column's collation pads.
func StoredKey(c *Column, text string, space []byte) (route.Key, error) {
	bad := fmt.Errorf("the value %q of %s %s is none that a row can be placed by", text, c.Type, c.Name)
	switch c.Type {
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig, TypeBit, TypeYear:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return route.Key{Kind: route.KeyInt, Int: n}, nil
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return route.Key{Kind: route.KeyInt, Int: int64(n)}, nil
		}
	case TypeBinary, TypeVarbinary, TypeChar, TypeVarchar, TypeEnum, TypeSet:
		raw, err := hex.DecodeString(text)
		if err != nil {
			return route.Key{}, bad
		}
		if c.keyType() == route.KeyTypeString {
			return route.Key{Kind: route.KeyText}.WithWeight(raw, space), nil
		}
		return route.Key{Kind: route.KeyBytes, Bytes: raw}, nil
	case TypeDecimal:
		number, negative := strings.CutPrefix(text, "-")
		if k, f := c.decimalKey(number, negative, toStore); f == fitExact {
			return k, nil
		}
	case TypeUUID:
		if k, f := uuidKey(text); f == fitExact {
			return k, nil
		}
	case TypeDate, TypeDatetime, TypeTimestamp, TypeTime:
		if _, fraction, point := strings.Cut(text, "."); point {
			text = strings.TrimRight(strings.TrimSuffix(text, fraction)+fraction, "0")
			text = strings.TrimSuffix(text, ".")
		}
		return plainKey(text), nil // also a date that does not exist
	case TypeFloat, TypeDouble, TypeText, TypeBlob, TypeJSON, TypeGeometry, TypeInet, TypeOther:
	}
	return route.Key{}, bad
}
