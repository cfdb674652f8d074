package proxy

import (
	"context"
	"errors"
	"fmt"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// configuredRule is what the configuration says about an existing table; false:
// nothing.
func (b *builder) configuredRule(ctx context.Context, t *plan.Table) (route.Rule, bool, error) {
	if _, named := b.m.Lookup(t.Schema, t.Name); !named {
		return route.Rule{}, false, nil
	}
	for range bindings {
		r, err := plan.NewRule(b.m, t, b.e.weights)
		var needed *plan.WeightsNeeded
		if !errors.As(err, &needed) {
			return r, err == nil, err
		}
		if err := b.e.weigh(ctx, needed.Requests); err != nil {
			return route.Rule{}, false, b.unusable(plan.TableName{Schema: t.Schema, Name: t.Name}, "the strings of its placement cannot be weighed now: "+err.Error())
		}
	}
	return route.Rule{}, false, fail(codeInternal, "the weights of a placement are not kept")
}

// weigh asks a shard for the weights of strings, outside of sessions.
func (e *engine) weigh(ctx context.Context, requests []plan.WeightRequest) error {
	var failed error
	for _, n := range e.order {
		err := e.weighAt(ctx, n, requests)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

func (e *engine) weighAt(ctx context.Context, n xa.ShardID, requests []plan.WeightRequest) error {
	pool := e.shards[n].own
	conn, err := pool.Get(ctx, backend.State{})
	if err != nil {
		return err
	}
	defer pool.Put(conn)
	for _, r := range requests {
		if err := e.weights.ask(ctx, conn, r); err != nil {
			return e.unanswered(n, conn, err)
		}
	}
	return nil
}

// recognise is the rule that a stored placement says, for a table that the
// configuration does not name. It must fit this configuration's shards.
func (b *builder) recognise(name plan.TableName, stored xamysql.Placement) (route.Rule, error) {
	r, err := route.ParseRule(stored.Rule)
	if err == nil && r.Fingerprint() != stored.Fingerprint {
		err = fmt.Errorf("its fingerprint is %s, not %s", r.Fingerprint(), stored.Fingerprint)
	}
	if err != nil {
		return route.Rule{}, b.unusable(name, "its stored placement cannot be read: "+err.Error())
	}
	for _, s := range r.Shards() {
		if b.e.shards[shardID(s)] == nil {
			return route.Rule{}, b.unusable(name, fmt.Sprintf("its rows are placed by %s, and shard number %d is not configured", stored.Rule, s))
		}
	}
	if r.Kind() == route.RuleCopies && len(r.Shards()) != len(b.m.Shards()) {
		return route.Rule{}, b.unusable(name, "its copies are on the shards of "+stored.Rule+", which are not all that are configured")
	}
	return r, nil
}

// adoptable refuses to take a rule for granted under which rows may be elsewhere
// than they are.
func (b *builder) adoptable(ctx context.Context, name plan.TableName, want route.Rule, have []xa.ShardID) error {
	for _, n := range have {
		if wholeAt(want, n) {
			continue
		}
		filled, err := b.e.filled(ctx, n, name)
		switch {
		case err != nil:
			return b.unusable(name, "no placement is stored for it, and whether it has rows at shard "+b.e.name(n)+" cannot be read: "+err.Error())
		case filled:
			return b.unusable(name, "it has rows at shard "+b.e.name(n)+", and no placement is stored for it; xaproxy placement adopt "+
				name.Schema+"."+name.Name+" looks at each row and stores what the configuration asks for: "+want.Text())
		}
	}
	return nil
}

// wholeAt reports whether every row may be at the shard by a rule.
func wholeAt(r route.Rule, n xa.ShardID) bool {
	if len(r.Shards()) != 1 || shardID(r.Shards()[0]) != n {
		return false
	}
	return r.Kind() != route.RuleSharded || r.Function() != route.FunctionRange && r.Function() != route.FunctionList
}

// filled reports whether a table has a row at a shard.
func (e *engine) filled(ctx context.Context, n xa.ShardID, name plan.TableName) (bool, error) {
	conn, err := e.shards[n].own.Get(ctx, backend.State{})
	if err != nil {
		return false, err
	}
	defer e.shards[n].own.Put(conn)
	rows, err := selectRows(ctx, conn, "SELECT 1 FROM "+quoteName(name.Schema)+"."+quoteName(name.Name)+" LIMIT 1")
	return len(rows) > 0, err
}
