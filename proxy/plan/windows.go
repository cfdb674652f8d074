package plan

import (
	"slices"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// windows are the window functions of a block itself.
func (b *block) windows() []*ast.WindowFuncExpr {
	m := &mention{}
	if b.sel.Fields != nil {
		b.sel.Fields.Accept(m)
	}
	if b.sel.OrderBy != nil {
		b.sel.OrderBy.Accept(m)
	}
	return m.windows
}

// apartWindow finds a window function of a block whose partitions do not have
// their rows on one shard each: no sharding key is among what they are
// partitioned by.
func (b *block) apartWindow() *ast.WindowFuncExpr {
	for _, f := range b.windows() {
		if !b.partitionsWhole(&f.Spec) {
			return f
		}
	}
	return nil
}

// partitionsWhole follows a window's names to its PARTITION BY.
func (b *block) partitionsWhole(w *ast.WindowSpec) bool {
	for range len(b.sel.WindowSpecs) + 1 {
		if w.PartitionBy != nil {
			return slices.ContainsFunc(w.PartitionBy.Items, func(by *ast.ByItem) bool { return b.namesKey(by.Expr) })
		}
		name := w.Ref.L
		if w.OnlyAlias {
			name = w.Name.L
		}
		i := slices.IndexFunc(b.sel.WindowSpecs, func(s ast.WindowSpec) bool { return name != "" && s.Name.L == name })
		if i < 0 {
			return false
		}
		w = &b.sel.WindowSpecs[i]
	}
	return false
}

// namesKey reports whether an expression is a sharding key with a value in every
// row, by a name that nothing else in the select list has.
func (b *block) namesKey(e ast.ExprNode) bool {
	name, ok := simpleName(e)
	l := b.ownKey(e)
	if !ok || l == nil || l.nullable {
		return false
	}
	return name.Table.L != "" || !slices.ContainsFunc(b.sel.Fields.Fields, func(f *ast.SelectField) bool {
		return f.AsName.L == name.Name.L && b.ownKey(f.Expr) != l
	})
}
