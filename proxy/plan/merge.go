package plan

// Merge says how the rows of several shards become the rows that one server
// would return. The shards' texts have further columns at the end (sort keys,
// weights, counts), which the client does not get. Rows that the client gets
// are the leading columns of some shard's row, with the values of aggregates
// replaced. It is immutable.
//
//	shards' rows -> by Order -> Group, Aggregates, Defaults -> Having -> Distinct -> Final -> Offset, Limit -> client
type Merge struct {
	// Hidden is how many columns at the end of each row are not the client's.
	Hidden int
	// Order is how each shard's rows come, and the merged rows, too. Empty: any
	// order. Servers compare the beginning of long strings only when they sort
	// (max_sort_length), so rows that are equal there come in any order: for the
	// order of the result that is as good as on a server, but with Grouped and
	// Distinct a shard's row that is less than the one before it (with Grouped:
	// not greater) ends the statement with an error.
	Order []MergeKey
	// Group: rows that are equal in the first Group keys of Order are one row of
	// the result. With Grouped and Group 0 all rows are one; each shard has one.
	Group      int
	Grouped    bool
	Aggregates []Aggregate // of Grouped
	Defaults   []Default   // of Grouped
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

// MergeKey is one key of an order. NULL is before everything. Values compare by
// the type that the shards tell of the column: integers and decimals exactly,
// DOUBLE as such, YEAR as a number, DATE, DATETIME and TIMESTAMP by what they
// show, TIME with its sign, binary strings byte by byte. Of strings the column is
// their WEIGHT_STRING, a binary string; where the collation pads, a shorter one
// is continued by Pad. A column of any other type (strings with a character set,
// FLOAT, BIT, ENUM, SET, JSON, GEOMETRY) is refused before a row was sent.
type MergeKey struct {
	Column MergeColumn
	Pad    []byte // the weight of one space where the collation pads, else empty
	Desc   bool
	// Rough: a DOUBLE with a fixed number of decimals has more digits than it shows,
	// and is refused.
	Rough bool
}

// AggregateFunc is a function over the rows of a group.
type AggregateFunc uint8

// The functions.
const (
	AggregateInvalid AggregateFunc = iota
	AggregateCount
	AggregateSum // exact for integers and decimals; of DOUBLE in the shards' order
	AggregateMin
	AggregateMax
	AggregateAvg // Sum and Count are hidden columns
)

// Aggregate is a column whose value is made of those of the shards' rows. NULL
// is no value: all NULL make NULL.
type Aggregate struct {
	Func   AggregateFunc
	Column MergeColumn // the result's, or a hidden one that Defaults, Having or Final read
	Sum    MergeColumn // of AggregateAvg
	Count  MergeColumn // of AggregateAvg
	Rough  bool        // as MergeKey.Rough, of SUM and AVG
	// Key is what compares of AggregateMin and AggregateMax; its Desc is false. When
	// it is another column than Column, that one gets the chosen row's value, too.
	Key MergeKey
}

// Default is a column of the form IFNULL(aggregate, constant): where the merged
// value of Of is not NULL it is the column's, in the column's own type and
// decimals; where it is NULL the column keeps what the shards say.
type Default struct {
	Column MergeColumn // the result's
	Of     MergeColumn // the hidden column of an Aggregate
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
// numbers are compared, exactly (but see Double); a column that turns out to be none is refused
// before a row was sent, and so are a YEAR, which servers compare with 99 as 1999, and a DOUBLE
// with a fixed number of decimals, which they compare by these. An AVG of exact numbers has more digits than it shows,
// and servers differ in which of them count: where that decides, the statement ends
// with an error.
type Condition struct {
	Op     ConditionOp
	Parts  []*Condition
	Column MergeColumn
	Number string // a decimal number's text
	Double bool   // the number is a DOUBLE: the column's is compared as one, too
	Null   bool   // compared with NULL: unknown
}
