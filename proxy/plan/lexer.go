package plan

import (
	"strings"
	"unicode/utf8"
)

// tokenKind says what a token is.
type tokenKind uint8

const (
	tokOp      tokenKind = iota // one byte of punctuation
	tokWord                     // an unquoted identifier or keyword
	tokQuoted                   // a quoted identifier
	tokInt                      // digits that fit 64 bits
	tokDecimal                  // digits with a point, or too many of them
	tokFloat                    // with an exponent
	tokHex                      // 0x.. or x'..'
	tokBit                      // 0b.. or b'..'
	tokString                   // '..', or ".." without ANSI_QUOTES
	tokNString                  // N'..'
	tokParam                    // ?
	tokUserVar                  // @name
	tokSysVar                   // @@name
)

func (k tokenKind) literal() bool { return k >= tokInt && k <= tokNString }

// token is a piece of the text. gap tells that white space or a comment stands
// before it.
type token struct {
	kind       tokenKind
	gap        bool
	start, end int32
}

// lexFlags are the settings that change how a text is read. They are part of a
// plan's key in the cache.
type lexFlags uint16

const (
	lexAnsiQuotes lexFlags = 1 << iota
	lexNoBackslash
	lexPipesConcat
	lexHighNot
	lexIgnoreSpace
	lexOracle    // sql_mode=ORACLE and its like: another grammar
	lexPadChar   // PAD_CHAR_TO_FULL_LENGTH
	lexUTF8      // the text is UTF-8
	lexASCIIOnly // literals are read in another character set than they are sent in
	lexBMPOnly   // the character set is not utf8mb4
	// lexZeroIsValue: NO_AUTO_VALUE_ON_ZERO. It changes no reading, but what an INSERT means.
	lexZeroIsValue
	lexOnlyMySQL // no shard is MariaDB
)

// lexed is a text taken apart. Its slices are reused.
type lexed struct {
	sql   string
	flags lexFlags
	toks  []token
	end   int // where the statement ends: at the semicolon or the text's end

	params   int
	open     int  // parentheses
	code     bool // an executable comment is part of the statement
	inCode   bool
	unstable *Refusal // a reason found while reading, reported after syntax errors
}

const maxStatement = 1 << 30 // token offsets are 32 bit

// The parser's trees are walked by recursion, and a Go program whose stack grows
// beyond 1 GB ends, with every session in it. A tree is no deeper than the text has
// tokens; calls, subqueries and lists in each other take the most stack.
const (
	maxTokens  = 4 << 20
	maxNesting = 4096
)

// lex takes sql apart. What it cannot read for sure as both server families
// read it is refused.
func (l *lexed) lex(sql string, flags lexFlags) error {
	if err := l.first(sql, flags); err != nil {
		return err
	}
	if l.end == len(sql) {
		return l.finish()
	}
	return l.trailer(l.end + 1)
}

// first takes the first statement of sql apart, up to its semicolon or the text's
// end.
func (l *lexed) first(sql string, flags lexFlags) error {
	*l = lexed{sql: sql, flags: flags, toks: l.toks[:0], end: len(sql)}
	if len(sql) > maxStatement {
		return unsupported("a statement of more than 1 GiB", "")
	}
	pos := 0
	for {
		next, gap, err := l.skip(pos)
		if err != nil {
			return err
		}
		if next >= len(sql) {
			return nil
		}
		if sql[next] == ';' {
			l.end = next
			return nil
		}
		end, kind, err := l.scan(next)
		if err != nil {
			return err
		}
		if kind >= tokInt && kind <= tokBit && l.op(len(l.toks)-1, '.') {
			return syntax("a number behind a point")
		}
		if err := l.push(token{kind: kind, gap: gap, start: int32(next), end: int32(end)}); err != nil {
			return err
		}
		pos = end
	}
}

// push appends a token.
func (l *lexed) push(t token) error {
	l.toks = append(l.toks, t)
	switch {
	case t.kind == tokParam:
		l.params++
	case t.kind != tokOp:
	case l.sql[t.start] == '(':
		l.open++
	case l.sql[t.start] == ')':
		l.open--
	}
	if l.open > maxNesting {
		return unsupportedf("", "more than %d parentheses in each other", maxNesting)
	}
	if len(l.toks) > maxTokens {
		return unsupportedf("split it", "a statement of more than %d words", maxTokens)
	}
	return nil
}

