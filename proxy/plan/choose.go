package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"xaproxy/proxy/route"
)

// Choose says how an UPDATE or DELETE with LIMIT finds its rows on several shards:
// a SELECT for all of them locks as many as each shard might have to change, and
// returns the primary keys of those that one server would change. Then each shard
// changes exactly these. Where the order leaves open which rows come first, as any
// without ORDER BY does, so does one server.
type Choose struct {
	// Plan, SQL, Params and Targets are the SELECT: SQL is its text, Params the
	// numbers of the client's parameters that it has (nil: it has none), Targets
	// those of SQL. The first column of each part's text is to be replaced: see At.
	Plan    *Plan
	SQL     string
	Params  []int
	Targets Targets

	table          *Table
	keys           []*Column
	before, behind fragment // around the condition on the primary key
}

// fragment is a piece of a text with the numbers of its parameters.
type fragment struct {
	text   string
	params []int
}

// Chosen is a row that is to be changed: its shard, and the values of the
// SELECT's other columns.
type Chosen struct {
	Shard  route.Shard
	Values []string
}

// chosenAtOnce is how many rows one statement changes by their primary keys.
const chosenAtOnce = 500

// The first column has the same name everywhere.
const (
	chooseHead = "SELECT 0" + chooseName
	chooseName = " AS `xap-shard`,"
)

// At is a part's text whose first column is the shard's number.
func (c *Choose) At(p Part) string {
	rest, _ := strings.CutPrefix(p.SQL, chooseHead)
	return "SELECT " + strconv.FormatUint(uint64(p.Shard), 10) + chooseName + rest
}

// Parts are the statements that change the rows, which come in the SELECT's order.
// A shard has several when it has many rows.
func (c *Choose) Parts(rows []Chosen) []Part {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b Chosen) int { return int(a.Shard) - int(b.Shard) })
	var parts []Part
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && n < chosenAtOnce && rows[n].Shard == rows[0].Shard {
			n++
		}
		p := Part{Shard: rows[0].Shard, SQL: c.before.text + c.condition(rows[:n]) + c.behind.text}
		if c.before.params != nil || c.behind.params != nil {
			p.Params = append(append([]int{}, c.before.params...), c.behind.params...) // not nil: that means all
		}
		parts = append(parts, p)
		rows = rows[n:]
	}
	return parts
}

// condition is true of the rows only. Servers use an index for it.
func (c *Choose) condition(rows []Chosen) string {
	var b strings.Builder
	for i, row := range rows {
		switch {
		case len(c.keys) > 1 && i > 0:
			b.WriteString(" OR ")
		case len(c.keys) > 1:
		case i > 0:
			b.WriteByte(',')
		default:
			b.WriteString(string(appendName(nil, c.keys[0].Name)) + " IN (")
		}
		if len(c.keys) == 1 {
			b.WriteString(keyLiteral(c.keys[0], row.Values[0]))
			continue
		}
		for j, key := range c.keys {
			if j > 0 {
				b.WriteString(" AND ")
			}
			b.WriteString(string(appendName(nil, key.Name)) + "=" + keyLiteral(key, row.Values[j]))
		}
	}
	if len(c.keys) == 1 {
		b.WriteByte(')')
	}
	return b.String()
}

// keyColumn is what the SELECT has for a column of the primary key: text that
// keyLiteral reads, whatever the session's character sets; "" where there is none
// that equals the value alone.
func keyColumn(c *Column) string {
	name := string(appendName(nil, c.Name))
	switch c.Type {
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig, TypeDecimal, TypeDate, TypeTime, TypeDatetime, TypeYear, TypeUUID, TypeInet:
		return "CAST(" + name + " AS CHAR)"
	case TypeChar, TypeVarchar, TypeText, TypeEnum, TypeSet:
		return "HEX(CONVERT(" + name + " USING utf8mb4))"
	case TypeBinary, TypeVarbinary, TypeBlob:
		return "HEX(" + name + ")"
	case TypeOther, TypeFloat, TypeDouble, TypeBit, TypeTimestamp, TypeJSON, TypeGeometry:
	}
	return ""
}

// keyLiteral is the literal of a value that keyColumn has read.
func keyLiteral(c *Column, value string) string {
	switch c.Type {
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig, TypeDecimal, TypeYear:
		return value
	case TypeChar, TypeVarchar, TypeText, TypeEnum, TypeSet:
		return "_utf8mb4 X'" + value + "'"
	case TypeBinary, TypeVarbinary, TypeBlob:
		return "X'" + value + "'"
	case TypeDate, TypeTime, TypeDatetime, TypeUUID, TypeInet,
		TypeOther, TypeFloat, TypeDouble, TypeBit, TypeTimestamp, TypeJSON, TypeGeometry:
	}
	return "'" + value + "'"
}

// chooser plans the SELECT of an UPDATE or DELETE with LIMIT. It belongs to a
// fingerprint.
type chooser struct {
	table *Table
	keys  []*Column
	at    writeClauses
	head  string // of the SELECT, up to the table
	plan  *Plan
}

// writeClauses are the places of the parts of an UPDATE or DELETE.
type writeClauses struct {
	table tokens // with its alias
	where tokens // without the word WHERE
	order tokens // with the words ORDER BY
	limit tokens // with the word LIMIT
	body  int    // the token behind what stands before WHERE
}

