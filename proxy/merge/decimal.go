package merge

import (
	"cmp"
	"math/bits"
	"slices"
)

// decimal is an exact decimal number, in words of nine digits, the lowest first,
// with the point between two words. Servers' own decimals have at most 81 digits,
// of which at most 38 are behind the point.
type decimal struct {
	neg   bool
	scale int // digits behind the point that are shown
	word  [fractionWords + integerWords]uint32
}

const (
	fractionWords = 6
	integerWords  = 10
	wordDigits    = 9
	wordBase      = 1_000_000_000
	// maxScale is the longest fraction that is taken; a quotient is exact beyond it
	// by a whole word.
	maxScale = (fractionWords - 1) * wordDigits
	// maxText is the longest text of a decimal.
	maxText = (fractionWords+integerWords)*wordDigits + 2
)

// parse makes d the number that a text shows. False: it is none, or too long.
func (d *decimal) parse(v []byte) bool {
	*d = decimal{}
	i := 0
	if len(v) > 0 && (v[0] == '-' || v[0] == '+') {
		d.neg, i = v[0] == '-', 1
	}
	point := slices.Index(v, '.')
	if point < 0 {
		point = len(v)
	}
	if point == i && point+1 >= len(v) {
		return false
	}
	for ; i < point && v[i] == '0'; i++ {
	}
	if point-i > integerWords*wordDigits || len(v)-point-1 > maxScale {
		return false
	}
	for at := fractionWords; i < point; at++ {
		first := max(i, point-wordDigits)
		n, ok := digits(v[first:point])
		if !ok {
			return false
		}
		d.word[at], point = n, first
	}
	return d.parseFraction(v)
}

// parseFraction takes what is behind the point.
func (d *decimal) parseFraction(v []byte) bool {
	point := slices.Index(v, '.')
	if point < 0 {
		return true
	}
	v = v[point+1:]
	d.scale = len(v)
	for at := fractionWords - 1; len(v) > 0; at-- {
		n := min(len(v), wordDigits)
		word, ok := digits(v[:n])
		if !ok {
			return false
		}
		d.word[at] = word * power(wordDigits-n)
		v = v[n:]
	}
	return true
}

// digits is the number that up to nine digits show.
func digits(v []byte) (uint32, bool) {
	n := uint32(0)
	for _, b := range v {
		if b-'0' > 9 {
			return 0, false
		}
		n = n*10 + uint32(b-'0')
	}
	return n, true
}

// power is ten to the power of n.
func power(n int) uint32 {
	p := uint32(1)
	for range n {
		p *= 10
	}
	return p
}

// setUint makes d an integer.
func (d *decimal) setUint(n uint64, neg bool) {
	*d = decimal{neg: neg}
	for at := fractionWords; n > 0; at++ {
		d.word[at] = uint32(n % wordBase)
		n /= wordBase
	}
}

// add adds e. False: the sum is too long.
func (d *decimal) add(e *decimal) bool {
	d.scale = max(d.scale, e.scale)
	if d.neg == e.neg {
		carry := uint32(0)
		for i := range d.word {
			n := d.word[i] + e.word[i] + carry
			carry = n / wordBase
			d.word[i] = n % wordBase
		}
		return carry == 0
	}
	big, small := d, e
	if d.magnitude(e) < 0 {
		big, small = e, d
	}
	neg := big.neg
	borrow := uint32(0)
	for i := range d.word {
		a, b := big.word[i], small.word[i]+borrow
		borrow = 0
		if a < b {
			a, borrow = a+wordBase, 1
		}
		d.word[i] = a - b
	}
	d.neg = neg
	return true
}

// magnitude compares without the signs.
func (d *decimal) magnitude(e *decimal) int {
	for i := len(d.word) - 1; i >= 0; i-- {
		if c := cmp.Compare(d.word[i], e.word[i]); c != 0 {
			return c
		}
	}
	return 0
}

func (d *decimal) zero() bool { return d.word == [fractionWords + integerWords]uint32{} }

// compare compares two numbers; there is no negative zero.
func (d *decimal) compare(e *decimal) int {
	a, b := d.neg && !d.zero(), e.neg && !e.zero()
	switch {
	case a != b && a:
		return -1
	case a != b:
		return 1
	case a:
		return -d.magnitude(e)
	}
	return d.magnitude(e)
}

// divide divides by n, which is not 0, to all digits that there are, without
// rounding.
func (d *decimal) divide(n uint64) {
	rest := uint64(0)
	for i := len(d.word) - 1; i >= 0; i-- {
		hi, lo := bits.Mul64(rest, wordBase)
		var carry uint64
		lo, carry = bits.Add64(lo, uint64(d.word[i]), 0)
		var q uint64
		q, rest = bits.Div64(hi+carry, lo, n) // rest < n: the quotient is below wordBase
		d.word[i] = uint32(q)
	}
}

// average divides by n as servers do: the quotient gets more digits than the sum,
// whole words of them, without rounding; then it is rounded to the decimals that
// the column shows. Where these fill their words nothing is left to round by.
func (d *decimal) average(n uint64, decimals, ofSum int) bool {
	digits := d.scale + max(0, decimals-ofSum)
	d.divide(n)
	words := (digits + wordDigits - 1) / wordDigits
	if words*wordDigits <= maxScale {
		d.truncate(words * wordDigits)
	}
	return d.round(decimals)
}

// truncate cuts the digits behind the point to a number of them, at most maxScale.
func (d *decimal) truncate(scale int) {
	at := fractionWords - 1 - scale/wordDigits
	unit := power(wordDigits - scale%wordDigits)
	d.scale = scale
	d.word[at] -= d.word[at] % unit
	for i := range at {
		d.word[i] = 0
	}
}

// round rounds to a number of digits behind the point, halves away from zero, and
// shows them all. False: the number is too long.
func (d *decimal) round(scale int) bool {
	if scale < 0 || scale > maxScale {
		return false
	}
	d.scale = scale
	at := fractionWords - 1 - scale/wordDigits // the first word that is cut
	unit := power(wordDigits - scale%wordDigits)
	rest := d.word[at] % unit
	up := rest >= unit/2
	d.word[at] -= rest
	for i := range at {
		d.word[i] = 0
	}
	if !up {
		return true
	}
	carry := unit
	for i := at; carry > 0 && i < len(d.word); i++ {
		n := d.word[i] + carry
		carry = n / wordBase
		d.word[i] = n % wordBase
	}
	return carry == 0
}

// append appends the number's text, with all digits of its scale.
func (d *decimal) append(dst []byte) []byte {
	if d.neg && !d.zero() {
		dst = append(dst, '-')
	}
	top := len(d.word) - 1
	for top > fractionWords && d.word[top] == 0 {
		top--
	}
	var w [wordDigits]byte
	for i := top; i >= fractionWords; i-- {
		text := wordText(&w, d.word[i])
		if i == top {
			text = trimZeros(text)
		}
		dst = append(dst, text...)
	}
	if d.scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	left := d.scale
	for i := fractionWords - 1; left > 0; i-- {
		n := min(left, wordDigits)
		dst = append(dst, wordText(&w, d.word[i])[:n]...)
		left -= n
	}
	return dst
}

func wordText(w *[wordDigits]byte, n uint32) []byte {
	for i := wordDigits - 1; i >= 0; i-- {
		w[i] = '0' + byte(n%10)
		n /= 10
	}
	return w[:]
}

// trimZeros leaves one digit at least.
func trimZeros(text []byte) []byte {
	for len(text) > 1 && text[0] == '0' {
		text = text[1:]
	}
	return text
}
