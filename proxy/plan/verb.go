package plan

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// verb plans the statements that are read token by token or, being rare, with
// their literals: everything but SELECT, INSERT, REPLACE, UPDATE, DELETE.
func (p *Planner) verb(env *Env, s *scratch) (*Plan, error) {
	if s.toks[0].kind != tokWord {
		return nil, syntax("near " + clip(s.text(s.toks[0])))
	}
	word := strings.ToUpper(s.text(s.toks[0]))
	if s.params > 0 {
		return nil, unsupported("parameters in "+word, "")
	}
	switch word {
	case "BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE":
		return transaction(&s.lexed, word)
	case "XA":
		return outcome(&s.lexed)
	case "SET":
		return set(env, &s.lexed)
	case "USE":
		return use(&s.lexed)
	case "SHOW", "DESCRIBE", "DESC", "EXPLAIN":
		return p.show(env, &s.lexed, word)
	case "KILL":
		return kill(&s.lexed)
	case "UNLOCK":
		if len(s.toks) == 2 && (s.is(1, "TABLES") || s.is(1, "TABLE")) {
			return &Plan{Class: ClassUnlock, Reader: true}, nil
		}
	case "CREATE", "DROP", "ALTER", "TRUNCATE", "RENAME":
		return p.define(env, s, word)
	}
	return nil, unsupported("the statement "+s.phrase(), "")
}

// phrase is the statement's first words, for messages.
func (l *lexed) phrase() string {
	const words = 3
	var parts []string
	for i := 0; i < len(l.toks) && i < words && l.toks[i].kind == tokWord; i++ {
		parts = append(parts, strings.ToUpper(clip(l.text(l.toks[i]))))
	}
	return strings.Join(parts, " ")
}

func clip(s string) string {
	const longest = 40
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}

// cursor reads tokens one after the other.
type cursor struct {
	*lexed
	i int
}

// accept passes the words if all of them follow.
func (c *cursor) accept(words ...string) bool {
	for k, w := range words {
		if !c.is(c.i+k, w) {
			return false
		}
	}
	c.i += len(words)
	return true
}

// acceptOp passes a punctuation if it follows.
func (c *cursor) acceptOp(b byte) bool {
	if !c.op(c.i, b) {
		return false
	}
	c.i++
	return true
}

func (c *cursor) done() bool { return c.i >= len(c.toks) }

// rest fails unless all was read. What is left may mean something to a server.
func (c *cursor) rest() error {
	if c.done() {
		return nil
	}
	return unread("near " + clip(c.text(c.toks[c.i])))
}

// next returns the next token and passes it.
func (c *cursor) next() (token, bool) {
	if c.done() {
		return token{}, false
	}
	c.i++
	return c.toks[c.i-1], true
}

// ident reads a name.
func (c *cursor) ident() (string, bool) {
	if c.done() || c.toks[c.i].kind != tokWord && c.toks[c.i].kind != tokQuoted {
		return "", false
	}
	c.i++
	return c.name(c.toks[c.i-1]), true
}

func transaction(l *lexed, word string) (*Plan, error) {
	c := &cursor{lexed: l, i: 1}
	switch word {
	case "BEGIN":
		c.accept("WORK")
		return &Plan{Class: ClassBegin, Reader: true}, c.rest()
	case "START":
		return startTransaction(c)
	case "COMMIT":
		return endTransaction(c, ClassCommit)
	case "SAVEPOINT":
		return savepoint(c, SavepointSet)
	case "RELEASE":
		if !c.accept("SAVEPOINT") {
			return nil, syntax("SAVEPOINT is expected after RELEASE")
		}
		return savepoint(c, SavepointRelease)
	}
	work := c.accept("WORK")
	if c.accept("TO") {
		c.accept("SAVEPOINT")
		return savepoint(c, SavepointRollback)
	}
	if work {
		c.i-- // read again by endTransaction
	}
	return endTransaction(c, ClassRollback)
}

func savepoint(c *cursor, verb SavepointVerb) (*Plan, error) {
	name, ok := c.ident()
	if !ok {
		return nil, syntax("a savepoint without a name")
	}
	return &Plan{Class: ClassSavepoint, Reader: true, Savepoint: Savepoint{Verb: verb, Name: name}}, c.rest()
}

