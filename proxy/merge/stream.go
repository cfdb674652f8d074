package merge

import (
	"errors"
	"io"
)

// Source gives the rows of one shard.
type Source interface {
	// Next returns the next row's payload, which is valid until the next call but
	// one, and io.EOF behind the last row. It is not called again after an error.
	Next() ([]byte, error)
}

// stream is a source with its current row and the one before.
type stream struct {
	src   Source
	index int
	rows  [2]row
	at    int // of the current one
}

func (s *stream) row() *row { return &s.rows[s.at] }

// merger merges the rows of sources by an order; without one they come source by
// source.
type merger struct {
	l     *layout
	order []sortKey
	bare  bool // nobody looks into the rows
	// check is the number of keys by which every source's row must not be less
	// than the one before, or with strict be greater; -1: none is looked at.
	check  int
	strict bool

	sources []*stream
	heap    []*stream // of those that have a row; heap[0] has the least
	started bool
	last    *row // that step returned before
}

// ErrOrder says that a shard's rows do not come in the order that was asked for.
var ErrOrder = errors.New("a shard's rows come in an order that is not that of their values")

// step moves to the next row and returns it, nil at the end. It is valid until the
// next step but one.
func (m *merger) step() (*row, error) {
	if !m.started {
		m.started = true
		return m.start()
	}
	if len(m.heap) == 0 {
		return nil, nil
	}
	top := m.heap[0]
	m.last = top.row()
	more, err := m.advance(top)
	if err != nil {
		return nil, err
	}
	if !more {
		n := len(m.heap) - 1
		m.heap[0] = m.heap[n]
		m.heap = m.heap[:n]
		if n == 0 {
			return m.follow()
		}
	}
	m.sink(0)
	return m.heap[0].row(), nil
}

// start reads the first rows: of all sources when they are merged.
func (m *merger) start() (*row, error) {
	if len(m.order) == 0 {
		return m.follow()
	}
	for _, s := range m.sources {
		more, err := m.advance(s)
		if err != nil {
			return nil, err
		}
		if more {
			m.heap = append(m.heap, s)
		}
	}
	m.sources = nil
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	if len(m.heap) == 0 {
		return nil, nil
	}
	return m.heap[0].row(), nil
}

// follow goes on with the next source that has a row, where they are not merged.
func (m *merger) follow() (*row, error) {
	for len(m.sources) > 0 {
		s := m.sources[0]
		m.sources = m.sources[1:]
		more, err := m.advance(s)
		if err != nil {
			return nil, err
		}
		if more {
			m.heap = append(m.heap[:0], s)
			return s.row(), nil
		}
	}
	return nil, nil
}

// advance reads a source's next row; false: there is none.
func (m *merger) advance(s *stream) (bool, error) {
	p, err := s.src.Next()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	before := s.row()
	s.at = 1 - s.at
	now := s.row()
	if m.bare {
		now.payload = p
		return true, nil
	}
	if err := now.load(m.l, p, m.order); err != nil {
		return false, err
	}
	if m.check < 0 || before.payload == nil {
		return true, nil
	}
	if c := compareRows(m.order[:m.check], now, before); c < 0 || c == 0 && m.strict {
		return false, ErrOrder
	}
	return true, nil
}

// less orders the heap: equal rows in the order of the sources.
func (m *merger) less(a, b *stream) bool {
	if c := compareRows(m.order, a.row(), b.row()); c != 0 {
		return c < 0
	}
	return a.index < b.index
}

// sink restores the heap below a place whose row was replaced.
func (m *merger) sink(i int) {
	h := m.heap
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if right := child + 1; right < len(h) && m.less(h[right], h[child]) {
			child = right
		}
		if !m.less(h[child], h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
