package plan

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
)

// alias is a name of the select list in an expression of ORDER BY. In the select list
// itself it means nothing: there its expression stands.
type alias struct {
	token int
	of    tokens
}

// aliasesIn finds names of the select list in an expression that is true or false, or
// a whole number, whatever these are: n IS NULL, FIELD(n, 3, 1, 2). It reports false
// where all names are the tables' columns, or something else is not as it must be.
func (g *gatherer) aliasesIn(e ast.ExprNode, at tokens) ([]alias, bool) {
	if !isWhole(e) {
		return nil, false
	}
	var found []alias
	for _, name := range mentioned(e).columns {
		if _, f := g.scope.column(name); f == foundOne {
			continue
		}
		t, r := g.named(name)
		if r != nil || t.expr == nil || mentioned(t.expr).subquery {
			return nil, false
		}
		for i := at.from; i < at.to; i++ {
			if k := g.text.toks[i].kind; k != tokWord && k != tokQuoted || g.text.op(i-1, '.') || g.text.op(i+1, '.') || g.text.op(i+1, '(') {
				continue
			}
			known := slices.ContainsFunc(found, func(a alias) bool { return a.token == i })
			if !known && strings.EqualFold(g.text.name(g.text.toks[i]), name.Name.O) {
				found = append(found, alias{i, t.at})
			}
		}
	}
	slices.SortFunc(found, func(a, b alias) int { return a.token - b.token })
	return found, len(found) > 0
}

// isWhole reports whether an expression's value is a whole number whatever is in it.
func isWhole(e ast.ExprNode) bool {
	switch n := strip(e).(type) {
	case *ast.IsNullExpr, *ast.IsTruthExpr, *ast.BetweenExpr, *ast.PatternInExpr, *ast.PatternLikeOrIlikeExpr:
		return true
	case *ast.UnaryOperationExpr:
		return n.Op == opcode.Not || n.Op == opcode.Not2
	case *ast.BinaryOperationExpr:
		//nolint:exhaustive // the others make numbers of their kind
		switch n.Op {
		case opcode.EQ, opcode.NE, opcode.LT, opcode.LE, opcode.GT, opcode.GE, opcode.NullEQ, opcode.LogicAnd, opcode.LogicOr, opcode.LogicXor:
			return true
		}
	case *ast.FuncCallExpr:
		switch n.FnName.L {
		case "field", "isnull", "find_in_set", "locate", "instr", "length", "char_length", "strcmp":
			return true
		}
	}
	return false
}

// hideSpelled hides a target with the expressions of its aliases in their place.
func (g *gatherer) hideSpelled(t target) MergeColumn {
	from, before := t.at.from, ", "
	for _, a := range t.aliases {
		g.hidden = append(g.hidden, piece{before: before, at: tokens{from, a.token}, after: " ("}, piece{at: g.text.bare(a.of), after: ")"})
		from, before = a.token+1, " "
	}
	g.hidden = append(g.hidden, piece{before: before, at: tokens{from, t.at.to}})
	g.hides++
	return MergeColumn(-g.hides)
}
