package merge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/proxy/backend"
	"xaproxy/proxy/merge"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/xa/xamysql"
)

func TestMain(m *testing.M) { os.Exit(launchtest.Main(m)) }

// bench is a session at a real server.
type bench struct {
	t    *testing.T
	conn *backend.Conn
}

// onServers runs a test on every engine.
func onServers(t *testing.T, test func(t *testing.T, b *bench)) {
	if testing.Short() {
		t.Skip("needs servers")
	}
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) {
			o, err := backend.ParseDSN(launchtest.Shared(t, e).DSN())
			if err != nil {
				t.Fatal(err)
			}
			conn, err := backend.Dial(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			b := &bench{t: t, conn: conn}
			b.exec("DROP DATABASE IF EXISTS merging")
			b.exec("CREATE DATABASE merging")
			b.exec("USE merging")
			test(t, b)
		})
	}
}

func (b *bench) exec(sql string) {
	b.t.Helper()
	b.query(sql, false)
}

// result is what a query returned.
type result struct {
	columns []wire.Column
	rows    [][]byte
}

func (r *result) Columns(defs [][]byte) error {
	for _, d := range defs {
		c, err := wire.ParseColumn(d)
		if err != nil {
			return err
		}
		r.columns = append(r.columns, c)
	}
	return nil
}

func (r *result) Row(p []byte) error {
	r.rows = append(r.rows, slices.Clone(p))
	return nil
}

func (*result) End(wire.OK, bool) error { return nil }

func (b *bench) query(sql string, binary bool) *result {
	b.t.Helper()
	payload := append([]byte{byte(wire.ComQuery)}, sql...)
	if binary {
		stmt, err := b.conn.Prepare(context.Background(), sql)
		if err != nil {
			b.t.Fatalf("%s: %v", sql, err)
		}
		payload = wire.AppendExecute(nil, stmt.ID, nil)
	}
	var r result
	res, err := b.conn.Relay(context.Background(), payload, &r)
	if err != nil || res.Err != nil {
		b.t.Fatalf("%s: %v %v", sql, err, res.Err)
	}
	return &r
}

// source is the rows of one shard, in memory that is overwritten as late as may be.
type source struct {
	rows [][]byte
	at   int
	buf  [2][]byte
}

func (s *source) Next() ([]byte, error) {
	if s.at == len(s.rows) {
		return nil, io.EOF
	}
	b := append(s.buf[s.at%2][:0], s.rows[s.at]...)
	s.buf[s.at%2] = b
	s.at++
	return b, nil
}

func collect(r *merge.Rows) ([][]byte, error) {
	var out [][]byte
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, slices.Clone(p))
	}
}

// shape is a statement: what the client asks, and what shards are asked.
type shape struct {
	columns, hidden string
	where           string
	all, parts      string // behind the conditions, for one server and for shards
	plan            plan.Merge
}

const shards = 3

// same runs a statement on the whole table and by merging, in both protocols.
func (b *bench) same(s shape) {
	b.t.Helper()
	for _, binary := range []bool{false, true} {
		want := b.query("SELECT "+s.columns+" FROM t WHERE TRUE "+s.where+" "+s.all, binary)
		var sources []merge.Source
		var columns []wire.Column
		columnsOf := s.columns
		if s.hidden != "" {
			columnsOf += ", " + s.hidden
		}
		for i := range shards {
			r := b.query(fmt.Sprintf("SELECT %s FROM t WHERE sh=%d %s %s", columnsOf, i, s.where, s.parts), binary)
			columns = r.columns
			sources = append(sources, &source{rows: r.rows})
		}
		s.plan.Hidden = len(columns) - len(want.columns)
		m, err := merge.New(&s.plan, columns, merge.Options{Binary: binary, MaxRows: 1e6, MaxBytes: 1e8}, sources)
		if err != nil {
			b.t.Fatalf("%s: %v", s.columns, err)
		}
		got, err := collect(m)
		if err != nil {
			b.t.Fatalf("%s: %v", s.columns, err)
		}
		compare(b.t, fmt.Sprintf("SELECT %s ... %s (binary %v)", s.columns, s.all, binary), got, want.rows)
	}
}

func compare(t *testing.T, what string, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if string(got[i]) != string(want[i]) {
			t.Errorf("%s: row %d is\n%q, want\n%q", what, i, got[i], want[i])
			return
		}
	}
}

