package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"xaproxy/proxy/plan"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

const (
	// definitionPatience bounds how long a definition statement waits for others.
	definitionPatience = 30 * time.Second
	// drainPatience bounds how long it waits for statements and transactions that
	// use its tables. It is below enterPatience: of two that wait for each other
	// the definition gives way.
	drainPatience = 8 * time.Second
	// drainStep is how often members are asked.
	drainStep = 25 * time.Millisecond
	// closePatience bounds what follows the statement.
	closePatience = 10 * time.Second
)

// announcement is that of a definition statement, from before the first
// shard executes it until after the last has.
type announcement struct {
	c       *catalog
	id      string
	runner  string // this proxy, as long as nobody takes the change over
	stored  bool
	release func()
	// Of a statement that is recorded:
	journal string // its id, "" when it is not
	about   definitionAbout
	earlier map[xa.ShardID]xamysql.Objects
	// left: the announcement stays, so that somebody completes the statement.
	left bool
}

func newAnnouncement(c *catalog) *announcement {
	return &announcement{c: c, id: rand.Text(), runner: rand.Text(), earlier: map[xa.ShardID]xamysql.Objects{}}
}

// change names the change and who executes it, for the shards' conditions.
func (d *announcement) change() xamysql.Change { return xamysql.Change{ID: d.id, Runner: d.runner} }

// openDefinition makes sure that nobody else changes definitions, announces which
// tables change, and waits until no proxy of the cluster uses them. What comes
// back is the statement, planned by what holds from now on.
func (s *session) openDefinition(ctx context.Context, k *call) (*announcement, *call, error) {
	d := newAnnouncement(s.e.catalog)
	until := time.Now().Add(definitionPatience)
	err := d.hold(ctx, until)
	if err != nil {
		return d, k, err
	}
	if err := d.settled(ctx, until); err != nil {
		return d, k, err
	}
	if k, err = s.replan(ctx, k); err != nil {
		return d, k, err
	}
	tables := changedTables(k.plan)
	if len(tables) == 0 {
		return d, k, nil
	}
	if err := d.announce(ctx, tables); err != nil {
		return d, k, fail(codeTableChanging, tableList(tables), "the change cannot be announced to the other proxies at every shard; nothing was changed: "+err.Error()).because(err)
	}
	d.c.share.wake()
	if err := d.drained(ctx); err != nil {
		return d, k, fail(codeTableChanging, tableList(tables), err.Error()+"; nothing was changed").because(err)
	}
	// The right may have been lost before the announcement.
	if s.tables.planned != d.c.current().version {
		if k, err = s.replan(ctx, k); err != nil {
			return d, k, err
		}
		if !slices.Equal(tables, changedTables(k.plan)) {
			return d, k, fail(codeTableChanging, tableList(tables), "the catalog changed at the same time; nothing was changed, try again")
		}
	}
	return d, k, nil
}

// changedTables are those that nobody may use while the statement runs.
func changedTables(p *plan.Plan) []plan.TableName {
	tables := slices.Clone(p.Tables)
	if p.DDL == nil {
		return tables
	}
	for _, t := range p.DDL.Tables {
		if !slices.Contains(tables, t) {
			tables = append(tables, t)
		}
	}
	switch p.DDL.Verb {
	case plan.DDLCreateSchema, plan.DDLAlterSchema, plan.DDLDropSchema:
		return append(tables, plan.TableName{Schema: p.DDL.Schema})
	case plan.DDLOther, plan.DDLCreateTable, plan.DDLAlterTable, plan.DDLDropTable, plan.DDLTruncateTable:
	}
	return tables
}

func tableList(tables []plan.TableName) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = strings.TrimSuffix(t.Schema+"."+t.Name, ".")
	}
	return strings.Join(names, ",")
}

// hold takes the cluster's right to change definitions, and completes what others
// left behind.
func (d *announcement) hold(ctx context.Context, until time.Time) error {
	release, err := d.c.holdDefinitions(ctx, until)
	if errors.Is(err, xamysql.ErrDefinitionRuns) {
		return fail(codeUnsupported, "two definition statements at the same time: another one has been running for "+definitionPatience.String()+"; try again").because(err)
	}
	if err != nil {
		return fail(codeShardDown, d.c.e.name(d.c.e.order[0]), err.Error()).because(err)
	}
	d.release = release
	var left []string
	for _, n := range d.c.e.order {
		view, err := d.c.e.shards[n].Store.ReadCatalogView(ctx, d.c.share.token)
		if err != nil {
			return fail(codeShardDown, d.c.e.name(n), "every shard must answer while a definition is changed: "+err.Error()).because(err)
		}
		for _, c := range view.Changes {
			if !slices.Contains(left, c.ID) {
				left = append(left, c.ID)
			}
		}
	}
	if err := d.c.end(ctx, left); err != nil {
		return fail(codeUnsupported, "a definition statement while one that was interrupted is not completed (SHOW DDL): "+err.Error()).because(err)
	}
	return nil
}

// holdDefinitions queues the sessions of this proxy, so that one of them alone
// waits at the shard.
func (c *catalog) holdDefinitions(ctx context.Context, until time.Time) (func(), error) {
	if err := c.takeTurn(ctx, until); err != nil {
		return nil, err
	}
	for {
		release, err := c.e.shards[c.e.order[0]].Store.HoldDefinitions(ctx)
		if err == nil {
			return func() { release(); <-c.turn }, nil
		}
		if !errors.Is(err, xamysql.ErrDefinitionRuns) || time.Now().After(until) || ctx.Err() != nil {
			<-c.turn
			return nil, err
		}
	}
}

