package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// statement is one statement for both sides, and how its answers compare. Its text form (lines) is that of the files
// in testdata/diff.
type statement struct {
	sql      string // literals are marked
	prepared bool   // with a parameter for each literal
	check    bool   // no statement: compare whole tables
	// oracle is, of a SELECT, the same rows without LIMIT, with their rank in the wanted order as a further column.
	oracle        string
	offset, limit int            // of sql in the oracle's rows; limit < 0: none
	loose         map[int]string // columns whose values are equal but need not look equal: a collation, or "float"
	generated     []int          // of an INSERT into n: biz of the rows that get an id, in order
	shape         shape          // how to make it smaller; nil: not
}

// shape is a statement's parts.
type shape interface {
	render() statement
	smaller() []shape
}

func (st statement) String() string {
	if st.check {
		return "check"
	}
	return plain(st.sql)
}

// lines is the statement as it stands in a file.
func (st statement) lines() string {
	if st.check {
		return "check:\n"
	}
	word := "text"
	if st.prepared {
		word = "prepared"
	}
	text := word + ": " + st.sql + "\n"
	if st.oracle != "" {
		text += "  oracle: " + st.oracle + "\n"
		if st.limit >= 0 {
			text += fmt.Sprintf("  window: %d %d\n", st.offset, st.limit)
		}
	}
	if st.generated != nil {
		text += "  generated: " + strings.Trim(fmt.Sprint(st.generated), "[]") + "\n"
	}
	var loose []string
	for i, how := range st.loose {
		loose = append(loose, fmt.Sprintf("%d=%s", i, how))
	}
	if slices.Sort(loose); loose != nil {
		text += "  loose: " + strings.Join(loose, " ") + "\n"
	}
	return text
}

// parseStatements reads what lines has written; other lines are returned as settings by name.
func parseStatements(text string) ([]statement, map[string]string, error) {
	var list []statement
	settings := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, value, found := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		if !found {
			return nil, nil, fmt.Errorf("line %q", line)
		}
		switch word {
		case "text", "prepared":
			list = append(list, statement{sql: value, prepared: word == "prepared", limit: -1})
		case "check":
			list = append(list, statement{check: true})
		case "  oracle", "  window", "  loose", "  generated":
			if len(list) == 0 {
				return nil, nil, fmt.Errorf("line %q before a statement", line)
			}
			if err := list[len(list)-1].set(strings.TrimSpace(word), value); err != nil {
				return nil, nil, fmt.Errorf("line %q: %w", line, err)
			}
		default:
			settings[word] = value
		}
	}
	return list, settings, nil
}

func (st *statement) set(word, value string) error {
	switch word {
	case "oracle":
		st.oracle = value
	case "window":
		_, err := fmt.Sscanf(value, "%d %d", &st.offset, &st.limit)
		return err
	case "generated":
		for _, f := range strings.Fields(value) {
			n, err := strconv.Atoi(f)
			if err != nil {
				return err
			}
			st.generated = append(st.generated, n)
		}
	case "loose":
		st.loose = map[int]string{}
		for _, f := range strings.Fields(value) {
			n, how, _ := strings.Cut(f, "=")
			i, err := strconv.Atoi(n)
			if err != nil {
				return err
			}
			st.loose[i] = how
		}
	}
	return nil
}

// verbatim is a statement that is not made smaller.
func verbatim(sql string) statement { return statement{sql: sql, limit: -1} }

// item is an expression of a SELECT's list.
type item struct {
	expr, alias string
	loose       string
}

// sortKey is a key of ORDER BY.
type sortKey struct {
	item int    // the item that is meant, or -1
	expr string // of no item
	form string // how an item is written: "expr", "alias", "ordinal"
	desc bool
}

// selection is a SELECT in parts.
type selection struct {
	distinct      bool
	items         []item // none: *
	from          string
	where         []string
	group         []string
	having        []string
	order         []sortKey
	offset, limit int    // limit < 0: none
	comma         bool   // LIMIT offset, limit
	tail          string // FOR UPDATE
	prepared      bool
	everyLoose    map[int]string // of *
}

