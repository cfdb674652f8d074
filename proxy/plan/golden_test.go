package plan

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestPlansAreGolden plans every statement of testdata/plans. A case is
//
//	sql: SELECT 1          the statement; \n and \0 stand for bytes
//	env: mode=ANSI_QUOTES  optional: schema, mode, charset, connection
//	params: 5 'x' NULL     optional
//
// followed by what it must become. go test -run Golden -update writes that.
func TestPlansAreGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/plans/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	p := New(Options{})
	c := newTestCatalog(t)
	total := 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			total += checkGolden(t, p, c, file)
		})
	}
	const least = 250
	if total < least {
		t.Errorf("%d statements, want at least %d", total, least)
	}
}

func checkGolden(t *testing.T, p *Planner, c Catalog, file string) int {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	n := 0
	for _, block := range strings.Split(strings.TrimSpace(string(raw)), "\n\n") {
		lines := strings.Split(block, "\n")
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "sql: ") }) {
			out = append(out, block) // a comment
			continue
		}
		n++
		in, want := splitCase(lines)
		got := planCase(t, p, c, in)
		out = append(out, strings.Join(append(in, got...), "\n"))
		if !*update && strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s\ngot\n  %s\nwant\n  %s", strings.Join(in, "\n"), strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func splitCase(lines []string) (in, want []string) {
	for _, l := range lines {
		key, _, _ := strings.Cut(l, ": ")
		switch key {
		case "sql", "env", "params":
			in = append(in, l)
		default:
			if strings.HasPrefix(l, "#") {
				in = append(in, l)
				continue
			}
			want = append(want, l)
		}
	}
	return in, want
}

func planCase(t *testing.T, p *Planner, c Catalog, in []string) []string {
	env := Env{Schema: "app", Charset: "utf8mb4", Collation: "utf8mb4_general_ci", Catalog: c}
	var sql string
	var params []Value
	for _, l := range in {
		key, val, _ := strings.Cut(l, ": ")
		switch key {
		case "sql":
			sql = strings.NewReplacer(`\n`, "\n", `\0`, "\x00").Replace(val)
		case "env":
			setEnv(t, &env, val)
		case "params":
			params = parseParams(t, val)
		}
	}
	plan, err := p.Plan(env, sql)
	if err != nil {
		return []string{refusalLine(t, err)}
	}
	out := describePlan(plan)
	if plan.bind == nil {
		return out
	}
	given := Given{Weights: testWeights{}, InsertID: 77, Prepared: params != nil}
	targets, err := plan.BindGiven(sql, params, given)
	if err == nil && targets.Mode == ModeNumbers {
		out = append(out, describeNumbering(targets.Numbering))
		given.Numbered = true
		for range targets.Numbering.Generated() {
			given.IDs = append(given.IDs, 1001+uint64(len(given.IDs)))
		}
		targets, err = plan.BindGiven(sql, params, given)
	}
	if err != nil {
		return append(out, refusalLine(t, err))
	}
	return append(out, describeTargets(sql, targets)...)
}

func describeNumbering(n *Numbering) string {
	line := fmt.Sprintf("  numbers %s.%s up to %d", n.Table.Name, n.Column, n.Most)
	for _, r := range n.Rows {
		if r.Generate {
			line += " new"
		} else {
			line += fmt.Sprintf(" %d", r.Given)
		}
	}
	if !n.Sure {
		line += ", perhaps"
	}
	return line
}

func setEnv(t *testing.T, env *Env, text string) {
	for _, f := range strings.Fields(text) {
		k, v, _ := strings.Cut(f, "=")
		switch k {
		case "schema":
			env.Schema = v
		case "mode":
			env.SQLMode = v
		case "charset":
			env.Charset = v
		case "connection":
			env.Connection = v
		case "collation":
			env.Collation = v
		default:
			t.Fatalf("env %q", f)
		}
	}
}

