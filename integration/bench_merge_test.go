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

const mergeRows = 200000

const mergeTable = "CREATE TABLE bank.big (id INT PRIMARY KEY, v INT NOT NULL, pad VARCHAR(60) NOT NULL, KEY (v, id)) ENGINE=InnoDB"

// fill makes the table of the merge and its rows.
func fill(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, q := range []string{"CREATE DATABASE bank", mergeTable} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	const step = 2000
	for from := 0; from < mergeRows; from += step {
		var values []string
		for id := from; id < from+step; id++ {
			values = append(values, fmt.Sprintf("(%d,%d,'some text of row %d, as long as rows are')", id, id*7919%1000003, id))
		}
		if _, err := db.ExecContext(t.Context(), "INSERT INTO bank.big (id, v, pad) VALUES "+strings.Join(values, ",")); err != nil {
			t.Fatal(err)
		}
	}
}

// readOrdered returns a client that reads all rows in order and fails where they are not.
func readOrdered(dsn, query string) func(context.Context, int) (func(context.Context) error, func(), error) {
	return func(ctx context.Context, _ int) (func(context.Context) error, func(), error) {
		conn, end, err := dial(ctx, dsn)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) error {
			rows, err := conn.QueryContext(ctx, query)
			if err != nil {
				return err
			}
			defer rows.Close()
			n, last := 0, -1
			var id, v int
			var pad sql.RawBytes
			for ; rows.Next(); n++ {
				if err := rows.Scan(&id, &v, &pad); err != nil {
					return err
				}
				if v < last {
					return fmt.Errorf("%d after %d", v, last)
				}
				last = v
			}
			if rows.Err() == nil && n != mergeRows {
				return fmt.Errorf("%d rows, want %d", n, mergeRows)
			}
			return rows.Err()
		}, end, nil
	}
}

// TestBenchMerge: an ordered query over shards beside the same query at one server that holds all rows.
func TestBenchMerge(t *testing.T) {
	doc := benchDocument(t)
	var b strings.Builder
	b.WriteString("| shards | order | rows, xaproxy : one server | CPU of xaproxy per row |\n|---|---|---|---|\n")
	for _, n := range []int{2, 4} {
		options := make([]launch.Options, n)
		for i := range options {
			options[i] = launch.Options{Engine: launch.MariaDB1011, Settings: map[string]string{"innodb_buffer_pool_size": "128M"}}
		}
		c := newClusterOf(t, options...)
		p := benchProxy(t, c, "p", c.addrs(), 1, "finished")
		single := newClusterOf(t, options[0]).shards[0]
		db := p.open("", "timeout=5s&readTimeout=60s")
		fill(t, db)
		_ = db.Close()
		fill(t, single.db)
		for _, order := range []struct{ name, query string }{
			{"an integer, indexed", "SELECT id, v, pad FROM bank.big ORDER BY v, id"},
			{"a string, sorted by the servers", "SELECT id, 0 AS v, pad FROM bank.big ORDER BY pad"},
		} {
			name, query := order.name, order.query
			conn, end, err := dial(t.Context(), fmt.Sprintf("app:%s@tcp(%s)/", appPassword, p.data))
			if err != nil {
				t.Fatal(err)
			}
			err = runAll(t.Context(), conn, query+" LIMIT 1")
			end()
			if errorNumber(err) == 17021 {
				t.Logf("%s: %v", name, err)
				continue
			}
			r := compare(t, []benchWay{
				{"one server", 0, readOrdered(fmt.Sprintf("%s:%s@tcp(%s)/", single.server.User(), single.server.Password(), single.server.Addr()), query)},
				{"xaproxy", p.pid(), readOrdered(fmt.Sprintf("app:%s@tcp(%s)/", appPassword, p.data), query)},
			}, 1)
			fmt.Fprintf(&b, "| %d | %s | %.2f | %v |\n", n, name, ratio(r[1], r[0]), (medianCPU(r[1]) / mergeRows).Round(time.Nanosecond))
		}
		p.kill()
	}
	t.Logf("\n%s", b.String())
	if err := writeSection(doc, "merge", b.String()); err != nil {
		t.Error(err)
	}
}
