package tm

import (
	"errors"
	"fmt"

	"xaproxy/xa"
)

// Sentinels of this package.
var (
	// ErrNoHome: a name was asked for before the transaction had a home.
	ErrNoHome = errors.New("transaction has no home branch")
	// ErrEnded: Commit or Rollback was already called.
	ErrEnded = errors.New("transaction has ended")
	// ErrUnknownShard: no shard with that number is configured.
	ErrUnknownShard = errors.New("no such shard")
	// ErrTooManyBranches: a transaction has at most 1023 branches besides home.
	ErrTooManyBranches = errors.New("too many branches")
)

// EndError says how a transaction ended when it is not known to be committed.
type EndError struct {
	// Global is the gtrid, "" when none was made or none may be told (S1 had
	// not begun).
	Global xa.GlobalID
	// Outcome is Aborted (nothing happened anywhere, ever) or Unknown; Committed
	// only with Heuristic.
	Outcome xa.Outcome
	// Cause is what went wrong first.
	Cause error
	// Retry: the same work may succeed now. Only with Aborted.
	Retry bool
	// Down lists the transaction's shards that did not answer when it ended.
	Down []xa.ShardID
	// Recorded: a claim store knows or will know the outcome of Global, so that
	// asking for it is worth while. False with Unknown: a one-phase commit's
	// answer was lost and no record of it exists.
	Recorded bool
	// Heuristic: a server ended its part against Outcome.
	Heuristic bool
}

func (e *EndError) Error() string {
	switch {
	case e.Heuristic:
		return fmt.Sprintf("transaction %s is %s, but a server ended its part otherwise", e.Global, e.Outcome)
	case e.Outcome == xa.Unknown && e.Recorded:
		return fmt.Sprintf("outcome of transaction %s is unknown: %v", e.Global, e.Cause)
	case e.Outcome == xa.Unknown:
		return fmt.Sprintf("outcome of the commit is unknown and not recorded: %v", e.Cause)
	}
	return fmt.Sprintf("transaction was rolled back: %v", e.Cause)
}

// Unwrap returns the cause.
func (e *EndError) Unwrap() error { return e.Cause }

// HeldError says that another process has this node's number. It wraps
// xa.ErrHeld.
type HeldError struct {
	Node     uint32
	Shard    string // the shard at which the name is held
	Endpoint string // where the holder's operators reach it; "" if not recorded
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("node %d is in use by the proxy at %q (it holds the name on shard %s): give this proxy another node number", e.Node, e.Endpoint, e.Shard)
}

// Unwrap returns xa.ErrHeld.
func (e *HeldError) Unwrap() error { return xa.ErrHeld }