// takeTurn takes the turn of this proxy's sessions. A free one is taken also when
// there is no time left to wait: select alone would choose by chance.
func (c *catalog) takeTurn(ctx context.Context, until time.Time) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-timer.C:
		return xamysql.ErrDefinitionRuns
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settled waits until this proxy knows what the definitions are.
func (d *announcement) settled(ctx context.Context, until time.Time) error {
	share := d.c.share
	for {
		news := share.listen()
		if !share.changing() {
			return nil
		}
		share.wake()
		if !hear(ctx, news, until) {
			return fail(codeUnsupported, "a definition statement now: "+notTrusted)
		}
	}
}

// announce stores the change at every shard, the lowest first.
func (d *announcement) announce(ctx context.Context, tables []plan.TableName) error {
	text, err := encodeTables(tables)
	if err != nil {
		return err
	}
	d.stored = true // perhaps
	for _, n := range d.c.e.order {
		if err := d.c.e.shards[n].Store.StoreChange(ctx, xamysql.Change{ID: d.id, Tables: text, Runner: d.runner}); err != nil {
			return err
		}
	}
	// The right may have been lost meanwhile: of two that announce, at least one
	// sees the other here.
	for _, n := range d.c.e.order {
		view, err := d.c.e.shards[n].Store.ReadCatalogView(ctx, d.c.share.token)
		switch {
		case err != nil:
			return err
		case len(view.Changes) != 1 || view.Changes[0].ID != d.id:
			return xamysql.ErrDefinitionRuns
		}
	}
	return nil
}

// watched is what is known of a member that has not answered yet.
type watched struct {
	beats uint64
	alive time.Time // when it was last seen to write, or the announcement
}

// drained waits until every member has said that nothing of its uses the tables.
// One that writes nothing for catalogSilence has lost its lease: it has stopped
// by itself, and reads everything anew before it goes on.
func (d *announcement) drained(ctx context.Context) error {
	began := time.Now()
	seen := map[string]watched{}
	for {
		waiting, err := d.waiting(ctx)
		if err != nil {
			return err
		}
		for token, m := range waiting {
			w, known := seen[token]
			if !known {
				w = watched{m.Beat, began}
			}
			if w.beats != m.Beat {
				w = watched{m.Beat, time.Now()}
			}
			seen[token] = w
			if time.Since(w.alive) < catalogSilence {
				continue
			}
			if err := d.c.forget(ctx, token); err != nil {
				return err
			}
			d.c.e.log.Warn("a proxy does not answer and lost its lease of the catalog", slog.Uint64("node", uint64(m.Node)))
			delete(waiting, token)
		}
		if len(waiting) == 0 {
			return nil
		}
		if time.Since(began) > drainPatience {
			return d.tooLong(waiting)
		}
		if !pause(ctx, drainStep) {
			return ctx.Err()
		}
	}
}

func (d *announcement) tooLong(waiting map[string]xamysql.CatalogMember) error {
	var who []string
	for token, m := range waiting {
		if token == d.c.share.token {
			who = append(who, "this proxy")
			continue
		}
		who = append(who, fmt.Sprintf("the proxy of node %d", m.Node))
	}
	slices.Sort(who)
	return fmt.Errorf("statements or open transactions of %s have been using it for %s", strings.Join(who, " and "), drainPatience)
}

// waiting are the members that have not said at any shard that they know the
// change and have left its tables; Beat is the sum of their rows'.
func (d *announcement) waiting(ctx context.Context) (map[string]xamysql.CatalogMember, error) {
	all := map[string]xamysql.CatalogMember{}
	ready := map[string]bool{}
	for _, n := range d.c.e.order {
		members, err := d.c.e.shards[n].Store.CatalogMembers(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			ready[m.Token] = ready[m.Token] || m.Drained && m.Has(d.id)
			sum := all[m.Token]
			sum.Token, sum.Node, sum.Beat = m.Token, m.Node, sum.Beat+m.Beat
			all[m.Token] = sum
		}
	}
	for token, is := range ready {
		if is {
			delete(all, token)
		}
	}
	if !ready[d.c.share.token] { // also before its first row
		own := all[d.c.share.token]
		own.Token = d.c.share.token
		all[own.Token] = own
	}
	return all, nil
}

// close takes the announcement back, unless somebody has to complete the statement,
// and waits until this proxy has read what it did: whoever is answered next finds
// it here.
func (d *announcement) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	if d.stored && !d.left {
		if err := d.unannounce(ctx); err != nil {
			d.c.e.log.Warn("a change of the catalog cannot be ended now, it will be tried again", slog.Any("err", err))
		}
	}
	if d.release != nil {
		d.release()
	}
	if !d.stored || d.left {
		return
	}
	until := time.Now().Add(closePatience)
	for {
		news := d.c.share.listen()
		if !d.c.share.pending(d.id) {
			return
		}
		d.c.share.wake()
		if !hear(ctx, news, until) {
			return
		}
	}
}

// forget removes a member's rows.
func (c *catalog) forget(ctx context.Context, token string) error {
	errs := make([]error, len(c.e.order))
	var wg sync.WaitGroup
	for i, n := range c.e.order {
		wg.Go(func() { errs[i] = c.e.shards[n].Store.ForgetCatalogMember(ctx, token) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
