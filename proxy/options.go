package proxy

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/tm"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// Options say what the data port works with.
type Options struct {
	Port
	// Shards are all servers of the cluster, up or not.
	Shards []Shard
	// Manager ends transactions and answers XA OUTCOME. It is started and run
	// by the caller, and stopped after Shutdown.
	Manager *tm.Manager
	// Map is the configured placement of tables.
	Map *route.Map
	// Planner makes plans; nil makes one with default options.
	Planner *plan.Planner
	// SequenceBlock is how many ids of an AUTO_INCREMENT column are taken from the
	// shards at a time; 0: 1000 (auto_increment.block).
	SequenceBlock int
}

// Shard is one server as sessions use it.
type Shard struct {
	Number xa.ShardID
	Name   string // configured, for people
	// Pool holds the connections for clients that want UPDATE to count changed
	// rows, FoundRows (backend.Options.FoundRows) those for the others.
	Pool, FoundRows *backend.Pool
	// Store keeps what belongs to the shard's data; *xamysql.Shard is one.
	Store Store
	// own holds connections for the proxy's own questions (definitions, weights,
	// settings), which must be answered while sessions hold all of theirs.
	own *backend.Pool
}

// Store keeps placements, heuristic records, definitions and ids at one shard,
// durably.
type Store interface {
	PlacementStore
	// RecordHeuristic records a branch that its server committed by itself.
	RecordHeuristic(ctx context.Context, h xamysql.Heuristic) error
	CatalogStore
	SequenceStore
	IDStore
}

// PlacementStore keeps where tables' rows are.
type PlacementStore interface {
	// Placements returns what is stored.
	Placements(ctx context.Context) ([]xamysql.Placement, error)
	// StorePlacement stores p if there is no row of its table, and returns the row.
	StorePlacement(ctx context.Context, p xamysql.Placement) (xamysql.Placement, error)
	// DeletePlacement forgets a table that was dropped.
	DeletePlacement(ctx context.Context, schema, table string) error
}

// Port is what the data port and the admin port have in common.
type Port struct {
	// Users knows who may log in.
	Users Users
	// TLS, when set, is offered to clients.
	TLS *tls.Config
	// Key decrypts passwords of clients that log in by caching_sha2_password's
	// full exchange without TLS. Nil refuses those; the fast path, which needs no
	// key, is always open.
	Key *rsa.PrivateKey
	// ServerVersion is told to clients in the greeting.
	ServerVersion string
	// Limits bound what clients can take; zero fields get their defaults.
	Limits Limits
	// Node is the proxy's number; its lower 12 bits are the upper ones of the
	// numbers of sessions.
	Node uint32
	// Fronts are the addresses of load balancers: each connection from there must
	// begin with a PROXY protocol header, version 1 or 2, that names the client.
	Fronts []netip.Prefix
	// Log receives one line per event an operator acts on; nil discards.
	Log *slog.Logger
}

// Users looks up logins. Safe for concurrent use; an implementation may change
// its answers at any time.
type Users interface {
	// Lookup returns the user and whether there is one.
	Lookup(name string) (User, bool)
}

// User is a login. Clients prove that they know the password by
// caching_sha2_password or mysql_native_password.
type User struct {
	Name     string
	Password string
	// Role is not read by this package; Handlers decide by it.
	Role string
	// Health marks the account of a load balancer's checks: it is answered without
	// any shard, SELECT 1 and nothing else, and may have no password.
	Health bool
}

// StaticUsers is an immutable Users, by name.
type StaticUsers map[string]User

// Lookup implements Users.
func (u StaticUsers) Lookup(name string) (User, bool) {
	v, ok := u[name]
	return v, ok
}

// Limits bound what clients can take. The errors that a limit causes name the
// setting written behind it.
type Limits struct {
	Connections int           // limits.connections; 2000
	PacketBytes int           // limits.packet_bytes; 64 MiB
	Login       time.Duration // limits.login_time, of the whole connection phase; 10 s
	// StatementTime is limits.statement_time: KILL QUERY ends a statement that runs
	// longer at shards, but for definitions; 0: never.
	StatementTime time.Duration
	MaxTime       time.Duration // transactions.max_time; 1 h
	IdleTime      time.Duration // transactions.idle_time; 10 min
	Statements    int           // limits.session_statements: prepared ones of one session; 16382, as max_prepared_stmt_count
	// Of rows of several shards that one statement may hold to sort them.
	RowsBuffered  int // limits.rows_buffered; 1000000
	BytesBuffered int // limits.bytes_buffered; 64 MiB
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.Connections, 2000)
	orDefault(&l.PacketBytes, 64<<20)
	orDefault(&l.Login, 10*time.Second)
	orDefault(&l.MaxTime, time.Hour)
	orDefault(&l.IdleTime, 10*time.Minute)
	orDefault(&l.Statements, 16382)
	orDefault(&l.RowsBuffered, 1_000_000)
	orDefault(&l.BytesBuffered, 64<<20)
	return l
}

func orDefault[T int | time.Duration](p *T, v T) {
	if *p == 0 {
		*p = v
	}
}

func (p Port) withDefaults() Port {
	p.Limits = p.Limits.withDefaults()
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if p.ServerVersion == "" {
		p.ServerVersion = "8.0.36-xaproxy"
	}
	return p
}
