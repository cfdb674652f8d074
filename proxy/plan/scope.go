package plan

import (
	"github.com/pingcap/tidb/pkg/parser/ast"
)

// source is a table of a FROM clause under the name that it has there.
type source struct {
	name     string // in lower case
	schema   string // as the table's, "" when it has an alias
	table    *Table // nil: a derived table, whose columns are not known
	nullable bool   // an outer join may fill it up with NULL
	leaf     *leaf  // where its rows are; nil when every shard has them
}

// scope is what the names of columns in a SELECT may mean.
type scope struct {
	sources []source
	// using are the columns that USING has made one, and the source that they are
	// of, or unknownSource.
	using   map[string]int
	natural bool // there is a NATURAL JOIN
	// expressions are the columns of derived tables that are no table's.
	expressions map[*Column]expression
	// connection is a text of the connection's collation.
	connection text
	mixed      bool // the shards may be of both families
	// collate are the tokens of the names behind COLLATE.
	collate map[*ast.SetCollationExpr]int
}

const unknownSource = -1

// found says what became of a name.
type found uint8

const (
	foundNothing found = iota
	foundOne
	foundSeveral // or what cannot be known
)

// sourceColumn is a column of a source.
type sourceColumn struct {
	source int
	column *Column
}

// column finds the column that a name means.
func (sc *scope) column(n *ast.ColumnName) (sourceColumn, found) {
	if of, ok := sc.using[n.Name.L]; ok && n.Table.L == "" {
		if of == unknownSource {
			return sourceColumn{}, foundSeveral
		}
		return sourceColumn{of, sc.sources[of].table.column(n.Name.L)}, foundOne
	}
	var c sourceColumn
	f := foundNothing
	for i, s := range sc.sources {
		if n.Table.L != "" && (n.Table.L != s.name || n.Schema.L != "" && n.Schema.O != s.schema) {
			continue
		}
		if s.table == nil {
			if f == foundNothing { // one that another table has, too, is an error of the server's
				f = foundSeveral
			}
			continue
		}
		if have := s.table.column(n.Name.L); have != nil {
			if c.column != nil {
				return sourceColumn{}, foundSeveral
			}
			c, f = sourceColumn{i, have}, foundOne
		}
	}
	return c, f
}

// plainColumn is the column that an expression just names.
func (sc *scope) plainColumn(e ast.ExprNode) (sourceColumn, bool) {
	c, ok := strip(e).(*ast.ColumnNameExpr)
	if !ok {
		return sourceColumn{}, false
	}
	col, f := sc.column(c.Name)
	return col, f == foundOne
}
