package xatest_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"xaproxy/xa/xamysql"
)

// sequence is a new sequence of a table of the rig.
func (r *rig) sequence(next uint64) xamysql.SequenceName {
	r.Helper()
	r.seq++
	n := xamysql.SequenceName{Schema: r.schema, Table: fmt.Sprintf("s'eq`%d", r.seq), Life: fmt.Sprintf("life%d", r.seq)}
	q, err := r.shard.CreateSequence(r.Context(), n, next)
	if err != nil || q.Life != n.Life || q.Next != next || q.Void != next || q.Settled != next || q.Flavor == xamysql.FlavorUnknown {
		r.Fatalf("%+v: %v", q, err)
	}
	return n
}

// read is the sequence as it is stored.
func (r *rig) read(n xamysql.SequenceName) xamysql.Sequence {
	r.Helper()
	q, found, err := r.shard.ReadSequence(r.Context(), n)
	if err != nil || !found {
		r.Fatalf("found %v: %v", found, err)
	}
	return q
}

func TestSequenceGivesNoIDTwice(t *testing.T) {
	eachRig(t, func(r *rig) {
		n := r.sequence(5)
		const takers, rounds, count = 4, 25, 3
		var mu sync.Mutex
		var all []uint64
		var wg sync.WaitGroup
		for range takers {
			wg.Go(func() {
				for range rounds {
					before, err := r.shard.TakeIDs(r.Context(), n, 0, count, math.MaxInt32)
					if err != nil {
						r.Error(err)
						return
					}
					mu.Lock()
					for i := range uint64(count) {
						all = append(all, before+i)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.Sort(all)
		if len(all) != takers*rounds*count || len(slices.Compact(slices.Clone(all))) != len(all) || all[0] != 5 {
			r.Fatalf("%d ids: %v", len(all), all)
		}
	})
}

func TestSequenceBeginsOnce(t *testing.T) {
	eachRig(t, func(r *rig) {
		n := r.sequence(5)
		late := n
		late.Life = "late"
		q, err := r.shard.CreateSequence(r.Context(), late, 99)
		if err != nil || q.Life != n.Life || q.Next != 5 {
			r.Fatalf("%+v: %v", q, err)
		}
		if _, err := r.shard.TakeIDs(r.Context(), late, 0, 1, 1000); !errors.Is(err, xamysql.ErrSequenceOther) {
			r.Fatal(err)
		}
		if err := r.shard.MarkSequence(r.Context(), late, 7, 7); !errors.Is(err, xamysql.ErrSequenceOther) {
			r.Fatal(err)
		}
		if err := r.shard.DeleteSequence(r.Context(), n); err != nil {
			r.Fatal(err)
		}
		if _, found, err := r.shard.ReadSequence(r.Context(), n); err != nil || found {
			r.Fatalf("found %v: %v", found, err)
		}
		if _, err := r.shard.TakeIDs(r.Context(), n, 0, 1, 1000); !errors.Is(err, xamysql.ErrSequenceOther) {
			r.Fatal(err)
		}
	})
}

func TestSequenceIsPushedAndEnds(t *testing.T) {
	eachRig(t, func(r *rig) {
		n := r.sequence(5)
		take := func(from, count, most, want, next uint64) {
			r.Helper()
			before, err := r.shard.TakeIDs(r.Context(), n, from, count, most)
			if q := r.read(n); err != nil || before != want || q.Next != next {
				r.Fatalf("from %d: before %d, %+v: %v", from, before, q, err)
			}
		}
		take(101, 10, 200, 5, 111)
		take(50, 10, 200, 111, 121)
		take(195, 10, 200, 121, 205) // the caller uses those up to 200
		if _, err := r.shard.TakeIDs(r.Context(), n, 0, 10, 200); !errors.Is(err, xamysql.ErrSequenceEnd) {
			r.Fatal(err)
		}
		const end = math.MaxUint64 - 1
		take(end-2, 1, end, 205, end-1)
		take(0, 1, end, end-1, end)
		take(0, 1, end, end, end+1)
		if _, err := r.shard.TakeIDs(r.Context(), n, 0, 1, end); !errors.Is(err, xamysql.ErrSequenceEnd) {
			r.Fatal(err)
		}
		for range 2 {
			if err := r.shard.MarkSequence(r.Context(), n, 100, 60); err != nil {
				r.Fatal(err)
			}
		}
		if err := r.shard.MarkSequence(r.Context(), n, 90, 50); err != nil {
			r.Fatal(err)
		}
		if q := r.read(n); q.Void != 100 || q.Settled != 60 {
			r.Fatalf("%+v", q)
		}
	})
}

// Rule: a sequence begins above every row, also those of open transactions, and above the server's own counter.
func TestNextIDIsAboveRowsAndCounter(t *testing.T) {
	eachRig(t, func(r *rig) {
		c, open := r.dial(), r.dial()
		n := xamysql.SequenceName{Schema: r.schema, Table: "next`id"}
		name := "`" + r.schema + "`.`next``id`"
		want := func(id uint64) {
			r.Helper()
			if got, err := r.shard.NextID(r.Context(), n, "i`d"); err != nil || got != id {
				r.Fatalf("%d instead of %d: %v", got, id, err)
			}
		}
		c.do(r, "CREATE TABLE "+name+" (`i``d` INT AUTO_INCREMENT PRIMARY KEY, v INT COMMENT '\n) AUTO_INCREMENT=7') COMMENT='\n) ENGINE=x AUTO_INCREMENT=99'")
		want(1)
		c.do(r, "INSERT INTO "+name+" VALUES (-5,1)")
		want(1)
		c.do(r, "INSERT INTO "+name+" VALUES (40,1)")
		want(41)
		open.do(r, "BEGIN; INSERT INTO "+name+" VALUES (60,1)")
		want(61)
		open.do(r, "ROLLBACK")
		want(61)
		c.do(r, "DELETE FROM "+name)
		want(61)
		c.do(r, "ALTER TABLE "+name+" AUTO_INCREMENT=500")
		want(500)
		c.do(r, "TRUNCATE TABLE "+name)
		want(1)
		c.do(r, "INSERT INTO "+name+" VALUES (3,1),(4,1)")
		found, err := r.shard.FindIDs(r.Context(), n, "i`d", []uint64{2, 3, 4, 5})
		if slices.Sort(found); err != nil || !slices.Equal(found, []uint64{3, 4}) {
			r.Fatalf("%v: %v", found, err)
		}
	})
}

// An installation of an earlier version has no table of sequences: it is made at need.
func TestSequencesAreInstalledAtNeed(t *testing.T) {
	eachRig(t, func(r *rig) {
		r.dial().do(r, "DROP TABLE xaproxy.sequence")
		n := xamysql.SequenceName{Schema: r.schema, Table: "t"}
		if _, found, err := r.shard.ReadSequence(r.Context(), n); err != nil || found {
			r.Fatalf("found %v: %v", found, err)
		}
		r.sequence(1)
	})
}
