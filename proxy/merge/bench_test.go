package merge_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"xaproxy/proxy/merge"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// endless gives the same rows for ever, in order.
type endless struct {
	rows [][]byte
	at   int
	left int
}

func (e *endless) Next() ([]byte, error) {
	if e.left == 0 {
		return nil, io.EOF
	}
	e.left--
	p := e.rows[e.at]
	e.at = (e.at + 1) % len(e.rows)
	return p, nil
}

// table are rows of eight columns of everyday kinds, the first one the key.
func table(n int) ([]wire.Column, [][]byte) {
	columns := []wire.Column{integer, words, words, count, exact, {Type: wire.TypeDateTime, Collation: 63}, words, weight}
	rows := make([][]byte, n)
	for i := range rows {
		rows[i] = text(fmt.Sprintf("%09d|a name of some length|someone@example.org|%d|%d.50|2026-01-02 03:04:05|active|%s", i, i, i, "\x1c\x47\x1c\x60"))
	}
	return columns, rows
}

// cases are merges in the steady state.
func cases() map[string]*plan.Merge {
	return map[string]*plan.Merge{
		"concat":  {Limit: -1},
		"hidden":  {Hidden: 1, Limit: -1},
		"order":   {Hidden: 1, Order: keys(0), Limit: -1},
		"weights": {Hidden: 1, Order: []plan.MergeKey{{Column: -1, Pad: []byte{2, 9}}, {Column: 3, Desc: true}}, Limit: -1},
		"group": {Hidden: 1, Order: keys(0), Grouped: true, Group: 1, Limit: -1, Aggregates: []plan.Aggregate{
			{Func: plan.AggregateCount, Column: 3}, {Func: plan.AggregateSum, Column: 4}, {Func: plan.AggregateMax, Column: 5, Key: plan.MergeKey{Column: 5}}}},
	}
}

func sources(rows [][]byte, n, each int) []merge.Source {
	list := make([]merge.Source, n)
	for i := range list {
		list[i] = &endless{rows: rows, left: each}
	}
	return list
}

func BenchmarkMerge(b *testing.B) {
	const rowsOfSource = 1 << 16
	columns, rows := table(rowsOfSource)
	for name, p := range cases() {
		for _, n := range []int{2, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(rows[0])))
				total := 0
				for total < b.N {
					each := min(rowsOfSource, max(1, (b.N-total)/n))
					m, err := merge.New(p, columns, merge.Options{}, sources(rows, n, each))
					if err != nil {
						b.Fatal(err)
					}
					for err == nil {
						_, err = m.Next()
					}
					if !errors.Is(err, io.EOF) {
						b.Fatal(err)
					}
					total += n * each
				}
				b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

func TestRowsAreMergedWithoutAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const each = 20000
	columns, rows := table(each)
	for name, p := range cases() {
		m, err := merge.New(p, columns, merge.Options{}, sources(rows, 3, each))
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := m.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(5000, func() {
			if _, err := m.Next(); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations per row", name, n)
		}
	}
}
