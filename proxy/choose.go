package proxy

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/proxy/wire"
)

// choose finds and locks the rows of an UPDATE or DELETE with LIMIT, within the
// transaction, and returns the parts that change exactly these. The clock is the
// one that the rows were found by, nil when it was not asked for: the parts have the
// client's condition, too, which must be true again.
func (s *session) choose(ctx context.Context, k *call, t plan.Targets) ([]plan.Part, *clock, error) {
	c := t.Choose
	look := &call{plan: c.Plan, sql: c.SQL}
	if len(c.Params) > 0 {
		look.stmt = k.stmt
		look.types = k.typesOf(plan.Part{Params: c.Params})
		for _, n := range c.Params {
			look.params = append(look.params, k.params[n])
		}
	}
	of := c.Targets
	of.Parts = slices.Clone(of.Parts)
	for i, p := range of.Parts {
		of.Parts[i].SQL = c.At(p)
	}
	held, err := s.fetch(ctx, look, of)
	if err != nil {
		return nil, nil, err
	}
	rows, err := chosen(held, look.stmt != nil)
	if err != nil {
		return nil, nil, err
	}
	if len(rows) == 0 {
		return t.Parts[:1], held.clock, nil // tells what is told of no row
	}
	return c.Parts(rows), held.clock, nil
}

// chosen reads the rows of a plan.Choose's SELECT.
func chosen(held *heldRows, binary bool) ([]plan.Chosen, error) {
	columns := make([]wire.Column, len(held.defs))
	for i, d := range held.defs {
		var err error
		if columns[i], err = wire.ParseColumn(d); err != nil {
			return nil, err
		}
	}
	rows := make([]plan.Chosen, len(held.rows))
	for i, p := range held.rows {
		fields, err := fieldTexts(p, columns, binary)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("shard of a row: %w", err)
		}
		rows[i] = plan.Chosen{Shard: route.Shard(n), Values: fields[1:]}
	}
	return rows, nil
}

// fieldTexts are the fields of a row without NULLs as text.
func fieldTexts(p []byte, columns []wire.Column, binary bool) ([]string, error) {
	out := make([]string, 0, len(columns))
	if binary {
		values, err := wire.ParseBinaryRow(nil, p, columns)
		for _, v := range values {
			out = append(out, v.Text())
		}
		return out, err
	}
	fields, err := wire.ParseTextRow(nil, p, len(columns))
	for _, f := range fields {
		out = append(out, string(f))
	}
	return out, err
}
