package plan

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	"github.com/pingcap/tidb/pkg/parser/test_driver"
)

// value is where a value of the statement comes from.
type value struct {
	kind     valueKind
	negative bool // a minus stands before the literal
	index    int  // the literal's or parameter's number
}

type valueKind uint8

const (
	valueOther   valueKind = iota // an expression
	valueLiteral                  // literal number index of the text
	valueParam                    // parameter number index
	valueNull                     // NULL
	valueDefault                  // DEFAULT
)

// predicate is one condition that every row must meet: the key is one of the
// values. NULLs among them match nothing.
type predicate []value

// predicates finds the conditions on the sharding key that stand AND-ed at the
// top of a WHERE clause.
func (a *analysis) predicates(where ast.ExprNode) []predicate {
	if where == nil {
		return nil
	}
	switch n := strip(where).(type) {
	case *ast.BinaryOperationExpr:
		//nolint:exhaustive // all other operators say nothing
		switch n.Op {
		case opcode.LogicAnd:
			return append(a.predicates(n.L), a.predicates(n.R)...)
		case opcode.EQ:
			return a.equality(n.L, n.R)
		}
	case *ast.PatternInExpr:
		return a.membership(n)
	}
	return nil
}

// strip removes parentheses.
func strip(e ast.ExprNode) ast.ExprNode {
	for {
		p, ok := e.(*ast.ParenthesesExpr)
		if !ok {
			return e
		}
		e = p.Expr
	}
}

func isNull(e ast.ExprNode) bool {
	v, ok := strip(e).(*test_driver.ValueExpr)
	return ok && v.Kind() == test_driver.KindNull
}

func (a *analysis) equality(l, r ast.ExprNode) []predicate {
	if !a.isKey(l) {
		l, r = r, l
	}
	if !a.isKey(l) {
		return nil
	}
	if v := a.value(r); v.kind != valueOther && v.kind != valueDefault {
		return []predicate{{v}}
	}
	return nil
}

func (a *analysis) membership(n *ast.PatternInExpr) []predicate {
	if n.Not || n.Sel != nil || !a.isKey(n.Expr) {
		return nil
	}
	var p predicate
	for _, e := range n.List {
		v := a.value(e)
		if v.kind == valueOther || v.kind == valueDefault {
			return nil
		}
		p = append(p, v)
	}
	return []predicate{p}
}

// isKey reports whether an expression is just the sharding key's column. There
// is one table only, so a qualifier cannot name another one.
func (a *analysis) isKey(e ast.ExprNode) bool {
	c, ok := strip(e).(*ast.ColumnNameExpr)
	return ok && c.Name != nil && c.Name.Name.L == a.site.sharded.Rule.Column()
}

// value reads a literal with or without a sign, a parameter, NULL or DEFAULT.
func (a *analysis) value(e ast.ExprNode) value {
	switch n := strip(e).(type) {
	case *test_driver.ParamMarkerExpr:
		return value{kind: valueParam, index: n.Order}
	case *test_driver.ValueExpr:
		return a.literal(n)
	case *ast.DefaultExpr:
		if n.Name == nil {
			return value{kind: valueDefault}
		}
	case *ast.UnaryOperationExpr:
		v := a.signed(n)
		return v
	}
	return value{}
}

func (a *analysis) signed(n *ast.UnaryOperationExpr) value {
	if n.Op != opcode.Minus && n.Op != opcode.Plus {
		return value{}
	}
	lit, ok := strip(n.V).(*test_driver.ValueExpr)
	if !ok {
		return value{}
	}
	switch lit.Kind() {
	case test_driver.KindInt64, test_driver.KindUint64, test_driver.KindMysqlDecimal, test_driver.KindFloat64:
	default:
		return value{}
	}
	v := a.literal(lit)
	v.negative = n.Op == opcode.Minus
	return v
}

// literal tells by its mark which literal of the text stands here. TRUE, and
// literals that have no mark, are no values.
func (a *analysis) literal(n *test_driver.ValueExpr) value {
	mark := -1
	switch n.Kind() {
	case test_driver.KindNull:
		return value{kind: valueNull}
	case test_driver.KindInt64:
		mark = int(n.GetInt64() - markBase)
	case test_driver.KindUint64:
		mark = int(int64(n.GetUint64()) - markBase)
	case test_driver.KindFloat64:
		mark = int(n.GetFloat64()) - markBase
	case test_driver.KindMysqlDecimal:
		digits, ok := strings.CutSuffix(n.GetMysqlDecimal().String(), ".5")
		mark = markNumber(digits, ok) - markBase
	case test_driver.KindString:
		digits, ok := strings.CutPrefix(n.GetString(), markString)
		mark = markNumber(digits, ok)
	case test_driver.KindBinaryLiteral:
		mark = hexMark(n.GetBinaryLiteral())
	}
	if mark < 0 || mark >= a.marks {
		return value{}
	}
	return value{kind: valueLiteral, index: mark}
}

// markNumber reads a mark's digits; what is none becomes a number that no
// literal has.
func markNumber(digits string, ok bool) int {
	const none = -1 << 40
	if !ok || digits == "" || len(digits) > 12 {
		return none
	}
	n := 0
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return none
		}
		n = n*10 + int(digits[i]-'0')
	}
	return n
}

// hexMark reads the mark of a hexadecimal literal: 07, then decimal digits.
func hexMark(b []byte) int {
	if len(b) != 7 || b[0] != 0x07 {
		return -1
	}
	n := 0
	for _, c := range b[1:] {
		if c>>4 > 9 || c&15 > 9 {
			return -1
		}
		n = n*100 + int(c>>4)*10 + int(c&15)
	}
	return n
}
