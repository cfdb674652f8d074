package integration

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// TestPreparedTextsWithOtherTypes: MySQL gives the parameters of a prepared statement the types of an execution, and
// converts what comes later. Statements of different clients with one text, which share one at a shard, must not see each
// other's: "abc" becomes 0 otherwise. Each query is prepared anew, at the proxy and at one server.
func TestPreparedTextsWithOtherTypes(t *testing.T) {
	for _, e := range []launch.Engine{launch.MySQL, launch.MariaDB1011} {
		t.Run(string(e), func(t *testing.T) {
			w := newDiffWorld(t, e, 2)
			proxy, server := oneConn(t, w.process.dsnOf("")), oneConn(t, w.single)
			both := []*sql.Conn{proxy, server}
			for _, c := range both {
				mustRun(t, c, "CREATE DATABASE d", "USE d",
					"CREATE TABLE a (k INT PRIMARY KEY, s VARCHAR(40), f DOUBLE)", "INSERT INTO a VALUES (1,'1',1.5),(2,'abc',-1),(3,'1x',0),(4,NULL,NULL)")
			}
			values := []any{int64(1), "abc", uint64(18446744073709551615), "1x", 1.5, "1.5", nil, "-1", "99999999999999999999", "1e30", []byte("abc"), int64(-1), true,
				time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), "1"}
			for _, v := range append(values, values...) {
				for _, q := range []string{
					"SELECT k, ? FROM a WHERE k=1", "SELECT k, ? FROM a ORDER BY k", "SELECT k FROM a WHERE s=? ORDER BY k", "SELECT k FROM a WHERE k=?",
					"SELECT k FROM a WHERE f=? ORDER BY k", "SELECT k FROM a WHERE f<? OR s>? ORDER BY k", "SELECT COUNT(*) FROM a WHERE k<>? AND s IN (?,'q')",
				} {
					args := make([]any, strings.Count(q, "?"))
					for i := range args {
						args[i] = v
					}
					var said [2]string
					for i, c := range both {
						said[i] = prepared(t.Context(), c, q, args)
					}
					if said[0] != said[1] {
						t.Errorf("%s with %T %v: %s, the server says %s", q, v, v, said[0], said[1])
					}
				}
			}
		})
	}
}

// prepared executes a query whose parameters the driver sends apart, and returns all that it says.
func prepared(ctx context.Context, c *sql.Conn, query string, args []any) string {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return err.Error()
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err.Error()
	}
	var out []string
	for rows.Next() {
		row, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err.Error()
		}
		out = append(out, fmt.Sprint(row))
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	return strings.Join(out, " ")
}
