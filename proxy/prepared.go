package proxy

import (
	"context"
	"errors"
	"slices"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/xa"
)

// statement is a prepared statement of a client. Names in it mean what they
// meant when it was prepared.
type statement struct {
	id     uint32
	sql    string
	schema string
	params *wire.Parameters
	types  paramTypes
	broken error // long data that cannot be: told at the next execution
}

// prepare answers COM_STMT_PREPARE.
func (s *session) prepare(ctx context.Context, sql string) error {
	s.publish("Prepare", sql)
	p, err := s.plan(ctx, s.env(), sql)
	if err != nil {
		return s.tell(err)
	}
	if p.Class == plan.ClassComment && !s.e.catalog.current().mariaDB {
		return s.tell(fail(codeNotPreparable, "a comment")) // as MySQL, but not MariaDB
	}
	if len(s.stmts) >= s.e.limits().Statements {
		return s.tell(fail(codeTooManyStatements, s.e.limits().Statements))
	}
	var shape backend.Stmt
	if forwarded(p) {
		if shape, err = s.shape(ctx, p, sql); err != nil {
			return s.tell(err)
		}
		if len(shape.Params) != p.NumParams {
			return s.tell(fail(codeInternal, "the shard counts other parameters than the proxy"))
		}
	} else if p.NumParams > 0 {
		return s.tell(fail(codeNotPreparable, sql))
	}
	s.stmt++
	st := &statement{id: s.stmt, sql: sql, schema: s.set.state.Schema, params: wire.NewParameters(len(shape.Params))}
	s.stmts[st.id] = st
	head := wire.Prepared{Statement: st.id, Columns: uint16(len(shape.Columns)), Params: uint16(len(shape.Params)), Warnings: shape.Warnings}
	if err := s.c.w.Write(wire.AppendPrepared(nil, head)); err != nil {
		return err
	}
	if err := s.c.definitionList(shape.Params, s.status(0)); err != nil {
		return err
	}
	return s.c.definitionList(shape.Columns, s.status(0))
}

// forwarded reports whether shards execute the statement as prepared.
func forwarded(p *plan.Plan) bool {
	switch p.Class {
	case plan.ClassSelect, plan.ClassInsert, plan.ClassReplace, plan.ClassUpdate, plan.ClassDelete, plan.ClassShow:
		return len(p.Variables) == 0
	case plan.ClassSet:
		return p.Pins != 0
	case plan.ClassInvalid, plan.ClassDDL, plan.ClassBegin, plan.ClassCommit, plan.ClassRollback, plan.ClassSavepoint,
		plan.ClassUse, plan.ClassOutcome, plan.ClassKill, plan.ClassUnlock, plan.ClassWarnings, plan.ClassProcesslist, plan.ClassRoute, plan.ClassDefinitions, plan.ClassComment:
	}
	return false
}

// shape asks a shard for the statement's parameters and columns. It executes
// nothing, so it may run outside of the session's transaction.
func (s *session) shape(ctx context.Context, p *plan.Plan, sql string) (backend.Stmt, error) {
	n, held := s.shapeShard(p)
	var out backend.Stmt
	ask := func(n xa.ShardID, conn *backend.Conn) error {
		var err error
		why := s.guard(ctx, []*backend.Conn{conn}, func(ctx context.Context) {
			if err = conn.Sync(ctx, s.want()); err != nil {
				return
			}
			var st *backend.Stmt
			if st, err = conn.Prepare(ctx, sql); err == nil {
				out = *st
			}
		})
		if why != nil && !errors.Is(why, errStopped) {
			return why
		}
		if conn == held {
			return err
		}
		return s.e.unanswered(n, conn, err)
	}
	if held != nil {
		err := ask(n, held)
		return out, s.unshaped(ctx, held, err)
	}
	try := func(n xa.ShardID) error { return s.askAt(ctx, n, ask) }
	err := try(n)
	var down *backend.DownError
	if errors.As(err, &down) && len(p.Tables) == 0 {
		err = s.anywhere(ctx, try)
	}
	return out, err
}

// askAt asks a question that executes nothing: on a connection for sessions, where
// an execution would find the statement prepared, unless that means to wait. When
// that connection was lost without a sign of it, as by a restart, another is asked.
func (s *session) askAt(ctx context.Context, n xa.ShardID, ask func(xa.ShardID, *backend.Conn) error) error {
	lost, err := s.askOnce(ctx, n, ask)
	if lost && ctx.Err() == nil {
		_, err = s.askOnce(ctx, n, ask)
	}
	return err
}

