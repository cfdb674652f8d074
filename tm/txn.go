package tm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"xaproxy/xa"
)

// maxOrdinal is the highest ordinal that a bqual can carry; 0 is home.
const maxOrdinal = 1023

// Txn is one transaction. See the package comment for who may use it when.
type Txn struct {
	m *Manager

	// Until Commit or Rollback these belong to the session, then to the driver.
	home     xa.Home
	branches []xa.Branch // besides home
	ordinal  uint16
	ended    bool
	done     chan struct{} // nil: nobody drives it in the background
	pending  []xa.ShardID  // set before Commit or Rollback returns

	mu       sync.Mutex // what snapshots read
	global   xa.GlobalID
	at       xa.SessionID // home's session
	made     time.Time    // when global was
	sessions []xa.SessionID
	phase    Phase
	outcome  xa.Outcome      // as the client may be told
	where    []place         // by branch, 0 is home; set once, when the driver begins
	open     []bool          // by branch: the driver is not done with it
	left     bool            // the session has stopped waiting, and does not want its connections back
	late     []chan struct{} // by branch, nil but for those that were open when the session went on; closed by yield
	reminder *time.Timer     // reports what is open for too long after an early answer
	overdue  []xa.ShardID    // as pending; set before Commit or Rollback returns
}

// SetHome says which branch carries the decision: the first that the
// transaction opened. It may not change once Name was called.
func (t *Txn) SetHome(h xa.Home) { t.home = h }

// Global returns the gtrid, "" until Name has made it.
func (t *Txn) Global() xa.GlobalID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.global
}

// Name makes the gtrid at the first call, naming home's session in it, and
// returns the same one afterwards. The transaction then is in the live table.
func (t *Txn) Name(home xa.SessionID) (xa.GlobalID, error) {
	if g := t.Global(); g != "" {
		return g, nil
	}
	if t.ended {
		return "", ErrEnded
	}
	if t.m.site(home.Shard) == nil {
		return "", fmt.Errorf("home at shard number %d: %w", home.Shard, ErrUnknownShard)
	}
	g, err := t.m.name(home)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	t.global, t.at, t.made = g, home, time.Now()
	t.mu.Unlock()
	t.m.enter(g, t)
	return g, nil
}

// name makes a gtrid of the current incarnation.
func (m *Manager) name(home xa.SessionID) (xa.GlobalID, error) {
	id := m.self.Load()
	if id == nil {
		return "", errors.New("the manager was not started")
	}
	if id.over.Load() {
		return "", fmt.Errorf("node %d incarnation %d: %w", m.o.Node, id.incarnation, xa.ErrDead)
	}
	n := xa.GlobalName{
		Cluster: m.o.Cluster, Node: m.o.Node, Incarnation: id.incarnation,
		Sequence: id.sequence.Add(1), Home: home,
	}
	if _, err := rand.Read(n.Random[:]); err != nil {
		return "", fmt.Errorf("random part of a gtrid: %w", err)
	}
	return n.ID()
}

// NewID returns the name of the transaction's next branch, which is to run on
// the given session. Name must have been called.
func (t *Txn) NewID(session xa.SessionID) (xa.ID, error) {
	g := t.Global()
	if g == "" {
		return xa.ID{}, ErrNoHome
	}
	if t.m.site(session.Shard) == nil {
		return xa.ID{}, fmt.Errorf("branch at shard number %d: %w", session.Shard, ErrUnknownShard)
	}
	if t.ordinal == maxOrdinal {
		return xa.ID{}, ErrTooManyBranches
	}
	branch, err := xa.Qualifier{Session: session, Ordinal: t.ordinal + 1}.Encode()
	if err != nil {
		return xa.ID{}, err
	}
	t.ordinal++
	t.mu.Lock()
	t.sessions = append(t.sessions, session)
	t.mu.Unlock()
	return xa.ID{Global: g, Branch: branch}, nil
}

// Enlist adds a branch besides home.
func (t *Txn) Enlist(b xa.Branch) { t.branches = append(t.branches, b) }

// Pending lists the shards whose branches are still the manager's business
// after Commit or Rollback returned. A connection there may be used again when
// Finished says so and its branch says that it is clean.
func (t *Txn) Pending() []xa.ShardID { return t.pending }

// Overdue lists those shards of Pending that Commit has waited for in vain
// (Timing.Phase2Wait). After an early answer (Timing.Decided) there are none.
func (t *Txn) Overdue() []xa.ShardID { return t.overdue }

