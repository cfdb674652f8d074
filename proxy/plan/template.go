package plan

import (
	"strconv"
	"strings"
)

// A template is the statement's text as the parser sees it: comments are gone,
// names are quoted in one way, and in statements whose plans are cached every
// literal is replaced by one of the same kind whose value is its number. So
// the template is the fingerprint, and what the parser finds at a place of the
// syntax tree says which literal of the text stands there.
//
//	kind      literal 3
//	int       7000000003
//	decimal   7000000003.5
//	float     7000000003e0
//	hex       x'07000000000003'
//	bit       b'1'
//	string    'xap~3'
const (
	markBase   = 7_000_000_000
	markHex    = "07"
	markString = "xap~"
)

// template appends the statement with its literals replaced.
func (l *lexed) template(dst []byte) []byte {
	mark := 0
	from, to := l.rowAlias()
	by := byList{depth: noList}
	for i, t := range l.toks {
		by.pass(l, i)
		if from <= i && i < to {
			continue
		}
		if l.spaced(i) {
			dst = append(dst, ' ')
		}
		if stand := l.charsetName(i); stand != "" {
			dst = append(dst, stand...)
			if t.kind.literal() {
				mark++
			}
			continue
		}
		if !t.kind.literal() {
			dst = l.appendToken(dst, i)
			continue
		}
		if l.structural(i) || by.ordinal(l, i) {
			dst = l.appendLiteral(dst, t)
		} else {
			dst = appendMark(dst, t.kind, mark)
		}
		mark++
	}
	return dst
}

// canonical appends the statement with its literals as they are, but for the
// names of character sets and collations: the parser does not know all.
func (l *lexed) canonical(dst []byte) []byte {
	from, to := l.rowAlias()
	for i, t := range l.toks {
		if from <= i && i < to {
			continue
		}
		if l.spaced(i) {
			dst = append(dst, ' ')
		}
		switch stand := l.charsetName(i); {
		case stand != "":
			dst = append(dst, stand...)
		case l.dotted(i):
			dst = append(append(append(dst, '('), l.text(t)...), ')')
		case t.kind.literal():
			dst = l.appendLiteral(dst, t)
		default:
			dst = l.appendToken(dst, i)
		}
	}
	return dst
}

// dotted reports whether token i is a number that ends with its dot and a word
// follows: the parser takes the word for a name behind a dot.
func (l *lexed) dotted(i int) bool {
	t := l.toks[i]
	return t.kind == tokDecimal && strings.HasSuffix(l.text(t), ".") && i+1 < len(l.toks) && l.toks[i+1].kind != tokOp
}

// charsetName returns what stands in the parser's text for token i when that
// names a character set or a collation, else "".
func (l *lexed) charsetName(i int) string {
	switch l.toks[i].kind {
	case tokWord, tokQuoted, tokString:
	case tokOp, tokInt, tokDecimal, tokFloat, tokHex, tokBit, tokNString, tokParam, tokUserVar, tokSysVar:
		return ""
	}
	k := i - 1
	if l.op(k, '=') {
		k--
	}
	switch {
	case l.is(k, "COLLATE"):
		return "utf8mb4_bin"
	case l.charsetWord(k, i), k == i-1 && l.is(k, "USING") && l.op(i+1, ')'):
		return "utf8mb4"
	}
	return ""
}

// charsetWord reports whether token k says that token i is a character set.
// CHARSET is also a name: of a function, and of columns.
func (l *lexed) charsetWord(k, i int) bool {
	if l.is(k, "SET") && l.is(k-1, "CHARACTER") {
		return true
	}
	column := k == i-1 && (l.op(k-1, '(') || l.op(k-1, ','))
	return l.is(k, "CHARSET") && !column && !l.cacheable()
}

// spaced reports whether token i is kept apart from the one before: where it
// was, and where two tokens would become another one (two dashes a comment,
// two quotes one string).
func (l *lexed) spaced(i int) bool {
	if i == 0 {
		return false
	}
	t, before := l.toks[i], l.toks[i-1]
	if t.gap {
		return true
	}
	if t.kind == tokOp {
		return before.kind == tokOp && l.op(i, '-') && l.op(i-1, '-')
	}
	return before.kind != tokOp
}

