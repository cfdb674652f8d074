package merge

import (
	"encoding/binary"
	"math"
	"strconv"

	"xaproxy/proxy/wire"
)

// notFixed is the number of decimals of a DOUBLE that shows as many as it needs.
const notFixed = 31

// fixed reports whether a column is a DOUBLE that shows so many decimals and no
// more.
func fixed(c wire.Column) bool { return c.Type == wire.TypeDouble && c.Decimals < notFixed }

// maxPlain is how many digits a DOUBLE has at most in front of its point, or zeros
// behind it, before it is shown with an exponent.
const maxPlain = 15

// appendDouble appends a DOUBLE as servers show it in the text protocol: with
// its column's decimals, or the shortest text that means the same number.
func appendDouble(dst []byte, x float64, decimals uint8) []byte {
	if decimals < notFixed {
		return strconv.AppendFloat(dst, x, 'f', int(decimals), 64)
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], x, 'e', -1, 64) // d.ddde±dd
	if e[0] == '-' {
		dst, e = append(dst, '-'), e[1:]
	}
	mark := len(e) - 1
	for e[mark] != 'e' {
		mark--
	}
	exponent, err := strconv.Atoi(string(e[mark+1:]))
	if err != nil {
		return strconv.AppendFloat(dst, x, 'g', -1, 64) // cannot be
	}
	digits := append(e[:1], e[min(2, mark):mark]...)
	point := exponent + 1 // digits in front of the point
	if point < 1-maxPlain || point > maxPlain && len(digits) <= point {
		dst = append(dst, digits[0])
		if len(digits) > 1 {
			dst = append(append(dst, '.'), digits[1:]...)
		}
		return strconv.AppendInt(append(dst, 'e'), int64(exponent), 10)
	}
	return appendPlain(dst, digits, point)
}

func appendPlain(dst, digits []byte, point int) []byte {
	if point <= 0 {
		dst = append(dst, '0')
		if len(digits) == 1 && digits[0] == '0' {
			return dst
		}
		dst = append(dst, '.')
		for range -point {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	for i := range max(point, len(digits)) {
		if i == point {
			dst = append(dst, '.')
		}
		if i < len(digits) {
			dst = append(dst, digits[i])
		} else {
			dst = append(dst, '0')
		}
	}
	return dst
}

// doubleValue appends a DOUBLE as the value of a column.
func (l *layout) doubleValue(dst []byte, x float64, c *wire.Column) []byte {
	if l.binary {
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
	}
	return appendDouble(dst, x, c.Decimals)
}
