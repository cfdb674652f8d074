package xamysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"xaproxy/xa"
)

var (
	_ xa.BulkResource = (*Shard)(nil)
	_ xa.BulkClaims   = (*Shard)(nil)
)

// FenceAll implements xa.BulkClaims: one INSERT that leaves rows alone which are there, one commit, one reading.
func (s *Shard) FenceAll(ctx context.Context, all []xa.GlobalID) (map[xa.GlobalID]xa.Outcome, error) {
	out := map[xa.GlobalID]xa.Outcome{}
	err := s.on(ctx, fmt.Sprintf("ask for %d outcomes", len(all)), func(c control) error { return s.fenceAll(ctx, c, all, out) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Shard) fenceAll(ctx context.Context, c control, all []xa.GlobalID, out map[xa.GlobalID]xa.Outcome) error {
	none, err := encodeParticipants(nil)
	if err != nil {
		return err
	}
	all = slices.Sorted(slices.Values(all)) // in one order everywhere, so that two recoverers do not deadlock
	rows, names := make([]string, len(all)), make([]string, len(all))
	for i, g := range all {
		if _, err := s.home(g); err != nil {
			return err
		}
		rows[i], names[i] = "("+claimValues(g, markAbort, none)+")", literal(string(g))
	}
	if _, err := c.exec(ctx, "INSERT IGNORE INTO xaproxy.claim (name,outcome,participants,created) VALUES "+strings.Join(rows, ",")); err != nil {
		return err
	}
	found, err := c.list(ctx, "SELECT name, outcome FROM xaproxy.claim WHERE name IN ("+strings.Join(names, ",")+")")
	if err != nil {
		return err
	}
	committed := false
	for _, row := range found {
		o, err := outcomeOf(row[1])
		if err != nil {
			return fmt.Errorf("claim %q: %w", row[0], err)
		}
		out[xa.GlobalID(row[0])] = o
		committed = committed || o == xa.Committed
	}
	if committed {
		return c.barrier(ctx, s.o.Node) // R10, for all that were read before it
	}
	return nil
}

// HomesGone implements xa.BulkClaims.
func (s *Shard) HomesGone(ctx context.Context, all []xa.GlobalID) (map[xa.GlobalID]bool, error) {
	out := map[xa.GlobalID]bool{}
	err := s.on(ctx, fmt.Sprintf("look for %d sessions of home", len(all)), func(c control) error {
		sessions := make([]xa.SessionID, len(all))
		for i, g := range all {
			n, err := s.home(g)
			if err != nil {
				return err
			}
			sessions[i] = n.Home
		}
		there, err := c.presentOf(ctx, sessions)
		for i, g := range all {
			if err == nil && !there[sessions[i]] {
				out[g] = true
			}
		}
		return err
	})
	return out, err
}

// presentOf is present for many sessions, in one statement.
func (c control) presentOf(ctx context.Context, all []xa.SessionID) (map[xa.SessionID]bool, error) {
	var ids []string
	for _, id := range all {
		if xa.SameRun(id.Run, c.session.Run) && id.Conn != c.session.Conn {
			ids = append(ids, strconv.FormatUint(uint64(id.Conn), 10))
		}
	}
	there := map[xa.SessionID]bool{}
	if len(ids) == 0 {
		return there, nil
	}
	if !c.process {
		return nil, ErrBlind
	}
	found, err := c.list(ctx, "SELECT id FROM information_schema.processlist WHERE id IN ("+strings.Join(ids, ",")+")")
	if err != nil {
		return nil, fmt.Errorf("look for %d sessions: %w", len(ids), err)
	}
	listed := map[string]bool{}
	for _, row := range found {
		listed[row[0]] = true
	}
	for _, id := range all {
		there[id] = xa.SameRun(id.Run, c.session.Run) && listed[strconv.FormatUint(uint64(id.Conn), 10)]
	}
	return there, nil
}

// Settle implements xa.BulkResource. The verbs are sent one after the other on one session; branches whose session may
// still be there are ended alone, after the others.
func (s *Shard) Settle(ctx context.Context, all []xa.Settlement) []error {
	errs := make([]error, len(all))
	list := make([]finish, len(all))
	for i, a := range all {
		q, err := s.mine(a.ID)
		errs[i], list[i] = err, finish{id: a.ID, session: q.Session, owner: a.Owner, decided: a.Outcome}
	}
	alone := s.finishAll(ctx, list, errs)
	for _, i := range alone {
		errs[i] = s.finish(ctx, list[i])
	}
	for i, err := range errs {
		if err != nil {
			errs[i] = s.fail(fmt.Sprintf("end branch %q of %q as %s", all[i].ID.Branch, all[i].ID.Global, all[i].Outcome), err)
		}
	}
	return errs
}

// finishAll ends those that can be ended without waiting for a session, and returns the others. Where errs has an error
// already nothing is done.
func (s *Shard) finishAll(ctx context.Context, list []finish, errs []error) (alone []int) {
	fail := func(err error) {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = err
			}
		}
	}
	c, err := primary(ctx, s.settle)
	if err != nil {
		fail(err)
		return nil
	}
	defer c.putBack()
	held, err := c.heldOf(ctx, list)
	if err != nil {
		fail(err)
		return nil
	}
	for i, f := range list {
		switch {
		case errs[i] != nil:
		case held[f.session]:
			alone = append(alone, i)
		default:
			errs[i] = s.end(ctx, c, f)
		}
	}
	return alone
}

// heldOf returns the sessions that may still hold their branches: none at MySQL; at MariaDB those that are listed, or of
// which InnoDB has a transaction (see detached).
func (c control) heldOf(ctx context.Context, list []finish) (map[xa.SessionID]bool, error) {
	if c.flavor != FlavorMariaDB {
		return nil, nil
	}
	var sessions []xa.SessionID
	for _, f := range list {
		sessions = append(sessions, f.session)
	}
	held, err := c.presentOf(ctx, sessions)
	if err != nil {
		return nil, err
	}
	attached, err := c.attachedOf(ctx, sessions)
	if err != nil {
		return nil, err
	}
	for id := range attached {
		held[id] = true
	}
	return held, nil
}
