package xamysql

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"xaproxy/xa"
)

// Bounds of Fence and Collect.
const (
	fenceTimeouts = 3    // lock timeouts of a fence, each a second, before home's session is ended
	collectBatch  = 1000 // keys in one DELETE
)

// Fence implements xa.ClaimStore (commit-protocol §7.3). The context should leave it five seconds: only after three lock
// timeouts of one second does it end a session that is in the way.
func (s *Shard) Fence(ctx context.Context, g xa.GlobalID, a xa.Asker, o xa.Owner) (xa.Outcome, error) {
	out, err := s.fence(ctx, g, a, o)
	if err != nil {
		return xa.Unknown, s.fail(fmt.Sprintf("ask for the outcome of %q", g), err)
	}
	return out, nil
}

func (s *Shard) fence(ctx context.Context, g xa.GlobalID, a xa.Asker, o xa.Owner) (xa.Outcome, error) {
	n, err := s.home(g)
	if err != nil {
		return xa.Unknown, err
	}
	c, err := primary(ctx, s.settle)
	if err != nil {
		return xa.Unknown, err
	}
	defer c.putBack()
	inserted, err := c.proposeAbort(ctx, g, n, a)
	for timeouts := 1; number(err) == erLockTimeout && timeouts < fenceTimeouts; timeouts++ {
		inserted, err = c.proposeAbort(ctx, g, n, a)
	}
	if number(err) == erLockTimeout && o == xa.OwnerGone {
		// Who is in the way needs no look at lock tables: g names home's session.
		if err := c.clear(ctx, n.Home, o); err != nil {
			return xa.Unknown, err
		}
		inserted, err = c.proposeAbort(ctx, g, n, a)
	}
	switch {
	case inserted:
		return xa.Aborted, nil // the INSERT's own commit made it durable
	case err != nil && number(err) != erDuplicate:
		return xa.Unknown, err
	}
	d, err := s.recorded(ctx, c, g, n)
	if err != nil {
		return xa.Unknown, err
	}
	return d.answer(a)
}

// selectClaim reads claims for claimOf.
const selectClaim = "SELECT name, outcome, participants, GREATEST(0, TIMESTAMPDIFF(MICROSECOND, created, SYSDATE(3)) DIV 1000) FROM xaproxy.claim"

// home checks that g is a name of this cluster whose home is this shard: asking another one would record an abort
// beside a commit.
func (s *Shard) home(g xa.GlobalID) (xa.GlobalName, error) {
	n, err := g.Parse()
	if err != nil {
		return n, err
	}
	if n.Cluster != s.o.Cluster {
		return n, fmt.Errorf("%w: it is of cluster %010x", xa.ErrForeign, uint64(n.Cluster))
	}
	if n.Home.Shard != s.o.Number {
		return n, fmt.Errorf("%w: its home is shard number %d", ErrIdentity, n.Home.Shard)
	}
	return n, nil
}

// proposeAbort inserts the abort row; true: it is recorded now. For the owner the row is inserted only while its
// incarnation is live, in the same statement (R9).
func (c control) proposeAbort(ctx context.Context, g xa.GlobalID, n xa.GlobalName, a xa.Asker) (bool, error) {
	none, err := encodeParticipants(nil)
	if err != nil {
		return false, err
	}
	statement := insertClaim(g, markAbort, none)
	if a == xa.AskOwner {
		statement = "INSERT INTO xaproxy.claim (name,outcome,participants,created) SELECT " + claimValues(g, markAbort, none) +
			" FROM xaproxy.node WHERE " + nodeKey(n.Node, n.Incarnation) + " AND state=" + literal(stateLive) + " LOCK IN SHARE MODE"
	}
	affected, err := c.exec(ctx, statement)
	return err == nil && affected == 1, err
}

// record is what one statement read of a claim and its owner's row.
type record struct {
	decision xa.Decision // Outcome Undecided: no row
	owner    string      // node.state, "" without a row
	upto     uint64      // node.collected_upto
}

