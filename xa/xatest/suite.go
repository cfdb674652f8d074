package xatest

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xaproxy/xa"
)

// patience bounds every single test of the suite.
const patience = 30 * time.Second

// TestResource runs the conformance suite: each test on a subject that make returns (the same one or a new one). It
// leaves rows of nodes behind and nothing else.
func TestResource(t *testing.T, make func(t *testing.T) Subject) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"a prepared branch commits on its own session", ownCommit},
		{"a prepared branch rolls back on its own session", ownRollback},
		{"a branch commits in one phase", onePhase},
		{"an open branch rolls back", openRollback},
		{"a branch that was never started ends", freshEnds},
		{"a reader votes ReadOnly while it exists and is not listed", reader},
		{"home that only read votes ReadOnly", homeReader},
		{"a lost session leaves nothing of an open branch", lostOpen},
		{"a prepared branch outlives its session and is committed, twice", recoverCommit},
		{"a prepared branch outlives its session and is rolled back, twice", recoverRollback},
		{"a branch of a living owner is not rolled back behind its back", busy},
		{"a branch of a gone owner loses its session first", killOwner},
		{"ending a branch that never was", neverWas},
		{"names of other clusters, other shards and nonsense are refused", foreign},
		{"claim and home's work commit together", claimCommits},
		{"a decision without work of home's own", decisionOnly},
		{"a fence stops the claim", fenceStops},
		{"a fence finds the claim", fenceFinds},
		{"a fence does not wait for a home that has not decided", fenceOpenHome},
		{"peeking changes nothing", peek},
		{"the claim is refused when home's transaction is not there", lostClaim},
		{"fences and the claim race: one outcome", race},
		{"the owner asks while it lives", ownerLives},
		{"the owner asks after it was marked dead (R9)", ownerDead},
		{"the owner asks where it never registered", ownerUnregistered},
		{"a sweep lists claims with age and participants", sweep},
		{"collecting raises collected_upto for commits only", collect},
		{"collecting removes only what it names", collectExact},
		{"home is gone when its session is", homeGone},
		{"nodes live, beat and die", nodes},
		{"the dead mark of an incarnation that never wrote", deadStranger},
		{"a node's name has one holder", hold},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s := make(t)
			c.test(t, &suite{Subject: s, ctx: ctx, shard: s.Resource(), incarnation: newIncarnation()})
		})
	}
}

// suite is a subject, and the proxy that the test plays.
type suite struct {
	Subject
	ctx         context.Context // a test's whole life
	shard       Shard
	incarnation uint32
	sequence    uint64
}

// playedNode is the node that tests play.
const playedNode = 42

var incarnations atomic.Uint32

func newIncarnation() uint32 { return uint32(time.Now().Unix()%1000000)*16 + incarnations.Add(1) }

// global names a transaction with home at a session.
func (s *suite) global(t *testing.T, home xa.SessionID) xa.GlobalID {
	t.Helper()
	s.sequence++
	n := xa.GlobalName{Cluster: s.Cluster(), Node: playedNode, Incarnation: s.incarnation, Sequence: s.sequence, Home: home}
	if _, err := rand.Read(n.Random[:]); err != nil {
		t.Fatal(err)
	}
	g, err := n.ID()
	must(t, err)
	return g
}

// id names a branch of g on a session.
func (s *suite) id(t *testing.T, g xa.GlobalID, session xa.SessionID) xa.ID {
	t.Helper()
	q, err := xa.Qualifier{Session: session, Ordinal: 1}.Encode()
	must(t, err)
	return xa.ID{Global: g, Branch: q}
}

// elsewhere is a home at another shard.
func (s *suite) elsewhere() xa.SessionID {
	return xa.SessionID{Shard: s.shard.Shard() ^ 1, Run: 1, Conn: 1}
}

// opened is a branch with a session, a name and a key that it adds 1 to.
type opened struct {
	Session
	xa.Branch
	id  xa.ID
	key string
}

// ID is the branch's, not the session's.
func (o opened) ID() xa.ID { return o.id }

func (s *suite) open(t *testing.T) opened {
	t.Helper()
	o := opened{Session: s.Open(t), key: newKey()}
	o.id = s.id(t, s.global(t, s.elsewhere()), o.Session.ID())
	o.Branch = o.Session.Branch(t, o.id)
	return o
}

