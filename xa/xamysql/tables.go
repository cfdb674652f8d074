package xamysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"xaproxy/xa"
)

// Placement is one row of xaproxy.placement: where a table's rows are, as stored at first use.
type Placement struct {
	Schema, Table string
	Rule          string // as text, for people and for comparison
	Fingerprint   string // of everything that decides where a key lives; at most 255 bytes
}

const selectPlacement = "SELECT table_schema, table_name, rule, fingerprint FROM xaproxy.placement"

func placementKey(schema, table string) string {
	return " WHERE table_schema=" + literal(schema) + " AND table_name=" + literal(table)
}

// LockPlacements is the text of a statement that reads the placements of tables, of all when none is given; a locking
// clause is to be appended.
func LockPlacements(tables []Placement) string {
	var keys []string
	for _, t := range tables {
		keys = append(keys, "(table_schema="+literal(t.Schema)+" AND table_name="+literal(t.Table)+")")
	}
	text := "SELECT COUNT(*) FROM xaproxy.placement"
	if len(keys) > 0 {
		text += " WHERE " + strings.Join(keys, " OR ")
	}
	return text
}

// on runs f on one of the shard's own sessions.
func (s *Shard) on(ctx context.Context, doing string, f func(control) error) error {
	c, err := primary(ctx, s.settle)
	if err != nil {
		return s.fail(doing, err)
	}
	defer c.putBack()
	if err := f(c); err != nil {
		return s.fail(doing, err)
	}
	return nil
}