// fill makes table t, whose rows belong to shards by column sh.
func (b *bench) fill(r *rand.Rand, rows int) {
	b.exec(`CREATE TABLE t (id INT PRIMARY KEY, sh INT, g INT, i INT, ti TINYINT, u BIGINT UNSIGNED, n BIGINT, z INT(8) UNSIGNED ZEROFILL, d DECIMAL(20,5), d2 DECIMAL(9,9),
		big DECIMAL(65,0), s DECIMAL(38,30), f DOUBLE, f2 DOUBLE(12,2), fl FLOAT, v VARCHAR(20) COLLATE utf8mb4_general_ci,
		b VARBINARY(10), bl BLOB, dt DATETIME(3), da DATE, ts TIMESTAMP(6) NULL, tm TIME(2), y YEAR, KEY(g)) CHARACTER SET utf8mb4`)
	maybe := func(s string) string {
		if r.IntN(7) == 0 {
			return "NULL"
		}
		return s
	}
	digits := func(most int) string {
		var s strings.Builder
		if r.IntN(2) == 0 {
			s.WriteByte('-')
		}
		for range 1 + r.IntN(most) {
			s.WriteByte('0' + byte(r.IntN(10)))
		}
		return s.String()
	}
	words := []string{"''", "'a'", "'A'", "'a '", "'ab'", "'b'", "'ä'", "'z'", "'a\\0'", "'  '", "'日本'", "'ß'"}
	for id := range rows {
		values := []string{
			strconv.Itoa(id), strconv.Itoa(r.IntN(shards)), maybe(strconv.Itoa(r.IntN(9))), maybe(strconv.Itoa(r.IntN(41) - 20)), maybe(strconv.Itoa(r.IntN(256) - 128)),
			maybe(strconv.FormatUint(r.Uint64()>>r.IntN(64), 10)), maybe(strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10)), maybe(strconv.Itoa(r.IntN(1e6))),
			maybe(digits(14) + "." + strconv.Itoa(r.IntN(1e5))), maybe(fmt.Sprintf("0.%09d", r.IntN(1e9))), maybe(digits(65)), maybe(digits(7) + "." + strconv.Itoa(r.IntN(1e9))),
			maybe(strconv.FormatFloat(float64(r.IntN(1e6)-5e5)/8, 'g', -1, 64)), maybe(strconv.Itoa(r.IntN(1e6)) + ".25"), maybe(strconv.Itoa(r.IntN(100)) + ".5"),
			maybe(words[r.IntN(len(words))]), maybe(words[r.IntN(len(words)-2)]), maybe(words[r.IntN(len(words))]),
			maybe(fmt.Sprintf("'20%02d-%02d-%02d %02d:00:%02d.%03d'", r.IntN(3), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(3)*250)),
			maybe(fmt.Sprintf("'20%02d-%02d-%02d'", r.IntN(3), 1+r.IntN(12), 1+r.IntN(28))),
			maybe(fmt.Sprintf("'20%02d-%02d-%02d 12:00:%02d.%06d'", 10+r.IntN(3), 1+r.IntN(12), 1+r.IntN(28), r.IntN(60), r.IntN(3))),
			maybe(fmt.Sprintf("'%s%02d:%02d:%02d.%02d'", []string{"", "-"}[r.IntN(2)], r.IntN(838), r.IntN(60), r.IntN(60), r.IntN(100))),
			maybe(strconv.Itoa(1970 + r.IntN(60))),
		}
		b.exec("INSERT INTO t VALUES (" + strings.Join(values, ",") + ")")
	}
}

func pad(b *bench) []byte {
	r := b.query("SELECT WEIGHT_STRING(_utf8mb4' ' COLLATE utf8mb4_general_ci)", false)
	return r.rows[0][1:]
}

