package plan

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"xaproxy/proxy/route"
)

// insert plans INSERT and REPLACE.
func (a *analysis) insert(n *ast.InsertStmt) error {
	a.plan.Class, a.plan.Locking = ClassInsert, true
	a.plan.SetsInsertID = a.plan.Pins&StateLastInsertID != 0
	a.plan.Pins &^= StateLastInsertID // the OK packet has it
	if n.IsReplace {
		a.plan.Class = ClassReplace
	}
	if delayed(n.Priority) {
		return unsupported("INSERT DELAYED", "")
	}
	if done, err := a.writeSite(n.Table); done || err != nil {
		return err
	}
	b := &inserted{table: a.site.sharded, split: !n.Setlist, clock: a.clocked(), ignore: n.IgnoreErr, update: len(n.OnDuplicate) > 0,
		copies: a.site.kind == siteCopies}
	if b.copies {
		if done, err := a.insertsCopies(n); done || err != nil {
			return err
		}
	}
	if err := a.insertRows(n, b); err != nil {
		return err
	}
	if b.copies && b.several != nil {
		return b.several
	}
	a.plan.bind = b
	return nil
}

// insertRows notes what is inserted where.
func (a *analysis) insertRows(n *ast.InsertStmt, b *inserted) error {
	t := b.table
	rows, err := insertedRows(n, t)
	if err != nil {
		return err
	}
	columns, err := t.insertColumns(n, rows)
	if err != nil {
		return err
	}
	for _, as := range n.OnDuplicate {
		if as.Column.Name.L == t.Rule.Column() && !keepsItself(as) {
			return unsupported("ON DUPLICATE KEY UPDATE of the sharding key "+t.Name+"."+t.Rule.Column(), "")
		}
	}
	if b.numbers, err = a.numberer(n, rows, columns); err != nil {
		return err
	}
	if len(n.Columns) == 0 && len(columns) > 0 {
		if b.list, err = a.columnList(t, columns); err != nil {
			return err
		}
	}
	if err := a.readRows(b, rows, columns); err != nil {
		return err
	}
	b.several = a.severalRows(n, b, columns)
	return nil
}

// insertedRows returns the rows of VALUES (..), VALUES ROW(..) and SET.
func insertedRows(n *ast.InsertStmt, t *Table) ([][]ast.ExprNode, error) {
	rows := n.Lists
	if n.Select != nil {
		sel, ok := n.Select.(*ast.SelectStmt)
		if !ok || sel.Kind != ast.SelectStmtKindValues || sel.OrderBy != nil || sel.Limit != nil || sel.With != nil {
			return nil, unsupported("INSERT ... SELECT into the "+t.kind()+" table "+t.Name, "select the rows and insert them by VALUES")
		}
		rows = nil
		for _, r := range sel.Lists {
			rows = append(rows, r.Values)
		}
	}
	if len(rows) == 0 {
		return nil, noKey("no row for the "+t.kind()+" table "+t.Name, "give "+cmp.Or(t.Rule.Column(), "its columns")+" a value")
	}
	return rows, nil
}

// insertColumns returns the columns that the values of a row are for, in lower
// case.
func (t *Table) insertColumns(n *ast.InsertStmt, rows [][]ast.ExprNode) ([]string, error) {
	var columns []string
	for _, c := range n.Columns {
		columns = append(columns, c.Name.L)
	}
	if len(n.Columns) == 0 && len(rows[0]) > 0 { // none, or (): a row of defaults needs none
		for i := range t.Columns {
			if !t.Columns[i].Invisible {
				columns = append(columns, strings.ToLower(t.Columns[i].Name))
			}
		}
	}
	seen := make(map[string]bool)
	for _, c := range columns {
		if seen[c] {
			return nil, syntax("column '" + c + "' specified twice")
		}
		seen[c] = true
	}
	return columns, nil
}

// columnList makes the list of columns that the statement leaves out. Rows are
// placed by the order of columns that the catalog knows. A shard whose order is
// another one by now would store the values elsewhere, and the key with them:
// with a list it stores by name, or refuses.
func (a *analysis) columnList(t *Table, columns []string) (string, error) {
	if _, _, ok := a.text.listPlace(); !ok {
		return "", unsupported("this spelling of an INSERT without a list of columns", "INSERT INTO table (columns) VALUES (...)")
	}
	var list []byte
	for i, lower := range columns {
		if i > 0 {
			list = append(list, ", "...)
		}
		name := t.column(lower).Name
		if err := a.text.readable(name); err != nil {
			return "", err
		}
		list = appendName(list, name)
	}
	return string(list), nil
}

// listPlace finds where an INSERT takes its list of columns: behind the table's
// name and its partitions, or in the parentheses of an empty list.
func (l *lexed) listPlace() (pos int, inside, ok bool) {
	i, ok := l.insertTable()
	if !ok {
		return 0, false, false
	}
	pos = int(l.toks[i].end)
	if inside = l.op(i+1, '(') && l.op(i+2, ')'); inside {
		pos = int(l.toks[i+1].end)
		i += 2
	}
	return pos, inside, l.is(i+1, "VALUES") || l.is(i+1, "VALUE")
}

// ownList finds where the list of columns begins that an INSERT has.
func (l *lexed) ownList() (pos int, ok bool) {
	i, ok := l.insertTable()
	if !ok || !l.op(i+1, '(') || l.op(i+2, ')') {
		return 0, false
	}
	return int(l.toks[i+1].end), true
}

