package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// definitionsKept is how many statements that have ended are remembered.
const definitionsKept = 100

// definitionAbout is what it takes to execute a definition statement later, at a
// connection of another proxy.
type definitionAbout struct {
	Statement string // as the client sent it
	Tables    []plan.TableName
	Schema    string // of a statement about a schema
	// Drops: afterwards its objects do not exist. Empties: their definitions stay,
	// so that they do not tell whether it was executed. Creates: they are new.
	Drops, Empties, Creates bool
	Session                 definitionSession
}

// definitionSession are the settings of the client's session that change what a
// definition means. Nil: utf8mb4, and what sessions begin with.
type definitionSession struct {
	Schema                                                                 string
	CharsetClient, CharsetResults, Collation, SQLMode, TimeZone, Isolation *string
}

// sessionOf writes down what sessions begin with, too: with another proxy that may
// be another.
func sessionOf(s backend.State, begin backend.Defaults) definitionSession {
	if _, given := s.SQLMode.Value(); !given {
		s.SQLMode = backend.Want(begin.SQLMode)
	}
	if _, given := s.TimeZone.Value(); !given {
		s.TimeZone = backend.Want(begin.TimeZone)
	}
	given := func(v backend.Setting) *string {
		if text, is := v.Value(); is {
			return &text
		}
		return nil
	}
	return definitionSession{Schema: s.Schema, CharsetClient: given(s.CharsetClient), CharsetResults: given(s.CharsetResults),
		Collation: given(s.Collation), SQLMode: given(s.SQLMode), TimeZone: given(s.TimeZone), Isolation: given(s.Isolation)}
}

func (d definitionSession) state() backend.State {
	want := func(v *string) backend.Setting {
		if v == nil {
			return backend.Setting{}
		}
		return backend.Want(*v)
	}
	return backend.State{Schema: d.Schema, CharsetClient: want(d.CharsetClient), CharsetResults: want(d.CharsetResults),
		Collation: want(d.Collation), SQLMode: want(d.SQLMode), TimeZone: want(d.TimeZone), Isolation: want(d.Isolation)}
}

func aboutOf(k *call, session definitionSession) definitionAbout {
	a := definitionAbout{Statement: k.sql, Tables: changedTables(k.plan), Session: session}
	d := k.plan.DDL
	if d == nil {
		return a
	}
	switch d.Verb {
	case plan.DDLCreateTable:
		a.Creates = true
	case plan.DDLCreateSchema:
		a.Creates, a.Schema = true, d.Schema
	case plan.DDLAlterSchema:
		a.Schema = d.Schema
	case plan.DDLDropTable:
		a.Drops = true
	case plan.DDLDropSchema:
		a.Drops, a.Schema = true, d.Schema
	case plan.DDLTruncateTable:
		a.Empties = true
	case plan.DDLOther, plan.DDLAlterTable:
	}
	return a
}

// objects are what the statement defines, by name.
func (a definitionAbout) objects() []xamysql.ObjectName {
	if a.Schema != "" {
		return []xamysql.ObjectName{{Schema: a.Schema}}
	}
	names := make([]xamysql.ObjectName, len(a.Tables))
	for i, t := range a.Tables {
		names[i] = xamysql.ObjectName{Schema: t.Schema, Table: t.Name}
	}
	return names
}

// record stores the statement at every shard, with what each shard's tables are
// before it. Whatever happens from then on, whoever sees the announcement
// completes it.
func (d *announcement) record(ctx context.Context, k *call, parts []plan.Part, state backend.State) error {
	d.about = aboutOf(k, sessionOf(state, d.c.e.defaults))
	about, err := json.Marshal(d.about)
	if err != nil {
		return err
	}
	d.journal = d.id
	objects := make([]xamysql.Objects, len(d.c.e.order))
	errs := make([]error, len(d.c.e.order))
	var wg sync.WaitGroup
	for i, n := range d.c.e.order {
		row := xamysql.Definition{ID: d.journal, About: string(about), Part: xamysql.PartNone}
		if at := slices.IndexFunc(parts, func(p plan.Part) bool { return shardID(p.Shard) == n }); at >= 0 {
			row.Part, row.Statement = xamysql.PartOpen, parts[at].SQL
		}
		wg.Go(func() { objects[i], errs[i] = d.recordAt(ctx, n, row) })
	}
	wg.Wait()
	for i, n := range d.c.e.order {
		if errs[i] != nil {
			return fail(codeShardDown, d.c.e.name(n), "every shard must record a definition statement: "+errs[i].Error()).because(errs[i])
		}
		d.earlier[n] = objects[i]
	}
	return nil
}

func (d *announcement) recordAt(ctx context.Context, n xa.ShardID, row xamysql.Definition) (xamysql.Objects, error) {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	store := d.c.e.shards[n].Store
	o, err := store.ReadObjects(ctx, d.about.objects())
	if err != nil {
		return o, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return o, err
	}
	row.Earlier = string(text)
	return o, store.StoreDefinition(ctx, row)
}

