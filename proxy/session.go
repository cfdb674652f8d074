package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/xa"
)

// session is one client of the data port: its settings, its transaction and the
// shard connections that it holds. It belongs to its client's goroutine.
type session struct {
	e *engine
	c *client

	login   settings // what DEFAULT means
	set     settings
	once    once
	guessed bool            // both have defaults that not all shards had told yet
	turn    backend.Setting // isolation of the running statement alone
	// schema is the default schema of the running prepared statement, when it is
	// not the session's any more.
	schema *string
	tx     *transaction // nil: none is open
	// ending is the transaction whose branches the manager works with.
	ending *transaction
	// unfinished are parts of ended transactions, oldest first.
	unfinished []unfinished
	// owed is told in answer to the next statement: why the transaction was
	// rolled back while the client was silent.
	owed error
	// idle is when the last command ended, began when the running one did.
	idle, began time.Time
	// slow: the running command has reached limits.statement_time.
	slow bool

	tables tableUse // that the statement or transaction is inside of

	pin   *pin  // the connection with state that only it has
	last  *held // the last statement's connection, kept for a moment
	diag  diagnostics
	info  string // of the OK of a COMMIT
	trail trail
	stmts map[uint32]*statement
	stmt  uint32 // the last id given

	closing bool // end after the answer, as COMMIT RELEASE asks
	multi   bool // the client may send several statements in one packet
	more    bool // other statements of the packet follow the running one
	failed  bool // the running statement was answered by an error
}

// pin is the connection that holds state which Sync does not know.
type pin struct {
	shard xa.ShardID
	conn  *backend.Conn
	kinds plan.State
}

// held is a connection outside of transactions that waits for its last
// statement's successor.
type held struct {
	shard xa.ShardID
	conn  *backend.Conn
	until time.Time
}

func newSession(c *client) *session {
	s := &session{e: c.srv.enter(), c: c, stmts: map[uint32]*statement{}, idle: time.Now()}
	c.stall = &stall{s: s}
	return s
}

// begin implements conversation.
func (s *session) begin(ctx context.Context) error {
	err := s.beginAt(ctx)
	if err == nil || errors.Is(err, errGone) {
		return err
	}
	return s.mapError(err)
}

// beginAt makes the settings that the login asks for.
func (s *session) beginAt(ctx context.Context) error {
	set, err := s.settingsAtLogin()
	if err != nil {
		return err
	}
	schema := s.c.login.Database
	s.login, s.set = set, set
	s.multi = s.c.caps.Has(wire.MultiStatements)
	s.publish("Sleep", "")
	if schema == "" {
		return nil
	}
	return s.use(ctx, schema)
}

// settingsAtLogin are those that the login asks for, but for its schema.
func (s *session) settingsAtLogin() (settings, error) {
	now := s.e.catalog.current()
	s.guessed = !now.complete
	set, err := atLogin(s.c.login, func(c string) bool { return now.collations[c] }, now.charsets)
	set.state.Schema = ""
	return set, err
}

// settle replaces default collations that were chosen before all shards had told
// theirs: a shard that was down when the proxy started may not know them. An open
// transaction ends with those that it began with.
func (s *session) settle() {
	if !s.guessed || s.tx != nil || !s.e.catalog.current().complete {
		return
	}
	login, err := s.settingsAtLogin()
	if err != nil { // not possible: the login was taken once
		return
	}
	s.set.settle(login, s.e.catalog.current().charsets)
	s.login = login
}

// command implements conversation.
func (s *session) command(ctx context.Context, p []byte) error {
	if err := s.sound(ctx); err != nil {
		return err
	}
	s.ready()
	err := s.dispatch(ctx, p)
	s.over()
	s.idle = time.Now()
	s.publish("Sleep", "")
	switch {
	case err != nil:
		return err
	case s.closing:
		return errors.Join(errGone, s.c.w.Flush())
	case s.c.srv.draining.Load() && s.tx == nil:
		return errors.Join(errGone, s.c.w.Flush())
	}
	return nil
}

// ready prepares the session for a statement.
func (s *session) ready() {
	s.began, s.slow = time.Now(), false
	if s.tx == nil {
		s.goOver()
	}
	s.settle()
}

// over ends what belonged to the last statement alone.
func (s *session) over() {
	s.turn, s.schema = backend.Setting{}, nil
	s.discardInterrupt() // it was for what has ended
}

// between is what happens between two statements of one packet.
func (s *session) between(ctx context.Context) error {
	s.over()
	if err := s.sound(ctx); err != nil {
		return err
	}
	s.ready()
	return nil
}

