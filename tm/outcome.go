package tm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"xaproxy/tm/internal/protocol"
	"xaproxy/xa"
)

// Outcome answers what became of g (XA OUTCOME, commit-protocol §7.8). It may
// record an abort. With an error nothing is known: ask again.
func (m *Manager) Outcome(ctx context.Context, g xa.GlobalID) (Report, error) {
	r := Report{Global: g}
	n, home, err := m.locate(g)
	if err != nil {
		return r, err
	}
	r.Name, r.Owner = n, m.owner(n)
	if t := m.liveTxn(g); t != nil {
		switch t.told() {
		case xa.Committed:
			r.State = Committed
			return r, nil
		case xa.Aborted:
			r.State = Aborted
			return r, nil
		case xa.Undecided, xa.Unknown:
		}
	}
	for {
		ruling, err := m.standing(ctx, home, &r)
		if err != nil {
			return r, err
		}
		switch ruling {
		case protocol.ReportMustFence:
			if r.Fenced {
				return r, fmt.Errorf("outcome of %s: recorded an abort at shard %s, but nothing is there", g, home.name)
			}
			if _, err := m.fence(ctx, g, n); err != nil {
				return r, err
			}
			// The answer of the fence may be posthumous: read again.
			r.Fenced = true
			home.sweep.raise()
			continue
		case protocol.ReportCommitted:
			r.State = Committed
		case protocol.ReportAborted:
			r.State = Aborted
		case protocol.ReportActive:
			r.State = Active
		case protocol.ReportEndedNotRecorded:
			r.State = EndedNotRecorded
		}
		m.logOutcome(r)
		return r, nil
	}
}

func (m *Manager) logOutcome(r Report) {
	if r.Fenced {
		m.log.Info("was asked for an outcome and recorded an abort", slog.String("gtrid", string(r.Global)),
			slog.String("state", r.State.String()))
	}
}

// locate decodes g and finds its home.
func (m *Manager) locate(g xa.GlobalID) (xa.GlobalName, *site, error) {
	n, err := g.Parse()
	if err != nil {
		return n, nil, err
	}
	if n.Cluster != m.o.Cluster {
		return n, nil, fmt.Errorf("transaction %s: %w", g, xa.ErrForeign)
	}
	home := m.site(n.Home.Shard)
	if home == nil {
		return n, nil, fmt.Errorf("home of %s is shard number %d: %w", g, n.Home.Shard, ErrUnknownShard)
	}
	return n, home, nil
}

// standing reads what home says about r.Global: claim and collected_upto in one
// statement, else a crash of home between two readings could take back what the
// first had seen.
func (m *Manager) standing(ctx context.Context, home *site, r *Report) (protocol.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
	defer cancel()
	live := m.liveTxn(r.Global) != nil
	d, err := home.Claims.Peek(ctx, r.Global)
	if err != nil {
		return 0, fmt.Errorf("read the claim of %s at shard %s: %w", r.Global, home.name, err)
	}
	r.Participants = d.Participants
	return protocol.ReadOutcome(protocol.Standing{
		Row: d.Outcome, Sequence: r.Name.Sequence, CollectedUpto: d.CollectedUpto,
		OwnerLive: live, InLiveTable: live,
	}), nil
}

// InDoubt lists the prepared branches at all shards, and an error for each
// shard that could not be listed.
func (m *Manager) InDoubt(ctx context.Context) ([]InDoubt, []error) {
	var (
		mu   sync.Mutex
		all  []InDoubt
		errs []error
	)
	now := time.Now()
	m.everywhere(func(s *site) {
		list, err := m.list(ctx, s)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs = append(errs, err)
			return
		}
		for _, f := range list {
			all = append(all, InDoubt{
				ID: f.id, Shard: s.number, Name: f.name, Qualifier: f.qualifier,
				Seen: now.Sub(s.firstSeen(f.id, now)), Owner: m.owner(f.name),
				Live:      m.liveTxn(f.id.Global) != nil,
				Misplaced: f.qualifier.Session.Shard != s.number,
				NoHome:    m.site(f.name.Home.Shard) == nil,
			})
		}
	})
	slices.SortFunc(all, func(a, b InDoubt) int {
		if c := strings.Compare(string(a.ID.Global), string(b.ID.Global)); c != 0 {
			return c
		}
		if c := int(a.Shard) - int(b.Shard); c != 0 {
			return c
		}
		return strings.Compare(a.ID.Branch, b.ID.Branch)
	})
	return all, errs
}

