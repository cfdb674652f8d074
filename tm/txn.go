package tm

import (
	"context"

	"xaproxy/xa"
)

// Txn is one transaction. See the package comment for who may use it when.
type Txn struct {
	m *Manager
}

// SetHome says which branch carries the decision: the first that the
// transaction opened. It may not change once Name was called.
func (t *Txn) SetHome(h xa.Home) {}

// Global returns the gtrid, "" until Name has made it.
func (t *Txn) Global() xa.GlobalID { return "" }

// Name makes the gtrid at the first call, naming home's session in it, and
// returns the same one afterwards. The transaction then is in the live table.
func (t *Txn) Name(home xa.SessionID) (xa.GlobalID, error) { return "", errNotBuilt }

// NewID returns the name of the transaction's next branch, which is to run on
// the given session. Name must have been called.
func (t *Txn) NewID(session xa.SessionID) (xa.ID, error) { return xa.ID{}, errNotBuilt }

// Enlist adds a branch besides home.
func (t *Txn) Enlist(b xa.Branch) {}

// Commit ends the transaction. nil: it is committed; branches at the shards of
// Pending are committed in the background. Otherwise the error is an *EndError,
// or ErrEnded when the transaction had ended before.
func (t *Txn) Commit(ctx context.Context) error { return errNotBuilt }

// Rollback ends the transaction. nil: all branches answered; an *EndError names
// the shards that did not, whose servers roll back by themselves.
func (t *Txn) Rollback(ctx context.Context) error { return errNotBuilt }

// Pending lists the shards whose branches are still the manager's business
// after Commit or Rollback returned: their connections may not be used again.
func (t *Txn) Pending() []xa.ShardID { return nil }

// Done is closed when every branch is finished.
func (t *Txn) Done() <-chan struct{} { return nil }
