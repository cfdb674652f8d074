package merge

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// ErrRange says that an aggregate is too large for its type.
var ErrRange = errors.New("an aggregate's value is out of range")

// cell is the value of one column of a merged row, as the protocol has it
// but for its length.
type cell struct {
	made  bool // the row's value is not the first row's
	null  bool
	value []byte
}

// accumulator makes the value of one aggregate.
type accumulator struct {
	f      plan.AggregateFunc
	column int
	sum    int // of AVG; of SUM the column
	count  int // of AVG; of COUNT the column
	exact  bool
	sort   sortKey // of MIN and MAX

	some  bool // a value that is not NULL was seen
	total decimal
	x     float64
	n     int64
	best  cell
	// least is the value that compares, and its key within.
	least []byte
	key   key
}

func newAccumulator(l *layout, a plan.Aggregate) (accumulator, error) {
	at, err := l.resolve(a.Column)
	if err != nil {
		return accumulator{}, err
	}
	acc := accumulator{f: a.Func, column: at, sum: at, count: at}
	switch a.Func {
	case plan.AggregateCount:
		return acc, l.counts(at)
	case plan.AggregateSum:
		acc.exact, err = l.sums(at, a.Rough)
		return acc, err
	case plan.AggregateAvg:
		return l.average(acc, a)
	case plan.AggregateMin, plan.AggregateMax:
		acc.sort, err = l.sortKey(a.Key)
		acc.sort.desc = a.Func == plan.AggregateMax
		return acc, err
	case plan.AggregateInvalid:
	}
	return accumulator{}, invalid("aggregate %d", a.Func)
}

// counts reports why a column is no COUNT.
func (l *layout) counts(at int) error {
	if l.columns[at].Type != wire.TypeLongLong {
		return unsupported("COUNT of type %d", l.columns[at].Type)
	}
	return nil
}

// sums says whether a column is an exact SUM, or a DOUBLE.
func (l *layout) sums(at int, rough bool) (exact bool, err error) {
	t := l.columns[at].Type
	if rough && fixed(l.columns[at]) {
		return false, unsupported("SUM or AVG of a DOUBLE with a fixed number of decimals")
	}
	if t != wire.TypeNewDecimal && t != wire.TypeDouble {
		return false, unsupported("SUM of type %d", t)
	}
	return t == wire.TypeNewDecimal, nil
}

func (l *layout) average(acc accumulator, a plan.Aggregate) (accumulator, error) {
	var err, errSum, errCount error
	acc.sum, errSum = l.resolve(a.Sum)
	acc.count, errCount = l.resolve(a.Count)
	if err = errors.Join(errSum, errCount); err != nil {
		return acc, err
	}
	var own bool
	own, err = l.sums(acc.column, a.Rough)
	acc.exact, errSum = l.sums(acc.sum, a.Rough)
	if err = errors.Join(err, errSum, l.counts(acc.count)); err != nil {
		return acc, err
	}
	if own != acc.exact {
		return acc, unsupported("AVG of type %d over a SUM of type %d", l.columns[acc.column].Type, l.columns[acc.sum].Type)
	}
	if own && l.columns[acc.column].Decimals > maxScale {
		return acc, unsupported("AVG with %d decimals", l.columns[acc.column].Decimals)
	}
	return acc, nil
}

func (a *accumulator) reset() {
	a.some, a.total, a.x, a.n = false, decimal{}, 0, 0
}

// take adds a row.
func (a *accumulator) take(l *layout, r *row) error {
	switch a.f {
	case plan.AggregateCount:
		return a.takeCount(l, r)
	case plan.AggregateSum:
		return a.takeSum(l, r)
	case plan.AggregateAvg:
		return errors.Join(a.takeSum(l, r), a.takeCount(l, r))
	case plan.AggregateMin, plan.AggregateMax:
		return a.takeBest(l, r)
	case plan.AggregateInvalid:
	}
	return nil
}

func (a *accumulator) takeCount(l *layout, r *row) error {
	n, ok := l.integer(r, a.count)
	if !ok || n < 0 {
		return malformed("a COUNT")
	}
	if a.n > math.MaxInt64-n {
		return ErrRange
	}
	a.n += n
	return nil
}

