package plan

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"xaproxy/proxy/route"
)

// site says where the tables of a statement are.
type site struct {
	kind    siteKind
	shard   route.Shard // of siteOne
	sharded *Table      // of siteSharded: the first sharded table
	tables  []*Table    // all, without duplicates
	// of are the tables of the references to tables. Common table expressions have none.
	of map[*ast.TableName]*Table
}

type siteKind uint8

const (
	siteNone    siteKind = iota // no table at all
	siteOne                     // all tables are whole on one shard
	siteSharded                 // sharded tables, and perhaps others
	siteCopies                  // reference tables only, which every shard has
	siteSchema                  // information_schema
)

// reservedSchema is the proxy's own schema on the shards.
const reservedSchema = "xaproxy"

// systemSchema says which schema of the server's own a name is, "" for none.
func systemSchema(name string) string {
	switch n := strings.ToLower(name); n {
	case "information_schema", "performance_schema", "mysql", "sys":
		return n
	}
	return ""
}

// locate resolves the tables of a statement and says where they are.
func (f *facts) locate(env *Env) (site, error) {
	if len(f.refs) == 0 {
		return site{kind: siteNone}, nil
	}
	st := site{of: make(map[*ast.TableName]*Table)}
	infos := 0
	for _, ref := range f.refs {
		t, info, err := f.resolve(env, ref)
		if err != nil {
			return site{}, err
		}
		if info {
			infos++
		}
		st.of[ref] = t
		if t != nil && !slices.ContainsFunc(st.tables, t.same) {
			st.tables = append(st.tables, t)
		}
	}
	switch {
	case infos > 0 && (infos != 1 || len(f.refs) != 1):
		return site{}, unsupported("information_schema together with another table", "ask for one at a time")
	case infos > 0:
		return site{kind: siteSchema}, nil
	case len(st.tables) == 0: // common table expressions only
		return site{kind: siteNone}, nil
	}
	return f.placeTables(st)
}

// placeTables finds the kind of site. What is whole on one shard may stand beside
// sharded tables: whether all that is read is there the values of keys tell.
func (f *facts) placeTables(st site) (site, error) {
	var one *Table
	st.kind = siteCopies
	for _, t := range st.tables {
		switch t.Rule.Kind() {
		case route.RuleSharded:
			if st.sharded == nil {
				st.kind, st.sharded = siteSharded, t
			}
		case route.RuleOne:
			if one != nil && t.Rule.Shards()[0] != one.Rule.Shards()[0] {
				return site{}, unsupported("the tables "+one.Name+" and "+t.Name+", which are on different shards, in one statement", "read the tables one by one")
			}
			one = t
		case route.RuleCopies:
		case route.RuleInvalid:
			return site{}, unsupported("the table "+t.Name+" without a rule", "")
		}
	}
	if one != nil && st.kind == siteCopies {
		st.kind, st.shard = siteOne, one.Rule.Shards()[0]
	}
	return st, nil
}

func (t *Table) same(u *Table) bool { return t.Schema == u.Schema && t.Name == u.Name }

// resolve finds the table of a reference. Neither a table nor information_schema
// means a common table expression.
func (f *facts) resolve(env *Env, ref *ast.TableName) (t *Table, info bool, err error) {
	schema := ref.Schema.O
	if schema == "" {
		schema = env.Schema
	}
	cte := ref.Schema.O == "" && f.ctes[ref.Name.L]
	if schema == "" {
		if cte {
			return nil, false, nil
		}
		return nil, false, &Refusal{Code: CodeNoDatabase, Construct: "no database selected"}
	}
	if !cte {
		info, err = checkSchema(schema)
		if info || err != nil {
			return nil, info, err
		}
	}
	t, err = env.Catalog.Table(schema, ref.Name.O)
	if cte {
		if err == nil {
			return nil, false, unsupported("the name "+ref.Name.O+" for a table and for a WITH clause's", "rename the latter")
		}
		return nil, false, nil
	}
	return t, false, err
}

// checkSchema refuses the schemas that clients may not use; it reports whether
// the schema is information_schema.
func checkSchema(schema string) (bool, error) {
	if strings.EqualFold(schema, reservedSchema) {
		return false, accessDenied(schema)
	}
	switch name := systemSchema(schema); name {
	case "":
		return false, nil
	case "information_schema":
		return true, nil
	default:
		return false, unsupported("the schema "+name, "it describes one shard: connect to it")
	}
}

func accessDenied(schema string) *Refusal {
	return &Refusal{Code: CodeAccess, Construct: "access denied to database '" + schema + "': it is the proxy's own"}
}

// names are the tables' names.
func (st *site) names() []TableName {
	var out []TableName
	for _, t := range st.tables {
		out = append(out, TableName{t.Schema, t.Name})
	}
	return out
}
