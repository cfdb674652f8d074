package xamysql

import (
	"context"
	"errors"
	"fmt"

	"xaproxy/xa"
)

// stage says how far a branch's end has come. Both kinds of branches use it.
type stage uint8

const (
	fresh      stage = iota // nothing was sent
	open                    // the transaction was begun; nothing that could make it durable was sent
	suspect                 // something that could make it durable was sent, and how that ended is not known
	prepared                // PREPARE was acknowledged
	committed               // known to be committed
	rolledback              // known to be rolled back
)

var (
	errEnded     = errors.New("branch has been committed already")
	errNotOpened = errors.New("branch was never started")
	errPackets   = errors.New("server's answer has another number of results than statements were sent")
)

// Home is the branch whose own local transaction carries the decision: a plain BEGIN on the session's connection.
type Home struct {
	conn   Conn
	global xa.GlobalID
	wrote  bool
	stage  stage
	clean  bool
}

var _ xa.Home = (*Home)(nil)

// NewHome makes the home branch of a transaction on c. The caller sends BEGIN and says so by MarkOpened.
func NewHome(c Conn) *Home { return &Home{conn: c, clean: true} }

// MarkOpened says that BEGIN was sent, successfully or not. Before, there is nothing to end.
func (h *Home) MarkOpened() {
	h.stage = open
	h.clean = false
}

// MarkWrote says that something that may change data was or is about to be sent (commit-protocol §6.3).
func (h *Home) MarkWrote() { h.wrote = true }

// Abandon closes the branch's connection, whatever is under way on it.
func (h *Home) Abandon() {
	h.clean = false
	abandon(h.conn)
}

// SetGlobal gives the branch its gtrid, once it exists.
func (h *Home) SetGlobal(g xa.GlobalID) { h.global = g }

// Conn is the connection that the branch runs on.
func (h *Home) Conn() Conn { return h.conn }

// Clean reports whether the connection is free of the branch and may be used again; otherwise it must be closed.
func (h *Home) Clean() bool { return h.clean }

// ID implements xa.Branch.
func (h *Home) ID() xa.ID {
	q, err := xa.Qualifier{Session: h.conn.Session()}.Encode()
	if err != nil {
		return xa.ID{Global: h.global}
	}
	return xa.ID{Global: h.global, Branch: q}
}

// Wrote implements xa.Branch.
func (h *Home) Wrote() bool { return h.wrote }

// Prepare implements xa.Branch for a home that only read: ReadOnly while its transaction exists. A home that wrote is
// never prepared: its vote is CommitClaim.
func (h *Home) Prepare(ctx context.Context) (xa.Vote, error) {
	if h.wrote {
		return xa.NoVote, h.fail("prepare", errors.New("home is not prepared"), xa.EffectNone)
	}
	if h.stage == fresh {
		return xa.ReadOnly, nil // nothing was sent, so there is nothing to lose
	}
	if err := stillThere(ctx, h.conn); err != nil {
		return xa.NoVote, h.fail("ask home for its vote", err, xa.EffectNone)
	}
	return xa.ReadOnly, nil
}

// stillThere asks a session whether it is in its transaction.
func stillThere(ctx context.Context, c Conn) error {
	replies, err := c.Exchange(ctx, Command{Kind: Ping})
	if err != nil {
		return err
	}
	if r, ok := last(replies, 0); !ok || r.Err != nil || !c.InTransaction() {
		return xa.ErrLost
	}
	return nil
}

// Commit implements xa.Branch: a plain COMMIT. Of a home that only read no error leaves anything behind.
func (h *Home) Commit(ctx context.Context) error {
	const doing = "commit"
	switch h.stage {
	case fresh, committed:
		return nil
	case rolledback:
		return h.fail(doing, xa.ErrLost, xa.EffectNone)
	case suspect, prepared:
		return h.fail(doing, errors.New("a commit was sent before, its outcome is not known"), xa.EffectUnknown)
	case open:
	}
	if !h.conn.InTransaction() {
		return h.fail(doing, xa.ErrLost, xa.EffectNone)
	}
	h.stage = suspect
	replies, err := h.conn.Exchange(ctx, Command{Kind: Query, SQL: sqlCommit})
	r, ok := last(replies, 0)
	if err == nil && ok && r.Err == nil {
		h.end(committed)
		return nil
	}
	effect, err := commitError(r.Err, err)
	if !h.wrote {
		effect = xa.EffectNone
	}
	if effect == xa.EffectNone {
		h.stage = open
	}
	return failed(doing, xa.ID{Branch: h.ID().Branch}, h.conn, err, effect)
}

// commitError joins what a COMMIT's answer says: serr is its error packet, err the transport's error.
func commitError(serr *ServerError, err error) (xa.Effect, error) {
	switch {
	case serr == nil && err == nil:
		return xa.EffectUnknown, errPackets
	case serr == nil:
		return xa.EffectOf(err), err
	case serr.Number == erBeforeCommit:
		return xa.EffectNone, serr
	}
	return xa.EffectUnknown, serr
}

