package proxy

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/tm"
	"xaproxy/xa"
)

// env is what plans of this session's statements depend on.
func (s *session) env() plan.Env {
	snap := s.e.catalog.current()
	return plan.Env{Schema: s.set.state.Schema, SQLMode: s.set.sqlMode(s.e.defaults.SQLMode), Charset: s.set.charset(),
		Connection: s.set.connection, Collation: s.set.collation(), TimeZone: s.timeZone(), Catalog: snap, Weights: s.e.weights}
}

// timeZone is the session's time_zone.
func (s *session) timeZone() string {
	if zone, given := s.set.state.TimeZone.Value(); given {
		return zone
	}
	return s.e.defaults.TimeZone
}

// query answers COM_QUERY. Of several statements each is answered by itself; an
// error is the last answer.
func (s *session) query(ctx context.Context, sql string) error {
	if !s.multi {
		return s.answerText(ctx, sql)
	}
	for rest := plan.Trim(sql); ; {
		var first string
		first, rest = s.e.planner.Next(s.env(), rest)
		s.more, s.failed = rest != "", false
		err := s.answerText(ctx, first)
		s.more = false
		if err != nil || rest == "" || s.failed || s.closing {
			return err
		}
		if err := s.between(ctx); err != nil {
			return err
		}
	}
}

// answerText answers one statement.
func (s *session) answerText(ctx context.Context, sql string) error {
	s.publish("Query", sql)
	p, err := s.plan(ctx, s.env(), sql)
	if owed := s.payOwed(p); owed != nil {
		return s.tell(owed)
	}
	if err != nil {
		return s.tell(err)
	}
	return s.run(ctx, &call{plan: p, sql: sql})
}

// payOwed returns the error that an earlier loss of the transaction left for
// this statement. A ROLLBACK gets what it asks for.
func (s *session) payOwed(p *plan.Plan) error {
	owed := s.owed
	s.owed = nil
	if p != nil && p.Class == plan.ClassRollback {
		return nil
	}
	return owed
}

// run executes a planned statement and answers the client. The error ends the
// connection.
func (s *session) run(ctx context.Context, k *call) error {
	before := s.trail
	err := s.attempt(ctx, k)
	if s.trail.prevConn == before.prevConn && s.trail.prevWrites == before.prevWrites {
		s.trail.prevConn = nil // no shard executed this statement
	}
	return err
}

func (s *session) attempt(ctx context.Context, k *call) error {
	p := k.plan
	if p.Class != plan.ClassWarnings {
		s.diag.clear()
	}
	s.info = ""
	if p.ImplicitCommit && s.tx != nil {
		if err := s.commit(ctx); err != nil {
			return s.tell(err)
		}
	}
	if len(p.Variables) > 0 {
		return s.variables(ctx, k)
	}
	return s.byClass(ctx, k)
}

func (s *session) byClass(ctx context.Context, k *call) error {
	p := k.plan
	switch p.Class {
	case plan.ClassSelect, plan.ClassInsert, plan.ClassReplace, plan.ClassUpdate, plan.ClassDelete, plan.ClassShow:
		return s.targets(ctx, k)
	case plan.ClassDDL:
		return s.define(ctx, k)
	case plan.ClassBegin, plan.ClassCommit, plan.ClassRollback, plan.ClassSavepoint:
		return s.answerWarned(s.control(ctx, p))
	case plan.ClassSet:
		return s.setStatement(ctx, k)
	case plan.ClassUse:
		return s.answerUse(s.use(ctx, p.Schema))
	case plan.ClassOutcome:
		return s.outcome(ctx, k)
	case plan.ClassKill:
		return s.answer(s.kill(ctx, p.Kill))
	case plan.ClassUnlock, plan.ClassComment:
		return s.answer(nil)
	case plan.ClassWarnings:
		t, err := s.showDiagnostics(ctx, k.sql)
		return s.rows(k, t, err)
	case plan.ClassProcesslist:
		return s.rows(k, s.processlist(p.Full), nil)
	case plan.ClassRoute:
		t, err := s.explainRoute(ctx, p.Route)
		return s.rows(k, t, err)
	case plan.ClassDefinitions:
		t, err := s.showDefinitions(ctx)
		return s.rows(k, t, err)
	case plan.ClassInvalid:
	}
	return s.tell(fail(codeInternal, "a statement without a class"))
}

