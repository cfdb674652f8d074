package plan

import (
	"slices"
	"strconv"
	"strings"
)

// setsUserVariables reports whether a SET is of user variables only: those are
// expressions, and are planned as such.
func (l *lexed) setsUserVariables() bool {
	depth, item := 0, true
	for i := 1; i < len(l.toks); i++ {
		if item {
			if l.toks[i].kind != tokUserVar {
				return false
			}
			item = false
		}
		switch {
		case l.op(i, '('):
			depth++
		case l.op(i, ')'):
			depth--
		case depth == 0 && l.op(i, ','):
			item = true
		}
	}
	return !item
}

// set plans SET of what is tracked and replayed; all else is refused.
func set(env *Env, l *lexed) (*Plan, error) {
	c := &cursor{lexed: l, i: 1}
	plan := &Plan{Class: ClassSet, Reader: true}
	if list, ok, err := setTransaction(c); ok || err != nil {
		plan.Set = list
		return plan, err
	}
	for {
		a, err := setItem(c, env.SQLMode)
		if err != nil {
			return nil, err
		}
		if a.Variable == VarSQLMode && slices.ContainsFunc(plan.Set, func(b Assignment) bool { return b.Variable == VarSQLMode }) {
			return nil, unsupported("sql_mode twice in one SET", "set it once")
		}
		plan.Set = append(plan.Set, a)
		if !c.acceptOp(',') {
			return plan, c.rest()
		}
	}
}

// setTransaction reads [SESSION] TRANSACTION characteristic {, characteristic}.
func setTransaction(c *cursor) ([]Assignment, bool, error) {
	start := c.i
	session := c.accept("SESSION") || c.accept("LOCAL")
	if !session && c.accept("GLOBAL") && c.is(c.i, "TRANSACTION") {
		return nil, false, unsupported("SET GLOBAL TRANSACTION", "it would change one shard for everybody")
	}
	if !c.accept("TRANSACTION") {
		c.i = start
		return nil, false, nil
	}
	isolation, access := VarNextIsolation, VarNextAccess
	if session {
		isolation, access = VarIsolation, VarAccess
	}
	var list []Assignment
	for {
		a, err := characteristic(c, isolation, access)
		if err != nil {
			return nil, false, err
		}
		for _, b := range list {
			if a.Variable == b.Variable {
				return nil, false, syntax("a transaction characteristic is given twice")
			}
		}
		list = append(list, a)
		if !c.acceptOp(',') {
			return list, true, c.rest()
		}
	}
}

func characteristic(c *cursor, isolation, access Variable) (Assignment, error) {
	switch {
	case c.accept("READ", "ONLY"):
		return Assignment{Variable: access, Name: "transaction_read_only", Value: "READ ONLY"}, nil
	case c.accept("READ", "WRITE"):
		return Assignment{Variable: access, Name: "transaction_read_only", Value: "READ WRITE"}, nil
	case !c.accept("ISOLATION", "LEVEL"):
		return Assignment{}, syntax("an unknown transaction characteristic")
	}
	for _, level := range [...][]string{{"READ", "UNCOMMITTED"}, {"READ", "COMMITTED"}, {"REPEATABLE", "READ"}, {"SERIALIZABLE"}} {
		if c.accept(level...) {
			return Assignment{Variable: isolation, Name: "transaction_isolation", Value: strings.Join(level, " ")}, nil
		}
	}
	return Assignment{}, syntax("an unknown isolation level")
}

// setItem reads one assignment; mode is the session's sql_mode.
func setItem(c *cursor, mode string) (Assignment, error) {
	switch {
	case c.accept("NAMES"):
		return setNames(c)
	case c.accept("CHARACTER", "SET"), c.accept("CHARSET"):
		return setCharset(c, VarCharacterSet, "character set")
	case c.is(c.i, "PASSWORD"), c.is(c.i, "ROLE"), c.is(c.i, "DEFAULT"), c.is(c.i, "RESOURCE"), c.is(c.i, "STATEMENT"):
		return Assignment{}, unsupported("the statement "+c.phrase(), "")
	}
	name, oneShot, err := variableName(c)
	if err != nil {
		return Assignment{}, err
	}
	if !c.acceptOp('=') && (!c.acceptOp(':') || !c.acceptOp('=')) {
		return Assignment{}, syntax("= is expected after " + clip(name))
	}
	var v setting
	if name == "sql_mode" && c.modeExpression() {
		v, err = setMode(c, mode)
	} else {
		v, err = setValue(c, name)
	}
	if err != nil {
		return Assignment{}, err
	}
	return assign(name, v, oneShot)
}

