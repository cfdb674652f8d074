package proxy

import (
	"context"
	"errors"
	"log/slog"
	"math/bits"
	"slices"
	"strings"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/tm"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// transaction is an open transaction of a session. Nothing is sent when it
// begins; branches are opened by the first statement at each shard.
type transaction struct {
	txn *tm.Txn
	// own: the session opened it for one autocommit statement, and ends it with it.
	own       bool
	readOnly  bool
	access    plan.Access     // as given to START TRANSACTION
	isolation backend.Setting // of all its branches
	begun     time.Time
	home      *xamysql.Home
	branches  []*branch // branches[0] is home
	savepoints
}

// branch is an open transaction at one shard.
type branch struct {
	shard xa.ShardID
	conn  *backend.Conn
	work  participant
	xa    bool     // opened by XA START, else home
	start []string // statements that open it; nil once they were sent
}

// participant is what *xamysql.Home and *xamysql.Branch have in common.
type participant interface {
	MarkOpened()
	MarkWrote()
	Wrote() bool
	Clean() bool
}

// begin opens a transaction.
func (s *session) beginTx(a plan.Access) {
	iso := s.set.state.Isolation
	if _, given := s.once.isolation.Value(); given {
		iso = s.once.isolation
	}
	if a == plan.AccessDefault {
		a = s.once.access
	}
	readOnly := s.set.readOnly
	switch a {
	case plan.AccessDefault:
	case plan.AccessReadOnly:
		readOnly = true
	case plan.AccessReadWrite:
		readOnly = false
	}
	s.once = once{}
	s.tx = &transaction{txn: s.e.manager.Begin(), readOnly: readOnly, access: a, isolation: iso, begun: time.Now()}
}

// want is the state of the connections of the session's transaction.
func (s *session) want() backend.State {
	w := s.set.state
	if s.tx != nil {
		w.Isolation = s.tx.isolation
	} else if _, given := s.turn.Value(); given {
		w.Isolation = s.turn
	}
	if s.schema != nil {
		w.Schema = *s.schema
	}
	return w
}

// at returns the transaction's branch at a shard, or nil.
func (t *transaction) at(n xa.ShardID) *branch {
	for _, b := range t.branches {
		if b.shard == n {
			return b
		}
	}
	return nil
}

// touch returns the branch at a shard, with its connection in the wanted state.
// A new one is enlisted; its start is still to be sent.
func (s *session) touch(ctx context.Context, n xa.ShardID) (*branch, error) {
	if b := s.tx.at(n); b != nil {
		return b, b.conn.Sync(ctx, s.want())
	}
	conn, err := s.take(ctx, n)
	if err != nil {
		return nil, err
	}
	b := &branch{shard: n, conn: conn}
	if err := s.enlist(b); err != nil {
		s.give(ctx, n, conn)
		return nil, err
	}
	s.tx.branches = append(s.tx.branches, b)
	return b, nil
}

// enlist gives the branch its part in the transaction.
func (s *session) enlist(b *branch) error {
	t := s.tx
	if t.home == nil {
		t.home = xamysql.NewHome(b.conn)
		t.txn.SetHome(t.home)
		b.work = t.home
		b.start = []string{s.startSQL()}
	} else {
		g, err := t.txn.Name(t.home.Conn().Session())
		if err != nil {
			return err
		}
		t.home.SetGlobal(g)
		id, err := t.txn.NewID(b.conn.Session())
		if err != nil {
			return err
		}
		x := xamysql.NewBranch(b.conn, id)
		t.txn.Enlist(x)
		b.work, b.xa = x, true
		b.start = []string{x.StartSQL()}
	}
	// The savepoints that are older than the branch are set before anything
	// happens in it, so that going back to one of them undoes all of it.
	for _, p := range t.points {
		b.start = append(b.start, "SAVEPOINT "+quoteName(p))
	}
	return nil
}

// startSQL opens home as the client has asked.
func (s *session) startSQL() string {
	switch {
	case s.tx.readOnly:
		return "START TRANSACTION READ ONLY"
	case s.tx.access == plan.AccessReadWrite:
		return "START TRANSACTION READ WRITE"
	}
	return "BEGIN"
}

// take gets a connection to a shard in the wanted state, outside of
// transactions.
func (s *session) take(ctx context.Context, n xa.ShardID) (*backend.Conn, error) {
	return s.takeWithin(ctx, n, s.patience(n))
}

// patience is how long the session waits for a connection. While it holds others
// by a transaction it may be one of those that wait for each other: then each
// gives up at another time, and the first that does lets the others go on.
func (s *session) patience(n xa.ShardID) time.Duration {
	all := s.pool(n).Wait()
	if s.tx == nil || len(s.tx.branches) == 0 {
		return all
	}
	share := float64(bits.Reverse32(s.c.id)) / (1 << 32) // far apart for numbers that follow each other
	return all/2 + time.Duration(share*float64(all/2))
}

// takeWithin is take with a bound of the wait.
func (s *session) takeWithin(ctx context.Context, n xa.ShardID, wait time.Duration) (*backend.Conn, error) {
	if err := s.awaitFinished(ctx, n); err != nil {
		return nil, err
	}
	var conn *backend.Conn
	switch {
	case s.pin != nil && s.pin.shard == n:
		conn = s.pin.conn
		if !conn.Quiet() { // found before anything was sent: it did not happen
			conn.Close()
			return nil, s.pinLost(conn)
		}
	case s.last != nil && s.last.shard == n && s.last.conn.Quiet():
		conn, s.last = s.last.conn, nil
	default:
		s.dropLastAt(n)
		var err error
		if conn, err = s.pool(n).GetWithin(ctx, s.want(), wait); err != nil {
			return nil, err
		}
	}
	if err := conn.Sync(ctx, s.want()); err != nil {
		s.give(ctx, n, conn)
		return nil, err
	}
	return conn, nil
}

// savepoints are the client's, oldest first; names compare without case.
type savepoints struct{ points []string }

func (p *savepoints) find(name string) int {
	return slices.IndexFunc(p.points, func(have string) bool { return strings.EqualFold(have, name) })
}

// add makes name the youngest; an older one of that name is gone.
func (p *savepoints) add(name string) {
	if i := p.find(name); i >= 0 {
		p.points = slices.Delete(p.points, i, i+1)
	}
	p.points = append(p.points, name)
}

// commit commits the open transaction and answers as the manager says.
func (s *session) commit(ctx context.Context) error {
	t := s.tx
	err := s.finish(ctx, t.txn.Commit)
	if err != nil {
		return s.ended(t, err)
	}
	if g := t.txn.Global(); g != "" && s.set.reportGtrid {
		s.info = "gtrid: " + string(g)
	}
	for _, n := range t.txn.Overdue() {
		s.diag.warn(fail(codePending, t.txn.Global(), s.e.name(n)))
	}
	return nil
}

// rollback rolls the open transaction back. It always succeeds as far as the
// session is concerned: nothing of it was asked to prepare, so servers that do
// not answer roll back by themselves.
func (s *session) rollback(ctx context.Context) {
	t := s.tx
	if err := s.finish(ctx, t.txn.Rollback); err != nil {
		s.e.log.Warn("rollback", slog.String("gtrid", string(t.txn.Global())), slog.Any("err", err))
	}
}

// finish ends the transaction by one of the manager's two verbs and gives the
// connections back. The client's going away ends the waiting only.
func (s *session) finish(ctx context.Context, end func(context.Context) error) error {
	t := s.tx
	s.tx, s.ending = nil, t
	var err error
	_ = s.guard(ctx, nil, func(ctx context.Context) {
		err = end(ctx)
		s.awaitKept(ctx, t)
	})
	s.ending = nil
	s.release(ctx, t)
	s.leaveTables()
	return err // only this says how the transaction ended, whatever became of the client
}

// release gives the connections of an ended transaction back; those at which
// the manager still works are given back after it.
func (s *session) release(ctx context.Context, t *transaction) {
	for _, b := range t.branches {
		finished := t.txn.Finished(b.shard)
		if isClosed(finished) {
			s.leave(ctx, b)
			continue
		}
		s.forget(b.conn)
		if s.pin != nil && s.pin.conn == b.conn {
			// Its state is out of reach from now on.
			s.owed = fail(codeStateLost, s.e.name(b.shard), stateNames(s.pin.kinds))
			s.pin = nil
			s.closing = true
		}
		if len(t.txn.Overdue()) == 0 {
			s.unfinished = append(s.unfinished, unfinished{shard: b.shard, global: t.txn.Global(), finished: finished})
		}
		pool := s.pool(b.shard)
		s.c.srv.background(func() {
			<-finished
			if !b.work.Clean() {
				b.conn.Close()
			}
			pool.Put(b.conn)
		})
	}
}

// leave takes a connection out of its ended branch.
func (s *session) leave(ctx context.Context, b *branch) {
	if !b.work.Clean() {
		b.conn.Close()
	}
	s.keepOrGive(ctx, b.shard, b.conn)
}

// ended is the error for a transaction that did not commit.
func (s *session) ended(t *transaction, err error) error {
	var end *tm.EndError
	if !errors.As(err, &end) {
		return err
	}
	if end.Outcome != xa.Aborted {
		s.e.log.Error("outcome of a commit is unknown to its client", slog.String("gtrid", string(end.Global)), slog.Any("err", end.Cause))
	}
	return s.endError(t, end).because(err)
}
