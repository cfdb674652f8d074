// Package tm is the transaction manager: it drives the commit protocol for the
// transactions of this process, finishes what others left behind, keeps the
// table of proxies alive and collects claims that nobody needs any more.
//
// It does not know SQL, the wire protocol, which shard holds what, or files:
// it sees branches, resources, claim stores and node stores (package xa).
//
// # Ownership
//
// A Txn is used by one goroutine, the session, until Commit or Rollback. From
// that call on the transaction and its branches belong to a goroutine of the
// Manager; the session may touch the branches again after the call returned,
// but for those at the shards that Txn.Pending lists. Cancelling the context of
// Commit or Rollback ends the waiting and nothing else; the branches then stay
// with the Manager until Txn.Done is closed.
// All methods of Manager are safe for concurrent use.
//
// # Durability
//
// A nil error of Txn.Commit means that the decision to commit is durable at
// home's shard. An *EndError with Outcome Aborted means that no part of the
// transaction is or ever will be committed. Unknown is neither and is never
// turned into one of them by guessing.
//
// # Locks
//
// Manager.mu guards the live table, Txn.mu what snapshots show of one
// transaction, registry.mu what is known about proxies, site.mu what is
// known about a shard. None of them is held while another one is taken
// or during I/O. Manager.renewing is held while a new incarnation is taken, before
// any of them.
package tm
