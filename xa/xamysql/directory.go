package xamysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"xaproxy/xa"
)

// ReadDirectory reads which number each shard's configured name stands for, as proxies stored it at this server: it lets
// a proxy that lost its state directory start while another shard is down. Empty when nothing is stored.
func ReadDirectory(ctx context.Context, dsn string) (map[string]xa.ShardID, error) {
	names := map[string]xa.ShardID{}
	err := withOne(ctx, dsn, func(c control, _ driverConn) error {
		found, err := c.list(ctx, "SELECT name, number FROM xaproxy.shard")
		if err != nil {
			return err
		}
		for _, row := range found {
			n, err := strconv.ParseUint(row[1], 10, 16)
			if err != nil {
				return fmt.Errorf("xaproxy.shard: number %q: %w", row[1], err)
			}
			names[row[0]] = xa.ShardID(n)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the directory of shards: %w", err)
	}
	return names, nil
}

// StoreDirectory stores names for ReadDirectory. A name that is stored with another number keeps it: which shard a name
// means is for people to change.
func StoreDirectory(ctx context.Context, dsn string, names map[string]xa.ShardID) error {
	var values []string
	for name, number := range names {
		values = append(values, "("+literal(name)+","+strconv.Itoa(int(number))+")")
	}
	if len(values) == 0 {
		return nil
	}
	err := withOne(ctx, dsn, func(c control, _ driverConn) error {
		_, err := c.exec(ctx, "INSERT INTO xaproxy.shard (name,number) VALUES "+strings.Join(values, ",")+" ON DUPLICATE KEY UPDATE number=number")
		return err
	})
	if err != nil {
		return fmt.Errorf("store the directory of shards: %w", err)
	}
	return nil
}
