package plan

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// gathering is how the rows of a SELECT are gathered from several shards. It
// belongs to a fingerprint: what literals say is read when it is bound.
type gathering struct {
	merge  Merge
	pads   []pad
	edits  []edit // of the client's text, in its order
	limit  limit
	having *havingNode
	same   [][2]int // tokens of literals that must be equal
}

// pad is a key whose pad has to be asked for.
type pad struct {
	place padPlace
	index int
	of    text
}

type padPlace uint8

const (
	padOrder padPlace = iota
	padFinal
	padAggregate
)

// limit is a LIMIT clause.
type limit struct {
	given         bool
	pushed        bool // the shards' rows may be limited, too
	count, offset value
	offsets       bool // there is an offset
}

const severalAdvice = "give the sharding key, or combine the rows in the application"

// gatherer is the work of planning a gathering.
type gatherer struct {
	*analysis
	sel    *ast.SelectStmt
	main   *block
	at     clauses
	scope  *scope // main's
	items  []item
	hidden []piece // of hides columns
	hides  int
	out    gathering
}

// item is one of the select list.
type item struct {
	expr ast.ExprNode // nil for a *
	at   tokens       // without its name
	name string       // in lower case, as ORDER BY finds it; "" when it has none that can be written there
}

// target is what an item of ORDER BY or GROUP BY stands for.
type target struct {
	expr    ast.ExprNode
	at      tokens
	visible int // its place in the select list, notVisible when it has none there that is known
	listed  int // the item of the select list, notVisible when it is none
	aliases []alias
}

const notVisible = -1

// gather plans a SELECT for several shards, or says why it cannot be.
func (a *analysis) gather(sel *ast.SelectStmt, main *block) (*gathering, *Refusal) {
	if r := a.gatherable(sel); r != nil {
		return nil, r
	}
	g := &gatherer{analysis: a, sel: sel, main: main, scope: &main.scope}
	if sel.Kind != ast.SelectStmtKindSelect {
		if sel.OrderBy != nil || sel.Limit != nil {
			return nil, a.severally("TABLE with ORDER BY or LIMIT")
		}
		g.out.merge.Limit = -1
		return &g.out, nil
	}
	if r := g.open(); r != nil {
		return nil, r
	}
	if r := g.plan(); r != nil {
		return nil, r
	}
	g.close()
	return &g.out, nil
}

// severally refuses a construct over several shards.
func (a *analysis) severally(what string) *Refusal {
	return unsupported(what+" over several shards of "+a.site.sharded.Name, severalAdvice)
}

// gatherable refuses what no plan for several shards has.
func (a *analysis) gatherable(sel *ast.SelectStmt) *Refusal {
	switch {
	case sel.GroupBy != nil && sel.GroupBy.Rollup:
		return a.severally("WITH ROLLUP")
	case sel.With != nil:
		return a.severally("WITH")
	case sel.LockInfo != nil && sel.Limit != nil && skipsLocked(sel.LockInfo.LockType):
		return a.severally("SKIP LOCKED with LIMIT")
	}
	return a.alike()
}

// skipsLocked: with LIMIT every shard would lock rows that the client does not
// get, and that others, who skip them, do not get either.
func skipsLocked(t ast.SelectLockType) bool {
	return t == ast.SelectLockForUpdateSkipLocked || t == ast.SelectLockForShareSkipLocked
}

// open finds the parts of the text that belong to the tree's.
func (g *gatherer) open() *Refusal {
	sel := g.sel
	at, ok := g.text.clauses()
	if !ok || !at.fit(sel) {
		return g.severally("this spelling of a SELECT")
	}
	g.at = at
	if _, ok := g.collations(); !ok {
		return g.severally("this spelling of COLLATE")
	}
	g.out.merge.Limit = -1
	for i, f := range sel.Fields.Fields {
		g.items = append(g.items, g.item(f, at.items[i]))
	}
	if sel.Limit != nil {
		return g.readLimit(sel.Limit)
	}
	return nil
}

