package plan

import (
	"runtime/debug"
	"strings"
	"testing"
)

// TestNestingDoesNotExhaustTheStack: texts with a part of the tokens allowed
// are planned with that part of the stack that a program has, and deeper
// parentheses are refused.
func TestNestingDoesNotExhaustTheStack(t *testing.T) {
	const goStack, parts = 1_000_000_000, 16
	defer debug.SetMaxStack(debug.SetMaxStack(goStack / parts))
	c := newTestCatalog(t)
	for _, x := range []struct {
		before, part, middle, after string
		tokens                      int // of part
	}{
		{"SELECT ", "1+", "1", "", 2},
		{"SELECT ", "NOT ", "1", "", 1},
		{"SELECT ", "~", "1", "", 1},
		{"SELECT ", "BINARY ", "1", "", 1},
		{"SELECT 1", " IS NULL", "", "", 2},
		{"SELECT 1", " COLLATE utf8mb4_bin", "", "", 2},
		{"SELECT 1 FROM one", ",one", "", "", 2},
		{"SELECT a FROM t WHERE id = 5", " AND b", "", "", 2},
		{"SELECT a FROM t WHERE id = 5", " OR b", "", "", 2},
		{"SELECT ", "CASE 1 WHEN 1 THEN ", "1", " END", 6},
		{"SELECT 1", " UNION SELECT 1", "", "", 3},
		{"SELECT ", "(", "1", ")", 2},
		{"SELECT ", "ABS(", "1", ")", 3},
		{"SELECT ", "(SELECT ", "1", ")", 3},
		{"SELECT * FROM ", "(SELECT * FROM ", "one", ") x", 6},
		{"", "(", "SELECT 1", ")", 2},
		{"SET sql_mode = ", "(", "@@sql_mode", ")", 2},
		{"CREATE TABLE n (id INT PRIMARY KEY, a INT DEFAULT ", "(", "1", "))", 2},
	} {
		n := maxTokens / parts / x.tokens
		text := x.before + strings.Repeat(x.part, n) + x.middle + strings.Repeat(x.after, n)
		_, err := New(Options{CacheSize: -1}).Plan(Env{Schema: "app", Charset: "utf8mb4", Catalog: c}, text)
		if nested := strings.Contains(x.part, "("); nested && err == nil {
			t.Errorf("%d times %s: not refused", n, x.part)
		}
	}
}

func TestStatementOfTooManyWordsIsRefused(t *testing.T) {
	var l lexed
	if err := l.lex("SELECT 1"+strings.Repeat(",1", maxTokens/2-1), 0); err != nil {
		t.Error(err)
	}
	if err := l.lex("SELECT 1"+strings.Repeat(",1", maxTokens/2), 0); err == nil {
		t.Error("more tokens than allowed were read")
	}
}
