package route

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// bounds places a key below the first bound that is above it. Numbers are
// ordered as numbers, all other keys by their canonical bytes.
type bounds struct {
	table
	class KeyType
}

// list places a key by its value.
type list struct {
	table
	class KeyType
}

// table is what ranges and lists have in common: values in ascending order.
type table struct {
	values []Value // their Texts are empty
	bytes  [][]byte
	rest   *Shard
	over   []Shard
}

func (f Function) table(t KeyType) (table, error) {
	if len(f.Values) == 0 {
		return table{}, fmt.Errorf("%w: %s without values", ErrRule, f.Kind)
	}
	d := table{rest: f.Rest}
	for _, v := range f.Values {
		b, ok := v.Key.Append(nil)
		if !ok || v.Key.Kind != t.kind() {
			return table{}, fmt.Errorf("%w: the value %q is none of type %s", ErrRule, v.Text, t)
		}
		d.values = append(d.values, Value{Key: v.Key, Shard: v.Shard})
		d.bytes = append(d.bytes, b)
		d.over = append(d.over, v.Shard)
	}
	if d.rest != nil {
		rest := *d.rest
		d.rest = &rest
		d.over = append(d.over, rest)
	}
	slices.Sort(d.over)
	d.over = slices.Compact(d.over)
	return d, nil
}

func (d table) shards() []Shard { return d.over }

func (d table) elsewhere() (Shard, bool) {
	if d.rest == nil {
		return 0, false
	}
	return *d.rest, true
}

// compare orders keys of one class.
func (t KeyType) compare(a, b Key, x, y []byte) int {
	switch t {
	case KeyTypeInt:
		return cmp.Compare(a.Int, b.Int)
	case KeyTypeUint:
		return cmp.Compare(uint64(a.Int), uint64(b.Int))
	case KeyTypeBytes, KeyTypeString, KeyTypeDate, KeyTypeDatetime, KeyTypeTimestamp, KeyTypeUUID,
		KeyTypeDecimal, KeyTypeTime, KeyTypeInvalid:
	}
	return bytes.Compare(x, y)
}

func (f Function) bounds(t KeyType) (distribution, error) {
	d, err := f.table(t)
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(d.values); i++ {
		if t.compare(d.values[i-1].Key, d.values[i].Key, d.bytes[i-1], d.bytes[i]) >= 0 {
			return nil, fmt.Errorf("%w: the bound %q is not above %q", ErrRule, f.Values[i].Text, f.Values[i-1].Text)
		}
	}
	return bounds{d, t}, nil
}

// above returns the number of the first value that is above a key; with
// orEqual, that is not below it.
func (d table) above(t KeyType, k Key, canonical []byte, orEqual bool) int {
	return sort.Search(len(d.values), func(i int) bool {
		c := t.compare(d.values[i].Key, k, d.bytes[i], canonical)
		return c > 0 || orEqual && c == 0
	})
}

func (d bounds) place(k Key, canonical []byte) (Shard, bool) {
	i := d.above(d.class, k, canonical, false)
	if i == len(d.values) {
		return d.elsewhere()
	}
	return d.values[i].Shard, true
}

func (d bounds) text() string {
	items := make([]string, 0, len(d.values)+1)
	for i, v := range d.values {
		items = append(items, d.class.write(v.Key, d.bytes[i])+":"+v.Shard.String())
	}
	if d.rest != nil {
		items = append(items, "max:"+d.rest.String())
	}
	return " below=" + strings.Join(items, ",")
}

func (f Function) list(t KeyType) (distribution, error) {
	d, err := f.table(t)
	if err != nil {
		return nil, err
	}
	sort.Sort(&byValue{d, t})
	for i := 1; i < len(d.values); i++ {
		if t.compare(d.values[i-1].Key, d.values[i].Key, d.bytes[i-1], d.bytes[i]) == 0 {
			return nil, fmt.Errorf("%w: the value %s is listed twice", ErrRule, t.write(d.values[i].Key, d.bytes[i]))
		}
	}
	return list{d, t}, nil
}

// byValue sorts a table's values.
type byValue struct {
	table
	class KeyType
}

func (s *byValue) Len() int { return len(s.values) }
func (s *byValue) Less(i, j int) bool {
	return s.class.compare(s.values[i].Key, s.values[j].Key, s.bytes[i], s.bytes[j]) < 0
}

func (s *byValue) Swap(i, j int) {
	s.values[i], s.values[j] = s.values[j], s.values[i]
	s.bytes[i], s.bytes[j] = s.bytes[j], s.bytes[i]
}

func (d list) place(k Key, canonical []byte) (Shard, bool) {
	i := d.above(d.class, k, canonical, true)
	if i < len(d.values) && d.class.compare(d.values[i].Key, k, d.bytes[i], canonical) == 0 {
		return d.values[i].Shard, true
	}
	return d.elsewhere()
}

func (d list) text() string {
	items := make([]string, len(d.values))
	for i, v := range d.values {
		items[i] = d.class.write(v.Key, d.bytes[i]) + ":" + v.Shard.String()
	}
	text := " at=" + strings.Join(items, ",")
	if d.rest != nil {
		text += " default=" + d.rest.String()
	}
	return text
}
