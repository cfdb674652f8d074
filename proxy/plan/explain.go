package plan

// explain plans EXPLAIN of a SELECT, UPDATE or DELETE that one shard executes:
// the answer is that server's plan. It reports false when no statement follows.
func (p *Planner) explain(env *Env, l *lexed) (*Plan, bool, error) {
	c := &cursor{lexed: l, i: 1}
	if !explainOptions(c) {
		return nil, true, unsupported("EXPLAIN ANALYZE and other forms of EXPLAIN", "EXPLAIN [FORMAT = name] SELECT ...")
	}
	if !c.op(c.i, '(') && !c.is(c.i, "SELECT") && !c.is(c.i, "UPDATE") && !c.is(c.i, "DELETE") && !c.is(c.i, "WITH") {
		for _, w := range [...]string{"INSERT", "REPLACE", "TABLE", "VALUES"} {
			if c.is(c.i, w) {
				return nil, true, unsupported("EXPLAIN of "+w, "")
			}
		}
		if c.i > 1 {
			return nil, true, unsupported("this form of EXPLAIN", "EXPLAIN [FORMAT = name] SELECT ...")
		}
		return nil, false, nil
	}
	if l.code {
		return nil, true, unsupported("an executable comment in EXPLAIN", "send the code without the comment")
	}
	start := int(l.toks[c.i].start)
	of, err := p.Plan(*env, l.sql[start:l.end])
	if err != nil {
		return nil, true, err
	}
	if len(of.Variables) > 0 {
		return nil, true, unsupported("EXPLAIN with @@"+of.Variables[0], "give its value instead")
	}
	switch of.bind.(type) {
	case anyShard, oneShard, *keyed, *joined:
	default:
		return nil, true, unsupported("EXPLAIN of this statement", "")
	}
	return &Plan{Class: ClassShow, Reader: true, Locking: of.Locking, Uses: of.Uses, Pins: of.Pins, Tables: of.Tables,
		flags: l.flags, bind: explained{of: of, start: start, end: l.end}}, true, nil
}

// explainRoute plans EXPLAIN ROUTE. It reports false for what may be the table
// route and one of its columns.
func explainRoute(l *lexed) (*Plan, bool, error) {
	const statement = 2 // the token where it begins
	if !l.is(1, "ROUTE") || !l.op(statement, '(') && (len(l.toks) <= statement+1 || l.toks[statement].kind != tokWord) {
		return nil, false, nil
	}
	if l.code {
		return nil, true, unsupported("an executable comment in EXPLAIN", "send the code without the comment")
	}
	return &Plan{Class: ClassRoute, Reader: true, Route: l.sql[l.toks[statement].start:l.end]}, true, nil
}

// explainOptions reads [EXTENDED | PARTITIONS | FORMAT = name]. What executes the
// statement is refused.
func explainOptions(c *cursor) bool {
	switch {
	case c.is(c.i, "ANALYZE"), c.is(c.i, "FOR"):
		return false
	case c.is(c.i, "FORMAT") && c.op(c.i+1, '='):
		const format = 3
		c.i += format
		return c.is(c.i-1, "JSON") || c.is(c.i-1, "TREE") || c.is(c.i-1, "TRADITIONAL")
	case c.is(c.i+1, "SELECT"), c.is(c.i+1, "UPDATE"), c.is(c.i+1, "DELETE"), c.is(c.i+1, "WITH"), c.op(c.i+1, '('):
		if !c.accept("EXTENDED") {
			c.accept("PARTITIONS")
		}
	}
	return true
}

// explained binds EXPLAIN to the shard of the statement behind it, which stands
// between start and end of the text.
type explained struct {
	of         *Plan
	start, end int
}

func (explained) needsText() bool { return false }

func (e explained) bind(b *binding) (Targets, error) {
	given := b.given
	given.Numbered = true // nothing is written
	targets, err := e.of.BindGiven(b.sql[e.start:e.end], nil, given)
	switch {
	case err != nil || targets.Mode == ModeWeights:
		return targets, err
	case len(targets.Parts) != 1:
		return Targets{}, unsupported("EXPLAIN of a statement for several shards", "give the sharding key, or EXPLAIN ROUTE")
	}
	targets.Parts[0].SQL = b.statement()
	return targets, nil
}
