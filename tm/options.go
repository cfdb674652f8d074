package tm

import (
	"context"
	"log/slog"
	"time"

	"xaproxy/xa"
)

// Shard is one resource manager with its claim and node tables. The three
// usually are one value; none may be nil.
type Shard struct {
	Resource xa.Resource
	Claims   xa.ClaimStore
	Nodes    xa.NodeStore
}

// Options say what a Manager works with.
type Options struct {
	// Cluster is the cluster's id; names of other clusters are never touched.
	Cluster xa.ClusterID
	// Node is the proxy's number, unique among the cluster's proxies.
	Node uint32
	// MinIncarnation is the highest incarnation that the state directory knows
	// to have been used, 0 when it knows none.
	MinIncarnation uint32
	// SaveIncarnation remembers an incarnation durably; it returns before the
	// incarnation is used. May be called again while the Manager runs.
	SaveIncarnation func(uint32) error
	// Endpoint is where operators reach this proxy; other proxies name it.
	Endpoint string
	// Shards are all servers of the cluster, up or not.
	Shards []Shard
	// Timing holds intervals; zero fields get the defaults.
	Timing Timing
	// OnHeuristic, when set, records a heuristic outcome durably. Its error is
	// logged; the event has been logged and counted before.
	OnHeuristic func(context.Context, Heuristic) error
	// Log receives one line per event an operator acts on; nil discards.
	Log *slog.Logger
}

// Heuristic is a branch that its server ended against the decision.
type Heuristic struct {
	ID       xa.ID
	Shard    xa.ShardID
	Decision xa.Outcome // what was decided
	Cause    error      // what the server said
}

// Timing holds the manager's intervals. A zero field gets the default named at
// it; no rule of safety depends on any of them.
type Timing struct {
	Beat      time.Duration // between two beats at a shard; 1 s, at most a third of DeadAfter
	DeadAfter time.Duration // a node whose beat stood still for so long is dead; 3 s
	Grace     time.Duration // branches of living owners are left alone for so long; 10 s
	Interval  time.Duration // between two recovery runs; 30 s
	// Phase2Wait is how long Commit waits for all branches after the decision; 1 s.
	Phase2Wait time.Duration
	// PrepareTimeout bounds S1: a vote that is not there by then is a no; 10 s.
	PrepareTimeout time.Duration
	// DecideTimeout bounds the wait for home's answer; then the claim store is
	// asked; 30 s (a commit waits for a backup's global read lock, too).
	DecideTimeout time.Duration
	// VerbTimeout bounds every other call to a shard; 30 s.
	VerbTimeout time.Duration
	// Retain is how long a claim is kept after its transaction ended; 10 min,
	// negative: not at all.
	Retain time.Duration
	// Decided makes Commit return once the decision is known (ack=decided): a
	// session then has to wait for Txn.Finished before it uses a shard of
	// Txn.Pending again. What did not commit is waited for as ever. The zero value
	// waits for phase two, up to Phase2Wait (ack=finished).
	Decided bool
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// withDefaults fills the zero fields.
func (t Timing) withDefaults() Timing {
	orDefault(&t.Beat, time.Second)
	orDefault(&t.DeadAfter, 3*time.Second)
	orDefault(&t.Grace, 10*time.Second)
	orDefault(&t.Interval, 30*time.Second)
	orDefault(&t.Phase2Wait, time.Second)
	orDefault(&t.PrepareTimeout, 10*time.Second)
	orDefault(&t.DecideTimeout, 30*time.Second)
	orDefault(&t.VerbTimeout, 30*time.Second)
	orDefault(&t.Retain, 10*time.Minute)
	t.Retain = max(t.Retain, 0)
	t.Beat = min(t.Beat, t.DeadAfter/3) // else proxies would take each other for dead
	return t
}
