package plan

// tokens are a piece of a text: the tokens from the first up to another one.
type tokens struct{ from, to int }

func (r tokens) empty() bool { return r.from >= r.to }

// clauses are the places of the parts of a SELECT that is not in parentheses of
// another one.
type clauses struct {
	items  []tokens // of the select list, with their names
	group  []tokens // the items of GROUP BY
	order  []tokens // the items of ORDER BY, with ASC and DESC
	having tokens   // with the word HAVING
	sorted tokens   // with the words ORDER BY
	limit  tokens   // with the word LIMIT
	list   int      // the token behind the select list
	tail   int      // where ORDER BY stands or would stand
}

// clauseKind is a part of a SELECT, in the order in which they stand.
type clauseKind uint8

const (
	clauseNone clauseKind = iota
	clauseList
	clauseFrom
	clauseWhere
	clauseGroup
	clauseHaving
	clauseWindow
	clauseOrder
	clauseLimit
	clauseEnd // locks, INTO
)

// clauses finds the parts of the statement's first SELECT by their words: in the
// same parentheses, reserved words are nothing else.
func (l *lexed) clauses() (clauses, bool) {
	i := 0
	for l.op(i, '(') {
		i++
	}
	if !l.is(i, "SELECT") {
		return clauses{}, false
	}
	var at [clauseEnd + 1]int
	at[clauseList] = l.modifiers(i + 1)
	kind, depth := clauseList, 0
	for i = at[clauseList]; i < len(l.toks) && depth >= 0; i++ {
		switch {
		case l.op(i, '('):
			depth++
		case l.op(i, ')'):
			depth--
		case depth == 0:
			if next := l.clauseAt(i); next > kind {
				kind, at[next] = next, i
			}
		}
	}
	if depth < 0 {
		i--
	}
	return l.parts(at, i), true
}

// clauseAt says which part of a SELECT begins at token i.
func (l *lexed) clauseAt(i int) clauseKind {
	if l.toks[i].kind != tokWord || l.op(i-1, '.') {
		return clauseNone
	}
	for _, c := range [...]struct {
		word string
		kind clauseKind
	}{{"FROM", clauseFrom}, {"WHERE", clauseWhere}, {"HAVING", clauseHaving}, {"LIMIT", clauseLimit}, {"INTO", clauseEnd}} {
		if l.is(i, c.word) {
			return c.kind
		}
	}
	switch {
	case l.is(i+1, "BY") && !l.is(i-1, "FOR") && l.is(i, "GROUP"): // USE INDEX FOR GROUP BY
		return clauseGroup
	case l.is(i+1, "BY") && !l.is(i-1, "FOR") && l.is(i, "ORDER"):
		return clauseOrder
	case l.is(i, "WINDOW") && l.is(i+2, "AS") && l.op(i+3, '('):
		return clauseWindow
	case l.locks(i):
		return clauseEnd
	}
	return clauseNone
}

// locks reports whether LOCK IN SHARE MODE, FOR UPDATE or FOR SHARE begins at token i.
func (l *lexed) locks(i int) bool {
	return l.is(i, "LOCK") && l.is(i+1, "IN") || l.is(i, "FOR") && (l.is(i+1, "UPDATE") || l.is(i+1, "SHARE"))
}

// modifiers passes the words between SELECT and the select list.
func (l *lexed) modifiers(i int) int {
	for {
		known := false
		for _, w := range [...]string{"ALL", "DISTINCT", "DISTINCTROW", "HIGH_PRIORITY", "STRAIGHT_JOIN", "SQL_SMALL_RESULT", "SQL_BIG_RESULT",
			"SQL_BUFFER_RESULT", "SQL_NO_CACHE", "SQL_CACHE", "SQL_CALC_FOUND_ROWS"} {
			known = known || l.is(i, w)
		}
		if !known {
			return i
		}
		i++
	}
}

// parts takes the parts apart; at says where they begin, 0 where there is none.
func (l *lexed) parts(at [clauseEnd + 1]int, end int) clauses {
	behind := func(k clauseKind) int {
		for k++; k <= clauseEnd; k++ {
			if at[k] > 0 {
				return at[k]
			}
		}
		return end
	}
	part := func(k clauseKind) tokens {
		if at[k] == 0 {
			return tokens{}
		}
		return tokens{at[k], behind(k)}
	}
	const words = 2 // ORDER BY
	var c clauses
	c.list = behind(clauseList)
	c.items = l.split(part(clauseList))
	c.having, c.sorted, c.limit = part(clauseHaving), part(clauseOrder), part(clauseLimit)
	if g := part(clauseGroup); !g.empty() {
		c.group = l.split(tokens{g.from + words, g.to})
	}
	c.tail = behind(clauseWindow)
	if !c.sorted.empty() {
		c.order = l.split(tokens{c.sorted.from + words, c.sorted.to})
		c.tail = c.sorted.from
	}
	return c
}

// split takes a list apart at its commas.
func (l *lexed) split(r tokens) []tokens {
	var items []tokens
	depth, from := 0, r.from
	for i := r.from; i < r.to; i++ {
		switch {
		case l.op(i, '('):
			depth++
		case l.op(i, ')'):
			depth--
		case depth == 0 && l.op(i, ','):
			items = append(items, tokens{from, i})
			from = i + 1
		}
	}
	return append(items, tokens{from, r.to})
}

// bare is a tokens without parentheses around it.
func (l *lexed) bare(r tokens) tokens {
	for l.op(r.from, '(') {
		end, ok := l.closing(r.from)
		if !ok || end != r.to-1 {
			return r
		}
		r = tokens{r.from + 1, end}
	}
	return r
}
