package proxy

import (
	"context"
	"errors"
	"time"

	"xaproxy/proxy/wire"
)

// handlerSession is the conversation of a port that a Handler answers.
type handlerSession struct {
	client  *client
	handler Handler
	schema  string
	stmts   map[uint32]string
	lastID  uint32
}

func newHandlerSession(c *client, h Handler) *handlerSession {
	return &handlerSession{client: c, handler: h, schema: c.login.Database, stmts: map[uint32]string{}}
}

func (h *handlerSession) begin(context.Context) error {
	h.publish("Sleep", "")
	return nil
}

func (h *handlerSession) end() {}

func (h *handlerSession) publish(command, sql string) {
	c := h.client
	c.snapshot.Store(&Snapshot{ID: c.id, User: c.user.Name, Addr: c.remote.String(), Schema: h.schema,
		Command: command, Since: time.Now(), Statement: shorten(sql)})
}

func (h *handlerSession) tick(ctx context.Context, _ time.Time) (time.Time, error) {
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	if h.client.srv.draining.Load() {
		return time.Time{}, errGone
	}
	return time.Time{}, nil
}

func (h *handlerSession) command(ctx context.Context, p []byte) error {
	c := h.client
	switch wire.Command(p[0]) {
	case wire.ComPing, wire.ComResetConnection:
		return c.ok(wire.OK{Status: wire.StatusAutocommit})
	case wire.ComInitDB:
		h.schema = string(p[1:])
		return c.ok(wire.OK{Status: wire.StatusAutocommit})
	case wire.ComQuery:
		return h.query(ctx, string(p[1:]), false)
	case wire.ComStmtPrepare:
		return h.prepare(string(p[1:]))
	case wire.ComStmtExecute:
		return h.execute(ctx, p)
	case wire.ComStmtClose:
		id, err := wire.ParseStatement(p)
		delete(h.stmts, id)
		return err
	case wire.ComStmtReset:
		return c.ok(wire.OK{Status: wire.StatusAutocommit})
	case wire.ComSleep, wire.ComQuit, wire.ComFieldList, wire.ComStatistics, wire.ComProcessKill, wire.ComChangeUser,
		wire.ComStmtLongData, wire.ComSetOption, wire.ComStmtFetch:
	}
	return c.writeError(fail(codeUnknownCommand))
}

func (h *handlerSession) query(ctx context.Context, sql string, binary bool) error {
	h.publish("Query", sql)
	defer h.publish("Sleep", "")
	c := h.client
	ctx, stop := h.watch(ctx)
	t, err := h.handler.Query(ctx, Client{ID: c.id, User: c.user, Addr: c.remote.String(), Schema: h.schema}, sql)
	if gone := stop(); gone {
		return errGone
	}
	if err != nil {
		return c.writeError(asError(err))
	}
	if t == nil || len(t.Columns) == 0 {
		return c.ok(wire.OK{Status: wire.StatusAutocommit})
	}
	return c.table(t, wire.StatusAutocommit, binary)
}

// watch ends the context it returns when the client goes. The returned function
// ends the watching and reports whether the client has gone.
func (h *handlerSession) watch(ctx context.Context) (context.Context, func() bool) {
	ctx, cancel := context.WithCancel(ctx)
	if h.client.r.Buffered() > 0 {
		return ctx, func() bool { cancel(); return false }
	}
	stop, done := make(chan struct{}), make(chan bool, 1)
	go func() {
		gone := h.client.src.watch(stop)
		if gone {
			cancel()
		}
		done <- gone
	}()
	return ctx, func() bool {
		close(stop)
		h.client.src.wake()
		gone := <-done
		cancel()
		return gone
	}
}

func (h *handlerSession) prepare(sql string) error {
	c := h.client
	if len(h.stmts) >= c.srv.limits().Statements {
		return c.writeError(fail(codeTooManyStatements, c.srv.limits().Statements))
	}
	h.lastID++
	h.stmts[h.lastID] = sql
	return c.w.Write(wire.AppendPrepared(nil, wire.Prepared{Statement: h.lastID}))
}

func (h *handlerSession) execute(ctx context.Context, p []byte) error {
	id, err := wire.ParseStatement(p)
	if err != nil {
		return err
	}
	sql, known := h.stmts[id]
	if !known {
		return h.client.writeError(fail(codeUnknownStatement, id, "mysqld_stmt_execute"))
	}
	return h.query(ctx, sql, true)
}

// asError finds the *Error in err's chain, or makes an internal one.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return fail(codeInternal, err.Error()).because(err)
}
