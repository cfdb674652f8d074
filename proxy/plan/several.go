package plan

import "strings"

// white is what servers take off both ends of a packet of statements.
const white = " \t\n\v\f\r"

// Trim takes off what a server takes off a packet's end before it looks for
// statements: white space and semicolons. A comment behind a semicolon stays, and
// is a statement by itself to clients that may send several.
func Trim(sql string) string { return strings.TrimRight(sql, white+";") }

// Next splits the first statement off a text of several. rest is what follows its
// semicolon, "" when nothing does. A text that cannot be read is one statement,
// whose plan will say so.
func (p *Planner) Next(env Env, sql string) (first, rest string) {
	if !strings.Contains(sql, ";") {
		return sql, ""
	}
	flags, err := env.lexFlags()
	if err != nil {
		return sql, ""
	}
	s, _ := p.scratch.Get().(*scratch)
	defer p.release(s)
	if err := s.first(sql, flags); err != nil || s.end == len(sql) || s.inCode || len(s.toks) == 0 {
		return sql, ""
	}
	return sql[:s.end], strings.TrimLeft(sql[s.end+1:], white)
}
