package proxy

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"xaproxy/proxy/plan"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// numbers takes the ids that a statement's rows get.
func (s *session) numbers(ctx context.Context, k *call, n *plan.Numbering) ([]uint64, error) {
	if k.example {
		return exampleIDs(n), nil
	}
	i := slices.IndexFunc(s.tables.holds, func(h tableHold) bool { return h.name == n.Table })
	if i < 0 {
		return nil, fail(codeInternal, "a table that is not entered")
	}
	h := s.tables.holds[i]
	var ids []uint64
	var err error
	why := s.guard(ctx, nil, func(ctx context.Context) {
		ids, err = s.e.sequences.number(ctx, n, tableLife{h.epoch, h.opened})
	})
	switch {
	case errors.Is(why, errStopped): // also by its time limit
		return nil, fail(codeInterrupted).because(why)
	case why != nil:
		return nil, why
	}
	return ids, s.unnumbered(ctx, n, err)
}

// unnumbered is the error of a statement whose rows get no ids. Nothing of it was
// executed. When a shard is missing the transaction is given up, as ever.
func (s *session) unnumbered(ctx context.Context, n *plan.Numbering, err error) error {
	var end *sequenceEnd
	var at *sequenceError
	switch {
	case errors.As(err, &end) && end.mariaDB && !end.whole:
		return fail(codeOutOfRange, end.column, end.row)
	case errors.As(err, &end):
		return fail(codeNoNumbers)
	case errors.As(err, &at):
		if s.tx != nil {
			s.rollback(ctx)
		}
		return fail(codeShardDown, s.e.name(at.at), "the ids of "+n.Table.Schema+"."+n.Table.Name+" are asked from it: "+err.Error()).because(err)
	}
	return err
}

// exampleIDs are ids that rows could get.
func exampleIDs(n *plan.Numbering) []uint64 {
	var ids []uint64
	next := uint64(1)
	for _, r := range n.Rows {
		if r.Generate {
			ids = append(ids, next)
			next++
		}
		next = max(next, r.Given+1)
	}
	return ids
}

// numbered is the call with what its rows were given.
func (k *call) numbered(t plan.Targets) *call {
	if t.Numbering == nil {
		return k
	}
	again := *k
	again.numbering, again.ids = t.Numbering, t.IDs
	return &again
}

// asksForIDs reports whether only the table can tell which of the ids that were
// generated a row has: rows may be ignored, or update others.
func (k *call) asksForIDs() bool {
	return len(k.ids) > 0 && !k.numbering.Sure && len(k.numbering.Rows) > 1
}

// tellNumbered makes the answer of a statement at one shard that of a server
// which has generated the ids: the first is told, and is LAST_INSERT_ID().
func (s *session) tellNumbered(k *call, out *relay) {
	if len(k.ids) == 0 {
		return
	}
	if k.numbering.Sure {
		out.total.InsertID = k.ids[0]
	}
	// A row that was ignored or has updated another one has another id, or none.
	if out.total.InsertID == k.ids[0] {
		s.generatedID(k.ids[0])
	}
}

// settleIDs is tellNumbered for a statement whose parts are still in their
// transaction.
func (s *session) settleIDs(ctx context.Context, k *call, out *relay) error {
	if !k.asksForIDs() {
		if len(k.ids) == 0 {
			return out.settleID()
		}
		s.tellNumbered(k, out)
		return nil
	}
	first, err := s.firstInserted(ctx, k, out)
	switch {
	case err != nil:
		return err
	case first == 0:
		return out.settleID()
	}
	out.total.InsertID = first
	s.generatedID(first)
	return nil
}

// firstInserted is the first of the generated ids that a row has, 0 for none.
func (s *session) firstInserted(ctx context.Context, k *call, out *relay) (uint64, error) {
	list := make([]string, len(k.ids))
	for i, id := range k.ids {
		list[i] = strconv.FormatUint(id, 10)
	}
	column := quoteName(k.numbering.Column)
	query := "SELECT MIN(" + column + ") FROM " + quoteName(k.numbering.Table.Schema) + "." + quoteName(k.numbering.Table.Name) +
		" WHERE " + column + " IN (" + strings.Join(list, ",") + ")"
	var first uint64
	for _, p := range out.parts {
		b := s.tx.at(shardID(p.Shard))
		var row []*string
		var err error
		if gone := s.guard(ctx, nil, func(ctx context.Context) { row, err = selectOne(ctx, b.conn, query) }); gone != nil {
			return 0, gone
		}
		switch {
		case err != nil && b.conn.Broken():
			return 0, s.lost(ctx, b, err)
		case err != nil:
			return 0, err
		}
		if row[0] == nil {
			continue
		}
		id, err := strconv.ParseUint(*row[0], 10, 64)
		if err != nil {
			return 0, err
		}
		if first == 0 || id < first {
			first = id
		}
	}
	return first, nil
}

// generatedID notes that a statement has generated an id: it is LAST_INSERT_ID(),
// whatever connections know.
func (s *session) generatedID(id uint64) {
	t := &s.trail
	t.insertConn, t.insertUnsure, t.insertLost = nil, false, false
	t.insertID, t.insertKnown = id, true
}

// knownInsertID is LAST_INSERT_ID(), asked from the connection that knows it.
func (s *session) knownInsertID(ctx context.Context) (uint64, error) {
	t := &s.trail
	if t.insertConn != nil && !t.insertKnown {
		s.fetchInsertID(ctx)
	}
	if t.insertLost {
		return 0, fail(codeUnsupported, "LAST_INSERT_ID() of a connection that was lost")
	}
	return t.insertID, nil
}

// renumber forgets the sequences of the tables whose ids a definition makes go on
// elsewhere, before a shard executes it: the next one begins where the shards'
// rows and counters say, whatever becomes of the definition. Nobody uses the
// tables meanwhile.
func (s *session) renumber(ctx context.Context, d *plan.DDL) error {
	if d == nil || !d.Renumbers {
		return nil
	}
	snap := s.e.catalog.current()
	for _, name := range d.Tables {
		at := s.e.order // where it is not known, wherever one may be
		if e, known := snap.tables[name]; known && e.table != nil {
			if !e.table.Numbered() {
				continue
			}
			at = []xa.ShardID{homeOfSequence(name, e.table.Rule.Shards())}
		}
		for _, n := range at {
			err := s.e.shards[n].Store.DeleteSequence(ctx, xamysql.SequenceName{Schema: name.Schema, Table: name.Name})
			if err != nil {
				return fail(codeShardDown, s.e.name(n), "the ids of "+name.Schema+"."+name.Name+" are kept there; nothing was changed: "+err.Error()).because(err)
			}
		}
	}
	return nil
}
