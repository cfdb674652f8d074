package merge_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"xaproxy/proxy/merge"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

const null = "\xfb"

// text makes a row of the text protocol of fields that are parted by |.
func text(fields string) []byte {
	var p []byte
	for f := range strings.SplitSeq(fields, "|") {
		if f == null {
			p = wire.AppendNull(p)
		} else {
			p = wire.AppendText(p, f)
		}
	}
	return p
}

func texts(rows ...string) *source {
	s := &source{}
	for _, r := range rows {
		s.rows = append(s.rows, text(r))
	}
	return s
}

// Columns of one type each.
var (
	integer = wire.Column{Name: "n", Type: wire.TypeLong, Collation: 63}
	count   = wire.Column{Name: "c", Type: wire.TypeLongLong, Collation: 63}
	exact   = wire.Column{Name: "s", Type: wire.TypeNewDecimal, Collation: 63}
	average = wire.Column{Name: "a", Type: wire.TypeNewDecimal, Collation: 63, Decimals: 4}
	weight  = wire.Column{Name: "w", Type: wire.TypeVarString, Collation: 63}
	words   = wire.Column{Name: "v", Type: wire.TypeVarString, Collation: 45}
	float   = wire.Column{Name: "f", Type: wire.TypeFloat, Collation: 63}
)

func merged(t *testing.T, p *plan.Merge, columns []wire.Column, o merge.Options, sources ...merge.Source) ([]string, error) {
	t.Helper()
	m, err := merge.New(p, columns, o, sources)
	if err != nil {
		return nil, err
	}
	rows, err := collect(m)
	var out []string
	for _, r := range rows {
		fields, err := wire.ParseTextRow(nil, r, len(columns)-p.Hidden)
		if err != nil {
			t.Fatal(err)
		}
		line := make([]string, len(fields))
		for i, f := range fields {
			if line[i] = string(f); f == nil {
				line[i] = null
			}
		}
		out = append(out, strings.Join(line, "|"))
	}
	return out, err
}