// startTransaction reads START TRANSACTION [characteristic {, characteristic}].
func startTransaction(c *cursor) (*Plan, error) {
	if !c.accept("TRANSACTION") {
		return nil, unsupported("the statement "+c.phrase(), "")
	}
	plan := &Plan{Class: ClassBegin, Reader: true}
	if c.done() {
		return plan, nil
	}
	for {
		var access Access
		switch {
		case c.accept("WITH", "CONSISTENT", "SNAPSHOT"):
			return nil, unsupported("START TRANSACTION WITH CONSISTENT SNAPSHOT", "START TRANSACTION: shards have no common snapshot")
		case c.accept("READ", "ONLY"):
			access = AccessReadOnly
		case c.accept("READ", "WRITE"):
			access = AccessReadWrite
		default:
			return nil, syntax("an unknown characteristic of START TRANSACTION")
		}
		if plan.Tx.Access != AccessDefault {
			return nil, syntax("two access modes for one transaction")
		}
		plan.Tx.Access = access
		if !c.acceptOp(',') {
			return plan, c.rest()
		}
	}
}

// endTransaction reads [WORK] [AND [NO] CHAIN] [[NO] RELEASE].
func endTransaction(c *cursor, class Class) (*Plan, error) {
	plan := &Plan{Class: class, Reader: true}
	c.accept("WORK")
	switch {
	case c.accept("AND", "CHAIN"):
		plan.Tx.Chain = OptionYes
	case c.accept("AND", "NO", "CHAIN"):
		plan.Tx.Chain = OptionNo
	}
	switch {
	case c.accept("RELEASE"):
		plan.Tx.Release = OptionYes
	case c.accept("NO", "RELEASE"):
		plan.Tx.Release = OptionNo
	}
	if plan.Tx.Chain == OptionYes && plan.Tx.Release == OptionYes {
		return nil, syntax("AND CHAIN and RELEASE together")
	}
	return plan, c.rest()
}

// outcome reads XA OUTCOME 'gtrid'; every other XA verb is the proxy's own.
func outcome(l *lexed) (*Plan, error) {
	c := &cursor{lexed: l, i: 1}
	if !c.accept("OUTCOME") {
		return nil, unsupported("the statement "+l.phrase(), "the proxy drives XA itself: BEGIN and COMMIT")
	}
	t, ok := c.next()
	if !ok {
		return nil, syntax("XA OUTCOME needs a gtrid")
	}
	gtrid, ok := l.bytesOf(t)
	if !ok {
		return nil, syntax("XA OUTCOME needs a gtrid as a string")
	}
	return &Plan{Class: ClassOutcome, Reader: true, Gtrid: gtrid}, c.rest()
}

// bytesOf is the value of a string or hexadecimal literal.
func (l *lexed) bytesOf(t token) (string, bool) {
	text := l.text(t)
	switch t.kind {
	case tokString:
		return unquote(text, l.flags&lexNoBackslash == 0), true
	case tokHex:
		digits := strings.TrimSuffix(text[2:], "'")
		if len(digits)%2 != 0 {
			digits = "0" + digits
		}
		raw, err := hex.DecodeString(digits)
		return string(raw), err == nil
	case tokOp, tokWord, tokQuoted, tokInt, tokDecimal, tokFloat, tokBit, tokNString, tokParam, tokUserVar, tokSysVar:
	}
	return "", false
}

func use(l *lexed) (*Plan, error) {
	c := &cursor{lexed: l, i: 1}
	name, ok := c.ident()
	if !ok {
		return nil, syntax("USE needs a schema")
	}
	if strings.EqualFold(name, reservedSchema) {
		return nil, accessDenied(name)
	}
	return &Plan{Class: ClassUse, Reader: true, Schema: name}, c.rest()
}

// kill reads KILL [CONNECTION|QUERY] id.
func kill(l *lexed) (*Plan, error) {
	c := &cursor{lexed: l, i: 1}
	plan := &Plan{Class: ClassKill, Reader: true}
	if !c.accept("CONNECTION") {
		plan.Kill.Query = c.accept("QUERY")
	}
	t, ok := c.next()
	if !ok || t.kind != tokInt {
		return nil, unsupported("KILL of anything but a number", "")
	}
	id, err := strconv.ParseUint(l.text(t), 10, 64)
	if err != nil {
		return nil, syntax("the id of KILL")
	}
	plan.Kill.ID = id
	return plan, c.rest()
}
