package integration

import (
	"fmt"
	"strconv"
	"strings"
)

// source is a table in FROM, and what its columns are called.
type source struct {
	table *table
	as    string // prefix of its columns with the dot, or ""
}

// query generates SELECTs over the tables of a schema.
type query struct {
	*schema
	q       *selection
	sources []source
}

// read is a random SELECT.
func (s *schema) read() statement {
	g := &query{schema: s, q: &selection{limit: -1, prepared: s.chance(4)}}
	g.chooseTables()
	g.predicates()
	switch s.rng.IntN(7) {
	case 0, 1:
		g.plainList()
		for i := range g.q.items {
			g.q.items[i].loose = "" // each row shows its own values
		}
	case 2:
		g.plainList()
		g.q.distinct = true
	case 3:
		g.aggregates()
	case 4, 5:
		g.groups()
	default:
		g.everything()
	}
	g.orderAndLimit()
	return g.q.render()
}

// chooseTables picks one table or a join that shards can answer, and now and then one that they cannot.
func (g *query) chooseTables() {
	a, b, r, o := g.tables["a"], g.tables["b"], g.tables["r"], g.tables["o"]
	one := func(t *table) {
		if g.chance(4) {
			g.q.from, g.sources = t.name+" AS x", []source{{t, "x."}}
			return
		}
		g.q.from, g.sources = t.name, []source{{t, pick(g.rng, []string{"", "", t.name + "."})}}
	}
	join := func(left, right *table, on string) {
		kind := pick(g.rng, []string{"JOIN", "INNER JOIN", "LEFT JOIN"})
		g.q.from = fmt.Sprintf("%s AS x %s %s AS y ON %s", left.name, kind, right.name, on)
		if kind == "JOIN" && g.chance(3) {
			g.q.from = fmt.Sprintf("%s AS x, %s AS y", left.name, right.name)
			g.q.where = append(g.q.where, on)
		}
		g.sources = []source{{left, "x."}, {right, "y."}}
	}
	switch n := g.rng.IntN(20); {
	case n < 8:
		one(a)
	case n < 10:
		one(b)
	case n == 9:
		one(g.tables["n"])
	case n == 10:
		one(r)
	case n == 11:
		one(o)
	case n < 16:
		on := "x.k = y.k"
		if g.chance(3) {
			on += " AND x.n = y.n"
		}
		join(a, b, on)
	case n < 18:
		join(a, r, "x.n = y.n")
	case n == 18:
		join(r, o, "x.n = y.n")
	default:
		join(a, a, "x.k = y.k")
	}
}

// columnOf is a random column with its name in the statement.
func (g *query) columnOf() (column, string) {
	src := pick(g.rng, g.sources)
	c := pick(g.rng, src.table.shown())
	return c, src.as + c.name
}

// predicates adds conditions; often one on the sharding key.
func (g *query) predicates() {
	for _, src := range g.sources {
		if c := src.table.column("k"); c != nil && g.chance(4) {
			g.q.where = append(g.q.where, g.keyCondition(*c, src.as+"k"))
			break
		}
	}
	for range g.rng.IntN(3) {
		c, name := g.columnOf()
		g.q.where = append(g.q.where, g.condition(c, name))
	}
	if g.chance(6) && len(g.q.where) > 1 {
		g.q.where = []string{"(" + strings.Join(g.q.where, " OR ") + ")"}
	}
}

func (s *schema) keyCondition(c column, name string) string {
	if s.chance(5) {
		return s.oddKey(c, name)
	}
	switch s.rng.IntN(4) {
	case 0:
		return fmt.Sprintf("%s IN (%s,%s)", name, s.value(c), s.value(c))
	case 1:
		return fmt.Sprintf("%s = %s", s.value(c), name)
	}
	return fmt.Sprintf("%s = %s", name, s.value(c))
}

// value is a literal that fits the column.
func (s *schema) value(c column) string { return lit(pick(s.rng, c.pool)) }