// insertTable is the last token of the table that an INSERT names, with its
// partitions.
func (l *lexed) insertTable() (int, bool) {
	i := 1
	for l.is(i, "LOW_PRIORITY") || l.is(i, "HIGH_PRIORITY") || l.is(i, "DELAYED") || l.is(i, "IGNORE") || l.is(i, "INTO") {
		i++
	}
	if l.op(i+1, '.') {
		i += 2
	}
	if i >= len(l.toks) || l.toks[i].kind != tokWord && l.toks[i].kind != tokQuoted {
		return 0, false
	}
	if l.is(i+1, "PARTITION") {
		return l.closing(i + 2)
	}
	return i, true
}

// readRows notes where each row's key and generated number come from.
func (a *analysis) readRows(b *inserted, rows [][]ast.ExprNode, columns []string) error {
	t := b.table
	key := indexOf(columns, t.Rule.Column())
	if key < 0 && !b.copies && (b.numbers == nil || !strings.EqualFold(b.numbers.column.Name, t.Rule.Column())) {
		return noKey("INSERT without a value for "+t.Name+"."+t.Rule.Column(), "give it a value")
	}
	for i, row := range rows {
		if len(row) != len(columns) {
			return &Refusal{Code: CodeColumnCount, Construct: fmt.Sprintf("column count doesn't match value count at row %d", i+1)}
		}
		v := value{kind: valueDefault}
		if key >= 0 {
			v = a.value(row[key])
		}
		b.keys = append(b.keys, v)
	}
	return nil
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

// severalRows says why the rows may not be spread over several shards.
func (a *analysis) severalRows(n *ast.InsertStmt, b *inserted, columns []string) *Refusal {
	for i := range b.table.Columns {
		c := &b.table.Columns[i]
		if c.VolatileDefault && !c.ClockDefault && indexOf(columns, strings.ToLower(c.Name)) < 0 {
			return unsupported("the default of "+b.table.Name+"."+c.Name+" over several shards", "give the column a value: every shard would have another one")
		}
	}
	if n.Select != nil { // VALUES ROW(..): a SELECT of the parser's, which holds no subquery
		a.facts.selects--
	}
	return a.everywhere("insert the rows of one shard at a time")
}

// kind is how the table's rows are placed, for people.
func (t *Table) kind() string {
	if t.Rule.Kind() == route.RuleCopies {
		return "reference"
	}
	return "sharded"
}

// autoColumn is the AUTO_INCREMENT column's name in lower case.
func (t *Table) autoColumn() string {
	for i := range t.Columns {
		if t.Columns[i].AutoInc {
			return strings.ToLower(t.Columns[i].Name)
		}
	}
	return ""
}

// column finds a column by name.
func (t *Table) column(name string) *Column {
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, name) {
			return &t.Columns[i]
		}
	}
	return nil
}

// span is a row's place in the text.
type span struct{ start, end int }

// rows finds the rows behind VALUES: want parenthesised lists, separated by
// commas, then the end or ON DUPLICATE KEY.
func (l *lexed) rows(dst []span, want int) ([]span, bool) {
	i, ok := l.valuesWord()
	if !ok {
		return nil, false
	}
	for i++; ; i++ {
		if l.is(i, "ROW") {
			i++
		}
		start := i
		if l.is(i-1, "ROW") {
			start--
		}
		end, ok := l.closing(i)
		if !ok {
			return nil, false
		}
		dst = append(dst, span{int(l.toks[start].start), int(l.toks[end].end)})
		i = end + 1
		if !l.op(i, ',') {
			break
		}
	}
	return dst, len(dst) == want && (i == len(l.toks) || l.is(i, "ON") || l.is(i, "AS"))
}

// rowAlias finds the tokens from AS on that give the new row a name, in INSERT ...
// VALUES (..) AS new(a, b) ON DUPLICATE KEY UPDATE c = new.a, which the parser
// does not read. No plan depends on them.
func (l *lexed) rowAlias() (from, to int) {
	if !l.is(0, "INSERT") {
		return 0, 0
	}
	depth, values := 0, false
	for i := range l.toks {
		switch {
		case l.op(i, '('):
			depth++
		case l.op(i, ')'):
			depth--
		case depth > 0:
		case l.is(i, "SELECT") || l.is(i, "TABLE") || l.is(i, "WITH") || l.is(i, "ON"):
			return 0, 0
		case l.is(i, "VALUES") || l.is(i, "VALUE") || l.is(i, "SET"):
			values = true
		case values && l.is(i, "AS"):
			return i, l.aliasEnd(i + 1)
		}
	}
	return 0, 0
}

// aliasEnd is the token behind the row's name at token i and its list of columns.
func (l *lexed) aliasEnd(i int) int {
	if i >= len(l.toks) || l.toks[i].kind != tokWord && l.toks[i].kind != tokQuoted {
		return 0
	}
	if end, ok := l.closing(i + 1); ok {
		i = end
	}
	return i + 1
}

// valuesWord finds the VALUES that the rows follow: the last one before ON
// DUPLICATE KEY that is not in parentheses.
func (l *lexed) valuesWord() (int, bool) {
	depth, found := 0, -1
	for i := range l.toks {
		switch {
		case l.op(i, '('):
			depth++
		case l.op(i, ')'):
			depth--
		case depth == 0 && l.is(i, "ON"):
			return found, found >= 0
		case depth == 0 && (l.is(i, "VALUES") || l.is(i, "VALUE")):
			found = i
		}
	}
	return found, found >= 0
}

// closing returns the parenthesis that closes the one at token i.
func (l *lexed) closing(i int) (int, bool) {
	if !l.op(i, '(') {
		return 0, false
	}
	depth := 0
	for ; i < len(l.toks); i++ {
		switch {
		case l.op(i, '('):
			depth++
		case l.op(i, ')'):
			depth--
			if depth == 0 {
				return i, true
			}
		}
	}
	return 0, false
}
