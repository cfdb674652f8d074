package xamysql

import (
	"context"

	"xaproxy/xa"
)

// Placement is one row of xaproxy.placement: where a table's rows are, as stored at first use.
type Placement struct {
	Schema, Table string
	Rule          string // as text, for people and for comparison
	Fingerprint   string // of everything that decides where a key lives
}

// Placements returns the placement rows of this server.
func (s *Shard) Placements(ctx context.Context) ([]Placement, error) { return nil, errTODO }

// StorePlacement stores p unless there is a row for the table already, and returns what is stored, durably.
func (s *Shard) StorePlacement(ctx context.Context, p Placement) (Placement, error) {
	return Placement{}, errTODO
}

// DeletePlacement forgets the placement of a table that no longer exists.
func (s *Shard) DeletePlacement(ctx context.Context, schema, table string) error { return errTODO }

// Heuristic is a branch that a server ended against the decision.
type Heuristic struct {
	ID      xa.ID
	Decided xa.Outcome
	Reason  string // the server's words
}

// RecordHeuristic stores h; recording the same branch again changes nothing.
func (s *Shard) RecordHeuristic(ctx context.Context, h Heuristic) error { return errTODO }

// Heuristics returns what was recorded here.
func (s *Shard) Heuristics(ctx context.Context) ([]Heuristic, error) { return nil, errTODO }

// PreparedBranch is a prepared branch of ours as the server lists it.
type PreparedBranch struct {
	ID           xa.ID
	OwnerPresent bool // the session that prepared it is in the server's session list
}

// Evidence is what one server knows about a global transaction.
type Evidence struct {
	Shard       xa.ShardID
	Name        string
	Claim       xa.Claim // Outcome Undecided: no row
	HomePresent bool     // home's session lives here; false at every other shard
	Owner       xa.Node  // the owner's row here, when OwnerKnown
	OwnerKnown  bool
	Prepared    []PreparedBranch
}

// Evidence collects what this server knows about g. It decides nothing.
func (s *Shard) Evidence(ctx context.Context, g xa.GlobalID) (Evidence, error) {
	return Evidence{}, errTODO
}
