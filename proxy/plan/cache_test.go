package plan

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestCacheForgetsThePlanUsedLongestAgo(t *testing.T) {
	c := newCache(2)
	a, b, d := &Plan{}, &Plan{}, &Plan{}
	c.put("a", a)
	c.put("b", b)
	if c.get([]byte("a")) != a {
		t.Fatal("a is not kept")
	}
	c.put("d", d)
	if c.get([]byte("b")) != nil || c.get([]byte("a")) != a || c.get([]byte("d")) != d {
		t.Error("another plan than the one used longest ago was forgotten")
	}
	if c.len() != 2 {
		t.Errorf("%d plans are kept, want 2", c.len())
	}
}

func TestCacheOfSizeZeroKeepsNothing(t *testing.T) {
	p := New(Options{CacheSize: -1})
	env := Env{Schema: "app", Charset: "utf8mb4", Catalog: newTestCatalog(t)}
	a, err := p.Plan(env, "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Plan(env, "SELECT 1")
	if err != nil || a == b {
		t.Errorf("the plan was kept, or %v", err)
	}
}

// TestPlanIsSharedByLiterals: one plan for a fingerprint, another one for
// whatever changes the meaning.
func TestPlanIsSharedByLiterals(t *testing.T) {
	p := New(Options{})
	c := newTestCatalog(t)
	env := Env{Schema: "app", Charset: "utf8mb4", Catalog: c}
	first := mustPlan(t, p, env, "SELECT a FROM t WHERE id = 5 AND b = 'x'")
	for _, same := range []string{"SELECT a FROM t WHERE id = 6 AND b = 'yy'", "SELECT a FROM t /* c */ WHERE id = 7 AND b = ''", "SELECT a FROM t WHERE id = 7 AND b = '''';"} {
		if mustPlan(t, p, env, same) != first {
			t.Errorf("%s has a plan of its own", same)
		}
	}
	for _, other := range []string{"SELECT a FROM t WHERE id = '5' AND b = 'x'", "SELECT a FROM t WHERE id = -5 AND b = 'x'", "SELECT a FROM t WHERE id = 5.0 AND b = 'x'",
		"SELECT a FROM t WHERE id = ? AND b = 'x'", "SELECT `a` FROM t WHERE id = 5 AND b = 'x'"} {
		if mustPlan(t, p, env, other) == first {
			t.Errorf("%s shares the plan", other)
		}
	}
	for name, change := range map[string]func(*Env){
		"schema": func(e *Env) { e.Schema = "shop" }, "mode": func(e *Env) { e.SQLMode = "PIPES_AS_CONCAT" }, "charset": func(e *Env) { e.Charset = "latin1" },
		"connection": func(e *Env) { e.Connection = "latin1" },
		"catalog":    func(e *Env) { next := *c; next.version++; e.Catalog = &next },
	} {
		changed := env
		change(&changed)
		if mustPlan(t, p, changed, "SELECT a FROM t WHERE id = 5 AND b = 'x'") == first {
			t.Errorf("the plan is shared although the %s differs", name)
		}
	}
}

func mustPlan(t testing.TB, p *Planner, env Env, sql string) *Plan {
	t.Helper()
	plan, err := p.Plan(env, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return plan
}

// TestCachedPlanEqualsFreshPlan: what the cache answers for a text is what
// planning that text alone gives.
func TestCachedPlanEqualsFreshPlan(t *testing.T) {
	c := newTestCatalog(t)
	env := Env{Schema: "app", Charset: "utf8mb4", Catalog: c}
	shared := New(Options{})
	for _, tmpl := range []string{"SELECT * FROM t WHERE id = %", "SELECT * FROM t WHERE id IN (%, 7)", "INSERT INTO t (id, a) VALUES (%, 1), (2, 2)",
		"UPDATE t SET a = 1 WHERE id = %", "SELECT * FROM t WHERE id = % LIMIT 1", "INSERT INTO auto (id) VALUES (%)",
		"SELECT a, id FROM t ORDER BY %", "SELECT a, id FROM t ORDER BY b, % DESC LIMIT 2", "SELECT a FROM t ORDER BY b LIMIT %", "SELECT a FROM t LIMIT 1, %",
		"SELECT a + 1, COUNT(*) FROM t GROUP BY a + %", "SELECT a, COUNT(*) FROM t GROUP BY % ORDER BY 2", "SELECT a FROM t GROUP BY a HAVING COUNT(*) > %",
		"SELECT SUM(id + 1) FROM t GROUP BY a ORDER BY SUM(id + %)", "SELECT IFNULL(SUM(a), %) FROM t", "SELECT a AS 'x', id AS % FROM t ORDER BY x"} {
		for _, lit := range []string{"1", "2", "3", "4", "0", "'1'", "'x'", "'3x'", "4.0", "4.5", "1e0", "0x31", "NULL", "7000000000", "7000000001", "'xap~0'", "x'07000000000000'", "99999999999999999999"} {
			sql := strings.Replace(tmpl, "%", lit, 1)
			if a, b := bound(shared, env, sql), bound(New(Options{CacheSize: -1}), env, sql); a != b {
				t.Errorf("%s\ncached %s\nfresh  %s", sql, a, b)
			}
		}
	}
}

// bound is the outcome of planning and binding, as text.
func bound(p *Planner, env Env, sql string) string {
	plan, err := p.Plan(env, sql)
	if err != nil {
		return err.Error()
	}
	targets, err := plan.Bind(sql, nil, testWeights{})
	if err != nil {
		return err.Error()
	}
	return strings.Join(describeTargets("", targets), "|")
}

func TestLookUpDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools allocate")
	}
	p := New(Options{})
	env := Env{Schema: "app", SQLMode: "STRICT_TRANS_TABLES,NO_ZERO_DATE", Charset: "utf8mb4", Catalog: newTestCatalog(t)}
	const sql = "SELECT a, b FROM t WHERE id = 5 AND b = 'some text' LIMIT 10"
	mustPlan(t, p, env, sql)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := p.Plan(env, sql); err != nil {
			t.Fatal(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestBindOfOneShardAllocatesLittle(t *testing.T) {
	p := New(Options{})
	env := Env{Schema: "app", Charset: "utf8mb4", Catalog: newTestCatalog(t)}
	const sql = "SELECT a, b FROM t WHERE id = 5 AND b = 'some text' LIMIT 10"
	plan := mustPlan(t, p, env, sql)
	const most = 6
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := plan.Bind(sql, nil, nil); err != nil {
			t.Fatal(err)
		}
	}); n > most {
		t.Errorf("%v allocations, want at most %d", n, most)
	}
}

func TestPlannerIsUsedByManySessions(t *testing.T) {
	p := New(Options{CacheSize: 8})
	c := newTestCatalog(t)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			env := Env{Schema: "app", Charset: "utf8mb4", Catalog: c}
			for i := range 200 {
				sql := "SELECT " + strings.Repeat("a, ", i%11) + "b FROM t WHERE id = " + strconv.Itoa(g*1000+i)
				plan, err := p.Plan(env, sql)
				if err != nil {
					t.Error(err)
					return
				}
				if targets, err := plan.Bind(sql, nil, nil); err != nil || targets.Mode != ModeOne {
					t.Errorf("%s: %v %v", sql, targets, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestParserPanicsBecomeRefusals: the parser is given what it panics on.
func TestParserPanicsBecomeRefusals(t *testing.T) {
	p := New(Options{})
	_, err := p.parse("SELECT 1e", 0)
	if err == nil {
		t.Log("the parser reads it")
	}
	c := newTestCatalog(t)
	env := Env{Schema: "app", Charset: "utf8mb4", Catalog: c}
	for _, sql := range []string{
		"ALTER TABLE t ALTER COLUMN a SET DEFAULT " + strings.Repeat("9", 400) + "." + strings.Repeat("9", 400),
		"CREATE TABLE n (id INT PRIMARY KEY, d DECIMAL(65,30) DEFAULT " + strings.Repeat("1", 5000) + ")",
		"SELECT " + strings.Repeat("9", 5000) + ".5",
		"SELECT 1e999999999999",
	} {
		if _, err := p.Plan(env, sql); err != nil {
			var r *Refusal
			if !errors.As(err, &r) {
				t.Errorf("%.40s: %v", sql, err)
			}
		}
	}
}
