package proxy

import (
	"context"
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
// the catalog, the weights and the sequences, which look after themselves. When a
// shard is added there is a new one: to it the old one is like another proxy of the
// cluster, that lasts until its last session has gone over.
type engine struct {
	made    Options
	life    lifetime
	shards  map[xa.ShardID]*Shard
	order   []xa.ShardID // ascending
	manager *tm.Manager
	planner *plan.Planner
	catalog *catalog
	weights *weights
	// sequences number the rows of sharded tables.
	sequences *sequences
	// limits are those of the port, as they are now.
	limits func() *Limits
	// defaults are those of every session at every shard.
	defaults backend.Defaults
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
		made:    o,
		shards:  make(map[xa.ShardID]*Shard, len(o.Shards)),
		manager: o.Manager,
		planner: o.Planner,
		weights: newWeights(),
		limits:  func() *Limits { return &o.Limits },
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
		if s.own == nil {
			s.own = backend.NewPool(s.Pool.Options(), backend.PoolOptions{MaxConns: ownConns, Log: slog.New(slog.DiscardHandler)})
		}
		e.shards[s.Number] = &s
		e.order = append(e.order, s.Number)
	}
	slices.Sort(e.order)
	if err := e.beginAlike(o.Shards[0]); err != nil {
		return nil, err
	}
	for _, n := range o.Map.Shards() {
		if e.shards[xa.ShardID(n)] == nil {
			return nil, fmt.Errorf("the placement map names shard %d, which is not configured", n)
		}
	}
	orDefault(&o.SequenceBlock, 1000)
	e.sequences = newSequences(e.shards, o.SequenceBlock)
	e.catalog = newCatalog(e, o.Map)
	return e, nil
}

// ownConns bounds the connections to a shard for the proxy's own questions, beside
// limits.shard_connections. They are short: a few serve all sessions.
const ownConns = 8

// close closes the connections of the proxy's own.
func (e *engine) close(ctx context.Context) error {
	return e.closeOwn(ctx, func(xa.ShardID) bool { return true })
}

// closeOwn closes those to some shards.
func (e *engine) closeOwn(ctx context.Context, at func(xa.ShardID) bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	var errs error
	for n, s := range e.shards {
		if at(n) {
			errs = errors.Join(errs, s.own.Close(ctx))
		}
	}
	return errs
}

// beginAlike takes what pools have in common; sessions at all shards must begin
// with the same settings.
func (e *engine) beginAlike(first Shard) error {
	e.defaults = first.Pool.Options().Defaults
	e.leaseStep = backend.DefaultLease / 3
	for _, s := range e.shards {
		pool, found := s.Pool.Options(), s.FoundRows.Options()
		if pool.Defaults != e.defaults || found.Defaults != e.defaults {
			return fmt.Errorf("sessions at shard %s begin with other settings than those at shard %s", s.Name, first.Name)
		}
		e.leaseStep = min(e.leaseStep, pool.Lease/3, found.Lease/3)
	}
	return nil
}

// name is a shard's configured name.
func (e *engine) name(n xa.ShardID) string {
	if s := e.shards[n]; s != nil {
		return s.Name
	}
	return fmt.Sprintf("number %d", n)
}

func shardID(s route.Shard) xa.ShardID { return xa.ShardID(s) }
