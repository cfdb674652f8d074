package proxy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// builder makes a snapshot of what the shards have told.
type builder struct {
	e      *engine
	m      *route.Map
	shards map[xa.ShardID]*shardCatalog
}

func (b *builder) build(ctx context.Context) *snapshot {
	s := &snapshot{m: b.m, tables: map[plan.TableName]entry{}, charsets: b.charsets()}
	s.schemas = b.agreed(func(sc *shardCatalog) map[string]string { return sc.schemas })
	s.defaults = b.agreed(func(sc *shardCatalog) map[string]string { return sc.defaults })
	s.mariaDB = b.anyMariaDB()
	s.newSchema = b.alike("utf8mb4", func(sc *shardCatalog) string { return sc.server })
	s.newIn = map[string]string{}
	for cs := range s.charsets {
		s.newIn[cs] = b.alike(cs, func(sc *shardCatalog) string { return sc.defaults[cs] })
	}
	s.collations = map[string]bool{}
	names := map[plan.TableName]bool{}
	stored := map[plan.TableName]bool{}
	for _, sc := range b.shards {
		for name := range sc.collations {
			s.collations[name] = b.allKnow(name)
		}
		for name := range sc.tables {
			names[name] = true
		}
		for name := range sc.placements {
			stored[name] = true
		}
	}
	for name := range stored {
		s.stored = append(s.stored, name)
	}
	for name := range names {
		s.tables[name] = b.entry(ctx, name)
	}
	b.groups(s)
	return s
}

// groups refuses all tables of a group that are not all placed together.
func (b *builder) groups(s *snapshot) {
	members := map[string][]*plan.Table{}
	for name, e := range s.tables {
		if p, _ := b.m.Lookup(name.Schema, name.Name); p.Group != "" && e.table != nil {
			members[p.Group] = append(members[p.Group], e.table)
		}
	}
	for group, tables := range members {
		slices.SortFunc(tables, func(x, y *plan.Table) int {
			return cmp.Or(strings.Compare(x.Schema, y.Schema), strings.Compare(x.Name, y.Name))
		})
		i := slices.IndexFunc(tables, func(t *plan.Table) bool { return !t.Rule.Together(tables[0].Rule) })
		if i < 0 {
			continue
		}
		why := plan.NotTogether(group, tables[0], tables[i])
		for _, t := range tables {
			name := plan.TableName{Schema: t.Schema, Name: t.Name}
			e := s.tables[name]
			e.table, e.reason = nil, b.unusable(name, why.Construct+"; "+why.Advice)
			s.tables[name] = e
		}
	}
}

// charsets are the supported character sets with the default collations of the
// lowest shard, where all shards know them.
func (b *builder) charsets() charsets {
	out := fallbackCharsets()
	for cs := range out {
		for _, n := range b.e.order {
			if sc := b.shards[n]; sc != nil {
				if collation := sc.defaults[cs]; b.allKnow(collation) {
					out[cs] = collation
				}
				break
			}
		}
	}
	return out
}

// agreed keeps what all shards say alike.
func (b *builder) agreed(of func(*shardCatalog) map[string]string) map[string]string {
	out := map[string]string{}
	for _, sc := range b.shards {
		for name, value := range of(sc) {
			if have, seen := out[name]; seen && have != value {
				value = ""
			}
			out[name] = value
		}
	}
	return out
}

func (b *builder) allKnow(collation string) bool {
	for _, sc := range b.shards {
		if !sc.collations[collation] {
			return false
		}
	}
	return collation != ""
}

// doubtful names a shard that has told nothing of the table since its definition
// was changed.
func (b *builder) doubtful(name plan.TableName) string {
	for _, n := range b.e.order {
		if sc := b.shards[n]; sc != nil && slices.ContainsFunc(sc.doubt, func(d change) bool { return d.concerns(name) }) {
			return b.e.name(n)
		}
	}
	return ""
}

