package xamysql

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"xaproxy/xa"
)

// killWait bounds the wait for a killed session to leave the server's session list.
const killWait = 10 * time.Second

// poll is the pause between two looks at the session list.
const poll = 5 * time.Millisecond

// present reports whether the session that is named may still be at the server: listed, and of the server's present
// run. The answer false is evidence; so it fails when the account may not see all sessions.
func (c control) present(ctx context.Context, id xa.SessionID) (bool, error) {
	if !xa.SameRun(id.Run, c.session.Run) {
		return false, nil
	}
	if id.Conn == c.session.Conn {
		// This is our own session, which opened no branch: the named one was of a run that ended seconds after it began.
		return false, nil
	}
	if !c.process {
		return false, ErrBlind
	}
	n, err := c.one(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE id="+strconv.FormatUint(uint64(id.Conn), 10))
	if err != nil {
		return false, fmt.Errorf("look for session %d: %w", id.Conn, err)
	}
	return n != "0", nil
}

// clear makes sure that the named session is gone from the server: it is ended when its owner is gone and waited for.
// ErrBusy: it lives and may not be ended.
func (c control) clear(ctx context.Context, id xa.SessionID, o xa.Owner) error {
	there, err := c.present(ctx, id)
	if err != nil || !there {
		return err
	}
	switch o {
	case xa.OwnerAlive:
		return fmt.Errorf("%w: connection %d", xa.ErrBusy, id.Conn)
	case xa.OwnerGone:
		return c.kill(ctx, id)
	}
	return fmt.Errorf("%w: connection %d, and its owner is invalid", xa.ErrBusy, id.Conn)
}

// kill ends a session and waits until it has left the session list. Only then is what it was doing over: a session that
// was executing XA PREPARE or XA COMMIT finishes it first.
func (c control) kill(ctx context.Context, id xa.SessionID) error {
	_, err := c.exec(ctx, "KILL CONNECTION "+strconv.FormatUint(uint64(id.Conn), 10))
	if err != nil && number(err) != erNoSuchThread {
		return fmt.Errorf("end session %d: %w", id.Conn, err)
	}
	ctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	pause := time.NewTicker(poll)
	defer pause.Stop()
	for {
		there, err := c.present(ctx, id)
		if err != nil || !there {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: connection %d was killed and has not ended yet: %w", xa.ErrBusy, id.Conn, ctx.Err())
		case <-pause.C:
		}
	}
}