func (l *lexed) finish() error {
	if l.inCode {
		return syntax("an executable comment is not closed")
	}
	if l.unstable != nil {
		return l.unstable
	}
	if len(l.toks) == 0 {
		return &Refusal{Code: CodeEmpty, Construct: "query was empty"}
	}
	return nil
}

// trailer checks that nothing but semicolons and comments follows a statement.
func (l *lexed) trailer(pos int) error {
	if l.inCode {
		return unsupported("a semicolon in an executable comment", "")
	}
	for {
		next, _, err := l.skip(pos)
		if err != nil {
			return err
		}
		if next >= len(l.sql) {
			return l.finish()
		}
		if l.sql[next] != ';' {
			if len(l.toks) == 0 {
				return syntax("a semicolon with no statement before it")
			}
			return unsupported("several statements in one packet", "send them one by one")
		}
		pos = next + 1
	}
}

// skip passes white space and comments. Executable comments are entered: their
// text is code.
func (l *lexed) skip(pos int) (int, bool, error) {
	start := pos
	for pos < len(l.sql) {
		c := l.sql[pos]
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			pos++
		case c == '#':
			pos = l.line(pos)
		case c == '-' && l.dashComment(pos):
			pos = l.line(pos)
		case c == '/' && l.at(pos+1) == '*':
			next, err := l.comment(pos)
			if err != nil {
				return 0, false, err
			}
			pos = next
		case c == '*' && l.inCode && l.at(pos+1) == '/':
			l.inCode = false
			pos += 2
		default:
			return pos, pos > start, nil
		}
	}
	return pos, pos > start, nil
}

// at returns the byte at pos, 0 beyond the end.
func (l *lexed) at(pos int) byte {
	if pos < len(l.sql) {
		return l.sql[pos]
	}
	return 0
}

func (l *lexed) dashComment(pos int) bool {
	return l.at(pos+1) == '-' && (pos+2 >= len(l.sql) || l.sql[pos+2] <= ' ' || l.sql[pos+2] == 0x7F)
}

func (l *lexed) line(pos int) int {
	i := strings.IndexByte(l.sql[pos:], '\n')
	if i < 0 {
		return len(l.sql)
	}
	return pos + i + 1
}

// comment passes the comment that begins at pos, or enters it when it is code.
func (l *lexed) comment(pos int) (int, error) {
	body := pos + 2
	switch {
	case l.at(body) == '!':
		return l.enter(body + 1)
	case l.at(body) == 'M' && l.at(body+1) == '!':
		return 0, unsupported("the comment /*M! ... */, which only MariaDB reads as code", "send the code without the comment")
	}
	i := strings.Index(l.sql[body:], "*/")
	if i < 0 {
		return 0, syntax("a comment is not closed")
	}
	if l.at(body) == '+' && l.unstable == nil {
		l.unstable = hintRefusal(l.sql[body : body+i])
	}
	return body + i + 2, nil
}

// The versions at which every supported server reads an executable comment:
// MySQL from 8.0.30 reads all up to its own, MariaDB passes over 50700 and up.
const everyServerReads = 50700

// mySQLReads is the version up to which every supported MySQL reads it.
const mySQLReads = 80030

// enter begins an executable comment whose body starts at pos.
func (l *lexed) enter(pos int) (int, error) {
	if l.inCode {
		return 0, unsupported("an executable comment in another one", "")
	}
	digits, version := 0, 0
	for digits < 6 && isDigit(l.at(pos+digits)) {
		version = version*10 + int(l.at(pos+digits)-'0')
		digits++
	}
	if digits < 5 {
		digits, version = 0, 0
	}
	if version >= everyServerReads && (version > mySQLReads || l.flags&lexOnlyMySQL == 0) {
		return 0, unsupported("the comment /*!"+l.sql[pos:pos+digits]+" ... */, which not every server reads as code", "send the code without the comment")
	}
	l.code, l.inCode = true, true
	return pos + digits, nil
}

// hintRefusal refuses optimizer hints that change the session.
func hintRefusal(hint string) *Refusal {
	h := strings.ToUpper(hint)
	for _, name := range [...]string{"SET_VAR", "RESOURCE_GROUP"} {
		if strings.Contains(h, name) {
			return unsupported("the optimizer hint "+name, "")
		}
	}
	return nil
}

