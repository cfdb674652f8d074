package plan

import "testing"

func TestMergeInWords(t *testing.T) {
	for _, c := range []struct {
		merge Merge
		want  string
	}{
		{Merge{Limit: -1}, "one shard after the other"},
		{Merge{Hidden: 1, Order: []MergeKey{{Column: -1, Kind: MergeWeight, Desc: true}, {Column: 0, Kind: MergeNumber}}, Offset: 2, Limit: 3},
			"merge by column 1 from the end as weight descending, column 1 as number; skip 2 rows; at most 3 rows; without the last 1 columns"},
		{Merge{Grouped: true, Limit: -1, Aggregates: []Aggregate{{Func: AggregateCount, Column: 0},
			{Func: AggregateAvg, Column: 1, Sum: -2, Count: -1}, {Func: AggregateMax, Column: 2, Key: MergeKey{Column: 2, Kind: MergeBytes}}},
			Having: &Condition{Op: ConditionAnd, Parts: []*Condition{{Op: ConditionGreater, Column: 0, Number: "5"},
				{Op: ConditionNot, Parts: []*Condition{{Op: ConditionIsNull, Column: 1}}}}}, Hidden: 2},
			"one row of all; COUNT in column 1; AVG in column 2 of the sum in column 2 from the end and the count in column 1 from the end; " +
				"MAX in column 3 by column 3 as bytes; only where (column 1 > 5 AND NOT (column 2 IS NULL)); without the last 2 columns"},
		{Merge{Order: []MergeKey{{Column: 0, Kind: MergeBytes}}, Grouped: true, Group: 1, Distinct: true,
			Final: []MergeKey{{Column: 1, Kind: MergeFloat}}, Limit: -1},
			"merge by column 1 as bytes; one row for each value of the first 1; equal rows once; collect and sort by column 2 as floating-point number"},
	} {
		if got := c.merge.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
