package xamysql

import (
	"context"
	"database/sql"
	"iter"

	"xaproxy/xa"
)

// Options says which server a Shard is and who asks.
type Options struct {
	DSN     string       // go-sql-driver's format, without a schema
	Number  xa.ShardID   // permanent number, must be the one in xaproxy.meta
	Name    string       // configured name, for people
	Cluster xa.ClusterID // must be the one in xaproxy.meta
	Node    uint32       // node id of this proxy
}

// Shard is a server as resource, claim store and node store. All methods may be called concurrently.
type Shard struct {
	o  Options
	db *sql.DB
}

var (
	_ xa.Resource   = (*Shard)(nil)
	_ xa.ClaimStore = (*Shard)(nil)
	_ xa.NodeStore  = (*Shard)(nil)
)

// Open makes a Shard. It does not connect.
func Open(o Options) (*Shard, error) { return nil, errTODO }

// Close ends the shard's connections.
func (s *Shard) Close() error { return nil }

// Shard implements xa.Resource.
func (s *Shard) Shard() xa.ShardID { return s.o.Number }

// Name implements xa.Resource.
func (s *Shard) Name() string { return s.o.Name }

// InDoubt implements xa.Resource.
func (s *Shard) InDoubt(ctx context.Context) iter.Seq2[xa.ID, error] { return nil }

// Commit implements xa.Resource.
func (s *Shard) Commit(ctx context.Context, id xa.ID, o xa.Owner) error { return errTODO }

// Rollback implements xa.Resource.
func (s *Shard) Rollback(ctx context.Context, id xa.ID, o xa.Owner) error { return errTODO }

// Fence implements xa.ClaimStore.
func (s *Shard) Fence(ctx context.Context, g xa.GlobalID, a xa.Asker, o xa.Owner) (xa.Outcome, error) {
	return xa.Unknown, errTODO
}

// Peek implements xa.ClaimStore.
func (s *Shard) Peek(ctx context.Context, g xa.GlobalID) (xa.Decision, error) {
	return xa.Decision{}, errTODO
}

// Sweep implements xa.ClaimStore.
func (s *Shard) Sweep(ctx context.Context) iter.Seq2[xa.Claim, error] { return nil }

// Collect implements xa.ClaimStore.
func (s *Shard) Collect(ctx context.Context, claims []xa.Claim) error { return errTODO }

// HomeGone implements xa.ClaimStore.
func (s *Shard) HomeGone(ctx context.Context, g xa.GlobalID) (bool, error) { return false, errTODO }

// Nodes implements xa.NodeStore.
func (s *Shard) Nodes(ctx context.Context) ([]xa.Node, error) { return nil, errTODO }

// Register implements xa.NodeStore.
func (s *Shard) Register(ctx context.Context, n xa.Node) error { return errTODO }

// Beat implements xa.NodeStore.
func (s *Shard) Beat(ctx context.Context, node, incarnation uint32) (xa.Node, error) {
	return xa.Node{}, errTODO
}

// MarkDead implements xa.NodeStore.
func (s *Shard) MarkDead(ctx context.Context, node, incarnation uint32) error { return errTODO }

// Hold implements xa.NodeStore.
func (s *Shard) Hold(ctx context.Context, node uint32) (release func(), err error) {
	return nil, errTODO
}

// KillHolder implements xa.NodeStore.
func (s *Shard) KillHolder(ctx context.Context, node uint32) error { return errTODO }
