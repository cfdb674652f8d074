package plan

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/proxy/route"
)

func TestMain(m *testing.M) { os.Exit(launchtest.Main(m)) }

// onServers runs a test on every engine, on one session with a schema of its own.
func onServers(t *testing.T, test func(t *testing.T, c *sql.Conn)) {
	if testing.Short() {
		t.Skip("needs servers")
	}
	for _, e := range launch.Engines() {
		t.Run(fmt.Sprint(e), func(t *testing.T) {
			db, err := launchtest.Shared(t, e).DB(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			schema := "plan_" + strings.ToLower(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:])
			schema = strings.Map(func(r rune) rune {
				if r == '.' || r == '-' {
					return '_'
				}
				return r
			}, schema)
			run(t, c, "SET NAMES utf8mb4")
			run(t, c, "CREATE DATABASE IF NOT EXISTS "+schema)
			run(t, c, "USE "+schema)
			defer func() { _, _ = c.ExecContext(context.WithoutCancel(t.Context()), "DROP DATABASE "+schema) }()
			test(t, c)
		})
	}
}

func run(t *testing.T, c *sql.Conn, text string) {
	t.Helper()
	if _, err := c.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// ask returns the rows' first columns; nil and the error when the server refuses.
func ask(t *testing.T, c *sql.Conn, text string, args ...any) ([]string, error) {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out []string
	for rows.Next() {
		row := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprint(row))
	}
	return out, rows.Err()
}

func one(t *testing.T, c *sql.Conn, text string) string {
	t.Helper()
	var s sql.NullString
	if err := c.QueryRowContext(t.Context(), text).Scan(&s); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s.String
}

// numberLiterals are ways to write numbers, and what looks like them.
func numberLiterals() []string {
	return []string{"0", "5", "-5", "+5", "-(5)", "00005", "5.0", "5.", "5.5", "-5.0", ".5", "5e0", "0.5e1", "5e-1", "53e0", "1e300", "-0", "-0.0",
		"'5'", "'05'", "'-5'", "' 5'", "'5 '", "'+5'", "'5.0'", "'5.5'", "'5e0'", "'5abc'", "'abc'", "''", "'-'", "'0x35'", "0x35", "x'35'", "b'101'", "0b101",
		"TRUE", "FALSE", "NULL", "N'5'", "_utf8mb4'5'", "'5' ''", "255", "256", "-1", "-128", "-129", "127", "128", "65535", "4294967295", "4294967296",
		"9007199254740991", "9007199254740992", "9007199254740993", "'9007199254740993'", "9007199254740993.0", "9007199254740993e0",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
		"'9223372036854775807'", "'18446744073709551615'", "'999999999999999'", "'-999999999999999'", "999999999999999", "DATE'2024-01-01'", "'5\\0'"}
}

// keyOf is what the planner makes of the one literal in a text.
func keyOf(t *testing.T, c *Column, literal string, p purpose, w Weights) (route.Key, fit) {
	t.Helper()
	return keyIn(t, c, literal, p, "", w)
}

// keyIn is keyOf in a time zone.
func keyIn(t *testing.T, c *Column, literal string, p purpose, zone string, w Weights) (route.Key, fit) {
	t.Helper()
	cat := newTestCatalog(t)
	table := &Table{Schema: "app", Name: "k", Columns: []Column{*c}, Primary: []string{c.Name}}
	rule, err := NewRule(cat.m, table, nil)
	if err != nil {
		t.Fatal(err)
	}
	table.Rule = rule
	cat.tables["app.k"] = table
	text := "SELECT * FROM k WHERE id = " + literal
	plan := mustPlan(t, New(Options{}), Env{Schema: "app", Charset: "utf8mb4", TimeZone: zone, Catalog: cat}, text)
	k, ok := plan.bind.(*keyed)
	if !ok || len(k.where) == 0 {
		return route.Key{}, fitInexact
	}
	s := new(scratch)
	if err := s.lex(text, plan.flags); err != nil {
		t.Fatal(err)
	}
	s.marks = s.literalTokens(nil)
	b := &binding{scratch: s, weights: w, zone: plan.zone}
	return b.key(c, k.where[0][0], p)
}

