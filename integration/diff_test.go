package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// The differential test: the same random statements at one server and through the proxy over several shards of the same
// kind must have the same answers. Settings of the environment:
//
//	XAPROXY_DIFF      number of statements; without it 1500, always the same ones
//	XAPROXY_SEED      to repeat a run
//	XAPROXY_DIFF_ONLY "mysql/3": one kind and number of shards
//	XAPROXY_DIFF_DOC  file for the table of results
//	XAPROXY_DIFF_OUT  folder for the reduced failures

// perSchema is how many statements work on one set of tables.
const perSchema = 250

// diffRun is one kind of servers with one number of shards.
type diffRun struct {
	engine launch.Engine
	shards int
}

// diffRuns returns the runs and how many statements each gets.
func diffRuns(t *testing.T) ([]diffRun, int) {
	total, err := strconv.Atoi(os.Getenv("XAPROXY_DIFF"))
	if err != nil {
		return []diffRun{{launch.MySQL, 3}, {launch.MariaDB1011, 2}, {launch.MariaDB118, 5}}, 500
	}
	var runs []diffRun
	for _, e := range launch.Engines() {
		for _, n := range []int{2, 3, 5} {
			runs = append(runs, diffRun{e, n})
		}
	}
	if only := os.Getenv("XAPROXY_DIFF_ONLY"); only != "" {
		runs = slices.DeleteFunc(runs, func(r diffRun) bool { return r.String() != only })
		if len(runs) == 0 {
			t.Fatalf("XAPROXY_DIFF_ONLY=%s: no such run", only)
		}
	}
	return runs, total / len(runs)
}

func (r diffRun) String() string { return fmt.Sprintf("%s/%d", r.engine, r.shards) }

// diffSeed is drawn anew for each long run unless it is given.
func diffSeed(t *testing.T) uint64 {
	t.Helper()
	if s := os.Getenv("XAPROXY_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("XAPROXY_SEED: %v", err)
		}
		return n
	}
	if os.Getenv("XAPROXY_DIFF") == "" {
		return 1
	}
	return uint64(time.Now().UnixNano()) % 1000000
}

// diffResult is what a run did.
type diffResult struct {
	run        diffRun
	seed       uint64
	statements int // executed on both sides
	refused    map[string]int
	wrong      int
	took       time.Duration
}

// maxWrong ends a run: what follows is likely the same again.
const maxWrong = 8

func TestDifferential(t *testing.T) {
	runs, each := diffRuns(t)
	seed := diffSeed(t)
	var results []*diffResult
	for _, r := range runs {
		t.Run(r.String(), func(t *testing.T) {
			t.Logf("XAPROXY_SEED=%d XAPROXY_DIFF=%d XAPROXY_DIFF_ONLY=%s", seed, each*len(runs), r)
			results = append(results, r.differential(t, seed, each))
		})
	}
	report := diffReport(results)
	t.Log("\n" + report)
	if doc := os.Getenv("XAPROXY_DIFF_DOC"); doc != "" {
		if err := os.WriteFile(doc, []byte(report), 0o644); err != nil {
			t.Error(err)
		}
	}
}

func (r diffRun) differential(t *testing.T, seed uint64, statements int) *diffResult {
	w := newDiffWorld(t, r.engine, r.shards)
	sum := &diffResult{run: r, seed: seed, refused: map[string]int{}}
	began := time.Now()
	for i := 0; sum.statements+count(sum.refused) < statements && sum.wrong < maxWrong; i++ {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		h := newHistory(w, fmt.Sprintf("d%d", i))
		w.foundRows = i%3 == 2
		if failed, m := h.stretch(newSchema(rng, r.engine), min(perSchema, statements)); m != nil {
			sum.wrong++
			t.Errorf("schema %d of seed %d: %s", i, seed, h.report(failed, m))
			if m.kind == "set-up" {
				break
			}
		}
		sum.statements += len(h.done)
		for c, n := range h.constructs {
			sum.refused[c] += n
		}
		if _, err := must(w.proxy.query("DROP DATABASE IF EXISTS " + h.name)); err != nil {
			t.Logf("DROP DATABASE: %v", err)
		}
		_, _ = w.ref.query("DROP DATABASE IF EXISTS " + h.name)
	}
	sum.took = time.Since(began)
	return sum
}

