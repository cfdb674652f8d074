package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// unannounce removes the change from all shards, the lowest last, as long as it
// is this runner's. A shard that does not answer is left alone unless it is the
// lowest: what the lowest lacks is over.
func (d *announcement) unannounce(ctx context.Context) error {
	var errs error
	for _, n := range slices.Backward(d.c.e.order) {
		err := d.c.e.shards[n].Store.EndChange(ctx, d.id, d.runner)
		if errors.Is(err, xamysql.ErrChangeTaken) {
			return err
		}
		errs = errors.Join(errs, err)
	}
	return errs
}

// fenced runs a part of the change at a connection, unless somebody has taken
// the owner for gone and taken the change over: then it must not run any more.
func (d *announcement) fenced(ctx context.Context, n xa.ShardID, conn *backend.Conn, run func() (reply, error)) (reply, error) {
	if !d.stored {
		return run()
	}
	enter, allowed, leave := d.c.e.shards[n].Store.PartFence(d.id, d.runner)
	fence, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*closePatience)
	defer cancel()
	for _, q := range []string{enter, allowed} {
		row, err := selectOne(fence, conn, q)
		if err != nil {
			return reply{}, fail(codeShardDown, d.c.e.name(n), err.Error()).because(err)
		}
		if row[0] == nil || *row[0] != "1" {
			conn.Close() // it may hold the name
			return reply{}, fail(codeDefinitionsDiffer, "of the statement", xamysql.ErrChangeTaken.Error()).because(xamysql.ErrChangeTaken)
		}
	}
	r, err := run()
	if err == nil {
		left, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
		defer cancel()
		if _, errLeave := selectOne(left, conn, leave); errLeave != nil {
			conn.Close() // the name is free when the session ends
		}
	}
	return r, err
}

// takeOver is end for whoever finds changes that last.
func (c *catalog) takeOver(ctx context.Context, ids []string) error {
	within, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	release, err := c.holdDefinitions(within, time.Now())
	if err != nil {
		return err
	}
	defer release()
	return c.end(ctx, ids)
}

// end completes the changes of others that are gone, or have left them. The
// caller holds the right to change definitions; every shard must answer.
func (c *catalog) end(ctx context.Context, ids []string) error {
	for _, id := range ids {
		d := newAnnouncement(c)
		d.id, d.stored = id, true
		err := d.take(ctx)
		if errors.Is(err, xamysql.ErrChangeOver) {
			err = c.clear(ctx, id)
		} else if err == nil {
			err = d.complete(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take makes this proxy the only one that executes parts of the change, the lowest
// shard first: from then on nobody else removes it there. ErrChangeOver: its owner
// has removed it.
func (d *announcement) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	lowest := d.c.e.order[0]
	if err := d.c.e.shards[lowest].Store.TakeChange(ctx, d.change(), false); err != nil {
		return err
	}
	view, err := d.c.e.shards[lowest].Store.ReadCatalogView(ctx, d.c.share.token)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(view.Changes, func(c xamysql.Change) bool { return c.ID == d.id })
	if i < 0 {
		return xamysql.ErrChangeOver
	}
	change := d.change()
	change.Tables = view.Changes[i].Tables
	for _, n := range d.c.e.order[1:] {
		if err := d.c.e.shards[n].Store.TakeChange(ctx, change, true); err != nil {
			return err
		}
	}
	return nil
}

// clear removes what is left of a change that is over.
func (c *catalog) clear(ctx context.Context, id string) error {
	by := xamysql.Change{ID: id, Runner: rand.Text()}
	var errs error
	for _, n := range slices.Backward(c.e.order) {
		store := c.e.shards[n].Store
		err := store.TakeChange(ctx, by, false)
		if err == nil {
			err = store.EndChange(ctx, id, by.Runner)
		}
		if !errors.Is(err, xamysql.ErrChangeOver) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// complete brings all shards in line with a statement that was recorded, and ends
// it. What is not recorded at every shard was executed at none.
func (d *announcement) complete(ctx context.Context) error {
	rows, err := d.c.recorded(ctx, d.id)
	if err != nil {
		return err
	}
	outcome := xamysql.DefinitionRefused
	for _, row := range rows {
		d.journal = d.id
		if d.about, err = decodeAbout(row); err != nil {
			return err
		}
	}
	switch first := rows[d.c.e.order[0]]; {
	case len(rows) < len(d.c.e.order): // its owner has not come that far, or it only settled another one
	case first.Outcome != xamysql.DefinitionOpen:
		outcome = first.Outcome
	default:
		if outcome, err = d.resume(ctx, rows, false); err != nil {
			return err
		}
	}
	if err := d.conclude(ctx, outcome); err != nil {
		return err
	}
	d.c.e.log.Warn("ended a definition statement that was interrupted", slog.String("id", d.id), slog.String("outcome", string(outcome)))
	end, cancel := context.WithTimeout(ctx, closePatience)
	defer cancel()
	return d.unannounce(end)
}

// resume makes sure that nobody uses the tables, and completes the statement.
func (d *announcement) resume(ctx context.Context, rows map[xa.ShardID]xamysql.Definition, retry bool) (xamysql.DefinitionOutcome, error) {
	within, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	if err := d.drained(within); err != nil {
		return "", err
	}
	r, err := d.resumption(rows)
	if err != nil {
		return "", err
	}
	r.retry = retry
	return r.run(ctx)
}
