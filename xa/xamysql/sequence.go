package xamysql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// SequenceName names a row of xaproxy.sequence. Life is drawn when the row is made: a row of the same table with another
// one is another sequence, whose ids begin anew.
type SequenceName struct {
	Schema, Table string
	Life          string // unguessable; not looked at by ReadSequence, CreateSequence and DeleteSequence
}

// Sequence is what a row of xaproxy.sequence says: which ids of a table's AUTO_INCREMENT column may be given to rows.
type Sequence struct {
	Life string
	Next uint64 // the lowest id that was not handed out to any proxy, nor pushed over
	// Void: ids below it that were handed out must not be given to rows any more by a proxy that has read this.
	Void uint64
	// Settled: and no proxy does.
	Settled uint64
	Flavor  Flavor // of the server that has the row
}

// sequencePool is the size of the pool for sequences: rows wait for them, so they must not wait for fences.
const sequencePool = 8

var (
	// ErrSequenceOther says that the sequence is not there or another one by now: read it again.
	ErrSequenceOther = errors.New("sequence was made anew")
	// ErrSequenceEnd says that no id is left up to the given one.
	ErrSequenceEnd = errors.New("no ids are left")
)

// sequenceSchema is what Install creates for sequences.
func sequenceSchema(options string) []string {
	return []string{"CREATE TABLE IF NOT EXISTS xaproxy.sequence (table_schema VARBINARY(255) NOT NULL, table_name VARBINARY(255) NOT NULL, " +
		"life VARBINARY(64) NOT NULL, next_id BIGINT UNSIGNED NOT NULL, void_below BIGINT UNSIGNED NOT NULL, settled_below BIGINT UNSIGNED NOT NULL, " +
		"created TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), PRIMARY KEY (table_schema, table_name))" + options}
}

// writable is true at a server that is not read only; others may be replicas, whose rows prove nothing.
const writable = "CAST(@@global.read_only AS CHAR) IN ('0','OFF')"

func (n SequenceName) key() string {
	return "table_schema=" + literal(n.Schema) + " AND table_name=" + literal(n.Table)
}

func (n SequenceName) keyOfLife() string {
	return n.key() + " AND life=" + literal(n.Life) + " AND " + writable
}

// onSequences runs f on a session of the pool for sequences. Where their table is missing (an older installation), it is
// created.
func (s *Shard) onSequences(ctx context.Context, doing string, n SequenceName, f func(control) error) error {
	doing += " of " + n.Schema + "." + n.Table
	c, err := checkout(ctx, s.sequences)
	if err != nil {
		return s.fail(doing, err)
	}
	defer c.putBack()
	err = f(c)
	if number(err) == erNoSuchTable {
		if err := c.notReadOnly(ctx); err != nil {
			return s.fail(doing, err)
		}
		for _, statement := range sequenceSchema(tableOptions) {
			if _, err := c.exec(ctx, statement); err != nil {
				return s.fail(doing, err)
			}
		}
		err = f(c)
	}
	if err != nil {
		return s.fail(doing, err)
	}
	return nil
}

// ReadSequence returns what is stored; false: nothing. A row may be visible before it is durable: what is taken from it
// is durable with it.
func (s *Shard) ReadSequence(ctx context.Context, n SequenceName) (q Sequence, found bool, err error) {
	err = s.onSequences(ctx, "read the sequence", n, func(c control) error {
		q, found, err = readSequence(ctx, c, n)
		return err
	})
	return q, found, err
}

func readSequence(ctx context.Context, c control, n SequenceName) (Sequence, bool, error) {
	all, err := c.list(ctx, "SELECT "+writable+", s.life, s.next_id, s.void_below, s.settled_below FROM (SELECT 1 AS one) AS o "+
		"LEFT JOIN xaproxy.sequence AS s ON "+n.key())
	switch {
	case err != nil:
		return Sequence{}, false, err
	case len(all) != 1:
		return Sequence{}, false, fmt.Errorf("xaproxy.sequence: %d rows instead of one", len(all))
	case all[0][0] != "1":
		return Sequence{}, false, ErrReplica
	case all[0][1] == "":
		return Sequence{}, false, nil
	}
	q := Sequence{Life: all[0][1], Flavor: c.flavor}
	var errs [3]error
	for i, to := range []*uint64{&q.Next, &q.Void, &q.Settled} {
		*to, errs[i] = strconv.ParseUint(all[0][2+i], 10, 64)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return Sequence{}, false, fmt.Errorf("xaproxy.sequence: %w", err)
	}
	return q, true, nil
}

// CreateSequence stores a sequence whose first id is next, and of which n.Life is the life, unless there is one: of two
// that do so at the same time one is stored, and both are told which.
func (s *Shard) CreateSequence(ctx context.Context, n SequenceName, next uint64) (q Sequence, err error) {
	err = s.onSequences(ctx, "begin the sequence", n, func(c control) error {
		if err := c.notReadOnly(ctx); err != nil {
			return err
		}
		id := strconv.FormatUint(next, 10)
		_, err := c.exec(ctx, "INSERT INTO xaproxy.sequence (table_schema,table_name,life,next_id,void_below,settled_below) VALUES ("+
			literal(n.Schema)+","+literal(n.Table)+","+literal(n.Life)+","+id+","+id+","+id+")")
		if err != nil && number(err) != erDuplicate {
			return err
		}
		var found bool
		if q, found, err = readSequence(ctx, c, n); err == nil && !found {
			err = ErrSequenceOther
		}
		return err
	})
	return q, err
}