// Resolve finishes the prepared branches of g as its claim says, recording an
// abort if there is no claim and its owner does not live. Results are re-read
// from the shards. The error says which shards could not be asked.
func (m *Manager) Resolve(ctx context.Context, g xa.GlobalID) ([]Resolution, error) {
	if _, _, err := m.locate(g); err != nil {
		return nil, err
	}
	return m.resolveIf(ctx, func(d InDoubt) bool { return d.ID.Global == g })
}

// ResolveAll is Resolve for every prepared branch of the cluster.
func (m *Manager) ResolveAll(ctx context.Context) ([]Resolution, error) {
	return m.resolveIf(ctx, func(InDoubt) bool { return true })
}

func (m *Manager) resolveIf(ctx context.Context, want func(InDoubt) bool) ([]Resolution, error) {
	list, errs := m.InDoubt(ctx)
	var out []Resolution
	touched := map[xa.ShardID]bool{}
	for _, d := range list {
		if !want(d) {
			continue
		}
		r := m.resolveBranch(ctx, d)
		touched[d.Shard] = touched[d.Shard] || r.Action == Finished
		out = append(out, r)
	}
	errs = append(errs, m.verify(ctx, out, touched)...)
	return out, errors.Join(errs...)
}

// resolveBranch ends one branch unless its owner is at work on it.
func (m *Manager) resolveBranch(ctx context.Context, d InDoubt) Resolution {
	r := Resolution{ID: d.ID, Shard: d.Shard}
	f := found{id: d.ID, name: d.Name, qualifier: d.Qualifier}
	s, home := m.site(d.Shard), m.site(d.Name.Home.Shard)
	switch {
	case d.Misplaced:
		r.Err = fmt.Errorf("the branch belongs to shard number %d: the database at shard %s is a copy", d.Qualifier.Session.Shard, s.name)
		return r
	case home == nil:
		r.Err = fmt.Errorf("home is shard number %d: %w", d.Name.Home.Shard, ErrUnknownShard)
		return r
	case d.Live && !m.isSuspect(d.ID):
		r.Err = errors.New("this proxy is at work on the transaction")
		return r
	}
	call, cancel := context.WithTimeout(ctx, m.time.VerbTimeout)
	defer cancel()
	claim, err := home.Claims.Peek(call, d.ID.Global)
	if err != nil {
		r.Err = fmt.Errorf("read the claim at shard %s: %w", home.name, err)
		return r
	}
	r.Outcome = claim.Outcome
	if claim.Outcome == xa.Undecided && d.Owner == OwnerLive {
		r.Err = fmt.Errorf("nothing is decided and its owner, node %d incarnation %d, lives", d.Name.Node, d.Name.Incarnation)
		return r
	}
	o, err := m.recoverBranch(ctx, s, f)
	if o != xa.Undecided {
		r.Outcome = o
	}
	r.Action, r.Err = Finished, err
	if err != nil {
		r.Action = StillListed
	}
	return r
}

// verify looks at the shards again, so that nothing is reported that is not so.
func (m *Manager) verify(ctx context.Context, out []Resolution, touched map[xa.ShardID]bool) []error {
	var errs []error
	for n := range touched {
		if !touched[n] {
			continue
		}
		list, err := m.list(ctx, m.site(n))
		if err != nil {
			errs = append(errs, err)
		}
		for i := range out {
			r := &out[i]
			if r.Shard != n || r.Action != Finished {
				continue
			}
			listed := slices.ContainsFunc(list, func(f found) bool { return f.id == r.ID })
			if err != nil || listed {
				r.Action = StillListed
				r.Err = errors.Join(r.Err, err)
			}
		}
	}
	return errs
}

// Nodes reads the proxies of the cluster anew, and returns an error for each
// shard whose node table could not be read.
func (m *Manager) Nodes(ctx context.Context) ([]NodeView, []error) {
	var (
		mu   sync.Mutex
		errs []error
	)
	m.everywhere(func(s *site) {
		if _, err := m.readNodes(ctx, s); err != nil {
			mu.Lock()
			errs = append(errs, fmt.Errorf("shard %s: %w", s.name, err))
			mu.Unlock()
		}
	})
	return m.nodes.views(m.Incarnation(), time.Now()), errs
}
