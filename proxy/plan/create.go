package plan

import (
	"errors"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
	"github.com/pingcap/tidb/pkg/parser/test_driver"
	"github.com/pingcap/tidb/pkg/parser/types"

	"xaproxy/proxy/route"
)

// createTable plans CREATE TABLE: the new table's rule follows from the
// configuration and the definition.
func (d *definition) createTable(n *ast.CreateTableStmt) error {
	name, err := d.resolve(n.Table)
	if err != nil {
		return err
	}
	switch {
	case n.TemporaryKeyword != ast.TemporaryNone:
		return unsupported("CREATE TEMPORARY TABLE", "use an ordinary table")
	case n.Select != nil:
		return unsupported("CREATE TABLE ... SELECT", "create the table, then insert by VALUES")
	}
	if err := allowedOptions(n.Options); err != nil {
		return err
	}
	ddl := d.plan.DDL
	ddl.Verb, ddl.Tables, ddl.IfNotExists = DDLCreateTable, []TableName{name}, n.IfNotExists
	existing, err := d.env.Catalog.Table(name.Schema, name.Name)
	if err == nil { // the shards say that it exists
		d.plan.bind = allShards{shards: existing.Rule.Shards()}
		return nil
	}
	// IF NOT EXISTS may complete a table that some shards lack.
	if r := (*Refusal)(nil); !errors.As(err, &r) || r.Code != CodeNoSuchTable && r.Code != CodeUnsupported && (r.Code != CodeUnusable || !n.IfNotExists) {
		return err
	}
	t, refs, err := d.newTable(n, name)
	if err != nil {
		return err
	}
	if err := d.placeNew(t, refs); err != nil {
		return err
	}
	ddl.Created, ddl.Renumbers = t, true
	d.plan.bind = allShards{shards: t.Rule.Shards()}
	return nil
}

// placeNew gives a new table its rule and checks it. refs are the tables that
// it refers to.
func (d *definition) placeNew(t *Table, refs []*ast.TableName) error {
	rule, err := NewRule(d.env.Catalog.Map(), t, d.env.Weights)
	if err != nil {
		return err
	}
	t.Rule = rule
	if err := Check(t); err != nil {
		return err
	}
	f, _ := d.env.Catalog.(Families)
	if c := t.Key(); c != nil && OneFamilyWeighs(c.Collation) && (f == nil || !f.OnlyMySQL()) {
		return WeighedOtherwise(t, c)
	}
	if err := d.inGroup(t); err != nil {
		return err
	}
	return d.references(t, refs)
}

// inGroup refuses a table that is not placed as those of its group are.
func (d *definition) inGroup(t *Table) error {
	m := d.env.Catalog.Map()
	p, _ := m.Lookup(t.Schema, t.Name)
	for _, name := range m.Group(p.Group) {
		schema, table, qualified := strings.Cut(name, ".")
		if !qualified {
			schema, table = t.Schema, name
		}
		other, err := d.env.Catalog.Table(schema, table)
		if err != nil || other.same(t) { // it does not exist, or is refused itself
			continue
		}
		if !t.Rule.Together(other.Rule) {
			return NotTogether(p.Group, t, other)
		}
	}
	return nil
}

// WeighedOtherwise is the refusal of a key whose collation MySQL and MariaDB weigh
// each in its way.
func WeighedOtherwise(t *Table, c *Column) *Refusal {
	return unsupported("the collation '"+c.Collation+"' of "+t.Name+"."+c.Name+" for a sharding key where a shard is MariaDB",
		"MariaDB gives its strings other weights than MySQL; give the column a collation such as utf8mb4_bin or utf8mb4_general_ci")
}

// NotTogether is the refusal of tables that the configuration puts into one group
// and whose equal keys are not on the same shards.
func NotTogether(group string, a, b *Table) *Refusal {
	return unsupported("the tables "+a.Schema+"."+a.Name+", placed by "+a.Rule.Text()+", and "+b.Schema+"."+b.Name+", placed by "+b.Rule.Text()+
		", in the group "+group, "give their keys the same type and collation and the same function, or take one out of the group")
}

// references refuses foreign keys that leave the table's shard.
func (d *definition) references(t *Table, refs []*ast.TableName) error {
	for _, ref := range refs {
		name, err := d.resolve(ref)
		if err != nil {
			return err
		}
		if name == (TableName{t.Schema, t.Name}) {
			continue
		}
		parent, err := d.env.Catalog.Table(name.Schema, name.Name)
		if err != nil {
			return err
		}
		if !whole(t.Rule, parent.Rule) {
			return unsupported("FOREIGN KEY from "+t.Name+" to "+parent.Name+", which is not on the same shard as a whole", "place both tables on one shard")
		}
	}
	return nil
}

