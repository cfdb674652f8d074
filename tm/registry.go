package tm

import (
	"slices"
	"sync"
	"time"

	"xaproxy/xa"
)

// incarnation names one run of a proxy process.
type incarnation struct{ node, number uint32 }

// row is an incarnation as one shard's node table showed it last.
type row struct {
	beat     uint64
	dead     bool
	endpoint string
	since    time.Time // when this beat was read first
	read     time.Time // when the row was read last
}

// registry is what was read from the node tables. Times are of this process's
// monotonic clock, and decide only when somebody is given up, never an outcome.
type registry struct {
	node uint32

	mu   sync.Mutex
	rows map[incarnation]map[xa.ShardID]*row
	own  map[uint32]struct{} // incarnations of this process
	// dead are the incarnations that are marked dead somewhere, or that are
	// older ones of this node. They are to be marked everywhere.
	dead map[incarnation]struct{}
}

func newRegistry(node uint32) *registry {
	return &registry{
		node: node,
		rows: map[incarnation]map[xa.ShardID]*row{},
		own:  map[uint32]struct{}{},
		dead: map[incarnation]struct{}{},
	}
}

// read takes a shard's node table and returns the incarnations that were seen
// alive before and that it shows dead for the first time.
func (r *registry) read(at xa.ShardID, nodes []xa.Node, now time.Time) []incarnation {
	r.mu.Lock()
	defer r.mu.Unlock()
	var news []incarnation
	for _, n := range nodes {
		i := incarnation{n.ID, n.Incarnation}
		before := r.rows[i] != nil
		if !before {
			r.rows[i] = map[xa.ShardID]*row{}
		}
		old := r.rows[i][at]
		if old == nil || old.beat != n.Beat {
			old = &row{beat: n.Beat, since: now}
			r.rows[i][at] = old
		}
		old.dead, old.endpoint, old.read = n.Dead, n.Endpoint, now
		if _, known := r.dead[i]; n.Dead && !known {
			r.dead[i] = struct{}{}
			if before {
				news = append(news, i)
			}
		}
	}
	return news
}

// judge returns the incarnations whose beat stood still for limit wherever it
// can be read, and that are not known to be dead.
func (r *registry) judge(limit time.Duration) []incarnation {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []incarnation
	for i, at := range r.rows {
		if _, known := r.dead[i]; known || r.mine(i) {
			continue
		}
		var moved, read time.Time
		for _, w := range at {
			moved, read = later(moved, w.since), later(read, w.read)
		}
		// Time in which nothing could be read does not count against it.
		if read.Sub(moved) >= limit {
			list = append(list, i)
		}
	}
	return list
}

// limps reports whether an incarnation that lives elsewhere has stood still at one
// shard for limit.
func (r *registry) limps(at xa.ShardID, limit time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, rows := range r.rows {
		if _, dead := r.dead[i]; dead || r.mine(i) {
			continue
		}
		if w := rows[at]; w != nil && w.read.Sub(w.since) >= limit {
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// mine reports whether i is an incarnation of this process; mu is held.
func (r *registry) mine(i incarnation) bool {
	_, own := r.own[i.number]
	return own && i.node == r.node
}

// isMine reports whether i is an incarnation of this process.
func (r *registry) isMine(i incarnation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mine(i)
}

// adopt notes a new incarnation of this process; all older ones of its node are
// dead from now on.
func (r *registry) adopt(number uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own[number] = struct{}{}
	for i := range r.rows {
		if i.node == r.node && i.number < number {
			r.dead[i] = struct{}{}
		}
	}
	for old := range r.own {
		if old < number {
			r.dead[incarnation{r.node, old}] = struct{}{}
		}
	}
}

// buried notes that i was marked dead; true: it is news.
func (r *registry) buried(i incarnation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.dead[i]
	r.dead[i] = struct{}{}
	return !known
}

// unmarked returns the dead incarnations that the shard's node table, as given,
// does not show as dead.
func (r *registry) unmarked(nodes []xa.Node) []incarnation {
	shown := make(map[incarnation]struct{}, len(nodes))
	for _, n := range nodes {
		if n.Dead {
			shown[incarnation{n.ID, n.Incarnation}] = struct{}{}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []incarnation
	for i := range r.dead {
		if _, yes := shown[i]; !yes {
			list = append(list, i)
		}
	}
	return list
}

// state says what is known about an incarnation.
func (r *registry) state(i incarnation, self uint32) OwnerState {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, dead := r.dead[i]
	switch {
	case i.node == r.node && i.number == self:
		return OwnerSelf
	case dead:
		return OwnerDead
	case r.rows[i] != nil:
		return OwnerLive
	}
	return OwnerUnknown
}

// highest returns the highest incarnation of this node that was seen.
func (r *registry) highest() uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var top uint32
	for i := range r.rows {
		if i.node == r.node {
			top = max(top, i.number)
		}
	}
	for n := range r.own {
		top = max(top, n)
	}
	return top
}

// views returns everything for people, by node and incarnation.
func (r *registry) views(self uint32, now time.Time) []NodeView {
	r.mu.Lock()
	var list []NodeView
	for i, at := range r.rows {
		v := NodeView{Node: i.node, Incarnation: i.number}
		var moved time.Time
		for s, w := range at {
			v.Shards = append(v.Shards, s)
			if w.dead {
				v.DeadAt = append(v.DeadAt, s)
			}
			if w.endpoint != "" {
				v.Endpoint = w.endpoint
			}
			moved = later(moved, w.since)
		}
		v.Still = now.Sub(moved)
		slices.Sort(v.Shards)
		slices.Sort(v.DeadAt)
		list = append(list, v)
	}
	r.mu.Unlock()
	for k := range list {
		list[k].State = r.state(incarnation{list[k].Node, list[k].Incarnation}, self)
	}
	slices.SortFunc(list, func(a, b NodeView) int {
		if a.Node != b.Node {
			return int(a.Node) - int(b.Node)
		}
		return int(a.Incarnation) - int(b.Incarnation)
	})
	return list
}
