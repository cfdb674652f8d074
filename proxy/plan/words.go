package plan

import (
	"fmt"
	"strings"
)

// String says in words how the rows are combined, in the order of the steps.
func (m *Merge) String() string {
	var steps []string
	step := func(is bool, format string, args ...any) {
		if is {
			steps = append(steps, fmt.Sprintf(format, args...))
		}
	}
	step(len(m.Order) > 0, "merge by %s", keyWords(m.Order))
	step(len(m.Order) == 0 && !m.Grouped, "one shard after the other")
	step(m.Grouped && m.Group > 0, "one row for each value of the first %d", m.Group)
	step(m.Grouped && m.Group == 0, "one row of all")
	for _, a := range m.Aggregates {
		step(true, "%s", a)
	}
	for _, d := range m.Defaults {
		step(true, "%s", d)
	}
	step(m.Having != nil, "only where %s", m.Having)
	step(m.Distinct, "equal rows once")
	step(len(m.Final) > 0, "collect and sort by %s", keyWords(m.Final))
	step(m.Offset > 0, "skip %d rows", m.Offset)
	step(m.Limit >= 0, "at most %d rows", m.Limit)
	step(m.Hidden > 0, "without the last %d columns", m.Hidden)
	return strings.Join(steps, "; ")
}

func (c MergeColumn) String() string {
	if c < 0 {
		return fmt.Sprintf("column %d from the end", -c)
	}
	return fmt.Sprintf("column %d", c+1)
}

func keyWords(keys []MergeKey) string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.String()
	}
	return strings.Join(list, ", ")
}

func (k MergeKey) String() string {
	text := k.Column.String()
	if len(k.Pad) > 0 {
		text += " padded"
	}
	if k.Desc {
		text += " descending"
	}
	return text
}

func (a Aggregate) String() string {
	switch a.Func {
	case AggregateCount:
		return fmt.Sprintf("COUNT in %s", a.Column)
	case AggregateSum:
		return fmt.Sprintf("SUM in %s", a.Column)
	case AggregateMin:
		return fmt.Sprintf("MIN in %s by %s", a.Column, a.Key)
	case AggregateMax:
		return fmt.Sprintf("MAX in %s by %s", a.Column, a.Key)
	case AggregateAvg:
		return fmt.Sprintf("AVG in %s of the sum in %s and the count in %s", a.Column, a.Sum, a.Count)
	case AggregateInvalid:
	}
	return "invalid"
}

func (d Default) String() string {
	return fmt.Sprintf("%s is that of %s unless it is NULL", d.Column, d.Of)
}

func (c *Condition) String() string {
	switch c.Op {
	case ConditionAnd:
		return c.joined(" AND ")
	case ConditionOr:
		return c.joined(" OR ")
	case ConditionNot:
		return "NOT " + c.joined("")
	case ConditionEqual:
		return c.compared("=")
	case ConditionNotEqual:
		return c.compared("<>")
	case ConditionLess:
		return c.compared("<")
	case ConditionLessEqual:
		return c.compared("<=")
	case ConditionGreater:
		return c.compared(">")
	case ConditionGreaterEqual:
		return c.compared(">=")
	case ConditionIsNull:
		return c.Column.String() + " IS NULL"
	case ConditionInvalid:
	}
	return "invalid"
}

func (c *Condition) joined(by string) string {
	list := make([]string, len(c.Parts))
	for i, p := range c.Parts {
		list[i] = p.String()
	}
	return "(" + strings.Join(list, by) + ")"
}

func (c *Condition) compared(op string) string {
	value := c.Number
	if c.Null {
		value = "NULL"
	}
	return c.Column.String() + " " + op + " " + value
}
