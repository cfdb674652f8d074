package plan

import (
	"math"
	"slices"
	"strings"

	"xaproxy/proxy/route"
)

// bind says what the shards get and how their rows are combined.
func (g *gathering) bind(b *binding, shards []route.Shard) (Targets, error) {
	if err := g.check(b); err != nil {
		return Targets{}, err
	}
	m, err := g.bound(b)
	if err != nil || len(b.missing) > 0 {
		return Targets{}, err
	}
	if m == nil {
		return b.everyShard(ModeConcat, shards), nil
	}
	text, params, err := g.text(b)
	if err != nil {
		return Targets{}, err
	}
	parts := make([]Part, len(shards))
	for i, s := range shards {
		parts[i] = Part{Shard: s, SQL: text, Params: params}
	}
	return Targets{Mode: ModeMerge, Parts: parts, Merge: m}, nil
}

// check refuses texts that the plan does not hold for.
func (g *gathering) check(b *binding) error {
	if b.code && len(g.edits) > 0 {
		return unsupported("an executable comment in a SELECT over several shards", "send the code without the comment")
	}
	for _, pair := range g.same {
		if b.text(b.toks[pair[0]]) != b.text(b.toks[pair[1]]) {
			return unsupported("an expression that is in GROUP BY or ORDER BY with another literal, over several shards", severalAdvice)
		}
	}
	return nil
}

// bound completes the merge by the statement's literals and the weights. It is
// nil when the rows are read one after the other, all of them.
func (g *gathering) bound(b *binding) (*Merge, error) {
	m := g.merge
	if len(m.Order) == 0 && len(m.Final) == 0 && !m.Grouped && !m.Distinct && !g.limit.given {
		return nil, nil //nolint:nilnil // documented
	}
	if g.limit.given {
		count, offset, err := g.limit.numbers(b)
		if err != nil {
			return nil, err
		}
		m.Limit, m.Offset = signed(count), signed(offset)
		if count > math.MaxInt64 {
			m.Limit = -1
		}
	}
	if err := g.pad(b, &m); err != nil {
		return nil, err
	}
	var err error
	if m.Having, err = g.having.condition(b); err != nil {
		return nil, err
	}
	return &m, nil
}

// pad gives the keys their pads.
func (g *gathering) pad(b *binding, m *Merge) error {
	if len(g.pads) > 0 {
		m.Order, m.Final, m.Aggregates = slices.Clone(m.Order), slices.Clone(m.Final), slices.Clone(m.Aggregates)
	}
	for _, p := range g.pads {
		space, err := b.space(p.of)
		if err != nil {
			return err
		}
		switch p.place {
		case padOrder:
			m.Order[p.index].Pad = space
		case padFinal:
			m.Final[p.index].Pad = space
		case padAggregate:
			m.Aggregates[p.index].Key.Pad = space
		}
	}
	return nil
}

// space is the weight of one space where a collation pads, or is asked for.
func (b *binding) space(t text) ([]byte, error) {
	if t.token > 0 {
		t.collation = strings.ToLower(b.name(b.toks[t.token]))
		t.charset = charsetOf(t.collation)
		if pads, known := sorting(t.collation); !known || t.mixed && OneFamilyWeighs(t.collation) {
			return nil, unknownCollation(t.collation)
		} else if !pads {
			return nil, nil
		}
	}
	r := WeightRequest{Charset: t.charset, Collation: t.collation, Text: " "}
	if b.weights != nil {
		if _, space, ok := b.weights.Weight(r); ok {
			return space, nil
		}
	}
	if !slices.Contains(b.missing, r) {
		b.missing = append(b.missing, r)
	}
	return nil, nil
}
