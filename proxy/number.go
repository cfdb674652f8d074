package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"xaproxy/proxy/plan"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// numbering is the work on one statement.
type numbering struct {
	n     *plan.Numbering
	q     *sequences
	s     *sequence
	seen  tableLife
	store Store
	name  xamysql.SequenceName

	last     int      // the last row that asks for an id, negative: none does
	left     int      // rows of the present run that have ids reserved
	doubtful []uint64 // given ids that another proxy may generate
	below    uint64   // is above them
}

// run looks at the rows while it has the turn.
func (w *numbering) run(ctx context.Context) ([]uint64, error) {
	if err := w.s.lock(ctx); err != nil {
		return nil, err
	}
	defer w.s.unlock()
	w.name.Life = w.s.life
	ids, err := w.walk(ctx)
	if errors.Is(err, xamysql.ErrSequenceOther) { // by another hand than a definition statement
		w.s.life, w.doubtful, w.left = "", nil, 0
		ids, err = w.walk(ctx)
	}
	w.below = w.doubtfulBelow()
	return ids, err
}

// walk numbers the rows as a server does: an id that is given and is not below
// the next one moves it.
func (w *numbering) walk(ctx context.Context) ([]uint64, error) {
	if w.s.life == "" || w.s.seen != w.seen {
		if err := w.read(ctx); err != nil {
			return nil, err
		}
	}
	w.last = lastGenerated(w.n.Rows)
	var ids []uint64
	for i, r := range w.n.Rows {
		switch {
		case r.Generate:
			if err := w.reserve(ctx, i); err != nil {
				var end *sequenceEnd
				if errors.As(err, &end) && !end.mariaDB && !end.whole && w.n.Generated() == 1 {
					return []uint64{w.n.Most}, nil // so does MySQL, which then finds it twice
				}
				return nil, err
			}
			ids = append(ids, w.s.next)
			w.s.next++
			w.left--
		case r.Given > 0:
			if err := w.given(ctx, i, r.Given); err != nil {
				return nil, err
			}
		}
	}
	return ids, nil
}

// length is how many rows from row i on are numbered one after the other, if they
// begin with the next id.
func (w *numbering) length(i int) int {
	next, count := w.s.next, 0
	for _, r := range w.n.Rows[i:] {
		switch {
		case r.Generate:
			next++
			count++
		case r.Given >= next:
			return count
		}
	}
	return count
}

// reserve makes sure that the run that begins with row i has ids.
func (w *numbering) reserve(ctx context.Context, i int) error {
	if w.left > 0 {
		return nil
	}
	s := w.s
	if time.Now().After(s.until) {
		if err := w.read(ctx); err != nil {
			return err
		}
	}
	want := uint64(w.length(i))
	if s.end-s.next < want {
		// As many as the rest can need: the run may be longer from there on.
		if err := w.take(ctx, 0, uint64(len(w.n.Rows)-i)); err != nil && !errors.Is(err, xamysql.ErrSequenceEnd) {
			return err
		}
		want = uint64(w.length(i))
	}
	if rest := s.end - s.next; rest < want {
		return &sequenceEnd{column: w.n.Column, row: i + w.behind(i, int(rest)) + 1, mariaDB: s.flavor == xamysql.FlavorMariaDB,
			whole: w.n.Most == math.MaxUint64-1}
	}
	w.left = int(want)
	return nil
}

// behind is how far behind row i the row is that gets number n of the run.
func (w *numbering) behind(i, n int) int {
	for j, r := range w.n.Rows[i:] {
		if !r.Generate {
			continue
		}
		if n == 0 {
			return j
		}
		n--
	}
	return 0
}

// given makes sure that an id which the statement gives is generated neither
// here nor by another proxy. What only a look at the rows can tell is left to
// settle.
func (w *numbering) given(ctx context.Context, i int, id uint64) error {
	s := w.s
	if id >= s.taken {
		if err := w.read(ctx); err != nil {
			return err
		}
	}
	switch {
	case id < s.settled:
		return nil
	case id >= s.first && id < s.end:
		if id >= s.next {
			s.next, w.left = id+1, 0
		}
		return nil
	case id < s.first, id < s.taken && i > w.last:
		w.doubtful = append(w.doubtful, id)
		return nil
	case id >= w.n.Most: // none can follow
		return w.pushToEnd(ctx, id)
	}
	// More will follow: of this statement, and when numbers are large, of the
	// application's own generator.
	before, err := w.takeFrom(ctx, id+1, max(w.q.block, uint64(len(w.n.Rows)-i), id>>20))
	if err != nil {
		return err
	}
	if before > id {
		w.doubtful = append(w.doubtful, id)
	}
	w.left = 0
	return nil
}

func lastGenerated(rows []plan.NumberedRow) int {
	for i, r := range slices.Backward(rows) {
		if r.Generate {
			return i
		}
	}
	return -1
}

