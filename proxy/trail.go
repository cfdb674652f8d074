package proxy

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/xa"
)

// pinned are the kinds of state that only the connection which has them can
// keep. The others belong to the last statements, and trail knows of them.
const pinned = plan.StateUserVars | plan.StateTempTables | plan.StateNamedLocks | plan.StateSessionVars | plan.StateTableLocks

// holdLast is how long a connection waits for a question about its last
// statement. Then the answers are fetched and it is given back.
const holdLast = 20 * time.Millisecond

// trail is what the session's last statements have left at connections.
type trail struct {
	// prevConn alone executed the last statement, at prevShard; prevWrites is its
	// count of writes then. Nil: the proxy or several shards executed it.
	prevConn   *backend.Conn
	prevShard  xa.ShardID
	prevWrites uint64
	// insertConn knows LAST_INSERT_ID(); nil: it is insertID. At all other
	// connections it is 0 when a statement begins that may set it. insertUnsure: a statement told an id there that may have been
	// given, not generated; if it is still 0 there, it is insertID.
	insertConn   *backend.Conn
	insertID     uint64
	insertUnsure bool
	insertLost   bool // nobody knows it
	insertKnown  bool // it is insertID, also where insertConn knows it
}

// note remembers what a statement has left at a connection.
func (s *session) note(p *plan.Plan, n xa.ShardID, conn *backend.Conn, out *relay) {
	t := &s.trail
	t.prevConn, t.prevShard, t.prevWrites = conn, n, conn.Writes()
	if out.several {
		t.prevConn = nil // it knows its own part only
	}
	s.diag.note(conn, out)
}

// noteInsertID remembers where LAST_INSERT_ID() is after a statement.
func (s *session) noteInsertID(ctx context.Context, k *call, conn *backend.Conn, out *relay) {
	t := &s.trail
	if k.numbering != nil && !k.plan.SetsInsertID {
		conn.KeepInsertID(out.hadID) // the ids were given, to the server
		return
	}
	set := k.plan.Pins&plan.StateLastInsertID != 0
	if set {
		conn.SetInsertID(1)
	}
	if out.told == 0 && !set {
		return
	}
	if t.insertConn != nil && t.insertConn != conn {
		s.fetchInsertID(ctx)
	}
	switch {
	case set:
		t.insertUnsure, t.insertLost = false, false
	case t.insertConn == nil:
		t.insertUnsure = true
	}
	t.insertConn, t.insertKnown = conn, false
}

// prevHeld reports whether the session still holds the last statement's
// connection, as it was left. A ping is enough to make ROW_COUNT() another.
func (s *session) prevHeld() bool {
	conn := s.trail.prevConn
	if conn == nil || conn.Broken() || conn.Writes() != s.trail.prevWrites || conn.State() != s.want() {
		return false
	}
	if s.pin != nil && s.pin.conn == conn || s.last != nil && s.last.conn == conn {
		return true
	}
	if s.tx != nil {
		for _, b := range s.tx.branches {
			if b.conn == conn {
				return true
			}
		}
	}
	return false
}

// bindTo makes conn the session's own when the statement leaves state there.
func (s *session) bindTo(p *plan.Plan, n xa.ShardID, conn *backend.Conn) {
	kinds := p.Pins & pinned
	if kinds == 0 {
		return
	}
	if s.pin == nil {
		s.pin = &pin{shard: n, conn: conn}
		conn.Pin()
	}
	s.pin.kinds |= kinds
}

