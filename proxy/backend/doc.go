// Package backend owns connections to shards: dialing and login, the lease that
// ends a lost session, the session state that a client wants, the relay of
// replies whose rows nobody decodes, and bounded pools. It does not know
// transactions, plans or clients.
//
// # Concurrency
//
// A Conn belongs to one goroutine at a time; only KillQuery may be called by
// another one, while the owner waits for a reply. A Pool may be used
// concurrently. NewPool starts a goroutine that Close waits for.
//
// # Errors
//
// An error says by xa.EffectOf whether anything reached the shard: EffectNone
// when nothing was written, EffectUnknown afterwards. A server's error packet is
// no error of Exchange and Relay but part of their result. When a context ends
// during I/O, or the transport fails, the connection is broken: its socket is
// closed and every later call fails with ErrBroken and EffectNone.
//
// # Promises
//
// A connection comes out of a pool logged in, outside of transactions, with
// autocommit=1 and with no session state but what Sync has set and will undo. It
// goes back in only in that state; anything else is closed. A session that loses
// its proxy is ended by the server when the lease is over.
package backend
