package plan

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// formCalls is a call of every function whose kind the planner knows, over a
// table of a column of each kind.
func formCalls() map[string]string {
	calls := map[string]string{
		"abs": "i", "ceil": "dec1", "ceiling": "dec1", "floor": "dec1", "round": "dec1, 1", "truncate": "dec1, 1", "mod": "i, 3", "sign": "i", "sqrt": "i", "pow": "i, 2",
		"power": "i, 2", "exp": "i", "ln": "i", "log": "i", "log2": "i", "log10": "i", "pi": "", "sin": "i", "cos": "i", "tan": "i", "cot": "i", "asin": "i", "acos": "i",
		"atan": "i", "atan2": "i, 1", "degrees": "i", "radians": "i", "crc32": "c", "bit_count": "i", "length": "c", "octet_length": "c", "char_length": "c",
		"character_length": "c", "bit_length": "c", "ascii": "c", "ord": "c", "locate": "'a', c", "instr": "c, 'a'", "field": "i, 2, 1", "find_in_set": "'a', c",
		"strcmp": "c, 'a'", "isnull": "c", "interval": "i, 1, 2", "year": "dt", "quarter": "dt", "month": "dt", "week": "dt", "weekofyear": "dt", "yearweek": "dt",
		"day": "dt", "dayofmonth": "dt", "dayofyear": "dt", "dayofweek": "dt", "weekday": "dt", "hour": "dt", "minute": "dt", "second": "dt", "microsecond": "dt",
		"extract": "YEAR FROM dt", "datediff": "dt, dy", "timestampdiff": "DAY, dt, dy", "to_days": "dt", "to_seconds": "dt", "time_to_sec": "tim", "period_add": "202401, i",
		"period_diff": "202401, 202312", "unix_timestamp": "ts", "inet_aton": "'1.2.3.4'", "json_length": "'[1]'", "json_depth": "'[1]'", "json_valid": "c",
		"json_contains": "'[1]', '1'", "regexp_like": "c, 'a'", "regexp_instr": "c, 'a'", "date": "dt", "last_day": "dt", "makedate": "2024, i", "from_days": "i + 738000",
		"sec_to_time": "i", "position": "'a' IN c", "date_add": "dt, INTERVAL 1 DAY", "date_sub": "dy, INTERVAL 1 HOUR", "adddate": "dt, 1", "subdate": "dt, 1",
		"timestampadd": "DAY, 1, dt",
		"date_format":  "dt, '%Y-%m'", "time_format": "tim, '%H'", "dayname": "dt", "monthname": "dt", "hex": "i", "bin": "i", "oct": "i", "conv": "i, 10, 16", "format": "i, 2", "md5": "c",
		"sha": "c", "sha1": "c", "sha2": "c, 256",
	}
	return calls
}

// TestServersKnowFormsAsThePlannerDoes: what is planned as a number or time is
// none that has a character set, and texts have the collation that is planned.
func TestServersKnowFormsAsThePlannerDoes(t *testing.T) {
	onServers(t, func(t *testing.T, c *sql.Conn) {
		run(t, c, "SET sql_mode=''")
		run(t, c, "CREATE TABLE f (i INT, dec1 DECIMAL(10,3), dt DATETIME, dy DATE, tim TIME, ts TIMESTAMP NULL, bin VARBINARY(10), en ENUM('x','y') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,"+
			" c VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, l VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin)")
		run(t, c, "INSERT INTO f VALUES (1, 1.5, '2024-01-02 03:04:05', '2024-01-02', '03:04:05', '2024-01-02 03:04:05', 'ab', 'x', 'a', 'a')")
		for _, collation := range []string{"utf8mb4_general_ci", "utf8mb4_bin", "utf8mb4_unicode_520_ci"} {
			run(t, c, "SET NAMES utf8mb4 COLLATE "+collation)
			for name, args := range formCalls() {
				checkForm(t, c, collation, name+"("+args+")")
			}
			for _, e := range []string{"UPPER(c)", "LOWER(l)", "TRIM(c)", "LTRIM(c)", "LEFT(c, 1)", "SUBSTRING(c, 1, 2)", "SUBSTRING_INDEX(c, 'x', 1)", "REVERSE(c)", "CONCAT(c, '-', i)",
				"CONCAT(l, 'x')", "CONCAT_WS('-', c, 'y')", "REPLACE(c, 'a', 'b')", "CONCAT(i, '-')", "CONCAT(c, DATE_FORMAT(dt, '%Y'))", "CONCAT(l, HEX(i))", "IFNULL(c, 'x')", "COALESCE(l, 'x')",
				"IF(i, c, 'x')", "CASE WHEN i THEN l ELSE 'x' END", "NULLIF(c, 'x')", "CAST(i AS CHAR)", "CAST(dt AS CHAR(4))", "CONCAT(CAST(i AS CHAR), 'x')", "GREATEST(c, 'x')", "LEFT(i, 1)",
				"IFNULL(i, 0)", "COALESCE(dt, dy)", "IF(i, 1, 2)", "CASE WHEN i THEN 1 END", "LEFT(bin, 1)", "CONCAT(bin, 'x')", "UPPER(en)", "CONCAT(en, c)", "dt + INTERVAL 1 DAY", "i + 1", "i = 1", "c LIKE 'x'",
				"-i", "i DIV 2", "i & 1", "NOT i", "c IS NULL", "CAST(c AS SIGNED)", "CAST(c AS DATE)", "BINARY c", "IFNULL(DATE_FORMAT(dt, '%Y'), c)"} {
				checkForm(t, c, collation, e)
			}
		}
	})
}

