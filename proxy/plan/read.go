package plan

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"xaproxy/proxy/route"
)

// query plans SELECT and its like.
func (a *analysis) query(node ast.StmtNode) error {
	a.plan.Class = ClassSelect
	a.plan.Reader = true // every function is known
	if a.site.kind == siteNone {
		a.plan.bind = a.constant()
		return nil
	}
	sel, _ := node.(*ast.SelectStmt)
	if a.site.kind == siteSchema {
		return a.describeSchema(sel)
	}
	if err := a.besideTables(); err != nil {
		return err
	}
	if err := a.locksCopies(); err != nil {
		return err
	}
	switch a.site.kind {
	case siteOne:
		a.plan.bind = oneShard{a.site.shard}
	case siteCopies:
		a.plan.bind = a.anyCopy()
	case siteSharded:
		a.spread(node, sel)
	case siteNone, siteSchema:
	}
	return nil
}

// anyCopy reads reference tables where it suits. Locks are those of the lowest
// shard: writers begin there.
func (a *analysis) anyCopy() binder {
	first := a.env.Catalog.Map().First()
	if a.facts.locking {
		// The transaction may be going to write: it must not have to wait then for
		// a writer that waits for the rows.
		for _, t := range a.site.tables {
			a.latch(t)
		}
		return oneShard{first}
	}
	return anyShard{first}
}

// locksCopies refuses locks on reference tables beside others: on another shard
// somebody else may have the same row locked.
func (a *analysis) locksCopies() error {
	if a.site.kind == siteCopies {
		return nil
	}
	for _, lock := range a.facts.locks {
		for i, ref := range a.facts.refs {
			t := a.site.of[ref]
			if t != nil && t.Rule.Kind() == route.RuleCopies && (len(lock.Tables) == 0 || named(lock.Tables, ref, a.facts.aliases[i])) {
				return unsupported("locking the reference table "+t.Name+" together with other tables", "name the others: FOR UPDATE OF")
			}
		}
	}
	return nil
}

// named reports whether FOR UPDATE OF names a reference.
func named(tables []*ast.TableName, ref *ast.TableName, alias string) bool {
	if alias == "" {
		alias = ref.Name.O
	}
	return slices.ContainsFunc(tables, func(n *ast.TableName) bool { return strings.EqualFold(n.Name.O, alias) })
}

// spread plans a read of sharded tables: for one shard, where the values of keys
// say that all is there, and for several, where their rows can be combined. sel is
// nil for what is not a plain SELECT.
func (a *analysis) spread(node ast.StmtNode, sel *ast.SelectStmt) {
	all := a.blocks(node)
	var leaves []*leaf
	for _, b := range all {
		for _, s := range b.sources {
			if s.leaf != nil {
				leaves = append(leaves, s.leaf)
			}
		}
	}
	if n, ok := node.(*ast.SetOprStmt); ok {
		r := &joined{leaves: leaves, clock: a.clocked()}
		r.mains, r.several = a.unionAll(n, all)
		r.gather = &gathering{merge: Merge{Limit: -1}}
		a.plan.bind = r
		return
	}
	gather, several := a.severalShards(all, sel)
	if len(leaves) == 1 && len(all) == 1 && len(leaves[0].alone) == 0 {
		a.plan.bind = &keyed{table: leaves[0].table, where: leaves[0].group().where, gather: gather, several: several, clock: a.clocked()}
		return
	}
	r := &joined{leaves: leaves, gather: gather, several: several, clock: a.clocked()}
	if len(all) > 0 && all[0].first() != nil {
		r.mains = []*leaf{all[0].first()}
	}
	a.plan.bind = r
}

// first is the first leaf of a block, nil when it has none.
func (b *block) first() *leaf {
	for _, s := range b.sources {
		if s.leaf != nil {
			return s.leaf
		}
	}
	return nil
}

// severalShards plans the rows of several shards, or says why they are not one result.
func (a *analysis) severalShards(all []*block, sel *ast.SelectStmt) (*gathering, *Refusal) {
	if sel == nil || len(all) == 0 || all[0].first() == nil {
		return nil, unsupported("the sharded table "+a.site.sharded.Name+" in a set operation or subquery over several shards", "give the sharding key, or read it by a statement of its own")
	}
	main := all[0]
	if main.apart != nil {
		return nil, main.apart
	}
	for _, b := range all[1:] {
		if r := a.perShard(b, main.first().group()); r != nil {
			return nil, r
		}
	}
	return a.gather(sel, main)
}

// unionAll plans a UNION ALL of SELECTs whose rows are the shards' own: so are all
// of them. It returns a leaf of each.
func (a *analysis) unionAll(n *ast.SetOprStmt, all []*block) ([]*leaf, *Refusal) {
	if n.OrderBy != nil || n.Limit != nil || n.With != nil {
		return nil, a.severally("UNION with ORDER BY, LIMIT or WITH")
	}
	var mains []*leaf
	for i, node := range n.SelectList.Selects {
		sel, ok := node.(*ast.SelectStmt)
		if !ok || i > 0 && (sel.AfterSetOperator == nil || *sel.AfterSetOperator != ast.UnionAll) {
			return nil, a.severally("a set operation other than UNION ALL of SELECTs")
		}
		j := slices.IndexFunc(all, func(b *block) bool { return b.sel == sel })
		if j < 0 || all[j].first() == nil || !all[j].sharesOut() {
			return nil, a.severally("UNION ALL with a SELECT whose rows are not the shards' own")
		}
		mains = append(mains, all[j].first())
	}
	for _, b := range all {
		if r := a.perAny(b, mains); r != nil && !slices.ContainsFunc(mains, b.has) {
			return nil, r
		}
	}
	return mains, a.alike()
}

