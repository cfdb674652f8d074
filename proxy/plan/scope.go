package plan

import (
	"github.com/pingcap/tidb/pkg/parser/ast"
)

// source is a table of a FROM clause under the name that it has there.
type source struct {
	name   string // in lower case
	schema string // as the table's, "" when it has an alias
	table  *Table
}

// scope is what the names of columns in a SELECT may mean.
type scope struct{ sources []source }

// found says what became of a name.
type found uint8

const (
	foundNothing found = iota
	foundOne
	foundSeveral
)

// sourceColumn is a column of a source.
type sourceColumn struct {
	source int
	column *Column
}

// column finds the column that a name means.
func (sc *scope) column(n *ast.ColumnName) (sourceColumn, found) {
	var c sourceColumn
	f := foundNothing
	for i, s := range sc.sources {
		if n.Table.L != "" && (n.Table.L != s.name || n.Schema.L != "" && !equalName(n.Schema.O, s.schema)) {
			continue
		}
		if have := s.table.column(n.Name.L); have != nil {
			if f == foundOne {
				return sourceColumn{}, foundSeveral
			}
			c, f = sourceColumn{i, have}, foundOne
		}
	}
	return c, f
}

func equalName(a, b string) bool { return a == b }

// plainColumn is the column that an expression just names.
func (sc *scope) plainColumn(e ast.ExprNode) (sourceColumn, bool) {
	c, ok := strip(e).(*ast.ColumnNameExpr)
	if !ok {
		return sourceColumn{}, false
	}
	col, f := sc.column(c.Name)
	return col, f == foundOne
}
