package plan

import "strings"

// Inline returns the text of a SELECT with those items of its select list that
// are nothing but one of p.Variables replaced by value's literals, under the
// column names that they would have had. Drivers ask for such values when they
// connect. It reports false when one of them stands anywhere else, or value does
// not know it. env and sql are those that the plan was made of.
func (p *Plan) Inline(env Env, sql string, value func(name string) (literal string, ok bool)) (string, bool) {
	if p.Class != ClassSelect {
		return "", false
	}
	flags, err := env.lexFlags()
	if err != nil {
		return "", false
	}
	var l lexed
	if err := l.lex(sql, flags); err != nil {
		return "", false
	}
	var out strings.Builder
	from := 0
	for i := 0; i < len(l.toks); i++ {
		name, width := l.proxied(i)
		if width == 0 {
			continue
		}
		literal, known := value(name)
		end := i + width - 1
		if !known || !l.is(i-1, "SELECT") && !l.op(i-1, ',') {
			return "", false
		}
		item := sql[l.toks[i].start:l.toks[end].end]
		switch {
		case l.is(end+1, "AS"):
		case end+1 == len(l.toks), l.op(end+1, ','), l.is(end+1, "LIMIT"):
			literal += " AS `" + strings.ReplaceAll(item, "`", "``") + "`"
		default:
			return "", false
		}
		out.WriteString(sql[from:l.toks[i].start])
		out.WriteString(literal)
		from = int(l.toks[end].end)
		i = end
	}
	out.WriteString(sql[from:])
	return out.String(), true
}

// proxied reports whether a value of the proxy's own session begins at token i:
// its name as Plan.Variables has it, and how many tokens it is.
func (l *lexed) proxied(i int) (name string, width int) {
	t := l.toks[i]
	switch t.kind {
	case tokSysVar:
		name = strings.ToLower(strings.ReplaceAll(l.text(t)[2:], "`", ""))
		for _, scope := range []string{"session.", "local."} {
			name = strings.TrimPrefix(name, scope)
		}
		if ofProxy(name) {
			return name, 1
		}
	case tokWord:
		name = strings.ToLower(l.text(t))
		if functions[name] == ofConnection && l.op(i+1, '(') && l.op(i+2, ')') && !l.op(i-1, '.') {
			return canonicalFunction(name) + "()", 3
		}
		if name == "current_user" && !l.op(i-1, '.') {
			return "current_user()", 1
		}
	case tokOp, tokQuoted, tokInt, tokDecimal, tokFloat, tokHex, tokBit, tokString, tokNString, tokParam, tokUserVar:
	}
	return "", 0
}
