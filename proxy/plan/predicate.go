package plan

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	"github.com/pingcap/tidb/pkg/parser/test_driver"
)

// value is where a value of the statement comes from.
type value struct {
	kind     valueKind
	negative bool // a minus stands before the literal
	nullSafe bool // compared by <=>: NULL equals NULL
	index    int  // the literal's or parameter's number
}

type valueKind uint8

const (
	valueOther     valueKind = iota // an expression
	valueLiteral                    // literal number index of the text
	valueParam                      // parameter number index
	valueNull                       // NULL
	valueDefault                    // DEFAULT
	valueInsertID                   // LAST_INSERT_ID()
	valueGenerated                  // id number index of those that were generated
)

// predicate is one condition that every row must meet: the key is one of the
// values. NULLs among them match nothing.
type predicate []value

// predicates finds the conditions on the sharding key that stand AND-ed at the
// top of a WHERE clause of the one sharded table.
func (a *analysis) predicates(where ast.ExprNode) []predicate {
	l := leafOf(a.site.sharded, false)
	b := &block{scope: scope{sources: []source{a.sourceOf(l)}}}
	var found []predicate
	for _, c := range conjuncts(where) {
		for _, k := range a.keyConditions(b, c) {
			found = append(found, k.values)
		}
	}
	return found
}

// sourceOf is the source of a statement with one table.
func (a *analysis) sourceOf(l *leaf) source {
	s := source{name: a.facts.refs[0].Name.L, schema: l.table.Schema, table: l.table, leaf: l}
	if alias := a.facts.aliases[0]; alias != "" {
		s.name, s.schema = strings.ToLower(alias), ""
	}
	return s
}

// keyCondition is a condition on the key of a leaf.
type keyCondition struct {
	leaf   *leaf
	values predicate
}

// keyConditions finds what a condition, which may have AND in it, says of the keys
// of a block's own leaves.
func (a *analysis) keyConditions(b *block, e ast.ExprNode) []keyCondition {
	switch n := strip(e).(type) {
	case *ast.BinaryOperationExpr:
		//nolint:exhaustive // all other operators say nothing
		switch n.Op {
		case opcode.LogicAnd:
			return append(a.keyConditions(b, n.L), a.keyConditions(b, n.R)...)
		case opcode.LogicOr:
			return either(a.keyConditions(b, n.L), a.keyConditions(b, n.R))
		case opcode.EQ:
			return a.equality(b, n.L, n.R, false)
		case opcode.NullEQ:
			return a.equality(b, n.L, n.R, true)
		}
	case *ast.PatternInExpr:
		return a.membership(b, n)
	}
	return nil
}

// either is what holds when one of two conditions does: a key has the values of
// the one or of the other.
func either(l, r []keyCondition) []keyCondition {
	var both []keyCondition
	for _, x := range l {
		for _, y := range r {
			if x.leaf == y.leaf {
				both = append(both, keyCondition{x.leaf, slices.Concat(x.values, y.values)})
				break
			}
		}
	}
	return both
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

// equality reads l = r, or l <=> r. Rows compare as their columns do.
func (a *analysis) equality(b *block, l, r ast.ExprNode, nullSafe bool) []keyCondition {
	if x, y := rowOf(l), rowOf(r); x != nil && y != nil && len(x) == len(y) {
		var found []keyCondition
		for i := range x {
			found = append(found, a.equality(b, x[i], y[i], nullSafe)...)
		}
		return found
	}
	of := b.ownKey(l)
	if of == nil {
		of, r = b.ownKey(r), l
	}
	if of == nil {
		return nil
	}
	v := a.value(r)
	v.nullSafe = nullSafe
	if v.kind == valueOther || v.kind == valueDefault {
		return nil
	}
	return []keyCondition{{of, predicate{v}}}
}

func rowOf(e ast.ExprNode) []ast.ExprNode {
	if n, ok := strip(e).(*ast.RowExpr); ok {
		return n.Values
	}
	return nil
}

// membership reads key IN (...), and (..., key, ...) IN ((...), ...).
func (a *analysis) membership(b *block, n *ast.PatternInExpr) []keyCondition {
	if n.Not || n.Sel != nil {
		return nil
	}
	row := rowOf(n.Expr)
	if row == nil {
		row = []ast.ExprNode{n.Expr}
	}
	var found []keyCondition
	for i, e := range row {
		if of := b.ownKey(e); of != nil {
			if p := a.valuesAt(n.List, i, len(row)); p != nil {
				found = append(found, keyCondition{of, p})
			}
		}
	}
	return found
}

// valuesAt are the values at one place of the rows of a list, nil when one of them
// is no value.
func (a *analysis) valuesAt(list []ast.ExprNode, at, width int) predicate {
	var p predicate
	for _, e := range list {
		if width > 1 {
			row := rowOf(e)
			if len(row) != width {
				return nil
			}
			e = row[at]
		}
		v := a.value(e)
		if v.kind == valueOther || v.kind == valueDefault {
			return nil
		}
		p = append(p, v)
	}
	return p
}

// ownKey is the block's own leaf whose key an expression names.
func (b *block) ownKey(e ast.ExprNode) *leaf {
	if l := b.keyIn(e); b.has(l) {
		return l
	}
	return nil
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
	case *ast.FuncCallExpr:
		if n.Schema.L == "" && n.FnName.L == "last_insert_id" && len(n.Args) == 0 {
			a.plan.NeedsInsertID = true
			return value{kind: valueInsertID}
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
