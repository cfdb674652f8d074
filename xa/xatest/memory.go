package xatest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"xaproxy/xa"
)

// Op is a kind of call that a fault can be scripted for.
type Op uint8

// The operations.
const (
	OpPrepare  Op = iota // Branch.Prepare
	OpCommit             // Branch.Commit
	OpRollback           // Branch.Rollback
	OpClaim              // Home.CommitClaim
	OpList               // Resource.InDoubt
	OpSettle             // Resource.Commit and Rollback
	OpFence              // ClaimStore.Fence
	OpPeek               // ClaimStore.Peek
	OpCollect            // ClaimStore.Sweep and Collect
	OpNode               // NodeStore
)

// Fault is what happens to one call.
type Fault uint8

// The faults.
const (
	Fine       Fault = iota // nothing: lets a call pass in front of one that fails
	Refused                 // fails with EffectNone
	LostBefore              // the request is lost with its connection: nothing happens, EffectUnknown
	LostAfter               // the answer is lost with its connection: it happened, EffectUnknown
	Late                    // as LostAfter, but it happens only when Deliver is called; until then the session is listed
)

// ErrScripted is in the chain of every error that a fault makes.
var ErrScripted = errors.New("scripted fault")

// errSessionLost: the session's connection is gone.
var errSessionLost = errors.New("connection is lost")

// Memory is a resource in memory. Make one with NewMemory.
type Memory struct {
	number  xa.ShardID
	cluster xa.ClusterID
	start   time.Time

	mu       sync.Mutex
	run      uint32
	conns    uint32
	sessions map[uint32]*memSession // that the "server" lists
	values   map[string]int
	prepared map[xa.ID]map[string]int // what each prepared branch adds
	claims   map[xa.GlobalID]xa.Claim // AgeMillis: when it was recorded, since start
	nodes    map[[2]uint32]xa.Node
	holders  map[uint32]*int // a new pointer for every holder
	faults   map[Op][]Fault
	late     []func()
}

var _ Shard = (*Memory)(nil)

// NewMemory returns an empty resource.
func NewMemory(cluster xa.ClusterID, number xa.ShardID) *Memory {
	return &Memory{
		number: number, cluster: cluster, start: time.Now(), run: 1_000_000,
		sessions: map[uint32]*memSession{}, values: map[string]int{}, prepared: map[xa.ID]map[string]int{},
		claims: map[xa.GlobalID]xa.Claim{}, nodes: map[[2]uint32]xa.Node{}, holders: map[uint32]*int{}, faults: map[Op][]Fault{},
	}
}

// Script appends faults for the next calls of op, in order.
func (m *Memory) Script(op Op, faults ...Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[op] = append(m.faults[op], faults...)
}

// Deliver lets everything happen that was late; sessions that waited for it end.
func (m *Memory) Deliver() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, do := range m.late {
		do()
	}
	m.late = nil
	for id, s := range m.sessions {
		if s.lost {
			delete(m.sessions, id)
		}
	}
}

// Crash restarts the "server": sessions end, what was late never happens, what was prepared and committed stays.
func (m *Memory) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sessions {
		s.lost = true
	}
	clear(m.sessions)
	clear(m.holders)
	m.late = nil
	m.run += 10
	m.conns = 0
}

// act runs do with m.mu held, or what is scripted for op. s is the session that the call runs on, nil: one of the
// resource's own.
func (m *Memory) act(ctx context.Context, op Op, s *memSession, do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return xa.WithEffect(err, xa.EffectNone)
	}
	if s != nil && s.lost {
		return xa.WithEffect(errSessionLost, xa.EffectNone)
	}
	fault := Fine
	if f := m.faults[op]; len(f) > 0 {
		fault, m.faults[op] = f[0], f[1:]
	}
	switch fault {
	case Fine:
		return do()
	case Refused:
		return xa.WithEffect(ErrScripted, xa.EffectNone)
	case LostAfter:
		_ = do() // its answer is what is lost
	case Late:
		m.late = append(m.late, func() { _ = do() })
		if s != nil {
			s.lost = true // but listed until Deliver
		}
		return xa.WithEffect(ErrScripted, xa.EffectUnknown)
	case LostBefore:
	}
	if s != nil {
		m.end(s)
	}
	return xa.WithEffect(ErrScripted, xa.EffectUnknown)
}