func count(m map[string]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

// stretch makes a schema's tables, fills them and runs statements until one is answered wrongly.
func (h *history) stretch(s *schema, statements int) (statement, *mismatch) {
	if err := h.w.begin(h.name); err != nil {
		return statement{}, differ("set-up", "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		st := verbatim(s.tables[name].create())
		refused, m, err := h.step(st)
		if err != nil {
			return st, differ("set-up", "%v", err)
		}
		if m != nil {
			return st, m
		}
		if refused != "" {
			return h.again(s, statements)
		}
	}
	run := &diffClient{history: h, schema: s, odd: s.chance(3)}
	for _, st := range append(s.fillings(), statement{check: true}) {
		if st, m := run.fill(st); m != nil {
			return st, m
		}
	}
	for len(h.done)+h.refusals < statements {
		if st, m := run.batch(); m != nil {
			return st, m
		}
	}
	return statement{}, nil
}

// again begins anew with other types: a key of this one is not supported.
func (h *history) again(s *schema, statements int) (statement, *mismatch) {
	fresh := newSchema(s.rng, s.engine)
	h.done = nil
	return h.stretch(fresh, statements)
}

// diffClient generates statements and executes them.
type diffClient struct {
	*history
	*schema
	odd bool // it changes settings
}

func (f *diffClient) one(st statement) *mismatch {
	_, m, err := f.step(st)
	if err != nil {
		m = differ("harness", "%v", err)
	}
	return m
}

// fill executes an INSERT, row by row if it is refused.
func (f *diffClient) fill(st statement) (statement, *mismatch) {
	refused, m, err := f.step(st)
	if err != nil {
		m = differ("harness", "%v", err)
	}
	in, ok := st.shape.(*insertion)
	if m != nil || refused == "" || !ok || len(in.rows) == 1 {
		return st, m
	}
	for _, row := range in.rows {
		one := *in
		one.rows = [][]string{row}
		if st, m := f.fill(one.render()); m != nil {
			return st, m
		}
	}
	return st, nil
}

// batch is a transaction, or some statements without one, and a look at the tables.
func (f *diffClient) batch() (statement, *mismatch) {
	var list []statement
	inside := f.chance(2)
	if f.odd && f.chance(3) {
		list = append(list, f.setting())
	}
	if inside {
		list = append(list, verbatim(pick(f.rng, []string{"BEGIN", "START TRANSACTION"})))
	}
	var points []string
	for range 3 + f.rng.IntN(10) {
		switch n := f.rng.IntN(20); {
		case f.chance(30):
			list = append(list, f.hard())
		case f.chance(30):
			list = append(list, f.everyKey()...)
		case f.chance(30):
			list = append(list, verbatim(pick(f.rng, []string{"SHOW WARNINGS", "SHOW COUNT(*) WARNINGS"})))
		case n < 8:
			list = append(list, f.read())
		case n < 17:
			list = append(list, f.write())
		case n == 17:
			list = append(list, f.lock())
		case inside && (len(points) == 0 || n == 18):
			points = append(points, fmt.Sprintf("s%d", f.rng.IntN(3)))
			list = append(list, verbatim("SAVEPOINT "+points[len(points)-1]))
		case inside:
			verb := pick(f.rng, []string{"ROLLBACK TO ", "ROLLBACK TO SAVEPOINT ", "RELEASE SAVEPOINT "})
			list = append(list, verbatim(verb+pick(f.rng, points)))
		}
	}
	if inside {
		list = append(list, verbatim(pick(f.rng, []string{"COMMIT", "COMMIT", "ROLLBACK"})))
	}
	for _, st := range append(list, statement{check: true}) {
		if m := f.one(st); m != nil {
			return st, m
		}
	}
	return statement{}, nil
}

// report makes a failure small and returns how to repeat it.
func (h *history) report(failing statement, m *mismatch) string {
	if m.kind == "set-up" || m.kind == "harness" {
		return fmt.Sprintf("%s\n%s", failing, m)
	}
	patience := 30 * time.Second
	if d, err := time.ParseDuration(os.Getenv("XAPROXY_DIFF_REDUCE")); err == nil {
		patience = d
	}
	body, small := h.reduce(failing, m, patience)
	text := regression(h.w, body, small)
	if dir := os.Getenv("XAPROXY_DIFF_OUT"); dir != "" {
		name := fmt.Sprintf("%s-%d-%s-%d.sql", h.w.engine, h.w.count, strings.ReplaceAll(m.kind, " ", ""), time.Now().UnixNano()%1000000)
		_ = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
	}
	if len(body) > 40 {
		text = fmt.Sprintf("%s\n(%d statements; XAPROXY_DIFF_OUT keeps them)\n", small, len(body))
	}
	return fmt.Sprintf("%s\n%s\nreduced, for testdata/diff:\n\n%s", failing, m, text)
}