// checkForm plans an expression and compares with what the server says.
func checkForm(t *testing.T, c *sql.Conn, collation, e string) {
	t.Helper()
	cat := newTestCatalog(t)
	cat.tables["app.f"] = &Table{Schema: "app", Name: "f", Rule: cat.tables["app.t"].Rule, Primary: []string{"id"}, Columns: []Column{column("id", TypeBig), column("i", TypeInt), column("dec1", TypeDecimal),
		column("dt", TypeDatetime), column("dy", TypeDate), column("tim", TypeTime), column("ts", TypeTimestamp), column("bin", TypeVarbinary),
		{Name: "en", Type: TypeEnum, Charset: "utf8mb4", Collation: "utf8mb4_bin"},
		{Name: "c", Type: TypeVarchar, Length: 20, Charset: "utf8mb4", Collation: "utf8mb4_unicode_ci"}, {Name: "l", Type: TypeVarchar, Length: 20, Charset: "latin1", Collation: "latin1_bin"}}}
	got := plannedText(t, Env{Schema: "app", Charset: "utf8mb4", Collation: collation, Catalog: cat}, e)
	rows, err := c.QueryContext(t.Context(), "SELECT COLLATION("+e+"), "+e+" FROM f")
	if err != nil {
		t.Logf("%s: %v", e, err)
		return
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	var name, value sql.NullString
	if !rows.Next() || rows.Scan(&name, &value) != nil {
		t.Fatal(e, rows.Err())
	}
	kind := types[1].DatabaseTypeName()
	isText := strings.Contains(kind, "CHAR") || strings.Contains(kind, "TEXT")
	switch got.kind {
	case textKnown:
		if !isText || !strings.EqualFold(name.String, got.collation) {
			t.Errorf("%s is a text of %s, the server has %s of %s", e, got.collation, kind, name.String)
		}
	case textNone:
		if isText {
			t.Errorf("%s is no text, the server has %s of %s", e, kind, name.String)
		}
	case textUnknown:
		t.Logf("%s is not known, the server has %s of %s", e, kind, name.String)
	}
}

// plannedText is what the planner thinks of an expression over the table f.
func plannedText(t *testing.T, env Env, e string) text {
	t.Helper()
	p := New(Options{})
	s := new(scratch)
	if err := s.lex("SELECT "+e+" FROM f", lexUTF8); err != nil {
		t.Fatal(err)
	}
	node, err := p.parse(string(s.template(nil)), lexUTF8)
	if err != nil {
		t.Fatalf("%s: %v", e, err)
	}
	f, r := walk(node)
	if r != nil {
		t.Fatalf("%s: %v", e, r)
	}
	st, err := f.locate(&env)
	if err != nil {
		t.Fatal(err)
	}
	a := &analysis{env: &env, facts: f, site: st, text: &s.lexed}
	main := a.blocks(node)[0]
	main.connection = a.connectionText()
	sel, _ := node.(*ast.SelectStmt)
	return main.textOf(sel.Fields.Fields[0].Expr)
}