// condition is a predicate on a column of any type.
func (s *schema) condition(c column, name string) string {
	compare := pick(s.rng, []string{"=", "<>", "<", "<=", ">", ">=", "<=>"})
	switch n := s.rng.IntN(10); {
	case n < 4:
		return fmt.Sprintf("%s %s %s", name, compare, s.value(c))
	case n == 4:
		return fmt.Sprintf("%s IN (%s,%s,%s)", name, s.value(c), s.value(c), s.value(c))
	case n == 5:
		return fmt.Sprintf("%s BETWEEN %s AND %s", name, s.value(c), s.value(c))
	case n == 6:
		return name + pick(s.rng, []string{" IS NULL", " IS NOT NULL"})
	case n == 7 && c.family == familyString:
		return name + " LIKE " + lit(pick(s.rng, []string{"'a%'", "'%b%'", "'_'", "'A_'", "'%'"}))
	case n == 8:
		return fmt.Sprintf("NOT (%s %s %s)", name, compare, s.value(c))
	case n == 9 && c.family == familyInt:
		return name + " % 2 = 0"
	}
	return fmt.Sprintf("(%s = %s OR %s IS NULL)", name, s.value(c), name)
}

// looseOf says how the values of a column compare that are only equal.
func looseOf(c column) string {
	if c.family == familyFloat {
		return "float"
	}
	return c.collation
}

// expression is something computed of one column.
func (g *query) expression() item {
	c, name := g.columnOf()
	loose := looseOf(c)
	switch n := g.rng.IntN(12); {
	case n < 7:
		return item{expr: name, loose: loose}
	case n == 7 && c.family == familyInt && !strings.Contains(c.def, "BIGINT"):
		return item{expr: name + pick(g.rng, []string{" + 1", " * 2", " % 3", " DIV 2", " / 4"})}
	case n == 8 && c.family == familyString:
		return item{expr: pick(g.rng, []string{"CONCAT(%s, '-')", "UPPER(%s)", "LOWER(%s)", "SUBSTRING(%s, 1, 1)", "REPLACE(%s, 'a', 'b')"}), loose: loose}.of(name)
	case n == 9 && c.family != familyOther:
		return item{expr: fmt.Sprintf("COALESCE(%s, %s)", name, g.value(c)), loose: loose}
	case n == 10:
		return item{expr: name + " IS NULL"}
	case n == 11 && c.family == familyTemporal && strings.HasPrefix(c.def, "DATE"):
		return item{expr: pick(g.rng, []string{"YEAR(%s)", "MONTH(%s)", "DATE(%s)"})}.of(name)
	}
	return item{expr: name, loose: loose}
}

func (it item) of(name string) item {
	it.expr = fmt.Sprintf(it.expr, name)
	return it
}

func (g *query) alias(it item) item {
	if g.chance(3) {
		it.alias = "z" + strconv.Itoa(len(g.q.items)+1)
	}
	return it
}

// everything selects * or some tables' columns.
func (g *query) everything() {
	for _, src := range g.sources {
		if len(src.table.shown()) < len(src.table.columns) {
			g.plainList()
			for i := range g.q.items {
				g.q.items[i].loose = ""
			}
			return
		}
	}
}

func (g *query) plainList() {
	for range 1 + g.rng.IntN(4) {
		it := g.expression()
		g.q.items = append(g.q.items, g.alias(it))
	}
}

// aggregate is one function over a column.
func (g *query) aggregate() item {
	c, name := g.columnOf()
	sums := c.family == familyInt || c.family == familyDecimal || c.family == familyFloat
	loose := ""
	if c.family == familyFloat {
		loose = "float"
	}
	switch n := g.rng.IntN(10); {
	case n < 2:
		return item{expr: "COUNT(*)"}
	case n == 2:
		return item{expr: "COUNT(" + name + ")"}
	case n < 5 && sums:
		return item{expr: "SUM(" + name + ")", loose: loose}
	case n == 5 && sums:
		return item{expr: "AVG(" + name + ")", loose: loose}
	case n == 6 && g.chance(3):
		return item{expr: "COUNT(DISTINCT " + name + ")"}
	case n == 7 && c.family == familyInt:
		return item{expr: "SUM(" + name + " % 10)"}
	}
	if c.unordered {
		return item{expr: "COUNT(*)"}
	}
	return item{expr: pick(g.rng, []string{"MIN", "MAX"}) + "(" + name + ")", loose: looseOf(c)}
}

