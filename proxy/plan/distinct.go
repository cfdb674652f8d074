package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// distinct plans a SELECT DISTINCT whose rows may be on several shards: they come
// in the order of all their columns, so that equal ones are neighbours. The
// client's order comes first; servers allow only what is selected in it.
func (g *gatherer) distinct() *Refusal {
	g.out.merge.Distinct = true
	have := make([]bool, len(g.items))
	if g.sel.OrderBy != nil {
		for i, by := range g.sel.OrderBy.Items {
			t, constant, r := g.orderItem(i)
			switch {
			case r != nil:
				return r
			case constant:
				continue
			}
			n, ok := g.selected(t)
			if !ok {
				return g.severally("DISTINCT with ORDER BY of what is not selected")
			}
			have[n] = true
			if r := g.orderBy(g.listed(n), by.Desc); r != nil {
				return r
			}
		}
	}
	if r := g.others(have); r != nil {
		return r
	}
	g.out.limit.pushed = len(g.out.pads) == 0 // a text and its weight differ in more rows than the text
	return g.havingKeeps()
}

// ordersDistinct reports whether rows that differ on a shard stay as many when
// the hidden columns of their order are added: these are of selected columns and
// differ only where those do.
func (g *gatherer) ordersDistinct() bool {
	if g.sel.OrderBy == nil {
		return true
	}
	for i := range g.sel.OrderBy.Items {
		t, constant, r := g.orderItem(i)
		switch {
		case r != nil:
			return false
		case constant:
			continue
		}
		f, r := g.scope.formOf(t.expr)
		if r != nil || f.text.mayPad() || t.listed == notVisible && !g.starred(t) {
			return false
		}
	}
	return true
}

// starred reports whether a target is a column of a * in the select list.
func (g *gatherer) starred(t target) bool {
	col, ok := g.scope.plainColumn(t.expr)
	return ok && !col.column.Invisible && slices.ContainsFunc(g.sel.Fields.Fields, func(f *ast.SelectField) bool {
		return f.WildCard != nil && (f.WildCard.Table.L == "" || f.WildCard.Table.L == g.scope.sources[col.source].name)
	})
}

// selected finds the item of the select list that a target is the same as.
func (g *gatherer) selected(t target) (int, bool) {
	if t.listed != notVisible {
		return t.listed, true
	}
	for i, it := range g.items {
		if it.expr != nil && g.same(g.listed(i), t) {
			return i, true
		}
	}
	return 0, false
}

// others adds the items of the select list to the order that are not there.
func (g *gatherer) others(have []bool) *Refusal {
	var ordinals []string
	for i, it := range g.items {
		switch {
		case it.expr == nil:
			return g.severally("DISTINCT with *")
		case g.bits(it.expr):
			return g.severally("DISTINCT of a BIT column")
		case have[i]:
			continue
		}
		constant, r := g.constantly(it.expr, "the select list")
		switch {
		case r != nil:
			return r
		case constant:
			continue
		}
		if r := g.orderBy(g.listed(i), false); r != nil {
			return r
		}
		ordinals = append(ordinals, strconv.Itoa(i+1))
	}
	g.orderText(ordinals)
	return nil
}

// orderText adds items to the text's ORDER BY.
func (g *gatherer) orderText(items []string) {
	text := strings.Join(items, ", ")
	switch sorted := g.at.sorted; {
	case text == "":
	case sorted.empty():
		g.out.edits = append(g.out.edits, edit{tokens{g.at.tail, g.at.tail}, []piece{{before: " ORDER BY " + text}}})
	default:
		g.out.edits = append(g.out.edits, edit{tokens{sorted.to, sorted.to}, []piece{{before: ", " + text}}})
	}
}
