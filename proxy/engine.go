package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/tm"
	"xaproxy/xa"
)

// engine is what all sessions of the data port share. It is immutable but for
// the catalog and the weights, which look after themselves.
type engine struct {
	shards  map[xa.ShardID]*Shard
	order   []xa.ShardID // ascending
	manager *tm.Manager
	planner *plan.Planner
	catalog *catalog
	weights *weights
	limits  Limits
	// leaseStep is how often a held connection shows that it lives.
	leaseStep time.Duration
	log       *slog.Logger
}

func newEngine(o Options) (*engine, error) {
	o.Port = o.withDefaults()
	if o.Manager == nil || o.Map == nil || o.Users == nil || len(o.Shards) == 0 {
		return nil, errors.New("the data port needs shards, a placement map, a manager and users")
	}
	e := &engine{
		shards:  make(map[xa.ShardID]*Shard, len(o.Shards)),
		manager: o.Manager,
		planner: o.Planner,
		weights: newWeights(),
		limits:  o.Limits,
		log:     o.Log,
	}
	if e.planner == nil {
		e.planner = plan.New(plan.Options{})
	}
	for i := range o.Shards {
		s := o.Shards[i]
		if s.Pool == nil || s.FoundRows == nil || s.Store == nil {
			return nil, fmt.Errorf("shard %s lacks a pool or a store", s.Name)
		}
		if _, twice := e.shards[s.Number]; twice {
			return nil, fmt.Errorf("shard number %d is given twice", s.Number)
		}
		e.shards[s.Number] = &s
		e.order = append(e.order, s.Number)
	}
	slices.Sort(e.order)
	e.leaseStep = backend.DefaultLease / 3
	for _, s := range e.shards {
		e.leaseStep = min(e.leaseStep, s.Pool.Options().Lease/3, s.FoundRows.Options().Lease/3)
	}
	for _, n := range o.Map.Shards() {
		if e.shards[xa.ShardID(n)] == nil {
			return nil, fmt.Errorf("the placement map names shard %d, which is not configured", n)
		}
	}
	e.catalog = newCatalog(e, o.Map)
	return e, nil
}

// name is a shard's configured name.
func (e *engine) name(n xa.ShardID) string {
	if s := e.shards[n]; s != nil {
		return s.Name
	}
	return fmt.Sprintf("number %d", n)
}

func shardID(s route.Shard) xa.ShardID { return xa.ShardID(s) }