// whole reports whether every shard that has rows of a table which is not spread
// has all rows of the parent.
func whole(child, parent route.Rule) bool {
	switch parent.Kind() {
	case route.RuleOne:
		return child.Kind() == route.RuleOne && child.Shards()[0] == parent.Shards()[0]
	case route.RuleCopies:
		return child.Kind() == route.RuleOne || child.Kind() == route.RuleCopies
	case route.RuleSharded, route.RuleInvalid:
	}
	return false
}

// allowedOptions refuses table options that change where or how rows live.
func allowedOptions(options []*ast.TableOption) error {
	for _, o := range options {
		//nolint:exhaustive // an allow-list over the parser's enum
		switch o.Tp {
		case ast.TableOptionCharset, ast.TableOptionCollate, ast.TableOptionAutoIncrement, ast.TableOptionComment, ast.TableOptionAvgRowLength,
			ast.TableOptionCheckSum, ast.TableOptionTableCheckSum, ast.TableOptionCompression, ast.TableOptionKeyBlockSize,
			ast.TableOptionMaxRows, ast.TableOptionMinRows, ast.TableOptionDelayKeyWrite, ast.TableOptionRowFormat,
			ast.TableOptionStatsPersistent, ast.TableOptionStatsAutoRecalc, ast.TableOptionStatsSamplePages, ast.TableOptionPackKeys,
			ast.TableOptionEncryption, ast.TableOptionPageChecksum, ast.TableOptionPageCompressed, ast.TableOptionPageCompressionLevel:
		case ast.TableOptionEngine:
			if !strings.EqualFold(o.StrValue, "InnoDB") {
				return unsupported("ENGINE="+o.StrValue, "use InnoDB: other engines have no transactions")
			}
		default:
			return unsupported("this table option", "")
		}
	}
	return nil
}

// newTable reads the facts of CREATE TABLE.
func (d *definition) newTable(n *ast.CreateTableStmt, name TableName) (*Table, []*ast.TableName, error) {
	t := &Table{Schema: name.Schema, Name: name.Name}
	if n.ReferTable != nil {
		return t, nil, d.copyOf(t, n.ReferTable)
	}
	var refs []*ast.TableName
	for _, c := range n.Cols {
		col, ref, err := d.newColumn(t, c)
		if err != nil {
			return nil, nil, err
		}
		t.Columns = append(t.Columns, col)
		refs = append(refs, ref...)
	}
	for _, c := range n.Constraints {
		ref, err := addConstraint(t, c)
		if err != nil {
			return nil, nil, err
		}
		refs = append(refs, ref...)
	}
	t.ForeignKeys = len(refs) > 0
	return t, refs, nil
}

// copyOf reads the facts of CREATE TABLE ... LIKE.
func (d *definition) copyOf(t *Table, like *ast.TableName) error {
	source, err := d.table(like)
	if err != nil {
		return err
	}
	t.Columns, t.Primary, t.Unique = source.Columns, source.Primary, source.Unique
	rule, err := NewRule(d.env.Catalog.Map(), t, d.env.Weights)
	if err != nil {
		return err
	}
	for _, s := range rule.Shards() {
		if !containsShard(source.Rule.Shards(), s) {
			return unsupported("CREATE TABLE "+t.Name+" LIKE "+source.Name+", which is not on all its shards", "give the definition")
		}
	}
	return nil
}

func containsShard(shards []route.Shard, s route.Shard) bool {
	for _, x := range shards {
		if x == s {
			return true
		}
	}
	return false
}

// addConstraint notes what a constraint means for the table.
func addConstraint(t *Table, c *ast.Constraint) ([]*ast.TableName, error) {
	switch c.Tp {
	case ast.ConstraintPrimaryKey:
		t.Primary = append(t.Primary, fullColumns(c.Keys)...)
		if len(t.Primary) == 0 {
			return nil, unsupported("a PRIMARY KEY of prefixes or expressions", "")
		}
	case ast.ConstraintUniq, ast.ConstraintUniqKey, ast.ConstraintUniqIndex:
		t.Unique = append(t.Unique, Unique{Name: c.Name, Columns: fullColumns(c.Keys)})
	case ast.ConstraintForeignKey:
		return []*ast.TableName{c.Refer.Table}, nil
	case ast.ConstraintKey, ast.ConstraintIndex, ast.ConstraintFulltext, ast.ConstraintCheck:
	case ast.ConstraintNoConstraint, ast.ConstraintVector, ast.ConstraintColumnar:
		return nil, unsupported("this constraint", "")
	}
	return nil, nil
}