// Finished is closed when the manager has no more use for the branch at a shard.
// It is meant for after Commit or Rollback returned; that of a shard which is
// not among Pending is closed then.
func (t *Txn) Finished(n xa.ShardID) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, c := range t.late {
		if c != nil && t.where[i].shard == n {
			return c
		}
	}
	return t.m.nothing
}

// Done is closed when every branch is finished, or left to recovery. It is
// meant for after Commit or Rollback returned.
func (t *Txn) Done() <-chan struct{} {
	if t.done == nil {
		return t.m.nothing
	}
	return t.done
}

// branch returns branch i; 0 is home.
func (t *Txn) branch(i int) xa.Branch {
	if i == 0 {
		return t.home
	}
	return t.branches[i-1]
}

// placeOf says where branch i is; unknown for a home that has no name.
func (t *Txn) placeOf(i int) place {
	if i == 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
		return place{shard: t.at.Shard, known: t.global != ""}
	}
	q, err := xa.ParseQualifier(t.branch(i).ID().Branch)
	return place{shard: q.Session.Shard, known: err == nil}
}

func (t *Txn) setPhase(p Phase) {
	t.mu.Lock()
	t.phase = p
	t.mu.Unlock()
}

func (t *Txn) setOutcome(o xa.Outcome) {
	t.mu.Lock()
	t.outcome = o
	t.mu.Unlock()
}

// told returns what the client was or may be told.
func (t *Txn) told() xa.Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.outcome
}

// finish notes that the driver has no more use for branch i. It reports whether
// it had until now, and whether the session has stopped waiting for it.
func (t *Txn) finish(i int) (was, left bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was, t.open[i] = t.open[i], false
	return was, t.left
}

// yield lets the session know that the driver has no more use for branch i. It
// follows finish and everything that the driver does with the branch.
func (t *Txn) yield(i int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.late != nil && t.late[i] != nil {
		close(t.late[i])
	}
}

// walkAway ends the session's waiting. The branches that are open then stay
// with the driver, which closes their connections in the end.
func (t *Txn) walkAway() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = true
	t.goOn()
	t.overdue = t.pending
}

// lend lets the session go on while the driver is at work with branches that it
// then gives back. remind is called if some are open after a while.
func (t *Txn) lend(after time.Duration, remind func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.goOn()
	if len(t.pending) > 0 {
		t.reminder = time.AfterFunc(after, remind)
	}
}

// goOn notes what is open as the session stops waiting; t.mu is held.
func (t *Txn) goOn() {
	t.pending = t.openShards()
	t.late = make([]chan struct{}, len(t.open))
	for i, open := range t.open {
		if open {
			t.late[i] = make(chan struct{})
		}
	}
}

// over ends the reminder.
func (t *Txn) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reminder != nil {
		t.reminder.Stop()
	}
}

// openShards lists where the driver is not done; t.mu is held.
func (t *Txn) openShards() []xa.ShardID {
	var list []xa.ShardID
	for i, open := range t.open {
		if open && t.where[i].known {
			list = append(list, t.where[i].shard)
		}
	}
	return list
}

func (t *Txn) snapshot(now time.Time) LiveTxn {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := LiveTxn{
		Global: t.global, Phase: t.phase, Age: now.Sub(t.made),
		Home: t.at, Sessions: slices.Clone(t.sessions),
	}
	switch t.phase {
	case PhaseActive, PhaseOnePhase:
		l.Global = ""
	case PhasePreparing, PhaseDeciding, PhaseResolving, PhaseCommitting, PhaseAborting, PhaseUnknown, PhaseEnded:
	}
	if t.late != nil {
		l.Pending = t.openShards()
	}
	return l
}

func (t *Txn) attr() slog.Attr { return slog.String("gtrid", string(t.Global())) }

func (t *Txn) shardAttr(i int) slog.Attr { return t.m.shardAttr(t.where[i].shard) }

// Commit ends the transaction. nil: it is committed; branches at the shards of
// Pending are committed in the background. Otherwise the error is an *EndError,
// or ErrEnded when the transaction had ended before.
//
// The end of ctx ends the waiting only, and only when several branches are
// open: the error then is Unknown, and the transaction goes on.
func (t *Txn) Commit(ctx context.Context) error {
	if t.ended {
		return ErrEnded
	}
	return t.finally(ctx, wantCommit)
}

// Rollback ends the transaction. nil: all branches answered, or are rolled back
// by servers that do not answer; an *EndError says something else.
func (t *Txn) Rollback(ctx context.Context) error {
	if t.ended {
		return ErrEnded
	}
	return t.finally(ctx, wantRollback)
}
