package proxy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"xaproxy/proxy/plan"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// CatalogStore is one shard's part of what the proxies of a cluster tell each
// other about definition statements. docs/decisions/0010-catalog-version.md says
// why it is enough.
type CatalogStore interface {
	CatalogMemberStore
	CatalogChangeStore
	DefinitionStore
	// ReadObjects reads how tables and schemas are defined at this server.
	ReadObjects(ctx context.Context, names []xamysql.ObjectName) (xamysql.Objects, error)
}

// CatalogMemberStore says which proxies there are, and what they know.
type CatalogMemberStore interface {
	ReadCatalogView(ctx context.Context, token string) (xamysql.CatalogView, error)
	TellCatalogMember(ctx context.Context, m xamysql.CatalogMember) error
	CatalogMembers(ctx context.Context) ([]xamysql.CatalogMember, error)
	ForgetCatalogMember(ctx context.Context, token string) error
}

// CatalogChangeStore says which definitions are being changed.
type CatalogChangeStore interface {
	StoreChange(ctx context.Context, change xamysql.Change) error
	EndChange(ctx context.Context, id, runner string) error
	TakeChange(ctx context.Context, change xamysql.Change, restore bool) error
	PartFence(id, runner string) (enter, allowed, leave string)
	HoldDefinitions(ctx context.Context) (release func(), err error)
}

// DefinitionStore records definition statements and how far they are.
// docs/decisions/0013-definitions-journal.md says what for.
type DefinitionStore interface {
	StoreDefinition(ctx context.Context, d xamysql.Definition) error
	Definitions(ctx context.Context, id string, outcomes ...xamysql.DefinitionOutcome) ([]xamysql.Definition, error)
	MarkDefinition(ctx context.Context, id string, by xamysql.Change, part xamysql.DefinitionPart, why string) error
	EndDefinition(ctx context.Context, id string, by xamysql.Change, o xamysql.DefinitionOutcome, keep int) error
	SettleDefinition(ctx context.Context, id string, o xamysql.DefinitionOutcome) error
}

const (
	// catalogLease is how long after a look at a shard this proxy trusts that
	// nobody changes definitions behind its back. All proxies must agree on it.
	catalogLease = 3 * time.Second
	// catalogSilence is how long others wait for a member that says nothing before
	// they take its lease for run out: what is above the lease covers clocks that
	// run differently and statements on their way.
	catalogSilence = 2 * catalogLease
	// lookStep is how often a shard is looked at, lookSoon the same while there is a change.
	lookStep, lookSoon = 200 * time.Millisecond, 40 * time.Millisecond
	// lookPatience bounds one look, so that the lease outlives a shard that hangs.
	lookPatience = time.Second
	// takeOverStep is how often a change of somebody else's is tried to be ended,
	// which succeeds only when its owner has gone.
	takeOverStep = 4 * time.Second
)

// share is this proxy's membership in the cluster's catalog: it looks at the
// changes that are announced on the shards, closes the gates of the tables
// concerned, says when they are empty, and opens them after the catalog was read
// anew. Safe for concurrent use.
type share struct {
	c     *catalog
	token string
	born  time.Time
	once  sync.Once
	kick  chan struct{}
	// until is when the lease ends, as time since born; 0: there is none.
	until atomic.Int64
	// epoch grows whenever the lease has been lost; trusted is whether the catalog
	// was read since.
	epoch   atomic.Uint64
	trusted atomic.Bool
	busy    atomic.Bool    // there are changes
	behind  sync.WaitGroup // goroutines of the loop

	// Of the loop alone:
	at     int    // the shard that is looked at, index in the engine's order
	told   string // to the shard at toldAt, last
	toldAt int
	tried  time.Time // when a takeover was tried last

	mu sync.Mutex
	// Guarded by mu:
	gates   map[plan.TableName]*gate
	turns   uint64 // the gates' numbers
	changes []*change
	reading bool
	news    chan struct{}
}

// change is a definition statement that runs somewhere, or whose effect has not
// been read yet.
type change struct {
	id     string
	tables []plan.TableName // without a name: all of the schema
	since  time.Time
	phase  changePhase
}

type changePhase uint8

const (
	changeRuns changePhase = iota
	changeEnded
	changeRead // is being read
)

func newShare(c *catalog) *share {
	return &share{c: c, token: rand.Text(), born: time.Now(), kick: make(chan struct{}, 1),
		gates: map[plan.TableName]*gate{}, news: make(chan struct{})}
}

// trust returns the epoch, and whether the catalog may be relied on now.
func (s *share) trust() (epoch uint64, trusted bool) {
	epoch = s.epoch.Load()
	return epoch, s.trusted.Load() && int64(time.Since(s.born)) < s.until.Load()
}

// changing reports whether more will be known soon.
func (s *share) changing() bool {
	_, trusted := s.trust()
	return !trusted || s.busy.Load()
}

// wake makes the loop look now.
func (s *share) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// listen returns what is closed at the next change of the share's state.
func (s *share) listen() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news
}

