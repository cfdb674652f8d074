package xatest_test

import (
	"fmt"
	"time"
)

// prepare makes a prepared branch that has added 1 to row 1.
func (b bench) prepare(a *session, xid string) {
	b.Helper()
	a.do(b, "XA START "+xid+";"+b.add(1))
	for _, r := range a.pipeline(b, "XA END "+xid, "XA PREPARE "+xid) {
		if r.Err != nil {
			b.Fatal(r.Err)
		}
	}
}

// branchFacts: XA verbs and what prepared branches do.
var branchFacts = []fact{
	{"XA START sets IN_TRANS at once, an end clears it; on MariaDB PREPARE does not", func(b bench) {
		a, x := b.dial(), b.xid()
		a.do(b, "XA START "+x)
		if !a.InTransaction() || !a.ping(b) {
			b.Fatal("no IN_TRANS in an active branch")
		}
		a.pipeline(b, "XA END "+x, "XA PREPARE "+x)
		if a.ping(b) != b.mariadb() {
			b.Fatal("IN_TRANS after PREPARE")
		}
		a.do(b, "XA COMMIT "+x)
		if a.ping(b) {
			b.Fatal("IN_TRANS after XA COMMIT")
		}
	}},
	{"F6, trap 1: another session commits while the preparing one lives: OK on MySQL, 1397 though listed on MariaDB, OK once it has gone", func(b bench) {
		a, o, x := b.dial(), b.dial(), b.xid()
		b.prepare(a, x)
		if b.mariadb() {
			o.fails(b, "XA COMMIT "+x, 1397)
			b.wantListed(x, true)
			a.close()
			b.waitGone(a.id.Conn)
		}
		o.do(b, "XA COMMIT "+x)
		b.wantListed(x, false)
		b.wantValue(1, "1")
	}},
	{"F7 after PREPARE the session is free on MySQL and bound on MariaDB", func(b bench) {
		a, x := b.dial(), b.xid()
		b.prepare(a, x)
		if b.mariadb() {
			a.fails(b, "BEGIN", 1399)
		} else {
			a.do(b, "BEGIN;ROLLBACK")
		}
		a.do(b, "XA ROLLBACK "+x)
	}},
	{"F8 a prepared branch survives its session, an active one is rolled back with it", func(b bench) {
		a, c, o, x, y := b.dial(), b.dial(), b.dial(), b.xid(), b.xid()
		b.prepare(a, x)
		c.do(b, "XA START "+y+";"+b.add(2))
		a.close()
		c.close()
		b.waitGone(a.id.Conn)
		b.waitGone(c.id.Conn)
		b.wantListed(x, true)
		o.do(b, "XA COMMIT "+x)
		o.fails(b, "XA ROLLBACK "+y, 1397)
		b.wantValue(1, "1")
		b.wantValue(2, "0")
	}},
	{"F9 a prepared read-only branch: locks freed at PREPARE on MySQL; kept until disconnect, then 1402, on MariaDB", func(b bench) {
		a, o, x := b.dial(), b.dial(), b.xid()
		o.do(b, "SET innodb_lock_wait_timeout=1")
		a.do(b, "XA START "+x+";SELECT * FROM "+b.table()+" WHERE id=1 FOR UPDATE")
		a.pipeline(b, "XA END "+x, "XA PREPARE "+x)
		b.wantListed(x, true)
		if !b.mariadb() {
			o.do(b, b.add(1))
			o.do(b, "XA COMMIT "+x)
			return
		}
		o.fails(b, b.add(1), 1205)
		a.close()
		b.waitGone(a.id.Conn)
		o.do(b, b.add(1))
		b.wantListed(x, true)
		o.fails(b, "XA COMMIT "+x, 1402)
		b.wantListed(x, false)
	}},
	{"F21 while XA COMMIT waits the branch stays listed", func(b bench) {
		a, o, l, x := b.dial(), b.dial(), b.dial(), b.xid()
		b.prepare(a, x)
		l.do(b, "FLUSH TABLES WITH READ LOCK")
		if b.mariadb() {
			o.close()
			o = a
		}
		end := o.later(b, "XA COMMIT "+x)
		b.waitBusy(o.id.Conn)
		b.wantListed(x, true)
		l.do(b, "UNLOCK TABLES")
		if err := end(); err != nil {
			b.Fatal(err)
		}
		b.wantListed(x, false)
		b.wantValue(1, "1")
	}},
	{"trap 2: while its session owns it, XA START of the same xid is 1440; once it has gone, OK", func(b bench) {
		a, o, x := b.dial(), b.dial(), b.xid()
		a.do(b, "XA START "+x+";"+b.add(1))
		o.fails(b, "XA START "+x, 1440)
		o.fails(b, "XA COMMIT "+x, 1397)
		a.close()
		b.waitGone(a.id.Conn)
		o.do(b, "XA START "+x+";XA END "+x+";XA ROLLBACK "+x)
	}},
	{"trap 2: XA PREPARE of a killed session that waits for a backup's lock may end either way, but is over once the session has gone", func(b bench) {
		a, l, k, x := b.dial(), b.dial(), b.dial(), b.xid()
		a.do(b, "XA START "+x+";"+b.add(1))
		l.do(b, "FLUSH TABLES WITH READ LOCK")
		if err := a.send(query("XA END "+x), query("XA PREPARE "+x)); err != nil {
			b.Fatal(err)
		}
		b.waitBusy(a.id.Conn)
		k.do(b, fmt.Sprintf("KILL CONNECTION %d", a.id.Conn))
		time.Sleep(50 * time.Millisecond)
		l.do(b, "UNLOCK TABLES")
		b.waitGone(a.id.Conn)
		if !b.listed(x) {
			k.fails(b, "XA ROLLBACK "+x, 1397)
			return
		}
		k.do(b, "XA ROLLBACK "+x)
		b.wantListed(x, false)
	}},
	{"a deadlock in a branch: XA END is 1614 on MySQL and 1399 on MariaDB, XA ROLLBACK then ends it", func(b bench) {
		a, o, x := b.dial(), b.dial(), b.xid()
		deadlock(b, a, o, "XA START "+x)
		o.do(b, "ROLLBACK")
		if a.ping(b) {
			b.Fatal("IN_TRANS of a branch that was rolled back")
		}
		if !b.mariadb() {
			a.fails(b, "XA ROLLBACK "+x, 1399)
		}
		r := a.pipeline(b, "XA END "+x, "XA ROLLBACK "+x)
		want := uint16(1614)
		if b.mariadb() {
			want = 1399
		}
		if r[0].Err == nil || r[0].Err.Number != want || r[1].Err != nil {
			b.Fatal(r[0].Err, r[1].Err)
		}
		a.do(b, "BEGIN;ROLLBACK")
		b.wantValue(1, "0")
	}},
	{"a deadlock in a branch: neither PREPARE nor ONE PHASE can succeed", func(b bench) {
		for _, verb := range []string{"XA PREPARE %s", "XA COMMIT %s ONE PHASE"} {
			a, o, x := b.dial(), b.dial(), b.xid()
			deadlock(b, a, o, "XA START "+x)
			o.do(b, "ROLLBACK")
			r := a.pipeline(b, "XA END "+x, fmt.Sprintf(verb, x))
			if r[0].Err == nil || r[1].Err == nil {
				b.Fatal("it succeeded")
			}
			if n := r[1].Err.Number; n != 1399 && n != 1614 {
				b.Fatal(r[1].Err)
			}
			b.wantListed(x, false)
			b.wantValue(1, "0")
			a.close()
		}
	}},
	{"a lock timeout and a duplicate key leave the branch usable and preparable", func(b bench) {
		a, o, x := b.dial(), b.dial(), b.xid()
		o.do(b, "BEGIN;"+b.add(2))
		a.do(b, "SET innodb_lock_wait_timeout=1;XA START "+x+";"+b.add(1))
		a.fails(b, b.add(2), 1205)
		a.fails(b, "INSERT INTO "+b.table()+" VALUES (1,1)", 1062)
		if !a.ping(b) {
			b.Fatal("IN_TRANS is lost")
		}
		a.pipeline(b, "XA END "+x, "XA PREPARE "+x)
		a.do(b, "XA COMMIT "+x)
		b.wantValue(1, "1")
	}},
	{"XA ROLLBACK without XA END is 1399, the branch stays", func(b bench) {
		a, x := b.dial(), b.xid()
		a.do(b, "XA START "+x+";"+b.add(1))
		a.fails(b, "XA ROLLBACK "+x, 1399)
		a.fails(b, "XA PREPARE "+x, 1399)
		a.do(b, "XA END "+x+";XA ROLLBACK "+x)
	}},
	{"verbs of unknown branches: XA END and PREPARE 1399, COMMIT and ROLLBACK 1397, ONE PHASE 1397 or 1398", func(b bench) {
		a, x := b.dial(), b.xid()
		a.fails(b, "XA END "+x, 1399)
		a.fails(b, "XA PREPARE "+x, 1399)
		a.fails(b, "XA COMMIT "+x, 1397)
		a.fails(b, "XA ROLLBACK "+x, 1397)
		onePhase := uint16(1397)
		if b.mariadb() {
			onePhase = 1398
		}
		a.fails(b, "XA COMMIT "+x+" ONE PHASE", onePhase)
	}},
	{"XA COMMIT twice is 1397", func(b bench) {
		a, x := b.dial(), b.xid()
		b.prepare(a, x)
		a.do(b, "XA COMMIT "+x)
		a.fails(b, "XA COMMIT "+x, 1397)
	}},
	{"XA START inside BEGIN is 1400, BEGIN and COMMIT inside a branch 1399", func(b bench) {
		a, x := b.dial(), b.xid()
		a.do(b, "BEGIN")
		a.fails(b, "XA START "+x, 1400)
		a.do(b, "ROLLBACK;XA START "+x)
		a.fails(b, "BEGIN", 1399)
		a.fails(b, "COMMIT", 1399)
		a.fails(b, "ROLLBACK", 1399)
		a.do(b, "XA END "+x+";XA ROLLBACK "+x)
	}},
	{"savepoints work inside a branch; undone changes leave it preparable", func(b bench) {
		a, x := b.dial(), b.xid()
		a.do(b, "XA START "+x+";SAVEPOINT s;"+b.add(1)+";ROLLBACK TO s;"+b.add(2))
		a.pipeline(b, "XA END "+x, "XA PREPARE "+x)
		a.do(b, "XA COMMIT "+x)
		b.wantValue(1, "0")
		b.wantValue(2, "1")
	}},
	{"MariaDB ignores the format id in look-ups, MySQL does not", func(b bench) {
		a, x := b.dial(), b.xid()
		b.prepare(a, x)
		other := x[:len(x)-len("1480675377")] + "7"
		if b.mariadb() {
			a.do(b, "XA COMMIT "+other)
			return
		}
		a.fails(b, "XA COMMIT "+other, 1397)
		a.do(b, "XA COMMIT "+x)
	}},
	{"xids of 61 and 19 bytes of any content are listed as they are", func(b bench) {
		a := b.dial()
		x := fmt.Sprintf("X'%0122x',X'%038x',1480675377", counter.Add(1), 0xff)
		a.do(b, "XA START "+x)
		a.pipeline(b, "XA END "+x, "XA PREPARE "+x)
		found := false
		for _, row := range b.dial().do(b, "XA RECOVER")[0].Rows {
			found = found || *row[0] == "1480675377" && *row[1] == "61" && *row[2] == "19" && len(*row[3]) == 80
		}
		a.do(b, "XA ROLLBACK "+x)
		if !found {
			b.Fatal("not listed")
		}
	}},
	{"a committed one-phase branch and a rolled back one leave nothing in doubt", func(b bench) {
		a, x := b.dial(), b.xid()
		a.do(b, "XA START "+x+";"+b.add(1))
		for _, r := range a.pipeline(b, "XA END "+x, "XA COMMIT "+x+" ONE PHASE") {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
		b.wantValue(1, "1")
		b.wantListed(x, false)
	}},
}

// packetFacts: what the server does with several statements in a packet, and several packets in a write.
var packetFacts = []fact{
	{"pipelined packets all run, also behind a failed one", func(b bench) {
		a := b.dial()
		r := a.pipeline(b, "SELECT nonsense", b.add(1))
		if r[0].Err == nil || r[1].Err != nil {
			b.Fatal(r)
		}
		b.wantValue(1, "1")
	}},
	{"trap 5: XA START that fails in front of a statement: in one packet the statement does not run, in two it commits by itself", func(b bench) {
		a, o, x := b.dial(), b.dial(), b.xid()
		b.prepare(o, x)
		a.fails(b, "XA START "+x+";"+b.add(2), 1440)
		b.wantValue(2, "0")
		r := a.pipeline(b, "XA START "+x, b.add(2))
		if r[0].Err == nil || r[1].Err != nil {
			b.Fatal(r)
		}
		b.wantValue(2, "1")
		o.do(b, "XA ROLLBACK "+x)
	}},
	{"trap 5: a packet that ends in XA PREPARE runs on after its client died in a lock wait and leaves an orphan", func(b bench) {
		b.orphan(func(a *session, x string) {
			if err := a.send(query(b.add(1) + ";XA END " + x + ";XA PREPARE " + x)); err != nil {
				b.Fatal(err)
			}
		}, true)
	}},
	{"trap 5: pipelined packets are not executed once the client is gone", func(b bench) {
		b.orphan(func(a *session, x string) {
			if err := a.send(query(b.add(1)), query("XA END "+x), query("XA PREPARE "+x)); err != nil {
				b.Fatal(err)
			}
		}, false)
	}},
}

// orphan lets a client die while its first statement waits for a lock, and tells whether its branch gets prepared.
func (b bench) orphan(send func(a *session, xid string), want bool) {
	b.Helper()
	a, l, x := b.dial(), b.dial(), b.xid()
	l.do(b, "BEGIN;"+b.add(1))
	a.do(b, "XA START "+x+";"+b.add(2))
	send(a, x)
	b.waitBusy(a.id.Conn)
	a.close()
	time.Sleep(100 * time.Millisecond)
	b.wantListed(x, false)
	l.do(b, "COMMIT")
	b.waitGone(a.id.Conn)
	b.wantListed(x, want)
	if want {
		b.dial().do(b, "XA ROLLBACK "+x)
	}
}

// rightsFacts: who may do what.
var rightsFacts = []fact{
	{"trap 8: an account without rights ends any branch it can name; on MySQL it cannot list them (1401), on MariaDB it can", func(b bench) {
		a, x := b.dial(), b.xid()
		user := b.schema
		a.do(b, "CREATE USER "+user+"@'%' IDENTIFIED BY 'pw'")
		defer b.dial().do(b, "DROP USER "+user+"@'%'")
		b.prepare(a, x)
		if b.mariadb() {
			a.close()
			b.waitGone(a.id.Conn)
		}
		o := dial(b, fmt.Sprintf("%s:pw@tcp(%s)/", user, b.server.Addr()), number)
		if b.mariadb() {
			o.do(b, "XA RECOVER")
		} else {
			o.fails(b, "XA RECOVER", 1401)
		}
		o.do(b, "XA COMMIT "+x)
		b.wantValue(1, "1")
		o.close()
	}},
	{"without PROCESS innodb_trx answers 1227 and other accounts' sessions are not listed", func(b bench) {
		a := b.dial()
		user := b.schema
		a.do(b, "CREATE USER "+user+"@'%' IDENTIFIED BY 'pw'")
		defer b.dial().do(b, "DROP USER "+user+"@'%'")
		o := dial(b, fmt.Sprintf("%s:pw@tcp(%s)/", user, b.server.Addr()), number)
		o.fails(b, "SELECT COUNT(*) FROM information_schema.innodb_trx", 1227)
		if got := o.one(b, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.processlist WHERE id=%d", a.id.Conn)); got != "0" {
			b.Fatal("listed")
		}
		o.close()
	}},
}
