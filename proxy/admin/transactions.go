package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"xaproxy/proxy"
	"xaproxy/tm"
	"xaproxy/xa"
)

// recover is MySQL's XA RECOVER over all shards: our branches, with a trailing
// column for the shard. A shard that cannot be listed is an error: a list that
// lacks it would look complete.
func (h *Handler) recover(ctx context.Context, _ []string) (*proxy.Table, error) {
	t := &proxy.Table{Columns: []proxy.Column{
		{Name: "formatID", Type: proxy.Integer}, {Name: "gtrid_length", Type: proxy.Integer},
		{Name: "bqual_length", Type: proxy.Integer}, {Name: "data"}, {Name: "shard"},
	}}
	branches, errs := h.o.Manager.InDoubt(ctx)
	if len(errs) > 0 {
		return nil, fmt.Errorf("%d of %d shards could not be listed (SHOW XA TRANSACTIONS shows the rest): %w", len(errs), len(h.o.Shards()), errs[0])
	}
	for _, b := range branches {
		t.Rows = append(t.Rows, []proxy.Value{
			proxy.Uint(uint64(xa.FormatID)), proxy.Uint(uint64(len(b.ID.Global))), proxy.Uint(uint64(len(b.ID.Branch))),
			proxy.String(string(b.ID.Global) + b.ID.Branch), proxy.String(h.name(b.Shard)),
		})
	}
	return t, nil
}

// entry is one transaction of SHOW XA TRANSACTIONS.
type entry struct {
	global   xa.GlobalID
	name     xa.GlobalName
	phase    string
	owner    tm.OwnerState
	prepared []string // shards that list a branch
	ageMS    uint64
	advice   string
}