func (l *lexed) appendToken(dst []byte, i int) []byte {
	t := l.toks[i]
	text := l.text(t)
	switch t.kind {
	case tokQuoted:
		return appendQuotedName(dst, text)
	case tokWord:
		return l.appendWord(dst, i, text)
	case tokUserVar:
		return append(dst, "@xap"...)
	case tokSysVar:
		return append(dst, text...)
	case tokOp, tokParam:
		return append(dst, text...)
	case tokInt, tokDecimal, tokFloat, tokHex, tokBit, tokString, tokNString:
	}
	return dst
}

// appendWord appends a word, made fit for the parser: a name that begins with
// a digit is quoted; collations and introducers that the parser does not know
// are replaced, because no plan depends on them.
func (l *lexed) appendWord(dst []byte, i int, text string) []byte {
	switch {
	case isDigit(text[0]):
		dst = append(dst, '`')
		dst = append(dst, text...)
		return append(dst, '`')
	case l.introducer(i):
		return append(dst, "_utf8mb4"...)
	}
	return append(dst, text...)
}

// introducer reports whether token i says in which character set the literal
// behind it is.
func (l *lexed) introducer(i int) bool {
	if l.toks[i].kind != tokWord || l.sql[l.toks[i].start] != '_' || i+1 >= len(l.toks) {
		return false
	}
	switch l.toks[i+1].kind {
	case tokString, tokHex, tokBit:
		return true
	case tokOp, tokWord, tokQuoted, tokInt, tokDecimal, tokFloat, tokNString, tokParam, tokUserVar, tokSysVar:
	}
	return false
}

func appendQuotedName(dst []byte, text string) []byte {
	q := text[0]
	body := text[1 : len(text)-1]
	dst = append(dst, '`')
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c == q { // doubled
			i++
		}
		if c == '`' {
			dst = append(dst, '`')
		}
		dst = append(dst, c)
	}
	return append(dst, '`')
}

// appendName appends a name in backquotes.
func appendName(dst []byte, name string) []byte {
	dst = append(dst, '`')
	dst = append(dst, strings.ReplaceAll(name, "`", "``")...)
	return append(dst, '`')
}

// name is the name that a word or quoted name stands for.
func (l *lexed) name(t token) string {
	text := l.text(t)
	if t.kind != tokQuoted {
		return text
	}
	q := text[:1]
	return strings.ReplaceAll(text[1:len(text)-1], q+q, q)
}

// structural reports whether a literal is part of the grammar rather than a
// value, so that another one is another statement: lengths of types, precisions
// of clock functions, the character of ESCAPE, names of columns behind AS.
func (l *lexed) structural(i int) bool {
	if l.is(i-1, "ESCAPE") || l.toks[i].kind == tokString && l.is(i-1, "AS") {
		return true
	}
	if l.toks[i].kind != tokInt {
		return false
	}
	if l.op(i-1, ',') && i >= 4 && l.toks[i-2].kind == tokInt {
		i -= 2
	}
	if !l.op(i-1, '(') || i < 2 || l.toks[i-2].kind != tokWord {
		return false
	}
	return takesLength(l.text(l.toks[i-2]))
}

// byList follows whether a token stands in the list behind ORDER BY or GROUP BY,
// where a number alone is the position of a column: part of the grammar, too.
type byList struct {
	open  int // parentheses before the token
	depth int // in how many of them the list stands; noList outside
}

const noList = -1

// pass goes on to token i.
func (by *byList) pass(l *lexed, i int) {
	switch {
	case l.op(i, '('):
		by.open++
	case l.op(i, ')'):
		by.open--
		if by.open < by.depth {
			by.depth = noList
		}
	case l.toks[i].kind != tokWord:
	case l.is(i, "BY"):
		by.depth = by.open
	case l.is(i, "LIMIT"):
		by.depth = noList
	}
}

