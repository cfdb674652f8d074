package xatest_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/xa"
)

// slowClose builds the library that makes the end of a session slow.
func slowClose(t testing.TB) string {
	t.Helper()
	library := filepath.Join(t.TempDir(), "slowclose.so")
	if err := launch.BuildPreload(t.Context(), "testdata/slowclose.c", library, func(line string) { t.Log(line) }); err != nil {
		t.Fatal(err)
	}
	return library
}

// Rule: InnoDB, too, must have given the branch up. A MariaDB session leaves the session list before that, and an XA
// COMMIT in between is answered OK and does nothing.
func TestCommitBetweenSessionListAndInnoDB(t *testing.T) {
	for _, e := range launch.Engines() {
		if e.Family() != "mariadb" {
			continue
		}
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			s := launchtest.Start(t, launch.Options{Engine: e, Env: []string{"LD_PRELOAD=" + slowClose(t)}})[0]
			install(t, s)
			r := newRig(t, s)
			check := r.dial()
			check.do(t, "SET innodb_lock_wait_timeout=1")
			for round := range 20 {
				c := r.dial()
				b := r.branch(c, true, r.add(1))
				r.wantPrepared(b)
				c.close()
				end := r.shard.Commit
				if round%2 == 1 {
					end = r.shard.Rollback
				}
				r.untilEnded(func() error { return end(r.Context(), b.ID(), xa.OwnerAlive) })
				if _, err := check.try(t, "SELECT v FROM "+r.table()+" WHERE id=1 FOR UPDATE"); err != nil {
					t.Fatalf("round %d: ended, its lock is still there: %v", round, err)
				}
			}
			r.wantValue(1, "10")
		})
	}
}

// The fact behind it: the preparing session has left the session list, XA COMMIT of another one is answered OK, and
// nothing is committed. The branch is listed no more, holds its locks, and is back as prepared after a restart.
func TestMariaDBAnswersOKWithoutCommitting(t *testing.T) {
	for _, e := range launch.Engines() {
		if e.Family() != "mariadb" {
			continue
		}
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			s := launchtest.Start(t, launch.Options{Engine: e, Env: []string{"LD_PRELOAD=" + slowClose(t)}})[0]
			b := newBench(t, s)
			o := b.dial()
			o.do(t, "SET innodb_lock_wait_timeout=1")
			var x string
			round := 0
			for ; ; round++ { // a busy machine may let the moment pass, some tens of milliseconds: then XA COMMIT commits
				a := b.dial()
				x = b.xid()
				b.prepare(a, x)
				a.close()
				b.until("the session has left the list", func() bool {
					return o.one(t, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.processlist WHERE id=%d", a.id.Conn)) == "0"
				})
				o.do(t, "XA COMMIT "+x) // OK
				if b.value(1) == strconv.Itoa(round) {
					break
				}
				if round == 9 {
					t.Fatal("every XA COMMIT has committed")
				}
			}
			b.wantListed(x, false)
			o.fails(t, "XA COMMIT "+x, 1397)
			time.Sleep(100 * time.Millisecond)
			o.fails(t, b.add(1), 1205)
			b.crash()
			b.wantListed(x, true)
			b.dial().do(t, "XA COMMIT "+x)
			b.wantValue(1, strconv.Itoa(round+1))
		})
	}
}