func TestServersAgreeOnOrder(t *testing.T) {
	onServers(t, func(t *testing.T, b *bench) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		b.fill(rand.New(rand.NewPCG(seed, 0)), 300)
		space := pad(b)
		// Column 0 is the id; the keys are by place from the right.
		id := plan.MergeKey{Column: 0}
		for _, c := range []string{"i", "ti", "u", "n", "z", "d", "d2", "big", "s", "f", "f2", "b", "bl", "dt", "da", "ts", "tm", "y"} {
			for _, desc := range []bool{false, true} {
				order := "ORDER BY " + c
				if desc {
					order += " DESC"
				}
				order += ", id"
				s := shape{columns: "id, v, " + c + ", fl", all: order, parts: order,
					plan: plan.Merge{Order: []plan.MergeKey{{Column: 2, Desc: desc}, id}, Limit: -1}}
				b.same(s)
				s.columns, s.hidden, s.plan.Order = "id, "+c+"+0, bl", c, []plan.MergeKey{{Column: -1, Desc: desc}, id}
				s.all += " LIMIT 17, 40"
				s.parts += " LIMIT 57"
				s.plan.Offset, s.plan.Limit = 17, 40
				b.same(s)
				s.plan.Order, s.plan.Final, s.parts = nil, s.plan.Order, ""
				b.same(s)
			}
		}
		for _, desc := range []string{"", " DESC"} {
			order := "ORDER BY v" + desc + ", g DESC, id"
			b.same(shape{columns: "*", hidden: "WEIGHT_STRING(v)", all: order, parts: order,
				plan: plan.Merge{Order: []plan.MergeKey{{Column: -1, Pad: space, Desc: desc != ""}, {Column: 2, Desc: true}, id}, Limit: -1}})
			order = "ORDER BY fl" + desc + ", id"
			b.same(shape{columns: "*", hidden: "fl+0e0", all: order, parts: order,
				plan: plan.Merge{Order: []plan.MergeKey{{Column: -1, Desc: desc != ""}, id}, Limit: -1}})
		}
		b.same(shape{columns: "DISTINCT i, y", all: "ORDER BY i, y", parts: "ORDER BY i, y",
			plan: plan.Merge{Distinct: true, Order: []plan.MergeKey{{Column: 0}, {Column: 1}}, Limit: -1}})
		b.same(shape{columns: "DISTINCT dt, tm", all: "ORDER BY tm DESC, dt LIMIT 3,30", parts: "ORDER BY tm DESC, dt",
			plan: plan.Merge{Distinct: true, Order: []plan.MergeKey{{Column: 1, Desc: true}, {Column: 0}}, Offset: 3, Limit: 30}})
	})
}

// aggregates are all functions over all columns, with what AVG and MIN, MAX of FLOAT
// and strings need; n columns are the group's.
func aggregates(n int, space []byte) (columns, hidden string, list []plan.Aggregate) {
	var cols, hides []string
	next := func() plan.MergeColumn { return plan.MergeColumn(n + len(cols) - 1) }
	add := func(f plan.AggregateFunc, text string) *plan.Aggregate {
		cols = append(cols, text)
		list = append(list, plan.Aggregate{Func: f, Column: next()})
		return &list[len(list)-1]
	}
	hide := func(text string) plan.MergeColumn {
		hides = append(hides, text)
		return plan.MergeColumn(len(hides)) // made right below
	}
	add(plan.AggregateCount, "COUNT(*)")
	for _, c := range []string{"i", "ti", "u", "n", "z", "d", "d2", "big", "s", "f", "f2", "fl", "y"} {
		add(plan.AggregateCount, "COUNT("+c+")")
		add(plan.AggregateSum, "SUM("+c+")")
		a := add(plan.AggregateAvg, "AVG("+c+")")
		a.Sum, a.Count = hide("SUM("+c+")"), hide("COUNT("+c+")")
	}
	for f, name := range map[plan.AggregateFunc]string{plan.AggregateMin: "MIN", plan.AggregateMax: "MAX"} {
		for _, c := range []string{"i", "ti", "u", "n", "z", "d", "d2", "big", "s", "f", "f2", "b", "bl", "dt", "da", "ts", "tm", "y"} {
			a := add(f, name+"("+c+")")
			a.Key.Column = a.Column
		}
		a := add(f, name+"(fl)")
		a.Key.Column = hide(name + "(fl)+0e0")
	}
	for i := range list {
		a := &list[i]
		fix := func(c *plan.MergeColumn) { *c -= plan.MergeColumn(len(hides) + 1) }
		if a.Func == plan.AggregateAvg {
			fix(&a.Sum)
			fix(&a.Count)
		}
		if (a.Func == plan.AggregateMin || a.Func == plan.AggregateMax) && a.Key.Column != a.Column {
			fix(&a.Key.Column)
		}
	}
	return strings.Join(cols, ","), strings.Join(hides, ","), list
}