// gate returns a table's gate. The same one serves all snapshots.
func (s *share) gate(name plan.TableName) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gates[name]
	if g == nil {
		g = &gate{}
		g.opened.Store(s.turn())
		s.gates[name] = g
		if s.covered(name) {
			g.shut()
		}
	}
	return g
}

// turn returns a number that it has not returned before. mu is held.
func (s *share) turn() uint64 {
	s.turns++
	return s.turns
}

// covered: a change concerns the table. mu is held.
func (s *share) covered(name plan.TableName) bool {
	return slices.ContainsFunc(s.changes, func(c *change) bool { return c.concerns(name) })
}

func (c *change) concerns(name plan.TableName) bool {
	return slices.ContainsFunc(c.tables, func(t plan.TableName) bool { return t == name || t.Name == "" && t.Schema == name.Schema })
}

// settle shuts and opens the gates as the changes want it. mu is held.
func (s *share) settle() {
	for name, g := range s.gates {
		if s.covered(name) {
			g.shut()
		} else {
			g.open(s.turn)
		}
	}
	s.busy.Store(len(s.changes) > 0)
	s.tell()
}

// tell wakes all who listen. mu is held.
func (s *share) tell() {
	close(s.news)
	s.news = make(chan struct{})
}

// join becomes a member, reads the catalog and goes on looking until ctx ends.
func (s *share) join(ctx context.Context, background func(func())) {
	s.once.Do(func() {
		s.look(ctx)
		if s.epoch.Load() == 0 { // nobody answered
			s.c.refresh(ctx)
		}
		background(func() { s.run(ctx) }) // the lease must outlive the reading, which a slow shard makes long
		patience := time.Now().Add(loadPatience)
		for news := s.listen(); s.epoch.Load() > 0 && !s.trusted.Load() && hear(ctx, news, patience); news = s.listen() {
		}
	})
}

func (s *share) run(ctx context.Context) {
	defer s.leave() //nolint:contextcheck // ctx has ended
	for ctx.Err() == nil {
		step := lookStep
		if s.busy.Load() {
			step = lookSoon
		}
		timer := time.NewTimer(step)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.kick:
		}
		timer.Stop()
		if ctx.Err() == nil {
			s.look(ctx)
		}
	}
}

// leave takes the membership back, so that nobody waits for this proxy.
func (s *share) leave() {
	s.behind.Wait()
	s.trusted.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), lookPatience)
	defer cancel()
	if err := s.c.forget(ctx, s.token); err != nil {
		s.c.e.log.Warn("leave the catalog", slog.Any("err", err))
	}
}

// look reads the changes at a shard, tells what is known of them and renews the
// lease. Without an answer the lease runs out.
func (s *share) look(ctx context.Context) {
	began := time.Now()
	n, view, err := s.view(ctx)
	if err == nil && int64(began.Sub(s.born)) >= s.until.Load() {
		s.lost()
	}
	if err == nil {
		err = s.note(ctx, n, view)
	}
	if err == nil {
		err = s.answer(ctx, n)
	}
	if err != nil {
		if ctx.Err() == nil {
			s.c.e.log.Warn("the shared catalog cannot be read", slog.Any("err", err))
		}
		return
	}
	s.until.Store(int64(began.Add(catalogLease).Sub(s.born)))
	s.read(ctx)
	s.takeOver(ctx)
}

// view asks the shard that answered last, then the others.
func (s *share) view(ctx context.Context) (xa.ShardID, xamysql.CatalogView, error) {
	order := s.c.e.order
	var errs error
	for range order {
		n := order[s.at]
		view, err := s.viewAt(ctx, n)
		if err == nil && !view.Member {
			view, err = s.enroll(ctx, n)
		}
		if err == nil {
			return n, view, nil
		}
		errs = errors.Join(errs, err)
		s.at = (s.at + 1) % len(order)
	}
	return 0, xamysql.CatalogView{}, errs
}

// enroll stores this proxy's row and looks again: whoever announces a change
// either finds the row, or the change is found here.
func (s *share) enroll(ctx context.Context, n xa.ShardID) (xamysql.CatalogView, error) {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	s.told = ""
	if err := s.c.e.shards[n].Store.TellCatalogMember(ctx, xamysql.CatalogMember{Token: s.token}); err != nil {
		return xamysql.CatalogView{}, err
	}
	view, err := s.c.e.shards[n].Store.ReadCatalogView(ctx, s.token)
	if err == nil && !view.Member {
		err = errors.New("somebody has removed this proxy from the catalog's members")
	}
	return view, err
}

func (s *share) viewAt(ctx context.Context, n xa.ShardID) (xamysql.CatalogView, error) {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	return s.c.e.shards[n].Store.ReadCatalogView(ctx, s.token)
}

