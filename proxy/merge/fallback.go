package merge

import (
	"slices"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// fallback fills a column of the form IFNULL(aggregate, constant).
type fallback struct {
	column, of int
	how        conversion
}

// conversion says how a value becomes one of another column.
type conversion uint8

const (
	convertNot     conversion = iota
	convertSame               // as it is
	convertInt                // an integer to an integer
	convertDecimal            // an exact number to DECIMAL
	convertDouble             // a number to DOUBLE
)

func newFallback(l *layout, m *plan.Merge, d plan.Default) (fallback, error) {
	at, err := l.resolve(d.Column)
	if err != nil {
		return fallback{}, err
	}
	of, err := l.resolve(d.Of)
	if err != nil {
		return fallback{}, err
	}
	a, b := l.columns[of], l.columns[at]
	f := fallback{column: at, of: of, how: converts(a, b)}
	if f.how == convertNot {
		return fallback{}, unsupported("IFNULL of an aggregate of type %d as a value of type %d (%s)", a.Type, b.Type, l.name(at))
	}
	// The quotient has more digits than are shown, but how many differs.
	if averaged(l, m, of) && a.Decimals != b.Decimals {
		return fallback{}, unsupported("IFNULL of an AVG with more decimals than it has (%s)", l.name(at))
	}
	return f, nil
}

// averaged reports whether a column is an AVG of exact numbers.
func averaged(l *layout, m *plan.Merge, column int) bool {
	return l.columns[column].Type == wire.TypeNewDecimal && slices.ContainsFunc(m.Aggregates, func(a plan.Aggregate) bool {
		at, err := l.resolve(a.Column)
		return err == nil && a.Func == plan.AggregateAvg && at == column
	})
}

// converts says how a value of column a becomes one of column b. Years and what is
// no number must be of the same kind.
func converts(a, b wire.Column) conversion {
	from, to := kindOf(a), kindOf(b)
	exact := from == kindInt || from == kindExact
	switch {
	case a.Type == wire.TypeYear || b.Type == wire.TypeYear || !exact && from != kindDouble:
		if alike(a, b) {
			return convertSame
		}
	case from == kindInt && to == kindInt:
		return convertInt
	case to == kindExact && exact && b.Decimals <= maxScale:
		return convertDecimal
	case to == kindDouble:
		return convertDouble
	}
	return convertNot
}

// alike reports whether values of two columns, which are no numbers, look the same.
func alike(a, b wire.Column) bool {
	same := a.Type == b.Type && a.Decimals == b.Decimals || isString(a) && isString(b)
	return same && a.Collation == b.Collation
}

// isString reports whether a column's values are strings and nothing else: how long
// they can be says which of the types it has.
func isString(c wire.Column) bool {
	//nolint:exhaustive // all others are no strings
	switch c.Type {
	case wire.TypeVarChar, wire.TypeVarString, wire.TypeString, wire.TypeTinyBlob, wire.TypeMediumBlob, wire.TypeLongBlob, wire.TypeBlob:
		return c.Flags&(flagEnum|flagSet) == 0
	}
	return false
}

// fill makes the column's cell where the aggregate has a value.
func (f *fallback) fill(l *layout, cells []cell) error {
	from, to := &cells[f.of], &cells[f.column]
	if !from.made {
		return invalid("the column of an IFNULL is no aggregate")
	}
	if from.null {
		return nil
	}
	to.made, to.null, to.value = true, false, to.value[:0]
	switch f.how {
	case convertNot:
	case convertSame:
		to.value = append(to.value, from.value...)
	case convertInt:
		to.value = f.integer(l, to.value, from.value)
	case convertDecimal:
		d, ok := f.decimal(l, from.value)
		if !ok || !d.round(int(l.columns[f.column].Decimals)) {
			return malformed("a number")
		}
		to.value = d.append(to.value)
	case convertDouble:
		x, ok := f.double(l, from.value)
		if !ok {
			return malformed("a number")
		}
		to.value = l.doubleValue(to.value, x, &l.columns[f.column])
	}
	return nil
}

// integer gives an integer the width of its new type.
func (f *fallback) integer(l *layout, dst, v []byte) []byte {
	if !l.binary {
		return append(dst, v...)
	}
	u, n := rawInt(v)
	if l.columns[f.of].Flags&flagUnsigned == 0 {
		u = uint64(n)
	}
	return wire.AppendBinaryInt(dst, l.types[f.column], u)
}

func (f *fallback) decimal(l *layout, v []byte) (decimal, bool) {
	var d decimal
	if !l.binary || l.types[f.of] == wire.TypeNewDecimal {
		ok := d.parse(v)
		return d, ok
	}
	u, n := rawInt(v)
	switch {
	case l.columns[f.of].Flags&flagUnsigned != 0:
		d.setUint(u, false)
	case n < 0:
		d.setUint(-uint64(n), true)
	default:
		d.setUint(uint64(n), false)
	}
	return d, true
}

func (f *fallback) double(l *layout, v []byte) (float64, bool) {
	of := l.columns[f.of]
	switch {
	case !l.binary || of.Type == wire.TypeNewDecimal:
		return double(v, false)
	case of.Type == wire.TypeDouble:
		return double(v, true)
	}
	u, n := rawInt(v)
	if of.Flags&flagUnsigned != 0 {
		return float64(u), true
	}
	return float64(n), true
}