// recorded reads the claim of g and its owner's state in one statement. A commit is reported only after a write of our
// own was committed behind it on the same connection: without a binary log a commit is visible before it is durable
// (R10).
func (s *Shard) recorded(ctx context.Context, c control, g xa.GlobalID, n xa.GlobalName) (record, error) {
	all, err := c.list(ctx, "SELECT c.outcome, c.participants, n.state, n.collected_upto FROM (SELECT 1 AS one) AS o LEFT JOIN xaproxy.claim AS c ON c.name="+
		literal(string(g))+" LEFT JOIN xaproxy.node AS n ON n.node_id="+digits(n.Node)+" AND n.incarnation="+digits(n.Incarnation))
	if err != nil {
		return record{}, err
	}
	if len(all) != 1 {
		return record{}, fmt.Errorf("claim and node: %d rows instead of one", len(all))
	}
	row := all[0]
	r := record{decision: xa.Decision{Global: g}, owner: row[2]}
	if row[3] != "" {
		if r.upto, err = strconv.ParseUint(row[3], 10, 64); err != nil {
			return record{}, fmt.Errorf("collected_upto %q: %w", row[3], err)
		}
	}
	if row[0] == "" {
		return r, nil
	}
	if r.decision.Outcome, err = outcomeOf(row[0]); err != nil {
		return record{}, err
	}
	if r.decision.Participants, err = decodeParticipants(row[1]); err != nil {
		return record{}, err
	}
	if r.decision.Outcome == xa.Committed {
		err = c.barrier(ctx, s.o.Node)
	}
	return r, err
}

// answer is what the asker may conclude from a record when his own INSERT recorded nothing.
func (r record) answer(a xa.Asker) (xa.Outcome, error) {
	switch r.decision.Outcome {
	case xa.Committed:
		return xa.Committed, nil
	case xa.Aborted:
		if a == xa.AskOwner && r.owner != stateLive {
			return xa.Unknown, nil // R9: it may be a late recoverer's, after the commit was collected
		}
		return xa.Aborted, nil
	case xa.Undecided:
		if a == xa.AskOwner {
			return xa.Unknown, nil
		}
	case xa.Unknown:
	}
	return xa.Unknown, errors.New("the claim went away between two statements: ask again")
}

// barrier commits a small write: its flush covers everything that was committed before it. It always changes a row.
func (c control) barrier(ctx context.Context, node uint32) error {
	affected, err := c.exec(ctx, "INSERT INTO xaproxy.barrier (node_id,passed) VALUES ("+digits(node)+",1) ON DUPLICATE KEY UPDATE passed=passed+1")
	if err == nil && affected == 0 {
		err = errors.New("nothing was written")
	}
	if err != nil {
		return fmt.Errorf("barrier: %w", err)
	}
	return nil
}

// Peek implements xa.ClaimStore.
func (s *Shard) Peek(ctx context.Context, g xa.GlobalID) (xa.Record, error) {
	r, err := s.peek(ctx, g)
	if err != nil {
		return xa.Record{}, s.fail(fmt.Sprintf("read the claim of %q", g), err)
	}
	return xa.Record{Decision: r.decision, OwnerDead: r.owner == stateDead, CollectedUpto: r.upto}, nil
}

func (s *Shard) peek(ctx context.Context, g xa.GlobalID) (record, error) {
	n, err := s.home(g)
	if err != nil {
		return record{}, err
	}
	c, err := primary(ctx, s.settle)
	if err != nil {
		return record{}, err
	}
	defer c.putBack()
	return s.recorded(ctx, c, g, n)
}

// Sweep implements xa.ClaimStore. Names that are not of this cluster's transactions are left out. A claim that is
// damaged ends the sweep.
func (s *Shard) Sweep(ctx context.Context) iter.Seq2[xa.Claim, error] {
	return func(yield func(xa.Claim, error) bool) {
		after := ""
		for {
			page, next, err := s.sweepPage(ctx, after)
			if err != nil {
				yield(xa.Claim{}, s.fail("list claims", err))
				return
			}
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			after = next
		}
	}
}

// sweepPage reads the claims behind a name, in order of names; next is "" at the end. Plain reads lock nothing.
func (s *Shard) sweepPage(ctx context.Context, after string) (page []xa.Claim, next string, err error) {
	c, err := primary(ctx, s.settle)
	if err != nil {
		return nil, "", err
	}
	defer c.putBack()
	all, err := c.list(ctx, selectClaim+" WHERE name > "+literal(after)+" ORDER BY name LIMIT "+strconv.Itoa(collectBatch))
	if err != nil {
		return nil, "", err
	}
	for _, row := range all {
		next = row[0]
		n, err := xa.GlobalID(row[0]).Parse()
		if err != nil || n.Cluster != s.o.Cluster {
			continue
		}
		claim, err := claimOf(row)
		if err != nil {
			return nil, "", fmt.Errorf("claim %q: %w", row[0], err)
		}
		page = append(page, claim)
	}
	if len(all) < collectBatch {
		next = ""
	}
	return page, next, nil
}

// claimOf decodes name, outcome, participants and age in milliseconds.
func claimOf(row []string) (xa.Claim, error) {
	c := xa.Claim{Decision: xa.Decision{Global: xa.GlobalID(row[0])}}
	var err error
	if c.Outcome, err = outcomeOf(row[1]); err != nil {
		return c, err
	}
	if c.Participants, err = decodeParticipants(row[2]); err != nil {
		return c, err
	}
	c.AgeMillis, err = strconv.ParseInt(row[3], 10, 64)
	return c, err
}

