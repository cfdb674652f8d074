package proxy

import (
	"context"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// setStatement is SET. All of it happens or nothing: a shard has accepted the
// values before the client is told OK.
func (s *session) setStatement(ctx context.Context, k *call) error {
	forwarded := false
	tracked, mode := false, false
	next, once := s.set, s.once
	known := s.e.catalog.current()
	for _, a := range k.plan.Set {
		var err error
		switch a.Variable {
		case plan.VarUser:
			forwarded = true
			continue
		case plan.VarNothing:
			continue
		case plan.VarNextIsolation, plan.VarNextAccess:
			err = s.setOnce(&once, a)
		case plan.VarInvalid, plan.VarNames, plan.VarCharacterSet, plan.VarCharsetClient, plan.VarCharsetConnection,
			plan.VarCharsetResults, plan.VarCollationConnection, plan.VarSQLMode, plan.VarTimeZone, plan.VarIsolation,
			plan.VarAccess, plan.VarAutocommit, plan.VarIdleTimeout:
			err = next.assign(a, s.login, known.charsets)
		}
		if err != nil {
			return s.tell(err)
		}
		tracked, mode = true, mode || a.Variable == plan.VarSQLMode
	}
	if forwarded && tracked {
		return s.tell(fail(codeUnsupported, "SET of user variables and of settings in one statement; use two"))
	}
	if forwarded {
		return s.targets(ctx, k)
	}
	check := s.check
	if mode {
		check = s.checkMode
	}
	if err := check(ctx, next.state); err != nil {
		return s.tell(err)
	}
	commits := next.autocommit && !s.set.autocommit && s.tx != nil
	s.set, s.once = next, once
	s.guessed = s.guessed || !known.complete
	if commits {
		return s.answerWarned(s.commit(ctx))
	}
	return s.ok(wire.OK{Warnings: uint16(min(s.diag.told, maxConditions))})
}

// setOnce is SET TRANSACTION for the next transaction.
func (s *session) setOnce(o *once, a plan.Assignment) error {
	if s.tx != nil {
		return fail(codeInTransaction)
	}
	if a.Variable == plan.VarNextIsolation {
		o.isolation = backend.Want(a.Value)
		return nil
	}
	o.access = plan.AccessReadWrite
	if a.Value == "READ ONLY" {
		o.access = plan.AccessReadOnly
	}
	return nil
}
