package xamysql

import (
	"context"

	"xaproxy/xa"
)

// Branch is an XA branch on the session's connection.
type Branch struct {
	conn   Conn
	id     xa.ID
	wrote  bool
	opened bool
	clean  bool
}

var _ xa.Branch = (*Branch)(nil)

// NewBranch makes a branch on c. The caller sends StartSQL and says so by MarkOpened.
func NewBranch(c Conn, id xa.ID) *Branch { return &Branch{conn: c, id: id, clean: true} }

// StartSQL is the XA START of the branch. It goes in one packet in front of the first statement
// (StartSQL() + ";" + statement), or alone, its OK awaited, when the first statement is a COM_STMT_EXECUTE.
func (b *Branch) StartSQL() string { return "" }

// MarkOpened says that XA START was sent, successfully or not. Before, there is nothing to end.
func (b *Branch) MarkOpened() { b.opened = true; b.clean = false }

// MarkWrote says that something that may change data was or is about to be sent (commit-protocol §6.3).
func (b *Branch) MarkWrote() { b.wrote = true }

// Conn is the connection that the branch runs on.
func (b *Branch) Conn() Conn { return b.conn }

// Clean reports whether the connection is free of the branch and may be used again; otherwise it must be closed.
func (b *Branch) Clean() bool { return b.clean }

// ID implements xa.Branch.
func (b *Branch) ID() xa.ID { return b.id }

// Wrote implements xa.Branch.
func (b *Branch) Wrote() bool { return b.wrote }

// Prepare implements xa.Branch.
func (b *Branch) Prepare(ctx context.Context) (xa.Vote, error) { return xa.NoVote, errTODO }

// Commit implements xa.Branch.
func (b *Branch) Commit(ctx context.Context) error { return errTODO }

// Rollback implements xa.Branch.
func (b *Branch) Rollback(ctx context.Context) error { return errTODO }