// pushToEnd makes sure that no id is generated any more.
func (w *numbering) pushToEnd(ctx context.Context, id uint64) error {
	s := w.s
	before, err := w.store.TakeIDs(ctx, w.name, w.n.Most, 1, w.n.Most)
	over := errors.Is(err, xamysql.ErrSequenceEnd) // it was so before
	if err != nil && !over {
		return err
	}
	if id == w.n.Most && (over || before > id) {
		w.doubtful = append(w.doubtful, id)
	}
	s.taken = w.n.Most + 1
	s.first, s.next, s.end, w.left = s.taken, s.taken, s.taken, 0
	return nil
}

// read asks the shard what the sequence is now, and begins it where there is
// none.
func (w *numbering) read(ctx context.Context) error {
	s := w.s
	began := time.Now()
	now, found, err := w.store.ReadSequence(ctx, w.name)
	if err == nil && !found {
		now, err = w.begin(ctx)
	}
	if err != nil {
		return err
	}
	if now.Life != s.life {
		s.sequenceState = sequenceState{life: now.Life}
		w.name.Life, w.left = now.Life, 0
	}
	s.seen, s.flavor = w.seen, now.Flavor
	s.settled, s.taken = max(s.settled, now.Settled), max(s.taken, now.Next)
	if now.Void > s.next {
		s.next, w.left = min(max(s.next, now.Void), s.end), 0
	}
	s.until = began.Add(sequenceLease)
	return nil
}

// begin makes the sequence of a table that has none: its ids begin above all that
// there are at any shard. Of several proxies one is first.
func (w *numbering) begin(ctx context.Context) (xamysql.Sequence, error) {
	name, next := w.name, uint64(1)
	err := w.everywhere(func(n xa.ShardID) (func(), error) {
		id, err := w.q.shards[n].Store.NextID(ctx, name, w.n.Column)
		return func() { next = max(next, id) }, err
	})
	if err != nil {
		return xamysql.Sequence{}, err
	}
	name.Life = rand.Text()
	return w.store.CreateSequence(ctx, name, next)
}

// everywhere runs f for each shard of the table, and what it returns one by one.
func (w *numbering) everywhere(f func(xa.ShardID) (func(), error)) error {
	done := make([]func(), len(w.n.Shards))
	errs := make([]error, len(w.n.Shards))
	var wg sync.WaitGroup
	for i, n := range w.n.Shards {
		wg.Go(func() {
			if done[i], errs[i] = f(shardID(n)); errs[i] != nil {
				errs[i] = &sequenceError{shardID(n), errs[i]}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, f := range done {
		f()
	}
	return nil
}

// take gets a block of at least count ids, none below from.
func (w *numbering) take(ctx context.Context, from, count uint64) error {
	_, err := w.takeFrom(ctx, from, max(w.q.block, count))
	return err
}

// takeFrom gets a block of count ids, none below from, and tells which id was the
// next before.
func (w *numbering) takeFrom(ctx context.Context, from, count uint64) (uint64, error) {
	s := w.s
	began := time.Now()
	before, err := w.store.TakeIDs(ctx, w.name, from, count, w.n.Most)
	if err != nil {
		return 0, err
	}
	start := max(before, from)
	end := w.n.Most + 1
	if count < end-start {
		end = start + count
	}
	if before != s.end || s.first == s.end {
		// What is between before and from was handed out to nobody.
		s.first, s.next, s.until = before, start, began.Add(sequenceLease)
	}
	s.next = max(s.next, from)
	s.end, s.taken = end, max(s.taken, end)
	return before, nil
}

// doubtfulBelow is a bound that is above all doubtful ids: what was handed out
// below it is to be void.
func (w *numbering) doubtfulBelow() uint64 {
	below := w.s.first
	for _, id := range w.doubtful {
		if id >= below {
			below = w.s.taken
		}
	}
	return below
}

// searched bounds how many ids are looked for in the tables' rows.
const searched = 100

// settle makes sure that no proxy generates one of the doubtful ids. An id that a
// row has was generated, or given, and settled then. For others all blocks below
// are made void, and it is waited until every proxy must have asked.
func (w *numbering) settle(ctx context.Context) error {
	below := w.below
	if len(w.doubtful) <= searched {
		found, err := w.found(ctx)
		if err == nil && found || ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := w.store.MarkSequence(ctx, w.name, below, 0); err != nil {
		return err
	}
	if err := w.raise(ctx, below, 0); err != nil {
		return err
	}
	if !pause(ctx, 2*sequenceLease) {
		return ctx.Err()
	}
	if err := w.store.MarkSequence(ctx, w.name, below, below); err != nil {
		return err
	}
	return w.raise(ctx, below, below)
}

// raise notes what was marked.
func (w *numbering) raise(ctx context.Context, void, settled uint64) error {
	s := w.s
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if s.next < void {
		s.next = min(void, s.end)
	}
	s.settled = max(s.settled, settled)
	return nil
}

// found reports whether rows have all of the doubtful ids.
func (w *numbering) found(ctx context.Context) (bool, error) {
	missing := map[uint64]bool{}
	for _, id := range w.doubtful {
		missing[id] = true
	}
	err := w.everywhere(func(n xa.ShardID) (func(), error) {
		ids, err := w.q.shards[n].Store.FindIDs(ctx, w.name, w.n.Column, w.doubtful)
		return func() {
			for _, id := range ids {
				delete(missing, id)
			}
		}, err
	})
	return len(missing) == 0, err
}
