package plan

import (
	"slices"
	"strings"
)

// modeReader evaluates what drivers and frameworks assign to sql_mode instead
// of a list: functions of the session's own modes.
type modeReader struct {
	*cursor
	mode string // of the session
	deep int    // how many parentheses are open
}

// deepestMode bounds the parentheses, and so the recursion.
const deepestMode = 16

// modeExpression reports whether an expression follows that may be evaluated.
func (c *cursor) modeExpression() bool {
	if c.done() {
		return false
	}
	return c.op(c.i, '(') || c.toks[c.i].kind == tokSysVar || c.op(c.i+1, '(')
}

// setMode reads the expression and returns the list of modes that it is.
func setMode(c *cursor, mode string) (setting, error) {
	r := &modeReader{cursor: c, mode: mode}
	text, ok := r.expression()
	if !ok || !c.done() && !c.op(c.i, ',') {
		return setting{}, unsupported("this expression as the value of sql_mode", "give its value")
	}
	words := slices.DeleteFunc(strings.Split(text, ","), func(w string) bool { return w == "" })
	return setting{text: strings.Join(words, ","), quoted: true}, nil
}

// expression reads 'text', @@sql_mode, CONCAT(..), REPLACE(..), (..), (SELECT ..).
func (r *modeReader) expression() (string, bool) {
	if r.deep++; r.deep > deepestMode {
		return "", false
	}
	defer func() { r.deep-- }()
	switch {
	case r.acceptOp('('):
		r.accept("SELECT")
		text, ok := r.expression()
		return text, ok && r.acceptOp(')')
	case r.accept("CONCAT"):
		parts, ok := r.arguments()
		return strings.Join(parts, ""), ok
	case r.accept("REPLACE"):
		parts, ok := r.arguments()
		const three = 3
		if !ok || len(parts) != three || parts[1] == "" {
			return "", false
		}
		return strings.ReplaceAll(parts[0], parts[1], parts[2]), true
	}
	t, ok := r.next()
	if !ok {
		return "", false
	}
	switch t.kind {
	case tokString:
		return r.modeText(t)
	case tokSysVar:
		name, _, err := systemName(r.text(t))
		if err != nil || name != "sql_mode" {
			return "", false
		}
		return serverMode(r.mode)
	case tokOp, tokWord, tokQuoted, tokInt, tokDecimal, tokFloat, tokHex, tokBit, tokNString, tokParam, tokUserVar:
	}
	return "", false
}

// modeText is a literal's value. Lower case is not evaluated: whether REPLACE
// tells it from upper case is the server's business.
func (r *modeReader) modeText(t token) (string, bool) {
	text := unquote(r.text(t), r.flags&lexNoBackslash == 0)
	for i := range len(text) {
		if c := text[i]; c != ',' && c != '_' && (c < 'A' || c > 'Z') {
			return "", false
		}
	}
	return text, true
}

func (r *modeReader) arguments() ([]string, bool) {
	if !r.acceptOp('(') {
		return nil, false
	}
	var parts []string
	for {
		text, ok := r.expression()
		if !ok {
			return nil, false
		}
		parts = append(parts, text)
		if !r.acceptOp(',') {
			return parts, r.acceptOp(')')
		}
	}
}

// modesInOrder are the modes in the order in which servers write them. Those that
// stand for several, ANSI and TRADITIONAL, are left out: servers of different
// families add different ones.
func modesInOrder() []string {
	return []string{"REAL_AS_FLOAT", "PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE", "ONLY_FULL_GROUP_BY", "NO_UNSIGNED_SUBTRACTION",
		"NO_DIR_IN_CREATE", "NO_AUTO_VALUE_ON_ZERO", "NO_BACKSLASH_ESCAPES", "STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_IN_DATE",
		"NO_ZERO_DATE", "ALLOW_INVALID_DATES", "ERROR_FOR_DIVISION_BY_ZERO", "NO_AUTO_CREATE_USER", "HIGH_NOT_PRECEDENCE",
		"NO_ENGINE_SUBSTITUTION", "PAD_CHAR_TO_FULL_LENGTH", "TIME_TRUNCATE_FRACTIONAL"}
}

// serverMode is a list of modes as a server's @@sql_mode shows it, or false when
// that is not known.
func serverMode(mode string) (string, bool) {
	var words []string
	given := strings.Split(strings.ToUpper(mode), ",")
	for _, w := range modesInOrder() {
		if slices.Contains(given, w) {
			words = append(words, w)
		}
	}
	for _, w := range given {
		if w != "" && !slices.Contains(words, w) {
			return "", false
		}
	}
	return strings.Join(words, ","), true
}
