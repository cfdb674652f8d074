package proxy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// stateOpen is that of a statement that is not over.
const stateOpen = "open"

// showDefinitions is SHOW DDL.
func (s *session) showDefinitions(ctx context.Context) (*Table, error) {
	var t *Table
	var err error
	if gone := s.guard(ctx, nil, func(ctx context.Context) { t, err = s.e.catalog.definitions(ctx) }); gone != nil {
		return nil, gone
	}
	return t, err
}

// Definitions is SHOW DDL: the definition statements that the shards have
// recorded, those that are not over first, then the latest.
func (s *Server) Definitions(ctx context.Context) (*Table, error) {
	return s.current().catalog.definitions(ctx)
}

// definitionView is a statement as the shards know it.
type definitionView struct {
	id        string
	about     definitionAbout
	rows      map[xa.ShardID]xamysql.Definition
	first     xamysql.Definition // the lowest shard's that answers
	announced bool
}

func (c *catalog) definitions(ctx context.Context) (*Table, error) {
	views, errs := c.views(ctx)
	if len(errs) == len(c.e.order) {
		return nil, fail(codeShardDown, c.e.name(c.e.order[0]), errors.Join(mapValues(errs)...).Error())
	}
	t := &Table{Columns: []Column{{Name: "id"}, {Name: "statement"}, {Name: "schema"}, {Name: "state"}, {Name: "shards"}, {Name: "node", Type: Integer},
		{Name: "since"}, {Name: "advice"}}}
	for _, v := range views {
		state := v.state()
		t.Rows = append(t.Rows, []Value{String(v.id), String(v.about.Statement), orNull(v.about.Session.Schema), String(state), String(c.parts(v, errs)),
			Uint(uint64(v.first.Node)), String(v.first.Created), orNull(adviceOn(state, v.id))})
	}
	return t, nil
}

func mapValues(m map[xa.ShardID]error) []error {
	var list []error
	for _, err := range m {
		list = append(list, err)
	}
	return list
}

// views reads all shards; those that do not answer have an error.
func (c *catalog) views(ctx context.Context) ([]*definitionView, map[xa.ShardID]error) {
	ctx, cancel := context.WithTimeout(ctx, closePatience)
	defer cancel()
	found := make([][]xamysql.Definition, len(c.e.order))
	announced := make([]xamysql.CatalogView, len(c.e.order))
	failed := make([]error, len(c.e.order))
	var wg sync.WaitGroup
	for i, n := range c.e.order {
		wg.Go(func() {
			if announced[i], failed[i] = c.e.shards[n].Store.ReadCatalogView(ctx, c.share.token); failed[i] == nil {
				found[i], failed[i] = c.e.shards[n].Store.Definitions(ctx, "")
			}
		})
	}
	wg.Wait()
	errs := map[xa.ShardID]error{}
	byID := map[string]*definitionView{}
	var views []*definitionView
	for i, n := range c.e.order {
		if failed[i] != nil {
			errs[n] = failed[i]
		}
		for _, row := range found[i] {
			v := byID[row.ID]
			if v == nil {
				v = &definitionView{id: row.ID, first: row, rows: map[xa.ShardID]xamysql.Definition{}}
				v.about, _ = decodeAbout(row) // what cannot be read is shown without
				byID[row.ID] = v
				views = append(views, v)
			}
			v.rows[n] = row
			v.announced = v.announced || present(announced[i], row.ID)
		}
	}
	slices.SortStableFunc(views, func(a, b *definitionView) int {
		if a.open() != b.open() {
			return cmp.Compare(b.rank(), a.rank())
		}
		return strings.Compare(b.first.Created, a.first.Created)
	})
	return views, errs
}

// open reports whether something is still to be done.
func (v *definitionView) open() bool {
	return v.first.Outcome == xamysql.DefinitionOpen && v.announced || v.first.Outcome == xamysql.DefinitionStuck
}

func (v *definitionView) rank() int {
	if v.open() {
		return 1
	}
	return 0
}

