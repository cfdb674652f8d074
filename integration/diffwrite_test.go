package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// fillings are the rows that a schema begins with.
func (s *schema) fillings() []statement {
	var list []statement
	for _, name := range []string{"a", "b", "r", "o"} {
		t := s.tables[name]
		for range 4 {
			in := &insertion{verb: "INSERT", table: t.name, columns: columnNames(t.shown())}
			for range 4 + s.rng.IntN(4) {
				in.rows = append(in.rows, s.row(t, t.shown(), true))
			}
			list = append(list, in.render())
		}
	}
	return list
}

func columnNames(list []column) []string {
	var names []string
	for _, c := range list {
		names = append(names, c.name)
	}
	return names
}

// row is a row of values for columns. A fresh one meets no other row's keys.
func (s *schema) row(t *table, columns []column, fresh bool) []string {
	var row []string
	for _, c := range columns {
		switch {
		case (c.name == "n" || c.name == "u") && (fresh || !s.chance(3)):
			t.next++
			row = append(row, lit(strconv.Itoa(t.next)))
		case c.nullable && s.chance(5):
			row = append(row, lit("NULL"))
		case c.given && s.chance(12):
			row = append(row, "DEFAULT")
		case c.clock != "":
			row = append(row, pick(s.rng, []string{"NOW(6)", "DEFAULT", "CURRENT_TIMESTAMP(6)"}))
		case c.name == "k" && c.family == familyInt && s.chance(30):
			row = append(row, lit(pick(s.rng, []string{"'5'", "5.0", "'7 '", "4.5"})))
		case len(c.bad) > 0 && !fresh && s.chance(150):
			row = append(row, lit(pick(s.rng, c.bad)))
		default:
			row = append(row, s.value(c))
		}
	}
	return row
}

// writable is a random table, the sharded ones more often.
func (s *schema) writable() *table {
	return s.tables[pick(s.rng, []string{"a", "a", "a", "b", "b", "r", "o", "n"})]
}

// write is a random INSERT, UPDATE or DELETE.
func (s *schema) write() statement {
	t := s.writable()
	switch s.rng.IntN(8) {
	case 0, 1, 2:
		return s.insert(t)
	case 3:
		return s.delete(t)
	case 4:
		if t.column("k") != nil {
			return s.moveKey(t)
		}
	}
	return s.update(t)
}

func (s *schema) insert(t *table) statement {
	if t.name == "n" {
		return s.insertGenerated(t)
	}
	in := &insertion{verb: pick(s.rng, []string{"INSERT", "INSERT", "INSERT", "INSERT IGNORE", "REPLACE"}), table: t.name, prepared: s.chance(4)}
	columns := t.shown()
	switch {
	case s.chance(3):
		columns = t.columns // all, in the table's order
	default:
		columns = slices.DeleteFunc(columns, func(c column) bool {
			return (c.nullable || c.given) && !c.noDefault && !slices.Contains([]string{"k", "n", "u"}, c.name) && s.chance(3)
		})
		if s.chance(3) {
			s.rng.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
		}
		in.columns = columnNames(columns)
	}
	for range 1 + s.rng.IntN(5) {
		in.rows = append(in.rows, s.row(t, columns, s.chance(3)))
	}
	if in.verb == "INSERT" && s.chance(3) {
		c := s.ordinary(t)
		in.update = append(in.update, c.name+" = "+pick(s.rng, []string{s.value(c), "VALUES(" + c.name + ")", c.name}))
		if d := s.ordinary(t); d.name != c.name && s.chance(2) {
			in.update = append(in.update, d.name+" = "+s.value(d))
		}
	}
	return in.render()
}

// insertGenerated lets the server give ids; sometimes one is given.
func (s *schema) insertGenerated(t *table) statement {
	in := &insertion{verb: "INSERT", table: "n", columns: []string{"biz", "c1", "c2"}, prepared: s.chance(3)}
	if s.chance(3) {
		in.columns = []string{"id", "biz", "c1", "c2"}
	}
	for range 1 + s.rng.IntN(5) {
		var row []string
		if in.columns[0] == "id" {
			row = append(row, pick(s.rng, []string{lit("NULL"), "DEFAULT", lit("0"), "NULL"}))
			if s.chance(8) {
				s.given += 1 + s.rng.IntN(30)
				row[0] = lit(strconv.Itoa(s.given))
			}
		}
		t.next++
		row = append(row, lit(strconv.Itoa(t.next)))
		for _, c := range t.columns[2:] {
			row = append(row, s.value(c))
		}
		in.rows = append(in.rows, row)
	}
	return in.render()
}

