package merge

import (
	"fmt"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// UnsupportedError says what of a result cannot be merged exactly.
type UnsupportedError struct{ Construct string }

func (e *UnsupportedError) Error() string { return "cannot be merged exactly: " + e.Construct }

func unsupported(format string, args ...any) error {
	return &UnsupportedError{Construct: fmt.Sprintf(format, args...)}
}

// layout is what the rows of all shards look like.
type layout struct {
	binary  bool
	columns []wire.Column
	types   []wire.FieldType
	visible int
}

func newLayout(columns []wire.Column, hidden int, binaryRows bool) (layout, error) {
	l := layout{binary: binaryRows, columns: columns, types: make([]wire.FieldType, len(columns)), visible: len(columns) - hidden}
	if hidden < 0 || l.visible < 1 {
		return layout{}, fmt.Errorf("%d of %d columns are hidden", hidden, len(columns))
	}
	for i, c := range columns {
		l.types[i] = c.Type
	}
	return l, nil
}

// split finds the fields of a row.
func (l *layout) split(dst []wire.Field, p []byte) ([]wire.Field, error) {
	if l.binary {
		return wire.SplitBinary(dst, p, l.types)
	}
	return wire.SplitText(dst, p, len(l.types))
}

// resolve is a column's place from the left.
func (l *layout) resolve(c plan.MergeColumn) (int, error) {
	at := int(c)
	if at < 0 {
		at += len(l.columns)
	}
	if at < 0 || at >= len(l.columns) {
		return 0, fmt.Errorf("column %d of %d", c, len(l.columns))
	}
	return at, nil
}

// name is a column's for people.
func (l *layout) name(at int) string {
	if at < l.visible {
		return "column " + l.columns[at].Name
	}
	return "an expression"
}

// cut appends nothing to a row that has no hidden columns, else it makes the
// client's row in dst. The result may be the row's own payload.
func (l *layout) cut(dst []byte, r *row) (cut, buffer []byte) {
	switch {
	case l.visible == len(l.columns):
		return r.payload, dst
	case l.binary:
		dst = wire.CutBinary(dst[:0], r.payload, r.fields, l.visible)
		return dst, dst
	}
	return r.payload[:r.fields[l.visible].At], dst
}

// sortKey is one key of an order.
type sortKey struct {
	column   int
	kind     kind
	fixed    wire.FieldType
	unsigned bool
	pad      []byte
	desc     bool
}

func (l *layout) sortKey(k plan.MergeKey) (sortKey, error) {
	at, err := l.resolve(k.Column)
	if err != nil {
		return sortKey{}, err
	}
	c := l.columns[at]
	s := sortKey{column: at, kind: kindOf(c), fixed: c.Type, unsigned: c.Flags&flagUnsigned != 0, pad: k.Pad, desc: k.Desc}
	if s.kind == kindNone {
		return sortKey{}, unsupported("the order of %s, whose type is %d", l.name(at), c.Type)
	}
	if k.Rough && fixed(c) {
		return sortKey{}, unsupported("the order of %s, a DOUBLE with a fixed number of decimals", l.name(at))
	}
	return s, nil
}

func (l *layout) sortKeys(keys []plan.MergeKey) ([]sortKey, error) {
	list := make([]sortKey, len(keys))
	for i, k := range keys {
		var err error
		if list[i], err = l.sortKey(k); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// decode makes the key of a row.
func (s *sortKey) decode(binaryRow bool, p []byte, fields []wire.Field) (key, error) {
	k, ok := decodeKey(s.kind, s.fixed, s.unsigned, binaryRow, p, fields[s.column])
	if !ok {
		return key{}, malformed("a value of column %d", s.column+1)
	}
	return k, nil
}

// compare compares two keys by this one.
func (s *sortKey) compare(ap []byte, a *key, bp []byte, b *key) int {
	c := compareKeys(s.kind, s.pad, ap, a, bp, b)
	if s.desc {
		return -c
	}
	return c
}

func malformed(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, wire.ErrMalformed)...)
}

// row is a row with its fields and keys.
type row struct {
	payload []byte
	fields  []wire.Field
	keys    []key
}

// load takes a payload apart.
func (r *row) load(l *layout, p []byte, keys []sortKey) error {
	r.payload = p
	var err error
	if r.fields, err = l.split(r.fields[:0], p); err != nil {
		return err
	}
	r.keys = r.keys[:0]
	for i := range keys {
		k, err := keys[i].decode(l.binary, p, r.fields)
		if err != nil {
			return err
		}
		r.keys = append(r.keys, k)
	}
	return nil
}

// copyFrom makes a copy that does not share memory.
func (r *row) copyFrom(o *row) {
	r.payload = append(r.payload[:0], o.payload...)
	r.fields = append(r.fields[:0], o.fields...)
	r.keys = append(r.keys[:0], o.keys...)
}

// compareRows compares two rows by keys that both have decoded.
func compareRows(keys []sortKey, a, b *row) int {
	for i := range keys {
		if c := keys[i].compare(a.payload, &a.keys[i], b.payload, &b.keys[i]); c != 0 {
			return c
		}
	}
	return 0
}