// mark records how far a shard's part is. What is not recorded is found by
// comparing definitions.
func (d *announcement) mark(ctx context.Context, n xa.ShardID, part xamysql.DefinitionPart, why string) {
	if d.journal == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	if err := d.c.e.shards[n].Store.MarkDefinition(ctx, d.journal, d.change(), part, why); err != nil {
		d.c.e.log.Warn("a part of a definition statement cannot be recorded", slog.String("shard", d.c.e.name(n)), slog.Any("err", err))
	}
}

// unchanged reports whether a shard's objects are as they were before.
func (d *announcement) unchanged(ctx context.Context, n xa.ShardID) (bool, error) {
	if d.journal == "" {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	now, err := d.c.e.shards[n].Store.ReadObjects(ctx, d.about.objects())
	return err == nil && slices.Equal(now.Text, d.earlier[n].Text), err
}

// conclude records how the statement ended at every shard, before the announcement
// goes; an error: it must stay. What nobody could need to know of a statement that
// is over everywhere may be missing at shards that do not answer.
func (d *announcement) conclude(ctx context.Context, o xamysql.DefinitionOutcome) error {
	if d.journal == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadPatience)
	defer cancel()
	d.settlePlacements(ctx, o)
	var errs error
	for _, n := range d.c.e.order {
		err := d.c.e.shards[n].Store.EndDefinition(ctx, d.journal, d.change(), o, definitionsKept)
		if err != nil && (n == d.c.e.order[0] || o == xamysql.DefinitionStuck || errors.Is(err, xamysql.ErrChangeTaken)) {
			errs = errors.Join(errs, err)
		}
	}
	if errs == nil && o == xamysql.DefinitionDone {
		errs = d.supersede(ctx)
	}
	return errs
}

// settlePlacements forgets the rules of tables that do not exist any more. What
// cannot be removed now refuses a later CREATE with another rule, and harms
// nothing.
func (d *announcement) settlePlacements(ctx context.Context, o xamysql.DefinitionOutcome) {
	switch {
	case o == xamysql.DefinitionDone && d.about.Drops && d.about.Schema != "":
		d.c.forgetPlacements(ctx, d.c.current().placed(d.about.Schema))
	case o == xamysql.DefinitionDone && d.about.Drops:
		d.c.forgetPlacements(ctx, d.about.Tables)
	case o == xamysql.DefinitionRefused && d.about.Creates && d.about.Schema == "":
		for _, n := range d.c.e.order {
			now, err := d.c.e.shards[n].Store.ReadObjects(ctx, d.about.objects())
			if err != nil || slices.ContainsFunc(now.Text, func(t string) bool { return t != "" }) {
				return // it exists, or may
			}
		}
		d.c.forgetPlacements(ctx, d.about.Tables)
	}
}

func (c *catalog) forgetPlacements(ctx context.Context, gone []plan.TableName) {
	for _, t := range gone {
		for _, n := range c.e.order {
			if err := c.e.shards[n].Store.DeletePlacement(ctx, t.Schema, t.Name); err != nil {
				c.e.log.Warn("delete placement", slog.String("table", t.Schema+"."+t.Name), slog.String("shard", c.e.name(n)), slog.Any("err", err))
			}
		}
	}
}

// supersede settles older statements that needed a person, when this one has
// dropped all their tables.
func (d *announcement) supersede(ctx context.Context) error {
	if !d.about.Drops {
		return nil
	}
	stuck, err := d.c.e.shards[d.c.e.order[0]].Store.Definitions(ctx, "", xamysql.DefinitionStuck)
	if err != nil {
		return err
	}
	covered := change{tables: d.about.Tables}
	for _, row := range stuck {
		about, err := decodeAbout(row)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(about.Tables, func(t plan.TableName) bool { return !covered.concerns(t) }) {
			continue
		}
		if err := d.c.settle(ctx, row.ID, xamysql.DefinitionSuperseded); err != nil {
			return err
		}
	}
	return nil
}

// settle gives a statement that needed a person its outcome at every shard.
func (c *catalog) settle(ctx context.Context, id string, o xamysql.DefinitionOutcome) error {
	for _, n := range slices.Backward(c.e.order) {
		if err := c.e.shards[n].Store.SettleDefinition(ctx, id, o); err != nil {
			return err
		}
	}
	return nil
}

// recorded are the rows of a statement at all shards, which must answer.
func (c *catalog) recorded(ctx context.Context, id string) (map[xa.ShardID]xamysql.Definition, error) {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	rows := map[xa.ShardID]xamysql.Definition{}
	for _, n := range c.e.order {
		found, err := c.e.shards[n].Store.Definitions(ctx, id)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			rows[n] = found[0]
		}
	}
	return rows, nil
}

func decodeAbout(row xamysql.Definition) (definitionAbout, error) {
	var a definitionAbout
	if err := json.Unmarshal([]byte(row.About), &a); err != nil {
		return a, fmt.Errorf("definition statement %s: %w", row.ID, err)
	}
	return a, nil
}
