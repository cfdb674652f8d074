package plan

import (
	"strconv"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
)

// havingNode is a Condition whose numbers are not known yet.
type havingNode struct {
	op     ConditionOp
	parts  []*havingNode
	column MergeColumn
	value  value
}

// each calls f for every node.
func (h *havingNode) each(f func(*havingNode)) {
	if h == nil {
		return
	}
	f(h)
	for _, p := range h.parts {
		p.each(f)
	}
}

// condition is the Condition for a statement's literals and parameters.
func (h *havingNode) condition(b *binding) (*Condition, error) {
	if h == nil {
		return nil, nil //nolint:nilnil // no HAVING is no condition
	}
	c := &Condition{Op: h.op, Column: h.column}
	for _, p := range h.parts {
		part, err := p.condition(b)
		if err != nil {
			return nil, err
		}
		c.Parts = append(c.Parts, part)
	}
	if h.op < ConditionEqual || h.op > ConditionGreaterEqual {
		return c, nil
	}
	if !b.number(c, h.value) {
		return nil, unsupported("HAVING with this value over several shards", "compare with a number")
	}
	return c, nil
}

// number puts a value into a comparison, and reports whether it is a number or NULL.
func (b *binding) number(c *Condition, v value) bool {
	switch v.kind {
	case valueNull:
		c.Null = true
		return true
	case valueLiteral:
		t, known := b.literal(v.index)
		if !known || t.kind != tokInt && t.kind != tokDecimal && t.kind != tokFloat {
			return false
		}
		c.Number, c.Double = b.text(t), t.kind == tokFloat
		if v.negative {
			c.Number = "-" + c.Number
		}
		return true
	case valueParam:
		return v.index < len(b.params) && b.params[v.index].compared(c)
	case valueOther, valueDefault, valueInsertID, valueGenerated:
	}
	return false
}

// compared puts a parameter into a comparison, and reports whether it is a number
// or NULL.
func (v Value) compared(c *Condition) bool {
	switch v.Kind {
	case ValueNull:
		c.Null = true
	case ValueInt:
		c.Number = strconv.FormatInt(v.Int, 10)
	case ValueUint:
		c.Number = strconv.FormatUint(v.Uint, 10)
	case ValueFloat:
		c.Number, c.Double = strconv.FormatFloat(v.Float, 'g', -1, 64), true
	case ValueDecimal:
		c.Number = string(v.Bytes)
	case ValueOther, ValueText, ValueBinary, ValueTemporal:
		return false
	}
	return true
}

// having plans HAVING: conditions on group keys alone are the shards' own, the
// others are asked of the merged rows.
func (gr *groups) having() *Refusal {
	if gr.sel.Having == nil {
		return nil
	}
	c := &compiler{groups: gr}
	if r := c.findAggregates(); r != nil {
		return r
	}
	all := conjuncts(gr.sel.Having.Expr)
	at, apart := gr.text.conjuncts(tokens{gr.at.having.from + 1, gr.at.having.to})
	apart = apart && len(at) == len(all)
	if !apart {
		all, at = []ast.ExprNode{gr.sel.Having.Expr}, nil
	}
	asked := &havingNode{op: ConditionAnd}
	var kept []piece
	for i, e := range all {
		if !c.ofKeys(e) {
			h, r := c.compile(e)
			if r != nil {
				return r
			}
			asked.parts = append(asked.parts, h)
			continue
		}
		p := piece{before: " AND "}
		if len(kept) == 0 {
			p.before = "HAVING "
		}
		if apart {
			p.at = at[i]
		}
		kept = append(kept, p)
	}
	if len(asked.parts) == 0 {
		return nil
	}
	if gr.out.having = asked; len(asked.parts) == 1 {
		gr.out.having = asked.parts[0]
	}
	gr.out.limit.pushed = false
	gr.out.edits = append(gr.out.edits, edit{at: gr.at.having, pieces: kept})
	return nil
}

