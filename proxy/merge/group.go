package merge

import (
	"io"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// grouping makes one row of the rows of each group.
type grouping struct {
	l        *layout
	keys     []sortKey // by which rows of a group are equal
	acc      []accumulator
	defaults []fallback
	cells    []cell

	started bool
	ahead   *row // the first row of the next group; nil: there is none
	first   row  // of a group of several rows
	made    row
	buf     []byte
}

func newGrouping(r *Rows, m *plan.Merge) (*grouping, error) {
	if m.Group < 0 || m.Group > len(m.Order) {
		return nil, invalid("%d of %d keys are the group's", m.Group, len(m.Order))
	}
	g := &grouping{l: &r.layout, keys: r.in.order[:m.Group], cells: make([]cell, len(r.columns))}
	for _, a := range m.Aggregates {
		acc, err := newAccumulator(&r.layout, a)
		if err != nil {
			return nil, err
		}
		g.acc = append(g.acc, acc)
	}
	for _, d := range m.Defaults {
		f, err := newFallback(&r.layout, m, d)
		if err != nil {
			return nil, err
		}
		g.defaults = append(g.defaults, f)
	}
	return g, nil
}

// next returns the next group's row. A group of one row is that row.
func (g *grouping) next(in *merger) (*row, error) {
	if !g.started {
		g.started = true
		if err := g.step(in); err != nil {
			return nil, err
		}
	}
	if g.ahead == nil {
		return nil, io.EOF
	}
	first := g.ahead
	if err := g.step(in); err != nil {
		return nil, err
	}
	if g.ahead == nil || compareRows(g.keys, g.ahead, first) != 0 {
		return first, nil
	}
	g.first.copyFrom(first)
	if err := g.begin(); err != nil {
		return nil, err
	}
	for g.ahead != nil && compareRows(g.keys, g.ahead, &g.first) == 0 {
		if err := g.take(g.ahead); err != nil {
			return nil, err
		}
		if err := g.step(in); err != nil {
			return nil, err
		}
	}
	return g.build()
}

func (g *grouping) step(in *merger) error {
	var err error
	g.ahead, err = in.step()
	return err
}

func (g *grouping) begin() error {
	for i := range g.acc {
		g.acc[i].reset()
	}
	return g.take(&g.first)
}

func (g *grouping) take(r *row) error {
	for i := range g.acc {
		if err := g.acc[i].take(g.l, r); err != nil {
			return err
		}
	}
	return nil
}

// build makes the group's row: the first one with other values.
func (g *grouping) build() (*row, error) {
	for i := range g.cells {
		g.cells[i].made = false
	}
	for i := range g.acc {
		if err := g.acc[i].finish(g.l, g.cells); err != nil {
			return nil, err
		}
	}
	for i := range g.defaults {
		if err := g.defaults[i].fill(g.l, g.cells); err != nil {
			return nil, err
		}
	}
	g.buf = g.l.rebuild(g.buf[:0], &g.first, g.cells)
	return &g.made, g.made.load(g.l, g.buf, nil)
}

// rebuild appends a row in which some cells are others than in r.
func (l *layout) rebuild(dst []byte, r *row, cells []cell) []byte {
	if l.binary {
		dst = wire.AppendBinaryHead(dst, len(l.types))
	}
	for i, f := range r.fields {
		c := &cells[i]
		null, value := f.Null, r.payload[f.Start:f.End]
		if c.made {
			null, value = c.null, c.value
		}
		switch {
		case null && l.binary:
			wire.SetBinaryNull(dst, i)
		case null:
			dst = wire.AppendNull(dst)
		case l.binary:
			dst = wire.AppendBinary(dst, l.types[i], value)
		default:
			dst = wire.AppendTextBytes(dst, value)
		}
	}
	return dst
}
