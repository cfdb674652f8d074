package xamysql

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"strconv"
	"strings"
	"time"

	"xaproxy/xa"
)

// MariaDB ends a session in this order (unlink_thd): its prepared branch is given up by the server layer, so that others
// may commit it; the session leaves the session list; InnoDB gives the branch up. An XA COMMIT or XA ROLLBACK between
// the last two finds the branch in the server layer and not in InnoDB, answers OK and does nothing; nobody can end the
// branch until the server is restarted. So absence from the session list is not enough: InnoDB must be asked, too.
// information_schema.innodb_trx may show an old copy for as long as somebody reads it often: it is the second choice.

// detachWait bounds the wait for InnoDB to give a gone session's branch up, which takes microseconds of work.
const detachWait = 2 * time.Second

var errStatus = errors.New("InnoDB's status does not tell which sessions have transactions")

// detached waits until InnoDB has no transaction of a session that has left the session list.
func (c control) detached(ctx context.Context, id xa.SessionID) error {
	if !xa.SameRun(id.Run, c.session.Run) || id.Conn == c.session.Conn {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, detachWait)
	defer cancel()
	pause := time.NewTicker(poll)
	defer pause.Stop()
	for {
		attached, err := c.attached(ctx, id)
		if err != nil || !attached {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: InnoDB has a transaction of connection %d, which has ended: %w", xa.ErrBusy, id.Conn, ctx.Err())
		case <-pause.C:
		}
	}
}

// attached asks InnoDB whether it has a transaction of the session.
func (c control) attached(ctx context.Context, id xa.SessionID) (bool, error) {
	all, err := c.attachedOf(ctx, []xa.SessionID{id})
	return all[id], err
}

// attachedOf asks InnoDB of which sessions of the present run it has a transaction. Our own session has one meanwhile and
// must be shown, else the answer is not understood.
func (c control) attachedOf(ctx context.Context, ids []xa.SessionID) (attached map[xa.SessionID]bool, err error) {
	if _, err := c.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return nil, err
	}
	defer func() {
		_, end := c.exec(ctx, sqlRollback)
		err = errors.Join(err, end)
	}()
	all, err := c.list(ctx, "SHOW ENGINE INNODB STATUS")
	if err != nil {
		return nil, err
	}
	if len(all) != 1 || len(all[0]) != 3 {
		return nil, errStatus
	}
	var asked []xa.SessionID
	for _, id := range ids {
		if xa.SameRun(id.Run, c.session.Run) && id.Conn != c.session.Conn {
			asked = append(asked, id)
		}
	}
	attached = map[xa.SessionID]bool{}
	for _, id := range asked {
		is, err := attachedIn(all[0][2], c.session.Conn, id.Conn)
		if errors.Is(err, errStatus) {
			return c.attachedInTrx(ctx, asked)
		}
		if is {
			attached[id] = true
		}
	}
	return attached, nil
}

// trxTries bounds how often innodb_trx is read until it shows the present.
const trxTries = 8

// attachedInTrx asks the table where the status is too long, as it is with thousands of transactions. The table shows a
// copy, which the server makes anew only when nobody has read it for 100 ms. One in which our own transaction executes
// this very statement is new enough: the sessions had left the session list before.
func (c control) attachedInTrx(ctx context.Context, ids []xa.SessionID) (map[xa.SessionID]bool, error) {
	numbers := []string{digits(c.session.Conn)}
	for _, id := range ids {
		numbers = append(numbers, digits(id.Conn))
	}
	for range trxTries {
		mark := rand.Text()
		found, err := c.list(ctx, "SELECT /* "+mark+" */ trx_mysql_thread_id, trx_query FROM information_schema.innodb_trx WHERE trx_mysql_thread_id IN ("+
			strings.Join(numbers, ",")+")")
		if err != nil {
			return nil, err
		}
		shown, fresh := map[string]bool{}, false
		for _, row := range found {
			shown[row[0]] = true
			fresh = fresh || row[0] == numbers[0] && strings.Contains(row[1], mark)
		}
		if !fresh {
			pause := time.NewTimer(100*time.Millisecond + time.Duration(mrand.Int64N(int64(400*time.Millisecond))))
			select {
			case <-ctx.Done():
				pause.Stop()
				return nil, ctx.Err()
			case <-pause.C:
			}
			continue
		}
		attached := map[xa.SessionID]bool{}
		for i, id := range ids {
			if shown[numbers[i+1]] {
				attached[id] = true
			}
		}
		return attached, nil
	}
	return nil, errStatus
}

// attachedIn reads InnoDB's status: does connection id have a transaction? Connection self has one. A status above 1 MiB
// lacks the beginning of the list, which then says so first, or the end.
func attachedIn(status string, self, id uint32) (bool, error) {
	_, list, found := strings.Cut(status, "\nLIST OF TRANSACTIONS FOR EACH SESSION:\n")
	whole := strings.HasSuffix(strings.TrimRight(status, "=\r\n "), "END OF INNODB MONITOR OUTPUT")
	if !found || !whole || strings.HasPrefix(list, "... truncated...") || !strings.Contains(list, threadLine(self)) {
		return false, errStatus
	}
	return strings.Contains(list, threadLine(id)), nil
}

// threadLine begins the line that names a transaction's session. Clients' statements are shown too: one that looks like
// this line makes a session seem attached while it runs, never detached.
func threadLine(id uint32) string {
	return "\nMariaDB thread id " + strconv.FormatUint(uint64(id), 10) + ","
}
