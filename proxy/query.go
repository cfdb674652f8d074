package proxy

import (
	"context"
	"strings"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/tm"
	"xaproxy/xa"
)

// env is what plans of this session's statements depend on.
func (s *session) env() plan.Env {
	snap := s.e.catalog.current()
	return plan.Env{Schema: s.set.state.Schema, SQLMode: s.set.sqlMode(snap.sqlMode), Charset: s.set.charset(),
		Connection: s.set.connection, Catalog: snap}
}

// plan plans one statement. A table that is not known may have been created by
// somebody else: the catalog is read anew then, not too often.
func (s *session) plan(ctx context.Context, env plan.Env, sql string) (*plan.Plan, error) {
	p, err := s.e.planner.Plan(env, sql)
	if !unknownTable(err) || !s.e.catalog.refreshSoon(ctx) {
		return p, err
	}
	env.Catalog = s.e.catalog.current()
	return s.e.planner.Plan(env, sql)
}

// query answers COM_QUERY.
func (s *session) query(ctx context.Context, sql string) error {
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
	p := k.plan
	if p.Class != plan.ClassWarnings {
		s.diag.clear()
	}
	if len(p.Variables) > 0 {
		return s.variables(k)
	}
	if p.ImplicitCommit && s.tx != nil {
		if err := s.commit(ctx); err != nil {
			return s.tell(err)
		}
	}
	switch p.Class {
	case plan.ClassSelect, plan.ClassInsert, plan.ClassReplace, plan.ClassUpdate, plan.ClassDelete, plan.ClassShow:
		return s.targets(ctx, k)
	case plan.ClassDDL:
		return s.define(ctx, k)
	case plan.ClassBegin:
		return s.answer(s.startTransaction(ctx, p))
	case plan.ClassCommit:
		return s.answerWarned(s.commitStatement(ctx, p))
	case plan.ClassRollback:
		return s.answer(s.rollbackStatement(ctx, p))
	case plan.ClassSavepoint:
		return s.answer(s.savepoint(ctx, p.Savepoint))
	case plan.ClassSet:
		return s.setStatement(ctx, k)
	case plan.ClassUse:
		return s.answer(s.use(ctx, p.Schema))
	case plan.ClassOutcome:
		return s.outcome(ctx, k)
	case plan.ClassKill:
		return s.answer(s.kill(p.Kill))
	case plan.ClassUnlock:
		return s.answer(nil)
	case plan.ClassWarnings:
		t, err := s.showDiagnostics(ctx, k.sql)
		return s.rows(k, t, err)
	case plan.ClassInvalid, plan.ClassEmpty:
	}
	return s.tell(&Error{Number: uint16(plan.CodeEmpty), State: "42000", Message: "Query was empty"})
}

// answerWarned is answer with the number of warnings of the proxy itself.
func (s *session) answerWarned(err error) error {
	if err != nil {
		return s.tell(err)
	}
	return s.ok(wire.OK{Warnings: s.diag.count()})
}

// rows answers with a table of the proxy's own.
func (s *session) rows(k *call, t *Table, err error) error {
	if err != nil {
		return s.tell(err)
	}
	return s.c.table(t, s.status(0), k.stmt != nil)
}

// variables answers statements that read variables which a shard's connection
// does not have as the client set them.
func (s *session) variables(k *call) error {
	fields := strings.Fields(strings.ToLower(strings.TrimRight(strings.TrimSpace(k.sql), ";")))
	if len(fields) == 2 && fields[0] == "select" && len(k.plan.Variables) == 1 {
		name := strings.TrimPrefix(strings.TrimPrefix(fields[1], "@@"), "session.")
		if v, known := s.variable(name); known {
			return s.rows(k, &Table{Columns: []Column{{Name: fields[1], Type: v.columnType()}}, Rows: [][]Value{{v}}}, nil)
		}
	}
	return s.tell(fail(codeUnsupported, "reading @@"+strings.Join(k.plan.Variables, ", @@")+
		", whose value the proxy keeps; SELECT @@variable alone works for autocommit, transaction_isolation and transaction_read_only"))
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
	case "wait_timeout", "interactive_timeout":
		return Uint(uint64(s.e.limits.IdleTime.Seconds())), true
	}
	return Value{}, false
}

// startTransaction is BEGIN. Nothing is sent.
func (s *session) startTransaction(ctx context.Context, p *plan.Plan) error {
	if s.tx != nil {
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	s.beginTx(p.Tx.Access)
	return nil
}

func (s *session) commitStatement(ctx context.Context, p *plan.Plan) error {
	before := s.tx
	if before != nil {
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	s.chain(before, p.Tx)
	return nil
}

func (s *session) rollbackStatement(ctx context.Context, p *plan.Plan) error {
	before := s.tx
	if before != nil {
		s.rollback(ctx)
	}
	s.chain(before, p.Tx)
	return nil
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

// kill is KILL for sessions of the same user.
func (s *session) kill(k plan.Kill) error {
	target := s.c.srv.client(uint32(min(k.ID, 1<<32-1)))
	if target == nil {
		return fail(codeKillUnknown, k.ID)
	}
	snap := target.snapshot.Load()
	if snap == nil || snap.User != s.c.user.Name {
		return fail(codeKillDenied, k.ID)
	}
	target.kill(k.Query)
	return nil
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
