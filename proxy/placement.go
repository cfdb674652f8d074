package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/xa"
)

// PlacementState says what is known of where a table's rows are.
type PlacementState uint8

// The states.
const (
	PlacementRefused   PlacementState = iota // Why says it; statements get 17024 or 17021
	PlacementStored                          // the shards have stored the rule
	PlacementFirst                           // it is stored at the first use: no row can be elsewhere
	PlacementAdoptable                       // it has rows, and Adopt has to look at them first
	PlacementOneShard                        // nobody configured it, one shard has it
)

func (s PlacementState) String() string {
	switch s {
	case PlacementStored:
		return "stored"
	case PlacementFirst:
		return "stored at first use"
	case PlacementAdoptable:
		return "adoptable"
	case PlacementOneShard:
		return "on one shard"
	case PlacementRefused:
	}
	return "refused"
}

// TablePlacement is what is known of one table.
type TablePlacement struct {
	Schema, Table string
	State         PlacementState
	Rule          string   // that the configuration asks for; empty: none
	Stored        string   // that the shards have; empty: none
	Shards        []string // that have the table
	Rows          uint64   // the servers' estimate, of one copy
	Why           string   // of PlacementRefused
}

// PlacementTool looks at placements and adopts tables without serving. It uses
// the shards' own pools and stores. One goroutine at a time.
type PlacementTool struct {
	e *engine
	m *route.Map
}

// NewPlacementTool returns a tool over all shards of a cluster.
func NewPlacementTool(shards []Shard, m *route.Map, log *slog.Logger) *PlacementTool {
	e := &engine{shards: map[xa.ShardID]*Shard{}, weights: newWeights(), log: log}
	for _, s := range shards {
		s.own = s.Pool
		e.shards[s.Number] = &s
		e.order = append(e.order, s.Number)
	}
	slices.Sort(e.order)
	return &PlacementTool{e: e, m: m}
}

// read reads every shard's catalog; all must answer.
func (p *PlacementTool) read(ctx context.Context) (*builder, error) {
	b := &builder{e: p.e, m: p.m, shards: map[xa.ShardID]*shardCatalog{}}
	told := make([]*shardCatalog, len(p.e.order))
	errs := make([]error, len(p.e.order))
	var wg sync.WaitGroup
	for i, n := range p.e.order {
		wg.Go(func() { told[i], errs[i] = loadShard(ctx, p.e.shards[n]) })
	}
	wg.Wait()
	for i, n := range p.e.order {
		if errs[i] != nil {
			return nil, fmt.Errorf("shard %s: %w", p.e.name(n), errs[i])
		}
		b.shards[n] = told[i]
	}
	return b, nil
}

// Tables returns what is known of every table, in order.
func (p *PlacementTool) Tables(ctx context.Context) ([]TablePlacement, error) {
	b, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := p.estimates(ctx)
	if err != nil {
		return nil, err
	}
	names := map[plan.TableName]bool{}
	for _, sc := range b.shards {
		for name, t := range sc.tables {
			names[name] = names[name] || !t.table.View
		}
		for name := range sc.placements {
			names[name] = true
		}
	}
	var out []TablePlacement
	for name, table := range names {
		if table {
			out = append(out, p.table(ctx, b, name, rows))
		}
	}
	slices.SortFunc(out, func(x, y TablePlacement) int {
		return strings.Compare(x.Schema+"."+x.Table, y.Schema+"."+y.Table)
	})
	return out, nil
}

// table finds out about one table.
func (p *PlacementTool) table(ctx context.Context, b *builder, name plan.TableName, rows map[xa.ShardID]map[plan.TableName]uint64) TablePlacement {
	out := TablePlacement{Schema: name.Schema, Table: name.Name}
	t, have, stored, want, err := p.known(ctx, b, name)
	out.Stored = stored
	for _, n := range have {
		out.Shards = append(out.Shards, p.e.name(n))
		if want.Kind() == route.RuleCopies {
			out.Rows = max(out.Rows, rows[n][name])
		} else {
			out.Rows += rows[n][name]
		}
	}
	if want.Kind() != route.RuleInvalid {
		out.Rule = want.Text()
	}
	if err == nil {
		out.State, err = p.state(ctx, b, name, &t, have, stored, want)
	}
	if err != nil {
		out.State, out.Why = PlacementRefused, err.Error()
	}
	return out
}

// known is what the shards and the configuration say of a table; want is the
// configured rule, invalid without one.
func (p *PlacementTool) known(ctx context.Context, b *builder, name plan.TableName) (t plan.Table, have []xa.ShardID, stored string, want route.Rule, err error) {
	placement, _, errStored := b.storedRule(name)
	stored = placement.Rule
	if !slices.ContainsFunc(p.e.order, func(n xa.ShardID) bool { return b.shards[n].tables[name] != nil }) {
		return t, nil, stored, want, errors.Join(errStored, errors.New("no shard has the table; its placement is kept for when it is created again"))
	}
	t, have, err = b.definition(name)
	if err = errors.Join(errStored, err); err != nil {
		return t, have, stored, want, err
	}
	want, _, err = b.configuredRule(ctx, &t)
	return t, have, stored, want, err
}

// state says whether a table can be used, and why not.
func (p *PlacementTool) state(ctx context.Context, b *builder, name plan.TableName, t *plan.Table, have []xa.ShardID, stored string, want route.Rule) (PlacementState, error) {
	state := PlacementStored
	switch {
	case stored != "":
		r, err := b.rule(ctx, name, t, have)
		if err != nil {
			return PlacementRefused, err
		}
		t.Rule = r
	case want.Kind() == route.RuleInvalid:
		r, err := b.unplaced(name, have)
		if err != nil {
			return PlacementRefused, err
		}
		t.Rule, state = r, PlacementOneShard
	default:
		t.Rule, state = want, PlacementFirst
		if err := b.adoptable(ctx, name, want, have); err != nil {
			state = PlacementAdoptable
		}
	}
	return state, b.fits(name, t, have)
}

// estimates are the servers' guesses of how many rows tables have.
func (p *PlacementTool) estimates(ctx context.Context) (map[xa.ShardID]map[plan.TableName]uint64, error) {
	all := map[xa.ShardID]map[plan.TableName]uint64{}
	for _, n := range p.e.order {
		rows, err := p.ask(ctx, n, "SELECT TABLE_SCHEMA,TABLE_NAME,TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA"+userSchemas)
		if err != nil {
			return nil, err
		}
		all[n] = map[plan.TableName]uint64{}
		for _, r := range rows {
			if r[2] == nil {
				continue
			}
			count, err := strconv.ParseUint(*r[2], 10, 64)
			if err != nil {
				return nil, err
			}
			all[n][plan.TableName{Schema: *r[0], Name: *r[1]}] = count
		}
	}
	return all, nil
}

func (p *PlacementTool) ask(ctx context.Context, n xa.ShardID, sql string) ([][]*string, error) {
	s := p.e.shards[n]
	conn, err := s.own.Get(ctx, adoptState())
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", s.Name, err)
	}
	defer s.own.Put(conn)
	rows, err := selectRows(ctx, conn, sql)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", s.Name, err)
	}
	return rows, nil
}
