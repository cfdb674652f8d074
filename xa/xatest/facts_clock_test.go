package xatest_test

import (
	"strings"
)

// clockFacts: one time for all parts of a statement, by the session's variable timestamp.
var clockFacts = []fact{
	{"SET timestamp dates every clock but SYSDATE, DEFAULT and ON UPDATE with its microseconds", func(b bench) {
		a := b.clockTable()
		const now = "2024-03-01 10:20:30.123456"
		a.do(b, "SET time_zone='+00:00',timestamp=1709288430.123456")
		for expr, want := range map[string]string{
			"NOW(6)": now, "CURRENT_TIMESTAMP(6)": now, "LOCALTIMESTAMP(6)": now, "UTC_TIMESTAMP(6)": now,
			"CURDATE()": now[:10], "CURRENT_DATE": now[:10], "UTC_DATE()": now[:10],
			"CURTIME(6)": now[11:], "CURRENT_TIME(6)": now[11:], "UTC_TIME(6)": now[11:], "UNIX_TIMESTAMP()": "1709288430",
		} {
			if got := a.one(b, "SELECT "+expr); got != want {
				b.Errorf("%s is %s", expr, got)
			}
		}
		if got := a.one(b, "SELECT SYSDATE()>'2025-01-01'"); got != "1" {
			b.Error("SYSDATE() was moved")
		}
		a.do(b, "INSERT INTO "+b.schema+".c (id) VALUES (1),(2)")
		a.do(b, "SET timestamp=1709288431.654321;UPDATE "+b.schema+".c SET v=1 WHERE id=2")
		want := "1," + now + "," + now[:23] + "," + now + ";2," + now + ",2024-03-01 10:20:31.654,2024-03-01 10:20:31.654321"
		if got := a.one(b, "SELECT GROUP_CONCAT(CONCAT_WS(',',id,d,t,u) ORDER BY id SEPARATOR ';') FROM "+b.schema+".c"); got != want {
			b.Errorf("%s, want %s", got, want)
		}
	}},
	{"every microsecond of a double comes back from timestamp as it was given", func(b bench) {
		a := b.dial()
		for _, x := range []string{"1709288430.000001", "1709288430.000003", "1709288430.123457", "1709288430.333333", "1709288430.999999",
			"1709288430.500000", "1893456000.700001", "2147483646.100007", "1709288430.000000"} {
			a.do(b, "SET timestamp="+x)
			if got := a.one(b, "SELECT CONCAT(UNIX_TIMESTAMP(),'.',DATE_FORMAT(NOW(6),'%f'))"); got != x {
				b.Errorf("%s became %s", x, got)
			}
			if got := a.one(b, "SELECT @@timestamp"); strings.TrimRight(got, "0.") != strings.TrimRight(x, "0.") {
				b.Errorf("%s is told as %s", x, got)
			}
		}
	}},
	{"SET timestamp=@@timestamp stops the clock at the present microsecond, DEFAULT lets it go on", func(b bench) {
		a := b.dial()
		a.do(b, "SET timestamp=@@timestamp")
		first := a.one(b, "SELECT NOW(6)")
		told := a.one(b, "SELECT @@timestamp")
		a.do(b, "DO SLEEP(0.01)")
		if again := a.one(b, "SELECT NOW(6)"); again != first {
			b.Errorf("%s, then %s", first, again)
		}
		if ago := a.one(b, "SELECT ABS(TIMESTAMPDIFF(SECOND,NOW(),SYSDATE()))<60"); ago != "1" {
			b.Error("another time than the present one")
		}
		o := b.dial()
		o.do(b, "SET timestamp="+told)
		if got := o.one(b, "SELECT NOW(6)"); got != first {
			b.Errorf("told as %s: %s elsewhere, %s here", told, got, first)
		}
		a.do(b, "SET timestamp=DEFAULT")
		if later := a.one(b, "SELECT NOW(6)"); later == first {
			b.Error("the clock stands still")
		}
	}},
	{"a prepared statement takes timestamp when it is executed", func(b bench) {
		b.clockTable()
		db, err := b.server.DB(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		conn, err := db.Conn(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		exec := func(q string, args ...any) {
			b.Helper()
			if _, err := conn.ExecContext(b.Context(), q, args...); err != nil {
				b.Fatal(err)
			}
		}
		exec("SET time_zone='+00:00'")
		st, err := conn.PrepareContext(b.Context(), "INSERT INTO "+b.schema+".c (id,e) VALUES (?,NOW(6))")
		if err != nil {
			b.Fatal(err)
		}
		defer st.Close()
		for i, at := range []string{"86400.000001", "172800.000002"} {
			exec("SET timestamp=" + at)
			if _, err := st.ExecContext(b.Context(), i); err != nil {
				b.Fatal(err)
			}
		}
		want := "1970-01-02 00:00:00.000001,1970-01-02 00:00:00.000001;1970-01-03 00:00:00.000002,1970-01-03 00:00:00.000002"
		if got := b.dial().one(b, "SELECT GROUP_CONCAT(CONCAT_WS(',',d,e) ORDER BY id SEPARATOR ';') FROM "+b.schema+".c"); got != want {
			b.Errorf("%s, want %s", got, want)
		}
	}},
	{"timestamp can be set by an account without rights, within a transaction and a branch", func(b bench) {
		a, x := b.dial(), b.xid()
		user := b.schema
		a.do(b, "CREATE USER "+user+"@'%' IDENTIFIED BY 'pw'")
		defer b.dial().do(b, "DROP USER "+user+"@'%'")
		o := dial(b, user+":pw@tcp("+b.server.Addr()+")/", number)
		o.do(b, "SET timestamp=@@timestamp")
		o.do(b, "SET timestamp=DEFAULT")
		o.close()
		a.do(b, "XA START "+x+";SET timestamp=86400;SET timestamp=DEFAULT;"+b.add(1)+";XA END "+x+";XA COMMIT "+x+" ONE PHASE")
		b.wantValue(1, "1")
	}},
}

// clockTable makes the table c, whose columns d, t and u are set by the clock.
func (b bench) clockTable() *session {
	a := b.dial()
	a.do(b, "CREATE TABLE "+b.schema+".c (id INT PRIMARY KEY, v INT, e DATETIME(6), d DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6),"+
		" t TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),"+
		" u DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)) ENGINE=InnoDB")
	return a
}
