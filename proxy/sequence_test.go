package proxy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// numbered is a table on one real server, and proxies that number its rows.
type numberedTable struct {
	t       *testing.T
	db      *sql.DB
	store   *xamysql.Shard
	proxies []*sequences
}

func newNumberedTable(t *testing.T, e launch.Engine, proxies, block int) *numberedTable {
	t.Helper()
	s := launchtest.Start(t, launch.Options{Engine: e})[0]
	db, err := s.DB(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := xamysql.Install(t.Context(), s.DSN(), xamysql.Meta{Cluster: 7, Name: "s0"}); err != nil {
		t.Fatal(err)
	}
	store, err := xamysql.Open(xamysql.Options{DSN: s.DSN(), Name: "s0", Cluster: 7, Node: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	n := &numberedTable{t: t, db: db, store: store}
	for range proxies {
		n.proxies = append(n.proxies, newSequences(map[xa.ShardID]*Shard{0: {Store: store}}, block))
	}
	for _, q := range []string{"CREATE DATABASE d", "CREATE TABLE d.t (id BIGINT AUTO_INCREMENT PRIMARY KEY)"} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// request is a Numbering of rows: 0 asks for an id.
func (n *numberedTable) request(rows ...uint64) *plan.Numbering {
	r := &plan.Numbering{Table: plan.TableName{Schema: "d", Name: "t"}, Column: "id", Shards: []route.Shard{0}, Most: 1<<63 - 1}
	for _, id := range rows {
		r.Rows = append(r.Rows, plan.NumberedRow{Generate: id == 0, Given: id})
	}
	return r
}

// number numbers rows at a proxy.
func (n *numberedTable) number(proxy int, rows ...uint64) []uint64 {
	n.t.Helper()
	ids, err := n.proxies[proxy].number(n.t.Context(), n.request(rows...), tableLife{epoch: 1, opened: 1})
	if err != nil {
		n.t.Fatal(err)
	}
	return ids
}

func (n *numberedTable) want(proxy int, rows []uint64, ids ...uint64) {
	n.t.Helper()
	if got := n.number(proxy, rows...); fmt.Sprint(got) != fmt.Sprint(ids) {
		n.t.Errorf("rows %v at proxy %d get %v, want %v", rows, proxy, got, ids)
	}
}

// insert stores an id and reports whether it was there.
func (n *numberedTable) insert(id uint64) bool {
	_, err := n.db.ExecContext(n.t.Context(), "INSERT INTO d.t VALUES (?)", id)
	var said *mysql.MySQLError
	if errors.As(err, &said) && said.Number == 1062 {
		return true
	}
	if err != nil {
		n.t.Error(err)
	}
	return false
}

func TestRowsAreNumberedAsByAServer(t *testing.T) {
	n := newNumberedTable(t, launch.MariaDB1011, 2, 10)
	rows := func(ids ...uint64) []uint64 { return ids }
	n.want(0, rows(0), 1)
	n.want(0, rows(0, 0, 0), 2, 3, 4)
	n.want(0, rows(0, 8, 0), 5, 9)                                          // a given one pushes
	n.want(0, rows(0, 0, 0), 10, 11, 12)                                    // over the block's end, which nobody else has passed
	n.want(1, rows(0), 21)                                                  // the other has its own
	n.want(0, rows(0, 0, 0, 0, 0, 0, 0, 0), 13, 14, 15, 16, 17, 18, 19, 20) // to the end
	n.want(0, rows(0), 31)
	n.want(0, rows(0, 33, 0, 100, 0, 50, 0), 32, 34, 101, 102)
	n.want(0, rows(1000))
	n.want(0, rows(0), 1001)
	n.want(1, rows(0), 22)
	n.want(1, make([]uint64, 10), 1011, 1012, 1013, 1014, 1015, 1016, 1017, 1018, 1019, 1020) // one after the other
	ids := n.number(1, make([]uint64, 25)...)
	if len(ids) != 25 || ids[0] != 1021 || ids[24] != 1045 {
		t.Error(ids)
	}
}

// TestGivenIDsMakeOthersBlocksVoid: an id within the block of another proxy is
// not generated there any more.
func TestGivenIDsMakeOthersBlocksVoid(t *testing.T) {
	n := newNumberedTable(t, launch.MariaDB1011, 2, 10)
	n.want(0, []uint64{0}, 1)
	n.insert(1)
	n.want(1, []uint64{0}, 11)
	began := time.Now()
	n.want(1, []uint64{1}) // a row has it: it was generated
	if time.Since(began) > sequenceLease {
		t.Log("slow:", time.Since(began))
	}
	n.want(0, []uint64{0}, 2)
	began = time.Now()
	n.want(1, []uint64{5})
	if waited := time.Since(began); waited < 2*sequenceLease {
		t.Errorf("only %s were waited", waited)
	}
	n.want(0, []uint64{0}, 21) // not 3: it would meet 5 in the end
	n.want(1, []uint64{0}, 12)
	if s := n.proxies[1].of(plan.TableName{Schema: "d", Name: "t"}); s.settled != 11 {
		t.Errorf("settled below %d", s.settled)
	}
}

// TestNoIDIsGeneratedTwice lets proxies generate ids and store given ones at the
// same time. A generated id may meet a given one only if both statements ran at
// the same time, as on a server.
func TestNoIDIsGeneratedTwice(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			r := &idRace{n: newNumberedTable(t, e, 4, 40), given: map[uint64]time.Time{}, generated: map[uint64]bool{},
				until: time.Now().Add(10 * time.Second)}
			var wg sync.WaitGroup
			for p := range r.n.proxies {
				for worker := range 2 {
					random := rand.New(rand.NewPCG(uint64(p), uint64(worker)))
					wg.Go(func() {
						for time.Now().Before(r.until) && !t.Failed() {
							switch {
							case p == 0: // its block is old when it is used
								r.generate(p, random.IntN(3)+1)
								pause(t.Context(), time.Duration(random.IntN(600))*time.Millisecond)
							case random.IntN(3) == 0:
								r.give(p, uint64(random.IntN(200)))
							default:
								r.generate(p, random.IntN(3)+1)
								pause(t.Context(), time.Duration(random.IntN(40))*time.Millisecond)
							}
						}
					})
				}
			}
			wg.Wait()
			t.Logf("%d generated, %d given, %d waits", len(r.generated), len(r.given), r.waits)
		})
	}
}

type idRace struct {
	n     *numberedTable
	until time.Time

	mu        sync.Mutex
	highest   uint64
	given     map[uint64]time.Time // when the statement that gave it was over
	generated map[uint64]bool
	waits     int
}

// give stores an id that is below the highest one, or a little above.
func (r *idRace) give(p int, below uint64) {
	r.mu.Lock()
	id := r.highest + 10 - min(below, r.highest+9)
	r.mu.Unlock()
	began := time.Now()
	r.n.number(p, id)
	waited := time.Since(began) > sequenceLease
	r.n.insert(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given[id], r.highest = time.Now(), max(r.highest, id)
	if waited {
		r.waits++
	}
}

func (r *idRace) generate(p, count int) {
	began := time.Now()
	for _, id := range r.n.number(p, make([]uint64, count)...) {
		there := r.n.insert(id)
		r.mu.Lock()
		over, was := r.given[id]
		if r.generated[id] || there && was && over.Before(began) {
			r.n.t.Errorf("id %d is generated again", id)
		}
		r.generated[id], r.highest = true, max(r.highest, id)
		r.mu.Unlock()
	}
}

func TestSequencesOfAnotherLife(t *testing.T) {
	n := newNumberedTable(t, launch.MariaDB1011, 2, 10)
	n.want(0, []uint64{0}, 1)
	n.want(1, []uint64{0}, 11)
	if err := n.store.DeleteSequence(t.Context(), xamysql.SequenceName{Schema: "d", Table: "t"}); err != nil {
		t.Fatal(err)
	}
	n.insert(77)
	for proxy, want := range []uint64{78, 88} {
		ids, err := n.proxies[proxy].number(t.Context(), n.request(0), tableLife{epoch: 1, opened: 2})
		if err != nil || ids[0] != want {
			t.Errorf("%v, want %d: %v", ids, want, err)
		}
	}
}

func TestGivenIDsNeedNoShardWhenTheyAreOld(t *testing.T) {
	n := newNumberedTable(t, launch.MariaDB1011, 1, 10)
	n.insert(50)
	n.want(0, []uint64{0}, 51)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, rows := range [][]uint64{{3, 50}, {51}, {55}} { // settled, handed out, of the block
		if _, err := n.proxies[0].number(gone, n.request(rows...), tableLife{epoch: 1, opened: 1}); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(rows, err)
		}
	}
	if err := n.store.Close(); err != nil {
		t.Fatal(err)
	}
	n.want(0, []uint64{3, 50})
	n.want(0, []uint64{51})
	n.want(0, []uint64{55})
	for _, rows := range [][]uint64{{61}, {3, 1000}} {
		_, err := n.proxies[0].number(t.Context(), n.request(rows...), tableLife{epoch: 1, opened: 1})
		var at *sequenceError
		if !errors.As(err, &at) || at.at != 0 {
			t.Errorf("rows %v: %v", rows, err)
		}
	}
}