// variableName reads [SESSION|LOCAL] name or @@[scope.]name. oneShot tells the
// form @@name, which for the transaction's characteristics means the next one.
func variableName(c *cursor) (name string, oneShot bool, err error) {
	for _, w := range [...]string{"GLOBAL", "PERSIST", "PERSIST_ONLY"} {
		if c.is(c.i, w) {
			return "", false, unsupported("SET "+w, "it would change one shard for everybody")
		}
	}
	if !c.accept("SESSION") {
		c.accept("LOCAL")
	}
	t, ok := c.next()
	if !ok {
		return "", false, syntax("SET without a variable")
	}
	switch t.kind {
	case tokWord, tokQuoted:
		if c.op(c.i, '.') {
			return "", false, unsupported("SET of a structured variable", "")
		}
		return strings.ToLower(c.name(t)), false, nil
	case tokSysVar:
		return systemName(c.text(t))
	case tokUserVar:
		return "", false, unsupported("user variables and others in one SET", "set them one by one")
	case tokOp, tokInt, tokDecimal, tokFloat, tokHex, tokBit, tokString, tokNString, tokParam:
	}
	return "", false, syntax("near " + clip(c.text(t)))
}

func systemName(text string) (name string, oneShot bool, err error) {
	name = strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(text, "@@"), "`", ""))
	scope, rest, scoped := strings.Cut(name, ".")
	switch {
	case !scoped:
		return name, true, nil
	case scope == "session" || scope == "local":
		return rest, false, nil
	}
	return "", false, unsupported("SET @@"+scope, "it would change one shard for everybody")
}

// setting is a value in SET: a word, a string or a number.
type setting struct {
	text   string
	quoted bool // a string
}

func (s setting) word(w string) bool { return !s.quoted && strings.EqualFold(s.text, w) }

func setValue(c *cursor, name string) (setting, error) {
	sign := ""
	if c.acceptOp('-') {
		sign = "-"
	}
	t, ok := c.next()
	if !ok {
		return setting{}, syntax("SET " + clip(name) + " without a value")
	}
	if !c.done() && !c.op(c.i, ',') {
		return setting{}, unsupported("an expression as the value of "+clip(name), "give its value")
	}
	switch t.kind {
	case tokString:
		if sign == "" {
			return setting{text: unquote(c.text(t), c.flags&lexNoBackslash == 0), quoted: true}, nil
		}
	case tokWord, tokInt:
		if sign == "" || t.kind == tokInt {
			return setting{text: sign + c.text(t)}, nil
		}
	case tokOp, tokQuoted, tokDecimal, tokFloat, tokHex, tokBit, tokNString, tokParam, tokUserVar, tokSysVar:
	}
	return setting{}, unsupported("an expression as the value of "+clip(name), "give its value")
}

// assign checks a value for a variable.
func assign(name string, v setting, oneShot bool) (Assignment, error) {
	a := Assignment{Name: name, Value: v.text, Default: v.word("DEFAULT")}
	switch name {
	case "character_set_client":
		return a.charset(VarCharsetClient, v)
	case "character_set_connection":
		return a.charset(VarCharsetConnection, v)
	case "character_set_results":
		if v.word("NULL") {
			return Assignment{Variable: VarCharsetResults, Name: name, Null: true}, nil
		}
		return a.charset(VarCharsetResults, v)
	case "collation_connection":
		return a.collation(v)
	case "sql_mode":
		return a.sqlMode(v)
	case "time_zone":
		return a.timeZone(v)
	case "transaction_isolation", "tx_isolation":
		return a.isolation(v, oneShot)
	case "transaction_read_only", "tx_read_only":
		return a.access(v, oneShot)
	case "autocommit":
		return a.flag(VarAutocommit, v)
	case "xa_report_gtrid":
		return a.flag(VarReportGtrid, v)
	case "wait_timeout", "interactive_timeout":
		return a.idle(v)
	}
	if harmless(name, v) {
		a.Variable = VarNothing
		return a, nil
	}
	return Assignment{}, unsupported("SET "+clip(name), "leave the shards' setting")
}

