package plan

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"xaproxy/proxy/route"
)

// binder is what a kind of statement needs to be bound. It is immutable.
type binder interface {
	// needsText: the statement's tokens must be read again.
	needsText() bool
	bind(b *binding) (Targets, error)
}

// bindings holds the memory of calls of Bind, which has no planner at hand.
//
//nolint:gochecknoglobals // a pool of memory, not state
var bindings = sync.Pool{New: func() any { return new(scratch) }}

// Bind says where the statement goes. sql must be the text that the plan was
// returned for; params are a prepared statement's parameters, nil for a text
// without any. An error is a *Refusal. When Mode is ModeWeights the caller asks
// a shard (WeightSQL), remembers, and binds again. w may be nil when no table
// has a string as its key. Only the classes that say Targets can be bound.
func (p *Plan) Bind(sql string, params []Value, w Weights) (Targets, error) {
	return p.BindGiven(sql, params, Given{Weights: w})
}

// Given is what the caller of BindGiven has found out for it.
type Given struct {
	Weights  Weights
	InsertID uint64 // LAST_INSERT_ID(), where Plan.NeedsInsertID
	Numbered bool   // what ModeNumbers asks for was done
	IDs      []uint64
	Prepared bool // the parts' texts will be prepared
}

// BindGiven is Bind with more than weights. When Mode is ModeNumbers the caller
// takes ids for the rows, makes the given ones push, and binds again.
func (p *Plan) BindGiven(sql string, params []Value, g Given) (Targets, error) {
	if p.bind == nil {
		return Targets{}, unsupported("binding a statement that goes to no shard", "")
	}
	if len(params) != p.NumParams {
		return Targets{}, &Refusal{Code: CodeParameters, Construct: fmt.Sprintf("the statement has %d parameters, %d are given", p.NumParams, len(params))}
	}
	s, _ := bindings.Get().(*scratch)
	defer func() {
		s.sql, s.unstable = "", nil
		bindings.Put(s)
	}()
	if p.bind.needsText() || strings.IndexByte(sql, ';') >= 0 {
		if err := s.lex(sql, p.flags); err != nil {
			return Targets{}, err
		}
		s.marks = s.literalTokens(s.marks[:0])
	} else {
		s.sql, s.end = sql, len(sql)
	}
	b := &binding{scratch: s, params: params, given: g, weights: g.Weights, zone: p.zone}
	targets, err := p.bind.bind(b)
	if err != nil {
		return Targets{}, err
	}
	if len(b.missing) > 0 {
		return Targets{Mode: ModeWeights, Weights: b.missing}, nil
	}
	return targets, nil
}

// statement is the text without the semicolon.
func (b *binding) statement() string { return b.sql[:b.end] }

// everyShard makes the targets of a statement that goes unchanged to shards.
func (b *binding) everyShard(mode Mode, shards []route.Shard) Targets {
	if len(shards) == 1 {
		mode = ModeOne
	}
	parts := make([]Part, len(shards))
	for i, s := range shards {
		parts[i] = Part{Shard: s, SQL: b.statement()}
	}
	return Targets{Mode: mode, Parts: parts}
}

// anyShard binds to whatever shard is at hand.
type anyShard struct{ first route.Shard }

func (anyShard) needsText() bool { return false }

func (a anyShard) bind(b *binding) (Targets, error) {
	return Targets{Mode: ModeAny, Parts: []Part{{Shard: a.first, SQL: b.statement()}}}, nil
}

// oneShard binds to one shard.
type oneShard struct{ shard route.Shard }

func (oneShard) needsText() bool { return false }

func (o oneShard) bind(b *binding) (Targets, error) {
	return b.everyShard(ModeOne, []route.Shard{o.shard}), nil
}

// allShards binds a definition to every shard that it concerns.
type allShards struct {
	shards []route.Shard
	suffix string // behind the client's text
}

func (allShards) needsText() bool { return false }

func (a allShards) bind(b *binding) (Targets, error) {
	t := b.everyShard(ModeAll, a.shards)
	for i := range t.Parts {
		if a.suffix != "" {
			t.Parts[i].SQL = strings.TrimRight(t.Parts[i].SQL, "; \t\r\n") + "\n" + a.suffix // a comment may be its end
		}
	}
	return t, nil
}

// keyed binds SELECT, UPDATE and DELETE of one sharded table by the conditions
// on its key.
type keyed struct {
	table   *Table
	where   []predicate
	gather  *gathering // of reads: how, on several shards
	several *Refusal   // why not on several shards
	clock   bool       // the parts read the time
	move    *moved     // of an UPDATE of the key
	choose  *chooser   // of a write with LIMIT: how it finds its rows, on several shards
	write   bool
}

func (*keyed) needsText() bool { return true }

