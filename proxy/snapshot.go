package proxy

import (
	"time"

	"xaproxy/xa"
)

// Snapshot is what others may know of a session. It is immutable; a session
// publishes a new one when something changes.
type Snapshot struct {
	ID        uint32
	User      string
	Addr      string
	Schema    string
	Command   string // "Sleep", "Query" or "Execute"
	Since     time.Time
	Statement string // the beginning of the running statement's text
	Shards    []xa.ShardID
}

// statementShown bounds Snapshot.Statement.
const statementShown = 1024

func shorten(sql string) string {
	if len(sql) > statementShown {
		return sql[:statementShown]
	}
	return sql
}