// integer is a signed integer, 0 for NULL.
func (l *layout) integer(r *row, column int) (int64, bool) {
	f := r.fields[column]
	if f.Null {
		return 0, true
	}
	v := f.Value(r.payload)
	if l.binary {
		_, n := rawInt(v)
		return n, true
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	return n, err == nil
}

func (a *accumulator) takeSum(l *layout, r *row) error {
	f := r.fields[a.sum]
	if f.Null {
		return nil
	}
	v := f.Value(r.payload)
	if !a.exact {
		x, ok := double(v, l.binary)
		if !ok {
			return malformed("a SUM")
		}
		a.x += x
		a.some = true
		return nil
	}
	var d decimal
	if !d.parse(v) {
		return malformed("a SUM")
	}
	if !a.some {
		a.total, a.some = d, true
		return nil
	}
	if !a.total.add(&d) {
		return ErrRange
	}
	return nil
}

// takeBest keeps the row's value when it is the first or a better one.
func (a *accumulator) takeBest(l *layout, r *row) error {
	f, by := r.fields[a.column], r.fields[a.sort.column]
	if f.Null || by.Null {
		return nil
	}
	k, err := a.sort.decode(l.binary, r.payload, r.fields)
	if err != nil {
		return err
	}
	if a.some && a.sort.compare(r.payload, &k, a.least, &a.key) >= 0 {
		return nil
	}
	a.some = true
	a.best.value = append(a.best.value[:0], r.payload[f.Start:f.End]...)
	a.least = append(a.least[:0], r.payload[by.Start:by.End]...)
	a.key = k.moved(by.Start)
	return nil
}

// moved is the key of the same value, whose bytes begin by so many earlier.
func (k key) moved(by uint32) key {
	if k.null || k.dot == 0 && k.start == 0 && k.end == 0 {
		return k
	}
	k.start -= by
	k.end -= by
	k.dot -= min(k.dot, by) // bytes have none
	return k
}

// finish makes the cells of the merged row.
func (a *accumulator) finish(l *layout, cells []cell) error {
	switch a.f {
	case plan.AggregateCount:
		a.finishCount(l, &cells[a.count])
	case plan.AggregateSum:
		return a.finishSum(l, &cells[a.sum])
	case plan.AggregateAvg:
		a.finishCount(l, &cells[a.count])
		return errors.Join(a.finishSum(l, &cells[a.sum]), a.finishAverage(l, &cells[a.column]))
	case plan.AggregateMin, plan.AggregateMax:
		cells[a.column].set(!a.some, a.best.value)
		if a.sort.column != a.column {
			cells[a.sort.column].set(!a.some, a.least)
		}
	case plan.AggregateInvalid:
	}
	return nil
}

func (c *cell) set(null bool, value []byte) {
	c.made, c.null = true, null
	c.value = append(c.value[:0], value...)
}

func (a *accumulator) finishCount(l *layout, c *cell) {
	c.made, c.null = true, false
	if l.binary {
		c.value = binary.LittleEndian.AppendUint64(c.value[:0], uint64(a.n))
		return
	}
	c.value = strconv.AppendInt(c.value[:0], a.n, 10)
}

func (a *accumulator) finishSum(l *layout, c *cell) error {
	c.made, c.null, c.value = true, !a.some, c.value[:0]
	switch {
	case !a.some:
	case a.exact:
		c.value = a.total.append(c.value)
	case math.IsInf(a.x, 0):
		return ErrRange
	default:
		c.value = l.doubleValue(c.value, a.x, &l.columns[a.sum])
	}
	return nil
}

func (a *accumulator) finishAverage(l *layout, c *cell) error {
	c.made, c.null, c.value = true, !a.some || a.n == 0, c.value[:0]
	switch {
	case c.null:
	case a.exact:
		d := a.total
		if !d.average(uint64(a.n), int(l.columns[a.column].Decimals), int(l.columns[a.sum].Decimals)) {
			return ErrRange
		}
		c.value = d.append(c.value)
	default:
		c.value = l.doubleValue(c.value, a.x/float64(a.n), &l.columns[a.column])
	}
	return nil
}