// askOnce reports, too, whether the connection was lost while it was asked.
func (s *session) askOnce(ctx context.Context, n xa.ShardID, ask func(xa.ShardID, *backend.Conn) error) (lost bool, err error) {
	conn, err := s.takeWithin(ctx, n, 0)
	var busy *backend.BusyError
	if errors.As(err, &busy) {
		pool := s.e.shards[n].own
		if conn, err = pool.Get(ctx, s.want()); err != nil {
			return false, err
		}
		defer pool.Put(conn)
	} else if err != nil {
		return false, err
	} else {
		defer s.give(ctx, n, conn)
	}
	err = ask(n, conn)
	var down *backend.DownError
	return errors.As(err, &down), err
}

// shapeShard chooses a shard that has the statement's tables, and the session's
// connection there if it holds one.
func (s *session) shapeShard(p *plan.Plan) (xa.ShardID, *backend.Conn) {
	if s.pin != nil && (s.bound(p) != 0 || len(p.Tables) == 0) {
		return s.pin.shard, s.pin.conn
	}
	can := s.e.order
	if len(p.Tables) > 0 {
		can = s.e.catalog.current().shardsOf(p.Tables)
	}
	if len(can) == 0 {
		return s.e.order[0], nil
	}
	for _, n := range can {
		if s.tx != nil {
			if b := s.tx.at(n); b != nil && b.start == nil {
				return n, b.conn
			}
		}
		if s.pin != nil && s.pin.shard == n {
			return n, s.pin.conn
		}
	}
	return can[0], nil
}

// execute answers COM_STMT_EXECUTE.
func (s *session) execute(ctx context.Context, payload []byte) error {
	id, err := wire.ParseStatement(payload)
	if err != nil {
		return err
	}
	st := s.stmts[id]
	if st == nil {
		return s.tell(fail(codeUnknownStatement, id, "mysqld_stmt_execute"))
	}
	s.publish("Execute", st.sql)
	if broken := st.broken; broken != nil {
		st.broken = nil
		st.params.Reset()
		return s.tell(broken)
	}
	e, err := st.params.Decode(payload)
	if err != nil {
		return s.tell(fail(codeArguments, "mysqld_stmt_execute").because(err))
	}
	env := s.env()
	env.Schema = st.schema
	p, err := s.plan(ctx, env, st.sql)
	if owed := s.payOwed(p); owed != nil {
		return s.tell(owed)
	}
	if err != nil {
		return s.tell(err)
	}
	if st.schema != s.set.state.Schema && st.schema != "" {
		s.schema = &st.schema
	}
	return s.run(ctx, &call{plan: p, sql: st.sql, stmt: st, params: e.Params, types: st.types.note(e.Params)})
}

// longData takes COM_STMT_SEND_LONG_DATA, which has no answer.
func (s *session) longData(payload []byte) error {
	l, err := wire.ParseLongData(payload)
	if err != nil {
		return err
	}
	st := s.stmts[l.Statement]
	if st == nil {
		return nil
	}
	if err := st.params.AddLong(l, s.e.limits().PacketBytes); err != nil {
		st.broken = fail(codeArguments, "mysqld_stmt_send_long_data").because(err)
	}
	return nil
}

// closeStatement takes COM_STMT_CLOSE, which has no answer.
func (s *session) closeStatement(payload []byte) error {
	id, err := wire.ParseStatement(payload)
	delete(s.stmts, id)
	return err
}

func (s *session) resetStatement(payload []byte) error {
	id, err := wire.ParseStatement(payload)
	if err != nil {
		return err
	}
	st := s.stmts[id]
	if st == nil {
		return s.tell(fail(codeUnknownStatement, id, "mysqld_stmt_reset"))
	}
	st.params.Reset()
	st.broken = nil
	return s.answer(nil)
}

// unshaped handles an error of COM_STMT_PREPARE at a connection that the session holds: a server may have ended the
// transaction with it (a deadlock of metadata locks does), and an error packet carries no flags.
func (s *session) unshaped(ctx context.Context, conn *backend.Conn, err error) error {
	if err == nil || errors.Is(err, errGone) {
		return err
	}
	if s.tx == nil {
		if lost := s.pinLost(conn); lost != nil {
			return lost.because(err)
		}
		return err
	}
	i := slices.IndexFunc(s.tx.branches, func(b *branch) bool { return b.conn == conn })
	if i < 0 {
		return err
	}
	var said *wire.ServerError
	var own *Error
	switch {
	case errors.Is(err, errTooLong):
		s.rollback(ctx)
		return fail(codeTimeLimit, "open", s.e.limits().MaxTime, "transactions.max_time")
	case errors.As(err, &own):
		return err
	case errors.As(err, &said):
		return s.refused(ctx, s.tx.branches[i], reply{refused: said})
	}
	return s.lost(ctx, s.tx.branches[i], err)
}
