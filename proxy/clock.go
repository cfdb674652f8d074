package proxy

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/xa/xamysql"
)

// clock gives all parts of a statement over several shards one time. The variable
// timestamp is set in front of each part and let go behind it, whatever becomes
// of the part: a clock that stands still would be a silent wrong answer for
// whoever uses the connection next, so one that cannot be let go closes it. The
// first part stops the clock of its own server, the others get that time.
//
// A relay that has a clock does all of it by itself: session.send sees to it. So
// parts that run one after the other need nothing else. Of those that run at the
// same time one has to end before the others begin, unless at is known before.
type clock struct {
	at string // the time as a server tells it; empty: not known yet
}

// clockFor returns the clock that a statement's parts need, or nil.
func clockFor(t plan.Targets) *clock {
	if !t.NeedsClock || len(t.Parts) < 2 {
		return nil
	}
	return &clock{}
}

// front is the statement in front of a part. @@timestamp is the time at which its
// own statement began, with microseconds, and in UTC: no time zone is involved.
func (c *clock) front() string {
	if c.at == "" {
		return "SET timestamp=@@timestamp"
	}
	return "SET timestamp=" + c.at
}

// behindClock follows a part whose clock was stopped. The warnings come first: SET
// forgets them.
const (
	behindClock = "SHOW WARNINGS;SELECT @@timestamp;" + runClock
	runClock    = "SET timestamp=DEFAULT"
)

// then is what is sent behind a part.
func (r *relay) then() string {
	if r.clock == nil {
		return ""
	}
	return behindClock
}

// behind takes the answers to then. It reports whether the clock runs again.
func (r *relay) behind(reply xamysql.Reply) (bool, error) {
	const all = 3
	ran := len(reply.Results) == all && reply.Results[all-1].Err == nil
	if !ran {
		return false, nil
	}
	r.shown = reply.Results[0].Rows
	rows := reply.Results[1].Rows
	if len(rows) != 1 {
		return true, fmt.Errorf("%d rows of @@timestamp", len(rows))
	}
	return true, r.clock.take(rows[0])
}

// take remembers the time from a row of @@timestamp.
func (c *clock) take(row []*string) error {
	if c.at != "" {
		return nil
	}
	if len(row) != 1 || row[0] == nil {
		return errors.New("@@timestamp is missing")
	}
	if _, err := strconv.ParseFloat(*row[0], 64); err != nil {
		return fmt.Errorf("@@timestamp: %w", err)
	}
	c.at = *row[0]
	return nil
}

// letGo makes the clock of a connection run again that a part has left standing.
func letGo(ctx context.Context, conn *backend.Conn) error {
	refused, err := exec(ctx, conn, runClock)
	if err == nil && refused != nil {
		err = refused
	}
	if err != nil {
		conn.Close()
		return fmt.Errorf("let the clock of a session go: %w", err)
	}
	return nil
}