// sound reports why the session cannot go on.
func (s *session) sound(ctx context.Context) error {
	if ctx.Err() != nil {
		return endOfSession(ctx)
	}
	if s.pin != nil {
		if lost := s.pinLost(s.pin.conn); lost != nil {
			return lost
		}
	}
	return nil
}

// pinLost is the error for a session whose own connection has gone with its
// state, nil when conn is another one or is there.
func (s *session) pinLost(conn *backend.Conn) *Error {
	if s.pin == nil || s.pin.conn != conn || !conn.Broken() {
		return nil
	}
	return fail(codeStateLost, s.e.name(s.pin.shard), stateNames(s.pin.kinds))
}

// endOfSession is the error for a session that somebody else has ended.
func endOfSession(ctx context.Context) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errDrained):
		return fail(codeDraining).because(cause)
	case errors.Is(cause, errKilled):
		return fail(codeInterrupted).because(cause)
	}
	return errGone
}

func (s *session) dispatch(ctx context.Context, p []byte) error {
	switch wire.Command(p[0]) {
	case wire.ComQuery:
		return s.query(ctx, string(p[1:]))
	case wire.ComPing:
		return s.c.ok(wire.OK{Status: s.status(0)})
	case wire.ComInitDB:
		return s.answerUse(s.use(ctx, string(p[1:])))
	case wire.ComStmtPrepare:
		return s.prepare(ctx, string(p[1:]))
	case wire.ComStmtExecute:
		return s.execute(ctx, p)
	case wire.ComStmtLongData:
		return s.longData(p)
	case wire.ComStmtClose:
		return s.closeStatement(p)
	case wire.ComStmtReset:
		return s.resetStatement(p)
	case wire.ComResetConnection:
		return s.answer(s.reset(ctx))
	case wire.ComStatistics:
		return s.statistics()
	case wire.ComProcessKill:
		return s.processKill(ctx, p)
	case wire.ComChangeUser:
		return s.changeUser(ctx, p)
	case wire.ComSetOption:
		return s.setOption(p)
	case wire.ComSleep, wire.ComQuit, wire.ComFieldList, wire.ComStmtFetch:
	}
	return s.tell(fail(codeUnknownCommand))
}

// answer tells the client OK or the error.
func (s *session) answer(err error) error {
	if err != nil {
		return s.tell(err)
	}
	return s.ok(wire.OK{})
}

// answerUse is answer for a change of the default schema.
func (s *session) answerUse(err error) error {
	if err != nil {
		return s.tell(err)
	}
	return s.ok(wire.OK{Changes: []wire.Change{{Kind: wire.ChangeSchema, Value: s.set.state.Schema}}})
}

// ok answers OK with this session's flags.
func (s *session) ok(ok wire.OK) error {
	ok.Status = s.status(ok.Status)
	return s.c.ok(ok)
}

// tell sends err as an ERR packet. Errors that end the session are returned.
func (s *session) tell(err error) error {
	if errors.Is(err, errGone) {
		return err
	}
	e := s.mapError(err)
	if s.slow && e.Number == codeInterrupted {
		e = fail(codeStatementTime, s.e.limits().StatementTime).because(err)
	}
	s.diag.fail(e)
	s.trail.prevConn = nil
	if errors.Is(err, errKilled) || errors.Is(err, errDrained) {
		s.closing = true // it was told once, as the answer
	}
	s.failed = true
	return s.c.writeError(e)
}

// status are the flags that a client is told: a shard's, with the transaction
// and autocommit as this session has them.
func (s *session) status(shard wire.Status) wire.Status {
	const ours = wire.StatusInTrans | wire.StatusAutocommit | wire.StatusInTransReadOnly | wire.StatusSessionChanged
	st := shard &^ ours
	if mode := s.set.sqlMode(s.e.defaults.SQLMode); strings.Contains(strings.ToUpper(mode), "NO_BACKSLASH_ESCAPES") {
		st |= wire.StatusNoBackslashEscapes // clients quote by it
	}
	if s.set.autocommit {
		st |= wire.StatusAutocommit
	}
	if s.more {
		st |= wire.StatusMoreResults
	}
	if s.tx != nil && !s.tx.own {
		st |= wire.StatusInTrans
		if s.tx.readOnly {
			st |= wire.StatusInTransReadOnly
		}
	}
	return st
}

// publish shows others what the session does.
func (s *session) publish(command, sql string) {
	v := &Snapshot{ID: s.c.id, User: s.c.user.Name, Addr: s.c.remote.String(), Schema: s.set.state.Schema,
		Command: command, Since: time.Now(), Statement: shorten(sql)}
	if s.tx != nil {
		for _, b := range s.tx.branches {
			v.Shards = append(v.Shards, b.shard)
		}
	}
	s.c.snapshot.Store(v)
}

