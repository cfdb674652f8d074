package route

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ring is a consistent hash ring. A shard of weight w has w times points
// virtual nodes; number i of shard s is at the hash of the text "s/i". A key is
// on the shard of the first node at or behind its hash, around the end.
type ring struct {
	over    []Shard
	weights []int // of over
	points  int
	nodes   []node // ascending by at, then by shard
}

type node struct {
	at    uint64
	shard Shard
}

func (f Function) ring() (distribution, error) {
	over, err := ascending(f.Shards)
	if err != nil {
		return nil, err
	}
	r := ring{over: over, weights: make([]int, len(over)), points: f.Points}
	if r.points == 0 {
		r.points = DefaultPoints
	}
	for s := range f.Weights {
		if !slices.Contains(over, s) {
			return nil, fmt.Errorf("%w: shard %d has a weight and no place in the ring", ErrRule, s)
		}
	}
	total := 0
	for i, s := range over {
		w, given := f.Weights[s]
		if !given {
			w = 1
		}
		if w < 1 || r.points < 1 || w > maxPoints || r.points > maxPoints {
			return nil, fmt.Errorf("%w: weight %d and %d points: at least 1 each", ErrRule, w, r.points)
		}
		r.weights[i] = w
		if total += w * r.points; total > maxPoints {
			return nil, fmt.Errorf("%w: a ring of more than %d virtual nodes", ErrRule, maxPoints)
		}
	}
	r.build(total)
	return r, nil
}

func (r *ring) build(total int) {
	r.nodes = make([]node, 0, total)
	var buf [24]byte
	for i, s := range r.over {
		for n := range r.weights[i] * r.points {
			b := strconv.AppendUint(buf[:0], uint64(s), 10)
			b = append(b, '/')
			b = strconv.AppendInt(b, int64(n), 10)
			r.nodes = append(r.nodes, node{Hash(b), s})
		}
	}
	slices.SortFunc(r.nodes, func(a, b node) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.shard, b.shard)) })
}

func (r ring) place(_ Key, canonical []byte) (Shard, bool) {
	h := Hash(canonical)
	i, _ := slices.BinarySearchFunc(r.nodes, h, func(n node, h uint64) int { return cmp.Compare(n.at, h) })
	if i == len(r.nodes) {
		i = 0
	}
	return r.nodes[i].shard, true
}

func (r ring) text() string {
	items := make([]string, len(r.over))
	for i, s := range r.over {
		items[i] = s.String() + ":" + strconv.Itoa(r.weights[i])
	}
	return " over=" + strings.Join(items, ",") + " points=" + strconv.Itoa(r.points)
}

func (r ring) shards() []Shard { return r.over }