func (v *definitionView) state() string {
	switch {
	case v.first.Outcome != xamysql.DefinitionOpen:
		return string(v.first.Outcome)
	case !v.announced: // its owner knew that nothing was executed
		return string(xamysql.DefinitionRefused)
	}
	return stateOpen
}

// parts says what each shard has done.
func (c *catalog) parts(v *definitionView, errs map[xa.ShardID]error) string {
	var list []string
	for _, n := range c.e.order {
		row, known := v.rows[n]
		text := string(row.Part)
		switch {
		case errs[n] != nil:
			text = "does not answer"
		case !known, row.Part == xamysql.PartNone:
			continue
		case row.Part == xamysql.PartFailed:
			text += ": " + row.Error
		case row.Part == xamysql.PartOpen, row.Part == xamysql.PartDone:
		}
		list = append(list, c.e.name(n)+": "+text)
	}
	return strings.Join(list, "; ")
}

func adviceOn(state, id string) string {
	switch state {
	case stateOpen:
		return "its tables are closed until every shard has executed it; if it was interrupted, any proxy completes it as soon as every shard answers"
	case string(xamysql.DefinitionStuck):
		return "its tables are refused (17024). Remove the cause, then on the admin port DDL RETRY '" + id + "'; or undo it directly at the shards that are done, then DDL FORGET '" +
			id + "'; or DROP TABLE IF EXISTS through the proxy"
	}
	return ""
}

// RetryDefinition executes what is missing of a statement that needed a person.
func (s *Server) RetryDefinition(ctx context.Context, id string) error {
	return s.current().catalog.repair(ctx, id, func(ctx context.Context, d *announcement, rows map[xa.ShardID]xamysql.Definition) (xamysql.DefinitionOutcome, error) {
		return d.resume(ctx, rows, true)
	})
}

// ForgetDefinition settles a statement that needed a person, who has made the
// shards alike. What they differ in is found by comparing their definitions.
func (s *Server) ForgetDefinition(ctx context.Context, id string) error {
	return s.current().catalog.repair(ctx, id, func(context.Context, *announcement, map[xa.ShardID]xamysql.Definition) (xamysql.DefinitionOutcome, error) {
		return xamysql.DefinitionForgotten, nil
	})
}

type repairFunc func(context.Context, *announcement, map[xa.ShardID]xamysql.Definition) (xamysql.DefinitionOutcome, error)

// repair works on a statement that needs a person, while its tables are closed
// by an announcement of its own.
func (c *catalog) repair(ctx context.Context, id string, work repairFunc) (err error) {
	d := newAnnouncement(c)
	until := time.Now().Add(definitionPatience)
	if err := d.hold(ctx, until); err != nil {
		d.close(ctx)
		return err
	}
	defer func() { d.close(ctx) }()
	if err := d.settled(ctx, until); err != nil {
		return err
	}
	rows, err := c.recorded(ctx, id)
	if err != nil {
		return err
	}
	stuck := slices.ContainsFunc(c.e.order, func(n xa.ShardID) bool { return rows[n].Outcome == xamysql.DefinitionStuck })
	if !stuck || len(rows) < len(c.e.order) {
		return fail(codeUnsupported, "the definition statement '"+id+"' does not need a person, or is not known: SHOW DDL")
	}
	if d.about, err = decodeAbout(rows[c.e.order[0]]); err != nil {
		return err
	}
	if err := d.announce(ctx, d.about.Tables); err != nil {
		return fail(codeTableChanging, tableList(d.about.Tables), "the repair cannot be announced at every shard: "+err.Error()).because(err)
	}
	d.journal = id
	c.share.wake()
	outcome, err := work(ctx, d, rows)
	if err != nil {
		return err
	}
	if err := d.conclude(ctx, outcome); err != nil {
		return err
	}
	if outcome == xamysql.DefinitionStuck {
		return fail(codePartialDDL, "statement '"+id+"' still needs a person: SHOW DDL")
	}
	return nil
}
