package plan

import (
	"bytes"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestServersOrderTextsAsWeightsSay: in every collation whose texts are put in
// order, a server compares and sorts texts as their weights compare, of which the
// shorter one is continued by that of a space where the collation pads.
func TestServersOrderTextsAsWeightsSay(t *testing.T) {
	onServers(t, func(t *testing.T, c *sql.Conn) {
		listed, err := ask(t, c, "SELECT COLLATION_NAME FROM information_schema.COLLATIONS")
		if err != nil {
			t.Fatal(err)
		}
		full, err := ask(t, c, "SELECT FULL_COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY")
		if err == nil { // MariaDB 10.10 and newer
			listed = append(listed, full...)
		}
		slices.Sort(listed)
		tested := 0
		for _, row := range slices.Compact(listed) {
			collation := strings.Trim(strings.TrimSuffix(strings.TrimPrefix(row, "[{"), " true}]"), " ")
			if pads, known := sorting(collation); known {
				tested++
				orderTexts(t, c, collation, pads)
			}
		}
		t.Logf("%d collations", tested)
		const least = 12
		if tested < least {
			t.Errorf("%d collations, want at least %d", tested, least)
		}
	})
}

func orderTexts(t *testing.T, c *sql.Conn, collation string, pads bool) {
	t.Helper()
	run(t, c, "SET sql_mode = 'STRICT_ALL_TABLES'")
	run(t, c, "CREATE TABLE k (n INT PRIMARY KEY, s VARCHAR(40) CHARACTER SET "+charsetOf(collation)+" COLLATE "+collation+")")
	defer run(t, c, "DROP TABLE k")
	for i, s := range orderedTexts() {
		// What the character set does not have is left out.
		_, _ = c.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO k VALUES (%d, %s)", i, quoteText(s)))
	}
	weights := make(map[int][]byte)
	eachRow(t, c, "SELECT n, WEIGHT_STRING(s), 0, 0 FROM k", func(n int, weight string, _, _ int) { weights[n] = []byte(weight) })
	var pad []byte
	if pads {
		pad = []byte(one(t, c, "SELECT WEIGHT_STRING(CONVERT(_utf8mb4' ' USING "+charsetOf(collation)+") COLLATE "+collation+")"))
	}
	failed := 0
	eachRow(t, c, "SELECT a.n, b.n, a.s < b.s, a.s = b.s FROM k a JOIN k b", func(n int, m string, less, equal int) {
		want := 1 - 2*less - equal
		var other int
		_, _ = fmt.Sscan(m, &other)
		if got := comparePadded(weights[n], weights[other], pad); got != want && failed < 3 {
			failed++
			t.Errorf("%s: %q and %q compare as %d, by their weights as %d (%x, %x)", collation, orderedTexts()[n], orderedTexts()[other], want, got, weights[n], weights[other])
		}
	})
	last := -1
	eachRow(t, c, "SELECT n, 0, 0, 0 FROM k ORDER BY s", func(n int, _ string, _, _ int) {
		// To a server that sorts, zeros at the end are none.
		trimmed := func(n int) []byte { return bytes.TrimRight(weights[n], "\x00") }
		if last >= 0 && comparePadded(weights[last], weights[n], pad) > 0 && comparePadded(trimmed(last), trimmed(n), pad) > 0 && failed < 3 {
			failed++
			t.Errorf("%s: %q is sorted before %q (%x, %x)", collation, orderedTexts()[last], orderedTexts()[n], weights[last], weights[n])
		}
		last = n
	})
}

func orderedTexts() []string {
	texts := append(sampleTexts(), "aa", "a-b", "a b", "ab", "co-op", "coop", "CO-OP", "résumé", "resume", "Resume", "Z", "z", "Ž", "ž", "ch", "cz", "d", "dž", "ll", "lz", "ñ", "nz",
		"o", "ö", "oe", "ø", "þ", "y", "ÿ", "ü", "~", "a~", "a!", "\x7f", "a\x1f", "a\x1fb", "0", "00", "1", "10", "2", "Ω", "ω", "я", "Я", "ё", "日", "本", "가", "\U00020000", "ﷺ", "ａ")
	return texts
}

func eachRow(t *testing.T, c *sql.Conn, text string, f func(n int, s string, x, y int)) {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var n, x, y int
		var s string
		if err := rows.Scan(&n, &s, &x, &y); err != nil {
			t.Fatal(err)
		}
		f(n, s, x, y)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// comparePadded compares weights as a merge does.
func comparePadded(a, b, pad []byte) int {
	if len(pad) > 0 {
		for len(a) < len(b) {
			a = append(slices.Clip(a), pad...)
		}
		for len(b) < len(a) {
			b = append(slices.Clip(b), pad...)
		}
	}
	return bytes.Compare(a, b)
}

// TestTextsThatFamiliesWeighOtherwiseAreNotMerged: MariaDB has the names of MySQL's
// collations of UCA 9.0.0, and other weights.
func TestTextsThatFamiliesWeighOtherwiseAreNotMerged(t *testing.T) {
	cat := newTestCatalog(t)
	cat.mixed = true
	env := Env{Schema: "app", Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci", Catalog: cat}
	for sql, want := range map[string]bool{
		"SELECT a FROM t ORDER BY DATE_FORMAT(c, '%Y')":               false,
		"SELECT a FROM t ORDER BY b COLLATE utf8mb4_0900_ai_ci":       false,
		"SELECT a FROM t ORDER BY b COLLATE utf8mb4_unicode_ci, b, a": true,
	} {
		_, err := mustPlan(t, New(Options{}), env, sql).Bind(sql, nil, testWeights{})
		if (err == nil) != want {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