// scan reads the token that begins at pos.
func (l *lexed) scan(pos int) (int, tokenKind, error) {
	c := l.sql[pos]
	switch {
	case c == '\'' || c == '"' && l.flags&lexAnsiQuotes == 0:
		end, err := l.quoted(pos, c, l.flags&lexNoBackslash == 0)
		return end, tokString, err
	case c == '"' || c == '`':
		return l.quotedName(pos, c)
	case isDigit(c) && !l.afterDot(pos):
		return l.number(pos)
	case c == '.' && isDigit(l.at(pos+1)) && !l.separates(pos):
		return l.fraction(pos)
	case isName(c):
		return l.word(pos)
	}
	return l.punctuation(pos)
}

// punctuation reads what is no name, number or string.
func (l *lexed) punctuation(pos int) (int, tokenKind, error) {
	switch c := l.sql[pos]; {
	case c == '@':
		return l.variable(pos)
	case c == '?':
		return pos + 1, tokParam, nil
	case c < ' ' || c == 0x7F:
		return 0, tokOp, syntax("a control character outside of quotes")
	case c == '\\':
		return 0, tokOp, syntax("a backslash outside of quotes")
	}
	return pos + 1, tokOp, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '_' || c == '$' || c >= 0x80
}

// last returns the token read before.
func (l *lexed) last() (token, bool) {
	if len(l.toks) == 0 {
		return token{}, false
	}
	return l.toks[len(l.toks)-1], true
}

// separates reports whether the point at pos stands right behind a name, so
// that a name follows: t.5a is a column.
func (l *lexed) separates(pos int) bool {
	t, ok := l.last()
	return ok && int(t.end) == pos && (t.kind == tokWord || t.kind == tokQuoted)
}

// afterDot reports whether pos is right behind a point that separates names.
func (l *lexed) afterDot(pos int) bool {
	n := len(l.toks)
	if n < 2 || int(l.toks[n-1].end) != pos || l.sql[pos-1] != '.' {
		return false
	}
	d, w := l.toks[n-1], l.toks[n-2]
	return d.kind == tokOp && w.end == d.start && (w.kind == tokWord || w.kind == tokQuoted)
}

// quoted returns the end of the quoted text that begins at pos.
func (l *lexed) quoted(pos int, q byte, backslash bool) (int, error) {
	for i := pos + 1; i < len(l.sql); i++ {
		switch c := l.sql[i]; {
		case c == '\\' && backslash:
			i++
		case c == q && l.at(i+1) == q:
			i++
		case c == q:
			return i + 1, nil
		}
	}
	return 0, syntax("a quote is not closed")
}

func (l *lexed) quotedName(pos int, q byte) (int, tokenKind, error) {
	end, err := l.quoted(pos, q, false)
	if err != nil {
		return 0, tokOp, err
	}
	if err := l.readable(l.sql[pos:end]); err != nil {
		return 0, tokOp, err
	}
	if end-pos < 3 || strings.IndexByte(l.sql[pos:end], 0) >= 0 {
		return 0, tokOp, syntax("an empty name, or one with a zero byte")
	}
	return end, tokQuoted, nil
}

// readable refuses names whose bytes are not understood: names are compared.
func (l *lexed) readable(name string) error {
	for i := range len(name) {
		if name[i] < 0x80 {
			continue
		}
		if l.flags&lexUTF8 == 0 || !utf8.ValidString(name) {
			return unsupported("a name that is not ASCII in another character set than UTF-8", "SET NAMES utf8mb4")
		}
		return nil
	}
	return nil
}

// word reads an unquoted name, or what a prefix makes of a quote behind it.
func (l *lexed) word(pos int) (int, tokenKind, error) {
	end := pos
	for end < len(l.sql) && isName(l.sql[end]) {
		end++
	}
	if err := l.readable(l.sql[pos:end]); err != nil {
		return 0, tokOp, err
	}
	if end != pos+1 || l.at(end) != '\'' {
		return end, tokWord, nil
	}
	switch l.sql[pos] {
	case 'N', 'n':
		end, err := l.quoted(end, '\'', l.flags&lexNoBackslash == 0)
		return end, tokNString, err
	case 'X', 'x':
		return l.digitsIn(end, tokHex, isHex)
	case 'B', 'b':
		return l.digitsIn(end, tokBit, isBit)
	}
	return end, tokWord, nil
}