// stuck names a definition statement that left the table in need of a person.
func (b *builder) stuck(name plan.TableName) string {
	for _, n := range b.e.order {
		if sc := b.shards[n]; sc != nil {
			for _, d := range sc.stuck {
				if d.concerns(name) {
					return d.id
				}
			}
		}
	}
	return ""
}

// entry compares a table's definitions and finds its rule.
func (b *builder) entry(ctx context.Context, name plan.TableName) entry {
	var e entry
	if silent := b.doubtful(name); silent != "" {
		e.reason = fail(codeTableChanging, name.Schema+"."+name.Name, "shard "+silent+" has not answered since its definition was changed")
		return e
	}
	t, shards, err := b.definition(name)
	e.shards = shards
	if err != nil {
		e.reason = err
		return e
	}
	rule, err := b.rule(ctx, name, &t, e.shards)
	if err != nil {
		e.reason = err
		return e
	}
	t.Rule = rule
	if err := b.fits(name, &t, e.shards); err != nil {
		e.reason = err
		return e
	}
	e.table = &t
	return e
}

// fits says why a table cannot be used with its rule.
func (b *builder) fits(name plan.TableName, t *plan.Table, have []xa.ShardID) error {
	if missing := b.missing(t.Rule, have); missing != "" {
		return b.unusable(name, "it is missing at shard "+missing+"; create it there, or run its CREATE TABLE IF NOT EXISTS through the proxy")
	}
	if c := t.Key(); c != nil && plan.OneFamilyWeighs(c.Collation) && b.anyMariaDB() {
		return plan.WeighedOtherwise(t, c)
	}
	return plan.Check(t)
}

// anyMariaDB reports whether a shard that has told something is MariaDB.
// alike is the collation that has to be named where the shards' defaults differ:
// the lowest shard's if all know it; "" when they do not differ.
func (b *builder) alike(charset string, of func(*shardCatalog) string) string {
	first, same := "", true
	for _, n := range b.e.order {
		sc := b.shards[n]
		switch {
		case sc == nil:
		case first == "":
			first = of(sc)
		default:
			same = same && of(sc) == first
		}
	}
	// Under one name the families weigh otherwise.
	strange := b.anyMariaDB() && b.anyMySQL() && plan.OneFamilyWeighs(first)
	switch {
	case same && !strange:
		return ""
	case b.allKnow(first) && !strange:
		return first
	}
	return fallbackCharsets()[charset] // known to all servers of both families
}

func (b *builder) anyMySQL() bool {
	for _, sc := range b.shards {
		if !sc.mariaDB {
			return true
		}
	}
	return false
}

func (b *builder) anyMariaDB() bool {
	for _, sc := range b.shards {
		if sc.mariaDB {
			return true
		}
	}
	return false
}

// definition is a table as all shards that have it define it.
func (b *builder) definition(name plan.TableName) (t plan.Table, have []xa.ShardID, err error) {
	var first *tableFacts
	for _, n := range b.e.order {
		sc := b.shards[n]
		if sc == nil || sc.tables[name] == nil {
			continue
		}
		have = append(have, n)
		if first == nil {
			first = sc.tables[name]
			continue
		}
		if what := first.differs(sc.tables[name]); what != "" {
			return t, have, b.unusable(name, b.interrupted(name)+fmt.Sprintf("its definition differs between shard %s and shard %s: %s; make them equal",
				b.e.name(have[0]), b.e.name(n), what))
		}
	}
	if b.stuck(name) != "" {
		return t, have, b.unusable(name, b.interrupted(name)+"its definitions look the same now")
	}
	t = first.table
	t.Schema, t.Name = name.Schema, name.Name
	return t, have, nil
}

// interrupted begins the reason for a table that is unusable since a statement
// was executed on a part of the shards.
func (b *builder) interrupted(name plan.TableName) string {
	id := b.stuck(name)
	if id == "" {
		return ""
	}
	return "definition statement '" + id + "' was not executed on all shards, SHOW DDL says what to do; "
}

