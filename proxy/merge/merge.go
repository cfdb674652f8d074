package merge

import (
	"errors"
	"fmt"
	"io"
	"math"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// Options say what rows look like and what may be held of them.
type Options struct {
	// Binary: rows are of the binary protocol.
	Binary bool
	// MaxRows and MaxBytes bound what plan.Merge.Final collects.
	MaxRows, MaxBytes int
}

// LimitError says that more rows would have to be collected than Options allow.
type LimitError struct {
	Rows bool // MaxRows, else MaxBytes
}

func (e *LimitError) Error() string {
	if e.Rows {
		return "more rows would have to be collected than may be"
	}
	return "more bytes would have to be collected than may be"
}

// Rows is a merged result.
type Rows struct {
	layout
	in       merger
	group    *grouping
	having   *condition
	distinct bool
	final    *collection
	skip     int64
	left     int64 // negative: no limit
	out      []byte
	err      error
}

// New returns the merged rows of sources, whose rows all have these columns.
// Nothing is read before the first call of Next. An *UnsupportedError says what
// cannot be merged exactly.
func New(m *plan.Merge, columns []wire.Column, o Options, sources []Source) (*Rows, error) {
	l, err := newLayout(columns, m.Hidden, o.Binary)
	if err != nil {
		return nil, err
	}
	r := &Rows{layout: l, skip: max(0, m.Offset), left: m.Limit, distinct: m.Distinct && !m.Grouped}
	r.in = merger{l: &r.layout, check: -1}
	if r.in.order, err = l.sortKeys(m.Order); err != nil {
		return nil, err
	}
	for i, s := range sources {
		r.in.sources = append(r.in.sources, &stream{src: s, index: i})
	}
	if m.Distinct {
		r.in.check = len(m.Order)
	}
	r.in.bare = m.Hidden == 0 && len(m.Order) == 0 && !m.Grouped && m.Having == nil && len(m.Final) == 0
	return r, r.further(m, o)
}

// further takes what is done with rows behind the merge by their order.
func (r *Rows) further(m *plan.Merge, o Options) error {
	var err error
	if m.Grouped {
		if r.group, err = newGrouping(r, m); err != nil {
			return err
		}
		r.in.check, r.in.strict = m.Group, true
	}
	if m.Having != nil {
		if r.having, err = r.condition(m, m.Having); err != nil {
			return err
		}
	}
	if len(m.Final) > 0 {
		r.final, err = newCollection(r, m, o)
	}
	return err
}

// Visible is how many of the columns are the client's.
func (r *Rows) Visible() int { return r.visible }

// Next returns the next row for the client, which is valid until the next call,
// and io.EOF behind the last one. Errors are final: a source's own, ErrOrder, an
// *UnsupportedError, a *LimitError, wire.ErrMalformed.
func (r *Rows) Next() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	for r.left != 0 {
		row, err := r.next()
		if err != nil {
			r.err = err
			return nil, err
		}
		if r.skip > 0 {
			r.skip--
			continue
		}
		if r.left > 0 {
			r.left--
		}
		var p []byte
		p, r.out = r.cut(r.out, row)
		return p, nil
	}
	r.err = io.EOF
	return nil, io.EOF
}

// next returns the next row of the result's order.
func (r *Rows) next() (*row, error) {
	if r.final == nil {
		return r.kept()
	}
	if !r.final.sorted {
		if err := r.collect(); err != nil {
			return nil, err
		}
	}
	return r.final.next(&r.layout)
}

// collect reads all rows for the final order.
func (r *Rows) collect() error {
	for {
		row, err := r.kept()
		switch {
		case errors.Is(err, io.EOF):
			r.final.sort()
			r.final.sorted = true
			return nil
		case err != nil:
			return err
		}
		if err := r.final.add(&r.layout, row); err != nil {
			return err
		}
	}
}

// kept returns the next merged row that Having and Distinct let through.
func (r *Rows) kept() (*row, error) {
	for {
		row, err := r.merged()
		if err != nil {
			return nil, err
		}
		if r.distinct && r.in.last != nil && compareRows(r.in.order, row, r.in.last) == 0 {
			continue
		}
		if r.having == nil {
			return row, nil
		}
		t, err := r.having.holds(&r.layout, row)
		if err != nil {
			return nil, err
		}
		if t == isTrue {
			return row, nil
		}
	}
}

func (r *Rows) merged() (*row, error) {
	if r.group != nil {
		return r.group.next(&r.in)
	}
	row, err := r.in.step()
	if err == nil && row == nil {
		return nil, io.EOF
	}
	return row, err
}

// reach is how many rows of the result's order are looked at; math.MaxInt64: all.
func reach(m *plan.Merge) int64 {
	if m.Limit < 0 || m.Offset > math.MaxInt64-m.Limit {
		return math.MaxInt64
	}
	return m.Offset + m.Limit
}

var errInvalid = errors.New("invalid merge")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errInvalid, fmt.Sprintf(format, args...))
}