// end ends a session: an open branch is gone with it. The caller holds m.mu.
func (m *Memory) end(s *memSession) {
	s.lost = true
	if m.sessions[s.id.Conn] == s {
		delete(m.sessions, s.id.Conn)
	}
}

// present reports whether the named session is listed. The caller holds m.mu.
func (m *Memory) present(id xa.SessionID) bool {
	return xa.SameRun(id.Run, m.run) && m.sessions[id.Conn] != nil
}

// Shard implements xa.Resource.
func (m *Memory) Shard() xa.ShardID { return m.number }

// Name implements xa.Resource.
func (m *Memory) Name() string { return fmt.Sprintf("memory%d", m.number) }

// InDoubt implements xa.Resource.
func (m *Memory) InDoubt(ctx context.Context) iter.Seq2[xa.ID, error] {
	return func(yield func(xa.ID, error) bool) {
		var ids []xa.ID
		err := m.act(ctx, OpList, nil, func() error {
			ids = slices.Collect(maps.Keys(m.prepared))
			return nil
		})
		if err != nil {
			yield(xa.ID{}, err)
			return
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// Commit implements xa.Resource.
func (m *Memory) Commit(ctx context.Context, id xa.ID, o xa.Owner) error {
	return m.settle(ctx, id, o, xa.Committed)
}

// Rollback implements xa.Resource.
func (m *Memory) Rollback(ctx context.Context, id xa.ID, o xa.Owner) error {
	return m.settle(ctx, id, o, xa.Aborted)
}

func (m *Memory) settle(ctx context.Context, id xa.ID, o xa.Owner, decided xa.Outcome) error {
	n, err := id.Global.Parse()
	if err != nil {
		return err
	}
	q, err := xa.ParseQualifier(id.Branch)
	if err != nil {
		return err
	}
	if n.Cluster != m.cluster {
		return xa.ErrForeign
	}
	if q.Session.Shard != m.number {
		return errors.New("the branch is misplaced")
	}
	return m.act(ctx, OpSettle, nil, func() error {
		if m.finish(id, decided) || decided == xa.Committed {
			return nil
		}
		// Not prepared: it must not get so later either.
		if m.present(q.Session) && o == xa.OwnerAlive {
			return xa.ErrBusy
		}
		m.kill(q.Session)
		m.finish(id, decided)
		return nil
	})
}

// kill ends a session after what it is doing. The caller holds m.mu.
func (m *Memory) kill(id xa.SessionID) {
	if !m.present(id) {
		return
	}
	late := m.late
	m.late = nil
	for _, do := range late {
		do()
	}
	m.end(m.sessions[id.Conn])
}

// finish ends a prepared branch, if it is one. The caller holds m.mu.
func (m *Memory) finish(id xa.ID, decided xa.Outcome) bool {
	adds, ok := m.prepared[id]
	if !ok {
		return false
	}
	delete(m.prepared, id)
	if decided == xa.Committed {
		m.apply(adds)
	}
	return true
}

func (m *Memory) apply(adds map[string]int) {
	for k, v := range adds {
		m.values[k] += v
	}
}

// InMemory is a Memory as a Subject.
type InMemory struct{ *Memory }

var _ Subject = InMemory{}

// Resource implements Subject.
func (m InMemory) Resource() Shard { return m.Memory }

// Cluster implements Subject.
func (m InMemory) Cluster() xa.ClusterID { return m.cluster }

// Value implements Subject.
func (m InMemory) Value(_ testing.TB, key string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key]
}

// WaitGone implements Subject: a session that is lost is gone.
func (m InMemory) WaitGone(t testing.TB, id xa.SessionID) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.present(id) {
		t.Fatalf("session %+v is there", id)
	}
}

// Open implements Subject.
func (m InMemory) Open(testing.TB) Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns++
	s := &memSession{m: m.Memory, id: xa.SessionID{Shard: m.number, Run: m.run, Conn: m.conns}}
	m.sessions[m.conns] = s
	return s
}