// TestServersCompareIntegersAsKeysSay: the rows that a server finds equal to a
// literal have the key that the literal was converted to, and no other.
func TestServersCompareIntegersAsKeysSay(t *testing.T) {
	columns := map[string]*Column{
		"TINYINT":         {Name: "id", Type: TypeTiny},
		"INT UNSIGNED":    {Name: "id", Type: TypeInt, Unsigned: true},
		"BIGINT":          {Name: "id", Type: TypeBig},
		"BIGINT UNSIGNED": {Name: "id", Type: TypeBig, Unsigned: true},
	}
	onServers(t, func(t *testing.T, c *sql.Conn) {
		for def, column := range columns {
			run(t, c, "SET sql_mode = ''")
			run(t, c, "CREATE TABLE k (id "+def+" PRIMARY KEY) ENGINE=MEMORY")
			for _, n := range []string{"0", "1", "5", "53", "101", "-5", "-1", "-128", "127", "255", "4294967295", "9007199254740991", "9007199254740992", "9007199254740993",
				"9223372036854775807", "-9223372036854775808", "18446744073709551615", "999999999999999", "-999999999999999"} {
				run(t, c, "INSERT IGNORE INTO k VALUES ("+n+")")
			}
			for _, literal := range numberLiterals() {
				compareInteger(t, c, def, column, literal)
			}
			run(t, c, "DROP TABLE k")
		}
	})
}

func compareInteger(t *testing.T, c *sql.Conn, def string, column *Column, literal string) {
	t.Helper()
	key, f := keyOf(t, column, literal, toCompare, nil)
	found, err := ask(t, c, "SELECT CAST(id AS CHAR) FROM k WHERE id = "+literal)
	if err != nil {
		t.Logf("%s = %s: %v", def, literal, err)
		return
	}
	switch f {
	case fitNone:
		if len(found) != 0 {
			t.Errorf("%s = %s finds %v, want nothing", def, literal, found)
		}
	case fitExact:
		want := fmt.Sprint([]sql.NullString{{String: number64(column, key.Int), Valid: true}})
		for _, got := range found {
			if got != want {
				t.Errorf("%s = %s finds %s, the key is %s", def, literal, got, want)
			}
		}
	case fitInexact:
	}
}

func number64(c *Column, i int64) string {
	if c.Unsigned {
		return fmt.Sprint(uint64(i))
	}
	return fmt.Sprint(i)
}

// TestServersStoreIntegersAsKeysSay: what a literal is stored as is its key,
// with strict modes and without.
func TestServersStoreIntegersAsKeysSay(t *testing.T) {
	columns := map[string]*Column{
		"TINYINT UNSIGNED": {Name: "id", Type: TypeTiny, Unsigned: true},
		"MEDIUMINT":        {Name: "id", Type: TypeMedium},
		"BIGINT":           {Name: "id", Type: TypeBig},
		"BIGINT UNSIGNED":  {Name: "id", Type: TypeBig, Unsigned: true},
	}
	onServers(t, func(t *testing.T, c *sql.Conn) {
		for def, column := range columns {
			run(t, c, "CREATE TABLE k (id "+def+" NULL) ENGINE=MEMORY")
			for _, mode := range []string{"", "STRICT_ALL_TABLES"} {
				run(t, c, "SET sql_mode = '"+mode+"'")
				for _, literal := range numberLiterals() {
					key, f := keyOf(t, column, literal, toStore, nil)
					if f != fitExact {
						continue
					}
					run(t, c, "DELETE FROM k")
					run(t, c, "INSERT INTO k VALUES ("+literal+")")
					if got, want := one(t, c, "SELECT CAST(id AS CHAR) FROM k"), number64(column, key.Int); got != want {
						t.Errorf("%s stores %s as %s, the key is %s (mode %q)", def, literal, got, want, mode)
					}
				}
			}
			run(t, c, "DROP TABLE k")
		}
	})
}

