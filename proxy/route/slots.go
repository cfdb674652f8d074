package route

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// slots is a fixed number of slots, each on a shard. A key's slot is the
// remainder of its hash.
type slots struct {
	of   []Shard // by slot
	over []Shard
}

func (f Function) slots() (distribution, error) {
	n := f.Slots
	if n == 0 {
		n = DefaultSlots
	}
	if n < 1 || n > maxSlots {
		return nil, fmt.Errorf("%w: %d slots: 1 to %d are possible", ErrRule, n, maxSlots)
	}
	ranges := f.Ranges
	if len(ranges) == 0 {
		over, err := ascending(f.Shards)
		if err != nil {
			return nil, err
		}
		ranges = evenly(n, over)
	} else if len(f.Shards) > 0 {
		return nil, fmt.Errorf("%w: slots are given both by ranges and by shards", ErrRule)
	}
	return slotsOf(n, ranges)
}

// evenly gives each shard its share of slots, in ascending order.
func evenly(n int, over []Shard) []SlotRange {
	var ranges []SlotRange
	for i, s := range over {
		first, next := i*n/len(over), (i+1)*n/len(over)
		if first < next {
			ranges = append(ranges, SlotRange{First: first, Last: next - 1, Shard: s})
		}
	}
	return ranges
}

// slotsOf fills the table; each slot must be in exactly one range.
func slotsOf(n int, ranges []SlotRange) (distribution, error) {
	ranges = slices.Clone(ranges)
	slices.SortFunc(ranges, func(a, b SlotRange) int { return cmp.Compare(a.First, b.First) })
	d := slots{of: make([]Shard, 0, n)}
	for _, r := range ranges {
		switch next := len(d.of); {
		case r.First < 0 || r.Last < r.First || r.Last >= n:
			return nil, fmt.Errorf("%w: slots %d-%d: they are numbered 0 to %d", ErrRule, r.First, r.Last, n-1)
		case r.First < next:
			return nil, fmt.Errorf("%w: slot %d is given twice", ErrRule, r.First)
		case r.First > next:
			return nil, fmt.Errorf("%w: slot %d is on no shard", ErrRule, next)
		}
		for range r.Last - r.First + 1 {
			d.of = append(d.of, r.Shard)
		}
		d.over = append(d.over, r.Shard)
	}
	if len(d.of) < n {
		return nil, fmt.Errorf("%w: slot %d is on no shard", ErrRule, len(d.of))
	}
	slices.Sort(d.over)
	d.over = slices.Compact(d.over)
	return d, nil
}

func (d slots) place(_ Key, canonical []byte) (Shard, bool) {
	return d.of[Hash(canonical)%uint64(len(d.of))], true
}

func (d slots) text() string {
	var items []string
	for first := 0; first < len(d.of); {
		last := first
		for last+1 < len(d.of) && d.of[last+1] == d.of[first] {
			last++
		}
		item := strconv.Itoa(first)
		if last > first {
			item += "-" + strconv.Itoa(last)
		}
		items = append(items, item+":"+d.of[first].String())
		first = last + 1
	}
	return " slots=" + strconv.Itoa(len(d.of)) + " at=" + strings.Join(items, ",")
}

func (d slots) shards() []Shard { return d.over }