// harmless reports whether a variable is set to what it is anyway: the values
// that drivers and frameworks send at login.
func harmless(name string, v setting) bool {
	off := v.word("DEFAULT") || v.text == "0" || strings.EqualFold(v.text, "OFF") || v.word("FALSE")
	on := v.word("DEFAULT") || v.text == "1" || strings.EqualFold(v.text, "ON") || v.word("TRUE")
	switch name {
	case "sql_auto_is_null", "sql_safe_updates", "profiling":
		return off && !v.word("DEFAULT")
	case "sql_big_selects", "foreign_key_checks", "unique_checks", "sql_quote_show_create", "sql_notes", "session_track_schema":
		return on && !v.word("DEFAULT")
	case "sql_select_limit":
		return v.word("DEFAULT") || v.text == "18446744073709551615"
	}
	return false
}

func (a Assignment) of(v Variable) Assignment {
	a.Variable = v
	if a.Default {
		a.Value = ""
	}
	return a
}

func (a Assignment) charset(variable Variable, v setting) (Assignment, error) {
	a.Value = strings.ToLower(v.text)
	if a.Default || variable == VarCharsetResults && isPlainName(a.Value) {
		return a.of(variable), nil
	}
	if _, known := textCharset(a.Value); !known {
		return Assignment{}, unsupported("the character set "+clip(v.text), "SET NAMES utf8mb4")
	}
	return a.of(variable), nil
}

func isPlainName(s string) bool {
	for i := range len(s) {
		if !isName(s[i]) || s[i] >= 0x80 || s[i] == '$' {
			return false
		}
	}
	return s != "" && !isDigit(s[0])
}

func (a Assignment) collation(v setting) (Assignment, error) {
	a.Value = strings.ToLower(v.text)
	if a.Default {
		return a.of(VarCollationConnection), nil
	}
	if !isPlainName(a.Value) {
		return Assignment{}, syntax("the collation " + clip(v.text))
	}
	if _, known := textCharset(charsetOf(a.Value)); !known {
		return Assignment{}, unsupported("the collation "+clip(v.text), "SET NAMES utf8mb4")
	}
	return a.of(VarCollationConnection), nil
}

func (a Assignment) sqlMode(v setting) (Assignment, error) {
	if !a.Default {
		for _, m := range strings.Split(v.text, ",") {
			if !knownMode(m) {
				return Assignment{}, unsupported("the sql_mode "+clip(m), "")
			}
		}
	}
	return a.of(VarSQLMode), nil
}

// knownMode lists the modes under which statements are read as they are here.
func knownMode(mode string) bool {
	switch strings.ToUpper(strings.TrimSpace(mode)) {
	case "", "ALLOW_INVALID_DATES", "ANSI", "ANSI_QUOTES", "ERROR_FOR_DIVISION_BY_ZERO", "HIGH_NOT_PRECEDENCE", "IGNORE_SPACE",
		"NO_AUTO_CREATE_USER", "NO_AUTO_VALUE_ON_ZERO", "NO_BACKSLASH_ESCAPES", "NO_DIR_IN_CREATE", "NO_ENGINE_SUBSTITUTION",
		"NO_UNSIGNED_SUBTRACTION", "NO_ZERO_DATE", "NO_ZERO_IN_DATE", "ONLY_FULL_GROUP_BY", "PAD_CHAR_TO_FULL_LENGTH",
		"PIPES_AS_CONCAT", "REAL_AS_FLOAT", "STRICT_ALL_TABLES", "STRICT_TRANS_TABLES", "TIME_TRUNCATE_FRACTIONAL", "TRADITIONAL":
		return true
	}
	return false
}

