package xamysql

import (
	"context"
	"fmt"
	"strconv"

	"xaproxy/xa"
)

// CheckSession asks a session that was just opened for clients whether its
// server is the shard it should be, and runs the set-up statements, all in one
// write. The error wraps ErrIdentity when the server is another one.
func CheckSession(ctx context.Context, c Conn, cluster xa.ClusterID, number xa.ShardID, setUp ...string) error {
	cmds := []Command{{Kind: Query, SQL: selectMeta}}
	for _, s := range setUp {
		cmds = append(cmds, Command{Kind: Query, SQL: s})
	}
	replies, err := c.Exchange(ctx, cmds...)
	if err != nil {
		return err
	}
	for i, r := range replies {
		for _, res := range r.Results {
			if res.Err != nil {
				return fmt.Errorf("%s: %w", cmds[i].SQL, res.Err)
			}
		}
	}
	rows := replies[0].Results[0].Rows
	if len(rows) != 1 || len(rows[0]) < 3 || rows[0][1] == nil || rows[0][2] == nil {
		return fmt.Errorf("%w: xaproxy.meta has %d rows instead of one", ErrIdentity, len(rows))
	}
	isCluster, err := strconv.ParseUint(*rows[0][1], 10, 64)
	if err != nil {
		return fmt.Errorf("%w: cluster %q", ErrIdentity, *rows[0][1])
	}
	isNumber, err := strconv.ParseUint(*rows[0][2], 10, 16)
	if err != nil {
		return fmt.Errorf("%w: shard number %q", ErrIdentity, *rows[0][2])
	}
	if xa.ClusterID(isCluster) != cluster || xa.ShardID(isNumber) != number {
		return fmt.Errorf("%w: it is number %d of cluster %010x, expected number %d of cluster %010x",
			ErrIdentity, isNumber, isCluster, number, uint64(cluster))
	}
	return nil
}