func (k *keyed) bind(b *binding) (Targets, error) {
	shards, err := k.shards(b)
	if err != nil || len(b.missing) > 0 {
		return Targets{}, err
	}
	if len(shards) == 0 { // no row can match: any shard says so
		return Targets{Mode: ModeAny, Parts: []Part{{Shard: k.table.Rule.Shards()[0], SQL: b.statement()}}}, nil
	}
	if len(shards) > 1 && k.several != nil {
		return Targets{}, k.several
	}
	t := b.everyShard(ModeAll, shards)
	if k.gather != nil && len(shards) > 1 {
		if t, err = k.gather.bind(b, shards); err != nil {
			return Targets{}, err
		}
	}
	t.NeedsClock = k.clock && len(shards) > 1
	return t, k.beside(b, &t, shards)
}

// beside binds what a write does beside its parts.
func (k *keyed) beside(b *binding, t *Targets, shards []route.Shard) error {
	var err error
	if k.choose != nil && len(shards) > 1 {
		if t.Choose, err = k.choose.bind(b); err != nil {
			return err
		}
	}
	if k.move == nil {
		return nil
	}
	to, move, err := k.move.move(b)
	if err == nil && (len(shards) > 1 || shards[0] != to) {
		t.Mode, t.Move = ModeAll, move
	}
	return err
}

// shards are those on which rows can be that meet every condition; all, when
// no condition tells.
func (k *keyed) shards(b *binding) ([]route.Shard, error) {
	shards := k.table.Rule.Shards()
	told := false
	for _, p := range k.where {
		missing := len(b.missing)
		found, ok := b.match(k.table, p)
		if !ok {
			b.missing = b.missing[:missing]
			continue
		}
		told = true
		shards = slices.DeleteFunc(slices.Clone(shards), func(s route.Shard) bool { return !slices.Contains(found, s) })
	}
	if !told && len(k.where) > 0 && k.write {
		return nil, unsupported("a value for the sharding key "+k.table.Name+"."+k.table.Rule.Column()+" that does not convert exactly, in a write",
			"give it as the column stores it")
	}
	return shards, nil
}

// match returns the shards of a condition's values, or false when a value may
// equal more than one key.
func (b *binding) match(t *Table, p predicate) ([]route.Shard, bool) {
	var shards []route.Shard
	column := t.column(t.Rule.Column())
	for _, v := range p {
		if v.nullSafe && b.isNull(v) { // the NULLs of an outer join, too
			return nil, false
		}
		key, f := b.key(column, v, toCompare)
		switch f {
		case fitInexact:
			return nil, false
		case fitNone:
			continue
		case fitExact:
		}
		if key.NeedsWeight() {
			continue // asked for; the next Bind has it
		}
		shard, ok := t.Rule.Place(key)
		if !ok && t.Rule.Nowhere(key) {
			continue // such a row cannot be
		}
		if !ok {
			return nil, false
		}
		if !slices.Contains(shards, shard) {
			shards = append(shards, shard)
		}
	}
	return shards, true
}

// inserted binds the rows of an INSERT into a sharded table by their keys.
type inserted struct {
	table   *Table
	keys    []value // of each row
	numbers *numberer
	split   bool     // the rows stand in parentheses
	list    string   // the columns, when the text has no list of them
	several *Refusal // why not on several shards
	clock   bool     // the parts read the time
	ignore  bool
	update  bool // ON DUPLICATE KEY UPDATE
	copies  bool // of a reference table: every shard gets all rows
}

func (*inserted) needsText() bool { return true }

func (in *inserted) bind(b *binding) (Targets, error) {
	numbering, err := in.numbering(b)
	if err != nil {
		return Targets{}, err
	}
	var places []route.Shard
	if !in.copies {
		places, err = in.places(b, numbering)
	}
	if err != nil || len(b.missing) > 0 {
		return Targets{}, err
	}
	if numbering != nil && b.given.Numbered && len(b.given.IDs) != numbering.Generated() {
		return Targets{}, unsupportedf("", "%d ids for %d rows", len(b.given.IDs), numbering.Generated())
	}
	if numbering != nil && !b.given.Numbered {
		return Targets{Mode: ModeNumbers, Numbering: numbering}, nil
	}
	grafts, err := in.grafts(b)
	if err != nil {
		return Targets{}, err
	}
	if in.copies {
		return in.everyCopy(b, numbering, grafts), nil
	}
	shards := slices.Clone(places)
	slices.Sort(shards)
	shards = slices.Compact(shards)
	if len(shards) == 1 {
		part := Part{Shard: shards[0], SQL: b.statement()}
		if len(grafts) > 0 {
			part = b.splicer(grafts).whole(part)
		}
		return Targets{Mode: ModeOne, Parts: []Part{part}, Numbering: numbering, IDs: b.given.IDs}, nil
	}
	if err := in.spreads(b); err != nil {
		return Targets{}, err
	}
	parts, err := in.parts(b, places, shards, grafts)
	return Targets{Mode: ModeAll, Parts: parts, NeedsClock: in.clock, Split: in.whole(b), Numbering: numbering, IDs: b.given.IDs}, err
}

