package backend

import (
	"errors"
	"fmt"
	"time"

	"xaproxy/xa"
)

var (
	// ErrBroken says that the connection was lost earlier; nothing was sent.
	ErrBroken = errors.New("connection to the shard is broken")
	// ErrClosed says that the pool is closed.
	ErrClosed = errors.New("pool is closed")
	// ErrSchema says that a connection that has a default schema can not lose it.
	ErrSchema = errors.New("connection has a default schema and none is wanted")
	// ErrValue says that a wanted session setting is not one that may be sent.
	ErrValue = errors.New("not a value of this session setting")
)

// DownError says that the shard could not be reached, or refused the login; nothing was
// sent to it on behalf of a client. Its effect is EffectNone.
type DownError struct {
	Shard xa.ShardID
	Name  string
	// Cause is the error of the last attempt, Since when attempts have failed.
	Cause error
	Since time.Time
}

func (e *DownError) Error() string {
	return fmt.Sprintf("shard %s (%d) is down: %v", e.Name, e.Shard, e.Cause)
}

func (e *DownError) Unwrap() error { return e.Cause }

// BusyError says that all connections of the pool stayed in use for as long as a caller
// may wait. Its effect is EffectNone.
type BusyError struct {
	Shard   xa.ShardID
	Name    string
	Waiters int           // callers that still wait
	Max     int           // connections that the pool may have
	Oldest  time.Duration // since the longest-held connection was taken
	Waited  time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("no connection to shard %s (%d) became free within %v: all %d in use, the oldest for %v, %d more waiting",
		e.Name, e.Shard, e.Waited.Round(time.Millisecond), e.Max, e.Oldest.Round(time.Millisecond), e.Waiters)
}
