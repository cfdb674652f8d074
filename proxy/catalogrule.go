package proxy

import (
	"strings"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
)

// configuredRule is what the configuration says about an existing table; false:
// nothing.
func configuredRule(m *route.Map, t *plan.Table) (route.Rule, bool, error) {
	if _, named := m.Lookup(t.Schema, t.Name); !named {
		return route.Rule{}, false, nil
	}
	r, err := plan.NewRule(m, t)
	return r, err == nil, err
}

// shardedBy is the rule that spreads a table by a column over all shards.
func shardedBy(m *route.Map, t *plan.Table, key string) (route.Rule, error) {
	for _, c := range t.Columns {
		if !strings.EqualFold(c.Name, key) {
			continue
		}
		kind, collation := keyType(c)
		if kind == route.KeyTypeInvalid {
			return route.Rule{}, fail(codeDefinitionsDiffer, t.Schema+"."+t.Name, "column "+c.Name+" is of a type that cannot be a sharding key")
		}
		return route.Sharded(c.Name, kind, collation, m.Shards())
	}
	return route.Rule{}, fail(codeDefinitionsDiffer, t.Schema+"."+t.Name, "it has no column "+key+", which the configuration names as its key")
}

func keyType(c plan.Column) (route.KeyType, string) {
	//nolint:exhaustive // no other type can be a key
	switch c.Type {
	case plan.TypeTiny, plan.TypeSmall, plan.TypeMedium, plan.TypeInt, plan.TypeBig:
		return route.KeyTypeInt, ""
	case plan.TypeChar, plan.TypeVarchar:
		return route.KeyTypeString, c.Collation
	case plan.TypeBinary, plan.TypeVarbinary:
		return route.KeyTypeBytes, ""
	}
	return route.KeyTypeInvalid, ""
}