func (s *suite) writer(t *testing.T) opened {
	t.Helper()
	o := s.open(t)
	o.Touch(t, o.key, 1)
	return o
}

func (s *suite) prepared(t *testing.T) opened {
	t.Helper()
	o := s.writer(t)
	s.wantVote(t, o, xa.Prepared)
	return o
}

func (s *suite) wantVote(t *testing.T, b xa.Branch, want xa.Vote) {
	t.Helper()
	got, err := b.Prepare(s.ctx)
	must(t, err)
	if got != want {
		t.Fatalf("vote is %s, want %s", got, want)
	}
}

// home is a home branch that has added 1 to a key.
type home struct {
	Session
	xa.Home
	g   xa.GlobalID
	key string
}

// ID is the branch's, not the session's.
func (h home) ID() xa.ID { return h.Home.ID() }

func (s *suite) home(t *testing.T) home {
	t.Helper()
	h := s.openHome(t)
	h.Touch(t, h.key, 1)
	return h
}

func (s *suite) openHome(t *testing.T) home {
	t.Helper()
	h := home{Session: s.Open(t), key: newKey()}
	h.g = s.global(t, h.Session.ID())
	h.Home = h.Session.Home(t, h.g)
	return h
}

// decide records the commit of a home branch with the given participants.
func (s *suite) decide(h home, participants ...string) error {
	return h.CommitClaim(s.ctx, xa.Decision{Global: h.g, Outcome: xa.Committed, Participants: participants})
}

// committed is a home whose claim is recorded and whose session is gone.
func (s *suite) committed(t *testing.T) home {
	t.Helper()
	h := s.home(t)
	must(t, s.decide(h))
	h.Cut()
	s.WaitGone(t, h.Session.ID())
	return h
}

func (s *suite) wantValue(t *testing.T, key string, want int) {
	t.Helper()
	if got := s.Value(t, key); got != want {
		t.Fatalf("key %s is %d, want %d", key, got, want)
	}
}

func (s *suite) wantListed(t *testing.T, id xa.ID, want bool) {
	t.Helper()
	found := false
	for got, err := range s.shard.InDoubt(s.ctx) {
		must(t, err)
		found = found || got == id
	}
	if found != want {
		t.Fatalf("listed: %v, want %v", found, want)
	}
}

func (s *suite) wantFence(t *testing.T, g xa.GlobalID, a xa.Asker, want xa.Outcome) {
	t.Helper()
	got, err := s.shard.Fence(s.ctx, g, a, xa.OwnerAlive)
	must(t, err)
	if got != want {
		t.Fatalf("fence says %s, want %s", got, want)
	}
}

func (s *suite) wantPeek(t *testing.T, g xa.GlobalID, want xa.Outcome) xa.Record {
	t.Helper()
	d, err := s.shard.Peek(s.ctx, g)
	must(t, err)
	if d.Outcome != want || d.Global != g {
		t.Fatalf("peek says %s of %q, want %s of %q", d.Outcome, d.Global, want, g)
	}
	return d
}

func (s *suite) register(t *testing.T) {
	t.Helper()
	must(t, s.shard.Register(s.ctx, xa.Node{ID: playedNode, Incarnation: s.incarnation, Endpoint: "here"}))
}

// self is the row of the played incarnation.
func (s *suite) self(t *testing.T) (xa.Node, bool) {
	t.Helper()
	all, err := s.shard.Nodes(s.ctx)
	must(t, err)
	i := slices.IndexFunc(all, func(n xa.Node) bool { return n.ID == playedNode && n.Incarnation == s.incarnation })
	if i < 0 {
		return xa.Node{}, false
	}
	return all[i], true
}

func newKey() string { return "k" + base32.HexEncoding.EncodeToString(random())[:20] }

func random() []byte {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want an error wrapping %q", err, want)
	}
}

func wantEffect(t *testing.T, err error, want xa.Effect) {
	t.Helper()
	if got := xa.EffectOf(err); got != want {
		t.Fatalf("effect of %v is %s, want %s", err, got, want)
	}
}

// together runs functions at the same time and waits for them.
func together(fs ...func()) {
	var all sync.WaitGroup
	for _, f := range fs {
		all.Go(f)
	}
	all.Wait()
}