func TestServersAgreeOnAggregates(t *testing.T) {
	onServers(t, func(t *testing.T, b *bench) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		b.fill(rand.New(rand.NewPCG(seed, 0)), 300)
		columns, hidden, list := aggregates(0, nil)
		for _, where := range []string{"", "AND id=5", "AND i IS NULL", "AND id<0", "AND sh<>1"} {
			b.same(shape{columns: columns, hidden: hidden, where: where, plan: plan.Merge{Grouped: true, Aggregates: list, Limit: -1}})
		}
		columns, hidden, list = aggregates(2, nil)
		group := plan.Merge{Grouped: true, Group: 2, Order: []plan.MergeKey{{Column: 0}, {Column: 1}}, Aggregates: list, Limit: -1}
		b.same(shape{columns: "g, y," + columns, hidden: hidden, all: "GROUP BY g, y ORDER BY g, y", parts: "GROUP BY g, y ORDER BY g, y", plan: group})
		columns, hidden, list = aggregates(1, nil)
		one := plan.Merge{Grouped: true, Group: 1, Order: []plan.MergeKey{{Column: 0, Desc: true}}, Aggregates: list, Limit: 5, Offset: 1}
		b.same(shape{columns: "g," + columns, hidden: hidden, all: "GROUP BY g ORDER BY g DESC LIMIT 1,5", parts: "GROUP BY g ORDER BY g DESC", plan: one})
		having := group
		having.Aggregates = []plan.Aggregate{{Func: plan.AggregateCount, Column: 2}, {Func: plan.AggregateSum, Column: 3}, {Func: plan.AggregateSum, Column: 4}}
		having.Final = []plan.MergeKey{{Column: 2, Desc: true}, {Column: 3}, {Column: 0}, {Column: 1}}
		having.Having = &plan.Condition{Op: plan.ConditionOr, Parts: []*plan.Condition{
			{Op: plan.ConditionAnd, Parts: []*plan.Condition{{Op: plan.ConditionGreater, Column: 2, Number: "1"}, {Op: plan.ConditionLess, Column: 3, Number: "4.5"}}},
			{Op: plan.ConditionNot, Parts: []*plan.Condition{{Op: plan.ConditionLessEqual, Column: 4, Number: "10000"}}},
			{Op: plan.ConditionIsNull, Column: 0}, {Op: plan.ConditionEqual, Column: 3, Null: true}}}
		text := "GROUP BY g, y HAVING COUNT(*) > 1 AND SUM(i) < 4.5 OR NOT (SUM(f) <= 10000) OR g IS NULL OR SUM(i) = NULL ORDER BY COUNT(*) DESC, SUM(i), g, y"
		b.same(shape{columns: "g, y, COUNT(*), SUM(i), SUM(f)", all: text, parts: "GROUP BY g, y ORDER BY g, y", plan: having})
		having.Offset, having.Limit = 3, 20
		b.same(shape{columns: "g, y, COUNT(*), SUM(i), SUM(f)", all: text + " LIMIT 3, 20", parts: "GROUP BY g, y ORDER BY g, y", plan: having})
	})
}

func TestServersAgreeOnDefaults(t *testing.T) {
	onServers(t, func(t *testing.T, b *bench) {
		b.fill(rand.New(rand.NewPCG(1, 2)), 60)
		pairs := []struct{ agg, constant string }{
			{"SUM(i)", "0"}, {"SUM(i)", "0.00"}, {"SUM(d)", "0"}, {"SUM(d)", "0.1234567"}, {"SUM(f)", "0"}, {"SUM(i)", "0e0"}, {"MAX(ti)", "0"},
			{"MAX(ti)", "5000000000"}, {"MIN(ti)", "1.5"}, {"MAX(i)", "-1"}, {"SUM(f2)", "0"}, {"SUM(f2)", "0.123"}, {"AVG(i)", "0"}, {"AVG(f)", "0"},
			{"MAX(u)", "0"}, {"MIN(n)", "0.5"}, {"MAX(u)", "1e0"}, {"SUM(big)", "0"}, {"COUNT(*)", "0"}, {"COUNT(i)", "1.5"},
		}
		for _, where := range []string{"", "AND id<0", "AND sh=1"} {
			for _, p := range pairs {
				a := plan.Aggregate{Column: -1}
				hidden := p.agg
				switch p.agg[:3] {
				case "SUM":
					a.Func = plan.AggregateSum
				case "COU":
					a.Func = plan.AggregateCount
				case "MAX":
					a.Func, a.Key.Column = plan.AggregateMax, -1
				case "MIN":
					a.Func, a.Key.Column = plan.AggregateMin, -1
				case "AVG":
					a.Func, a.Sum, a.Count = plan.AggregateAvg, -3, -2
					hidden = "SUM" + p.agg[3:] + ",COUNT" + p.agg[3:] + "," + p.agg
				}
				b.same(shape{columns: "IFNULL(" + p.agg + "," + p.constant + ")", hidden: hidden, where: where,
					plan: plan.Merge{Grouped: true, Aggregates: []plan.Aggregate{a}, Defaults: []plan.Default{{Column: 0, Of: -1}}, Limit: -1}})
			}
		}
	})
}

