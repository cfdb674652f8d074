package plan

import (
	"slices"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"xaproxy/proxy/route"
)

// A write to a reference table is executed at the lowest shard first, then at
// the others. Every copy must come out alike, so nothing is allowed that a
// server decides for itself. Rows that two writers want are locked at the lowest
// shard by one of them before the other reaches any shard: docs/placement.md.

// latch notes a table that is written, or read to be. Foreign keys may change
// rows of other reference tables with its own.
func (a *analysis) latch(t *Table) {
	name := TableName{t.Schema, t.Name}
	if t.ForeignKeys {
		name = TableName{}
	}
	if len(t.Rule.Shards()) > 1 && !slices.Contains(a.plan.Latches, name) {
		a.plan.Latches = append(a.plan.Latches, name)
	}
}

// allCopies binds a write to every copy.
type allCopies struct {
	shards []route.Shard
	clock  bool // the parts read the time
}

func (allCopies) needsText() bool { return false }

func (c allCopies) bind(b *binding) (Targets, error) {
	t := b.everyShard(ModeAll, c.shards)
	t.Copies = len(c.shards) > 1
	t.NeedsClock = c.clock && t.Copies
	return t, nil
}

// aloneIsCopied refuses writes to a reference table by what other tables say, and
// notes which it is.
func (a *analysis) aloneIsCopied() error {
	t := a.site.tables[0]
	if len(a.facts.refs) != 1 {
		return unsupported("a write to the reference table "+t.Name+" together with another table, or twice", "select the rows first, then write them by their values")
	}
	a.site.sharded = t
	return nil
}

func (a *analysis) updateCopies(n *ast.UpdateStmt) error {
	if n.MultipleTable || n.With != nil || !a.direct(n.TableRefs) {
		return unsupported("UPDATE of the reference table "+a.site.sharded.Name+" with another table or a WITH clause", "")
	}
	if err := a.writeCopies("UPDATE", n.IgnoreErr, n.Limit); err != nil || !a.onSeveral() {
		return err
	}
	return a.updatesIDs(n.List)
}

func (a *analysis) deleteCopies(n *ast.DeleteStmt) error {
	if n.IsMultiTable || n.With != nil || !a.direct(n.TableRefs) {
		return unsupported("DELETE from the reference table "+a.site.sharded.Name+" with another table or a WITH clause", "")
	}
	return a.writeCopies("DELETE", n.IgnoreErr, n.Limit)
}

func (a *analysis) writeCopies(verb string, ignore bool, limit *ast.Limit) error {
	t := a.site.sharded
	const advice = "every shard would choose its own rows; name them by their key"
	switch {
	case !a.onSeveral(): // one shard decides
	case limit != nil:
		return unsupported(verb+" with LIMIT of the reference table "+t.Name, advice)
	case ignore:
		return unsupported(verb+" IGNORE of the reference table "+t.Name, advice)
	case a.facts.match:
		return unsupported("MATCH ... AGAINST in a write to the reference table "+t.Name, advice)
	default:
		if r := a.everywhere("select the values first"); r != nil {
			return r
		}
	}
	a.latch(t)
	a.plan.bind = allCopies{shards: t.Rule.Shards(), clock: a.clocked()}
	return nil
}

// onSeveral reports whether the reference table has more than one copy.
func (a *analysis) onSeveral() bool { return len(a.site.sharded.Rule.Shards()) > 1 }

// insertsCopies checks an INSERT or REPLACE. It reports whether it is planned:
// where there is one copy a server decides.
func (a *analysis) insertsCopies(n *ast.InsertStmt) (bool, error) {
	t := a.site.sharded
	if !a.onSeveral() {
		a.plan.bind = oneShard{t.Rule.Shards()[0]}
		return true, nil
	}
	if len(n.OnDuplicate) > 0 && len(t.Unique) > 1 { // the primary key is looked at first
		return true, unsupported("ON DUPLICATE KEY UPDATE of the reference table "+t.Name+", which has several unique keys", "update the row by its key: which row is meant depends on the order of the keys")
	}
	a.latch(t)
	return false, nil
}

// everyCopy binds an INSERT into a reference table.
func (in *inserted) everyCopy(b *binding, n *Numbering, grafts []graft) Targets {
	t := b.everyShard(ModeAll, in.table.Rule.Shards())
	for i := range t.Parts {
		if len(grafts) > 0 {
			t.Parts[i] = b.splicer(grafts).whole(t.Parts[i])
		}
	}
	t.Copies, t.NeedsClock, t.Numbering, t.IDs = true, in.clock, n, b.given.IDs
	return t
}