func (g *query) aggregates() {
	for range 1 + g.rng.IntN(3) {
		g.q.items = append(g.q.items, g.alias(g.aggregate()))
	}
	if g.chance(6) {
		g.q.having = append(g.q.having, g.having())
	}
}

func (g *query) having() string {
	compare := pick(g.rng, []string{"=", ">", ">=", "<", "<>"})
	for _, it := range g.q.items {
		if it.alias != "" && strings.HasPrefix(it.expr, "COUNT") && g.chance(2) {
			return fmt.Sprintf("%s %s %s", it.alias, compare, lit(strconv.Itoa(g.rng.IntN(4))))
		}
	}
	if g.chance(3) {
		for _, src := range g.sources {
			return fmt.Sprintf("SUM(%sn) %s %s", src.as, compare, lit(strconv.Itoa(g.rng.IntN(20))))
		}
	}
	return fmt.Sprintf("COUNT(*) %s %s", compare, lit(strconv.Itoa(g.rng.IntN(4))))
}

// groups is GROUP BY one or two columns.
func (g *query) groups() {
	n := 1 + g.rng.IntN(2)
	for range n {
		c, name := g.columnOf()
		if c.unordered {
			c, name = g.sources[0].table.columns[0], g.sources[0].as+g.sources[0].table.columns[0].name
		}
		it := g.alias(item{expr: name, loose: looseOf(c)})
		if g.chance(5) {
			it.alias, it.expr = "", name
		}
		group := name
		switch {
		case it.alias != "" && g.chance(2):
			group = it.alias
		case g.chance(5):
			group = strconv.Itoa(len(g.q.items) + 1)
		}
		g.q.items = append(g.q.items, it)
		g.q.group = append(g.q.group, group)
	}
	for range g.rng.IntN(3) {
		g.q.items = append(g.q.items, g.alias(g.aggregate()))
	}
	if g.chance(3) {
		g.q.having = append(g.q.having, g.having())
	}
}

// orderAndLimit orders by items, and where that is allowed by other columns.
func (g *query) orderAndLimit() {
	if !g.chance(3) {
		for range 1 + g.rng.IntN(2) {
			g.q.order = append(g.q.order, g.orderKey())
		}
	}
	if g.chance(3) && (len(g.q.order) > 0 || g.chance(4)) {
		g.q.limit = pick(g.rng, []int{0, 1, 2, 3, 5, 10, 1000})
		if g.chance(2) {
			g.q.offset, g.q.comma = pick(g.rng, []int{0, 1, 2, 7, 50}), g.chance(2)
		}
	}
	for i, k := range g.q.order {
		// The same expression with two sets of parameters is not the same expression.
		if k.item >= 0 && strings.Contains(g.q.items[k.item].expr, literalBegin) {
			g.q.order[i].form = "ordinal"
		}
	}
}

func (g *query) orderKey() sortKey {
	k := sortKey{item: -1, desc: g.chance(3), form: pick(g.rng, []string{"expr", "alias", "alias", "ordinal"})}
	others := !g.q.distinct && len(g.q.group) == 0 && !strings.Contains(g.q.list(), "(")
	if len(g.q.items) > 0 && (!others || g.chance(2)) {
		k.item = g.rng.IntN(len(g.q.items))
		return k
	}
	c, name := g.columnOf()
	if c.unordered {
		name = g.sources[0].as + g.sources[0].table.columns[0].name
	}
	k.expr = name
	return k
}
