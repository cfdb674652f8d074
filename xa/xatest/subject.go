// Package xatest owns what every resource must do: a conformance suite, [TestResource], and a resource in memory with
// scripted faults, [Memory], that passes it and stands in for a server where tests need one that fails on cue. It knows
// interfaces of package xa only; what real servers do is tested here too, in files that are tests themselves.
//
// Values are safe for concurrent use unless they say otherwise.
package xatest

import (
	"testing"

	"xaproxy/xa"
)

// Shard is all that a resource manager is to the transaction manager.
type Shard interface {
	xa.Resource
	xa.ClaimStore
	xa.NodeStore
}

// Subject is a resource under test, with the means to work at it. Keys are the test's own: no two tests share one.
type Subject interface {
	// Resource is what is tested. All calls return the same one.
	Resource() Shard
	// Cluster is the cluster that the resource belongs to.
	Cluster() xa.ClusterID
	// Open opens a session. The subject closes it at the end of the test.
	Open(t testing.TB) Session
	// Value is the committed value of a key, 0 at first.
	Value(t testing.TB, key string) int
	// WaitGone waits until the resource has noticed that a session is gone.
	WaitGone(t testing.TB, s xa.SessionID)
}

// Session is a session at a resource. It is used by one goroutine at a time and has at most one branch.
type Session interface {
	// ID names the session.
	ID() xa.SessionID
	// Home begins a plain transaction, the home branch of g.
	Home(t testing.TB, g xa.GlobalID) xa.Home
	// Branch starts a branch.
	Branch(t testing.TB, id xa.ID) xa.Branch
	// Touch adds a number to a key in the open branch and marks the branch as a writer; 0 only reads the key, under a
	// lock if the resource has locks. No two open branches touch one key.
	Touch(t testing.TB, key string, add int)
	// Cut loses the connection, as when the client dies.
	Cut()
}