// Sums of doubles of one shard each are the server's own; those of several are
// printed by the proxy, and must look as the server prints the same number.
func TestServersAgreeOnDoubles(t *testing.T) {
	onServers(t, func(t *testing.T, b *bench) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		b.exec("CREATE TABLE t (sh INT, id INT, f DOUBLE, f2 DOUBLE(20,3))")
		values := []float64{0, 1, 1e14, 1e15, 1e16, 123456789012345678, 1e17, 1e22, 1e23, 1e300, 2.2250738585072014e-308, math.MaxFloat64 / 4,
			0.1, 1e-5, 1e-13, 1e-14, 1e-15, 1e-16, 1.5e-15, 9007199254740993, 999999999999999, 9999999999999998, 1234567890123456.7, 0.3}
		for range 300 {
			values = append(values, math.Ldexp(r.Float64(), r.IntN(200)-100), float64(r.IntN(1000000))/1000)
		}
		for i, v := range values {
			if r.IntN(2) == 0 {
				v = -v
			}
			small := math.Mod(v, 1e9)
			b.exec(fmt.Sprintf("INSERT INTO t VALUES (0, %d, %s, %s), (1, %d, 0, 0)", i, strconv.FormatFloat(v, 'e', -1, 64), strconv.FormatFloat(small, 'e', -1, 64), i))
		}
		b.same(shape{columns: "id, SUM(f), SUM(f2), AVG(f), AVG(f2)", hidden: "SUM(f), COUNT(f), SUM(f2), COUNT(f2)", all: "GROUP BY id ORDER BY id", parts: "GROUP BY id ORDER BY id",
			plan: plan.Merge{Grouped: true, Group: 1, Order: []plan.MergeKey{{Column: 0}}, Limit: -1, Aggregates: []plan.Aggregate{
				{Func: plan.AggregateSum, Column: 1}, {Func: plan.AggregateSum, Column: 2}, {Func: plan.AggregateAvg, Column: 3, Sum: -4, Count: -3}, {Func: plan.AggregateAvg, Column: 4, Sum: -2, Count: -1}}}})
	})
}

// Quotients have whole words of digits before they are rounded: where the decimals
// fill their words, they are cut instead.
func TestServersAgreeOnAveragesOfEveryScale(t *testing.T) {
	onServers(t, func(t *testing.T, b *bench) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		most := 30
		if b.conn.Flavor() == xamysql.FlavorMariaDB {
			most = 38
		}
		var defs, columns, hidden []string
		p := plan.Merge{Grouped: true, Limit: -1}
		for s := range most + 1 {
			defs = append(defs, fmt.Sprintf("d%d DECIMAL(%d,%d)", s, min(65, s+10), s))
			columns = append(columns, fmt.Sprintf("AVG(d%d)", s))
			hidden = append(hidden, fmt.Sprintf("SUM(d%d),COUNT(d%d)", s, s))
			p.Aggregates = append(p.Aggregates, plan.Aggregate{Func: plan.AggregateAvg, Column: plan.MergeColumn(s),
				Sum: plan.MergeColumn(most + 1 + 2*s), Count: plan.MergeColumn(most + 2 + 2*s)})
		}
		b.exec("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, sh INT, " + strings.Join(defs, ",") + ")")
		for range 60 {
			values := []string{"NULL", strconv.Itoa(r.IntN(shards))}
			for s := range most + 1 {
				v := strconv.Itoa(r.IntN(2e9) - 1e9)
				if s > 0 {
					v += "."
				}
				for range s {
					v += strconv.Itoa(r.IntN(10))
				}
				values = append(values, v)
			}
			b.exec("INSERT INTO t VALUES (" + strings.Join(values, ",") + ")")
		}
		for n := range 30 {
			b.same(shape{columns: strings.Join(columns, ","), hidden: strings.Join(hidden, ","), where: fmt.Sprintf("AND id > %d", n), plan: p})
		}
	})
}