// conjuncts takes a condition apart at the AND between its parts. It reports false
// where OR or XOR stand between them.
func (l *lexed) conjuncts(r tokens) ([]tokens, bool) {
	r = l.bare(r)
	var parts []tokens
	depth, from, between := 0, r.from, false
	for i := r.from; i < r.to; i++ {
		switch {
		case l.op(i, '('), l.is(i, "CASE"):
			depth++
		case l.op(i, ')'), l.is(i, "END"):
			depth--
		case depth > 0:
		case l.is(i, "OR"), l.is(i, "XOR"), l.op(i, '|'), l.op(i, '&'):
			return nil, false
		case l.is(i, "BETWEEN"):
			between = true
		case l.is(i, "AND") && between:
			between = false
		case l.is(i, "AND"):
			parts = append(parts, tokens{from, i})
			from = i + 1
		}
	}
	return append(parts, tokens{from, r.to}), true
}

// compiler turns HAVING's expression into a condition.
type compiler struct {
	*groups
	found []*ast.AggregateFuncExpr // in the text's order
	at    []tokens
}

// findAggregates finds HAVING's aggregates in the text.
func (c *compiler) findAggregates() *Refusal {
	m := mentioned(c.sel.Having.Expr)
	if m.subquery {
		return c.severally("a subquery in HAVING")
	}
	c.found = m.aggregates
	for i := c.gatherer.at.having.from; i < c.gatherer.at.having.to && len(c.at) < len(c.found); i++ {
		if !strings.EqualFold(c.text.text(c.text.toks[i]), c.found[len(c.at)].F) {
			continue
		}
		if end, ok := c.text.closing(i + 1); ok {
			c.at = append(c.at, tokens{i, end + 1})
			i = end
		}
	}
	if len(c.at) != len(c.found) {
		return c.severally("this spelling of HAVING")
	}
	return nil
}

// ofKeys reports whether a condition speaks of group keys only, by names that mean
// the same to the shards.
func (c *compiler) ofKeys(e ast.ExprNode) bool {
	m := mentioned(e)
	if len(m.aggregates) > 0 || c.sel.GroupBy == nil || len(m.columns) == 0 {
		return false
	}
	for _, name := range m.columns {
		t, r := c.operandName(name)
		if r != nil {
			return false
		}
		if _, ok := c.keyFor(t); !ok {
			return false
		}
	}
	return true
}

// operandName finds what a name in HAVING stands for: an item of the select list
// or a column that is grouped by.
func (c *compiler) operandName(name *ast.ColumnName) (target, *Refusal) {
	t, r := c.named(name)
	if r != nil {
		return target{}, r
	}
	col, f := c.scope.column(name)
	if f == foundOne && c.groupsBy(col) {
		if other, ok := c.scope.plainColumn(orSelf(t.expr, name)); !ok || other != col {
			return target{}, c.severally("the name " + name.Name.O + " of several columns")
		}
		return c.columnTarget(col), nil
	}
	if t.expr == nil {
		return target{}, c.severally("HAVING on " + name.Name.O + ", which is neither grouped by nor in the select list,")
	}
	return t, nil
}

func orSelf(e ast.ExprNode, name *ast.ColumnName) ast.ExprNode {
	if e != nil {
		return e
	}
	return &ast.ColumnNameExpr{Name: name}
}

// columnTarget is the target of the key that is a column.
func (c *compiler) columnTarget(col sourceColumn) target {
	for _, k := range c.keys {
		if other, ok := c.scope.plainColumn(k.expr); ok && other == col {
			return k.target
		}
	}
	return target{}
}

// compile turns an expression into a condition, or refuses.
func (c *compiler) compile(e ast.ExprNode) (*havingNode, *Refusal) {
	switch n := strip(e).(type) {
	case *ast.BinaryOperationExpr:
		return c.binary(n)
	case *ast.UnaryOperationExpr:
		if n.Op == opcode.Not || n.Op == opcode.Not2 {
			return c.parts(ConditionNot, n.V)
		}
	case *ast.IsNullExpr:
		column, r := c.operand(n.Expr)
		return negated(&havingNode{op: ConditionIsNull, column: column}, n.Not), r
	case *ast.BetweenExpr:
		return c.between(n)
	case *ast.PatternInExpr:
		return c.in(n)
	}
	return nil, c.severally("this condition of HAVING")
}