// Rollback implements xa.Branch: a plain ROLLBACK. When the connection is lost the server rolls back by itself; the
// error then carries EffectDone. After a CommitClaim or Commit whose outcome is not known it frees the session's locks
// and says EffectUnknown whatever the server answers.
func (h *Home) Rollback(ctx context.Context) error {
	const doing = "roll back"
	switch h.stage {
	case fresh, rolledback:
		return nil
	case committed:
		return h.fail(doing, errEnded, xa.EffectNone)
	case open, suspect, prepared:
	}
	replies, err := h.conn.Exchange(ctx, Command{Kind: Query, SQL: sqlRollback})
	r, ok := last(replies, 0)
	switch {
	case err != nil:
	case !ok:
		err = errPackets
	case r.Err != nil:
		err = r.Err
	}
	if h.stage != open {
		return h.fail(doing, errors.Join(errors.New("a commit was sent before"), err), xa.EffectUnknown)
	}
	if err != nil {
		return h.fail(doing, err, xa.EffectDone)
	}
	h.end(rolledback)
	return nil
}

func (h *Home) end(s stage) {
	h.stage = s
	h.clean = !h.conn.InTransaction()
}

// CommitClaim implements xa.Home: the claim's INSERT and COMMIT travel in one packet, so that a claim that exists stops
// the server before COMMIT, and so that no claim waits uncommitted for a proxy that hangs. It is refused with ErrLost
// when the session is known to be out of its transaction: the INSERT would commit by itself, without home's work.
func (h *Home) CommitClaim(ctx context.Context, d xa.Decision) error {
	const doing = "record the decision"
	statement, err := h.claimSQL(d)
	if err != nil {
		return h.fail(doing, err, xa.EffectNone)
	}
	if h.stage != open || !h.conn.InTransaction() {
		return h.fail(doing, xa.ErrLost, xa.EffectNone)
	}
	h.stage = suspect
	replies, err := h.conn.Exchange(ctx, Command{Kind: Query, SQL: statement})
	effect, err := h.claimed(replies, err)
	if err == nil {
		return nil
	}
	if effect == xa.EffectNone {
		h.stage = open
	}
	return h.fail(doing, err, effect)
}

func (h *Home) claimSQL(d xa.Decision) (string, error) {
	if d.Outcome != xa.Committed {
		return "", fmt.Errorf("home records only commits, not %q", d.Outcome)
	}
	if d.Global != h.global {
		return "", fmt.Errorf("the decision is of %s", d.Global)
	}
	n, err := d.Global.Parse()
	if err != nil {
		return "", err
	}
	if n.Home != h.conn.Session() {
		return "", fmt.Errorf("the gtrid names %+v as home, this is %+v", n.Home, h.conn.Session())
	}
	p, err := encodeParticipants(d.Participants)
	if err != nil {
		return "", err
	}
	return insertClaim(d.Global, markCommit, p) + ";" + sqlCommit, nil
}

// claimed says what the answer to the claim's packet means.
func (h *Home) claimed(replies []Reply, err error) (xa.Effect, error) {
	var results []Result
	if len(replies) > 0 {
		results = replies[0].Results
	}
	if len(results) > 0 && results[0].Err != nil {
		// COMMIT behind it was not executed.
		serr := results[0].Err
		if serr.Number == erDuplicate {
			return xa.EffectNone, fmt.Errorf("%w: %w", xa.ErrFenced, serr)
		}
		return xa.EffectNone, serr
	}
	if len(results) > 0 && results[0].Status&StatusInTrans == 0 {
		// The flags were wrong: the INSERT has committed by itself, and home's work was lost before.
		return xa.EffectDone, fmt.Errorf("%w: home's transaction was gone before its claim was recorded", xa.ErrHeuristic)
	}
	if err != nil {
		return xa.EffectOf(err), err
	}
	if len(results) != 2 {
		return xa.EffectUnknown, errPackets
	}
	if serr := results[1].Err; serr != nil {
		return commitError(serr, nil)
	}
	h.end(committed)
	return xa.EffectDone, nil
}

func (h *Home) fail(doing string, err error, effect xa.Effect) error {
	return failed(doing, h.ID(), h.conn, err, effect)
}

// failed wraps err with what was being done, to which branch and where.
func failed(doing string, id xa.ID, c Conn, err error, effect xa.Effect) error {
	return xa.WithEffect(fmt.Errorf("shard %d: %s branch %q%s: %w", c.Session().Shard, doing, id.Branch, of(id.Global), err), effect)
}

func of(g xa.GlobalID) string {
	if g == "" {
		return ""
	}
	return fmt.Sprintf(" of %q", g)
}

// abandon closes a connection that can be closed: its server then ends what was open on it.
func abandon(c Conn) {
	if closer, ok := c.(interface{ Close() }); ok {
		closer.Close()
	}
}

// last is the result that ended the answer to command i.
func last(replies []Reply, i int) (Result, bool) {
	if i >= len(replies) || len(replies[i].Results) == 0 {
		return Result{}, false
	}
	r := replies[i].Results
	return r[len(r)-1], true
}
