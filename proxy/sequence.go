package proxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// SequenceStore keeps the ids of AUTO_INCREMENT columns at one shard, durably.
type SequenceStore interface {
	ReadSequence(ctx context.Context, n xamysql.SequenceName) (xamysql.Sequence, bool, error)
	CreateSequence(ctx context.Context, n xamysql.SequenceName, next uint64) (xamysql.Sequence, error)
	TakeIDs(ctx context.Context, n xamysql.SequenceName, from, count, most uint64) (uint64, error)
	MarkSequence(ctx context.Context, n xamysql.SequenceName, void, settled uint64) error
	DeleteSequence(ctx context.Context, n xamysql.SequenceName) error
}

// IDStore looks for ids in a table's rows at one shard.
type IDStore interface {
	// NextID is above the ids of all rows, committed or not.
	NextID(ctx context.Context, n xamysql.SequenceName, column string) (uint64, error)
	// FindIDs returns those that committed rows have.
	FindIDs(ctx context.Context, n xamysql.SequenceName, column string, ids []uint64) ([]uint64, error)
}

// sequenceLease is how long ids of a block are handed out before it is asked
// whether they still may be. Whoever makes ids void waits for twice that: clocks
// may run at different rates.
const sequenceLease = 250 * time.Millisecond

// sequencePatience bounds what a statement waits for its ids.
const sequencePatience = 10 * time.Second

// sequences hands out the ids of sharded tables' AUTO_INCREMENT columns, in
// blocks that it takes from the shards. It keeps nothing that must survive.
type sequences struct {
	shards map[xa.ShardID]*Shard
	block  uint64

	mu sync.Mutex
	// Guarded by mu:
	tables map[plan.TableName]*sequence
}

func newSequences(shards map[xa.ShardID]*Shard, block int) *sequences {
	return &sequences{shards: shards, block: uint64(block), tables: map[plan.TableName]*sequence{}}
}

// of returns what is known of a table's sequence.
func (q *sequences) of(t plan.TableName) *sequence {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.tables[t]
	if s == nil {
		s = &sequence{turn: make(chan struct{}, 1)}
		q.tables[t] = s
	}
	return s
}

// sequence is what this proxy knows of one table's ids.
//
//	        settled     first      next       end          taken
//	----------|-----------|----------|----------|------------|----------->
//	 no proxy   perhaps     given     this        perhaps      nobody's
//	 generates  others'     here      proxy's     others'      yet
type sequence struct {
	turn chan struct{} // taken by whoever looks at the rest
	sequenceState
}

type sequenceState struct {
	life    string    // "": nothing is known
	seen    tableLife // of the table when life was read
	flavor  xamysql.Flavor
	first   uint64
	next    uint64
	end     uint64
	until   time.Time // ids of the block may be handed out
	settled uint64
	taken   uint64
}

func (s *sequence) lock(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sequence) unlock() { <-s.turn }

// homeOfSequence is the shard that has a table's sequence: one of those that the
// table's rule names, so that it is the same as long as the rule is.
func homeOfSequence(t plan.TableName, shards []route.Shard) xa.ShardID {
	return shardID(shards[route.Jump(route.Hash([]byte(t.Schema+"\x00"+t.Name)), len(shards))])
}

// number gives ids to the rows that ask for one, in their order, and makes sure
// that none of those that the statement gives is generated later. The statement
// must have entered the table, in the life that is told.
func (q *sequences) number(ctx context.Context, n *plan.Numbering, life tableLife) ([]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, sequencePatience)
	defer cancel()
	home := homeOfSequence(n.Table, n.Shards)
	w := &numbering{n: n, q: q, s: q.of(n.Table), seen: life, store: q.shards[home].Store,
		name: xamysql.SequenceName{Schema: n.Table.Schema, Table: n.Table.Name}}
	ids, err := w.run(ctx)
	if err == nil && len(w.doubtful) > 0 {
		err = w.settle(ctx)
	}
	var at *sequenceError
	var end *sequenceEnd
	if err != nil && !errors.As(err, &at) && !errors.As(err, &end) {
		err = &sequenceError{home, err}
	}
	return ids, err
}

// tableLife is another one when the table's rows may be others, or may have been
// for a while without this proxy's knowledge.
type tableLife struct{ epoch, opened uint64 }

// sequenceError is what a shard has said about a sequence.
type sequenceError struct {
	at  xa.ShardID
	err error
}

func (e *sequenceError) Error() string { return e.err.Error() }
func (e *sequenceError) Unwrap() error { return e.err }

// sequenceEnd says that a column's type has no ids left.
type sequenceEnd struct {
	column  string
	row     int  // the first that gets none, from 1
	mariaDB bool // the sequence is at such a server
	whole   bool // the type is BIGINT UNSIGNED
}

func (e *sequenceEnd) Error() string { return "no ids are left for column " + e.column }
