package merge

import (
	"math"
	"strconv"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// truth is a value of three-valued logic.
type truth uint8

const (
	isFalse truth = iota
	isUnknown
	isTrue
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// condition is a plan.Condition whose columns are known.
type condition struct {
	op     plan.ConditionOp
	parts  []*condition
	column int
	kind   kind
	null   bool // compared with NULL
	double bool // compared as DOUBLE
	number decimal
	x      float64
	// Of an AVG of exact numbers: the columns of its SUM and COUNT.
	average    bool
	sum, count int
}

func (r *Rows) condition(m *plan.Merge, c *plan.Condition) (*condition, error) {
	out := &condition{op: c.Op, null: c.Null}
	switch c.Op {
	case plan.ConditionAnd, plan.ConditionOr, plan.ConditionNot:
		for _, p := range c.Parts {
			part, err := r.condition(m, p)
			if err != nil {
				return nil, err
			}
			out.parts = append(out.parts, part)
		}
		if len(out.parts) == 0 || c.Op == plan.ConditionNot && len(out.parts) != 1 {
			return nil, invalid("a condition with %d parts", len(out.parts))
		}
		return out, nil
	case plan.ConditionEqual, plan.ConditionNotEqual, plan.ConditionLess, plan.ConditionLessEqual,
		plan.ConditionGreater, plan.ConditionGreaterEqual:
		return out, r.comparison(m, c, out)
	case plan.ConditionIsNull:
		var err error
		out.column, err = r.resolve(c.Column)
		return out, err
	case plan.ConditionInvalid:
	}
	return nil, invalid("condition %d", c.Op)
}

// comparison takes the column and the number.
func (r *Rows) comparison(m *plan.Merge, c *plan.Condition, out *condition) error {
	var err error
	if out.column, err = r.resolve(c.Column); err != nil {
		return err
	}
	column := r.columns[out.column]
	out.kind = kindOf(column)
	switch {
	case column.Type == wire.TypeYear:
		return unsupported("HAVING that compares %s, a YEAR, with a number", r.name(out.column))
	case fixed(column):
		return unsupported("HAVING that compares %s, a DOUBLE with a fixed number of decimals", r.name(out.column))
	}
	switch out.kind {
	case kindInt, kindExact, kindDouble, kindNull:
	case kindNone, kindDate, kindTime, kindBytes:
		return unsupported("HAVING that compares %s of type %d with a number", r.name(out.column), column.Type)
	}
	if c.Null {
		return nil
	}
	out.double = c.Double || out.kind == kindDouble
	if !out.double && !out.number.parse([]byte(c.Number)) {
		return invalid("number %q", c.Number)
	}
	if out.x, err = strconv.ParseFloat(c.Number, 64); err != nil || math.IsNaN(out.x) {
		return invalid("number %q", c.Number)
	}
	return r.averages(m, out)
}

// averages finds the parts of an AVG.
func (r *Rows) averages(m *plan.Merge, out *condition) error {
	if !averaged(&r.layout, m, out.column) {
		return nil
	}
	for _, a := range m.Aggregates {
		acc, err := newAccumulator(&r.layout, a)
		if err != nil {
			return err
		}
		if acc.f == plan.AggregateAvg && acc.column == out.column {
			out.average, out.sum, out.count = true, acc.sum, acc.count
		}
	}
	return nil
}

// holds says whether the condition is met by a row.
func (c *condition) holds(l *layout, r *row) (truth, error) {
	switch c.op {
	case plan.ConditionAnd, plan.ConditionOr:
		return c.combined(l, r)
	case plan.ConditionNot:
		t, err := c.parts[0].holds(l, r)
		return isTrue - t, err
	case plan.ConditionIsNull:
		return truthOf(r.fields[c.column].Null), nil
	case plan.ConditionEqual, plan.ConditionNotEqual, plan.ConditionLess, plan.ConditionLessEqual,
		plan.ConditionGreater, plan.ConditionGreaterEqual:
		if c.null || r.fields[c.column].Null {
			return isUnknown, nil
		}
		d, err := c.compare(l, r)
		return truthOf(c.accepts(d)), err
	case plan.ConditionInvalid:
	}
	return isUnknown, nil
}

// combined is the least of AND's parts, the greatest of OR's.
func (c *condition) combined(l *layout, r *row) (truth, error) {
	t := isTrue
	if c.op == plan.ConditionOr {
		t = isFalse
	}
	for _, p := range c.parts {
		u, err := p.holds(l, r)
		if err != nil {
			return isUnknown, err
		}
		if c.op == plan.ConditionOr {
			t = max(t, u)
		} else {
			t = min(t, u)
		}
	}
	return t, nil
}

// accepts says what the operator makes of a comparison's outcome.
func (c *condition) accepts(d int) bool {
	switch c.op {
	case plan.ConditionEqual:
		return d == 0
	case plan.ConditionNotEqual:
		return d != 0
	case plan.ConditionLess:
		return d < 0
	case plan.ConditionLessEqual:
		return d <= 0
	case plan.ConditionGreater:
		return d > 0
	case plan.ConditionGreaterEqual:
		return d >= 0
	case plan.ConditionInvalid, plan.ConditionAnd, plan.ConditionOr, plan.ConditionNot, plan.ConditionIsNull:
	}
	return false
}

// maxExact is the first integer beyond which a DOUBLE leaves integers out. Servers
// compare some of these exactly, some as DOUBLE.
const maxExact = 1 << 53

// compare compares the row's value, which is not NULL, with the number.
func (c *condition) compare(l *layout, r *row) (int, error) {
	v := r.fields[c.column].Value(r.payload)
	if c.kind == kindDouble {
		x, ok := double(v, l.binary)
		if !ok {
			return 0, malformed("a number")
		}
		return compareDoubles(x, c.x), nil
	}
	f := fallback{of: c.column}
	d, ok := f.decimal(l, v)
	if !ok {
		return 0, malformed("a number")
	}
	shown := c.against(&d)
	if c.kind == kindInt && c.double && shown == 0 && math.Abs(c.x) >= maxExact {
		return 0, unsupported("HAVING that compares an integer of more than 53 bits with a DOUBLE")
	}
	if c.average {
		return shown, c.sure(l, r, &d, shown)
	}
	return shown, nil
}

// against compares an exact number with the condition's.
func (c *condition) against(d *decimal) int {
	if !c.double {
		return d.compare(&c.number)
	}
	var buf [maxText]byte
	x, err := strconv.ParseFloat(string(d.append(buf[:0])), 64)
	if err != nil {
		return 0 // cannot be: the text is a number, and DOUBLE is wider
	}
	return compareDoubles(x, c.x)
}

func compareDoubles(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// sure refuses a comparison of an AVG whose outcome depends on whether the
// quotient is rounded before: MariaDB does so, MySQL in some statements.
func (c *condition) sure(l *layout, r *row, shown *decimal, outcome int) error {
	n, ok := l.integer(r, c.count)
	var quotient decimal
	if sum := r.fields[c.sum]; !ok || n <= 0 || sum.Null || !quotient.parse(sum.Value(r.payload)) {
		return malformed("an AVG")
	}
	quotient.divide(uint64(n))
	quotient.scale = maxScale
	exact := c.against(&quotient)
	quotient.truncate(shown.scale)
	if exact != outcome || c.against(&quotient) != outcome {
		return unsupported("HAVING that compares AVG() with a number between its exact and its rounded value")
	}
	return nil
}