// newColumn reads the facts of a column and notes its keys.
func (d *definition) newColumn(t *Table, def *ast.ColumnDef) (Column, []*ast.TableName, error) {
	c := columnOf(def)
	if c.Type.Text() {
		d.collate(t, &c)
	}
	var refs []*ast.TableName
	for _, o := range def.Options {
		switch o.Tp {
		case ast.ColumnOptionPrimaryKey:
			t.Primary = append(t.Primary, c.Name)
		case ast.ColumnOptionUniqKey:
			t.Unique = append(t.Unique, Unique{Name: c.Name, Columns: []string{c.Name}})
		case ast.ColumnOptionReference:
			refs = append(refs, o.Refer.Table)
		case ast.ColumnOptionNotNull, ast.ColumnOptionNull, ast.ColumnOptionAutoIncrement, ast.ColumnOptionDefaultValue,
			ast.ColumnOptionOnUpdate, ast.ColumnOptionComment, ast.ColumnOptionGenerated, ast.ColumnOptionCollate,
			ast.ColumnOptionCheck, ast.ColumnOptionColumnFormat, ast.ColumnOptionStorage:
		case ast.ColumnOptionNoOption, ast.ColumnOptionFulltext, ast.ColumnOptionAutoRandom, ast.ColumnOptionSecondaryEngineAttribute:
			return c, nil, unsupported("this option of the column "+c.Name, "")
		}
	}
	return c, refs, nil
}

// columnOf reads a column's type and the options that matter to rows.
func columnOf(def *ast.ColumnDef) Column {
	c := Column{
		Name: def.Name.Name.O, Type: columnType(def.Tp), Length: def.Tp.GetFlen(),
		Unsigned: mysql.HasUnsignedFlag(def.Tp.GetFlag()) || mysql.HasZerofillFlag(def.Tp.GetFlag()),
	}
	if c.Length == types.UnspecifiedLength {
		c.Length = 1 // CHAR, BINARY, BIT
	}
	c.sizes(def.Tp)
	c.Nullable = true
	for _, o := range def.Options {
		//nolint:exhaustive // an allow-list over the parser's enum
		switch o.Tp {
		case ast.ColumnOptionNotNull, ast.ColumnOptionPrimaryKey:
			c.Nullable = false
		case ast.ColumnOptionAutoIncrement:
			c.AutoInc = true
		case ast.ColumnOptionGenerated:
			c.Generated = true
		case ast.ColumnOptionOnUpdate:
			c.OnUpdateNow = true
		case ast.ColumnOptionDefaultValue:
			c.VolatileDefault, c.ClockDefault = !constantDefault(o.Expr), clockDefault(o.Expr)
		}
	}
	return c
}

// constantDefault reports whether a default is a literal.
func constantDefault(e ast.ExprNode) bool {
	switch n := strip(e).(type) {
	case *test_driver.ValueExpr:
		return true
	case *ast.UnaryOperationExpr:
		return constantDefault(n.V)
	}
	return false
}

// sizes reads how large a column's values can be.
func (c *Column) sizes(t *types.FieldType) {
	const defaultPrecision = 10
	//nolint:exhaustive // the others have no size but a length
	switch c.Type {
	case TypeDecimal:
		c.Precision, c.Decimals, c.Length = c.Length, max(t.GetDecimal(), 0), 0
		if t.GetFlen() == types.UnspecifiedLength {
			c.Precision = defaultPrecision
		}
	case TypeTime, TypeDatetime, TypeTimestamp:
		c.Decimals, c.Length = max(t.GetDecimal(), 0), 0
	case TypeEnum, TypeSet:
		c.Members = t.GetElems()
	}
}

// clockDefault reports whether a default is CURRENT_TIMESTAMP, by whichever of its
// names.
func clockDefault(e ast.ExprNode) bool {
	f, ok := strip(e).(*ast.FuncCallExpr)
	return ok && functions[f.FnName.L] == clock
}

func columnType(t *types.FieldType) ColumnType {
	binary := t.GetCharset() == "binary"
	switch t.GetType() {
	case mysql.TypeString:
		if binary {
			return TypeBinary
		}
		return TypeChar
	case mysql.TypeVarchar, mysql.TypeVarString:
		if binary {
			return TypeVarbinary
		}
		return TypeVarchar
	case mysql.TypeTinyBlob, mysql.TypeBlob, mysql.TypeMediumBlob, mysql.TypeLongBlob:
		if binary {
			return TypeBlob
		}
		return TypeText
	}
	return parsedTypes[t.GetType()]
}

