package protocol

import (
	"fmt"
	"strings"
)

// graph is what has been reached: states in the order of discovery, each with
// the state it was first reached from, and an open-addressed index of them.
type graph struct {
	states  [][2]uint64
	parents []uint32
	index   []uint32 // position+1
}

func hash(k [2]uint64) uint64 {
	h := k[0]*0x9e3779b97f4a7c15 ^ (k[1]+0x7f4a7c15)*0xc2b2ae3d27d4eb4f
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return h ^ h>>32
}

// add returns the position of k and whether it is new.
func (g *graph) add(k [2]uint64, parent uint32) (uint32, bool) {
	if 2*(len(g.states)+1) > len(g.index) {
		g.grow()
	}
	mask := uint64(len(g.index) - 1)
	for i := hash(k) & mask; ; i = (i + 1) & mask {
		p := g.index[i]
		if p == 0 {
			g.states = append(g.states, k)
			g.parents = append(g.parents, parent)
			g.index[i] = uint32(len(g.states))
			return uint32(len(g.states) - 1), true
		}
		if g.states[p-1] == k {
			return p - 1, false
		}
	}
}

func (g *graph) grow() {
	g.index = make([]uint32, max(1024, 2*len(g.index)))
	mask := uint64(len(g.index) - 1)
	for n, k := range g.states {
		i := hash(k) & mask
		for g.index[i] != 0 {
			i = (i + 1) & mask
		}
		g.index[i] = uint32(n + 1)
	}
}

// result is what an exploration found.
type result struct {
	states, steps int
	depth         int
	problem       string   // empty: all invariants hold
	trace         []string // the shortest way to the problem
}

// explore walks every reachable state, breadth first, and then checks that
// from each of them a clean state can be reached without any further fault.
func explore(s scenario) result {
	x := newModel(s)
	g := &graph{}
	first := x.first()
	g.add(x.pack(&first), 0)
	var r result
	var offsets, targets []uint32
	var stuck []bool // a clean state is not known to be reachable
	var from uint32
	x.emit = func(n world, _ string, _ int, fault bool) {
		r.steps++
		to, _ := g.add(x.pack(&n), from)
		if !fault && to != from {
			targets = append(targets, to)
		}
	}
	for n := 0; n < len(g.states); n++ {
		from = uint32(n)
		w := unpackWorld(g.states[n])
		if p := x.violation(&w); p != "" {
			r.problem = p
			r.states, r.trace = len(g.states), x.trace(g, from)
			r.depth = len(r.trace)
			return r
		}
		stuck = append(stuck, !x.clean(&w))
		offsets = append(offsets, uint32(len(targets)))
		x.next(&w)
	}
	offsets = append(offsets, uint32(len(targets)))
	r.states = len(g.states)
	for p := uint32(r.states - 1); p != 0; p = g.parents[p] {
		r.depth++
	}
	if n := firstStuck(stuck, offsets, targets); n >= 0 {
		r.problem = "something is left although nothing that must happen can remove it"
		r.trace = x.trace(g, uint32(n))
	}
	return r
}

// firstStuck spreads "a clean state can be reached" backwards until nothing
// changes and returns the first state that it does not reach, or -1.
func firstStuck(stuck []bool, offsets, targets []uint32) int {
	for changed := true; changed; {
		changed = false
		for n := len(stuck) - 1; n >= 0; n-- {
			if !stuck[n] {
				continue
			}
			for _, t := range targets[offsets[n]:offsets[n+1]] {
				if !stuck[t] {
					stuck[n], changed = false, true
					break
				}
			}
		}
	}
	for n, s := range stuck {
		if s {
			return n
		}
	}
	return -1
}

// trace tells how the state was reached.
func (x *model) trace(g *graph, to uint32) []string {
	var path []uint32
	for p := to; p != 0; p = g.parents[p] {
		path = append(path, p)
	}
	var lines []string
	at := uint32(0)
	for n := len(path) - 1; n >= 0; n-- {
		w := unpackWorld(g.states[at])
		want := g.states[path[n]]
		line := "?"
		x.emit = func(s world, what string, i int, _ bool) {
			if line == "?" && x.pack(&s) == want {
				line = what
				if i >= 0 {
					line += fmt.Sprintf(" branch %d", i)
				}
			}
		}
		x.next(&w)
		lines = append(lines, strings.Replace(line, "branch 0", "home", 1))
		at = path[n]
	}
	return lines
}
