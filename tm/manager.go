package tm

import (
	"context"
	"errors"

	"xaproxy/xa"
)

var errNotBuilt = errors.New("not built yet")

// Manager coordinates the transactions of one process. Make one with New, call
// Start, then Run.
type Manager struct {
	o Options
}

// New returns a manager for the given shards. It does no I/O.
func New(o Options) (*Manager, error) {
	o.Timing = o.Timing.withDefaults()
	return &Manager{o: o}, nil
}

// Start takes the node's name and a new incarnation. Shards that do not answer
// are served without; a process that holds the name and is alive is an error
// wrapping xa.ErrHeld (*HeldError). Call it once, before Begin and Run.
func (m *Manager) Start(ctx context.Context) error { return errNotBuilt }

// Run beats, recovers and collects until ctx ends and returns after its
// goroutines have ended.
func (m *Manager) Run(ctx context.Context) error { return errNotBuilt }

// Begin returns a new transaction. It does no I/O.
func (m *Manager) Begin() *Txn { return &Txn{m: m} }

// ShardUp says that connections to the shard work again: it is scanned soon
// and waiting retries are made at once.
func (m *Manager) ShardUp(s xa.ShardID) {}

// Drain waits until no transaction of this process is unfinished. Its error is
// ctx's.
func (m *Manager) Drain(ctx context.Context) error { return errNotBuilt }

// Outcome answers what became of g (XA OUTCOME, commit-protocol §7.8). It may
// record an abort. With an error nothing is known: ask again.
func (m *Manager) Outcome(ctx context.Context, g xa.GlobalID) (Report, error) {
	return Report{Global: g}, errNotBuilt
}

// Resolve finishes the prepared branches of g as its claim says, recording an
// abort if there is no claim and its owner does not live. Results are re-read
// from the shards. The error says which shards could not be asked.
func (m *Manager) Resolve(ctx context.Context, g xa.GlobalID) ([]Resolution, error) {
	return nil, errNotBuilt
}

// ResolveAll is Resolve for every prepared branch of the cluster.
func (m *Manager) ResolveAll(ctx context.Context) ([]Resolution, error) { return nil, errNotBuilt }

// InDoubt lists the prepared branches at all shards, and an error for each
// shard that could not be listed.
func (m *Manager) InDoubt(ctx context.Context) ([]InDoubt, []error) { return nil, nil }

// Live returns the unfinished transactions of this process that have a gtrid.
func (m *Manager) Live() []LiveTxn { return nil }

// Nodes returns the proxies of the cluster, and an error for each shard whose
// node table could not be read.
func (m *Manager) Nodes(ctx context.Context) ([]NodeView, []error) { return nil, nil }

// Incarnation returns the incarnation new transactions are named with; 0 before
// Start.
func (m *Manager) Incarnation() uint32 { return 0 }

// Counters returns a snapshot of the totals.
func (m *Manager) Counters() Counters { return Counters{} }
