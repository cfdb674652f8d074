package plan

import (
	"slices"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"

	"xaproxy/proxy/route"
)

// analyse plans a statement from its template.
func (p *Planner) analyse(env *Env, s *scratch, template string) (*Plan, error) {
	if r := s.spelledAsFunction(); r != nil {
		return nil, r
	}
	node, err := p.parse(template, s.flags)
	if err != nil {
		return nil, p.unreadable(s)
	}
	f, r := walk(node)
	if r != nil {
		return nil, r
	}
	if !f.number(s.params) {
		return nil, unsupported("a parameter in this place", "")
	}
	st, err := f.locate(env)
	if err != nil {
		return nil, err
	}
	plan := &Plan{
		Uses: f.uses, Pins: f.pins, Variables: f.variables, Locking: f.locking,
		Tables: st.names(), NumParams: s.params, flags: s.flags, zone: zoneOf(env.TimeZone),
	}
	a := &analysis{planner: p, env: env, facts: f, site: st, plan: plan, marks: len(s.literalTokens(s.marks[:0])), text: &s.lexed}
	if err := a.statement(node); err != nil {
		return nil, err
	}
	return plan, nil
}

// unreadable says why the parser does not read a statement: by its own literals,
// not by those of the template.
func (p *Planner) unreadable(s *scratch) error {
	for i := range s.toks {
		switch {
		case s.is(i, "RETURNING"):
			return unsupported("RETURNING", "read the rows by a SELECT")
		case s.is(i, "INTO") && i+1 < len(s.toks) && (s.toks[i+1].kind == tokUserVar || s.is(i+1, "DUMPFILE") || s.is(i+1, "OUTFILE")):
			return unsupported("SELECT ... INTO", "")
		case s.is(i, "JSON_TABLE"):
			return unsupported("JSON_TABLE", "")
		}
	}
	if _, err := p.parse(string(s.canonical(nil)), s.flags); err != nil {
		return err
	}
	return unsupported("a literal where the proxy cannot read one", "")
}

// analysis is the work on one statement.
type analysis struct {
	env   *Env
	facts *facts
	site  site
	plan  *Plan
	marks int // how many literals the text has
	text  *lexed

	planner *Planner
}

func (a *analysis) statement(node ast.StmtNode) error {
	switch n := node.(type) {
	case *ast.SelectStmt:
		return a.query(n)
	case *ast.SetOprStmt:
		return a.query(n)
	case *ast.DoStmt:
		return a.query(n)
	case *ast.SetStmt:
		return a.userVariables(n)
	case *ast.InsertStmt:
		return a.insert(n)
	case *ast.UpdateStmt:
		return a.update(n)
	case *ast.DeleteStmt:
		return a.delete(n)
	}
	return unsupported("the statement "+nodeName(node), "")
}

// userVariables plans SET @x = ...; the session runs it where its variables are.
func (a *analysis) userVariables(n *ast.SetStmt) error {
	a.plan.Class = ClassSet
	for _, v := range n.Variables {
		if v.IsSystem || v.IsGlobal {
			return unsupported("user variables and others in one SET", "set them one by one")
		}
		a.plan.Set = append(a.plan.Set, Assignment{Variable: VarUser})
	}
	a.plan.Pins |= StateUserVars
	a.plan.Uses |= StateUserVars
	a.plan.Reader = true
	if a.site.kind != siteNone {
		return unsupported("a table in SET", "")
	}
	a.plan.bind = a.constant()
	return nil
}

// constant plans what names no table: on any shard, or on the first when the
// answer is the server's.
func (a *analysis) constant() binder {
	first := a.env.Catalog.Map().First()
	if a.facts.server != "" {
		return oneShard{first}
	}
	return anyShard{first}
}

// besideTables refuses what the first shard alone answers in a statement that
// has to run elsewhere.
func (a *analysis) besideTables() error {
	if a.facts.server != "" {
		return unsupported(a.facts.server+" beside a table", "ask for it by a statement of its own")
	}
	if a.facts.match && a.site.kind == siteSharded {
		return unsupported("MATCH ... AGAINST on the sharded table "+a.site.sharded.Name, "")
	}
	return nil
}

// direct reports whether a FROM clause is just one table.
func (a *analysis) direct(from *ast.TableRefsClause) bool {
	if from == nil || from.TableRefs == nil || from.TableRefs.Right != nil {
		return false
	}
	src, ok := from.TableRefs.Left.(*ast.TableSource)
	if !ok {
		return false
	}
	_, ok = src.Source.(*ast.TableName)
	return ok
}

// everywhere says why a statement would not do the same on every shard.
func (a *analysis) everywhere(advice string) *Refusal {
	if f := a.facts; f.selects > 1 || f.selects == 1 && a.plan.Class != ClassSelect {
		return unsupported("a subquery over several shards of "+a.site.sharded.Name, advice)
	}
	return a.alike()
}

// alike says why the functions of a statement would not have the same values on
// every shard.
func (a *analysis) alike() *Refusal {
	table := a.site.sharded.Name
	switch f := a.facts; {
	case f.unstable != "":
		return unsupported(f.unstable+" over several shards of "+table, "give its value instead: every shard would have another one")
	case f.session != "":
		return unsupported(f.session+" over several shards of "+table, "give its value instead")
	case f.defaults:
		for _, t := range a.site.tables {
			if c := t.volatileColumn(); c != "" {
				return unsupported("DEFAULT with the default of "+t.Name+"."+c+" over several shards", "give its value instead: every shard would have another one")
			}
		}
	}
	return nil
}

