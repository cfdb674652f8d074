package plan

import (
	"strings"

	"xaproxy/proxy/route"
)

// show plans SHOW, DESCRIBE and EXPLAIN.
func (p *Planner) show(env *Env, l *lexed, word string) (*Plan, error) {
	if word != "SHOW" {
		if plan, is, err := explainRoute(l); is {
			return plan, err
		}
		if plan, is, err := p.explain(env, l); is {
			return plan, err
		}
	}
	c := &cursor{lexed: l, i: 1}
	plan := &Plan{Class: ClassShow, Reader: true, flags: l.flags}
	if word != "SHOW" {
		return describe(env, c, plan)
	}
	s := &shower{env: env, cursor: c, plan: plan}
	err := s.form()
	return plan, err
}

// shower reads one SHOW.
type shower struct {
	env *Env
	*cursor
	plan *Plan
}

func (s *shower) first() route.Shard { return s.env.Catalog.Map().First() }

func (s *shower) form() error {
	s.accept("EXTENDED")
	full := s.accept("FULL")
	switch {
	case s.accept("WARNINGS"), s.accept("ERRORS"), s.is(s.i, "COUNT"):
		s.plan.Class = ClassWarnings
		return nil
	case s.accept("PROCESSLIST"):
		s.plan.Class, s.plan.Full = ClassProcesslist, full
		return s.rest()
	case s.accept("DDL"):
		s.plan.Class = ClassDefinitions
		return s.rest()
	case s.accept("COLUMNS"), s.accept("FIELDS"):
		return s.columns()
	case s.accept("TABLES"):
		return s.tables()
	case full:
		return s.unknown()
	case s.accept("INDEX"), s.accept("INDEXES"), s.accept("KEYS"):
		return s.indexes()
	case s.accept("CREATE", "TABLE"):
		return s.createTable()
	case s.accept("CREATE", "DATABASE"), s.accept("CREATE", "SCHEMA"):
		return s.createSchema()
	case s.accept("DATABASES"), s.accept("SCHEMAS"):
		return s.schemas()
	}
	return s.variables()
}

func (s *shower) unknown() error { return unsupported("the statement "+s.phrase(), "") }

func (s *shower) variables() error {
	switch {
	case s.accept("ENGINES"), s.accept("STORAGE", "ENGINES"), s.accept("PRIVILEGES"):
		s.plan.bind = oneShard{s.first()}
		return s.rest()
	case s.accept("CHARACTER", "SET"), s.accept("CHARSET"), s.accept("COLLATION"):
		s.plan.bind = oneShard{s.first()}
		return s.filter()
	case s.accept("GLOBAL", "VARIABLES"):
		s.plan.bind = oneShard{s.first()}
		return s.filter()
	case s.accept("VARIABLES"), s.accept("SESSION", "VARIABLES"), s.accept("LOCAL", "VARIABLES"):
		return s.sessionVariables()
	}
	return s.unknown()
}

// sessionVariables: those whose value in a shard's session is not the client's
// must not be among them.
func (s *shower) sessionVariables() error {
	pattern, ok := s.pattern()
	if !ok {
		return unsupported("SHOW VARIABLES without LIKE 'name'", "name the variables: some have another value in a shard's session")
	}
	for _, name := range proxyVariables() {
		if like(pattern, name) {
			return unsupported("SHOW VARIABLES of "+name, "it has another value in a shard's session")
		}
	}
	s.plan.bind = oneShard{s.first()}
	return s.rest()
}

// filter reads [LIKE 'pattern' | WHERE condition]. A condition holds no
// parentheses and variables, hence no functions and subqueries.
func (s *shower) filter() error {
	if s.done() {
		return nil
	}
	if _, ok := s.pattern(); ok {
		return s.rest()
	}
	if !s.accept("WHERE") {
		return s.rest()
	}
	for _, t := range s.toks[s.i:] {
		if t.kind == tokUserVar || t.kind == tokSysVar || t.kind == tokOp && s.sql[t.start] == '(' {
			return unsupported("this condition in SHOW", "")
		}
	}
	return nil
}

// pattern reads LIKE 'pattern'.
func (s *shower) pattern() (string, bool) {
	if !s.is(s.i, "LIKE") || s.i+1 >= len(s.toks) || s.toks[s.i+1].kind != tokString {
		return "", false
	}
	text := unquote(s.text(s.toks[s.i+1]), s.flags&lexNoBackslash == 0)
	s.i += 2
	return text, true
}

// from reads {FROM|IN} name.
func (s *shower) from() (string, bool, error) {
	if !s.accept("FROM") && !s.accept("IN") {
		return "", false, nil
	}
	name, ok := s.ident()
	if !ok {
		return "", false, syntax("a name is expected")
	}
	return name, true, nil
}

// table reads a table's name, perhaps with the schema before or behind it.
func (s *shower) table(introduced bool) (*Table, bool, error) {
	if introduced && !s.accept("FROM") && !s.accept("IN") {
		return nil, false, syntax("FROM is expected")
	}
	name, ok := s.ident()
	if !ok {
		return nil, false, syntax("a table is expected")
	}
	schema := s.env.Schema
	if s.acceptOp('.') {
		schema = name
		if name, ok = s.ident(); !ok {
			return nil, false, syntax("a table is expected")
		}
	}
	if introduced {
		if in, ok, err := s.from(); err != nil {
			return nil, false, err
		} else if ok {
			schema = in
		}
	}
	return s.find(schema, name)
}