// fit reports whether the tree has what was found in the text.
func (c *clauses) fit(sel *ast.SelectStmt) bool {
	group, order := 0, 0
	if sel.GroupBy != nil {
		group = len(sel.GroupBy.Items)
	}
	if sel.OrderBy != nil {
		order = len(sel.OrderBy.Items)
	}
	return sel.Fields != nil && len(c.items) == len(sel.Fields.Fields) && len(c.group) == group && len(c.order) == order &&
		(sel.Having == nil) == c.having.empty() && (sel.Limit == nil) == c.limit.empty()
}

// item reads one item of the select list. A name that is written as a string
// without AS is not known: the parser has not seen it.
func (g *gatherer) item(f *ast.SelectField, at tokens) item {
	if f.WildCard != nil {
		return item{at: at}
	}
	it := item{expr: f.Expr, at: at, name: f.AsName.L}
	if it.name != "" {
		it.at.to--
		if g.text.is(it.at.to-1, "AS") {
			it.at.to--
		}
		return it
	}
	if c, ok := strip(f.Expr).(*ast.ColumnNameExpr); ok {
		it.name = c.Name.Name.L
	}
	return it
}

func (g *gatherer) readLimit(n *ast.Limit) *Refusal {
	l := limit{given: true, pushed: true, count: g.value(n.Count)}
	if n.Offset != nil {
		l.offset, l.offsets = g.value(n.Offset), true
	}
	for _, v := range [...]value{l.count, l.offset} {
		if v.negative || v.kind == valueNull || v.kind == valueDefault {
			return g.severally("this LIMIT")
		}
	}
	if l.count.kind == valueOther || l.offsets && l.offset.kind == valueOther {
		return g.severally("this LIMIT")
	}
	g.out.limit = l
	return nil
}

// plan chooses how the rows are combined.
func (g *gatherer) plan() *Refusal {
	if f := g.main.apartWindow(); f != nil {
		return g.severally(strings.ToUpper(f.Name) + "() OVER other than PARTITION BY the sharding key")
	}
	grouped := g.sel.GroupBy != nil || aggregates(g.sel)
	switch {
	case grouped && !g.groupsAreWhole() && len(g.main.windows()) > 0:
		return g.severally("a window function beside GROUP BY or an aggregate")
	case grouped && !g.groupsAreWhole():
		return g.grouped()
	case g.sel.Distinct && (!g.main.selectsKey() || !g.ordersDistinct()):
		return g.distinct()
	}
	return g.ordered()
}

// groupsAreWhole reports whether every group has its rows on one shard: the
// sharding key is among what is grouped by.
func (g *gatherer) groupsAreWhole() bool {
	if g.sel.GroupBy == nil {
		return false
	}
	for i := range g.sel.GroupBy.Items {
		if t, r := g.groupItem(i); r == nil && g.isKey(t.expr) {
			return true
		}
	}
	return false
}

// isKey reports whether an expression is just a sharding key, which has a value in
// every row: rows of two shards differ in it.
func (g *gatherer) isKey(e ast.ExprNode) bool {
	l := g.main.ownKey(e)
	return l != nil && !l.nullable
}

// ordered plans rows that stay what they are: in the client's order, if any.
func (g *gatherer) ordered() *Refusal {
	if g.sel.OrderBy == nil {
		return nil
	}
	for i, by := range g.sel.OrderBy.Items {
		t, constant, r := g.orderItem(i)
		switch {
		case r != nil:
			return r
		case constant:
			continue
		}
		if r := g.orderBy(t, by.Desc); r != nil {
			return r
		}
	}
	return g.havingKeeps()
}

