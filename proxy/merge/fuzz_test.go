package merge_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"xaproxy/proxy/merge"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// everyKind are columns of every type that merges look into.
func everyKind() []wire.Column {
	types := []wire.FieldType{wire.TypeLong, wire.TypeLongLong, wire.TypeTiny, wire.TypeYear, wire.TypeNewDecimal, wire.TypeDouble, wire.TypeDateTime,
		wire.TypeDate, wire.TypeTime, wire.TypeBlob, wire.TypeNull, wire.TypeVarString, wire.TypeNewDecimal, wire.TypeLongLong, wire.TypeNewDecimal}
	list := make([]wire.Column, len(types))
	for i, t := range types {
		list[i] = wire.Column{Type: t, Collation: 63, Decimals: 4}
		if t == wire.TypeDouble {
			list[i].Decimals = 31
		}
	}
	return list
}

// everyMerge are plans that look into every column.
func everyMerge() []*plan.Merge {
	all := keys(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	all[9].Pad = []byte{1, 2}
	grouped := &plan.Merge{Hidden: 3, Grouped: true, Group: 1, Order: keys(0), Limit: -1, Aggregates: []plan.Aggregate{
		{Func: plan.AggregateCount, Column: 1}, {Func: plan.AggregateSum, Column: 4}, {Func: plan.AggregateSum, Column: 5},
		{Func: plan.AggregateMin, Column: 11, Key: plan.MergeKey{Column: 9}}, {Func: plan.AggregateMax, Column: 8, Key: plan.MergeKey{Column: 8}},
		{Func: plan.AggregateMax, Column: 2, Key: plan.MergeKey{Column: 2}}, {Func: plan.AggregateAvg, Column: 14, Sum: 12, Count: 13}},
		Defaults: []plan.Default{{Column: 0, Of: 1}, {Column: 4, Of: 1}, {Column: 5, Of: 4}}}
	condition := func(c plan.MergeColumn) *plan.Condition {
		return &plan.Condition{Op: plan.ConditionLess, Column: c, Number: "1.5"}
	}
	having := *grouped
	having.Having = &plan.Condition{Op: plan.ConditionOr, Parts: []*plan.Condition{condition(14), condition(5), condition(0), condition(10), condition(2)}}
	having.Final = all
	return []*plan.Merge{
		{Hidden: 2, Order: all, Limit: -1}, {Hidden: 2, Final: all, Limit: 2}, {Distinct: true, Order: all, Limit: -1}, grouped, &having,
	}
}

// sample is a row that fits everyKind.
func sample(binaryRow bool) []byte {
	if !binaryRow {
		return text("-5|7|-1|2020|-12.5000|1.5e-3|2020-01-02 03:04:05.678|2020-01-02|-838:59:59.000001|blob|" + null + "|v|3.50|2|1.7500")
	}
	p := wire.AppendBinaryHead(nil, 15)
	wire.SetBinaryNull(p, 10)
	p = wire.AppendBinaryInt(p, wire.TypeLong, 5)
	p = wire.AppendBinaryInt(p, wire.TypeLongLong, 7)
	p = wire.AppendBinaryInt(p, wire.TypeTiny, 1)
	p = wire.AppendBinaryInt(p, wire.TypeYear, 2020)
	p = wire.AppendBinary(p, wire.TypeNewDecimal, []byte("-12.5000"))
	p = wire.AppendBinary(p, wire.TypeDouble, binary.LittleEndian.AppendUint64(nil, math.Float64bits(1.5)))
	p = wire.AppendBinary(p, wire.TypeDateTime, []byte{0xe4, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0})
	p = wire.AppendBinary(p, wire.TypeDate, []byte{0xe4, 7, 1, 2})
	p = wire.AppendBinary(p, wire.TypeTime, []byte{1, 34, 0, 0, 0, 22, 59, 59, 1, 0, 0, 0})
	p = wire.AppendBinary(p, wire.TypeBlob, []byte("blob"))
	p = wire.AppendBinary(p, wire.TypeVarString, []byte("v"))
	p = wire.AppendBinary(p, wire.TypeNewDecimal, []byte("3.50"))
	p = wire.AppendBinaryInt(p, wire.TypeLongLong, 2)
	return wire.AppendBinary(p, wire.TypeNewDecimal, []byte("1.7500"))
}

// FuzzRows: no rows make a merge panic, and what comes out has the visible columns.
func FuzzRows(f *testing.F) {
	for _, b := range []bool{false, true} {
		f.Add(sample(b), sample(b), b)
		f.Add(sample(b), sample(b)[:20], b)
	}
	f.Add([]byte{}, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false)
	f.Add(bytes.Repeat([]byte{0xfb}, 15), bytes.Repeat([]byte{0}, 15), false)
	f.Add([]byte{0, 0xff, 0xff, 0xff}, []byte{0, 0, 0, 0}, true)
	columns := everyKind()
	f.Fuzz(func(t *testing.T, a, b []byte, binaryRows bool) {
		for _, p := range everyMerge() {
			m, err := merge.New(p, columns, merge.Options{Binary: binaryRows}, []merge.Source{
				&source{rows: [][]byte{a, b}}, &source{rows: [][]byte{b}}, &source{rows: [][]byte{a}}})
			if err != nil {
				t.Fatal(err)
			}
			rows, _ := collect(m)
			for _, r := range rows {
				checkRow(t, r, columns[:m.Visible()], binaryRows)
			}
		}
	})
}

func checkRow(t *testing.T, p []byte, columns []wire.Column, binaryRow bool) {
	t.Helper()
	var err error
	if binaryRow {
		var types []wire.FieldType
		for _, c := range columns {
			types = append(types, c.Type)
		}
		_, err = wire.SplitBinary(nil, p, types)
	} else {
		_, err = wire.SplitText(nil, p, len(columns))
	}
	if err != nil {
		t.Fatalf("%q: %v", p, err)
	}
}

func TestSamplesAreMerged(t *testing.T) {
	for _, binaryRow := range []bool{false, true} {
		for i, p := range everyMerge() {
			m, err := merge.New(p, everyKind(), merge.Options{Binary: binaryRow}, []merge.Source{
				&source{rows: [][]byte{sample(binaryRow)}}, &source{rows: [][]byte{sample(binaryRow)}}})
			if err != nil {
				t.Fatal(err)
			}
			if rows, err := collect(m); err != nil || len(rows) == 0 {
				t.Errorf("plan %d, binary %v: %d rows, %v", i, binaryRow, len(rows), err)
			}
		}
	}
}