// control executes the statements about transactions.
func (s *session) control(ctx context.Context, p *plan.Plan) error {
	before := s.tx
	switch {
	case p.Class == plan.ClassSavepoint:
		return s.savepoint(ctx, p.Savepoint)
	case p.Class == plan.ClassRollback && before != nil:
		s.rollback(ctx)
	case before != nil: // BEGIN commits, too
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	if p.Class == plan.ClassBegin {
		s.beginTx(p.Tx.Access) // nothing is sent
		return nil
	}
	s.chain(before, p.Tx)
	return nil
}

// answerWarned is answer with the number of warnings of the proxy itself.
func (s *session) answerWarned(err error) error {
	if err != nil {
		return s.tell(err)
	}
	return s.ok(wire.OK{Warnings: s.diag.count(), Info: s.info})
}

// rows answers with a table of the proxy's own.
func (s *session) rows(k *call, t *Table, err error) error {
	if err != nil {
		return s.tell(err)
	}
	return s.c.table(t, s.status(0), k.stmt != nil)
}

// variables answers statements that read values which a shard's connection does
// not have as the client's session has them: they become literals in the text.
func (s *session) variables(ctx context.Context, k *call) error {
	if k.stmt != nil {
		return s.loneVariable(ctx, k, misplaced(k.plan))
	}
	p, text, err := s.inlined(ctx, k.plan, k.sql)
	if err != nil {
		return s.tell(err)
	}
	return s.byClass(ctx, &call{plan: p, sql: text})
}

// misplaced refuses the variables of the plan where they stand.
func misplaced(p *plan.Plan) *Error {
	return fail(codeUnsupported, "reading "+strings.Join(p.Variables, ", ")+" in this place; select it as a column of its own, in a text statement")
}

// inlined is the statement with the values of its variables.
func (s *session) inlined(ctx context.Context, p *plan.Plan, sql string) (*plan.Plan, string, error) {
	text, done := p.Inline(s.env(), sql, func(name string) (string, bool) {
		if isInsertID(name) {
			return "LAST_INSERT_ID()", true
		}
		v, known := s.variable(name)
		return v.literal(), known
	})
	if !done {
		return nil, "", misplaced(p)
	}
	again, err := s.plan(ctx, s.env(), text)
	switch {
	case err != nil:
		return nil, "", err
	case len(again.Variables) > 0:
		return nil, "", misplaced(p)
	}
	return again, text, nil
}

// loneVariable answers a prepared SELECT of one such value, as the proxy itself.
func (s *session) loneVariable(ctx context.Context, k *call, refusal *Error) error {
	fields := strings.Fields(strings.ToLower(strings.TrimRight(strings.TrimSpace(k.sql), ";")))
	if len(fields) == 2 && fields[0] == "select" && len(k.plan.Variables) == 1 {
		name := strings.TrimPrefix(strings.TrimPrefix(fields[1], "@@"), "session.")
		v, known := s.variable(name)
		if isInsertID(name) {
			id, err := s.knownInsertID(ctx)
			v, known = Uint(id), err == nil
		}
		if known {
			return s.rows(k, &Table{Columns: []Column{{Name: fields[1], Type: v.columnType()}}, Rows: [][]Value{{v}}}, nil)
		}
	}
	return s.tell(refusal)
}

// isInsertID reports whether a variable is LAST_INSERT_ID() by another name.
func isInsertID(variable string) bool { return variable == "last_insert_id" || variable == "identity" }

// literal is the value in SQL.
func (v Value) literal() string {
	switch v.kind {
	case valueNull:
		return "NULL"
	case valueInteger:
		return strconv.FormatUint(v.number, 10)
	case valueText:
		// Whatever sql_mode says of quotes and backslashes.
		return "CONVERT(X'" + hex.EncodeToString([]byte(v.text)) + "' USING utf8mb4)"
	}
	return "NULL"
}

func (v Value) columnType() ColumnType {
	if v.kind == valueInteger {
		return Integer
	}
	return Text
}

// variable is a session variable that the proxy keeps.
func (s *session) variable(name string) (Value, bool) {
	flag := func(b bool) Value {
		if b {
			return Uint(1)
		}
		return Uint(0)
	}
	switch name {
	case "autocommit":
		return flag(s.set.autocommit), true
	case "transaction_read_only", "tx_read_only":
		return flag(s.set.readOnly), true
	case "transaction_isolation", "tx_isolation":
		if v, given := s.set.state.Isolation.Value(); given {
			return String(strings.ReplaceAll(strings.ToUpper(v), " ", "-")), true
		}
		return String(s.e.defaults.Isolation), true
	case "connection_id()", "pseudo_thread_id":
		return Uint(uint64(s.c.id)), true
	case "user()", "current_user()":
		return String(s.c.user.Name + "@" + s.c.host()), true
	case "xa_report_gtrid":
		return flag(s.set.reportGtrid), true
	case "wait_timeout":
		return s.timeout(s.set.wait), true
	case "interactive_timeout":
		return s.timeout(s.set.interactive), true
	}
	return Value{}, false
}

// timeout is a timeout as the client has set it, else the one that counts within
// transactions.
func (s *session) timeout(seconds uint32) Value {
	if seconds == 0 {
		return Uint(uint64(s.e.limits().IdleTime.Seconds()))
	}
	return Uint(uint64(seconds))
}

// chain does what AND CHAIN and RELEASE ask for.
func (s *session) chain(before *transaction, o plan.Tx) {
	if o.Chain == plan.OptionYes {
		s.beginTx(plan.AccessDefault)
		if before != nil {
			s.tx.isolation, s.tx.access, s.tx.readOnly = before.isolation, before.access, before.readOnly
		}
	}
	s.closing = o.Release == plan.OptionYes
}

// savepoint executes SAVEPOINT, ROLLBACK TO and RELEASE at every branch.
func (s *session) savepoint(ctx context.Context, p plan.Savepoint) error {
	if s.tx == nil && !s.set.autocommit && p.Verb == plan.SavepointSet {
		s.beginTx(plan.AccessDefault)
	}
	t := s.tx
	switch {
	case t == nil && p.Verb == plan.SavepointSet:
		return nil // as on a server: it ends with the statement
	case t == nil, p.Verb != plan.SavepointSet && t.find(p.Name) < 0:
		return fail(codeNoSavepoint, p.Name)
	}
	if strings.EqualFold(p.Name, internalSavepoint) {
		return fail(codeUnsupported, "the savepoint name "+internalSavepoint+", which the proxy uses itself")
	}
	name := quoteName(p.Name)
	switch p.Verb {
	case plan.SavepointSet:
		t.add(p.Name)
		return s.everywhere(ctx, "SAVEPOINT "+name)
	case plan.SavepointRollback:
		t.points = t.points[:t.find(p.Name)+1]
		return s.everywhere(ctx, "ROLLBACK TO SAVEPOINT "+name)
	case plan.SavepointRelease:
		t.points = t.points[:t.find(p.Name)]
		return s.everywhere(ctx, "RELEASE SAVEPOINT "+name)
	}
	return fail(codeInternal, "savepoint verb")
}

// everywhere executes a savepoint statement at all branches of the transaction.
// When one refuses, the branches would disagree: all is rolled back.
func (s *session) everywhere(ctx context.Context, sql string) error {
	for _, b := range s.tx.branches {
		if b.start != nil {
			continue // not begun; its start sets the savepoints that there are
		}
		refused, err := exec(ctx, b.conn, sql)
		switch {
		case err != nil:
			return s.lost(ctx, b, err)
		case refused != nil:
			s.rollback(ctx)
			return fail(codeAborted, refused.Error()).because(refused)
		case !b.conn.InTransaction():
			return s.vanished(ctx, b, nil)
		}
	}
	return nil
}

// processlist is SHOW PROCESSLIST: the user's own sessions at this proxy.
func (s *session) processlist(full bool) *Table {
	t := &Table{Columns: []Column{{Name: "Id", Type: Integer}, {Name: "User"}, {Name: "Host"}, {Name: "db"}, {Name: "Command"},
		{Name: "Time", Type: Integer}, {Name: "State"}, {Name: "Info"}}}
	for _, v := range s.c.srv.Sessions() {
		if v.User != s.c.user.Name {
			continue
		}
		info := v.Statement
		if !full && len(info) > 100 {
			info = strings.ToValidUTF8(info[:100], "")
		}
		t.Rows = append(t.Rows, []Value{Uint(uint64(v.ID)), String(v.User), String(v.Addr), orNull(v.Schema), String(v.Command),
			Uint(uint64(time.Since(v.Since).Seconds())), String(""), orNull(info)})
	}
	slices.SortFunc(t.Rows, func(a, b []Value) int { return cmp.Compare(a[0].number, b[0].number) })
	return t
}

// kill is KILL for sessions of the same user.
func (s *session) kill(ctx context.Context, k plan.Kill) error {
	target := s.c.srv.client(uint32(min(k.ID, 1<<32-1)))
	if target == nil {
		return s.killElsewhere(ctx, k.ID)
	}
	snap := target.snapshot.Load()
	if snap == nil || snap.User != s.c.user.Name {
		return fail(codeKillDenied, k.ID)
	}
	target.kill(k.Query)
	return nil
}

// killElsewhere says which proxies a session's number can be of.
func (s *session) killElsewhere(ctx context.Context, id uint64) error {
	const nodes = 1<<(32-idBits) - 1
	of := id >> idBits
	if of == uint64(s.c.srv.port.Node)&nodes || of > nodes {
		return fail(codeKillUnknown, id)
	}
	views, errs := s.e.manager.Nodes(ctx)
	var where []string
	for _, v := range views {
		if uint64(v.Node)&nodes == of && (v.State == tm.OwnerLive || v.State == tm.OwnerUnknown) {
			where = append(where, fmt.Sprintf("node %d (admin port %s)", v.Node, v.Endpoint))
		}
	}
	switch {
	case len(where) == 0 && len(errs) > 0:
		return fail(codeKillElsewhere, id, "whose it is cannot be told, because "+errs[0].Error())
	case len(where) == 0:
		return fail(codeKillElsewhere, id, fmt.Sprintf("no proxy that lives has numbers of this kind (node %d)", of))
	}
	return fail(codeKillElsewhere, id, "send KILL to "+strings.Join(where, " or "))
}

// outcome is XA OUTCOME: what became of a transaction whose gtrid the client
// was told.
func (s *session) outcome(ctx context.Context, k *call) error {
	g := xa.GlobalID(k.plan.Gtrid)
	if _, err := g.Parse(); err != nil {
		return s.tell(fail(codeUnsupported, "XA OUTCOME of "+quoteText(k.plan.Gtrid)+", which is not a gtrid of this proxy's").because(err))
	}
	var r tm.Report
	var err error
	if gone := s.guard(ctx, nil, func(ctx context.Context) { r, err = s.e.manager.Outcome(ctx, g) }); gone != nil {
		return gone
	}
	if err != nil {
		return s.tell(fail(codeOutcomeUnknown, "gtrid '"+string(g)+"' cannot be asked for now: "+err.Error()).because(err))
	}
	fenced := "NO"
	if r.Fenced {
		fenced = "YES"
	}
	return s.rows(k, &Table{
		Columns: []Column{{Name: "gtrid"}, {Name: "outcome"}, {Name: "home"}, {Name: "owner"}, {Name: "aborted_by_asking"}},
		Rows:    [][]Value{{String(string(g)), String(r.State.String()), String(s.e.name(r.Name.Home.Shard)), String(r.Owner.String()), String(fenced)}},
	}, nil)
}