// end implements conversation.
func (s *session) end() {
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	if s.tx != nil {
		s.rollback(ctx)
	}
	s.dropLast()
	s.unpin()
	s.e.life.leave()
}

// endPatience bounds what a session that ends does for its transaction; what is
// left is the manager's.
const endPatience = 10 * time.Second

// reset is COM_RESET_CONNECTION: as after a new login.
func (s *session) reset(ctx context.Context) error {
	s.owed = nil
	if s.tx != nil {
		s.rollback(ctx)
	}
	s.dropLast()
	s.unpin()
	schema := s.set.state.Schema
	s.set, s.once = s.login, once{}
	s.set.state.Schema = schema // servers keep the default schema
	s.stmts = map[uint32]*statement{}
	s.diag, s.trail = diagnostics{}, trail{}
	return nil
}

// use makes schema the default one, after a shard has agreed.
func (s *session) use(ctx context.Context, schema string) error {
	if isOwnSchema(schema) {
		return fail(codeSchemaDenied, s.c.user.Name, schema)
	}
	want := s.set
	want.state.Schema = schema
	if err := s.check(ctx, want.state); err != nil {
		return err
	}
	s.set = want
	return nil
}

// check asks a shard whether it accepts the settings.
func (s *session) check(ctx context.Context, want backend.State) error {
	if want == s.set.state {
		return nil
	}
	return s.anywhere(ctx, func(n xa.ShardID) error {
		pool := s.e.shards[n].own
		conn, err := pool.Get(ctx, want)
		if err != nil {
			return err
		}
		defer pool.Put(conn)
		return s.e.unanswered(n, conn, conn.Sync(ctx, want))
	})
}

// checkMode is check for a SET of sql_mode: MySQL warns of modes that go only
// together, also when the value is what it was.
func (s *session) checkMode(ctx context.Context, want backend.State) error {
	other := want
	if other.SQLMode = backend.Want(""); other.SQLMode == want.SQLMode {
		other.SQLMode = backend.Want("ANSI_QUOTES")
	}
	return s.anywhere(ctx, func(n xa.ShardID) error {
		pool := s.e.shards[n].own
		conn, err := pool.Get(ctx, other)
		if err != nil {
			return err
		}
		defer pool.Put(conn)
		if err := s.e.unanswered(n, conn, conn.Sync(ctx, other)); err != nil {
			return err
		}
		warned, err := conn.SyncWarned(ctx, want)
		if err != nil || warned == 0 {
			return s.e.unanswered(n, conn, err)
		}
		s.diag.conn = conn
		if err := s.diag.fetch(ctx); err != nil {
			return s.e.unanswered(n, conn, err)
		}
		s.diag.told = uint64(warned)
		return nil
	})
}

// anywhere calls f for the first shard that answers, in order of numbers.
func (s *session) anywhere(ctx context.Context, f func(xa.ShardID) error) error {
	var first error
	for _, n := range s.e.order {
		err := f(n)
		var down *backend.DownError
		if err == nil || !errors.As(err, &down) || ctx.Err() != nil {
			return err
		}
		first = errors.Join(first, err)
	}
	return first
}

// pool is a shard's pool that fits the client's capabilities.
func (s *session) pool(n xa.ShardID) *backend.Pool {
	if s.c.caps.Has(wire.FoundRows) {
		return s.e.shards[n].FoundRows
	}
	return s.e.shards[n].Pool
}

// unpin closes the connection whose state the session no longer wants.
func (s *session) unpin() {
	if s.pin == nil {
		return
	}
	s.pool(s.pin.shard).Put(s.pin.conn)
	s.pin = nil
}

// stateNames are kinds of session state for people.
func stateNames(k plan.State) string {
	names := [...]struct {
		kind plan.State
		name string
	}{
		{plan.StateUserVars, "user variables"}, {plan.StateTempTables, "temporary tables"},
		{plan.StateNamedLocks, "named locks"}, {plan.StateTableLocks, "table locks"},
		{plan.StateSessionVars, "session variables"}, {plan.StateLastInsertID, "LAST_INSERT_ID()"},
		{plan.StateFoundRows, "FOUND_ROWS()"}, {plan.StateRowCount, "ROW_COUNT()"},
	}
	out := ""
	for _, n := range names {
		if k&n.kind == 0 {
			continue
		}
		if out != "" {
			out += ", "
		}
		out += n.name
	}
	if out == "" {
		return fmt.Sprintf("state %#x", uint16(k))
	}
	return out
}
