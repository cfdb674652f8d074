package integration

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// definition is a statement that is interrupted. %s is a name of its own.
type definition struct {
	name     string
	setup    []string
	sql      string
	executed string // at a shard: 1 when it was
	exists   bool   // the table d.%s(id, v, ...) can be used afterwards
}

func interruptedDefinitions() []definition {
	table := []string{"CREATE TABLE d.%[1]s (id INT PRIMARY KEY, v INT)", "INSERT INTO d.%[1]s (id,v) VALUES (1,1),(2,2),(3,3),(4,4),(5,5),(6,6),(7,7),(8,8)"}
	count := func(what string) string {
		return "SELECT COUNT(*) FROM information_schema." + what
	}
	tables := count("TABLES WHERE TABLE_SCHEMA='d' AND TABLE_NAME LIKE '%[1]s%%'")
	return []definition{
		{"create", nil, "CREATE TABLE d.%[1]s (id INT PRIMARY KEY, v INT)", tables, true},
		{"add column", table, "ALTER TABLE d.%[1]s ADD COLUMN w INT NOT NULL DEFAULT 5", count("COLUMNS WHERE TABLE_SCHEMA='d' AND TABLE_NAME='%[1]s' AND COLUMN_NAME='w'"), true},
		{"truncate", table, "TRUNCATE TABLE d.%[1]s", "SELECT COUNT(*)=0 FROM d.%[1]s", true},
		{"drop", table, "DROP TABLE d.%[1]s", strings.Replace(tables, "COUNT(*)", "COUNT(*)=0", 1), false},
		{"order", table, "ALTER TABLE d.%[1]s MODIFY v INT FIRST", count("COLUMNS WHERE TABLE_SCHEMA='d' AND TABLE_NAME='%[1]s' AND COLUMN_NAME='v' AND ORDINAL_POSITION=1"), true},
		{"comment", table, "ALTER TABLE d.%[1]s COMMENT='new'", count("TABLES WHERE TABLE_SCHEMA='d' AND TABLE_NAME='%[1]s' AND TABLE_COMMENT='new'"), true},
		{"index", table, "CREATE INDEX i ON d.%[1]s (v)", count("STATISTICS WHERE TABLE_SCHEMA='d' AND TABLE_NAME='%[1]s' AND INDEX_NAME='i'"), true},
		{"drop two", append(table, "CREATE TABLE d.%[1]s_2 (id INT PRIMARY KEY)"), "DROP TABLE d.%[1]s, d.%[1]s_2", strings.Replace(tables, "COUNT(*)", "COUNT(*)=0", 1), false},
		{"create schema", nil, "CREATE DATABASE s_%[1]s", count("SCHEMATA WHERE SCHEMA_NAME='s_%[1]s'"), false},
		{"drop schema", []string{"CREATE DATABASE s_%[1]s", "CREATE TABLE s_%[1]s.t (id INT PRIMARY KEY)"}, "DROP DATABASE s_%[1]s",
			strings.Replace(count("SCHEMATA WHERE SCHEMA_NAME='s_%[1]s'"), "COUNT(*)", "COUNT(*)=0", 1), false},
	}
}

// interruption is what happens at a part, and how the cluster goes on.
type interruption struct {
	shard  int
	side   faultwire.Side
	victim string // proxy, shard or connection
	alone  bool   // there is no other proxy: the victim comes back
}

func (i interruption) String() string {
	alone := ""
	if i.alone {
		alone = " alone"
	}
	return fmt.Sprintf("%s%s %s s%d", i.victim, alone, i.side, i.shard)
}

func interruptions() []interruption {
	var all []interruption
	for _, victim := range []string{"proxy", "shard", "connection"} {
		for _, alone := range []bool{false, true} {
			for shard := range 2 {
				for _, side := range []faultwire.Side{faultwire.Before, faultwire.After} {
					all = append(all, interruption{shard: shard, side: side, victim: victim, alone: alone})
				}
			}
		}
	}
	return all
}

// ddlWorld is a cluster with one or two proxies.
type ddlWorld struct {
	*cluster
	proxies []*proxyProcess
	n       int
	alike   bool // the servers are of one kind
}

func newDDLWorld(t *testing.T, engines ...launch.Engine) *ddlWorld {
	t.Helper()
	w := &ddlWorld{cluster: newCluster(t, engines...), alike: engines[0] == engines[1]}
	for i, name := range []string{"a", "b"} {
		p := w.newProxy(t, name, proxySettings{node: i + 1})
		p.up()
		w.proxies = append(w.proxies, p)
	}
	mustRun(t, oneConn(t, w.proxies[0].dsnOf("")), "CREATE DATABASE d")
	return w
}

func named(text, name string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	return fmt.Sprintf(text, name)
}

