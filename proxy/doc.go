// Package proxy is the application's side: it accepts MySQL clients, runs their
// sessions, executes their statements on the shards and hands what touched
// several shards to the transaction manager. It owns the listener, the Session,
// the command loop, branches before commit, the merge of answers and the
// mapping of every error to a MySQL error code. It does not know configuration
// files, flags, or how the commit protocol decides.
//
// # Concurrency
//
// One goroutine owns a Session and all its state; nothing of it is locked.
// Others see a session through the immutable Snapshot that it publishes, and
// may ask it to end or to stop its statement (Server.Kill). While a statement
// runs a watcher goroutine of the session observes the client's socket, pings
// the session's idle shard connections and sends KILL QUERY; it is waited for
// before the session touches a connection again.
//
// # Promises
//
// A client is told OK for COMMIT only when tm.Txn.Commit returned nil, and told
// that nothing happened only when the manager knows that. A shard connection
// goes back to its pool only outside of transactions, with all replies read and
// with no state but the one that backend.Conn.Sync tracks; everything else is
// closed. A session's panic ends that session only.
package proxy
