package backend

import (
	"context"
	"log/slog"
	"time"
)

// PoolOptions bound a pool. Zero fields get the defaults.
type PoolOptions struct {
	// MaxConns bounds the connections, in use and idle. Default DefaultMaxConns.
	MaxConns int
	// Wait bounds how long Get waits for a connection. Default DefaultWait.
	Wait time.Duration
	// IdleTime is how long a connection stays idle before it is closed. Default
	// DefaultIdleTime.
	IdleTime time.Duration
	// Log gets a line when the shard goes down or comes back. Required.
	Log *slog.Logger
	// OnState is called by the pool's own goroutine when the shard was found to
	// be down or up again. It must not block. May be nil.
	OnState func(up bool)
}

// Defaults of PoolOptions.
const (
	// DefaultMaxConns is below MySQL's max_connections of 151, so that one proxy
	// leaves room for its own reserved connections and for people.
	DefaultMaxConns = 100
	// DefaultWait must be short of clients' own timeouts: two transactions that
	// each hold one shard's last connection wait for each other.
	DefaultWait = 10 * time.Second
	// DefaultIdleTime keeps bursts warm.
	DefaultIdleTime = 5 * time.Minute
)

// Stats are counters of a pool.
type Stats struct {
	Open, Idle, InUse, Waiting int
	Dials, DialErrors          uint64
	Waits, WaitTimeouts        uint64
	Dropped                    uint64 // closed because they could not be reused
	Down                       bool
}

// Pool is a bounded set of connections to one shard with one setting of
// FoundRows.
type Pool struct{}

// NewPool returns a pool; it dials nothing yet.
func NewPool(o Options, p PoolOptions) *Pool { return &Pool{} }

// Get returns a connection that Sync can bring to the wanted state, preferably
// one that is in it; the caller still calls Sync. Callers wait in order of
// arrival. Errors: *DownError, *BusyError, ErrClosed, ctx's; all with
// EffectNone.
func (p *Pool) Get(ctx context.Context, want State) (*Conn, error) { return nil, errSoon }

// Put takes a connection back, for reuse when c.Reusable(), else closing it.
func (p *Pool) Put(c *Conn) {}

// Stats returns the counters.
func (p *Pool) Stats() Stats { return Stats{} }

// Options returns the shard's options, with defaults.
func (p *Pool) Options() Options { return Options{} }

// Close refuses new callers, closes idle connections and waits until those in
// use are put back, or ctx ends.
func (p *Pool) Close(ctx context.Context) error { return nil }