// up starts what has been killed.
func (w *ddlWorld) up(t *testing.T, proxies ...*proxyProcess) {
	t.Helper()
	for _, p := range proxies {
		if !p.alive() {
			p.up()
		}
	}
}

// interrupt executes a definition at the first proxy while something happens to it.
func (w *ddlWorld) interrupt(t *testing.T, d definition, i interruption) {
	t.Helper()
	w.n++
	name := fmt.Sprintf("t%d", w.n)
	one, two := w.proxies[0], w.proxies[1]
	c := oneConn(t, one.dsnOf(""))
	for _, q := range d.setup {
		mustRun(t, c, named(q, name))
	}
	if i.alone {
		if err := two.stop(); err != nil {
			t.Log(err)
		}
	}
	s := w.shards[i.shard]
	sql := named(d.sql, name)
	rule := faultwire.Rule{Side: i.side, From: faultwire.Session, Match: func(c faultwire.Command) bool { return c.SQL == sql }}
	switch i.victim {
	case "proxy":
		rule.Hook = one.kill
	case "shard":
		s.grow()
		rule.Hook = func() { s.kill(t) }
	}
	armed := s.relay.Arm(rule)
	_, err := c.ExecContext(t.Context(), sql)
	t.Logf("%s: %v", sql, err)
	select {
	case <-armed.Done():
	case <-time.After(time.Minute):
		t.Fatal("the statement was not interrupted")
	}
	if i.victim == "shard" {
		s.restart(t)
	}
	if i.alone {
		w.up(t, one)
	}
	survivor := two
	if i.alone {
		survivor = one
	}
	w.completed(t, d, name, survivor)
	w.up(t, one, two)
}

// completed waits until the statement is over, and looks whether its tables are alike and can be used.
func (w *ddlWorld) completed(t *testing.T, d definition, name string, p *proxyProcess) {
	t.Helper()
	db := p.open("", "")
	defer db.Close()
	took, err := poll(t.Context(), 90*time.Second+slack(), func(ctx context.Context) error { return w.settled(ctx, db) })
	if err != nil {
		t.Fatalf("%v\n%s", err, p.logTail(30))
	}
	t.Logf("completed after %s", took.Round(time.Millisecond))
	var before string
	for _, s := range w.shards {
		if n := s.mustNumber(t, named(d.executed, name)); n != 1 {
			t.Errorf("%s has not executed it", s.name)
		}
		if !d.exists {
			continue
		}
		var text string
		if err := s.db.QueryRowContext(t.Context(), "SHOW CREATE TABLE d."+name).Scan(new(string), &text); err != nil {
			t.Error(err)
		}
		if before != "" && text != before && w.alike {
			t.Errorf("definitions differ:\n%s\n%s", before, text)
		}
		before = text
	}
	if !d.exists {
		return
	}
	c := oneConn(t, p.dsnOf(""))
	mustRun(t, c, fmt.Sprintf("REPLACE INTO d.%s (id,v) VALUES (11,1),(12,2),(13,3),(14,4),(15,5),(16,6)", name))
	if lost, all := lostKeys(t, c, "d."+name, "id"); lost > 0 || all < 6 {
		t.Errorf("%d of %d rows are not found by their key", lost, all)
	}
}

// settled: nothing is open, and nothing is announced.
func (w *ddlWorld) settled(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "SHOW DDL")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, statement, state, shards string
		if err := rows.Scan(&id, &statement, new(sql.NullString), &state, &shards, new(any), new(any), new(any)); err != nil {
			return err
		}
		if state == "open" || state == "stuck" {
			return fmt.Errorf("%s is %s: %s", statement, state, shards)
		}
	}
	for _, s := range w.shards {
		if n, err := s.number(ctx, "SELECT COUNT(*) FROM xaproxy.catalog_change"); err != nil || n != 0 {
			return fmt.Errorf("%d announcements at %s, %w", n, s.name, err)
		}
	}
	return rows.Err()
}

// TestInterruptedDefinitionsAreCompleted by whoever is there, whatever was killed at whichever part.
func TestInterruptedDefinitionsAreCompleted(t *testing.T) {
	definitions := interruptedDefinitions()
	for k, engines := range [][]launch.Engine{{launch.MariaDB1011, launch.MariaDB1011}, {launch.MySQL, launch.MySQL}, {launch.MySQL, launch.MariaDB118}} {
		t.Run(fmt.Sprint(engines), func(t *testing.T) {
			w := newDDLWorld(t, engines...)
			for n, i := range interruptions() {
				for m, d := range definitions {
					// Each interruption meets each statement with some of the engines.
					if testing.Short() && (n%5 != k || m != (n/5+5*k)%len(definitions)) || !testing.Short() && (n+m)%3 != k {
						continue
					}
					if !t.Run(i.String()+" "+d.name, func(t *testing.T) { w.interrupt(t, d, i) }) {
						return
					}
				}
			}
		})
	}
}
