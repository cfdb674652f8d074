// Package xamysql owns what MySQL and MariaDB servers are told in a distributed transaction: the branches, the claim and
// node tables of schema xaproxy, the verbs as text, and what each error number says about a call's effect. It does not
// know sharding, client sessions or pools.
//
// # Two ways to a server
//
// [Home] and [Branch] are open work of a client's transaction. They run on the session's own connection, seen through
// [Conn], whose replies show status flags, error numbers and which statement of a packet failed. One goroutine uses
// them at a time.
//
// [Shard] settles what is left when sessions are gone: it lists and ends prepared branches, keeps the write-once claims
// and the table of proxies. It has connections of its own (go-sql-driver) outside every pool and may be used
// concurrently.
//
// # Durability
//
// What the server acknowledged is as durable as its settings make it; [Check] names the settings that break the promise.
// [Shard.Fence] and [Shard.Peek] report Committed only after a write of their own was committed behind the row they read
// (commit-protocol R10).
//
// # Effects
//
// Every error of a call that may change data carries what is known about it: see [xa.EffectOf]. An error packet of a
// statement that must have come before the point of no return says EffectNone; an error packet of COMMIT itself, a lost
// connection and an ended context say EffectUnknown, unless nothing had been written to the socket.
package xamysql