func (h *Handler) transactions(ctx context.Context, _ []string) (*proxy.Table, error) {
	entries := map[xa.GlobalID]*entry{}
	open := 0
	for _, l := range h.o.Manager.Live() {
		if l.Global == "" {
			open++ // it is nobody's business to ask for its outcome yet
			continue
		}
		name, err := l.Global.Parse()
		if err != nil {
			return nil, err
		}
		entries[l.Global] = &entry{
			global: l.Global, name: name, phase: l.Phase.String(), owner: tm.OwnerSelf,
			ageMS: uint64(l.Age.Milliseconds()), advice: "none: this proxy is at work",
		}
	}
	branches, errs := h.o.Manager.InDoubt(ctx)
	for _, b := range branches {
		e := entries[b.ID.Global]
		if e == nil {
			e = &entry{global: b.ID.Global, name: b.Name, phase: "in doubt", owner: b.Owner, ageMS: uint64(b.Seen.Milliseconds()), advice: adviceFor(b)}
			entries[b.ID.Global] = e
		}
		e.prepared = append(e.prepared, h.name(b.Shard))
	}
	t := &proxy.Table{Columns: []proxy.Column{
		{Name: "gtrid"}, {Name: "state"}, {Name: "home"}, {Name: "prepared_at"}, {Name: "node", Type: proxy.Integer},
		{Name: "incarnation", Type: proxy.Integer}, {Name: "owner"}, {Name: "age_ms", Type: proxy.Integer}, {Name: "advice"},
	}}
	for _, g := range slices.Sorted(maps.Keys(entries)) {
		e := entries[g]
		t.Rows = append(t.Rows, []proxy.Value{
			proxy.String(string(e.global)), proxy.String(e.phase), proxy.String(h.name(e.name.Home.Shard)), proxy.String(strings.Join(e.prepared, ",")),
			proxy.Uint(uint64(e.name.Node)), proxy.Uint(uint64(e.name.Incarnation)), proxy.String(e.owner.String()), proxy.Uint(e.ageMS), proxy.String(e.advice),
		})
	}
	if open > 0 {
		row := make([]proxy.Value, len(t.Columns))
		row[1], row[len(row)-1] = proxy.String("open"), proxy.String(fmt.Sprintf("%d transactions of this proxy that nobody has asked to commit yet, or that commit at one shard", open))
		t.Rows = append(t.Rows, row)
	}
	for _, err := range errs {
		row := make([]proxy.Value, len(t.Columns))
		row[1], row[len(row)-1] = proxy.String("not listed"), proxy.String(err.Error())
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

func adviceFor(b tm.InDoubt) string {
	switch {
	case b.Misplaced:
		return "its name belongs to another shard: this server was copied or restored; it is never touched, find out from where"
	case b.NoHome:
		return "its home shard is not configured here: it is never touched, add the shard to the configuration"
	case b.Owner == tm.OwnerLive:
		return "none: its owner is alive; recovery looks again"
	}
	return "none: recovery finishes it; XA RESOLVE '" + string(b.ID.Global) + "' does so now"
}

// transaction shows what every shard can prove about one transaction.
func (h *Handler) transaction(ctx context.Context, args []string) (*proxy.Table, error) {
	g := xa.GlobalID(args[0])
	name, err := g.Parse()
	if err != nil {
		return nil, err
	}
	branches, errs := h.o.Manager.InDoubt(ctx)
	decision := h.decision(ctx, g, name)
	t := &proxy.Table{Columns: []proxy.Column{
		{Name: "shard"}, {Name: "number", Type: proxy.Integer}, {Name: "role"}, {Name: "evidence"}, {Name: "decision"}, {Name: "advice"},
	}}
	listed := 0
	for _, s := range h.byNumber() {
		id := s.Resource.Shard()
		role, evidence := "none", []string{}
		for _, b := range branches {
			if b.ID.Global == g && b.Shard == id {
				listed++
				role = "participant"
				evidence = append(evidence, fmt.Sprintf("prepared: bqual %s, prepared by connection %d of the server run that began at %d",
					b.ID.Branch, b.Qualifier.Session.Conn, b.Qualifier.Session.Run))
			}
		}
		if slices.Contains(decision.participants, id) {
			role = "participant"
		}
		if id == name.Home.Shard {
			role = "home"
			evidence = append(evidence, decision.evidence...)
		}
		if len(evidence) == 0 {
			evidence = append(evidence, "no branch prepared")
		}
		t.Rows = append(t.Rows, []proxy.Value{
			proxy.String(s.Resource.Name()), proxy.Uint(uint64(id)), proxy.String(role), proxy.String(strings.Join(evidence, "; ")),
			proxy.String(decision.text), proxy.Null(),
		})
	}
	for _, err := range errs {
		t.Rows = append(t.Rows, []proxy.Value{proxy.Null(), proxy.Null(), proxy.String("not listed"), proxy.String(err.Error()), proxy.String(decision.text), proxy.Null()})
	}
	advice := proxy.String(decision.advice(listed, len(errs)))
	for _, row := range t.Rows {
		row[len(row)-1] = advice
	}
	return t, nil
}

// found is what home says about a decision.
type found struct {
	outcome      xa.Outcome // Unknown: home could not be asked
	text         string
	evidence     []string
	participants []xa.ShardID
	homeGone     bool
}

func (h *Handler) decision(ctx context.Context, g xa.GlobalID, name xa.GlobalName) found {
	f := found{outcome: xa.Unknown, text: "UNKNOWN"}
	shards := h.o.Shards()
	i := slices.IndexFunc(shards, func(s tm.Shard) bool { return s.Resource.Shard() == name.Home.Shard })
	if i < 0 {
		f.evidence = []string{"home is not configured here"}
		return f
	}
	home := shards[i].Claims
	d, err := home.Peek(ctx, g)
	if err != nil {
		f.evidence = []string{"home could not be asked: " + err.Error()}
		return f
	}
	f.outcome = d.Outcome
	f.text = map[xa.Outcome]string{xa.Undecided: "NONE RECORDED", xa.Committed: "COMMITTED", xa.Aborted: "ABORTED", xa.Unknown: "UNKNOWN"}[d.Outcome]
	f.evidence = []string{"claim: " + f.text}
	for _, p := range d.Participants {
		if q, err := xa.ParseQualifier(p); err == nil {
			f.participants = append(f.participants, q.Session.Shard)
		}
	}
	f.homeGone, err = home.HomeGone(ctx, g)
	switch {
	case err != nil:
		f.evidence = append(f.evidence, "home's session could not be looked up: "+err.Error())
	case f.homeGone:
		f.evidence = append(f.evidence, fmt.Sprintf("home's session (connection %d) is gone", name.Home.Conn))
	default:
		f.evidence = append(f.evidence, fmt.Sprintf("home's session (connection %d) exists", name.Home.Conn))
	}
	return f
}

// advice says what to do, given how many branches are listed and how many
// shards could not be.
func (f found) advice(listed, unread int) string {
	const resolve = "XA RESOLVE 'gtrid' "
	switch {
	case f.outcome == xa.Unknown:
		return "home must answer before anything can be said; recovery goes on by itself"
	case unread > 0:
		return "bring the shards that could not be listed back; recovery goes on by itself"
	case listed == 0 && f.outcome == xa.Undecided:
		return "nothing is prepared and nothing recorded: never prepared, or ended longer ago than claims.retain"
	case listed == 0:
		return "nothing to do: every branch has ended"
	case f.outcome == xa.Committed:
		return resolve + "commits what is still prepared"
	case f.outcome == xa.Aborted:
		return resolve + "rolls back what is still prepared"
	case f.homeGone:
		return resolve + "records an abort and rolls back what is prepared; recovery does so by itself"
	}
	return "its owner may still decide: wait; " + resolve + "leaves a living owner alone"
}

func (h *Handler) resolve(ctx context.Context, args []string) (*proxy.Table, error) {
	g := xa.GlobalID(args[0])
	if _, err := g.Parse(); err != nil {
		return nil, err
	}
	done, err := h.o.Manager.Resolve(ctx, g)
	return h.resolutions(done, err)
}

func (h *Handler) resolveAll(ctx context.Context, _ []string) (*proxy.Table, error) {
	done, err := h.o.Manager.ResolveAll(ctx)
	return h.resolutions(done, err)
}

func (h *Handler) resolutions(done []tm.Resolution, err error) (*proxy.Table, error) {
	t := &proxy.Table{Columns: []proxy.Column{
		{Name: "gtrid"}, {Name: "shard"}, {Name: "decision"}, {Name: "result"}, {Name: "error"},
	}}
	slices.SortStableFunc(done, func(a, b tm.Resolution) int {
		return cmp.Or(cmp.Compare(a.ID.Global, b.ID.Global), cmp.Compare(a.Shard, b.Shard))
	})
	for _, r := range done {
		why := proxy.Null()
		if r.Err != nil {
			why = proxy.String(r.Err.Error())
		}
		t.Rows = append(t.Rows, []proxy.Value{
			proxy.String(string(r.ID.Global)), proxy.String(h.name(r.Shard)), proxy.String(strings.ToUpper(r.Outcome.String())),
			proxy.String(r.Action.String()), why,
		})
	}
	if err != nil {
		t.Rows = append(t.Rows, []proxy.Value{proxy.Null(), proxy.Null(), proxy.Null(), proxy.String("not asked"), proxy.String(err.Error())})
	}
	return t, nil
}

func (h *Handler) outcome(ctx context.Context, args []string) (*proxy.Table, error) {
	r, err := h.o.Manager.Outcome(ctx, xa.GlobalID(args[0]))
	if err != nil {
		return nil, err
	}
	return &proxy.Table{
		Columns: []proxy.Column{{Name: "gtrid"}, {Name: "outcome"}, {Name: "owner"}},
		Rows:    [][]proxy.Value{{proxy.String(string(r.Global)), proxy.String(r.State.String()), proxy.String(r.Owner.String())}},
	}, nil
}
