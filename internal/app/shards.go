package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"xaproxy/proxy"
	"xaproxy/proxy/admin"
	"xaproxy/proxy/backend"
	"xaproxy/tm"
	"xaproxy/xa/xamysql"
)

// unit is one shard with everything that talks to it.
type unit struct {
	member
	store       *xamysql.Shard
	pool, found *backend.Pool // for clients without and with CLIENT_FOUND_ROWS

	mu sync.Mutex
	// Guarded by mu:
	version string // as its server greeted last
}

// units are the shards of this process, by number.
func (m *Main) units() []*unit {
	if all := m.shards.Load(); all != nil {
		return *all
	}
	return nil
}

// openStores makes the units of members, by number.
func (m *Main) openStores(members []member) ([]*unit, error) {
	var units []*unit
	for _, mb := range members {
		store, err := xamysql.Open(xamysql.Options{
			DSN: mb.dsn, Number: mb.meta.Shard, Name: mb.name, Cluster: m.cluster, Node: m.node,
		})
		if err != nil {
			return units, err
		}
		units = append(units, &unit{member: mb, store: store})
	}
	slices.SortFunc(units, func(a, b *unit) int { return cmp.Compare(a.meta.Shard, b.meta.Shard) })
	return units, nil
}

// openPools makes the pools of sessions' connections. The manager is there: it
// is told when a shard comes back.
func (m *Main) openPools(units []*unit) {
	for _, u := range units {
		o := u.options
		o.Shard, o.Name = u.meta.Shard, u.name
		o.Lease, o.Defaults = m.config.Recovery.SessionLease, m.begin
		lockWait := fmt.Sprintf("SET SESSION innodb_lock_wait_timeout=%d", int(m.config.Transactions.LockTimeout.Seconds()))
		o.AfterDial = func(ctx context.Context, c *backend.Conn) error {
			if err := xamysql.CheckSession(ctx, c, m.cluster, u.meta.Shard, lockWait); err != nil {
				return fmt.Errorf("shard %s: %w", u.name, err)
			}
			u.greeted(c.ServerVersion())
			return nil
		}
		u.pool = m.newPool(o)
		o.FoundRows = true
		u.found = m.newPool(o)
	}
}

func (u *unit) greeted(version string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.version = version
}

func (u *unit) greeting() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.version
}

// serverStatements is MySQL's and MariaDB's default of max_prepared_stmt_count.
const serverStatements = 16382

// cachedStatements is how many prepared statements a connection keeps: those of
// both pools of a shard leave a quarter of the server's to others.
func cachedStatements(connections int) int {
	const pools = 2
	return max(1, min(backend.DefaultMaxStatements, serverStatements*3/4/(pools*max(connections, 1))))
}

func (m *Main) newPool(o backend.Options) *backend.Pool {
	o.MaxStatements = cachedStatements(m.config.Limits.ShardConnections)
	return backend.NewPool(o, backend.PoolOptions{
		MaxConns: m.config.Limits.ShardConnections,
		Wait:     m.config.Limits.PoolWait,
		Log:      m.log,
		OnState: func(up bool) {
			if up {
				m.manager.ShardUp(o.Shard)
			}
		},
	})
}

// resources are the shards as the manager sees them.
func resources(units []*unit) []tm.Shard {
	var out []tm.Shard
	for _, u := range units {
		out = append(out, tm.Shard{Resource: u.store, Claims: u.store, Nodes: u.store})
	}
	return out
}

func (m *Main) recordHeuristic(ctx context.Context, h tm.Heuristic) error {
	for _, u := range m.units() {
		if u.meta.Shard == h.Shard {
			return u.store.RecordHeuristic(ctx, xamysql.Heuristic{ID: h.ID, Decided: h.Decision, Reason: fmt.Sprint(h.Cause)})
		}
	}
	return fmt.Errorf("shard %d is not configured", h.Shard)
}

// probe takes a connection and gives it back.
func (u *unit) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	c, err := u.pool.Get(ctx, backend.State{})
	if err != nil {
		return err
	}
	u.pool.Put(c)
	return nil
}

// status reaches out to every shard, all at the same time.
func (m *Main) status(ctx context.Context) []admin.ShardStatus {
	units := m.units()
	out := make([]admin.ShardStatus, len(units))
	var wg sync.WaitGroup
	for i, u := range units {
		wg.Go(func() {
			err := u.probe(ctx)
			a, b := u.pool.Stats(), u.found.Stats()
			out[i] = admin.ShardStatus{
				Number: u.meta.Shard, Name: u.name, Addr: u.options.Addr, Version: u.greeting(), Err: err,
				InUse: a.InUse + b.InUse, Idle: a.Idle + b.Idle, Waiting: a.Waiting + b.Waiting,
			}
		})
	}
	wg.Wait()
	return out
}

func names(units []*unit) string {
	var names []string
	for _, u := range units {
		names = append(names, fmt.Sprintf("%s=%d", u.name, u.meta.Shard))
	}
	return strings.Join(names, " ")
}

// sessionShards are the shards as sessions see them.
func sessionShards(units []*unit) []proxy.Shard {
	var out []proxy.Shard
	for _, u := range units {
		out = append(out, proxy.Shard{Number: u.meta.Shard, Name: u.name, Pool: u.pool, FoundRows: u.found, Store: u.store})
	}
	return out
}

// tellDirectory stores names and numbers at the shards that answer.
func (m *Main) tellDirectory(ctx context.Context, units []*unit) {
	var members []member
	for _, u := range units {
		members = append(members, u.member)
	}
	if err := tellDirectory(ctx, members); err != nil {
		m.log.Warn("the directory of shards was not stored everywhere", slog.Any("err", err))
	}
}

// closeUnits gives back what talks to shards.
func closeUnits(ctx context.Context, units []*unit) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	var errs error
	for _, u := range units {
		if u.pool != nil {
			errs = errors.Join(errs, u.pool.Close(ctx), u.found.Close(ctx))
		}
		errs = errors.Join(errs, u.store.Close())
	}
	return errs
}