// serverWeights asks the server at hand.
type serverWeights struct {
	t     *testing.T
	c     *sql.Conn
	known map[WeightRequest][2][]byte
}

func (w serverWeights) Weight(r WeightRequest) (weight, space []byte, ok bool) {
	if k, known := w.known[r]; known {
		return k[0], k[1], true
	}
	var a, b sql.NullString
	if err := w.c.QueryRowContext(w.t.Context(), WeightSQL(r)).Scan(&a, &b); err != nil {
		w.t.Fatalf("%s: %v", WeightSQL(r), err)
	}
	weight, err := hex.DecodeString(a.String)
	if err != nil {
		w.t.Fatal(err)
	}
	if space, err = hex.DecodeString(b.String); err != nil {
		w.t.Fatal(err)
	}
	w.known[r] = [2][]byte{weight, space}
	return weight, space, true
}

func sampleTexts() []string {
	return []string{"", " ", "a", "A", "a ", "a  ", " a", "á", "Ä", "ae", "æ", "ss", "ß", "ẞ", "abc", "ABC", "abc\t", "abc\n", "abc\x01", "a\u00ad", "a \u00ad", "a\u200b",
		"e\u0301", "é", "日本", "ﾊ", "ハ", "😀", "😁", "ı", "i", "İ", "Ǆ", "%", "_", "5", "05", "a'b", `a\b`, "a\x00", "a \x00", "Å", "\u212b", "ﬁ", "fi"}
}

// TestServersCompareTextsAsWeightsSay: texts that a server holds for equal have
// equal keys, in every collation that can be sharded by.
func TestServersCompareTextsAsWeightsSay(t *testing.T) {
	onServers(t, func(t *testing.T, c *sql.Conn) {
		listed, err := ask(t, c, "SELECT COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE CHARACTER_SET_NAME IN ('utf8mb4', 'utf8mb3', 'latin1', 'ascii') ORDER BY 1")
		if err != nil {
			t.Fatal(err)
		}
		full, err := ask(t, c, "SELECT FULL_COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE CHARACTER_SET_NAME IN ('utf8mb4', 'utf8mb3')")
		if err == nil { // MariaDB 10.10 and newer
			listed = append(listed, full...)
		}
		tested := 0
		slices.Sort(listed)
		for _, row := range slices.Compact(listed) {
			collation := strings.Trim(strings.TrimSuffix(strings.TrimPrefix(row, "[{"), " true}]"), " ")
			if _, known := padding(collation); !known {
				continue
			}
			tested++
			for _, def := range []string{"VARCHAR(20)", "CHAR(20)"} {
				compareTexts(t, c, def, collation)
			}
		}
		const least = 12
		if tested < least {
			t.Errorf("%d collations of %d tested, want at least %d", tested, len(listed), least)
		}
	})
}

