package plan

import (
	"fmt"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"xaproxy/proxy/route"
)

// Numbering asks for the ids of rows whose AUTO_INCREMENT column the statement
// leaves to the server, and names the ids that it gives itself: those push the
// next ones on.
type Numbering struct {
	Table  TableName
	Column string
	Shards []route.Shard // that have the table, ascending
	Most   uint64        // the highest id that can be generated for the column's type
	Rows   []NumberedRow // in the statement's order
	// Sure: every row is inserted, or the statement fails.
	Sure bool
}

// NumberedRow is one row of a Numbering.
type NumberedRow struct {
	Generate bool
	Given    uint64 // else the row's own id; 0 when it pushes nothing: 0 and less
}

// Generated is how many rows are to be numbered.
func (n *Numbering) Generated() int {
	count := 0
	for _, r := range n.Rows {
		if r.Generate {
			count++
		}
	}
	return count
}

// Numbered reports whether ids of the table's rows come from a sequence.
func (t *Table) Numbered() bool { return t.Rule.Kind() != route.RuleOne && t.autoColumn() != "" }

// numberer says what an INSERT into a sharded table does to its AUTO_INCREMENT
// column.
type numberer struct {
	column *Column
	at     int     // its place among the row's values, negative: it is not given
	rows   []value // of each row
	more   []value // what ON DUPLICATE KEY UPDATE gives it
	only   bool    // the statement gives no column a value
	sure   bool
}

// numberer notes where the rows' ids come from; nil: the table has no
// AUTO_INCREMENT column.
func (a *analysis) numberer(n *ast.InsertStmt, rows [][]ast.ExprNode, columns []string) (*numberer, error) {
	t := a.site.sharded
	name := t.autoColumn()
	if name == "" {
		return nil, nil //nolint:nilnil // there is nothing to number
	}
	nr := &numberer{column: t.column(name), at: indexOf(columns, name), only: len(columns) == 0,
		sure: !n.IgnoreErr && len(n.OnDuplicate) == 0}
	if nr.column.bits() == 0 {
		return nil, unsupported("AUTO_INCREMENT of "+t.Name+"."+nr.column.Name+", which is no integer", "give it an integer type")
	}
	for _, row := range rows {
		v := value{kind: valueDefault}
		if nr.at >= 0 && nr.at < len(row) {
			v = a.value(row[nr.at])
		}
		nr.rows = append(nr.rows, v)
	}
	for _, as := range n.OnDuplicate {
		given, err := a.numberAssigned(nr.column, as)
		if err != nil {
			return nil, err
		}
		nr.more = append(nr.more, given...)
	}
	return nr, nil
}

// numberAssigned is the id that an assignment gives to rows, if it is to the
// AUTO_INCREMENT column and gives one.
func (a *analysis) numberAssigned(c *Column, as *ast.Assignment) ([]value, error) {
	if !strings.EqualFold(as.Column.Name.O, c.Name) || keeps(as) {
		return nil, nil
	}
	v := a.value(as.Expr)
	if v.kind != valueLiteral && v.kind != valueParam && v.kind != valueInsertID {
		return nil, unsupported("an expression for the AUTO_INCREMENT column "+a.site.sharded.Name+"."+c.Name, "give it a literal or a parameter")
	}
	return []value{v}, nil
}

// keeps reports whether an assignment leaves a column as it is, or as the row of
// the INSERT has it: id = id, LAST_INSERT_ID(id), VALUES(id).
func keeps(as *ast.Assignment) bool {
	switch n := strip(as.Expr).(type) {
	case *ast.ColumnNameExpr:
		return n.Name.Name.L == as.Column.Name.L // the stored row's, or the new one's
	case *ast.ValuesExpr:
		return n.Column.Name.Name.L == as.Column.Name.L
	case *ast.FuncCallExpr:
		return keepsItself(as)
	}
	return false
}

// keepsItself reports whether an assignment leaves a column as the stored row has
// it: id = id, LAST_INSERT_ID(id).
func keepsItself(as *ast.Assignment) bool {
	e := strip(as.Expr)
	if call, ok := e.(*ast.FuncCallExpr); ok && call.Schema.L == "" && call.FnName.L == "last_insert_id" && len(call.Args) == 1 {
		e = strip(call.Args[0])
	}
	c, ok := e.(*ast.ColumnNameExpr)
	return ok && c.Name.Name.L == as.Column.Name.L && c.Name.Table.L == as.Column.Table.L
}