func expect(t *testing.T, got []string, err error, want ...string) {
	t.Helper()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func keys(columns ...plan.MergeColumn) []plan.MergeKey {
	list := make([]plan.MergeKey, len(columns))
	for i, c := range columns {
		list[i].Column = c
	}
	return list
}

func TestEqualRowsComeInTheOrderOfTheShards(t *testing.T) {
	p := &plan.Merge{Order: keys(0), Limit: -1}
	got, err := merged(t, p, []wire.Column{integer, words}, merge.Options{},
		texts("1|a", "2|a", "2|b"), texts(), texts("1|c", "2|c"), texts(null+"|d", "2|d"))
	expect(t, got, err, null+"|d", "1|a", "1|c", "2|a", "2|b", "2|c", "2|d")
}

func TestRowsWithoutOrderComeShardByShard(t *testing.T) {
	p := &plan.Merge{Hidden: 1, Limit: 4, Offset: 1}
	got, err := merged(t, p, []wire.Column{words, integer}, merge.Options{}, texts("a|1", "b|1"), texts(), texts("c|1"), texts("d|1", "e|1", "f|1"))
	expect(t, got, err, "b", "c", "d", "e")
	p = &plan.Merge{Limit: 0}
	got, err = merged(t, p, []wire.Column{words}, merge.Options{}, texts("a"))
	expect(t, got, err)
}

func TestWeightsOfCollationsThatPad(t *testing.T) {
	p := &plan.Merge{Hidden: 1, Order: []plan.MergeKey{{Column: -1, Pad: []byte("\x02\x09")}}, Limit: -1}
	got, err := merged(t, p, []wire.Column{words, weight}, merge.Options{},
		texts("below|A\x01", "equal|A", "above|A\x02\x0a"), texts("less|A\x02\x08", "padded|A\x02\x09\x02\x09", "padded|A\x02\x09"))
	expect(t, got, err, "below", "less", "equal", "padded", "padded", "above")
	p.Order[0].Pad = nil
	got, err = merged(t, p, []wire.Column{words, weight}, merge.Options{}, texts("1|A", "3|A\x01"), texts("2|A\x00", "4|A\x02\x09"))
	expect(t, got, err, "1", "2", "3", "4")
}

func TestGroupsWithoutRows(t *testing.T) {
	p := &plan.Merge{Grouped: true, Limit: -1, Aggregates: []plan.Aggregate{{Func: plan.AggregateCount, Column: 0}, {Func: plan.AggregateSum, Column: 1}}}
	got, err := merged(t, p, []wire.Column{count, exact}, merge.Options{}, texts("0|"+null), texts("0|"+null))
	expect(t, got, err, "0|"+null)
	got, err = merged(t, p, []wire.Column{count, exact}, merge.Options{}, texts("0|"+null), texts("2|-1.50"), texts("1|1.50"))
	expect(t, got, err, "3|0.00")
	p.Group, p.Order = 1, keys(1)
	got, err = merged(t, p, []wire.Column{count, exact}, merge.Options{}, texts(), texts())
	expect(t, got, err)
}

// A server that sorts by the beginning of strings only may give a group twice.
func TestGroupsOutOfOrderAreAnError(t *testing.T) {
	p := &plan.Merge{Grouped: true, Group: 1, Order: keys(0), Limit: -1, Aggregates: []plan.Aggregate{{Func: plan.AggregateCount, Column: 1}}}
	for _, rows := range [][]string{{"2|1", "1|1"}, {"1|1", "1|1"}} {
		if _, err := merged(t, p, []wire.Column{integer, count}, merge.Options{}, texts(rows...)); !errors.Is(err, merge.ErrOrder) {
			t.Errorf("%q: %v", rows, err)
		}
	}
	p = &plan.Merge{Distinct: true, Order: keys(0), Limit: -1}
	got, err := merged(t, p, []wire.Column{integer, count}, merge.Options{}, texts("1|1", "1|2", "2|3"), texts("2|4", "3|5"))
	expect(t, got, err, "1|1", "2|3", "3|5")
	if _, err := merged(t, p, []wire.Column{integer, count}, merge.Options{}, texts("2|1", "1|1")); !errors.Is(err, merge.ErrOrder) {
		t.Error(err)
	}
	p = &plan.Merge{Order: keys(0), Limit: -1}
	got, err = merged(t, p, []wire.Column{integer}, merge.Options{}, texts("2", "1"), texts("3"))
	expect(t, got, err, "2", "1", "3")
}

func TestWhatCannotBeComparedIsRefusedBeforeTheFirstRow(t *testing.T) {
	columns := []wire.Column{words, float, integer, exact}
	for name, p := range map[string]*plan.Merge{
		"string":         {Order: keys(0)},
		"float":          {Order: keys(1)},
		"final":          {Final: keys(0)},
		"sum of string":  {Grouped: true, Aggregates: []plan.Aggregate{{Func: plan.AggregateSum, Column: 0}}},
		"sum of integer": {Grouped: true, Aggregates: []plan.Aggregate{{Func: plan.AggregateSum, Column: 2}}},
		"count":          {Grouped: true, Aggregates: []plan.Aggregate{{Func: plan.AggregateCount, Column: 3}}},
		"min":            {Grouped: true, Aggregates: []plan.Aggregate{{Func: plan.AggregateMin, Column: 0}}},
		"having":         {Having: &plan.Condition{Op: plan.ConditionEqual, Column: 0, Number: "1"}},
		"default":        {Grouped: true, Defaults: []plan.Default{{Column: 0, Of: 2}}},
	} {
		var what *merge.UnsupportedError
		if _, err := merge.New(p, columns, merge.Options{}, nil); !errors.As(err, &what) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, p := range map[string]*plan.Merge{
		"column":    {Order: keys(4)},
		"hidden":    {Hidden: 4},
		"negative":  {Order: keys(-5)},
		"group":     {Grouped: true, Group: 1},
		"aggregate": {Grouped: true, Aggregates: []plan.Aggregate{{Column: 2}}},
		"condition": {Having: &plan.Condition{Op: plan.ConditionNot}},
		"number":    {Having: &plan.Condition{Op: plan.ConditionEqual, Column: 2, Number: "x"}},
	} {
		if _, err := merge.New(p, columns, merge.Options{}, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// A DOUBLE with a fixed number of decimals has more digits than the text protocol
// shows; servers compare it with a number by the shown ones, and a YEAR as a year.
func TestWhatIsShownRoundedIsRefused(t *testing.T) {
	double := wire.Column{Name: "d", Type: wire.TypeDouble, Collation: 63, Decimals: 2}
	year := wire.Column{Name: "y", Type: wire.TypeYear, Collation: 63, Flags: 32}
	free := wire.Column{Name: "f", Type: wire.TypeDouble, Collation: 63, Decimals: 31}
	columns := []wire.Column{double, year, free, count}
	sum := func(f plan.AggregateFunc, at plan.MergeColumn, rough bool) *plan.Merge {
		return &plan.Merge{Grouped: true, Aggregates: []plan.Aggregate{{Func: f, Column: at, Sum: at, Count: 3, Rough: rough, Key: plan.MergeKey{Column: at, Rough: rough}}}}
	}
	above := func(at plan.MergeColumn) *plan.Merge {
		return &plan.Merge{Having: &plan.Condition{Op: plan.ConditionGreater, Column: at, Number: "99"}}
	}
	for name, c := range map[string]struct {
		merge   *plan.Merge
		refused bool
	}{
		"order": {&plan.Merge{Order: []plan.MergeKey{{Column: 0, Rough: true}}}, true}, "order of a column": {&plan.Merge{Order: keys(0)}, false},
		"order of other doubles": {&plan.Merge{Order: []plan.MergeKey{{Column: 2, Rough: true}}}, false},
		"sum":                    {sum(plan.AggregateSum, 0, true), true}, "sum of a column": {sum(plan.AggregateSum, 0, false), false},
		"sum of other doubles": {sum(plan.AggregateSum, 2, true), false}, "avg": {sum(plan.AggregateAvg, 0, true), true},
		"max": {sum(plan.AggregateMax, 0, true), true}, "max of a column": {sum(plan.AggregateMax, 0, false), false},
		"having": {above(0), true}, "having of a year": {above(1), true}, "having of other doubles": {above(2), false},
	} {
		_, err := merge.New(c.merge, columns, merge.Options{}, nil)
		var what *merge.UnsupportedError
		if errors.As(err, &what) != c.refused || err != nil && !c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Servers take such an integer for the DOUBLE or compare it exactly.
func TestHavingComparesLongIntegersWithDoublesOnlyWhenSure(t *testing.T) {
	for number, refused := range map[string]bool{"9223372036854775807e0": true, "9.3e18": false, "-1e19": false} {
		p := &plan.Merge{Having: &plan.Condition{Op: plan.ConditionGreaterEqual, Column: 0, Number: number, Double: true}, Limit: -1}
		_, err := merged(t, p, []wire.Column{count}, merge.Options{}, texts("9223372036854775807"))
		var what *merge.UnsupportedError
		if errors.As(err, &what) != refused || err != nil && !refused {
			t.Errorf("%s: %v", number, err)
		}
	}
}

func TestHavingIsThreeValued(t *testing.T) {
	is := func(op plan.ConditionOp, number string) *plan.Condition {
		return &plan.Condition{Op: op, Number: number}
	}
	both := func(op plan.ConditionOp, parts ...*plan.Condition) *plan.Condition {
		return &plan.Condition{Op: op, Parts: parts}
	}
	unknown := &plan.Condition{Op: plan.ConditionEqual, Null: true}
	rows := []string{null, "-1", "0", "1", "2"}
	for _, c := range []struct {
		having *plan.Condition
		want   []string
	}{
		{is(plan.ConditionEqual, "1.00"), []string{"1"}},
		{is(plan.ConditionNotEqual, "1"), []string{"-1", "0", "2"}},
		{is(plan.ConditionLess, "0.5"), []string{"-1", "0"}},
		{is(plan.ConditionLessEqual, "0"), []string{"-1", "0"}},
		{is(plan.ConditionGreater, "-0.5"), []string{"0", "1", "2"}},
		{is(plan.ConditionGreaterEqual, "1"), []string{"1", "2"}},
		{is(plan.ConditionIsNull, ""), []string{null}},
		{&plan.Condition{Op: plan.ConditionLess, Number: "1e0", Double: true}, []string{"-1", "0"}},
		{unknown, nil},
		{both(plan.ConditionNot, unknown), nil},
		{both(plan.ConditionNot, is(plan.ConditionEqual, "1")), []string{"-1", "0", "2"}},
		{both(plan.ConditionOr, unknown, is(plan.ConditionEqual, "2")), []string{"2"}},
		{both(plan.ConditionAnd, unknown, is(plan.ConditionEqual, "2")), nil},
		{both(plan.ConditionNot, both(plan.ConditionAnd, unknown, is(plan.ConditionEqual, "2"))), []string{"-1", "0", "1"}},
		{both(plan.ConditionNot, both(plan.ConditionOr, is(plan.ConditionLess, "0"), is(plan.ConditionIsNull, ""))), []string{"0", "1", "2"}},
	} {
		got, err := merged(t, &plan.Merge{Having: c.having, Limit: -1}, []wire.Column{integer}, merge.Options{}, texts(rows...))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, %v, want %q", c.having, got, err, c.want)
		}
	}
}

// Servers compare the quotient with more or less digits, each in its own way.
func TestHavingOnAnAverageMustNotDependOnRounding(t *testing.T) {
	p := &plan.Merge{Hidden: 2, Grouped: true, Limit: -1, Aggregates: []plan.Aggregate{{Func: plan.AggregateAvg, Column: 0, Sum: 1, Count: 2}}}
	columns := []wire.Column{average, exact, count}
	for number, want := range map[string]int{"2": 1, "2.3332": 1, "2.3334": 0, "2.3333": -1, "2.33333": -1, "2.333333333": -1} {
		p.Having = &plan.Condition{Op: plan.ConditionGreater, Number: number}
		for _, sources := range [][]merge.Source{{texts("2.5000|5|2"), texts("2.0000|2|1")}, {texts("2.3333|7|3")}} {
			got, err := merged(t, p, columns, merge.Options{}, sources...)
			var what *merge.UnsupportedError
			if unsure := errors.As(err, &what); unsure != (want < 0) || !unsure && (err != nil || len(got) != want) {
				t.Errorf("> %s: %q, %v", number, got, err)
			}
		}
	}
	p.Having = &plan.Condition{Op: plan.ConditionGreater, Number: "2.33333e0", Double: true}
	var what *merge.UnsupportedError
	if _, err := merged(t, p, columns, merge.Options{}, texts("2.3333|7|3")); !errors.As(err, &what) {
		t.Error(err)
	}
	p.Having = &plan.Condition{Op: plan.ConditionGreaterEqual, Number: "2.5"}
	got, err := merged(t, p, columns, merge.Options{}, texts("2.5000|5|2"))
	expect(t, got, err, "2.5000")
}

func TestCollectedRowsAreBounded(t *testing.T) {
	var rows []string
	for i := range 5000 {
		rows = append(rows, fmt.Sprint(i*7919%5000))
	}
	columns := []wire.Column{integer}
	p := &plan.Merge{Final: keys(0), Limit: -1}
	var full *merge.LimitError
	if _, err := merged(t, p, columns, merge.Options{MaxRows: 4999}, texts(rows...)); !errors.As(err, &full) || !full.Rows {
		t.Error(err)
	}
	if _, err := merged(t, p, columns, merge.Options{MaxBytes: 100_000}, texts(rows...)); !errors.As(err, &full) || full.Rows {
		t.Error(err)
	}
	if got, err := merged(t, p, columns, merge.Options{MaxRows: 5000}, texts(rows...)); err != nil || len(got) != 5000 || got[4321] != "4321" {
		t.Errorf("%d, %v", len(got), err)
	}
	// A limit needs room for what it reaches only.
	p.Offset, p.Limit = 3, 2
	got, err := merged(t, p, columns, merge.Options{MaxRows: 5, MaxBytes: 1000}, texts(rows...), texts(rows...))
	expect(t, got, err, "1", "2")
	p.Limit = 10
	if _, err := merged(t, p, columns, merge.Options{MaxRows: 12}, texts(rows...)); !errors.As(err, &full) {
		t.Error(err)
	}
	// Equal rows stay in the order in which they came.
	p = &plan.Merge{Final: keys(0), Limit: 700, Offset: 0}
	rows = nil
	for i := range 3000 {
		rows = append(rows, fmt.Sprintf("%d|%d", i%3, i))
	}
	got, err = merged(t, p, []wire.Column{integer, integer}, merge.Options{}, texts(rows...))
	if err != nil || len(got) != 700 || got[699] != "0|2097" {
		t.Errorf("%d, %v, %s", len(got), err, got[len(got)-1])
	}
}

func TestMinAndMaxKeepTheValueOfTheirKey(t *testing.T) {
	p := &plan.Merge{Hidden: 1, Grouped: true, Limit: -1, Aggregates: []plan.Aggregate{
		{Func: plan.AggregateMax, Column: 0, Key: plan.MergeKey{Column: 1, Pad: []byte(" ")}}}}
	got, err := merged(t, p, []wire.Column{words, weight}, merge.Options{}, texts(null+"|"+null), texts("ä|A"), texts("Ab|AB"), texts("ab|AB "))
	expect(t, got, err, "Ab")
	got, err = merged(t, p, []wire.Column{words, weight}, merge.Options{}, texts(null+"|"+null), texts(null+"|"+null))
	expect(t, got, err, null)
}

func TestErrorsOfSourcesAreReturned(t *testing.T) {
	p := &plan.Merge{Order: keys(0), Limit: -1}
	broken := errors.New("broken")
	for _, good := range []int{0, 1} {
		m, err := merge.New(p, []wire.Column{integer}, merge.Options{}, []merge.Source{texts("5"), &failing{rows: good, err: broken}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := collect(m); !errors.Is(err, broken) {
			t.Errorf("after %d rows: %v", good, err)
		}
		if _, err := m.Next(); !errors.Is(err, broken) {
			t.Error(err)
		}
	}
}

// failing gives some rows, then an error.
type failing struct {
	rows int
	err  error
}

func (f *failing) Next() ([]byte, error) {
	if f.rows == 0 {
		return nil, f.err
	}
	f.rows--
	return text("1"), nil
}
