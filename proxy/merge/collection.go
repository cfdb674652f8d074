package merge

import (
	"io"
	"math"
	"slices"

	"xaproxy/proxy/plan"
)

// collection holds rows for the final order: all, or those that the limit can
// reach.
type collection struct {
	keys     []sortKey
	most     int64 // rows that are looked at
	maxRows  int
	maxBytes int

	rows    []collected
	bytes   int
	chunk   []byte
	spare   []key
	scratch []key
	full    bool // rows[:most] are sorted, and what is not before them is dropped
	sorted  bool
	at      int
	out     row
}

// collected is a row with its keys.
type collected struct {
	payload []byte
	keys    []key
}

const (
	chunkBytes = 64 << 10
	chunkKeys  = 1024
	// overhead is what a collected row takes beside its bytes, and each key.
	overhead    = 48
	keyOverhead = 32
	// slack is how many rows beyond those that are looked at are collected before
	// they are sorted out.
	slack = 256
)

func newCollection(r *Rows, m *plan.Merge, o Options) (*collection, error) {
	keys, err := r.sortKeys(m.Final)
	if err != nil {
		return nil, err
	}
	c := &collection{keys: keys, most: reach(m), maxRows: o.MaxRows, maxBytes: o.MaxBytes}
	if c.maxRows <= 0 {
		c.maxRows = math.MaxInt
	}
	if c.maxBytes <= 0 {
		c.maxBytes = math.MaxInt
	}
	return c, nil
}

// add takes a copy of a row.
func (c *collection) add(l *layout, r *row) error {
	c.scratch = c.scratch[:0]
	for i := range c.keys {
		k, err := c.keys[i].decode(l.binary, r.payload, r.fields)
		if err != nil {
			return err
		}
		c.scratch = append(c.scratch, k)
	}
	n := collected{payload: r.payload, keys: c.scratch}
	if c.full && c.compare(n, c.rows[c.most-1]) >= 0 {
		return nil
	}
	n = c.copy(n)
	c.rows = append(c.rows, n)
	c.bytes += c.size(n)
	return c.bound()
}

// bound keeps to the limits. What the limit of the result does not reach is
// dropped at times only, so that rows are not sorted again and again.
func (c *collection) bound() error {
	beyond := int64(len(c.rows)) > c.most
	if beyond && (int64(len(c.rows))-c.most > c.most+slack || c.bytes/2 > c.maxBytes) {
		c.sort()
		beyond = false
	}
	switch {
	case min(c.most, int64(len(c.rows))) > int64(c.maxRows):
		return &LimitError{Rows: true}
	case !beyond && c.bytes > c.maxBytes:
		return &LimitError{}
	}
	return nil
}

func (c *collection) size(n collected) int {
	return len(n.payload) + overhead + keyOverhead*len(n.keys)
}

// copy copies a row to memory that is taken in pieces.
func (c *collection) copy(n collected) collected {
	if len(n.payload) > cap(c.chunk)-len(c.chunk) {
		c.chunk = make([]byte, 0, max(chunkBytes, len(n.payload)))
	}
	at := len(c.chunk)
	c.chunk = append(c.chunk, n.payload...)
	n.payload = c.chunk[at:len(c.chunk):len(c.chunk)]
	if len(n.keys) > cap(c.spare)-len(c.spare) {
		c.spare = make([]key, 0, max(chunkKeys, len(n.keys)))
	}
	at = len(c.spare)
	c.spare = append(c.spare, n.keys...)
	n.keys = c.spare[at:len(c.spare):len(c.spare)]
	return n
}

func (c *collection) compare(a, b collected) int {
	for i := range c.keys {
		if d := c.keys[i].compare(a.payload, &a.keys[i], b.payload, &b.keys[i]); d != 0 {
			return d
		}
	}
	return 0
}

// sort sorts what there is, equal rows as they came, and drops what the limit
// does not reach.
func (c *collection) sort() {
	slices.SortStableFunc(c.rows, c.compare)
	if int64(len(c.rows)) < c.most {
		return
	}
	c.full = c.most > 0
	rest := c.rows[:c.most]
	c.rows = make([]collected, 0, len(rest)+slack)
	c.chunk, c.spare, c.bytes = nil, nil, 0
	for _, r := range rest {
		r = c.copy(r)
		c.rows = append(c.rows, r)
		c.bytes += c.size(r)
	}
}

// next returns the next row in order.
func (c *collection) next(l *layout) (*row, error) {
	if c.at >= len(c.rows) {
		return nil, io.EOF
	}
	p := c.rows[c.at].payload
	c.at++
	return &c.out, c.out.load(l, p, nil)
}