// parsedTypes are the parser's types that do not depend on a character set.
//
//nolint:gochecknoglobals // a table
var parsedTypes = map[byte]ColumnType{
	mysql.TypeTiny: TypeTiny, mysql.TypeShort: TypeSmall, mysql.TypeInt24: TypeMedium, mysql.TypeLong: TypeInt, mysql.TypeLonglong: TypeBig,
	mysql.TypeNewDecimal: TypeDecimal, mysql.TypeFloat: TypeFloat, mysql.TypeDouble: TypeDouble, mysql.TypeBit: TypeBit,
	mysql.TypeDate: TypeDate, mysql.TypeNewDate: TypeDate, mysql.TypeDuration: TypeTime, mysql.TypeDatetime: TypeDatetime,
	mysql.TypeTimestamp: TypeTimestamp, mysql.TypeYear: TypeYear, mysql.TypeEnum: TypeEnum, mysql.TypeSet: TypeSet,
	mysql.TypeJSON: TypeJSON, mysql.TypeGeometry: TypeGeometry,
}

// collate finds a text column's collation: its own, else the table's, else the
// schema's. What cannot be told leaves it empty, which no key may be.
func (d *definition) collate(t *Table, c *Column) {
	body, options := d.parts()
	element := d.element(body, c.Name)
	if d.attributed(element) {
		return
	}
	charset, collation := d.charsetWords(element)
	if charset == "" && collation == "" {
		charset, collation = d.charsetWords(options)
	}
	if collation == "" {
		collation = d.env.Catalog.Collation(t.Schema, charset)
	}
	if collation == "" || charsetOf(collation) == "binary" || charset == "binary" || strings.HasPrefix(collation, "uca1400") {
		return
	}
	if rest, old := strings.CutPrefix(collation, "utf8_"); old { // the servers' own name since MySQL 8.0.30 and MariaDB 10.6
		collation = "utf8mb3_" + rest
	}
	c.Collation, c.Charset = collation, charsetOf(collation)
}

// attributed reports whether a text column has an attribute that chooses its
// character set or collation in a way of its own.
func (d *definition) attributed(element span) bool {
	for i := element.start; i < element.end; i++ {
		for _, w := range [...]string{"NATIONAL", "NCHAR", "NVARCHAR"} {
			if d.is(i, w) {
				return true
			}
		}
		for _, w := range [...]string{"BYTE", "ASCII", "UNICODE", "BINARY"} {
			if d.is(i, w) && i >= element.start+2 {
				return true
			}
		}
	}
	return false
}

// parts finds, as spans of tokens, the columns' parentheses and what follows.
func (d *definition) parts() (body, options span) {
	for i := range d.toks {
		if !d.op(i, '(') {
			continue
		}
		end, ok := d.closing(i)
		if !ok {
			break
		}
		return span{i + 1, end}, span{end + 1, len(d.toks)}
	}
	return span{}, span{}
}

// element finds the tokens of a column's definition.
func (d *definition) element(body span, column string) span {
	start, depth := body.start, 0
	for i := body.start; i <= body.end && i < len(d.toks); i++ {
		switch {
		case d.op(i, '('):
			depth++
		case d.op(i, ')') && i < body.end:
			depth--
		case i == body.end, depth == 0 && d.op(i, ','):
			if start < i && strings.EqualFold(d.name(d.toks[start]), column) {
				return span{start, i}
			}
			start = i + 1
		}
	}
	return span{}
}

// charsetWords finds CHARACTER SET and COLLATE outside of parentheses.
func (d *definition) charsetWords(s span) (charset, collation string) {
	depth := 0
	for i := s.start; i < s.end; i++ {
		switch {
		case d.op(i, '('):
			depth++
		case d.op(i, ')'):
			depth--
		case depth > 0:
		case d.is(i, "COLLATE"):
			collation = d.settingAfter(i + 1)
		case d.is(i, "CHARSET"), d.is(i, "SET") && d.is(i-1, "CHARACTER"):
			charset = d.settingAfter(i + 1)
		}
	}
	return charset, collation
}

// settingAfter reads [=] name, in lower case.
func (d *definition) settingAfter(i int) string {
	if d.op(i, '=') {
		i++
	}
	if i >= len(d.toks) {
		return ""
	}
	switch t := d.toks[i]; t.kind {
	case tokWord, tokQuoted:
		return strings.ToLower(d.name(t))
	case tokString:
		return strings.ToLower(unquote(d.text(t), d.flags&lexNoBackslash == 0))
	case tokOp, tokInt, tokDecimal, tokFloat, tokHex, tokBit, tokNString, tokParam, tokUserVar, tokSysVar:
	}
	return ""
}
