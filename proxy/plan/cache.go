package plan

import "sync"

// cache keeps the plans used last. The list is circular with root as its
// sentinel: root.next was used last, root.prev longest ago.
type cache struct {
	size int

	mu   sync.Mutex
	root entry
	byK  map[string]*entry
}

type entry struct {
	key        string
	plan       *Plan
	prev, next *entry
}

func newCache(size int) *cache {
	c := &cache{size: size, byK: make(map[string]*entry)}
	c.root.prev, c.root.next = &c.root, &c.root
	return c
}

// get returns the plan of a key, nil when there is none. It does not allocate.
func (c *cache) get(key []byte) *Plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byK[string(key)]
	if e == nil {
		return nil
	}
	if c.root.next != e {
		e.unlink()
		c.front(e)
	}
	return e.plan
}

// put remembers a plan and forgets the one used longest ago when full.
func (c *cache) put(key string, plan *Plan) {
	if c.size == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byK[key]; e != nil { // two sessions planned it at the same time
		e.plan = plan
		return
	}
	if len(c.byK) >= c.size {
		oldest := c.root.prev
		oldest.unlink()
		delete(c.byK, oldest.key)
	}
	e := &entry{key: key, plan: plan}
	c.byK[key] = e
	c.front(e)
}

func (c *cache) front(e *entry) {
	e.prev, e.next = &c.root, c.root.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}

func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byK)
}
