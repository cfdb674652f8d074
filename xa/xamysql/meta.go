package xamysql

import (
	"context"

	"xaproxy/xa"
)

// SchemaVersion is the version of schema xaproxy that this package reads and writes.
const SchemaVersion = 1

// Meta is the one row of xaproxy.meta: who a server is, for all time.
type Meta struct {
	Version int // of the schema
	Cluster xa.ClusterID
	Shard   xa.ShardID
	Name    string // the shard's name when it was installed, for people
}

// ReadMeta reads a server's identity; false: xaproxy is not installed there.
func ReadMeta(ctx context.Context, dsn string) (Meta, bool, error) { return Meta{}, false, errTODO }

// Install creates schema xaproxy and its tables and writes m, whose Version 0 means SchemaVersion. It may be repeated;
// it fails when the server is already somebody else, naming both.
func Install(ctx context.Context, dsn string, m Meta) error { return errTODO }