func compareTexts(t *testing.T, c *sql.Conn, def, collation string) {
	t.Helper()
	column := &Column{Name: "id", Type: TypeVarchar, Length: 20, Charset: charsetOf(collation), Collation: collation}
	if def == "CHAR(20)" {
		column.Type = TypeChar
	}
	run(t, c, "SET sql_mode = 'STRICT_ALL_TABLES'")
	run(t, c, "CREATE TABLE k (n INT PRIMARY KEY, id "+def+" COLLATE "+collation+") ENGINE=MEMORY")
	defer run(t, c, "DROP TABLE k")
	stored := make(map[string]string) // number -> canonical bytes
	weights := serverWeights{t, c, make(map[WeightRequest][2][]byte)}
	for i, s := range sampleTexts() {
		key, f := keyOf(t, column, quoteText(s), toStore, weights)
		if f != fitExact {
			continue
		}
		if _, err := c.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO k VALUES (%d, %s)", i, quoteText(s))); err != nil {
			continue // the column's character set does not have it
		}
		b, _ := key.Append(nil)
		stored[fmt.Sprintf("[{%d true}]", i)] = string(b)
	}
	for _, s := range sampleTexts() {
		key, f := keyOf(t, column, quoteText(s), toCompare, weights)
		if f != fitExact {
			continue
		}
		want, _ := key.Append(nil)
		found, err := ask(t, c, "SELECT n FROM k WHERE id = "+quoteText(s))
		if err != nil {
			continue
		}
		for _, n := range found {
			if stored[n] != string(want) {
				t.Errorf("%s %s: %q finds row %s, whose key is %x, not %x", def, collation, s, n, stored[n], want)
			}
		}
	}
}

