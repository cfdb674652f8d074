package proxy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"xaproxy/proxy/plan"
)

// gate is where statements enter and leave a table. While a definition statement
// changes the table, at this proxy or at another one, nobody enters.
type gate struct {
	state atomic.Int64
	// opened is another number after each change: what was known of the table's
	// rows before need not hold.
	opened atomic.Uint64
}

// gateClosed is the bit beside the count of those who are inside.
const gateClosed int64 = 1 << 62

// enter reports whether the gate was open; then leave is owed.
func (g *gate) enter() bool {
	if g.state.Add(1)&gateClosed == 0 {
		return true
	}
	g.state.Add(-1)
	return false
}

// leave reports whether somebody waits for the table to be empty, and it is.
func (g *gate) leave() bool { return g.state.Add(-1) == gateClosed }

func (g *gate) shut() { g.state.Or(gateClosed) }

// open opens the gate; turn is a number that no gate had before.
func (g *gate) open(turn func() uint64) {
	if g.state.Load()&gateClosed != 0 {
		g.opened.Store(turn())
	}
	g.state.And(^gateClosed)
}

// drained: closed, and nobody is inside.
func (g *gate) drained() bool { return g.state.Load() == gateClosed }

// tableUse is what a session's statement, or its open transaction, uses.
type tableUse struct {
	planned uint64 // version of the catalog that the last plan was made with
	holds   []tableHold
}

// tableHold is a table that the session is inside of.
type tableHold struct {
	name  plan.TableName
	gate  *gate
	epoch uint64 // of the share when it was entered
	// opened is the gate's.
	opened uint64
}

// enterPatience bounds how long a statement waits for a definition statement.
const enterPatience = 10 * time.Second

// refusalPatience bounds it for statements that were refused by a catalog that
// is about to change.
const refusalPatience = time.Second

// plan plans one statement with the catalog as it is. What is refused while the
// catalog is changing, or for a table that is not known, is planned once more
// when more is known.
func (s *session) plan(ctx context.Context, env plan.Env, sql string) (*plan.Plan, error) {
	snap := s.e.catalog.current()
	env.Catalog = snap
	p, err := s.planWeighed(ctx, env, sql)
	s.tables.planned = snap.version
	if numberIs(err, codeDefinitionsDiffer) {
		s.e.catalog.suspectUnusable()
	}
	if err == nil || !unknownTable(err) && !numberIs(err, codeTableChanging) && !s.e.catalog.share.changing() {
		return p, err
	}
	if why := s.guard(ctx, nil, func(ctx context.Context) { p, err = s.planSlowly(ctx, env, sql) }); why != nil {
		return nil, why
	}
	return p, err
}

// planWeighed plans, asking a shard for the weights that a new table's placement
// needs.
func (s *session) planWeighed(ctx context.Context, env plan.Env, sql string) (*plan.Plan, error) {
	for range bindings {
		p, err := s.e.planner.Plan(env, sql)
		var needed *plan.WeightsNeeded
		if !errors.As(err, &needed) {
			return p, err
		}
		if err := s.weigh(ctx, needed.Requests); err != nil {
			return nil, err
		}
	}
	return nil, fail(codeInternal, "the weights of a placement are not kept")
}

func (s *session) planSlowly(ctx context.Context, env plan.Env, sql string) (*plan.Plan, error) {
	c := s.e.catalog
	began := time.Now()
	for {
		news := c.share.listen()
		snap := c.current()
		env.Catalog = snap
		p, err := s.planWeighed(ctx, env, sql)
		s.tables.planned = snap.version
		patience := refusalPatience
		if unknownTable(err) || numberIs(err, codeDefinitionsDiffer) {
			patience = enterPatience
		}
		switch {
		case err == nil:
			return p, nil
		case c.share.changing() && hear(ctx, news, began.Add(patience)):
		case unknownTable(err) && c.refreshSince(ctx, began):
		case numberIs(err, codeTableChanging) && time.Since(began) < enterPatience && c.refreshSince(ctx, time.Now()):
		case unknownTable(err) && !snap.whole:
			return nil, fail(codeTableChanging, strings.Join(unknownNames(err), ","), "it is not known while a shard does not answer").because(err)
		default:
			return nil, err
		}
	}
}

// unknownTable reports whether err says that a table does not exist.
func unknownTable(err error) bool { return len(unknownNames(err)) > 0 }

func unknownNames(err error) []string {
	var r *plan.Refusal
	if !errors.As(err, &r) || r.Code != plan.CodeNoSuchTable && r.Code != plan.CodeUnknownTable {
		return nil
	}
	if parts := strings.Split(r.Construct, "'"); len(parts) > 1 {
		return []string{parts[1]}
	}
	return []string{r.Construct}
}

// numberIs reports whether err is the proxy's own error of that number.
func numberIs(err error, number uint16) bool {
	var own *Error
	return errors.As(err, &own) && own.Number == number
}