// clocked reports whether the parts of the statement would read the time.
func (a *analysis) clocked() bool {
	writes := a.plan.Class != ClassSelect && a.plan.Class != ClassDelete
	return a.facts.clock || (writes || a.facts.defaults) && a.site.sharded.hasClock()
}

// hasClock reports whether the table has columns that are set to the time.
func (t *Table) hasClock() bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.ClockDefault || c.OnUpdateNow })
}

// volatileColumn is a column whose default every shard would choose for itself.
func (t *Table) volatileColumn() string {
	for i := range t.Columns {
		if c := &t.Columns[i]; c.VolatileDefault && !c.ClockDefault {
			return c.Name
		}
	}
	return ""
}

func (a *analysis) update(n *ast.UpdateStmt) error {
	a.plan.Class, a.plan.Locking = ClassUpdate, true
	a.plan.SetsInsertID = a.plan.Pins&StateLastInsertID != 0
	a.plan.Pins &^= StateLastInsertID // the OK packet has it
	if done, err := a.writeSite(n.TableRefs); done || err != nil {
		return err
	}
	t := a.site.sharded
	if a.site.kind == siteCopies {
		return a.updateCopies(n)
	}
	if n.MultipleTable || n.With != nil || !a.direct(n.TableRefs) {
		return unsupported("UPDATE of the sharded table "+t.Name+" with another table or a WITH clause", "")
	}
	move, err := a.moves(n)
	if err != nil {
		return err
	}
	k := &keyed{table: t, move: move, where: a.predicates(n.Where), clock: a.clocked(), write: true}
	k.choose, k.several = a.severalWrites("UPDATE", n.Order, n.Limit)
	a.plan.bind = k
	return a.updatesIDs(n.List)
}

func (a *analysis) delete(n *ast.DeleteStmt) error {
	a.plan.Class, a.plan.Locking = ClassDelete, true
	if done, err := a.writeSite(n.TableRefs); done || err != nil {
		return err
	}
	t := a.site.sharded
	if a.site.kind == siteCopies {
		return a.deleteCopies(n)
	}
	if n.IsMultiTable || n.With != nil || !a.direct(n.TableRefs) {
		return unsupported("DELETE from the sharded table "+t.Name+" with another table or a WITH clause", "")
	}
	k := &keyed{table: t, where: a.predicates(n.Where), clock: a.clocked(), write: true}
	k.choose, k.several = a.severalWrites("DELETE", n.Order, n.Limit)
	a.plan.bind = k
	return nil
}

// severalWrites says how an UPDATE or DELETE is executed on several shards, or why
// it is not. An order alone matters within a shard only: rows that could get in each
// other's way are on one.
func (a *analysis) severalWrites(verb string, order *ast.OrderByClause, limit *ast.Limit) (*chooser, *Refusal) {
	if r := a.everywhere("give the sharding key"); r != nil || limit == nil {
		return nil, r
	}
	return a.chooses(verb, order)
}

// writeSite plans a write whose tables are on one shard, and reports whether
// that was all. target is where the tables stand that are written.
func (a *analysis) writeSite(target *ast.TableRefsClause) (bool, error) {
	switch a.site.kind {
	case siteNone:
		return true, unsupported("a write to a common table expression", "")
	case siteSchema:
		return true, unsupported("a write to information_schema", "")
	case siteOne, siteSharded, siteCopies:
	}
	if err := a.besideTables(); err != nil {
		return true, err
	}
	if err := a.writesApart(target); err != nil {
		return true, err
	}
	for _, t := range a.site.tables {
		if t.Triggers {
			return true, unsupported("a statement that writes beside the table "+t.Name+", which has triggers", "a trigger sees one shard only")
		}
	}
	if a.site.kind == siteCopies {
		return false, a.aloneIsCopied()
	}
	if a.site.kind == siteOne {
		a.plan.bind = oneShard{a.site.shard}
		return true, nil
	}
	return false, nil
}

// writesApart refuses writes whose tables are not all on one shard: a sharded table
// with another one, or a reference table that is not only read.
func (a *analysis) writesApart(target *ast.TableRefsClause) error {
	if t := a.site.sharded; t != nil && len(a.facts.refs) != 1 {
		return unsupported("a write to the sharded table "+t.Name+" together with another table, or twice", "write the tables one by one")
	}
	if a.site.kind != siteOne {
		return nil
	}
	written := a.targetTable(target)
	for _, t := range a.site.tables {
		if t.Rule.Kind() == route.RuleCopies && (written == nil || written == t) {
			return unsupported("a write with the reference table "+t.Name+" and another table", "select the rows first, then write them by their values")
		}
	}
	return nil
}

// targetTable is the table that a write names alone, else nil.
func (a *analysis) targetTable(from *ast.TableRefsClause) *Table {
	if !a.direct(from) {
		return nil
	}
	src, _ := from.TableRefs.Left.(*ast.TableSource)
	name, _ := src.Source.(*ast.TableName)
	return a.site.of[name]
}

func delayed(p mysql.PriorityEnum) bool { return p == mysql.DelayedPriority }