// most is the highest id that servers generate for a column: of BIGINT UNSIGNED
// they keep the last number for themselves.
func (c *Column) most() uint64 {
	if c.Unsigned && c.bits() == 64 {
		return c.highest() - 1
	}
	return c.highest()
}

// request makes the Numbering of a statement.
func (nr *numberer) request(b *binding, t *Table) (*Numbering, error) {
	n := &Numbering{Table: TableName{t.Schema, t.Name}, Column: nr.column.Name, Shards: t.Rule.Shards(), Most: nr.column.most(), Sure: nr.sure}
	for i, v := range nr.rows {
		r, err := b.numbered(t, nr.column, v, i)
		if err != nil {
			return nil, err
		}
		n.Rows = append(n.Rows, r)
	}
	for _, v := range nr.more {
		r, err := b.numbered(t, nr.column, v, 0)
		if err != nil {
			return nil, err
		}
		n.Rows = append(n.Rows, NumberedRow{Given: r.Given}) // stored as it is, also 0
	}
	return n, nil
}

// last is the number that the statement's last row gives the column, in two's
// complement.
func (nr *numberer) last(b *binding) uint64 {
	v := nr.rows[len(nr.rows)-1]
	n := len(b.given.IDs)
	key, f := b.key(nr.column, v, toStore)
	if f == fitExact && (key.Int != 0 || b.flags&lexZeroIsValue != 0 || n == 0) {
		return uint64(key.Int)
	}
	if n == 0 {
		return 0
	}
	return b.given.IDs[n-1]
}

// numbered reads what a row has for the AUTO_INCREMENT column. NULL, DEFAULT and,
// unless sql_mode says otherwise, 0 ask for an id.
func (b *binding) numbered(t *Table, c *Column, v value, row int) (NumberedRow, error) {
	if v.kind == valueDefault || b.isNull(v) {
		return NumberedRow{Generate: true}, nil
	}
	key, f := route.Key{}, fitInexact
	if v.kind == valueLiteral || v.kind == valueParam || v.kind == valueInsertID {
		key, f = b.key(c, v, toStore)
	}
	switch {
	case f != fitExact || key.Kind != route.KeyInt:
		return NumberedRow{}, noKey(fmt.Sprintf("no number for the AUTO_INCREMENT column %s.%s in row %d", t.Name, c.Name, row+1),
			"give it as the column stores it, or NULL")
	case key.Int == 0:
		return NumberedRow{Generate: b.flags&lexZeroIsValue == 0}, nil
	case key.Int < 0 && !c.Unsigned:
		return NumberedRow{}, nil
	}
	return NumberedRow{Given: uint64(key.Int)}, nil
}

// updatedIDs wraps the binder of an UPDATE that gives ids to rows.
type updatedIDs struct {
	binder
	table  *Table
	column *Column
	given  []value
}

func (u *updatedIDs) needsText() bool { return true }

func (u *updatedIDs) bind(b *binding) (Targets, error) {
	t, err := u.binder.bind(b)
	if err != nil || len(b.missing) > 0 || b.given.Numbered {
		return t, err
	}
	n := &numberer{column: u.column, more: u.given}
	request, err := n.request(b, u.table)
	if err != nil {
		return Targets{}, err
	}
	return Targets{Mode: ModeNumbers, Numbering: request}, nil
}

// updatesIDs completes the plan of an UPDATE that assigns to the AUTO_INCREMENT
// column: what is written there pushes the next ids on.
func (a *analysis) updatesIDs(list []*ast.Assignment) error {
	t := a.site.sharded
	name := t.autoColumn()
	if name == "" {
		return nil
	}
	c := t.column(name)
	var given []value
	for _, as := range list {
		more, err := a.numberAssigned(c, as)
		if err != nil {
			return err
		}
		given = append(given, more...)
	}
	if len(given) > 0 {
		a.plan.bind = &updatedIDs{binder: a.plan.bind, table: t, column: c, given: given}
	}
	return nil
}