// find looks a table up; it reports whether it is information_schema's.
func (s *shower) find(schema, name string) (*Table, bool, error) {
	if schema == "" {
		return nil, false, &Refusal{Code: CodeNoDatabase, Construct: "no database selected"}
	}
	info, err := checkSchema(schema)
	if err != nil || info {
		return nil, info, err
	}
	t, err := s.env.Catalog.Table(schema, name)
	if err == nil {
		s.plan.Tables = []TableName{{t.Schema, t.Name}}
	}
	return t, false, err
}

// at binds to a shard that has the table.
func (s *shower) at(t *Table, info bool) {
	if info {
		s.plan.bind = oneShard{s.first()}
		return
	}
	s.plan.bind = oneShard{t.Rule.Shards()[0]}
}

func (s *shower) columns() error {
	t, info, err := s.table(true)
	if err != nil {
		return err
	}
	s.at(t, info)
	return s.filter()
}

func (s *shower) indexes() error {
	t, info, err := s.table(true)
	if err != nil {
		return err
	}
	if !info && t.Rule.Kind() == route.RuleSharded && len(t.Rule.Shards()) > 1 {
		return unsupported("SHOW INDEX of the sharded table "+t.Name, "its numbers differ between shards: SHOW CREATE TABLE")
	}
	s.at(t, info)
	return s.filter()
}

func (s *shower) createTable() error {
	t, info, err := s.table(false)
	if err != nil {
		return err
	}
	if !info && t.Rule.Kind() == route.RuleSharded && t.autoColumn() != "" {
		return unsupported("SHOW CREATE TABLE of the sharded table "+t.Name+" with an AUTO_INCREMENT column", "its next number differs between shards: SHOW COLUMNS")
	}
	s.at(t, info)
	return s.rest()
}

func (s *shower) createSchema() error {
	s.accept("IF", "NOT", "EXISTS")
	name, ok := s.ident()
	if !ok {
		return syntax("a schema is expected")
	}
	if _, err := checkSchema(name); err != nil {
		return err
	}
	s.plan.bind = oneShard{s.first()}
	return s.rest()
}

// schemas: the proxy's own schema is not to be seen.
func (s *shower) schemas() error {
	s.plan.bind = oneShard{s.first()}
	if s.done() {
		s.plan.bind = rewritten{s.first(), "SHOW DATABASES WHERE `Database` <> '" + reservedSchema + "'"}
		return nil
	}
	pattern, ok := s.pattern()
	if !ok || like(pattern, reservedSchema) {
		return unsupported("this condition in SHOW DATABASES", "SHOW DATABASES")
	}
	return s.rest()
}

func (s *shower) tables() error {
	schema, ok, err := s.from()
	if err != nil {
		return err
	}
	if !ok {
		schema = s.env.Schema
	}
	if schema == "" {
		return &Refusal{Code: CodeNoDatabase, Construct: "no database selected"}
	}
	info, err := checkSchema(schema)
	if err != nil {
		return err
	}
	if !info {
		if err := allOn(s.env.Catalog, schema, s.first()); err != nil {
			return err
		}
	}
	s.plan.bind = oneShard{s.first()}
	return s.filter()
}

// describe plans {DESCRIBE|DESC|EXPLAIN} table [column].
func describe(env *Env, c *cursor, plan *Plan) (*Plan, error) {
	s := &shower{env: env, cursor: c, plan: plan}
	t, info, err := s.table(false)
	if err != nil {
		return nil, err
	}
	s.at(t, info)
	if !c.done() {
		if next, _ := c.next(); next.kind != tokWord && next.kind != tokQuoted && next.kind != tokString {
			return nil, syntax("near " + clip(c.text(next)))
		}
	}
	return plan, c.rest()
}

// rewritten binds to a text of our own.
type rewritten struct {
	shard route.Shard
	sql   string
}

func (rewritten) needsText() bool { return false }

func (r rewritten) bind(*binding) (Targets, error) {
	return Targets{Mode: ModeOne, Parts: []Part{{Shard: r.shard, SQL: r.sql}}}, nil
}

// like reports whether a name in lower-case ASCII matches a LIKE pattern; in
// doubt it says yes.
func like(pattern, name string) bool {
	pattern = strings.ToLower(pattern)
	for i := range len(pattern) {
		if pattern[i] >= 0x80 {
			return true
		}
	}
	return likeFrom(pattern, name)
}

// likeFrom matches with one step back: to the last % that was passed.
func likeFrom(pattern, name string) bool {
	back, mark := -1, 0
	p, n := 0, 0
	for n < len(name) {
		literal := p < len(pattern) && pattern[p] == '\\' && p+1 < len(pattern)
		switch {
		case p < len(pattern) && pattern[p] == '%':
			back, mark = p, n
			p++
		case literal && pattern[p+1] == name[n]:
			p += 2
			n++
		case !literal && p < len(pattern) && (pattern[p] == '_' || pattern[p] == name[n]):
			p++
			n++
		case back >= 0:
			mark++
			p, n = back+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "%") == ""
}
