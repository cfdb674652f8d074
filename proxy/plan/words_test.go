package plan

import "testing"

func TestMergeInWords(t *testing.T) {
	for _, c := range []struct {
		merge Merge
		want  string
	}{
		{Merge{Limit: -1}, "one shard after the other"},
		{Merge{Hidden: 1, Order: []MergeKey{{Column: -1, Pad: []byte{1}, Desc: true}, {Column: 0}}, Offset: 2, Limit: 3},
			"merge by column 1 from the end padded descending, column 1; skip 2 rows; at most 3 rows; without the last 1 columns"},
		{Merge{Grouped: true, Limit: -1, Aggregates: []Aggregate{{Func: AggregateCount, Column: 0},
			{Func: AggregateAvg, Column: 1, Sum: -2, Count: -1}, {Func: AggregateMax, Column: 2, Key: MergeKey{Column: 2}}},
			Having: &Condition{Op: ConditionAnd, Parts: []*Condition{{Op: ConditionGreater, Column: 0, Number: "5"},
				{Op: ConditionNot, Parts: []*Condition{{Op: ConditionIsNull, Column: 1}}}}}, Hidden: 2},
			"one row of all; COUNT in column 1; AVG in column 2 of the sum in column 2 from the end and the count in column 1 from the end; " +
				"MAX in column 3 by column 3; only where (column 1 > 5 AND NOT (column 2 IS NULL)); without the last 2 columns"},
		{Merge{Grouped: true, Limit: -1, Aggregates: []Aggregate{{Func: AggregateSum, Column: -1}}, Defaults: []Default{{Column: 0, Of: -1}}, Hidden: 1},
			"one row of all; SUM in column 1 from the end; column 1 is that of column 1 from the end unless it is NULL; without the last 1 columns"},
		{Merge{Order: []MergeKey{{Column: 0}}, Grouped: true, Group: 1, Distinct: true,
			Final: []MergeKey{{Column: 1}}, Limit: -1},
			"merge by column 1; one row for each value of the first 1; equal rows once; collect and sort by column 2"},
	} {
		if got := c.merge.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
