package plan

import (
	"slices"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	"github.com/pingcap/tidb/pkg/parser/test_driver"
)

// rough reports whether the values of an expression, where it is a DOUBLE with a
// fixed number of decimals, may have more digits than are shown. Only FLOAT and
// DOUBLE columns and ROUND() make such ones. In a sum the last digits of doubles do
// not matter.
func (sc *scope) rough(e ast.ExprNode, sum bool) bool {
	d := &doubles{scope: sc}
	e.Accept(d)
	return d.found && !sc.shown(e, sum)
}

// shown reports whether all digits of an expression's values are shown.
func (sc *scope) shown(e ast.ExprNode, sum bool) bool {
	switch n := strip(e).(type) {
	case *ast.ColumnNameExpr:
		col, plain := sc.plainColumn(e)
		return plain && col.column.Type != TypeFloat && !sc.expressions[col.column].rough
	case *test_driver.ValueExpr:
		return true
	case *ast.UnaryOperationExpr:
		return n.Op == opcode.Minus && sc.shown(n.V, sum)
	case *ast.BinaryOperationExpr:
		return sum && (n.Op == opcode.Plus || n.Op == opcode.Minus || n.Op == opcode.Mul) && sc.shown(n.L, sum) && sc.shown(n.R, sum)
	case *ast.FuncCallExpr:
		return sc.shownBy(n, sum)
	}
	return false
}

// shownBy reports whether all digits of what a function returns are shown.
func (sc *scope) shownBy(n *ast.FuncCallExpr, sum bool) bool {
	of := n.Args
	switch n.FnName.L {
	case "round", "truncate":
		return true
	case "if":
		of = of[1:]
	case "ifnull", "coalesce":
	default:
		return false
	}
	return !slices.ContainsFunc(of, func(e ast.ExprNode) bool { return !sc.shown(e, sum) })
}

// doubles looks for what may be a DOUBLE with a fixed number of decimals.
type doubles struct {
	*scope
	found bool
}

// Enter implements ast.Visitor.
func (d *doubles) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.ColumnNameExpr:
		col, plain := d.plainColumn(n)
		d.found = d.found || !plain || col.column.Type == TypeFloat || col.column.Type == TypeDouble || d.expressions[col.column].rough
	case *ast.FuncCallExpr:
		d.found = d.found || n.FnName.L == "round" || n.FnName.L == "truncate"
	}
	return n, d.found
}

// Leave implements ast.Visitor.
func (*doubles) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// hasQuotient reports whether the values of an expression may be exact quotients.
// Servers show fewer digits of them than they have, and differ in which they add.
func (sc *scope) hasQuotient(e ast.ExprNode) bool {
	q := &quotients{scope: sc}
	e.Accept(q)
	return q.found
}

type quotients struct {
	*scope
	found bool
}

// Enter implements ast.Visitor.
func (q *quotients) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.ColumnNameExpr:
		col, plain := q.plainColumn(n)
		q.found = q.found || plain && q.expressions[col.column].quotient
	case *ast.BinaryOperationExpr:
		//nolint:exhaustive // the others make a number of others
		switch n.Op {
		case opcode.Div:
			q.found = true
		case opcode.EQ, opcode.NE, opcode.LT, opcode.LE, opcode.GT, opcode.GE, opcode.NullEQ, opcode.LogicAnd, opcode.LogicOr, opcode.LogicXor, opcode.IntDiv:
			return n, true
		}
	case *ast.BetweenExpr, *ast.PatternInExpr, *ast.IsNullExpr, *ast.FuncCastExpr:
		return n, true
	case *ast.FuncCallExpr:
		switch n.FnName.L {
		case "round", "truncate", "floor", "ceil", "ceiling", "sign":
			return n, true
		}
	}
	return n, q.found
}

// Leave implements ast.Visitor.
func (*quotients) Leave(n ast.Node) (ast.Node, bool) { return n, true }