func (b *builder) unusable(name plan.TableName, why string) error {
	return fail(codeDefinitionsDiffer, name.Schema+"."+name.Name, why).because(&plan.Refusal{Code: plan.CodeUnusable, Construct: why})
}

// missing names a shard that the rule needs and that lacks the table. Shards
// that have not told anything yet are trusted: statements there fail by themselves.
func (b *builder) missing(rule route.Rule, have []xa.ShardID) string {
	for _, n := range rule.Shards() {
		if b.shards[shardID(n)] != nil && !slices.Contains(have, shardID(n)) {
			return b.e.name(shardID(n))
		}
	}
	return ""
}

// rule finds where a table's rows are. A stored rule is the truth; what the
// configuration says must agree with it, and is stored at the first sight of a
// table that it names.
func (b *builder) rule(ctx context.Context, name plan.TableName, t *plan.Table, have []xa.ShardID) (route.Rule, error) {
	want, configured, err := b.configuredRule(ctx, t)
	if err != nil {
		return route.Rule{}, err
	}
	stored, known, err := b.storedRule(name)
	switch {
	case err != nil:
		return route.Rule{}, err
	case known && configured && stored.Fingerprint != want.Fingerprint():
		return route.Rule{}, b.unusable(name, "its rows are placed by "+stored.Rule+", the configuration asks for "+want.Text()+"; restore the configuration")
	case known && configured:
		return want, nil
	case known:
		return b.recognise(name, stored)
	case configured && b.e.catalog.share.runs(name): // perhaps it is being dropped
		return route.Rule{}, b.unusable(name, "its definition is being changed")
	case configured:
		if err := b.adoptable(ctx, name, want, have); err != nil {
			return route.Rule{}, err
		}
		return want, b.adopt(ctx, name, want)
	}
	return b.unplaced(name, have)
}

// storedRule is the placement that the shards have stored; they must agree.
func (b *builder) storedRule(name plan.TableName) (xamysql.Placement, bool, error) {
	var found xamysql.Placement
	known := false
	for _, n := range b.e.order {
		sc := b.shards[n]
		if sc == nil {
			continue
		}
		p, ok := sc.placements[name]
		switch {
		case !ok:
		case known && p.Fingerprint != found.Fingerprint:
			return found, false, b.unusable(name, "shards have stored different placements: "+found.Rule+" and, at "+b.e.name(n)+", "+p.Rule)
		default:
			found, known = p, true
		}
	}
	return found, known, nil
}

// adopt stores the configured rule of a table that was not created through the
// proxy, at every shard.
func (b *builder) adopt(ctx context.Context, name plan.TableName, want route.Rule) error {
	p := xamysql.Placement{Schema: name.Schema, Table: name.Name, Rule: want.Text(), Fingerprint: want.Fingerprint()}
	for _, n := range b.e.order {
		have, err := b.e.shards[n].Store.StorePlacement(ctx, p)
		switch {
		case err != nil:
			return b.unusable(name, "its placement cannot be stored at shard "+b.e.name(n)+" now: "+err.Error())
		case have.Fingerprint != p.Fingerprint:
			return b.unusable(name, "its rows are placed by "+have.Rule+" (shard "+b.e.name(n)+"), the configuration asks for "+want.Text())
		}
	}
	return nil
}

// unplaced is the rule of a table that nobody configured: it is on the one shard
// that has it.
func (b *builder) unplaced(name plan.TableName, have []xa.ShardID) (route.Rule, error) {
	switch {
	case len(have) > 1:
		return route.Rule{}, b.unusable(name, "several shards have it, and neither the configuration nor a stored placement says how its rows are placed; name it under tables: in the configuration")
	case len(b.shards) < len(b.e.order):
		return route.Rule{}, b.unusable(name, "its placement is not known while a shard is down")
	}
	return route.OnShard(route.Shard(have[0])), nil
}