// chooses plans how an UPDATE or DELETE with LIMIT finds its rows on several
// shards, or says why it cannot.
func (a *analysis) chooses(verb string, order *ast.OrderByClause) (*chooser, *Refusal) {
	t := a.site.sharded
	c := &chooser{table: t, head: chooseHead}
	switch {
	case len(t.Primary) == 0 || t.PartialPrimary:
		return nil, unsupported(verb+" with LIMIT over several shards of "+t.Name+", which has no PRIMARY KEY of whole columns", "give the sharding key")
	case a.text.code:
		return nil, unsupported("an executable comment in "+verb+" with LIMIT over several shards", "send the code without the comment")
	}
	for i, name := range t.Primary {
		column := t.column(name)
		text := keyColumn(column)
		if text == "" {
			return nil, unsupported(verb+" with LIMIT over several shards of "+t.Name+", whose primary key has "+column.Name+" of a type that has no exact literal", "give the sharding key")
		}
		if i > 0 {
			c.head += ","
		}
		c.keys, c.head = append(c.keys, column), c.head+text
	}
	c.head += " FROM "
	var ok bool
	if c.at, ok = a.text.writeClauses(); !ok || c.at.order.empty() != (order == nil) {
		return nil, unsupported("this spelling of "+verb+" with LIMIT over several shards", "give the sharding key")
	}
	b := &binding{scratch: &scratch{lexed: *a.text}}
	w := textWriter{b: b, marks: b.paramPlaces()}
	c.write(&w)
	plan, err := a.planner.Plan(*a.env, w.out.String())
	if err != nil {
		return nil, asRefusal(err)
	}
	c.plan = plan
	return c, nil
}

// asRefusal: planning has no other errors.
func asRefusal(err error) *Refusal {
	if r, ok := err.(*Refusal); ok { //nolint:errorlint // not wrapped
		return r
	}
	return unsupported(err.Error(), "")
}

// write writes the SELECT's text.
func (c *chooser) write(w *textWriter) {
	w.piece(piece{before: c.head, at: c.at.table})
	if !c.at.where.empty() {
		w.piece(piece{before: " WHERE ", at: c.at.where})
	}
	w.piece(piece{before: " ", at: c.at.order})
	w.piece(piece{before: " ", at: c.at.limit, after: " FOR UPDATE"})
}

// bind binds the SELECT. It returns nil when weights are asked for first.
func (c *chooser) bind(b *binding) (*Choose, error) {
	marks := b.paramPlaces()
	w := textWriter{b: b, marks: marks}
	c.write(&w)
	out := &Choose{Plan: c.plan, SQL: w.out.String(), table: c.table, keys: c.keys}
	if len(w.params) > 0 {
		out.Params = w.params
	}
	values := make([]Value, len(w.params))
	for i, n := range w.params {
		values[i] = b.params[n]
	}
	var err error
	out.Targets, err = c.plan.Bind(out.SQL, values, b.weights)
	switch {
	case err != nil:
		return nil, err
	case out.Targets.Mode == ModeWeights:
		b.missing = append(b.missing, out.Targets.Weights...)
		return nil, nil //nolint:nilnil // asked for; the next Bind has them
	case out.Targets.Mode != ModeMerge && out.Targets.Mode != ModeConcat:
		return nil, unsupported("LIMIT in a write to several shards of "+c.table.Name, "give the sharding key")
	}
	out.before, out.behind = c.around(b, marks)
	return out, nil
}

// around is the client's text around the condition on the primary key, without
// its LIMIT.
func (c *chooser) around(b *binding, marks paramPlaces) (before, behind fragment) {
	head := textWriter{b: b, marks: marks}
	body := int(b.toks[c.at.body-1].end)
	head.copy(body)
	if c.at.where.empty() {
		head.out.WriteString(" WHERE (")
	} else {
		head.piece(piece{before: " WHERE (", at: c.at.where, after: ") AND ("})
	}
	tail := textWriter{b: b, marks: marks}
	tail.piece(piece{before: ")"})
	if !c.at.order.empty() {
		tail.piece(piece{before: " ", at: c.at.order})
	}
	return fragment{head.out.String(), head.params}, fragment{tail.out.String(), tail.params}
}

// writeClauses finds the parts of an UPDATE or DELETE of one table.
func (l *lexed) writeClauses() (writeClauses, bool) {
	i := 1
	for l.is(i, "LOW_PRIORITY") || l.is(i, "QUICK") || l.is(i, "IGNORE") || l.is(i, "FROM") {
		i++
	}
	begins := l.firstWords(i, "SET", "WHERE", "ORDER", "LIMIT")
	next := len(l.toks)
	upTo := func(from int) tokens {
		if from < 0 || from >= next {
			return tokens{}
		}
		t := tokens{from, next}
		next = from
		return t
	}
	c := writeClauses{limit: upTo(begins[3]), order: upTo(begins[2]), where: upTo(begins[1])}
	c.body = next
	c.table = tokens{i, next}
	if l.is(0, "UPDATE") {
		c.table.to = begins[0]
	}
	if !c.where.empty() {
		c.where.from++
	}
	return c, !c.limit.empty() && !c.table.empty()
}

// firstWords finds words from token i on, the first of each that is outside of
// parentheses; -1: there is none.
func (l *lexed) firstWords(i int, words ...string) []int {
	found := slices.Repeat([]int{-1}, len(words))
	depth := 0
	for ; i < len(l.toks); i++ {
		switch {
		case l.op(i, '('):
			depth++
		case l.op(i, ')'):
			depth--
		case depth > 0 || l.toks[i].kind != tokWord || l.op(i-1, '.'):
		default:
			for j, word := range words {
				if found[j] < 0 && l.is(i, word) {
					found[j] = i
				}
			}
		}
	}
	return found
}