func (q *selection) list() string {
	if len(q.items) == 0 {
		return "*"
	}
	var parts []string
	for _, it := range q.items {
		if it.alias != "" {
			parts = append(parts, it.expr+" AS "+it.alias)
		} else {
			parts = append(parts, it.expr)
		}
	}
	return strings.Join(parts, ", ")
}

// core is the statement from FROM to HAVING.
func (q *selection) core() string {
	text := " FROM " + q.from
	if len(q.where) > 0 {
		text += " WHERE " + strings.Join(q.where, " AND ")
	}
	if len(q.group) > 0 {
		text += " GROUP BY " + strings.Join(q.group, ", ")
	}
	if len(q.having) > 0 {
		text += " HAVING " + strings.Join(q.having, " AND ")
	}
	return text
}

func (q *selection) keys() (written, meant []string) {
	for _, k := range q.order {
		text, expr := k.expr, k.expr
		if k.item >= 0 {
			it := q.items[k.item]
			text, expr = it.expr, it.expr
			switch {
			case k.form == "ordinal":
				text = strconv.Itoa(k.item + 1)
			case k.form == "alias" && it.alias != "":
				text = it.alias
			}
		}
		if k.desc {
			text, expr = text+" DESC", expr+" DESC"
		}
		written, meant = append(written, text), append(meant, expr)
	}
	return written, meant
}

func (q *selection) render() statement {
	head := "SELECT "
	if q.distinct {
		head += "DISTINCT "
	}
	head += q.list()
	written, meant := q.keys()
	text := head + q.core()
	if len(written) > 0 {
		text += " ORDER BY " + strings.Join(written, ", ")
	}
	switch {
	case q.limit < 0:
	case q.offset == 0 && !q.comma:
		text += " LIMIT " + lit(strconv.Itoa(q.limit))
	case q.comma:
		text += fmt.Sprintf(" LIMIT %s,%s", lit(strconv.Itoa(q.offset)), lit(strconv.Itoa(q.limit)))
	default:
		text += fmt.Sprintf(" LIMIT %s OFFSET %s", lit(strconv.Itoa(q.limit)), lit(strconv.Itoa(q.offset)))
	}
	st := statement{sql: text + q.tail, prepared: q.prepared, offset: q.offset, limit: q.limit, shape: q, loose: map[int]string{}}
	if len(meant) > 0 || q.limit >= 0 {
		rank := "1"
		if len(meant) > 0 {
			rank = "DENSE_RANK() OVER (ORDER BY " + strings.Join(meant, ", ") + ")"
		}
		st.oracle = head + ", " + rank + q.core()
	}
	for i, it := range q.items {
		if it.loose != "" {
			st.loose[i] = it.loose
		}
	}
	for i, how := range q.everyLoose {
		if len(q.items) == 0 {
			st.loose[i] = how
		}
	}
	return st
}

func (q *selection) with(change func(*selection)) *selection {
	c := *q
	c.items, c.where, c.group = slices.Clone(q.items), slices.Clone(q.where), slices.Clone(q.group)
	c.having, c.order = slices.Clone(q.having), slices.Clone(q.order)
	change(&c)
	return &c
}

// smaller returns the statement without each of its parts.
func (q *selection) smaller() []shape {
	var out []shape
	add := func(wanted bool, change func(*selection)) {
		if wanted {
			out = append(out, q.with(change))
		}
	}
	add(q.prepared, func(c *selection) { c.prepared = false })
	add(q.tail != "", func(c *selection) { c.tail = "" })
	add(q.limit >= 0, func(c *selection) { c.limit, c.offset, c.comma = -1, 0, false })
	add(q.offset > 0, func(c *selection) { c.offset, c.comma = 0, false })
	add(q.distinct, func(c *selection) { c.distinct = false })
	for i := range q.where {
		add(true, func(c *selection) { c.where = slices.Delete(c.where, i, i+1) })
	}
	for i := range q.having {
		add(true, func(c *selection) { c.having = slices.Delete(c.having, i, i+1) })
	}
	for i := range q.order {
		add(true, func(c *selection) { c.order = slices.Delete(c.order, i, i+1) })
	}
	for i := range q.group {
		add(true, func(c *selection) { c.group = slices.Delete(c.group, i, i+1) })
	}
	for i := range q.items {
		add(len(q.items) > 1, func(c *selection) { c.dropItem(i) })
	}
	return out
}

