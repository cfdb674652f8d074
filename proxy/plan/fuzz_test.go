package plan

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goldenStatements are the statements of the golden files: the fuzz targets'
// seeds.
func goldenStatements(f *testing.F) []string {
	f.Helper()
	files, err := filepath.Glob("testdata/plans/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	var out []string
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, l := range strings.Split(string(raw), "\n") {
			if sql, ok := strings.CutPrefix(l, "sql: "); ok {
				out = append(out, sql)
			}
		}
	}
	return out
}

// FuzzLex: tokens cover the text in order, without overlap, and what stands
// between them is white space and comments; the template is read as the same
// tokens again.
func FuzzLex(f *testing.F) {
	for _, sql := range goldenStatements(f) {
		f.Add(sql, uint16(lexUTF8))
		f.Add(sql, uint16(lexUTF8|lexAnsiQuotes|lexNoBackslash))
	}
	f.Fuzz(func(t *testing.T, sql string, flags uint16) {
		var l lexed
		if err := l.lex(sql, lexFlags(flags)); err != nil {
			checkRefusal(t, err)
			return
		}
		end := 0
		for _, tok := range l.toks {
			if int(tok.start) < end || tok.end <= tok.start || int(tok.end) > l.end {
				t.Fatalf("token %+v overlaps or leaves the text", tok)
			}
			if gap := sql[end:tok.start]; (gap != "") != tok.gap {
				t.Fatalf("gap %q before %+v", gap, tok)
			}
			end = int(tok.end)
		}
		checkTemplate(t, &l)
	})
}

// checkTemplate reads the template as the server would: the same kinds of
// tokens must come out, in the same number.
func checkTemplate(t *testing.T, l *lexed) {
	text := string(l.template(nil))
	var again lexed
	if err := again.lex(text, lexUTF8); err != nil {
		if l.flags&lexUTF8 == 0 {
			return
		}
		t.Fatalf("template %q of %q: %v", text, l.sql, err)
	}
	from, to := l.rowAlias()
	toks := slices.Delete(slices.Clone(l.toks), from, max(from, to))
	if len(again.toks) != len(toks) {
		t.Fatalf("template %q of %q has %d tokens, want %d", text, l.sql, len(again.toks), len(toks))
	}
	for i, tok := range l.toks {
		if to > from && i >= from {
			break // only words and names follow, or other numbers
		}
		if tok.kind.literal() && l.charsetName(i) == "" && again.toks[i].kind != tok.kind && tok.kind != tokHex && tok.kind != tokBit {
			t.Fatalf("template %q of %q: token %d is of kind %d, want %d", text, l.sql, i, again.toks[i].kind, tok.kind)
		}
	}
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) || r.Code == 0 || r.Construct == "" {
		t.Fatalf("an error that is no refusal: %#v", err)
	}
}

// FuzzPlan: whatever the text, the answer is a plan or a refusal; what is bound
// goes to shards that exist, and one shard gets the client's own text, with a
// list of columns where that was left out.
func FuzzPlan(f *testing.F) {
	for _, sql := range goldenStatements(f) {
		f.Add(sql)
	}
	p := New(Options{CacheSize: 64})
	c := newTestCatalog(f)
	f.Fuzz(func(t *testing.T, sql string) {
		env := Env{Schema: "app", Charset: "utf8mb4", Catalog: c}
		plan, err := p.Plan(env, sql)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if plan.bind == nil {
			return
		}
		params := make([]Value, plan.NumParams)
		for i := range params {
			params[i] = Value{Kind: ValueInt, Int: int64(i)}
		}
		targets, err := plan.Bind(sql, params, testWeights{})
		if err == nil && targets.Mode == ModeNumbers {
			checkNumbers(t, p, env, sql, params, targets.Numbering)
			return
		}
		if err != nil {
			checkRefusal(t, err)
			return
		}
		checkTargets(t, sql, plan, targets)
	})
}

// sentBy reports whether a shard's text is the client's, but for the list of
// columns that was put into it.
func sentBy(sql string, plan *Plan, text string) bool {
	if in, ok := plan.bind.(*inserted); ok && in.list != "" {
		return strings.HasPrefix(sql, strings.Replace(text, " ("+in.list+")", "", 1)) || strings.HasPrefix(sql, strings.Replace(text, in.list, "", 1))
	}
	return strings.HasPrefix(sql, text)
}

func checkTargets(t *testing.T, sql string, plan *Plan, targets Targets) {
	t.Helper()
	if targets.Mode == ModeInvalid || len(targets.Parts) == 0 || (targets.Mode == ModeAny || targets.Mode == ModeOne || targets.Move != nil) != (len(targets.Parts) == 1 || targets.Move != nil) {
		t.Fatalf("%q: %+v", sql, targets)
	}
	if c := targets.Choose; c != nil {
		for _, p := range c.Parts([]Chosen{{0, repeated("11", len(c.keys))}, {1, repeated("22", len(c.keys))}}) {
			checkMerged(t, sql, plan, p)
		}
	}
	rows, last := 0, -1
	for _, p := range targets.Parts {
		if int(p.Shard) <= last || p.Shard > 2 {
			t.Fatalf("%q: shard %d after %d", sql, p.Shard, last)
		}
		last = int(p.Shard)
		rows += p.Rows
		if targets.Mode == ModeMerge {
			checkMerged(t, sql, plan, p)
		} else if p.Rows == 0 && !sentBy(sql, plan, p.SQL) && plan.Class != ClassShow {
			t.Fatalf("%q: text %q is not the client's", sql, p.SQL)
		}
		if targets.Mode != ModeOne && targets.Mode != ModeAny && !plan.Reader && plan.Class != ClassDDL && plan.Uses&^StateLastInsertID|plan.Pins != 0 {
			t.Fatalf("%q: session state over several shards", sql)
		}
	}
}

// checkMerged: a text that is made of the client's can be read, and has the
// parameters that are said.
func checkMerged(t *testing.T, sql string, plan *Plan, p Part) {
	t.Helper()
	l := new(lexed)
	if err := l.lex(p.SQL, plan.flags); err != nil {
		t.Fatalf("%q: text %q: %v", sql, p.SQL, err)
	}
	want := plan.NumParams
	if p.Params != nil {
		want = len(p.Params)
	}
	if l.params != want {
		t.Fatalf("%q: text %q has %d parameters, want %d", sql, p.SQL, l.params, want)
	}
	if _, err := New(Options{}).parse(string(l.canonical(nil)), plan.flags); err != nil {
		t.Fatalf("%q: text %q: %v", sql, p.SQL, err)
	}
}
