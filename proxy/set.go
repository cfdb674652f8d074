package proxy

import (
	"context"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// setting is what one SET makes of a session's settings.
type setting struct {
	next      settings
	once      once
	forwarded bool // it has user variables: shards execute it
	tracked   bool // it has settings that the session keeps
	mode      bool // sql_mode is among them
}

// setStatement is SET. All of it happens or nothing: a shard has accepted the
// values before the client is told OK.
func (s *session) setStatement(ctx context.Context, k *call) error {
	known := s.e.catalog.current()
	w, err := s.assigned(k.plan.Set, known.charsets)
	switch {
	case err != nil:
		return s.tell(err)
	case w.forwarded && w.tracked:
		return s.tell(fail(codeUnsupported, "SET of user variables and of settings in one statement; use two"))
	case w.forwarded:
		return s.targets(ctx, k)
	}
	check := s.check
	if w.mode {
		check = s.checkMode
	}
	if err := check(ctx, w.next.state); err != nil {
		return s.tell(err)
	}
	commits := w.next.autocommit && !s.set.autocommit && s.tx != nil
	s.set, s.once = w.next, w.once
	s.guessed = s.guessed || !known.complete
	if commits {
		return s.answerWarned(s.commit(ctx))
	}
	return s.ok(wire.OK{Warnings: uint16(min(s.diag.told, maxConditions))})
}

// assigned applies assignments to a copy of the session's settings.
func (s *session) assigned(list []plan.Assignment, known charsets) (setting, error) {
	w := setting{next: s.set, once: s.once}
	for _, a := range list {
		var err error
		switch a.Variable {
		case plan.VarUser:
			w.forwarded = true
			continue
		case plan.VarNothing:
			continue
		case plan.VarNextIsolation, plan.VarNextAccess:
			err = s.setOnce(&w.once, a)
		case plan.VarInvalid, plan.VarNames, plan.VarCharacterSet, plan.VarCharsetClient, plan.VarCharsetConnection,
			plan.VarCharsetResults, plan.VarCollationConnection, plan.VarSQLMode, plan.VarTimeZone, plan.VarIsolation,
			plan.VarAccess, plan.VarAutocommit, plan.VarReportGtrid, plan.VarIdleTimeout:
			err = w.next.assign(a, s.login, known)
		}
		if err != nil {
			return w, err
		}
		w.tracked, w.mode = true, w.mode || a.Variable == plan.VarSQLMode
	}
	return w, nil
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