func (q *selection) dropItem(i int) {
	q.items = slices.Delete(q.items, i, i+1)
	q.order = slices.DeleteFunc(q.order, func(k sortKey) bool { return k.item == i })
	for j := range q.order {
		if q.order[j].item > i {
			q.order[j].item--
		}
	}
}

// insertion is an INSERT or REPLACE in parts.
type insertion struct {
	verb     string // INSERT, INSERT IGNORE, REPLACE
	table    string
	columns  []string // none: all
	rows     [][]string
	update   []string // ON DUPLICATE KEY UPDATE
	prepared bool
}

func (in *insertion) render() statement {
	text := in.verb + " INTO " + in.table
	if len(in.columns) > 0 {
		text += " (" + strings.Join(in.columns, ",") + ")"
	}
	var rows []string
	for _, r := range in.rows {
		rows = append(rows, "("+strings.Join(r, ",")+")")
	}
	text += " VALUES " + strings.Join(rows, ",")
	if len(in.update) > 0 {
		text += " ON DUPLICATE KEY UPDATE " + strings.Join(in.update, ", ")
	}
	st := statement{sql: text, prepared: in.prepared, limit: -1, shape: in}
	if in.table == "n" {
		st.generated = in.generated()
	}
	return st
}

// generated are the rows of n that are given no id.
func (in *insertion) generated() []int {
	at := slices.Index(in.columns, "biz")
	id := slices.Index(in.columns, "id")
	var list []int
	for _, row := range in.rows {
		biz, err := strconv.Atoi(plain(row[at]))
		if given := id >= 0 && !slices.Contains([]string{"NULL", "DEFAULT", "0"}, plain(row[id])); err == nil && !given {
			list = append(list, biz)
		}
	}
	return list
}

func (in *insertion) smaller() []shape {
	var out []shape
	add := func(change func(*insertion)) {
		c := *in
		c.rows, c.update = slices.Clone(in.rows), slices.Clone(in.update)
		change(&c)
		out = append(out, &c)
	}
	if in.prepared {
		add(func(c *insertion) { c.prepared = false })
	}
	if n := len(in.rows); n > 3 {
		add(func(c *insertion) { c.rows = c.rows[:n/2] })
		add(func(c *insertion) { c.rows = c.rows[n/2:] })
	}
	if len(in.rows) > 1 {
		for i := range in.rows {
			add(func(c *insertion) { c.rows = slices.Delete(c.rows, i, i+1) })
		}
	}
	for i := range in.update {
		add(func(c *insertion) { c.update = slices.Delete(c.update, i, i+1) })
	}
	return out
}

// change is an UPDATE or DELETE in parts.
type change struct {
	head     string // UPDATE t, DELETE FROM t
	set      []string
	where    []string
	order    []string // total, so that it is determined which rows are meant
	limit    int      // < 0: none
	prepared bool
}

func (ch *change) render() statement {
	text := ch.head
	if len(ch.set) > 0 {
		text += " SET " + strings.Join(ch.set, ", ")
	}
	if len(ch.where) > 0 {
		text += " WHERE " + strings.Join(ch.where, " AND ")
	}
	if len(ch.order) > 0 {
		text += " ORDER BY " + strings.Join(ch.order, ", ")
	}
	if ch.limit >= 0 {
		text += " LIMIT " + lit(strconv.Itoa(ch.limit))
	}
	return statement{sql: text, prepared: ch.prepared, limit: -1, shape: ch}
}

func (ch *change) smaller() []shape {
	var out []shape
	add := func(wanted bool, f func(*change)) {
		if wanted {
			c := *ch
			c.set, c.where = slices.Clone(ch.set), slices.Clone(ch.where)
			f(&c)
			out = append(out, &c)
		}
	}
	add(ch.prepared, func(c *change) { c.prepared = false })
	add(ch.limit >= 0, func(c *change) { c.limit = -1 })
	add(ch.limit < 0 && len(ch.order) > 0, func(c *change) { c.order = nil })
	for i := range ch.where {
		add(true, func(c *change) { c.where = slices.Delete(c.where, i, i+1) })
	}
	for i := range ch.set {
		add(len(ch.set) > 1, func(c *change) { c.set = slices.Delete(c.set, i, i+1) })
	}
	return out
}
