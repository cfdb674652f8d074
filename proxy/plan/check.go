package plan

import (
	"fmt"
	"slices"
	"strings"

	"xaproxy/proxy/route"
)

// NewRule makes the rule of a table from the configured placement and the
// table's definition, or a *Refusal. t.Rule is not looked at.
func NewRule(m *route.Map, t *Table) (route.Rule, error) {
	p, configured := m.Lookup(t.Schema, t.Name)
	switch {
	case configured && p.Shard != nil:
		return route.OnShard(*p.Shard), nil
	case configured && p.Copies:
		return copies(m, t)
	case configured:
		return keyRule(m, t, p.Key)
	}
	switch d := m.Default(); d.Kind {
	case route.DefaultShard:
		return route.OnShard(d.Shard), nil
	case route.DefaultPrimaryKey:
		if len(t.Primary) == 0 {
			return route.OnShard(m.First()), nil
		}
		return keyRule(m, t, t.Primary[0])
	case route.DefaultRefuse:
	}
	return route.Rule{}, unsupported("the table "+t.Name+", which the configuration does not name", "add it under tables")
}

func copies(m *route.Map, t *Table) (route.Rule, error) {
	rule, err := route.Copies(m.Shards())
	if err != nil {
		return route.Rule{}, unsupported(fmt.Sprintf("copies of %s (%v)", t.Name, err), "")
	}
	return rule, nil
}

func keyRule(m *route.Map, t *Table, key string) (route.Rule, error) {
	c := t.column(key)
	if c == nil {
		return route.Rule{}, unsupported("the table "+t.Name+" without its sharding key "+key, "the configuration names the key")
	}
	if err := checkKeyColumn(t, c); err != nil {
		return route.Rule{}, err
	}
	collation := ""
	if c.keyType() == route.KeyTypeString {
		collation = c.Collation
	}
	rule, err := route.Sharded(c.Name, c.keyType(), collation, m.Shards())
	if err != nil {
		return route.Rule{}, unsupported(fmt.Sprintf("the sharding key %s.%s (%v)", t.Name, c.Name, err), "")
	}
	return rule, nil
}

// checkKeyColumn refuses columns that rows cannot be placed by.
func checkKeyColumn(t *Table, c *Column) error {
	name := t.Name + "." + c.Name
	switch {
	case c.Generated:
		return unsupported("the generated column "+name+" as sharding key", "shard by a column that is stored as given")
	case c.keyType() == route.KeyTypeInvalid:
		return unsupported("the type of "+name+" for a sharding key", "shard by an integer, CHAR, VARCHAR, BINARY or VARBINARY column")
	case c.keyType() != route.KeyTypeString:
		return nil
	}
	if _, known := padding(c.Collation); !known || charsetOf(c.Collation) != charsetOf(c.Charset) {
		return unsupported("the collation '"+c.Collation+"' of "+name+" for a sharding key", "give the column a collation such as utf8mb4_bin or utf8mb4_general_ci")
	}
	return nil
}

// Check reports, as a *Refusal, why a table with its rule cannot be used: a
// row's uniqueness and references hold on its own shard only. A catalog calls
// it for every table that it reads; the planner does for new ones.
func Check(t *Table) error {
	switch {
	case t.View:
		return unsupported("the view "+t.Name, "select from its tables")
	case t.Rule.Kind() == route.RuleOne, t.Rule.Kind() == route.RuleCopies:
		return nil
	case t.Rule.Kind() == route.RuleInvalid:
		return unsupported("the table "+t.Name+" without a rule", "")
	case t.ForeignKeys:
		return unsupported("FOREIGN KEY of or to the sharded table "+t.Name, "place both tables on one shard, or check in the application")
	}
	c := t.column(t.Rule.Column())
	if c == nil {
		return unsupported("the table "+t.Name+" without its sharding key "+t.Rule.Column(), "")
	}
	if err := checkKeyColumn(t, c); err != nil {
		return err
	}
	if c.keyType() != t.Rule.KeyType() || c.keyType() == route.KeyTypeString && !strings.EqualFold(c.Collation, t.Rule.Collation()) {
		return unsupported("the type of "+t.Name+"."+c.Name+", which is not the one that the rows were placed by ("+t.Rule.Text()+")", "")
	}
	if len(t.Primary) > 0 && !containsFold(t.Primary, c.Name) {
		return unsupported("PRIMARY KEY of "+t.Name+" without the sharding key "+c.Name, "add the key to it: a shard knows its own rows only")
	}
	for _, u := range t.Unique {
		if !containsFold(u.Columns, c.Name) {
			return unsupported("UNIQUE key "+u.Name+" of "+t.Name+" without the sharding key "+c.Name, "add the key to it: a shard knows its own rows only")
		}
	}
	return nil
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}