// ordinary is a column that is in no key; n where the table has no other.
func (s *schema) ordinary(t *table) column {
	list := slices.DeleteFunc(t.shown(), func(c column) bool { return slices.Contains([]string{"k", "n", "u", "biz"}, c.name) })
	return pick(s.rng, list)
}

// filter is some conditions on a table's columns.
func (s *schema) filter(t *table) []string {
	var where []string
	if c := t.column("k"); c != nil && s.chance(2) {
		where = append(where, s.keyCondition(*c, "k"))
	}
	for range 1 + s.rng.IntN(2) {
		c := pick(s.rng, t.shown())
		where = append(where, s.condition(c, c.name))
	}
	return where
}

// totally adds an order in which no two rows are equal, and a limit.
func (s *schema) totally(t *table, ch *change) {
	if !s.chance(3) {
		return
	}
	if c := pick(s.rng, t.shown()); !c.unordered && s.chance(2) {
		ch.order = append(ch.order, c.name+pick(s.rng, []string{"", " DESC"}))
	}
	for _, name := range t.primary {
		ch.order = append(ch.order, name+pick(s.rng, []string{"", "", " DESC"}))
	}
	if !s.chance(4) {
		ch.limit = s.rng.IntN(5)
	}
}

func (s *schema) update(t *table) statement {
	ch := &change{head: "UPDATE " + t.name, where: s.filter(t), limit: -1, prepared: s.chance(4)}
	for range 1 + s.rng.IntN(2) {
		c := s.ordinary(t)
		if !slices.ContainsFunc(ch.set, func(x string) bool { return strings.HasPrefix(x, c.name+" ") }) {
			ch.set = append(ch.set, c.name+" = "+s.newValue(c))
		}
	}
	if t.column("clock_touched") != nil && s.chance(5) {
		ch.set = append(ch.set, pick(s.rng, []string{"clock_touched = NOW(6)", "clock_made = CURRENT_TIMESTAMP(6)", "clock_made = clock_touched"}))
	}
	s.totally(t, ch)
	return ch.render()
}

func (s *schema) newValue(c column) string {
	switch n := s.rng.IntN(12); {
	case n == 0 && c.nullable:
		return lit("NULL")
	case n == 1 && c.given:
		return "DEFAULT"
	case n < 4 && c.family == familyInt && !strings.Contains(c.def, "BIGINT"):
		return c.name + pick(s.rng, []string{" + 1", " - 1", " DIV 2", " % 5"})
	case n == 4 && c.family == familyDecimal:
		return c.name + " / 2"
	case n == 5 && c.family == familyString:
		return fmt.Sprintf("CONCAT(SUBSTRING(%s, 1, 3), 'x')", c.name)
	case n == 6 && len(c.bad) > 0 && s.chance(6):
		return lit(pick(s.rng, c.bad))
	}
	return s.value(c)
}

// moveKey gives rows another sharding key.
func (s *schema) moveKey(t *table) statement {
	c := *t.column("k")
	ch := &change{head: "UPDATE " + t.name, set: []string{"k = " + s.value(c)}, where: s.filter(t), limit: -1, prepared: s.chance(4)}
	if s.chance(3) {
		d := s.ordinary(t)
		ch.set = append(ch.set, d.name+" = "+s.newValue(d))
	}
	s.totally(t, ch)
	return ch.render()
}

func (s *schema) delete(t *table) statement {
	ch := &change{head: "DELETE FROM " + t.name, where: s.filter(t), limit: -1, prepared: s.chance(4)}
	if len(ch.where) == 1 {
		c := pick(s.rng, t.shown()) // so that tables do not run empty
		ch.where = append(ch.where, s.condition(c, c.name))
	}
	s.totally(t, ch)
	return ch.render()
}

// lock is SELECT ... FOR UPDATE.
func (s *schema) lock() statement {
	t := s.writable()
	g := &query{schema: s, q: &selection{limit: -1, prepared: s.chance(4), from: t.name, where: s.filter(t), tail: " FOR UPDATE"}, sources: []source{{t, ""}}}
	g.plainList()
	for i := range g.q.items {
		g.q.items[i].loose = ""
	}
	if s.chance(2) {
		g.orderAndLimit()
	}
	return g.q.render()
}