// timeZone accepts names and offsets: nothing that ends a string.
func (a Assignment) timeZone(v setting) (Assignment, error) {
	for i := range len(v.text) {
		if c := v.text[i]; !isName(c) && c != '/' && c != ':' && c != '+' && c != '-' || c >= 0x80 {
			return Assignment{}, unsupported("the time zone "+clip(v.text), "")
		}
	}
	if !v.quoted && !a.Default && !v.word("SYSTEM") {
		return Assignment{}, syntax("the time zone " + clip(v.text))
	}
	return a.of(VarTimeZone), nil
}

func (a Assignment) isolation(v setting, oneShot bool) (Assignment, error) {
	variable := VarIsolation
	if oneShot {
		variable = VarNextIsolation
	}
	if a.Default {
		return a.of(variable), nil
	}
	level := strings.ToUpper(strings.ReplaceAll(v.text, "-", " "))
	switch level {
	case "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE":
		a.Value, a.Name = level, "transaction_isolation"
		return a.of(variable), nil
	}
	return Assignment{}, unsupported("the isolation level "+clip(v.text), "")
}

func (a Assignment) access(v setting, oneShot bool) (Assignment, error) {
	variable := VarAccess
	if oneShot {
		variable = VarNextAccess
	}
	on, err := v.boolean()
	if err != nil && !a.Default {
		return Assignment{}, err
	}
	a.Name, a.Value = "transaction_read_only", "READ WRITE"
	if on {
		a.Value = "READ ONLY"
	}
	return a.of(variable), nil
}

// flag is a variable that is on or off.
func (a Assignment) flag(variable Variable, v setting) (Assignment, error) {
	on, err := v.boolean()
	if err != nil && !a.Default {
		return Assignment{}, err
	}
	a.Value = "0"
	if on {
		a.Value = "1"
	}
	return a.of(variable), nil
}

func (s setting) boolean() (bool, error) {
	switch strings.ToUpper(s.text) {
	case "1", "ON", "TRUE":
		return true, nil
	case "0", "OFF", "FALSE":
		return false, nil
	}
	return false, unsupported("the value "+clip(s.text)+" for a switch", "use 0 or 1")
}

func (a Assignment) idle(v setting) (Assignment, error) {
	if _, err := strconv.ParseUint(v.text, 10, 31); (err != nil || v.quoted) && !a.Default {
		return Assignment{}, unsupported("the value "+clip(v.text)+" for "+a.Name, "")
	}
	return a.of(VarIdleTimeout), nil
}

// setNames reads NAMES charset [COLLATE collation] | DEFAULT.
func setNames(c *cursor) (Assignment, error) {
	a, err := setCharset(c, VarNames, "names")
	if err != nil || a.Default || !c.accept("COLLATE") {
		return a, err
	}
	v, err := nameOrString(c)
	if err != nil {
		return Assignment{}, err
	}
	if v.word("DEFAULT") {
		return a, nil
	}
	if !isPlainName(v.text) {
		return Assignment{}, syntax("the collation " + clip(v.text))
	}
	a.Collation = strings.ToLower(v.text)
	return a, nil
}

func setCharset(c *cursor, variable Variable, name string) (Assignment, error) {
	v, err := nameOrString(c)
	if err != nil {
		return Assignment{}, err
	}
	return Assignment{Name: name, Default: v.word("DEFAULT")}.charset(variable, v)
}

func nameOrString(c *cursor) (setting, error) {
	t, ok := c.next()
	if !ok {
		return setting{}, syntax("a character set is expected")
	}
	switch t.kind {
	case tokWord:
		return setting{text: c.text(t)}, nil
	case tokString:
		return setting{text: unquote(c.text(t), c.flags&lexNoBackslash == 0), quoted: true}, nil
	case tokOp, tokQuoted, tokInt, tokDecimal, tokFloat, tokHex, tokBit, tokNString, tokParam, tokUserVar, tokSysVar:
	}
	return setting{}, syntax("near " + clip(c.text(t)))
}
