package proxy

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// Adopted is a table whose rule is stored now.
type Adopted struct {
	Rule string
	Rows uint64 // that were looked at; of one copy
}

// Adopt looks at every row of a table that exists on the shards without a stored
// placement, and stores the configured rule when each is where that places it.
// Copies of a reference table must be equal. Nothing is changed but the stored
// placement. Who writes past the proxy must have stopped. progress is called now
// and then with how many rows of a shard were read; it may be nil.
func (p *PlacementTool) Adopt(ctx context.Context, schema, table string, progress func(shard string, rows uint64)) (Adopted, error) {
	if progress == nil {
		progress = func(string, uint64) {}
	}
	name := plan.TableName{Schema: schema, Name: table}
	b, err := p.read(ctx)
	if err != nil {
		return Adopted{}, err
	}
	t, have, err := p.wanted(ctx, b, name)
	if err != nil {
		return Adopted{}, err
	}
	a := &adoption{p: p, t: t, have: have, progress: progress}
	switch t.Rule.Kind() {
	case route.RuleCopies:
		err = a.compareCopies(ctx)
	case route.RuleSharded, route.RuleOne:
		err = a.lookAtRows(ctx)
	case route.RuleInvalid:
		err = errors.New("it has no rule")
	}
	if err != nil {
		return Adopted{}, err
	}
	return Adopted{Rule: t.Rule.Text(), Rows: a.rows}, p.store(ctx, b, t)
}

// wanted is the table with the rule that the configuration asks for.
func (p *PlacementTool) wanted(ctx context.Context, b *builder, name plan.TableName) (*plan.Table, []xa.ShardID, error) {
	t, have, stored, want, err := p.known(ctx, b, name)
	switch {
	case err != nil:
		return nil, nil, err
	case want.Kind() == route.RuleInvalid:
		return nil, nil, errors.New("the configuration does not name it; add it under tables")
	case stored == want.Text():
		return nil, nil, errors.New("its placement is stored already: " + stored)
	case stored != "":
		return nil, nil, errors.New("its rows are placed by " + stored + ", the configuration asks for " + want.Text())
	}
	t.Rule = want
	return &t, have, b.fits(name, &t, have)
}

// store stores the rule when the table is still what was looked at. Definition
// statements wait meanwhile.
func (p *PlacementTool) store(ctx context.Context, before *builder, t *plan.Table) error {
	name := plan.TableName{Schema: t.Schema, Name: t.Name}
	release, err := p.e.shards[p.e.order[0]].Store.HoldDefinitions(ctx)
	if err != nil {
		return fmt.Errorf("nothing was stored, try again: %w", err)
	}
	defer release()
	now, err := p.read(ctx)
	if err != nil {
		return err
	}
	for n, sc := range now.shards {
		was, is := before.shards[n].tables[name], sc.tables[name]
		if (was == nil) != (is == nil) || was != nil && was.differs(is) != "" {
			return fmt.Errorf("its definition was changed at shard %s meanwhile; nothing was stored, try again", p.e.name(n))
		}
	}
	if stored, known, err := now.storedRule(name); err != nil || known {
		return errors.Join(err, fmt.Errorf("somebody else has stored a placement meanwhile: %s", stored.Rule))
	}
	return now.adopt(ctx, name, t.Rule)
}

// adoption is the work on one table.
type adoption struct {
	p        *PlacementTool
	t        *plan.Table
	have     []xa.ShardID
	progress func(shard string, rows uint64)
	rows     uint64

	misplaced uint64
	first     []string // of the misplaced
}

// shownMisplaced is how many misplaced rows are named.
const shownMisplaced = 10

// adoptState is the state of connections that read rows: times are in UTC, texts
// in UTF-8, and CHAR without its pad.
func adoptState() backend.State {
	return backend.State{TimeZone: backend.Want("+00:00"), SQLMode: backend.Want("")}
}

// lookAtRows reads the key of every row.
func (a *adoption) lookAtRows(ctx context.Context) error {
	for _, n := range a.have {
		if err := a.lookAt(ctx, n); err != nil {
			return fmt.Errorf("shard %s: %w", a.p.e.name(n), err)
		}
	}
	if a.misplaced > 0 {
		return fmt.Errorf("%d of %d rows are not where %s places them, nothing was stored; the first of them: %s",
			a.misplaced, a.rows, a.t.Rule.Text(), strings.Join(a.first, "; "))
	}
	return nil
}

func (a *adoption) lookAt(ctx context.Context, n xa.ShardID) error {
	s := &keyScan{a: a, shard: n}
	text := "SELECT 1,1"
	if a.t.Rule.Kind() == route.RuleSharded {
		s.column = a.t.Key()
		if err := s.weighSpace(ctx); err != nil {
			return err
		}
		text = "SELECT " + plan.StoredSQL(s.column) + "," + quoteName(s.column.Name)
	}
	return a.stream(ctx, n, text+" FROM "+quoteName(a.t.Schema)+"."+quoteName(a.t.Name), s)
}

// stream reads a result without keeping it.
func (a *adoption) stream(ctx context.Context, n xa.ShardID, sql string, sink backend.Sink) error {
	shard := a.p.e.shards[n]
	conn, err := shard.own.Get(ctx, adoptState())
	if err != nil {
		return err
	}
	defer shard.own.Put(conn)
	r, err := conn.Relay(ctx, append([]byte{byte(wire.ComQuery)}, sql...), sink)
	if err == nil && r.Err != nil {
		err = r.Err
	}
	return err
}