// ordinal reports whether token i, which was passed last, is a number alone in
// the list. That of an expression's beginning may be said to be one, too.
func (by *byList) ordinal(l *lexed, i int) bool {
	return by.open == by.depth && l.toks[i].kind == tokInt && (l.is(i-1, "BY") || l.op(i-1, ','))
}

func takesLength(word string) bool {
	var buf [20]byte
	switch string(upper(buf[:0], word)) {
	case "CHAR", "CHARACTER", "VARCHAR", "NCHAR", "BINARY", "VARBINARY", "DECIMAL", "DEC", "NUMERIC", "FLOAT", "DOUBLE", "REAL",
		"DATETIME", "TIME", "TIMESTAMP", "YEAR", "BIT", "VECTOR",
		"NOW", "SYSDATE", "CURTIME", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP", "UTC_TIME", "UTC_TIMESTAMP":
		return true
	}
	return false
}

// upper appends s in upper case, or nothing when it is longer than the buffer.
func upper(buf []byte, s string) []byte {
	if len(s) > cap(buf) {
		return buf
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf
}

// appendMark appends the literal that stands for literal number mark.
func appendMark(dst []byte, kind tokenKind, mark int) []byte {
	n := uint64(markBase + mark)
	switch kind {
	case tokInt:
		return strconv.AppendUint(dst, n, 10)
	case tokDecimal:
		return append(strconv.AppendUint(dst, n, 10), ".5"...)
	case tokFloat:
		return append(strconv.AppendUint(dst, n, 10), "e0"...)
	case tokHex:
		dst = append(dst, "x'"+markHex...)
		const width = 12
		digits := strconv.Itoa(mark)
		for range width - len(digits) {
			dst = append(dst, '0')
		}
		return append(append(dst, digits...), '\'')
	case tokBit:
		return append(dst, "b'1'"...)
	case tokString:
		dst = append(dst, "'"+markString...)
		return append(strconv.AppendInt(dst, int64(mark), 10), '\'')
	case tokNString:
		return append(dst, "N'n'"...)
	case tokOp, tokWord, tokQuoted, tokParam, tokUserVar, tokSysVar:
	}
	return dst
}

// appendLiteral appends a literal's own value, in the spelling that does not
// depend on the session's settings.
func (l *lexed) appendLiteral(dst []byte, t token) []byte {
	text := l.text(t)
	switch t.kind {
	case tokNString:
		dst = append(dst, 'N')
		text = text[1:]
	case tokString:
	case tokInt, tokDecimal, tokFloat, tokHex, tokBit, tokOp, tokWord, tokQuoted, tokParam, tokUserVar, tokSysVar:
		return append(dst, text...)
	}
	dst = append(dst, '\'')
	for _, c := range []byte(unquote(text, l.flags&lexNoBackslash == 0)) {
		switch c {
		case '\'', '\\':
			dst = append(dst, '\\', c)
		case 0:
			dst = append(dst, '\\', '0')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '\'')
}

// unquote returns the value of a quoted string, as the servers read it.
func unquote(text string, backslash bool) string {
	q, body := text[0], text[1:len(text)-1]
	if strings.IndexByte(body, q) < 0 && (!backslash || strings.IndexByte(body, '\\') < 0) {
		return body
	}
	out := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case c == q:
			i++ // doubled
		case c == '\\' && backslash && i+1 < len(body):
			i++
			out = appendEscaped(out, body[i])
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

func appendEscaped(out []byte, c byte) []byte {
	switch c {
	case 'n':
		return append(out, '\n')
	case 't':
		return append(out, '\t')
	case 'r':
		return append(out, '\r')
	case 'b':
		return append(out, '\b')
	case '0':
		return append(out, 0)
	case 'Z':
		return append(out, 26)
	case '%', '_':
		return append(out, '\\', c)
	}
	return append(out, c)
}

// literalTokens appends the indices of the literals, by number.
func (l *lexed) literalTokens(dst []int32) []int32 {
	for i, t := range l.toks {
		if t.kind.literal() {
			dst = append(dst, int32(i))
		}
	}
	return dst
}
