package plan

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	"github.com/pingcap/tidb/pkg/parser/test_driver"
)

// aggregate adds the aggregate at a place of the text as one whose value stands
// in a column, and returns its number.
func (gr *groups) aggregate(n *ast.AggregateFuncExpr, at tokens, column MergeColumn) (int, *Refusal) {
	at = gr.text.bare(at)
	a, r := gr.mergeable(n)
	if r != nil {
		return 0, r
	}
	end, ok := gr.text.closing(at.from + 1)
	if !ok || end != at.to-1 || !strings.EqualFold(gr.text.text(gr.text.toks[at.from]), n.F) {
		return 0, gr.severally("this spelling of " + strings.ToUpper(n.F) + "()")
	}
	a.Column = column
	placed := aggregateAt{at: at}
	switch a.Func {
	case AggregateMin, AggregateMax:
		f, r := gr.scope.formOfAggregate(n)
		if r != nil {
			return 0, gr.severally(r.Construct)
		}
		a.Key.Column, a.Key.Rough, placed.pad = column, f.rough, f.text
		if !f.itself() {
			a.Key.Column = gr.hide(f, at)
		}
		gr.pad(padAggregate, len(gr.out.merge.Aggregates), f.text)
	case AggregateAvg:
		arguments := tokens{at.from + 2, at.to - 1}
		a.Sum = gr.hide(form{before: "SUM(", after: ")"}, arguments)
		a.Count = gr.hide(form{before: "COUNT(", after: ")"}, arguments)
		a.Rough = gr.scope.rough(n.Args[0], true)
	case AggregateSum:
		a.Rough = gr.scope.rough(n.Args[0], true)
	case AggregateCount, AggregateInvalid:
	}
	gr.out.merge.Aggregates = append(gr.out.merge.Aggregates, a)
	gr.aggs = append(gr.aggs, placed)
	return len(gr.aggs) - 1, nil
}

// mergeable says how the values of several shards become one. DISTINCT values
// are other ones on each shard only if they are the sharding key's.
func (gr *groups) mergeable(n *ast.AggregateFuncExpr) (Aggregate, *Refusal) {
	name := strings.ToLower(n.F)
	var a Aggregate
	switch name {
	case ast.AggFuncCount:
		a.Func = AggregateCount
	case ast.AggFuncSum:
		a.Func = AggregateSum
	case ast.AggFuncAvg:
		a.Func = AggregateAvg
	case ast.AggFuncMin:
		a.Func = AggregateMin
	case ast.AggFuncMax:
		a.Func = AggregateMax
	default:
		return a, gr.severally(strings.ToUpper(name) + "()")
	}
	if n.Distinct && a.Func != AggregateMin && a.Func != AggregateMax && (len(n.Args) != 1 || gr.main.ownKey(n.Args[0]) == nil) {
		return a, gr.severally(strings.ToUpper(name) + "(DISTINCT)")
	}
	return a, gr.argumentsOf(n, a.Func)
}

// argumentsOf refuses arguments whose values the shards do not tell exactly.
func (gr *groups) argumentsOf(n *ast.AggregateFuncExpr, f AggregateFunc) *Refusal {
	name := strings.ToUpper(n.F) + "()"
	for _, arg := range n.Args {
		_, row := strip(arg).(*ast.RowExpr)
		switch {
		case row: // servers refuse it, too; without its parentheses it is another text
			return gr.severally("a row in " + name)
		case mentioned(arg).subquery:
			return gr.severally("a subquery in " + name)
		case (f == AggregateSum || f == AggregateAvg) && gr.scope.hasQuotient(arg):
			return unsupported(name+" of a quotient over several shards of "+gr.site.sharded.Name, "use ROUND(), or divide the sum")
		}
	}
	return nil
}

// findAggregate finds an aggregate among those that are merged anyway, or adds it
// as a hidden column.
func (gr *groups) findAggregate(n *ast.AggregateFuncExpr, at tokens) (int, *Refusal) {
	at = gr.text.bare(at)
	for i, have := range gr.aggs {
		if pairs, ok := gr.text.alike(have.at, at); ok && len(pairs) == 0 {
			return i, nil
		}
	}
	if _, r := gr.mergeable(n); r != nil {
		return 0, r
	}
	return gr.aggregate(n, at, gr.hide(form{}, at))
}

// defaulted plans IFNULL(aggregate, constant) and COALESCE of the same.
func (gr *groups) defaulted(i int) (bool, *Refusal) {
	it := gr.items[i]
	call, ok := strip(it.expr).(*ast.FuncCallExpr)
	const arguments = 2
	if !ok || len(call.Args) != arguments || call.FnName.L != "ifnull" && call.FnName.L != "coalesce" {
		return false, nil
	}
	agg, ok := strip(call.Args[0]).(*ast.AggregateFuncExpr)
	if !ok || !gr.fitsDefault(agg, call.Args[1]) {
		return false, nil
	}
	at := gr.text.bare(it.at)
	end, ok := gr.text.closing(at.from + 1)
	if !ok || end != at.to-1 {
		return false, nil
	}
	args := gr.text.split(tokens{at.from + 2, end})
	if len(args) != arguments {
		return false, nil
	}
	n, r := gr.findAggregate(agg, args[0])
	if r != nil {
		return false, r
	}
	gr.out.merge.Defaults = append(gr.out.merge.Defaults, Default{Column: MergeColumn(i), Of: gr.out.merge.Aggregates[n].Column})
	return true, nil
}

// fitsDefault reports whether an aggregate and a constant are of one kind, so
// that the value of either is shown in the same way.
func (gr *groups) fitsDefault(agg *ast.AggregateFuncExpr, e ast.ExprNode) bool {
	e = strip(e)
	minus, signed := e.(*ast.UnaryOperationExpr)
	if signed = signed && minus.Op == opcode.Minus; signed {
		e = strip(minus.V)
	}
	v, ok := e.(*test_driver.ValueExpr)
	if !ok || signed && v.Kind() == test_driver.KindString {
		return false
	}
	whole := v.Kind() == test_driver.KindInt64 || v.Kind() == test_driver.KindUint64
	switch strings.ToLower(agg.F) {
	case ast.AggFuncCount, ast.AggFuncSum, ast.AggFuncAvg:
		return whole || v.Kind() == test_driver.KindMysqlDecimal
	case ast.AggFuncMin, ast.AggFuncMax:
		col, ok := gr.scope.plainColumn(agg.Args[0])
		return ok && (whole && col.column.bits() > 0 || v.Kind() == test_driver.KindString && col.column.Type.Text() && col.column.Members == nil)
	}
	return false
}