func quoteText(s string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`, "\x00", `\0`).Replace(s) + "'"
}

// TestServersCompareBytesAsKeysSay covers BINARY and VARBINARY.
func TestServersCompareBytesAsKeysSay(t *testing.T) {
	onServers(t, func(t *testing.T, c *sql.Conn) {
		run(t, c, "SET sql_mode = 'STRICT_ALL_TABLES'")
		for def, column := range map[string]*Column{
			"BINARY(4)":    {Name: "id", Type: TypeBinary, Length: 4},
			"VARBINARY(4)": {Name: "id", Type: TypeVarbinary, Length: 4},
		} {
			run(t, c, "CREATE TABLE k (id "+def+") ENGINE=MEMORY")
			literals := []string{"''", "'a'", "'A'", "'a '", "'ab'", `'a\0'`, `'a\0\0\0'`, "'abcd'", "x''", "x'61'", "0x61", "0x6100", "0x161", "'ä'", "x'c3a4'", "b'1100001'", "5", "'abcde'"}
			for _, stored := range literals {
				key, f := keyOf(t, column, stored, toStore, nil)
				if f != fitExact {
					continue
				}
				run(t, c, "DELETE FROM k")
				run(t, c, "INSERT INTO k VALUES ("+stored+")")
				if got := one(t, c, "SELECT HEX(id) FROM k"); !strings.EqualFold(got, hex.EncodeToString(key.Bytes)) {
					t.Errorf("%s stores %s as %s, the key is %x", def, stored, got, key.Bytes)
				}
				for _, literal := range literals {
					compared, f := keyOf(t, column, literal, toCompare, nil)
					found, err := ask(t, c, "SELECT 1 FROM k WHERE id = "+literal)
					if err == nil && len(found) > 0 && (f == fitNone || f == fitExact && string(compared.Bytes) != string(key.Bytes)) {
						t.Errorf("%s: %s finds %s, the keys differ", def, literal, stored)
					}
				}
			}
			run(t, c, "DROP TABLE k")
		}
	})
}

// TestServersReadTextsAsTheLexerDoes: a text and the tokens that the lexer made
// of it, written anew, have the same answer.
func TestServersReadTextsAsTheLexerDoes(t *testing.T) {
	texts := []string{
		`SELECT 'a''b', 'a\'b', 'a\\', 'a\nb', 'a\%b', 'a\xb', "c""d", 'e"f', "g'h"`, `SELECT 'a' 'b' "c"`, "SELECT 1--1, 1 - -1, 1 -- x\n + 1", "SELECT 1 # x\n + 1", "SELECT 1 /* x */ + /**/ 1",
		"SELECT 1 /*! + 1 */", "SELECT 1 /*!40101 + 1 */ + 1", "SELECT 1 /*!50699 + 1 */", "SELECT 1 /*!1 + 1 */", "SELECT 5.5, 5., .5, 5e0, 5.5e-1, 1e+2", "SELECT 0x41, x'41', X'41', b'1', 0b11, B'0'",
		"SELECT N'a', n'b', _utf8mb4'c', _latin1'd', _utf8mb4 'e', _binary x'41'", "SELECT 1e5e FROM (SELECT 1) q", "SELECT q.5a, q.`5a` FROM (SELECT 7 AS 5a) q", "SELECT 5a FROM (SELECT 7 AS 5a) q", "SELECT 0x1g FROM (SELECT 7 AS 0x1g) q",
		"SELECT 0X41 FROM (SELECT 7 AS 0X41) q", "SELECT 0b2 FROM (SELECT 7 AS 0b2) q", "SELECT `a``b` FROM (SELECT 7 AS `a``b`) q", "SELECT @a := 5, @'b c' := 6, @`d` := 7, @e.f := 8", "SELECT @a, @'b c', @`d`, @e.f",
		"SELECT 1=1, 1<=>1, 1<>2, 1!=2, 1<=2, 1>=2, 1<<2, 8>>1, 1&&1, NOT 0, !0, ~0, 5%3, 5 DIV 2, 1^2, 1|2, 1&2", "SELECT 99999999999999999999, 18446744073709551615, 18446744073709551616, 00000000000000000000000005",
		"SELECT-1", "SELECT(1)", "SELECT'a'", "SELECT.5", "SELECT 1AS`x`", "SELECT 1x", "SELECT 'a'x", "SELECT\t1\v+\f1\r\n+ 1", "SELECT 1 +-- \n 1", "SELECT 2*3, 2 */* x */3", "SELECT JSON_EXTRACT('{\"a\":5}', '$.a')",
		"SELECT '/* not */', '-- not', '# not', \"/*! not */\"", "SELECT 1 /* a ; b ' \" ` */ + 1", "SELECT 1 -- ' \" ` /* \n + 1", "SELECT 'x' LIKE '\\_', '_' LIKE '\\_', 'a|_' LIKE 'a||_' ESCAPE '|'", "SELECT 1 -- ", "SELECT 1 --\n+ 1", "SELECT 1 --\x01+ 5\n+ 1",
		"SELECT \"a\" 'b'", "SELECT '\\Z' = x'1a', '\\b' = x'08', '\\0' = x'00'", "SELECT 7 AS 'a b', 8 \"c d\", 9 AS e", "SELECT CAST(5 AS CHAR(1)), CAST('5.55' AS DECIMAL(5,1)), NOW(3) IS NULL",
	}
	onServers(t, func(t *testing.T, c *sql.Conn) {
		for _, mode := range []string{"", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "IGNORE_SPACE"} {
			for _, text := range texts {
				run(t, c, "SET sql_mode = '"+mode+"'")
				want, wantErr := ask(t, c, text)
				var l lexed
				if err := l.lex(text, modeFlags(mode)|lexUTF8); err != nil {
					if wantErr == nil {
						t.Logf("%s (%s): %v", text, mode, err)
					}
					continue
				}
				again := string(l.canonical(nil))
				// Written anew a text needs none of the modes that change quoting.
				run(t, c, "SET sql_mode = '"+strings.NewReplacer("ANSI_QUOTES", "", "NO_BACKSLASH_ESCAPES", "").Replace(mode)+"'")
				got, gotErr := ask(t, c, again)
				if mode == "NO_BACKSLASH_ESCAPES" && strings.Contains(text, "LIKE") {
					continue // LIKE itself depends on the mode
				}
				if (gotErr == nil) != (wantErr == nil) || fmt.Sprint(got) != fmt.Sprint(want) {
					if strings.Contains(again, "@xap") {
						continue // names of variables are not kept
					}
					t.Errorf("mode %q\ntext  %q\nanew  %q\nwant %v %v\ngot  %v %v", mode, text, again, want, wantErr, got, gotErr)
				}
			}
		}
	})
}