func parseParams(t *testing.T, text string) []Value {
	params := []Value{}
	for _, f := range strings.Fields(text) {
		switch {
		case f == "NULL":
			params = append(params, Value{Kind: ValueNull})
		case f == "DATE":
			params = append(params, Value{Kind: ValueOther})
		case strings.HasPrefix(f, "'"):
			params = append(params, Value{Kind: ValueText, Bytes: []byte(strings.Trim(f, "'"))})
		case strings.HasPrefix(f, "x'"):
			params = append(params, Value{Kind: ValueBinary, Bytes: []byte(strings.Trim(f[1:], "'"))})
		case strings.HasPrefix(f, "dec:"):
			params = append(params, Value{Kind: ValueDecimal, Bytes: []byte(f[4:])})
		case strings.HasPrefix(f, "u:"):
			u, err := strconv.ParseUint(f[2:], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			params = append(params, Value{Kind: ValueUint, Uint: u})
		case strings.ContainsAny(f, ".e"):
			x, err := strconv.ParseFloat(f, 64)
			if err != nil {
				t.Fatal(err)
			}
			params = append(params, Value{Kind: ValueFloat, Float: x})
		default:
			i, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			params = append(params, Value{Kind: ValueInt, Int: i})
		}
	}
	return params
}

func refusalLine(t *testing.T, err error) string {
	var r *Refusal
	if !errors.As(err, &r) {
		t.Errorf("an error that is no refusal: %v", err)
	}
	return fmt.Sprintf("refused %d: %s", r.Code, err)
}

func describePlan(p *Plan) []string {
	names := [...]string{"invalid", "select", "insert", "replace", "update", "delete", "ddl", "show", "begin", "commit", "rollback",
		"savepoint", "set", "use", "outcome", "kill", "unlock", "warnings", "processlist", "route", "definitions", "comment"}
	words := []string{names[p.Class]}
	flag := func(is bool, word string) {
		if is {
			words = append(words, word)
		}
	}
	flag(p.Reader, "reader")
	flag(!p.Reader, "writer")
	flag(p.Locking && p.Reader, "locking")
	flag(p.ImplicitCommit, "commits")
	flag(p.Uses != 0, fmt.Sprintf("uses=%d", p.Uses))
	flag(p.Pins != 0, fmt.Sprintf("pins=%d", p.Pins))
	flag(p.Tx != Tx{}, fmt.Sprintf("tx=%+v", p.Tx))
	flag(p.Savepoint != Savepoint{}, fmt.Sprintf("savepoint=%+v", p.Savepoint))
	flag(p.Schema != "", "schema="+p.Schema)
	flag(p.Gtrid != "", fmt.Sprintf("gtrid=%q", p.Gtrid))
	flag(p.Kill != Kill{}, fmt.Sprintf("kill=%+v", p.Kill))
	flag(p.Full, "full")
	flag(p.Route != "", "route="+p.Route)
	flag(len(p.Variables) > 0, fmt.Sprintf("variables=%v", p.Variables))
	flag(p.NumParams > 0, fmt.Sprintf("params=%d", p.NumParams))
	out := []string{strings.Join(words, " ")}
	for _, a := range p.Set {
		out = append(out, fmt.Sprintf("  set %d %+v", a.Variable, a))
	}
	if d := p.DDL; d != nil {
		out = append(out, describeDDL(d))
	}
	return out
}

func describeDDL(d *DDL) string {
	names := [...]string{"other", "create table", "alter table", "drop table", "truncate table", "create schema", "alter schema", "drop schema"}
	slices.SortFunc(d.Tables, func(a, b TableName) int { return strings.Compare(a.Name, b.Name) })
	line := fmt.Sprintf("  %s %v %s", names[d.Verb], d.Tables, d.Schema)
	if d.Created != nil {
		line += " rule " + d.Created.Rule.Text()
	}
	return strings.TrimRight(line, " ")
}

func describeTargets(sql string, t Targets) []string {
	modes := [...]string{"invalid", "weights", "any", "one", "concat", "all", "merge"}
	var out []string
	for _, p := range t.Parts {
		line := fmt.Sprintf("  %s %d", modes[t.Mode], p.Shard)
		if p.Params != nil {
			line += fmt.Sprintf(" params %v", p.Params)
		}
		if p.IDs != nil {
			line += fmt.Sprintf(" ids %v", p.IDs)
		}
		if t.NeedsClock {
			line += " clock"
		}
		if p.SQL != sql {
			line += ": " + strings.ReplaceAll(p.SQL, "\n", `\n`)
		}
		out = append(out, line)
	}
	if c := t.Choose; c != nil {
		out = append(out, fmt.Sprintf("  choose%s params %v: %s | %s | %v", shardList(c.Targets.Parts), c.Params, c.At(c.Targets.Parts[0]), c.Targets.Merge, c.Targets.Parts[0].Params))
		for _, p := range c.Parts([]Chosen{{1, repeated("1", len(c.keys))}, {0, repeated("2", len(c.keys))}, {1, repeated("3", len(c.keys))}}) {
			out = append(out, fmt.Sprintf("  then %d params %v: %s", p.Shard, p.Params, p.SQL))
		}
	}
	if m := t.Move; m != nil {
		out = append(out, fmt.Sprintf("  move to %d: %s | %s | %s", m.To, m.Select, m.Delete, m.Insert))
	}
	if t.Mode == ModeMerge { // all shards get the same
		out = append(out[:1], "  shards"+shardList(t.Parts), "  "+t.Merge.String())
	}
	return out
}

func repeated(s string, n int) []string { return slices.Repeat([]string{s}, n) }

func shardList(parts []Part) string {
	var list string
	for _, p := range parts {
		list += fmt.Sprintf(" %d", p.Shard)
	}
	return list
}
