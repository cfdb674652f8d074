package integration

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"xaproxy/internal/launch"
)

const benchRows = 10000

// makeRows makes a table of rows through a proxy.
func makeRows(t *testing.T, p *proxyProcess, rows int) {
	t.Helper()
	db := p.open("", "timeout=5s&readTimeout=60s")
	defer db.Close()
	for _, q := range []string{
		"CREATE DATABASE bank",
		"CREATE TABLE bank.account (id INT PRIMARY KEY, balance BIGINT NOT NULL, name VARCHAR(60) NOT NULL) ENGINE=InnoDB",
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	for from := 0; from < rows; from += 1000 {
		var values []string
		for id := from; id < min(from+1000, rows); id++ {
			values = append(values, fmt.Sprintf("(%d,%d,'somebody with the number %d')", id, 1000000, id))
		}
		if _, err := db.ExecContext(t.Context(), "INSERT INTO bank.account (id, balance, name) VALUES "+strings.Join(values, ",")); err != nil {
			t.Fatal(err)
		}
	}
}

// pointSelect returns clients that read one row by its key.
func pointSelect(dsn string, ids []int, prepared bool) func(context.Context, int) (func(context.Context) error, func(), error) {
	return func(ctx context.Context, _ int) (func(context.Context) error, func(), error) {
		conn, end, err := dial(ctx, dsn)
		if err != nil {
			return nil, nil, err
		}
		var stmt *sql.Stmt
		if prepared {
			if stmt, err = conn.PrepareContext(ctx, "SELECT balance, name FROM bank.account WHERE id=?"); err != nil {
				end()
				return nil, nil, err
			}
		}
		return func(ctx context.Context) error {
			id := ids[rand.IntN(len(ids))]
			var balance int64
			var name string
			if prepared {
				return stmt.QueryRowContext(ctx, id).Scan(&balance, &name)
			}
			return conn.QueryRowContext(ctx, fmt.Sprintf("SELECT balance, name FROM bank.account WHERE id=%d", id)).Scan(&balance, &name)
		}, end, nil
	}
}

// TestBenchPointSelect: what a query through the proxy costs beside a direct connection and a proxy that only copies bytes.
func TestBenchPointSelect(t *testing.T) {
	doc := benchDocument(t)
	var b strings.Builder
	b.WriteString("| server | query | clients | rate, HAProxy : direct | rate, xaproxy : direct | rate, xaproxy : HAProxy | CPU of HAProxy per query | CPU of xaproxy per query |\n|---|---|---|---|---|---|---|---|\n")
	for _, e := range []launch.Engine{launch.MySQL, launch.MariaDB1011} {
		c := newCluster(t, e, e)
		p := benchProxy(t, c, "p", c.addrs(), 1, "finished")
		makeRows(t, p, benchRows)
		server := c.shards[0].server
		copying, pid := startHAProxy(t, server.Addr())
		at := func(user, password, addr string) string { return fmt.Sprintf("%s:%s@tcp(%s)/", user, password, addr) }
		ids := c.shards[0].ids(t)
		for _, prepared := range []bool{false, true} {
			for _, clients := range []int{1, 8} {
				r := compare(t, []benchWay{
					{"direct", 0, pointSelect(at(server.User(), server.Password(), server.Addr()), ids, prepared)},
					{"HAProxy", pid, pointSelect(at(server.User(), server.Password(), copying), ids, prepared)},
					{"xaproxy", p.pid(), pointSelect(at("app", appPassword, p.data), ids, prepared)},
				}, clients)
				fmt.Fprintf(&b, "| %s | %s | %d | %.2f | %.2f | %.2f | %v | %v |\n", e, map[bool]string{false: "text", true: "prepared"}[prepared], clients,
					ratio(r[1], r[0]), ratio(r[2], r[0]), ratio(r[2], r[1]), medianCPU(r[1]), medianCPU(r[2]))
			}
		}
		p.kill()
	}
	t.Logf("\n%s", b.String())
	if err := writeSection(doc, "point select", b.String()); err != nil {
		t.Error(err)
	}
}
