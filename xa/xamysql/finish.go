package xamysql

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"xaproxy/xa"
)

// InDoubt implements xa.Resource. The list is read whole before the first element is given out. Branches whose bqual
// names another shard (a copied or restored database) are listed, Commit and Rollback refuse them.
func (s *Shard) InDoubt(ctx context.Context) iter.Seq2[xa.ID, error] {
	return func(yield func(xa.ID, error) bool) {
		ids, err := s.inDoubt(ctx)
		if err != nil {
			yield(xa.ID{}, s.fail("list prepared branches", err))
			return
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (s *Shard) inDoubt(ctx context.Context) ([]xa.ID, error) {
	c, err := primary(ctx, s.settle)
	if err != nil {
		return nil, err
	}
	defer c.putBack()
	return s.recoverList(ctx, c)
}

// recoverList is a complete listing of this cluster's prepared branches.
func (s *Shard) recoverList(ctx context.Context, c control) ([]xa.ID, error) {
	all, err := c.list(ctx, "XA RECOVER")
	if number(err) == erXARMErr && c.flavor == FlavorMySQL {
		return nil, fmt.Errorf("account needs the privilege XA_RECOVER_ADMIN: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("xa recover: %w", err)
	}
	var ids []xa.ID
	for _, row := range all {
		if len(row) != 4 {
			return nil, fmt.Errorf("xa recover: %d columns instead of 4", len(row))
		}
		if id, ours := s.ours(row); ours {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// ours picks this cluster's branches out of XA RECOVER: formatID, gtrid_length, bqual_length, data. Everything else is
// somebody else's and never touched.
func (s *Shard) ours(row []string) (xa.ID, bool) {
	if row[0] != strconv.FormatUint(uint64(xa.FormatID), 10) || row[1] != strconv.Itoa(xa.GlobalIDLen) ||
		row[2] != strconv.Itoa(xa.BranchLen) || len(row[3]) != xa.GlobalIDLen+xa.BranchLen {
		return xa.ID{}, false
	}
	id := xa.ID{Global: xa.GlobalID(row[3][:xa.GlobalIDLen]), Branch: row[3][xa.GlobalIDLen:]}
	n, err := id.Global.Parse()
	if err != nil || n.Cluster != s.o.Cluster {
		return xa.ID{}, false
	}
	_, err = xa.ParseQualifier(id.Branch)
	return id, err == nil
}

// Commit implements xa.Resource.
func (s *Shard) Commit(ctx context.Context, id xa.ID, o xa.Owner) error {
	return s.settleBranch(ctx, id, o, xa.Committed)
}

// Rollback implements xa.Resource. On MariaDB, which does not flush XA ROLLBACK, a crash brings a branch that was rolled
// back into the listing again; it is then rolled back again.
func (s *Shard) Rollback(ctx context.Context, id xa.ID, o xa.Owner) error {
	return s.settleBranch(ctx, id, o, xa.Aborted)
}

func (s *Shard) settleBranch(ctx context.Context, id xa.ID, o xa.Owner, decided xa.Outcome) error {
	q, err := s.mine(id)
	if err == nil {
		err = s.finish(ctx, finish{id: id, session: q.Session, owner: o, decided: decided})
	}
	if err != nil {
		return s.fail(fmt.Sprintf("end branch %q of %q as %s", id.Branch, id.Global, decided), err)
	}
	return nil
}

// mine checks that the branch is this cluster's and was prepared at this shard.
func (s *Shard) mine(id xa.ID) (xa.Qualifier, error) {
	n, err := id.Global.Parse()
	if err != nil {
		return xa.Qualifier{}, err
	}
	if n.Cluster != s.o.Cluster {
		return xa.Qualifier{}, fmt.Errorf("%w: it is of cluster %010x", xa.ErrForeign, uint64(n.Cluster))
	}
	q, err := xa.ParseQualifier(id.Branch)
	if err != nil {
		return xa.Qualifier{}, err
	}
	if q.Session.Shard != s.o.Number {
		return xa.Qualifier{}, fmt.Errorf("%w: it was prepared at shard number %d and is misplaced here", ErrIdentity, q.Session.Shard)
	}
	return q, nil
}

// finish is one attempt to end a prepared branch (commit-protocol §7.4).
type finish struct {
	id      xa.ID
	session xa.SessionID // that was to prepare it
	owner   xa.Owner
	decided xa.Outcome
}

func (s *Shard) finish(ctx context.Context, f finish) error {
	c, err := primary(ctx, s.settle)
	if err != nil {
		return err
	}
	defer c.putBack()
	if c.flavor == FlavorMariaDB {
		// Step 0. While the owner's session lives, or is on its way out, MariaDB may answer OK without committing.
		if err := c.clear(ctx, f.session, f.owner); err != nil {
			return err
		}
		if err := c.detached(ctx, f.session); err != nil {
			return err
		}
	}
	return s.end(ctx, c, f)
}

// end sends the verb and reads what its reply means; whatever held the branch has been waited for.
func (s *Shard) end(ctx context.Context, c control, f finish) error {
	verb := xaRollback(f.id)
	if f.decided == xa.Committed {
		verb = xaCommit(f.id)
	}
	_, err := c.exec(ctx, verb)
	switch n := number(err); {
	case err == nil:
		return nil
	case n == erXANota:
		return s.verifyGone(ctx, c, f, err)
	case n == erXARBRollback && f.decided == xa.Committed:
		return nil // the branch had changed nothing
	case rolledBack(n) && f.decided == xa.Committed:
		return fmt.Errorf("%w: %w", xa.ErrHeuristic, err)
	case rolledBack(n):
		return s.verifyGone(ctx, c, f, err)
	}
	return err
}

// verifyGone finds out what XAER_NOTA means. A branch that is listed is held by a session. One that is not listed is
// finished, but for a rollback only when no PREPARE of it can still be executing: its session must have been gone
// before the listing was taken.
func (s *Shard) verifyGone(ctx context.Context, c control, f finish, said error) error {
	if f.decided != xa.Committed {
		if err := c.clear(ctx, f.session, f.owner); err != nil {
			return errors.Join(err, said)
		}
	}
	ids, err := s.recoverList(ctx, c)
	if err != nil {
		return errors.Join(err, said)
	}
	for _, id := range ids {
		if id != f.id {
			continue
		}
		// Step 0 once more: who holds it? The next attempt will do the rest.
		if err := c.clear(ctx, f.session, f.owner); err != nil {
			return errors.Join(err, said)
		}
		return fmt.Errorf("%w: it is listed as prepared: %w", xa.ErrBusy, said)
	}
	return nil
}