// insertIDFor returns the statement that makes LAST_INSERT_ID() what it has to
// be at a connection, when the client's statement asks for it.
func (s *session) insertIDFor(ctx context.Context, p *plan.Plan, conn *backend.Conn) ([]string, error) {
	t := &s.trail
	switch {
	case p.Uses&plan.StateLastInsertID != 0:
	case changes(p.Class) && conn.HasInsertID() && t.insertConn != conn:
		// A statement has used it here; what this one sets must be told from it.
		conn.SetInsertID(0)
		return []string{setInsertID(0)}, nil
	default:
		return nil, nil
	}
	if t.insertConn == conn && !t.insertUnsure {
		return nil, nil
	}
	if p.Uses&(plan.StateFoundRows|plan.StateRowCount) != 0 {
		return nil, fail(codeUnsupported, "LAST_INSERT_ID() together with "+stateNames(p.Uses&^plan.StateLastInsertID)+" of another connection; use two statements")
	}
	if t.insertConn != nil {
		s.fetchInsertID(ctx)
	}
	if t.insertLost {
		return nil, fail(codeUnsupported, "LAST_INSERT_ID() of a connection that was lost")
	}
	t.insertConn, t.insertKnown = conn, true
	had := conn.HasInsertID()
	conn.SetInsertID(t.insertID)
	if t.insertID == 0 && !had {
		return nil, nil // as it is there
	}
	return []string{setInsertID(t.insertID)}, nil
}

func setInsertID(id uint64) string { return "SET last_insert_id=" + strconv.FormatUint(id, 10) }

// fetchInsertID asks the connection that knows it, and makes it 0 there.
func (s *session) fetchInsertID(ctx context.Context) {
	t := &s.trail
	if t.insertKnown {
		t.insertConn = nil
		return
	}
	conn := t.insertConn
	unsure, lost := t.insertUnsure, t.insertLost
	t.insertConn, t.insertUnsure, t.insertLost = nil, false, true
	row, err := selectOne(ctx, conn, "SELECT LAST_INSERT_ID()")
	if err != nil || row[0] == nil {
		s.e.log.Debug("last insert id", slog.Any("err", err))
		return
	}
	id, err := strconv.ParseUint(*row[0], 10, 64)
	switch {
	case err != nil:
		return
	case id == 0 && unsure:
		t.insertLost = lost
		conn.SetInsertID(0)
		return
	}
	t.insertID, t.insertLost = id, false
	if refused, err := exec(ctx, conn, setInsertID(0)); err == nil && refused == nil {
		conn.SetInsertID(0)
	}
}

// keepOrGive gives a connection back that is outside of transactions, or keeps
// it for a moment when it knows something that the client may ask next.
func (s *session) keepOrGive(ctx context.Context, n xa.ShardID, conn *backend.Conn) {
	asked := s.trail.insertConn == conn && !s.trail.insertKnown || s.diag.conn == conn
	if s.pin != nil && s.pin.conn == conn || conn.Broken() || !asked {
		s.give(ctx, n, conn)
		return
	}
	s.settleLast(ctx)
	s.last = &held{shard: n, conn: conn, until: time.Now().Add(holdLast)}
}

// settleLast gives the kept connection back.
func (s *session) settleLast(ctx context.Context) {
	if l := s.last; l != nil {
		s.last = nil
		s.give(ctx, l.shard, l.conn)
	}
}

// dropLast gives the kept connection back without asking it anything.
func (s *session) dropLast() {
	if l := s.last; l != nil {
		s.last = nil
		s.pool(l.shard).Put(l.conn)
	}
}

// dropLastAt gives the kept connection up when it is one to shard n.
func (s *session) dropLastAt(n xa.ShardID) {
	if l := s.last; l != nil && l.shard == n {
		l.conn.Close()
		s.dropLast()
		s.forget(l.conn)
	}
}

// give returns a connection that is outside of transactions, and asks it before
// for what only it knows.
func (s *session) give(ctx context.Context, n xa.ShardID, conn *backend.Conn) {
	if s.pin != nil && s.pin.conn == conn {
		return // stays the session's, also when broken: see sound
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingPatience)
	defer cancel()
	if s.diag.conn == conn { // first: the question about the id makes the server forget them
		_ = s.diag.fetch(ctx) // the statement is over, its warnings go with the connection
	}
	if s.trail.insertConn == conn {
		s.fetchInsertID(ctx)
	}
	s.forget(conn)
	s.pool(n).Put(conn)
}

// forget ends what the session expects of a connection.
func (s *session) forget(conn *backend.Conn) {
	if s.trail.prevConn == conn {
		s.trail.prevConn = nil
	}
	if s.trail.insertConn == conn {
		s.trail.insertConn, s.trail.insertUnsure, s.trail.insertLost = nil, false, !s.trail.insertKnown
	}
	if s.diag.conn == conn {
		s.diag.lose()
	}
}