// Collect implements xa.ClaimStore. A row is removed only while it says what the claim says. The owners' incarnations
// must have rows here when commits are collected: they carry collected_upto.
func (s *Shard) Collect(ctx context.Context, a xa.Asker, claims []xa.Claim) error {
	for batch := range slices.Chunk(claims, collectBatch) {
		if err := s.collect(ctx, a, batch); err != nil {
			return s.fail("collect claims", err)
		}
	}
	return nil
}

// incarnation names an incarnation of a node.
type incarnation struct{ node, number uint32 }

// collect raises collected_upto first and then deletes, each in a commit of its own: no lock is held from one round trip
// to the next, where a proxy that stands still would keep it. A claim that is still there behind a raised collected_upto
// is told as it is; the other order would have a claim gone that nothing says was there.
func (s *Shard) collect(ctx context.Context, a xa.Asker, claims []xa.Claim) error {
	commits, aborts, upto, err := s.sorted(claims)
	if err != nil {
		return err
	}
	c, err := primary(ctx, s.settle)
	if err != nil {
		return err
	}
	defer c.putBack()
	for i, sequence := range upto {
		if err := c.raise(ctx, a, i, sequence); err != nil {
			return err
		}
	}
	if len(upto) > 0 && a == xa.AskRecoverer {
		// The dead marks that were read are durable behind this flush (R2, R10).
		if err := c.barrier(ctx, s.o.Node); err != nil {
			return err
		}
	}
	if err := c.remove(ctx, markCommit, commits); err != nil {
		return err
	}
	return c.remove(ctx, markAbort, aborts)
}

// remove deletes the rows whose names are given as literals, by key.
func (c control) remove(ctx context.Context, mark string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names) // in one order everywhere, so that two collectors do not deadlock
	_, err := c.exec(ctx, "DELETE FROM xaproxy.claim WHERE name IN ("+strings.Join(names, ",")+") AND outcome="+literal(mark))
	return err
}

// raise makes an absent claim at or below sequence mean "ended, no longer recorded". What a recoverer is about to delete
// belongs to an incarnation that is marked dead, and a mark stays.
func (c control) raise(ctx context.Context, a xa.Asker, i incarnation, sequence uint64) error {
	_, err := c.exec(ctx, "UPDATE xaproxy.node SET collected_upto=GREATEST(collected_upto,"+strconv.FormatUint(sequence, 10)+") WHERE "+nodeKey(i.node, i.number))
	if err != nil {
		return err
	}
	found, err := c.list(ctx, "SELECT state FROM xaproxy.node WHERE "+nodeKey(i.node, i.number))
	switch {
	case err != nil:
		return err
	case len(found) != 1:
		return fmt.Errorf("%w: node %d, incarnation %d", ErrUnregistered, i.node, i.number)
	case a == xa.AskRecoverer && found[0][0] != stateDead:
		return fmt.Errorf("%w: node %d, incarnation %d", ErrOwnerLive, i.node, i.number)
	}
	return nil
}

// sorted splits claims into the literals of commits and aborts and finds the highest sequence of each owner's commits.
func (s *Shard) sorted(claims []xa.Claim) (commits, aborts []string, upto map[incarnation]uint64, err error) {
	upto = map[incarnation]uint64{}
	for _, c := range claims {
		n, err := s.home(c.Global)
		if err != nil {
			return nil, nil, nil, err
		}
		switch c.Outcome {
		case xa.Committed:
			commits = append(commits, literal(string(c.Global)))
			i := incarnation{n.Node, n.Incarnation}
			upto[i] = max(upto[i], n.Sequence)
		case xa.Aborted:
			aborts = append(aborts, literal(string(c.Global)))
		case xa.Undecided, xa.Unknown:
			return nil, nil, nil, fmt.Errorf("claim %q is %s", c.Global, c.Outcome)
		}
	}
	return commits, aborts, upto, nil
}

// HomeGone implements xa.ClaimStore.
func (s *Shard) HomeGone(ctx context.Context, g xa.GlobalID) (bool, error) {
	gone, err := s.homeGone(ctx, g)
	if err != nil {
		return false, s.fail(fmt.Sprintf("look for home's session of %q", g), err)
	}
	return gone, nil
}

func (s *Shard) homeGone(ctx context.Context, g xa.GlobalID) (bool, error) {
	n, err := s.home(g)
	if err != nil {
		return false, err
	}
	c, err := primary(ctx, s.settle)
	if err != nil {
		return false, err
	}
	defer c.putBack()
	there, err := c.present(ctx, n.Home)
	return err == nil && !there, err
}

func digits(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