// havingKeeps refuses a HAVING on what the client has not selected: an error on a
// server, but not when a hidden column has the name.
func (g *gatherer) havingKeeps() *Refusal {
	if g.sel.Having == nil || g.hides == 0 || slices.ContainsFunc(g.items, func(it item) bool { return it.expr == nil }) {
		return nil
	}
	for _, name := range mentioned(g.sel.Having.Expr).columns {
		if t, r := g.named(name); r != nil || t.expr == nil {
			return g.severally("HAVING on " + name.Name.O + ", which is not in the select list,")
		}
	}
	return nil
}

// orderBy adds a key to the order of the shards' rows.
func (g *gatherer) orderBy(t target, desc bool) *Refusal {
	key, of, r := g.key(t)
	if r != nil {
		return r
	}
	key.Desc = desc
	g.pad(padOrder, len(g.out.merge.Order), of)
	g.out.merge.Order = append(g.out.merge.Order, key)
	return nil
}

// key makes a target comparable: as it stands in the select list, or by a hidden
// column.
func (g *gatherer) key(t target) (MergeKey, text, *Refusal) {
	if len(t.aliases) > 0 {
		return MergeKey{Column: g.hideSpelled(t)}, text{}, nil
	}
	f, r := g.scope.formOf(t.expr)
	if r != nil {
		return MergeKey{}, text{}, g.severally(r.Construct)
	}
	if f.itself() && t.visible != notVisible {
		return MergeKey{Column: MergeColumn(t.visible), Rough: f.rough}, text{}, nil
	}
	return MergeKey{Column: g.hide(g.ofGroup(f, t.expr), t.at), Rough: f.rough}, f.text, nil
}

// ofGroup is the form of an expression that has one value in each group. That
// servers know of columns, not of all expressions.
func (g *gatherer) ofGroup(f form, e ast.ExprNode) form {
	col, plain := g.scope.plainColumn(e)
	if plain && !g.scope.isExpression(col.column) || g.sel.GroupBy == nil || len(mentioned(e).aggregates) > 0 || len(mentioned(e).windows) > 0 {
		return f
	}
	f.before, f.after = "MIN("+f.before, f.after+")"
	return f
}

func (g *gatherer) pad(place padPlace, index int, of text) {
	if of.mayPad() {
		g.out.pads = append(g.out.pads, pad{place, index, of})
	}
}

// hide adds a hidden column and returns its place among them: -1 is the first
// until close turns them round.
func (g *gatherer) hide(f form, at tokens) MergeColumn {
	after := f.after
	if f.itself() { // with a name that no ORDER BY means
		after = " AS `xap~hidden`"
	}
	g.hidden = append(g.hidden, piece{before: ", " + f.before, at: g.text.bare(at), after: after})
	g.hides++
	return MergeColumn(-g.hides)
}

// close completes the plan, when all hidden columns are known.
func (g *gatherer) close() {
	m := &g.out.merge
	m.Hidden = g.hides
	g.place(m)
	if g.out.limit.given {
		g.limitEdit()
	}
	if g.hides > 0 {
		g.out.edits = append(g.out.edits, edit{tokens{g.at.list, g.at.list}, g.hidden})
	}
	slices.SortStableFunc(g.out.edits, func(a, b edit) int { return a.at.from - b.at.from })
}

// place turns hidden columns' places round: the last one is -1.
func (g *gatherer) place(m *Merge) {
	turn := func(c *MergeColumn) {
		if *c < 0 {
			*c = -MergeColumn(m.Hidden+1) - *c
		}
	}
	for _, keys := range [][]MergeKey{m.Order, m.Final} {
		for i := range keys {
			turn(&keys[i].Column)
		}
	}
	for i := range m.Aggregates {
		a := &m.Aggregates[i]
		for _, c := range [...]*MergeColumn{&a.Column, &a.Sum, &a.Count, &a.Key.Column} {
			turn(c)
		}
	}
	for i := range m.Defaults {
		turn(&m.Defaults[i].Column)
		turn(&m.Defaults[i].Of)
	}
	g.out.having.each(func(h *havingNode) { turn(&h.column) })
}
