package xamysql

import (
	"context"
	"fmt"
	"strings"
)

// Schema is a schema of applications and what its tables get by default.
type Schema struct{ Name, Charset, Collation string }

// ReadSchemas reads the schemas of a server, without its own ones and without xaproxy.
func ReadSchemas(ctx context.Context, dsn string) ([]Schema, error) {
	var list []Schema
	err := withOne(ctx, dsn, func(c control, _ driverConn) error {
		rows, err := c.list(ctx, "SELECT schema_name, default_character_set_name, default_collation_name FROM information_schema.schemata"+
			" WHERE LOWER(schema_name) NOT IN ('information_schema','performance_schema','mysql','sys','xaproxy') ORDER BY schema_name")
		for _, row := range rows {
			list = append(list, Schema{Name: row[0], Charset: row[1], Collation: row[2]})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the schemas: %w", err)
	}
	return list, nil
}

// CreateSchemas creates those that the server lacks. It fails where the server does
// not know a collation.
func CreateSchemas(ctx context.Context, dsn string, list []Schema) error {
	return withOne(ctx, dsn, func(c control, _ driverConn) error {
		for _, s := range list {
			name := "`" + strings.ReplaceAll(s.Name, "`", "``") + "`"
			if _, err := c.exec(ctx, "CREATE DATABASE IF NOT EXISTS "+name+" CHARACTER SET "+s.Charset+" COLLATE "+s.Collation); err != nil {
				return fmt.Errorf("create schema %s as it is at the other shards: %w", s.Name, err)
			}
		}
		return nil
	})
}
