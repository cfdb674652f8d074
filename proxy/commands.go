package proxy

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// processKill answers COM_PROCESS_KILL: KILL of a session, by its number.
func (s *session) processKill(ctx context.Context, p []byte) error {
	if len(p) < 5 {
		return fail(codeMalformed, "COM_PROCESS_KILL without a number")
	}
	return s.answer(s.kill(ctx, plan.Kill{ID: uint64(binary.LittleEndian.Uint32(p[1:]))}))
}

// statistics answers COM_STATISTICS: a line of text instead of a packet, as
// mysqladmin status shows it.
func (s *session) statistics() error {
	up := int(time.Since(s.c.srv.begun).Seconds())
	return s.c.w.Write(fmt.Appendf(nil, "Uptime: %d  Threads: %d", up, len(s.c.srv.all())))
}

// setOption answers COM_SET_OPTION, which allows and forbids several statements in
// one packet. The answer is an EOF packet, or OK where the client knows none.
func (s *session) setOption(p []byte) error {
	if len(p) < 3 {
		return fail(codeMalformed, "COM_SET_OPTION without an option")
	}
	switch binary.LittleEndian.Uint16(p[1:]) {
	case 0:
		s.multi = true
	case 1:
		s.multi = false
	default:
		return s.tell(fail(codeUnknownCommand))
	}
	return s.c.w.Write(wire.AppendEnd(nil, s.c.caps, wire.OK{Status: s.status(0)}))
}

// changeUser answers COM_CHANGE_USER: a new login on the same connection, with
// nothing left of the old one (an open transaction is rolled back first).
func (s *session) changeUser(ctx context.Context, p []byte) error {
	if err := s.reset(ctx); err != nil {
		return err
	}
	if err := s.c.changeUser(p); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	return s.ok(wire.OK{})
}