// TakeIDs takes count ids of the sequence, or fewer at the column's end, none below from and none above most. It returns
// what Sequence.Next was: the ids begin there, or at from when that is higher. The answer is durable, so no other proxy
// gets one of them, nor does this one after a crash.
func (s *Shard) TakeIDs(ctx context.Context, n SequenceName, from, count, most uint64) (before uint64, err error) {
	count = min(count, math.MaxUint64-from)
	err = s.onSequences(ctx, "take ids from the sequence", n, func(c control) error {
		low := strconv.FormatUint(from, 10)
		r, err := c.ExecContext(ctx, "UPDATE xaproxy.sequence SET next_id=GREATEST(LAST_INSERT_ID(next_id),"+low+")+"+strconv.FormatUint(count, 10)+
			" WHERE "+n.keyOfLife()+" AND GREATEST(next_id,"+low+")<="+strconv.FormatUint(most, 10))
		if number(err) == erOutOfRange {
			return ErrSequenceEnd
		}
		if err != nil {
			return err
		}
		changed, err1 := r.RowsAffected()
		id, err2 := r.LastInsertId()
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if changed == 0 {
			return whyUntaken(ctx, c, n)
		}
		before = uint64(id)
		return nil
	})
	return before, err
}

// whyUntaken says why an UPDATE of a sequence found no row.
func whyUntaken(ctx context.Context, c control, n SequenceName) error {
	q, found, err := readSequence(ctx, c, n)
	switch {
	case err != nil:
		return err
	case !found || q.Life != n.Life:
		return ErrSequenceOther
	}
	return ErrSequenceEnd
}

// MarkSequence raises Void and Settled of the sequence, durably; what is higher already stays.
func (s *Shard) MarkSequence(ctx context.Context, n SequenceName, void, settled uint64) error {
	return s.onSequences(ctx, "void ids of the sequence", n, func(c control) error {
		changed, err := c.exec(ctx, "UPDATE xaproxy.sequence SET void_below=GREATEST(void_below,"+strconv.FormatUint(void, 10)+
			"), settled_below=GREATEST(settled_below,"+strconv.FormatUint(settled, 10)+") WHERE "+n.keyOfLife())
		if err != nil || changed > 0 {
			return err
		}
		q, found, err := readSequence(ctx, c, n)
		switch {
		case err != nil:
			return err
		case !found || q.Life != n.Life:
			return ErrSequenceOther
		}
		return c.barrier(ctx, s.o.Node) // somebody else has just done it
	})
}

// DeleteSequence forgets the sequence of a table: its next one begins where the table's rows say.
func (s *Shard) DeleteSequence(ctx context.Context, n SequenceName) error {
	return s.onSequences(ctx, "end the sequence", n, func(c control) error {
		if err := c.notReadOnly(ctx); err != nil {
			return err
		}
		_, err := c.exec(ctx, "DELETE FROM xaproxy.sequence WHERE "+n.key())
		return err
	})
}

// NextID is the lowest id above those of the table's rows at this server, committed or not, and not below the server's
// own AUTO_INCREMENT counter.
func (s *Shard) NextID(ctx context.Context, n SequenceName, column string) (next uint64, err error) {
	err = s.onSequences(ctx, "read the highest id", n, func(c control) error {
		if err := c.notReadOnly(ctx); err != nil {
			return err
		}
		table := quoted(n.Schema) + "." + quoted(n.Table)
		highest, err := c.one(ctx, "SELECT GREATEST(COALESCE(MAX("+quoted(column)+"),0),0) FROM "+table)
		if err != nil {
			return err
		}
		if next, err = strconv.ParseUint(highest, 10, 64); err != nil {
			return fmt.Errorf("highest id: %w", err)
		}
		if next < math.MaxUint64 {
			next++
		}
		shown, err := c.list(ctx, "SHOW CREATE TABLE "+table)
		if err != nil {
			return err
		}
		if len(shown) != 1 || len(shown[0]) < 2 {
			return errors.New("SHOW CREATE TABLE has another form than expected")
		}
		counter, err := ownCounter(shown[0][1])
		next = max(next, counter)
		return err
	})
	return next, err
}

// ownCounter reads AUTO_INCREMENT of what SHOW CREATE TABLE says; without it the counter is 1. The options stand on the
// last line that begins with a parenthesis: line ends in comments are written as \n.
func ownCounter(definition string) (uint64, error) {
	at := strings.LastIndex(definition, "\n)")
	if at < 0 {
		return 0, errors.New("SHOW CREATE TABLE has another form than expected")
	}
	options, _, _ := strings.Cut(definition[at:], "'") // a comment, or a directory, may say anything
	_, rest, found := strings.Cut(options, " AUTO_INCREMENT=")
	if !found {
		return 1, nil
	}
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	return strconv.ParseUint(digits, 10, 64)
}

// FindIDs returns those of the ids that committed rows at this server have.
func (s *Shard) FindIDs(ctx context.Context, n SequenceName, column string, ids []uint64) (found []uint64, err error) {
	err = s.onSequences(ctx, "look for ids", n, func(c control) error {
		list := make([]string, len(ids))
		for i, id := range ids {
			list[i] = strconv.FormatUint(id, 10)
		}
		all, err := c.list(ctx, "SELECT DISTINCT "+quoted(column)+" FROM "+quoted(n.Schema)+"."+quoted(n.Table)+
			" WHERE "+quoted(column)+" IN ("+strings.Join(list, ",")+")")
		if err != nil {
			return err
		}
		for _, row := range all {
			id, err := strconv.ParseUint(row[0], 10, 64)
			if err != nil {
				return fmt.Errorf("an id: %w", err)
			}
			found = append(found, id)
		}
		return nil
	})
	return found, err
}

// quoted is a name as an identifier in SQL.
func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
