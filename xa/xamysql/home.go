package xamysql

import (
	"context"
	"errors"

	"xaproxy/xa"
)

var errTODO = errors.New("not written yet")

// Home is the branch whose own local transaction carries the decision: a plain BEGIN on the session's connection.
type Home struct {
	conn   Conn
	global xa.GlobalID
	wrote  bool
	opened bool
	clean  bool
}

var _ xa.Home = (*Home)(nil)

// NewHome makes the home branch of a transaction on c. The caller sends BEGIN and says so by MarkOpened.
func NewHome(c Conn) *Home { return &Home{conn: c, clean: true} }

// MarkOpened says that BEGIN was sent, successfully or not. Before, there is nothing to end.
func (h *Home) MarkOpened() { h.opened = true; h.clean = false }

// MarkWrote says that something that may change data was or is about to be sent (commit-protocol §6.3).
func (h *Home) MarkWrote() { h.wrote = true }

// SetGlobal gives the branch its gtrid, once it exists.
func (h *Home) SetGlobal(g xa.GlobalID) { h.global = g }

// Conn is the connection that the branch runs on.
func (h *Home) Conn() Conn { return h.conn }

// Clean reports whether the connection is free of the branch and may be used again; otherwise it must be closed.
func (h *Home) Clean() bool { return h.clean }

// ID implements xa.Branch.
func (h *Home) ID() xa.ID { return xa.ID{Global: h.global} }

// Wrote implements xa.Branch.
func (h *Home) Wrote() bool { return h.wrote }

// Prepare implements xa.Branch for a home that only read: ReadOnly while its transaction exists. A home that wrote is
// never prepared.
func (h *Home) Prepare(ctx context.Context) (xa.Vote, error) { return xa.NoVote, errTODO }

// Commit implements xa.Branch: a plain COMMIT.
func (h *Home) Commit(ctx context.Context) error { return errTODO }

// Rollback implements xa.Branch: a plain ROLLBACK.
func (h *Home) Rollback(ctx context.Context) error { return errTODO }

// CommitClaim implements xa.Home.
func (h *Home) CommitClaim(ctx context.Context, d xa.Decision) error { return errTODO }