// perAny is perShard for a subquery of one of several SELECTs.
func (a *analysis) perAny(b *block, mains []*leaf) (r *Refusal) {
	for _, main := range mains {
		if r = a.perShard(b, main.group()); r == nil {
			return nil
		}
	}
	return r
}

// perShard says why a subquery is not the same when each shard answers it for its
// own rows of the statement: its rows must have their key, or be everywhere.
func (a *analysis) perShard(b *block, main *leaf) *Refusal {
	first := b.first()
	switch {
	case b.kind == blockExpression && b.aggregatesOutside():
		return unsupported("an aggregate of an outer query in a subquery over several shards of "+a.site.sharded.Name, severalAdvice)
	case first == nil && (b.sel.Limit != nil || listsRows(b.sel) || len(b.windows()) > 0):
		return unsupported("a subquery with LIMIT, a list of rows or a window function over several shards of "+a.site.sharded.Name, "each shard may choose others")
	case first == nil:
		return nil
	case b.apart != nil:
		return b.apart
	case b.kind == blockDerived && b.spread:
		return nil
	case b.kind != blockExpression:
		return unsupported("the sharded table "+first.table.Name+" in a derived table, WITH clause or set operation over several shards", "give the sharding key, or read it by a statement of its own")
	}
	for l := first.group(); l != main; l = l.follows.group() {
		if l.follows == nil {
			return unsupported("a subquery over several shards of "+first.table.Name+", other than by the sharding key", "compare its sharding key with that of the statement")
		}
	}
	return nil
}

// listsRows reports whether a SELECT makes a list of rows in whatever order.
func listsRows(sel *ast.SelectStmt) bool {
	m := &mention{}
	if sel.Fields != nil {
		sel.Fields.Accept(m)
	}
	return slices.ContainsFunc(m.aggregates, func(n *ast.AggregateFuncExpr) bool {
		switch strings.ToLower(n.F) {
		case ast.AggFuncGroupConcat, ast.AggFuncJsonArrayagg, ast.AggFuncJsonObjectAgg:
			return true
		}
		return false
	})
}

// joined binds a SELECT of several tables, or with subqueries.
type joined struct {
	leaves  []*leaf
	mains   []*leaf // of the groups of the statement's own rows, of gather
	gather  *gathering
	several *Refusal // why not on several shards
	clock   bool
}

func (*joined) needsText() bool { return true }

func (j *joined) bind(b *binding) (Targets, error) {
	s := &groupShards{b: b}
	var one []route.Shard
	spread := false
	for _, l := range j.leaves {
		of := s.leaf(l)
		switch {
		case len(of) == 0: // no row of it counts, on no shard
		case len(of) > 1 || len(one) > 0 && one[0] != of[0]:
			spread = true
		default:
			one = of
		}
	}
	if len(b.missing) > 0 {
		return Targets{}, nil
	}
	switch {
	case spread && j.several != nil:
		return Targets{}, j.several
	case spread:
		var shards []route.Shard
		for _, l := range j.mains {
			shards = append(shards, s.group(l.group())...)
		}
		slices.Sort(shards)
		t, err := j.gather.bind(b, slices.Compact(shards))
		t.NeedsClock = j.clock
		return t, err
	case len(one) == 1:
		return b.everyShard(ModeOne, one), nil
	}
	return Targets{Mode: ModeAny, Parts: []Part{{Shard: j.leaves[0].table.Rule.Shards()[0], SQL: b.statement()}}}, nil
}

// groupShards finds the shards of groups of leaves, each once.
type groupShards struct {
	b      *binding
	groups []*leaf
	shards [][]route.Shard
}

// group are the shards on which rows can be that meet the group's conditions.
func (s *groupShards) group(g *leaf) []route.Shard {
	if i := slices.Index(s.groups, g); i >= 0 {
		return s.shards[i]
	}
	shards := s.narrow(g.table.Rule.Shards(), g.table, g.where)
	if g.follows != nil {
		shards = common(shards, s.group(g.follows.group()))
	}
	s.groups, s.shards = append(s.groups, g), append(s.shards, shards)
	return shards
}

// leaf are the shards on which rows of a leaf can be that count.
func (s *groupShards) leaf(l *leaf) []route.Shard {
	return s.narrow(s.group(l.group()), l.table, l.alone)
}

// narrow leaves out the shards on which no row meets the conditions.
func (s *groupShards) narrow(shards []route.Shard, t *Table, where []predicate) []route.Shard {
	for _, p := range where {
		missing := len(s.b.missing)
		found, ok := s.b.match(t, p)
		if !ok {
			s.b.missing = s.b.missing[:missing]
			continue
		}
		shards = common(shards, found)
	}
	return shards
}

func common(a, b []route.Shard) []route.Shard {
	var both []route.Shard
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}