// hear waits for news; false: the time is over, or the session's.
func hear(ctx context.Context, news <-chan struct{}, until time.Time) bool {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-news:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// enter brings the session into the tables of the statement, planned by the
// catalog that holds while it is inside. Whoever is inside of a table is waited
// for before any shard's definition of it is changed: a statement until its
// end, a transaction that has used the table until the transaction's.
func (s *session) enter(ctx context.Context, k *call) (*call, error) {
	if len(k.plan.Tables) == 0 {
		return k, nil
	}
	entered, err := s.tryEnter(k)
	if entered || err != nil {
		return k, err
	}
	if why := s.guard(ctx, nil, func(ctx context.Context) { k, err = s.enterSlowly(ctx, k) }); why != nil {
		s.leaveStatement()
		return k, why
	}
	return k, err
}

func (s *session) enterSlowly(ctx context.Context, k *call) (*call, error) {
	share := s.e.catalog.share
	until := time.Now().Add(enterPatience)
	for {
		news := share.listen()
		entered, err := s.tryEnter(k)
		if entered || err != nil {
			return k, err
		}
		if s.tables.planned != s.e.catalog.current().version {
			if k, err = s.replan(ctx, k); err != nil {
				return k, err
			}
			continue
		}
		if !hear(ctx, news, until) {
			return k, s.closedTables(k)
		}
	}
}

// replan plans the statement by the catalog of now.
func (s *session) replan(ctx context.Context, k *call) (*call, error) {
	env := s.env()
	if k.stmt != nil {
		env.Schema = k.stmt.schema
	}
	p, err := s.planSlowly(ctx, env, k.sql)
	if err != nil {
		return k, err
	}
	if p.Class != k.plan.Class || p.NumParams != k.plan.NumParams || len(p.Variables) != len(k.plan.Variables) {
		return k, fail(codeInternal, "a statement means something else than a moment ago")
	}
	again := *k
	again.plan = p
	return &again, nil
}

// closedTables says why the statement cannot enter its tables.
func (s *session) closedTables(k *call) error {
	names := make([]string, len(k.plan.Tables))
	for i, t := range k.plan.Tables {
		names[i] = t.Schema + "." + t.Name
	}
	why := "a definition statement has been changing it for longer than " + enterPatience.String() + "; nothing was executed, try again"
	if _, trusted := s.e.catalog.share.trust(); !trusted {
		why = notTrusted
	}
	return fail(codeTableChanging, strings.Join(names, ","), why)
}

// notTrusted is told while the proxy cannot know whether definitions change.
const notTrusted = "no shard has told this proxy lately whether definitions are being changed; nothing more was executed, try again"

// tryEnter enters all tables or none, without waiting. Neither an error: the
// plan is old, a gate is closed, or the catalog is not to be trusted now.
func (s *session) tryEnter(k *call) (bool, error) {
	c := s.e.catalog
	snap := c.current()
	epoch, trusted := c.share.trust()
	if snap.version != s.tables.planned || !trusted {
		return false, nil
	}
	if slices.ContainsFunc(s.tables.holds, func(h tableHold) bool { return h.epoch != epoch }) {
		return false, s.outdated()
	}
	before := len(s.tables.holds)
	for _, name := range k.plan.Tables {
		inside := slices.ContainsFunc(s.tables.holds, func(h tableHold) bool { return h.name == name })
		switch g := snap.tables[name].gate; {
		case inside, g == nil:
		case g.enter():
			s.tables.holds = append(s.tables.holds, tableHold{name, g, epoch, g.opened.Load()})
		default:
			s.leaveFrom(before)
			return false, nil
		}
	}
	// What was entered after a change has the catalog of after the change.
	if again, trusted := c.share.trust(); c.current() != snap || !trusted || again != epoch {
		s.leaveFrom(before)
		return false, nil
	}
	return true, nil
}

// outdated is the error of a transaction that used tables before the proxy lost
// touch: others may have taken it for dead and have changed the tables.
func (s *session) outdated() error {
	return fail(codeTableChanging, s.tables.holds[0].name.Schema+"."+s.tables.holds[0].name.Name,
		"the proxy could not read the shards' catalog for a while during this transaction; roll it back and run it again")
}

// stillTrusted is asked before each part of a statement is sent: an error when
// others may have taken this proxy for dead since the tables were entered.
func (s *session) stillTrusted() error {
	if len(s.tables.holds) == 0 {
		return nil
	}
	epoch, trusted := s.e.catalog.share.trust()
	for _, h := range s.tables.holds {
		switch {
		case h.epoch != epoch:
			return s.outdated()
		case !trusted:
			return fail(codeTableChanging, h.name.Schema+"."+h.name.Name, notTrusted)
		}
	}
	return nil
}

// leaveStatement leaves the tables at a statement's end, unless a transaction
// goes on that has used them.
func (s *session) leaveStatement() {
	if s.tx == nil {
		s.leaveTables()
	}
}

// leaveTables leaves all tables, after the transaction or what is one by itself.
func (s *session) leaveTables() { s.leaveFrom(0) }

func (s *session) leaveFrom(n int) {
	for _, h := range s.tables.holds[n:] {
		if h.gate.leave() {
			s.e.catalog.share.wake()
		}
	}
	clear(s.tables.holds[n:])
	s.tables.holds = s.tables.holds[:n]
}
