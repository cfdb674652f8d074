package plan

import (
	"fmt"
	"slices"
	"strings"

	"xaproxy/proxy/route"
)

// WeightsNeeded is the error of what cannot be said before the weights are
// known: ask a shard (WeightSQL), remember, and try again.
type WeightsNeeded struct{ Requests []WeightRequest }

func (*WeightsNeeded) Error() string { return "weights of strings are needed" }

// NewRule makes the rule of a table from the configured placement and the
// table's definition, or a *Refusal. t.Rule is not looked at. Ranges and lists
// of strings need weights: the error is *WeightsNeeded while w lacks some.
func NewRule(m *route.Map, t *Table, w Weights) (route.Rule, error) {
	p, configured := m.Lookup(t.Schema, t.Name)
	switch {
	case configured && p.Shard != nil:
		return route.OnShard(*p.Shard), nil
	case configured && p.Copies:
		return copies(m, t)
	case configured:
		return keyRule(m, t, p, w)
	}
	switch d := m.Default(); d.Kind {
	case route.DefaultShard:
		return route.OnShard(d.Shard), nil
	case route.DefaultPrimaryKey:
		if len(t.Primary) == 0 {
			return route.OnShard(m.First()), nil
		}
		return keyRule(m, t, route.Placement{Key: t.Primary[0]}, w)
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

func keyRule(m *route.Map, t *Table, p route.Placement, w Weights) (route.Rule, error) {
	c := t.column(p.Key)
	if c == nil {
		return route.Rule{}, unsupported("the table "+t.Name+" without its sharding key "+p.Key, "the configuration names the key")
	}
	if err := checkKeyColumn(t, c); err != nil {
		return route.Rule{}, err
	}
	f, err := c.keysOf(p.Function.Over(m.Shards()), t.Name, w)
	if err != nil {
		return route.Rule{}, err
	}
	collation := ""
	if c.keyType() == route.KeyTypeString {
		collation = c.Collation
	}
	rule, err := route.Spread(c.Name, c.keyTypeFor(f.Kind), collation, f)
	if err != nil {
		return route.Rule{}, unsupported(fmt.Sprintf("the sharding key %s.%s (%v)", t.Name, c.Name, err), "")
	}
	return rule, nil
}

// keysOf gives the values of ranges and lists their keys. They are what the
// column would store for the text.
func (c *Column) keysOf(f route.Function, table string, w Weights) (route.Function, error) {
	b := &binding{scratch: new(scratch), weights: w, zone: zone{known: true}}
	b.flags = lexUTF8
	f.Values = slices.Clone(f.Values)
	for i := range f.Values {
		v := &f.Values[i]
		var exact fit
		if v.Key, exact = b.configured(c, v.Text); exact != fitExact {
			return f, unsupported(fmt.Sprintf("the value %q in the placement of %s by %s", v.Text, table, c.Name),
				"write it as the column stores it; TIMESTAMP in UTC, binary strings as 0x6162")
		}
	}
	if len(b.missing) > 0 {
		return f, &WeightsNeeded{Requests: b.missing}
	}
	return f, nil
}

// configured converts a value of the configuration.
func (b *binding) configured(c *Column, text string) (route.Key, fit) {
	//nolint:exhaustive // all others are written as strings
	switch c.Type {
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig, TypeBit, TypeYear, TypeDecimal:
		number, negative := strings.CutPrefix(text, "-")
		return c.numberKey(number, tokDecimal, negative, toStore)
	case TypeBinary, TypeVarbinary:
		if hex, ok := strings.CutPrefix(text, "0x"); ok {
			raw, ok := hexBytes(hex)
			if !ok {
				return route.Key{}, fitInexact
			}
			return c.bytesKey(raw, toStore)
		}
	}
	return b.stringKey(c, text, toStore)
}

// checkKeyColumn refuses columns that rows cannot be placed by.
func checkKeyColumn(t *Table, c *Column) error {
	name := t.Name + "." + c.Name
	switch {
	case c.Generated:
		return unsupported("the generated column "+name+" as sharding key", "shard by a column that is stored as given")
	case c.OnUpdateNow:
		return unsupported("the column "+name+" with ON UPDATE CURRENT_TIMESTAMP as sharding key", "a row would have to move whenever it changes")
	case c.keyType() == route.KeyTypeInvalid:
		return unsupported(c.Type.String()+", the type of "+name+", for a sharding key", c.Type.noKey())
	case c.keyType() != route.KeyTypeString:
		return nil
	}
	if _, w := keyWeighing(c.Collation); w == weighUnknown || charsetOf(c.Collation) != charsetOf(c.Charset) {
		return unsupported("the collation '"+c.Collation+"' of "+name+" for a sharding key", whyNotCollation(c.Collation))
	}
	return nil
}

// noKey says why values of a type have no key.
func (t ColumnType) noKey() string {
	const advice = "; shard by a column of another type"
	switch t {
	case TypeFloat, TypeDouble:
		return "what is stored is rounded, and the servers show and compare it in other digits" + advice
	case TypeText, TypeBlob:
		return "only a prefix of it can be in a unique key; shard by VARCHAR or VARBINARY"
	case TypeJSON:
		return "equal documents have many texts" + advice
	case TypeGeometry:
		return "geometries have no order and no unique keys" + advice
	case TypeInet:
		return "one address has many texts; shard by BINARY(4), BINARY(16) or VARCHAR"
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig, TypeDecimal, TypeBit, TypeDate, TypeTime, TypeDatetime, TypeTimestamp, TypeYear,
		TypeChar, TypeVarchar, TypeBinary, TypeVarbinary, TypeEnum, TypeSet, TypeUUID, TypeOther:
	}
	return "how the servers compare it is not known here" + advice
}

// whyNotCollation says why a collation cannot place rows.
func whyNotCollation(collation string) string {
	const advice = "give the column a collation such as utf8mb4_bin or utf8mb4_general_ci"
	c := strings.ToLower(collation)
	if strings.Contains(c, "uca1400_") && !strings.Contains(c, "nopad") {
		return "it pads and has several levels, so the weights of trailing spaces are not at the end; " + advice
	}
	return advice
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
	if c.keyTypeFor(t.Rule.Function()) != t.Rule.KeyType() || c.keyType() == route.KeyTypeString && !strings.EqualFold(c.Collation, t.Rule.Collation()) {
		return unsupported("the type of "+t.Name+"."+c.Name+", which is not the one that the rows were placed by ("+t.Rule.Text()+")", "")
	}
	if len(t.Primary) > 0 && !containsFold(t.Primary, c.Name) {
		return unsupported("PRIMARY KEY of "+t.Name+" without the sharding key "+c.Name, "add the key to it: a shard knows its own rows only")
	}
	for _, u := range t.Unique {
		if !containsFold(u.Columns, c.Name) {
			return lacksKey(t, u, c.Name)
		}
	}
	return nil
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}
