package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch"
)

// refusals are the error numbers by which the proxy says that it does not execute a statement: always allowed.
const (
	refusedKey         = 17020
	refusedConstruct   = 17021
	refusedDefinitions = 17024
)

// twin executes the same statements at one server that holds everything and through the proxy.
type twin struct {
	t          *testing.T
	ref, proxy *sql.Conn
}

// twins starts shards of an engine with a proxy in front of them, and one more server as the reference.
func twins(t *testing.T, e launch.Engine) *sqlWorld {
	t.Helper()
	c := newCluster(t, e, e, e)
	ref := c.shards[2]
	c.shards = c.shards[:2]
	p := c.newProxy(t, "a", proxySettings{node: 1})
	p.up()
	return &sqlWorld{cluster: c, ref: ref, proxy: p}
}

type sqlWorld struct {
	cluster *cluster
	ref     *shard
	proxy   *proxyProcess
}

// pair opens a session on both sides, in a schema of the test's own.
func (w *sqlWorld) pair(t *testing.T, schema string) *twin {
	t.Helper()
	tw := &twin{t: t, ref: oneConn(t, fmt.Sprintf("%s:%s@tcp(%s)/", w.ref.server.User(), w.ref.server.Password(), w.ref.server.Addr())),
		proxy: oneConn(t, w.proxy.dsnOf(""))}
	for _, c := range []*sql.Conn{tw.ref, tw.proxy} {
		for _, q := range []string{"CREATE DATABASE IF NOT EXISTS " + schema, "USE " + schema} {
			if _, err := c.ExecContext(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	return tw
}

func (p *proxyProcess) dsnOf(schema string) string {
	return fmt.Sprintf("app:%s@tcp(%s)/%s", appPassword, p.data, schema)
}

func oneConn(t *testing.T, dsn string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// both executes statements on both sides and compares what the client is told: rows, affected rows, insert ids, error
// numbers. What the proxy refuses, the reference does not execute.
func (tw *twin) both(statements ...string) {
	tw.t.Helper()
	for _, q := range statements {
		got := answerTo(tw.t.Context(), tw.proxy, q)
		if got.refused() {
			tw.t.Logf("refused: %s: %s", q, got.text)
			continue
		}
		want := answerTo(tw.t.Context(), tw.ref, q)
		if got.text != want.text {
			tw.t.Errorf("%s\n  one server: %s\n  the proxy:  %s", q, want.text, got.text)
		}
	}
}

type sqlAnswer struct {
	number uint16
	text   string
}

func (a sqlAnswer) refused() bool {
	return a.number == refusedKey || a.number == refusedConstruct || a.number == refusedDefinitions
}

// rowNumber is where a warning says in which row of the statement it arose: a shard counts its own rows.
var rowNumber = regexp.MustCompile(` at row \d+`)

func answerTo(ctx context.Context, c *sql.Conn, q string) sqlAnswer {
	var e *mysql.MySQLError
	text, err := execOrQuery(ctx, c, q)
	switch {
	case errors.As(err, &e):
		a := sqlAnswer{number: e.Number, text: fmt.Sprintf("error %d", e.Number)}
		if a.refused() {
			a.text += " " + e.Message
		}
		return a
	case err != nil:
		return sqlAnswer{text: "no answer: " + err.Error()}
	}
	return sqlAnswer{text: rowNumber.ReplaceAllString(text, "")}
}

func execOrQuery(ctx context.Context, c *sql.Conn, q string) (string, error) {
	word, _, _ := strings.Cut(q, " ")
	if !slices.Contains([]string{"SELECT", "SHOW"}, strings.ToUpper(word)) {
		r, err := c.ExecContext(ctx, q)
		if err != nil {
			return "", err
		}
		affected, err := r.RowsAffected()
		if err != nil {
			return "", err
		}
		id, err := r.LastInsertId()
		return fmt.Sprintf("%d affected, insert id %d", affected, id), err
	}
	rows, err := c.QueryContext(ctx, q)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var all []string
	for rows.Next() {
		fields := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range fields {
			into[i] = &fields[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		var row []string
		for _, f := range fields {
			row = append(row, fmt.Sprintf("%v%q", f.Valid, f.String))
		}
		all = append(all, strings.Join(row, " "))
	}
	slices.Sort(all)
	return fmt.Sprintf("%d rows: %s", len(all), strings.Join(all, "; ")), rows.Err()
}

// TestAnswersAreThoseOfOneServer compares what is told about statements that touch several shards.
func TestAnswersAreThoseOfOneServer(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			w := twins(t, e)
			for name, statements := range exactCases() {
				t.Run(name, func(t *testing.T) {
					w.pair(t, strings.ReplaceAll(name, " ", "_")).both(statements...)
				})
			}
		})
	}
}

const (
	createI = "CREATE TABLE i (id INT PRIMARY KEY, v INT, s VARCHAR(10))"
	fillI   = "INSERT INTO i VALUES (1,10,'a'),(2,20,'b'),(3,30,'c'),(4,40,'d'),(5,50,'e'),(6,60,'f'),(7,70,'g'),(8,80,'h')"
)

func exactCases() map[string][]string {
	return map[string][]string{
		"counts in a transaction": {createI, fillI, "BEGIN",
			"SELECT * FROM i", "SELECT FOUND_ROWS()", "SELECT * FROM i WHERE id=1", "SELECT FOUND_ROWS()",
			"UPDATE i SET v=v+1", "SELECT ROW_COUNT()", "DELETE FROM i WHERE id IN (1,2,3,4,5)", "SELECT ROW_COUNT()",
			"INSERT INTO i VALUES (21,1,''),(22,1,''),(23,1,''),(24,1,''),(25,1,'')", "SELECT ROW_COUNT()", "ROLLBACK"},
		"counts with a pinned connection": {createI, fillI, "SET @x=1",
			"SELECT * FROM i WHERE id IN (1,2,3,4)", "SELECT FOUND_ROWS()", "UPDATE i SET v=1", "SELECT ROW_COUNT()"},
		"warnings of a write": {createI, fillI, "SET sql_mode=''",
			"INSERT IGNORE INTO i VALUES (1,1,''),(2,1,''),(3,1,''),(4,1,''),(31,'abc','')", "SHOW WARNINGS", "SHOW COUNT(*) WARNINGS",
			"BEGIN", "UPDATE i SET s='much too long for it'", "SHOW WARNINGS", "ROLLBACK"},
		"warnings of a read":   {createI, fillI, "SELECT id+s FROM i", "SHOW WARNINGS", "SELECT id+s FROM i WHERE id=1", "SHOW WARNINGS"},
		"warnings of DDL":      {createI, "CREATE TABLE IF NOT EXISTS i (id INT PRIMARY KEY)", "SHOW WARNINGS", "DROP TABLE IF EXISTS no_such", "SHOW WARNINGS"},
		"schemas are one":      {"CREATE DATABASE once", "DROP DATABASE once", "CREATE DATABASE once", "CREATE TABLE once.t (id INT PRIMARY KEY)", "DROP DATABASE once"},
		"insert ids as given":  insertIDs(),
		"dropping the default": {"CREATE DATABASE mine", "USE mine", "DROP DATABASE mine", "SELECT DATABASE()", "SELECT 1", "CREATE DATABASE mine", "USE mine", "SELECT 1"},
		"timeouts as set":      {"SET wait_timeout=100", "SELECT @@wait_timeout", "SET SESSION interactive_timeout=200", "SELECT @@interactive_timeout"},
	}
}

func insertIDs() []string {
	list := []string{"CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT)"}
	// The driver's id is that of the statement's last row, whichever shard has it.
	for first := 1; first < 20; first += 4 {
		list = append(list, fmt.Sprintf("INSERT INTO a VALUES (%d,1),(%d,2),(%d,3)", first, first+1, first+2),
			fmt.Sprintf("INSERT INTO a VALUES (%d,1),(%d,2) ON DUPLICATE KEY UPDATE v=v+1", first, first+3),
			fmt.Sprintf("REPLACE INTO a VALUES (%d,1),(%d,2),(%d,3)", first+2, first, first+1))
	}
	return append(list, "SELECT LAST_INSERT_ID()", "SELECT * FROM a")
}