func negated(h *havingNode, not bool) *havingNode {
	if !not {
		return h
	}
	return &havingNode{op: ConditionNot, parts: []*havingNode{h}}
}

func (c *compiler) parts(op ConditionOp, of ...ast.ExprNode) (*havingNode, *Refusal) {
	h := &havingNode{op: op}
	for _, e := range of {
		p, r := c.compile(e)
		if r != nil {
			return nil, r
		}
		h.parts = append(h.parts, p)
	}
	return h, nil
}

func (c *compiler) binary(n *ast.BinaryOperationExpr) (*havingNode, *Refusal) {
	//nolint:exhaustive // an allow-list over the parser's enum
	switch n.Op {
	case opcode.LogicAnd:
		return c.parts(ConditionAnd, n.L, n.R)
	case opcode.LogicOr:
		return c.parts(ConditionOr, n.L, n.R)
	case opcode.EQ:
		return c.compare(ConditionEqual, ConditionEqual, n.L, n.R)
	case opcode.NE:
		return c.compare(ConditionNotEqual, ConditionNotEqual, n.L, n.R)
	case opcode.LT:
		return c.compare(ConditionLess, ConditionGreater, n.L, n.R)
	case opcode.LE:
		return c.compare(ConditionLessEqual, ConditionGreaterEqual, n.L, n.R)
	case opcode.GT:
		return c.compare(ConditionGreater, ConditionLess, n.L, n.R)
	case opcode.GE:
		return c.compare(ConditionGreaterEqual, ConditionLessEqual, n.L, n.R)
	}
	return nil, c.severally("this condition of HAVING")
}

// compare plans l op r; turned is the operator for r op l.
func (c *compiler) compare(op, turned ConditionOp, l, r ast.ExprNode) (*havingNode, *Refusal) {
	v := c.value(r)
	if v.kind == valueOther || v.kind == valueDefault {
		v, l, op = c.value(l), r, turned
	}
	if v.kind == valueOther || v.kind == valueDefault {
		return nil, c.severally("HAVING without a number to compare with")
	}
	column, refusal := c.operand(l)
	return &havingNode{op: op, column: column, value: v}, refusal
}

func (c *compiler) between(n *ast.BetweenExpr) (*havingNode, *Refusal) {
	low, r := c.compare(ConditionGreaterEqual, ConditionLessEqual, n.Expr, n.Left)
	if r != nil {
		return nil, r
	}
	high, r := c.compare(ConditionLessEqual, ConditionGreaterEqual, n.Expr, n.Right)
	return negated(&havingNode{op: ConditionAnd, parts: []*havingNode{low, high}}, n.Not), r
}

func (c *compiler) in(n *ast.PatternInExpr) (*havingNode, *Refusal) {
	if n.Sel != nil {
		return nil, c.severally("a subquery in HAVING")
	}
	h := &havingNode{op: ConditionOr}
	for _, e := range n.List {
		p, r := c.compare(ConditionEqual, ConditionEqual, n.Expr, e)
		if r != nil {
			return nil, r
		}
		h.parts = append(h.parts, p)
	}
	return negated(h, n.Not), nil
}

// operand is the column of the merged rows that has the value of an aggregate, a
// group key or an item of the select list.
func (c *compiler) operand(e ast.ExprNode) (MergeColumn, *Refusal) {
	switch n := strip(e).(type) {
	case *ast.AggregateFuncExpr:
		for i, f := range c.found {
			if f == n {
				at, r := c.findAggregate(n, c.at[i])
				if r != nil {
					return 0, r
				}
				return c.out.merge.Aggregates[at].Column, nil
			}
		}
	case *ast.ColumnNameExpr:
		t, r := c.operandName(n.Name)
		if r != nil {
			return 0, r
		}
		if k, ok := c.keyFor(t); ok {
			if k.key.Column != MergeColumn(k.visible) { // what compares is another value than the column's
				return 0, c.severally("HAVING on " + n.Name.Name.O + " together with aggregates")
			}
			return k.key.Column, nil
		}
		if t.visible != notVisible {
			return MergeColumn(t.visible), nil
		}
	}
	return 0, c.severally("HAVING on an expression")
}
