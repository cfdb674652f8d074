package plan

// Merge says how the rows of several shards become the rows that one server
// would return. The shards' texts have further columns at the end (sort keys,
// weights, counts), which the client does not get. Rows that the client gets
// are the leading columns of some shard's row, with the values of aggregates
// replaced. It is immutable.
//
//	shards' rows -> by Order -> Group, Aggregates -> Having -> Distinct -> Final -> Offset, Limit -> client
type Merge struct {
	// Hidden is how many columns at the end of each row are not the client's.
	Hidden int
	// Order is how each shard's rows come, and the merged rows, too. Empty: any order.
	Order []MergeKey
	// Group: rows that are equal in the first Group keys of Order are one row of
	// the result. With Grouped and Group 0 all rows are one, also when there is none.
	Group      int
	Grouped    bool
	Aggregates []Aggregate // of Grouped
	Having     *Condition  // of the merged row; nil: all
	// Distinct: of rows that are equal in all keys of Order one remains.
	Distinct bool
	// Final is the result's order where it is not Order: the rows are collected
	// and sorted, within the limits for buffers.
	Final []MergeKey
	// Offset and Limit are of the merged rows. A negative Limit is none.
	Offset, Limit int64
}

// MergeColumn is the place of a column in a shard's row: from the left, or, when
// it is negative, from the end (-1 is the last). The number of columns in
// between is known to the servers only where the text has a *.
type MergeColumn int

// MergeKind says how the values of a column compare.
type MergeKind uint8

// The kinds. NULL is before everything.
const (
	MergeInvalid MergeKind = iota
	MergeNumber            // integers and decimals, exactly
	MergeFloat             // FLOAT, DOUBLE
	MergeBytes             // byte by byte: binary strings, DATE, DATETIME, TIMESTAMP, YEAR
	MergeTime              // TIME, which may be negative
	MergeWeight            // the column is WEIGHT_STRING of a string; Pad says how short ones compare
)

// MergeKey is one key of an order.
type MergeKey struct {
	Column MergeColumn // that is compared; of MergeWeight the hidden one
	Kind   MergeKind
	Pad    []byte // the weight of one space where the collation pads, else empty
	Desc   bool
}

// AggregateFunc is a function over the rows of a group.
type AggregateFunc uint8

// The functions.
const (
	AggregateInvalid AggregateFunc = iota
	AggregateCount
	AggregateSum // exact for integers and decimals
	AggregateMin
	AggregateMax
	AggregateAvg // Sum and Count are hidden columns
)

// Aggregate is a column whose value is made of those of the shards' rows.
type Aggregate struct {
	Func   AggregateFunc
	Column MergeColumn // the result's, or a hidden one that Having or Final read
	Sum    MergeColumn // of AggregateAvg
	Count  MergeColumn // of AggregateAvg
	Key    MergeKey    // of AggregateMin and AggregateMax: what compares
}

// ConditionOp is a node of a Condition.
type ConditionOp uint8

// The nodes. Comparisons have Column and Number.
const (
	ConditionInvalid ConditionOp = iota
	ConditionAnd                 // Parts
	ConditionOr                  // Parts
	ConditionNot                 // Parts[0]
	ConditionEqual
	ConditionNotEqual
	ConditionLess
	ConditionLessEqual
	ConditionGreater
	ConditionGreaterEqual
	ConditionIsNull // Column
)

// Condition is what HAVING asks of a merged row, in three-valued logic. Only
// numbers are compared, exactly; a column that turns out to be none is refused
// before a row was sent.
type Condition struct {
	Op     ConditionOp
	Parts  []*Condition
	Column MergeColumn
	Number string // a decimal number's text
	Null   bool   // compared with NULL: unknown
}