// lost begins a new epoch: others may have changed anything.
func (s *share) lost() {
	if s.epoch.Load() > 0 {
		s.c.e.log.Warn("the lease of the catalog was lost: all of it is read anew")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trusted.Store(false)
	s.epoch.Add(1)
}

// note takes over which changes there are. One that is known has ended when the
// lowest shard does not have it: it is announced there before anywhere else.
func (s *share) note(ctx context.Context, n xa.ShardID, view xamysql.CatalogView) error {
	lowest := s.c.e.order[0]
	if n != lowest && s.missing(view) {
		first, err := s.viewAt(ctx, lowest)
		if err == nil {
			view.Changes = append(slices.Clone(view.Changes), first.Changes...)
			n = lowest
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.changes)
	for _, c := range view.Changes {
		if slices.ContainsFunc(s.changes, func(have *change) bool { return have.id == c.ID }) {
			continue
		}
		tables, err := decodeTables(c.Tables)
		if err != nil {
			return err // the lease is not renewed
		}
		s.changes = append(s.changes, &change{id: c.ID, tables: tables, since: time.Now()})
	}
	ended := false
	for _, have := range s.changes {
		if n == lowest && have.phase == changeRuns && !present(view, have.id) {
			have.phase, ended = changeEnded, true
		}
	}
	if ended || len(s.changes) != before {
		s.settle()
	}
	return nil
}

func present(view xamysql.CatalogView, id string) bool {
	return slices.ContainsFunc(view.Changes, func(c xamysql.Change) bool { return c.ID == id })
}

// missing: a change is known that the view lacks.
func (s *share) missing(view xamysql.CatalogView) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.changes, func(c *change) bool { return c.phase == changeRuns && !present(view, c.id) })
}

// answer stores at the shard what is known and whether the tables are empty. As
// long as they are not, each call writes: a sign of life.
func (s *share) answer(ctx context.Context, n xa.ShardID) error {
	s.mu.Lock()
	var known []xamysql.Change
	drained := true
	for _, c := range s.changes {
		known = append(known, xamysql.Change{ID: c.id})
		for name, g := range s.gates {
			if c.concerns(name) && !g.drained() {
				drained = false
			}
		}
	}
	s.mu.Unlock()
	m := xamysql.CatalogMember{Token: s.token, Seen: xamysql.SeenChanges(known), Drained: drained && len(known) > 0}
	if len(known) == 0 || drained && s.told == m.Seen && s.toldAt == int(n) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	if err := s.c.e.shards[n].Store.TellCatalogMember(ctx, m); err != nil {
		return err
	}
	s.told, s.toldAt = "", int(n)
	if m.Drained {
		s.told = m.Seen
	}
	return nil
}

// read makes the catalog be read anew when changes have ended or a new epoch has
// begun, and opens the gates afterwards. It does not wait: meanwhile the lease
// has to be renewed.
func (s *share) read(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := !s.trusted.Load()
	var tables []plan.TableName
	for _, c := range s.changes {
		if c.phase == changeEnded && !s.reading {
			c.phase = changeRead
			tables = append(tables, c.tables...)
		}
	}
	if s.reading || !all && len(tables) == 0 {
		return
	}
	s.reading = true
	epoch := s.epoch.Load()
	s.behind.Go(func() {
		s.c.reload(ctx, doubt{all: all, tables: tables})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reading = false
		s.changes = slices.DeleteFunc(s.changes, func(c *change) bool { return c.phase == changeRead })
		if s.epoch.Load() == epoch {
			s.trusted.Store(true)
		}
		s.settle()
		s.wake()
	})
}

// takeOver completes changes whose owner has gone or has left them: it holds the
// right to execute definitions no more, and what it may still have running is
// waited for.
func (s *share) takeOver(ctx context.Context) {
	s.mu.Lock()
	var ids []string
	for _, c := range s.changes {
		if c.phase == changeRuns && time.Since(c.since) > takeOverStep {
			ids = append(ids, c.id)
		}
	}
	s.mu.Unlock()
	if len(ids) == 0 || time.Since(s.tried) < takeOverStep {
		return
	}
	s.tried = time.Now()
	s.behind.Go(func() {
		err := s.c.takeOver(ctx, ids)
		if err != nil && !errors.Is(err, xamysql.ErrDefinitionRuns) && ctx.Err() == nil {
			s.c.e.log.Warn("a definition statement that was interrupted cannot be completed now, it will be tried again", slog.Any("err", err))
		}
		s.wake()
	})
}

// runs reports whether a table is being changed at this moment.
func (s *share) runs(name plan.TableName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.changes, func(c *change) bool { return c.phase == changeRuns && c.concerns(name) })
}

// pending reports whether a change is still to be read here.
func (s *share) pending(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.changes, func(c *change) bool { return c.id == id })
}

func encodeTables(tables []plan.TableName) (string, error) {
	b, err := json.Marshal(tables)
	return string(b), err
}

func decodeTables(text string) ([]plan.TableName, error) {
	var tables []plan.TableName
	if err := json.Unmarshal([]byte(text), &tables); err != nil {
		return nil, fmt.Errorf("tables of a change: %w", err)
	}
	return tables, nil
}