// numbering is what has to be known of the rows' ids, nil without an
// AUTO_INCREMENT column.
func (in *inserted) numbering(b *binding) (*Numbering, error) {
	if in.numbers == nil {
		return nil, nil //nolint:nilnil // there is nothing to number
	}
	return in.numbers.request(b, in.table)
}

// places are the shards of the rows. Those that are placed by an id which is not
// known yet are left out.
func (in *inserted) places(b *binding, n *Numbering) ([]route.Shard, error) {
	byID := n != nil && strings.EqualFold(n.Column, in.table.Rule.Column())
	places := make([]route.Shard, len(in.keys))
	next := 0
	for i, v := range in.keys {
		if byID && n.Rows[i].Generate {
			if next >= len(b.given.IDs) {
				continue
			}
			v = value{kind: valueGenerated, index: next}
			next++
		}
		place, err := in.place(b, v, i)
		if err != nil {
			return nil, err
		}
		places[i] = place
	}
	return places, nil
}

// place returns the shard of a row by its key, or refuses.
func (in *inserted) place(b *binding, v value, row int) (route.Shard, error) {
	t := in.table
	name := t.Name + "." + t.Rule.Column()
	column := t.column(t.Rule.Column())
	switch {
	case v.kind == valueOther:
		return 0, noKey(fmt.Sprintf("an expression for %s in row %d", name, row+1), "give a literal or a parameter")
	case v.kind == valueDefault || b.isNull(v):
		return 0, noKey(fmt.Sprintf("NULL or DEFAULT for %s in row %d", name, row+1), "give it a value")
	}
	key, f := b.key(column, v, toStore)
	if f != fitExact {
		return 0, unsupportedf("give it as the column stores it", "a value for the sharding key %s in row %d that does not convert exactly", name, row+1)
	}
	if key.NeedsWeight() {
		return 0, nil
	}
	shard, ok := t.Rule.Place(key)
	if !ok {
		return 0, noKey(fmt.Sprintf("a value for %s in row %d that no shard is for (%s)", name, row+1, t.Rule.Text()),
			"the table's placement has no range or list for it")
	}
	return shard, nil
}

// isNull reports whether a value is NULL, as a literal or a parameter.
func (b *binding) isNull(v value) bool {
	return v.kind == valueNull ||
		v.kind == valueParam && v.index < len(b.params) && b.params[v.index].Kind == ValueNull
}

// spreads refuses rows on several shards where that is not the same.
func (in *inserted) spreads(b *binding) error {
	switch {
	case in.several != nil:
		return in.several
	case b.code:
		return unsupported("an executable comment in an INSERT for several shards", "send the code without the comment")
	case !in.split:
		return unsupported("INSERT ... SET for several shards", "")
	}
	return nil
}

// parts splits the text: each shard gets its rows' own texts, in their order.
func (in *inserted) parts(b *binding, places, shards []route.Shard, grafts []graft) ([]Part, error) {
	rows, ok := b.rows(nil, len(places))
	if !ok {
		return nil, unsupported("this spelling of an INSERT for several shards", "insert the rows of one shard at a time")
	}
	last := rows[len(rows)-1].end
	text := b.splicer(grafts)
	parts := make([]Part, len(shards))
	for i, shard := range shards {
		p := &parts[i]
		p.Shard = shard
		var out strings.Builder
		text.write(&out, p, span{0, rows[0].start})
		for r, row := range rows {
			if places[r] != shard {
				continue
			}
			if p.Rows > 0 {
				out.WriteByte(',')
			}
			text.write(&out, p, row)
			p.Rows++
			p.Origin = append(p.Origin, r+1)
		}
		text.write(&out, p, span{last, b.end})
		p.SQL = out.String()
	}
	return parts, nil
}

// whole describes the statement that was split.
func (in *inserted) whole(b *binding) *Split {
	s := &Split{Ignore: in.ignore, Update: in.update}
	if in.numbers != nil {
		s.LastID = in.numbers.last(b)
		s.LastIDUnsure = in.update && !in.table.everyUniqueHas(in.numbers.column.Name)
	}
	return s
}

// everyUniqueHas reports whether rows that are equal in any unique key are equal in
// the column.
func (t *Table) everyUniqueHas(column string) bool {
	return (len(t.Primary) == 0 || containsFold(t.Primary, column)) &&
		!slices.ContainsFunc(t.Unique, func(u Unique) bool { return !containsFold(u.Columns, column) })
}

// paramPlaces are the places of the parameters in the text, in order.
type paramPlaces []int

func (b *binding) paramPlaces() paramPlaces {
	var places paramPlaces
	for _, t := range b.toks {
		if t.kind == tokParam {
			places = append(places, int(t.start))
		}
	}
	return places
}

// within appends the numbers of the parameters in a piece of the text. It is
// nil only when the whole text has none.
func (p paramPlaces) within(dst []int, s span) []int {
	if len(p) == 0 {
		return nil
	}
	if dst == nil {
		dst = []int{}
	}
	i, _ := slices.BinarySearch(p, s.start)
	for ; i < len(p) && p[i] < s.end; i++ {
		dst = append(dst, i)
	}
	return dst
}