// Placements returns the placement rows of this server, durable like StorePlacement's answer.
func (s *Shard) Placements(ctx context.Context) (all []Placement, err error) {
	err = s.on(ctx, "read placements", func(c control) error {
		all, err = s.placements(ctx, c, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (s *Shard) placements(ctx context.Context, c control, where string) ([]Placement, error) {
	found, err := c.list(ctx, selectPlacement+where)
	if err != nil {
		return nil, err
	}
	all := make([]Placement, 0, len(found))
	for _, row := range found {
		all = append(all, Placement{Schema: row[0], Table: row[1], Rule: row[2], Fingerprint: row[3]})
	}
	if len(all) > 0 {
		err = c.barrier(ctx, s.o.Node) // a row may be visible before it is durable
	}
	return all, err
}

// StorePlacement stores p unless there is a row for the table already, and returns what is stored, durably.
func (s *Shard) StorePlacement(ctx context.Context, p Placement) (stored Placement, err error) {
	err = s.on(ctx, fmt.Sprintf("store the placement of %s.%s", p.Schema, p.Table), func(c control) error {
		_, err := c.exec(ctx, "INSERT INTO xaproxy.placement (table_schema,table_name,rule,fingerprint) VALUES ("+
			literal(p.Schema)+","+literal(p.Table)+","+literal(p.Rule)+","+literal(p.Fingerprint)+")")
		if err == nil {
			stored = p
			return nil
		}
		if number(err) != erDuplicate {
			return err
		}
		all, err := s.placements(ctx, c, placementKey(p.Schema, p.Table))
		if err == nil && len(all) != 1 {
			err = errors.New("the row went away between two statements: ask again")
		}
		if err == nil {
			stored = all[0]
		}
		return err
	})
	return stored, err
}

// DeletePlacement forgets the placement of a table that no longer exists.
func (s *Shard) DeletePlacement(ctx context.Context, schema, table string) error {
	return s.on(ctx, fmt.Sprintf("delete the placement of %s.%s", schema, table), func(c control) error {
		_, err := c.exec(ctx, "DELETE FROM xaproxy.placement"+placementKey(schema, table))
		return err
	})
}

// Heuristic is a branch that a server ended against the decision.
type Heuristic struct {
	ID      xa.ID
	Decided xa.Outcome
	Reason  string // the server's words
}

const reasonLen = 4096 // bytes of heuristic.reason

// RecordHeuristic stores h; recording the same branch again changes nothing.
func (s *Shard) RecordHeuristic(ctx context.Context, h Heuristic) error {
	return s.on(ctx, fmt.Sprintf("record the heuristic end of branch %q of %q", h.ID.Branch, h.ID.Global), func(c control) error {
		mark := markAbort
		if h.Decided == xa.Committed {
			mark = markCommit
		}
		_, err := c.exec(ctx, "INSERT INTO xaproxy.heuristic (name,branch,decided,reason) VALUES ("+literal(string(h.ID.Global))+","+
			literal(h.ID.Branch)+","+literal(mark)+","+literal(h.Reason[:min(len(h.Reason), reasonLen)])+") ON DUPLICATE KEY UPDATE decided=decided")
		return err
	})
}

// Heuristics returns what was recorded here.
func (s *Shard) Heuristics(ctx context.Context) (all []Heuristic, err error) {
	err = s.on(ctx, "read heuristics", func(c control) error {
		found, err := c.list(ctx, "SELECT name, branch, decided, reason FROM xaproxy.heuristic ORDER BY created, name, branch")
		if err != nil {
			return err
		}
		for _, row := range found {
			decided, err := outcomeOf(row[2])
			if err != nil {
				return err
			}
			all = append(all, Heuristic{ID: xa.ID{Global: xa.GlobalID(row[0]), Branch: row[1]}, Decided: decided, Reason: row[3]})
		}
		return nil
	})
	return all, err
}

// PreparedBranch is a prepared branch of ours as the server lists it.
type PreparedBranch struct {
	ID           xa.ID
	OwnerPresent bool // the session that prepared it is in the server's session list
}

// Evidence is what one server knows about a global transaction.
type Evidence struct {
	Shard       xa.ShardID
	Name        string
	IsHome      bool     // this shard is home: the next three say something
	Claim       xa.Claim // Outcome Undecided: no row
	HomePresent bool     // home's session is still there
	Owner       xa.Node  // the owner's row here, when OwnerKnown
	OwnerKnown  bool
	Prepared    []PreparedBranch
}

// Evidence collects what this server knows about g. It decides nothing and changes nothing but this proxy's row of
// xaproxy.barrier.
func (s *Shard) Evidence(ctx context.Context, g xa.GlobalID) (e Evidence, err error) {
	err = s.on(ctx, fmt.Sprintf("collect evidence about %q", g), func(c control) error {
		e, err = s.evidence(ctx, c, g)
		return err
	})
	return e, err
}

func (s *Shard) evidence(ctx context.Context, c control, g xa.GlobalID) (Evidence, error) {
	e := Evidence{Shard: s.o.Number, Name: s.o.Name}
	n, err := g.Parse()
	if err != nil {
		return e, err
	}
	if n.Cluster != s.o.Cluster {
		return e, fmt.Errorf("%w: it is of cluster %010x", xa.ErrForeign, uint64(n.Cluster))
	}
	owner, err := readNode(ctx, c, n.Node, n.Incarnation)
	if err != nil && !errors.Is(err, ErrUnregistered) {
		return e, err
	}
	e.Owner, e.OwnerKnown = owner, err == nil
	if n.Home.Shard == s.o.Number {
		e.IsHome = true
		if e.HomePresent, err = c.present(ctx, n.Home); err != nil {
			return e, err
		}
		if e.Claim, err = s.claimOfHome(ctx, c, g); err != nil {
			return e, err
		}
	}
	e.Prepared, err = s.preparedOf(ctx, c, g)
	return e, err
}

func (s *Shard) claimOfHome(ctx context.Context, c control, g xa.GlobalID) (xa.Claim, error) {
	found, err := c.list(ctx, selectClaim+" WHERE name="+literal(string(g)))
	if err != nil || len(found) == 0 {
		return xa.Claim{Decision: xa.Decision{Global: g}}, err
	}
	claim, err := claimOf(found[0])
	if err == nil && claim.Outcome == xa.Committed {
		err = c.barrier(ctx, s.o.Node)
	}
	return claim, err
}

func (s *Shard) preparedOf(ctx context.Context, c control, g xa.GlobalID) ([]PreparedBranch, error) {
	ids, err := s.recoverList(ctx, c)
	if err != nil {
		return nil, err
	}
	var all []PreparedBranch
	for _, id := range ids {
		if id.Global != g {
			continue
		}
		q, err := xa.ParseQualifier(id.Branch)
		if err != nil {
			return nil, err
		}
		b := PreparedBranch{ID: id}
		if q.Session.Shard == s.o.Number {
			if b.OwnerPresent, err = c.present(ctx, q.Session); err != nil {
				return nil, err
			}
		}
		all = append(all, b)
	}
	return all, nil
}