func isHex(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func isBit(c byte) bool { return c == '0' || c == '1' }

// digitsIn reads the quoted digits of x'..' and b'..'; pos is at the quote.
func (l *lexed) digitsIn(pos int, kind tokenKind, is func(byte) bool) (int, tokenKind, error) {
	end := pos + 1
	for is(l.at(end)) {
		end++
	}
	if l.at(end) != '\'' || kind == tokHex && (end-pos-1)%2 != 0 {
		return 0, tokOp, syntax("a hexadecimal or bit literal")
	}
	return end + 1, kind, nil
}

// number reads what begins with a digit: a number, or a name such as 5a.
func (l *lexed) number(pos int) (int, tokenKind, error) {
	if l.sql[pos] == '0' && (l.at(pos+1) == 'x' || l.at(pos+1) == 'b') {
		is, kind := isHex, tokHex
		if l.at(pos+1) == 'b' {
			is, kind = isBit, tokBit
		}
		end := pos + 2
		for is(l.at(end)) {
			end++
		}
		if end > pos+2 && !isName(l.at(end)) {
			return end, kind, nil
		}
		return l.word(pos)
	}
	end := l.digits(pos)
	switch c := l.at(end); {
	case c == '.':
		return l.fraction(end)
	case c == 'e' || c == 'E':
		if e, ok := l.exponent(end); ok {
			return e, tokFloat, nil
		}
		return l.word(pos)
	case isName(c):
		return l.word(pos)
	}
	if fitsUint64(l.sql[pos:end]) {
		return end, tokInt, nil
	}
	return end, tokDecimal, nil
}

func (l *lexed) digits(pos int) int {
	for isDigit(l.at(pos)) {
		pos++
	}
	return pos
}

// fraction reads on from the point of a number.
func (l *lexed) fraction(point int) (int, tokenKind, error) {
	end := l.digits(point + 1)
	c := l.at(end)
	if c != 'e' && c != 'E' {
		return end, tokDecimal, nil
	}
	e, ok := l.exponent(end)
	if !ok {
		return 0, tokOp, syntax("a number with an incomplete exponent")
	}
	return e, tokFloat, nil
}

// exponent reads e5, e+5, e-5.
func (l *lexed) exponent(pos int) (int, bool) {
	d := pos + 1
	if c := l.at(d); c == '+' || c == '-' {
		d++
	}
	end := l.digits(d)
	return end, end > d
}

func fitsUint64(digits string) bool {
	digits = strings.TrimLeft(digits, "0")
	const largest = "18446744073709551615"
	return len(digits) < len(largest) || len(digits) == len(largest) && digits <= largest
}

// variable reads @x, @'x', @`x`, @@x, @@scope.x.
func (l *lexed) variable(pos int) (int, tokenKind, error) {
	if l.at(pos+1) == '@' {
		return l.systemVariable(pos)
	}
	switch c := l.at(pos + 1); {
	case c == '\'' || c == '"' || c == '`':
		end, err := l.quoted(pos+1, c, false)
		if err != nil {
			return 0, tokOp, err
		}
		if strings.IndexByte(l.sql[pos:end], '\\') >= 0 {
			return 0, tokOp, unsupported("a backslash in the name of a variable", "")
		}
		return end, tokUserVar, l.readable(l.sql[pos:end])
	case isName(c) || c == '.':
		end := pos + 1
		for isName(l.at(end)) || l.at(end) == '.' {
			end++
		}
		return end, tokUserVar, l.readable(l.sql[pos:end])
	}
	return 0, tokOp, syntax("an @ without a name")
}

func (l *lexed) systemVariable(pos int) (int, tokenKind, error) {
	end := pos + 2
	for {
		if l.at(end) == '`' {
			e, err := l.quoted(end, '`', false)
			if err != nil {
				return 0, tokOp, err
			}
			end = e
		} else {
			begin := end
			for isName(l.at(end)) {
				end++
			}
			if end == begin {
				return 0, tokOp, syntax("an @@ without a name")
			}
		}
		if l.at(end) != '.' {
			return end, tokSysVar, l.readable(l.sql[pos:end])
		}
		end++
	}
}

// text is a token's text.
func (l *lexed) text(t token) string { return l.sql[t.start:t.end] }

// is reports whether token i is the unquoted word w, given in upper case.
func (l *lexed) is(i int, w string) bool {
	if i < 0 || i >= len(l.toks) || l.toks[i].kind != tokWord {
		return false
	}
	return equalUpper(l.text(l.toks[i]), w)
}

// op reports whether token i is the punctuation c.
func (l *lexed) op(i int, c byte) bool {
	return i >= 0 && i < len(l.toks) && l.toks[i].kind == tokOp && l.sql[l.toks[i].start] == c
}

// equalUpper compares with a word in upper case, in ASCII.
func equalUpper(s, upper string) bool {
	if len(s) != len(upper) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}
