package backend

import (
	"context"
	"crypto/tls"
	"time"

	"xaproxy/xa"
)

// Options say how to reach one shard.
type Options struct {
	Shard    xa.ShardID
	Name     string // for people
	Network  string // "tcp" or "unix"
	Addr     string
	User     string
	Password string

	// TLS is used when it is not nil; a server without TLS is then refused,
	// unless TLSOptional is set.
	TLS         *tls.Config
	TLSOptional bool

	// FoundRows makes UPDATE count matching instead of changed rows. It is fixed
	// at login.
	FoundRows bool
	// Lease is the session's wait_timeout in whole seconds: a session that shows
	// no life that long is ended by the server. Default DefaultLease.
	Lease time.Duration
	// DialTimeout bounds dial, login and set-up. Default DefaultDialTimeout.
	DialTimeout time.Duration
	// MaxPacket bounds a packet in bytes, in both directions. Default
	// DefaultMaxPacket.
	MaxPacket int
	// MaxStatements bounds the prepared statements that a connection caches.
	// Default DefaultMaxStatements.
	MaxStatements int
	// Defaults are the session's until Sync asks for others. The zero Defaults are
	// StandardDefaults.
	Defaults Defaults
	// AfterDial is called by Dial on the connection that is otherwise ready; its
	// error fails the dial. May be nil.
	AfterDial func(ctx context.Context, c *Conn) error
}

// Defaults of Options.
const (
	// DefaultLease is commit-protocol §6.1's: long enough for a pause, short
	// enough that a dead proxy's locks go away while people still wait.
	DefaultLease = 15 * time.Second
	// DefaultDialTimeout fits within a client's patience for a statement.
	DefaultDialTimeout = 5 * time.Second
	// DefaultMaxPacket is the largest max_allowed_packet that servers know.
	DefaultMaxPacket = 1 << 30
	// DefaultMaxStatements times the connections must stay below the server's
	// max_prepared_stmt_count (16382). Where all clients of the server together
	// reach it, a connection gives up what it has cached.
	DefaultMaxStatements = 100
)

func (o Options) withDefaults() Options {
	if o.Lease <= 0 {
		o.Lease = DefaultLease
	}
	o.Lease = max(o.Lease, time.Second)
	if o.DialTimeout <= 0 {
		o.DialTimeout = DefaultDialTimeout
	}
	if o.MaxPacket <= 0 {
		o.MaxPacket = DefaultMaxPacket
	}
	if o.MaxStatements <= 0 {
		o.MaxStatements = DefaultMaxStatements
	}
	if o.Defaults == (Defaults{}) {
		o.Defaults = StandardDefaults()
	}
	return o
}