// counted notes a row, and says now and then how far it is.
func (a *adoption) counted(n xa.ShardID, rows *uint64) {
	const step = 100_000
	if *rows++; *rows%step == 0 {
		a.progress(a.p.e.name(n), *rows)
	}
}

// keyScan takes the keys of one shard's rows. It implements backend.Sink.
type keyScan struct {
	a      *adoption
	shard  xa.ShardID
	column *plan.Column // of a sharded table
	space  []byte       // the weight of one space, where the key's collation pads
	rows   uint64
	fields [][]byte
}

// weighSpace asks for the weight of the pad.
func (s *keyScan) weighSpace(ctx context.Context) error {
	if s.a.t.Rule.KeyType() != route.KeyTypeString {
		return nil
	}
	e := s.a.p.e
	request := plan.WeightRequest{Charset: s.column.Charset, Collation: s.column.Collation, Text: " "}
	if err := e.weigh(ctx, []plan.WeightRequest{request}); err != nil {
		return err
	}
	_, s.space, _ = e.weights.Weight(request)
	return nil
}

func (s *keyScan) Columns([][]byte) error { return nil }

func (s *keyScan) End(wire.OK, bool) error {
	s.a.rows += s.rows
	s.a.progress(s.a.p.e.name(s.shard), s.rows)
	return nil
}

func (s *keyScan) Row(payload []byte) error {
	s.a.counted(s.shard, &s.rows)
	fields, err := wire.ParseTextRow(s.fields[:0], payload, 2)
	if err != nil {
		return err
	}
	s.fields = fields
	where := s.place(fields[0])
	if where == "" {
		return nil
	}
	a := s.a
	if a.misplaced++; len(a.first) < shownMisplaced {
		a.first = append(a.first, fmt.Sprintf("%s at %s belongs to %s", showKey(fields[1], s.column), a.p.e.name(s.shard), where))
	}
	return nil
}

// place says where a row belongs, "" for here.
func (s *keyScan) place(stored []byte) string {
	rule := s.a.t.Rule
	if rule.Kind() == route.RuleOne {
		if shardID(rule.Shards()[0]) == s.shard {
			return ""
		}
		return s.a.p.e.name(shardID(rule.Shards()[0]))
	}
	if stored == nil {
		return "no shard: NULL is no key"
	}
	key, err := plan.StoredKey(s.column, string(stored), s.space)
	if err != nil {
		return "no shard: " + err.Error()
	}
	at, ok := rule.Place(key)
	switch {
	case !ok:
		return "no shard"
	case shardID(at) == s.shard:
		return ""
	}
	return s.a.p.e.name(shardID(at))
}

// showKey is a key for people.
func showKey(key []byte, c *plan.Column) string {
	const most = 60
	switch {
	case c == nil:
		return "a row"
	case key == nil:
		return "NULL"
	case c.Type == plan.TypeBinary || c.Type == plan.TypeVarbinary || c.Type == plan.TypeBit:
		return "0x" + hex.EncodeToString(key[:min(len(key), most)])
	case len(key) > most:
		return string(key[:most]) + "..."
	}
	return string(key)
}

// compareCopies compares the rows of all copies, in any order.
func (a *adoption) compareCopies(ctx context.Context) error {
	columns := make([]string, len(a.t.Columns))
	for i, c := range a.t.Columns {
		columns[i] = quoteName(c.Name)
	}
	sums := make([]copySum, len(a.have))
	var told []string
	equal := true
	for i, n := range a.have {
		sums[i] = copySum{a: a, shard: n}
		sql := "SELECT " + strings.Join(columns, ",") + " FROM " + quoteName(a.t.Schema) + "." + quoteName(a.t.Name)
		if err := a.stream(ctx, n, sql, &sums[i]); err != nil {
			return fmt.Errorf("shard %s: %w", a.p.e.name(n), err)
		}
		s, first := &sums[i], &sums[0]
		equal = equal && s.rows == first.rows && s.sum == first.sum && s.other == first.other
		told = append(told, fmt.Sprintf("%s: %d rows, checksum %016x%016x", a.p.e.name(n), s.rows, s.sum, s.other))
	}
	if !equal {
		return fmt.Errorf("the copies are not equal, nothing was stored; make them so: %s", strings.Join(told, "; "))
	}
	a.rows = sums[0].rows
	return nil
}

// copySum sums up the hashes of rows as they are sent. It implements
// backend.Sink. The sums do not depend on the rows' order.
type copySum struct {
	a          *adoption
	shard      xa.ShardID
	rows       uint64
	sum, other uint64
	buf        []byte
}

func (s *copySum) Columns([][]byte) error { return nil }

func (s *copySum) End(wire.OK, bool) error {
	s.a.progress(s.a.p.e.name(s.shard), s.rows)
	return nil
}

func (s *copySum) Row(payload []byte) error {
	s.a.counted(s.shard, &s.rows)
	s.buf = append(append(s.buf[:0], "xaproxy"...), payload...)
	s.sum += route.Hash(payload)
	s.other += route.Hash(s.buf)
	return nil
}

var (
	_ backend.Sink = (*keyScan)(nil)
	_ backend.Sink = (*copySum)(nil)
	_ Store        = (*xamysql.Shard)(nil)
)
