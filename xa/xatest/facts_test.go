package xatest_test

import (
	"fmt"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// fact is a line of what the code relies on, checked at every real server.
type fact struct {
	name  string
	check func(b bench)
}

// claimTable stands for xaproxy.claim in a schema of the test's own.
func (b bench) claimTable() string {
	c := b.dial()
	defer c.close()
	c.do(b, "CREATE TABLE "+b.schema+".claim (name VARBINARY(255) PRIMARY KEY, outcome CHAR(1) NOT NULL) ENGINE=InnoDB")
	return b.schema + ".claim"
}

func TestFacts(t *testing.T) {
	eachServer(t, func(t *testing.T, s *launch.Server) {
		for _, facts := range [][]fact{claimFacts, sessionFacts, branchFacts, packetFacts, rightsFacts, clockFacts} {
			for _, f := range facts {
				t.Run(f.name, func(t *testing.T) { f.check(newBench(t, s)) })
			}
		}
	})
}

// claimFacts: the claim is a write-once row.
var claimFacts = []fact{
	{"F1 duplicate key stops a packet before COMMIT and leaves the transaction open", func(b bench) {
		claim, a := b.claimTable(), b.dial()
		a.do(b, "INSERT INTO "+claim+" VALUES ('g','A')")
		a.do(b, "BEGIN;"+b.add(1))
		a.fails(b, "INSERT INTO "+claim+" VALUES ('g','C');COMMIT AND NO CHAIN NO RELEASE", 1062)
		if !a.ping(b) {
			b.Fatal("transaction was ended")
		}
		a.do(b, "ROLLBACK")
		b.wantValue(1, "0")
	}},
	{"F2 fence waits for an undecided claim and times out with 1205", func(b bench) {
		claim, a, f := b.claimTable(), b.dial(), b.dial()
		a.do(b, "BEGIN;INSERT INTO "+claim+" VALUES ('g','C')")
		f.do(b, "SET innodb_lock_wait_timeout=1")
		f.fails(b, "INSERT INTO "+claim+" VALUES ('g','A')", 1205)
		a.do(b, "ROLLBACK")
		f.do(b, "INSERT INTO "+claim+" VALUES ('g','A')")
	}},
	{"F3 fence meets a committed claim as a duplicate key", func(b bench) {
		claim, a, f := b.claimTable(), b.dial(), b.dial()
		a.do(b, "BEGIN;"+b.add(1)+";INSERT INTO "+claim+" VALUES ('g','C');COMMIT AND NO CHAIN NO RELEASE")
		f.fails(b, "INSERT INTO "+claim+" VALUES ('g','A')", 1062)
	}},
	{"F4 killing home's session lets the fence in and the zombie's COMMIT fail", func(b bench) {
		claim, a, f, k := b.claimTable(), b.dial(), b.dial(), b.dial()
		a.do(b, "BEGIN;"+b.add(1)+";INSERT INTO "+claim+" VALUES ('g','C')")
		end := f.later(b, "INSERT INTO "+claim+" VALUES ('g','A')")
		b.waitBusy(f.id.Conn)
		k.do(b, fmt.Sprintf("KILL CONNECTION %d", a.id.Conn))
		if err := end(); err != nil {
			b.Fatal(err)
		}
		if r, err := a.Exchange(b.Context(), query("COMMIT")); err == nil && r[0].Results[0].Err == nil {
			b.Fatal("the killed session committed")
		}
		b.wantValue(1, "0")
	}},
	{"F5 a DELETE of absent keys blocks neighbours' INSERTs in REPEATABLE READ, not in READ COMMITTED", func(b bench) {
		claim, a, f := b.claimTable(), b.dial(), b.dial()
		f.do(b, "SET innodb_lock_wait_timeout=1")
		a.do(b, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;BEGIN;DELETE FROM "+claim+" WHERE name IN ('b','d')")
		f.fails(b, "INSERT INTO "+claim+" VALUES ('c','C')", 1205)
		a.do(b, "ROLLBACK;SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;BEGIN;DELETE FROM "+claim+" WHERE name IN ('b','d')")
		f.do(b, "INSERT INTO "+claim+" VALUES ('c','C')")
	}},
	{"a shared locking SELECT of an absent key in a self fence blocks nobody in READ COMMITTED", func(b bench) {
		claim, a, f := b.claimTable(), b.dial(), b.dial()
		f.do(b, "SET innodb_lock_wait_timeout=1")
		a.do(b, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;BEGIN;INSERT INTO "+claim+" SELECT 'g','A' FROM "+b.table()+" WHERE id=9 LOCK IN SHARE MODE")
		f.do(b, "INSERT INTO "+b.table()+" VALUES (9,0)")
	}},
	{"a lax sql_mode cuts too long values silently", func(b bench) {
		a := b.dial()
		a.do(b, "CREATE TABLE "+b.schema+".cut (v VARBINARY(4))")
		a.do(b, "SET sql_mode='';INSERT INTO "+b.schema+".cut VALUES (X'4142434445')")
		if got := a.one(b, "SELECT v FROM "+b.schema+".cut"); got != "ABCD" {
			b.Fatal(got)
		}
	}},
	{"SET timestamp dates CURRENT_TIMESTAMP, not SYSDATE", func(b bench) {
		a := b.dial()
		a.do(b, "SET time_zone='+00:00',timestamp=86400")
		if got := a.one(b, "SELECT CURRENT_TIMESTAMP(3)"); got != "1970-01-02 00:00:00.000" {
			b.Fatal(got)
		}
		if got := a.one(b, "SELECT SYSDATE(3) > '2020-01-01'"); got != "1" {
			b.Fatal("SYSDATE was moved")
		}
	}},
	{"completion_type=1 chains a transaction behind COMMIT, not behind COMMIT AND NO CHAIN NO RELEASE", func(b bench) {
		a := b.dial()
		a.do(b, "SET completion_type=1;BEGIN;"+b.add(1)+";COMMIT")
		if !a.ping(b) {
			b.Fatal("not chained")
		}
		a.do(b, "COMMIT AND NO CHAIN NO RELEASE")
		if a.ping(b) {
			b.Fatal("chained")
		}
	}},
	{"LOCK IN SHARE MODE parses everywhere, FOR SHARE not on MariaDB", func(b bench) {
		a := b.dial()
		a.do(b, "SELECT * FROM "+b.table()+" LOCK IN SHARE MODE")
		if b.mariadb() {
			a.fails(b, "SELECT * FROM "+b.table()+" FOR SHARE", 1064)
		}
	}},
}

// sessionFacts: plain local transactions, flags and session lists.
var sessionFacts = []fact{
	{"F13 DDL inside BEGIN commits and clears IN_TRANS; inside a branch it is refused with 1399", func(b bench) {
		a, x := b.dial(), b.xid()
		a.do(b, "BEGIN;"+b.add(1))
		a.do(b, "CREATE TABLE "+b.schema+".ddl (a INT)")
		if a.InTransaction() {
			b.Fatal("IN_TRANS after DDL")
		}
		b.wantValue(1, "1")
		a.do(b, "XA START "+x+";"+b.add(1))
		a.fails(b, "DROP TABLE "+b.schema+".ddl", 1399)
		a.do(b, "XA END "+x+";XA ROLLBACK "+x)
		b.wantValue(1, "1")
	}},
	{"F18 an idle session is ended after its wait_timeout, locks freed; COM_PING keeps it", func(b bench) {
		a, kept, o := b.dial(), b.dial(), b.dial()
		a.do(b, "SET wait_timeout=1;BEGIN;"+b.add(1))
		kept.do(b, "SET wait_timeout=2;BEGIN;"+b.add(2))
		o.do(b, "SET innodb_lock_wait_timeout=1")
		for range 6 {
			time.Sleep(500 * time.Millisecond)
			if !kept.ping(b) {
				b.Fatal("ended in spite of pings")
			}
		}
		o.do(b, b.add(1))
		o.fails(b, b.add(2), 1205)
		b.waitGone(a.id.Conn)
	}},
	{"F19 the server's run is constant", func(b bench) {
		first := b.dial().id.Run
		time.Sleep(1100 * time.Millisecond)
		if again := b.dial().id.Run; again != first {
			b.Fatalf("run %d, then %d", first, again)
		}
	}},
	{"trap 3: after 1213 the transaction is gone, COM_PING says so, and the next statement commits by itself", func(b bench) {
		a, o := b.dial(), b.dial()
		deadlock(b, a, o, "BEGIN")
		if a.ping(b) {
			b.Fatal("COM_PING says that the transaction is there")
		}
		o.do(b, "ROLLBACK")
		a.do(b, b.add(3))
		a.do(b, "ROLLBACK")
		b.wantValue(1, "0")
		b.wantValue(3, "1")
	}},
	{"trap 3: an error packet without rollback leaves IN_TRANS, COM_PING says so", func(b bench) {
		a := b.dial()
		a.do(b, "BEGIN;"+b.add(1))
		a.fails(b, "INSERT INTO "+b.table()+" VALUES (1,1)", 1062)
		if !a.ping(b) {
			b.Fatal("IN_TRANS is lost")
		}
	}},
	{"trap 3: 1205 rolls back the statement only", func(b bench) {
		a, o := b.dial(), b.dial()
		o.do(b, "BEGIN;"+b.add(2))
		a.do(b, "SET innodb_lock_wait_timeout=1;BEGIN;"+b.add(1))
		a.fails(b, b.add(2), 1205)
		if !a.ping(b) {
			b.Fatal("IN_TRANS is lost")
		}
		a.do(b, "COMMIT")
		b.wantValue(1, "1")
	}},
	{"trap 3: a procedure's COMMIT shows as loss of IN_TRANS with autocommit=1", func(b bench) {
		a := b.dial()
		a.do(b, "CREATE PROCEDURE "+b.schema+".ends() COMMIT")
		a.do(b, "BEGIN;"+b.add(1)+";CALL "+b.schema+".ends()")
		if a.ping(b) {
			b.Fatal("loss not seen")
		}
		b.wantValue(1, "1")
	}},
	{"trap 3: a procedure's COMMIT with autocommit=0, or followed by START TRANSACTION, is hidden", func(b bench) {
		a := b.dial()
		a.do(b, "CREATE PROCEDURE "+b.schema+".goes_on() BEGIN COMMIT; UPDATE "+b.table()+" SET v=v+1 WHERE id=2; END")
		a.do(b, "CREATE PROCEDURE "+b.schema+".renews() BEGIN COMMIT; START TRANSACTION; END")
		a.do(b, "BEGIN;"+b.add(1)+";CALL "+b.schema+".goes_on()")
		if a.ping(b) {
			b.Fatal("loss not seen with autocommit=1")
		}
		a.do(b, "BEGIN;"+b.add(1)+";CALL "+b.schema+".renews()")
		if !a.ping(b) {
			b.Fatal("renewed transaction is seen")
		}
		a.do(b, "ROLLBACK;SET autocommit=0;"+b.add(1)+";CALL "+b.schema+".goes_on()")
		if !a.ping(b) {
			b.Fatal("loss is seen with autocommit=0")
		}
		b.wantValue(1, "3")
	}},
	{"trap 3: 1020 with innodb_snapshot_isolation, the default of 11.8, ends the transaction", func(b bench) {
		if !b.mariadb() {
			b.Skip("MariaDB only")
		}
		a, o := b.dial(), b.dial()
		want := "0"
		if b.server.Engine() == launch.MariaDB118 {
			want = "1"
		}
		if got := a.one(b, "SELECT @@global.innodb_snapshot_isolation"); got != want {
			b.Fatal("default is " + got)
		}
		a.do(b, "SET innodb_snapshot_isolation=1;BEGIN;SELECT * FROM "+b.table()+";"+b.add(2))
		o.do(b, b.add(1))
		a.fails(b, b.add(1), 1020)
		if a.ping(b) {
			b.Fatal("COM_PING says that the transaction is there")
		}
		a.do(b, b.add(3)+";ROLLBACK")
		b.wantValue(2, "0")
		b.wantValue(3, "1")
	}},
	{"trap 3: 1020 in a branch leaves it to be rolled back", func(b bench) {
		if !b.mariadb() {
			b.Skip("MariaDB only")
		}
		a, o, x := b.dial(), b.dial(), b.xid()
		a.do(b, "SET innodb_snapshot_isolation=1;XA START "+x+";SELECT * FROM "+b.table()+";"+b.add(2))
		o.do(b, b.add(1))
		a.fails(b, b.add(1), 1020)
		if a.ping(b) {
			b.Fatal("COM_PING says that the branch is there")
		}
		r := a.pipeline(b, "XA END "+x, "XA PREPARE "+x, "XA ROLLBACK "+x)
		if r[0].Err == nil || r[1].Err == nil || r[2].Err != nil {
			b.Fatal(r[0].Err, r[1].Err, r[2].Err)
		}
		b.wantListed(x, false)
	}},
	{"KILL QUERY in a lock wait leaves transaction and branch open", func(b bench) {
		a, o, k, x := b.dial(), b.dial(), b.dial(), b.xid()
		o.do(b, "BEGIN;"+b.add(1))
		a.do(b, "XA START "+x+";"+b.add(2))
		end := a.later(b, b.add(1))
		b.waitBusy(a.id.Conn)
		k.do(b, fmt.Sprintf("KILL QUERY %d", a.id.Conn))
		if err := end(); err == nil || err.Number != 1317 {
			b.Fatal(err)
		}
		if !a.ping(b) {
			b.Fatal("IN_TRANS is lost")
		}
		a.do(b, "XA END "+x+";XA COMMIT "+x+" ONE PHASE")
		b.wantValue(2, "1")
	}},
	{"XA RECOVER and processlist are open to the account that Check demands", func(b bench) {
		b.dial().do(b, "XA RECOVER;SELECT COUNT(*) FROM information_schema.innodb_trx")
	}},
	{"trap 11: performance_schema is off on MariaDB, on on MySQL", func(b bench) {
		want := "1"
		if b.mariadb() {
			want = "0"
		}
		if got := b.dial().one(b, "SELECT @@performance_schema"); got != want {
			b.Fatal(got)
		}
	}},
}

// deadlock makes a the victim: opened by begin, it has written row 1 and waits for row 2, which o has.
func deadlock(b bench, a, o *session, begin string) {
	b.Helper()
	a.do(b, begin+";"+b.add(1))
	o.do(b, "BEGIN;"+b.add(2)+";"+b.add(4)+";"+b.add(5)) // more rows changed: not the victim
	end := o.later(b, b.add(1))
	b.waitBusy(o.id.Conn)
	a.fails(b, b.add(2), 1213)
	if err := end(); err != nil {
		b.Fatal(err)
	}
}
