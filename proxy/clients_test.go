package proxy_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/proxy/route"
	"xaproxy/proxy/wire"
)

func TestClientsOfAllCapabilities(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	for name, without := range map[string]wire.Capabilities{
		"all": 0, "no DEPRECATE_EOF": wire.DeprecateEOF, "no SESSION_TRACK": wire.SessionTrack,
		"neither": wire.DeprecateEOF | wire.SessionTrack,
	} {
		t.Run(name, func(t *testing.T) { allCommands(t, dialBare(t, w.addr, without), ids) })
	}
}

func allCommands(t *testing.T, c *bare, ids []int) {
	if a := c.query("USE bank"); a.err != nil {
		t.Fatal(a.err)
	}
	if a := c.query("SELECT id,balance FROM account"); a.rows != 20 || a.err != nil {
		t.Fatalf("%+v", a)
	}
	st := c.prepare("SELECT id,balance FROM account WHERE balance>?")
	param := func(n int) wire.Param {
		return wire.Param{Type: wire.TypeLong, Value: []byte{byte(n), byte(n >> 8), 0, 0}}
	}
	for range 2 {
		if a := c.execute(st.Statement, param(1)); a.rows != 20 || a.err != nil {
			t.Fatalf("%+v", a)
		}
	}
	// libmariadb does not send the types again.
	again := wire.AppendExecute(nil, st.Statement, []wire.Param{param(1)})
	again = append(again[:11], 0, 1, 0, 0, 0)
	c.send(again)
	if a := c.reply(); a.rows != 20 || a.err != nil {
		t.Fatalf("without types: %+v", a)
	}
	c.send([]byte{byte(wire.ComInitDB), 'b', 'a', 'n', 'k'})
	if a := c.reply(); a.err != nil {
		t.Error(a.err)
	}
	for _, cmd := range []wire.Command{wire.ComPing, wire.ComResetConnection} {
		c.send([]byte{byte(cmd)})
		if a := c.reply(); a.err != nil || !a.ok.Status.Has(wire.StatusAutocommit) {
			t.Errorf("%+v", a)
		}
	}
	c.send([]byte{byte(wire.ComFieldList), 'a', 0})
	if a := c.reply(); a.err == nil || a.err.Number != 1047 {
		t.Errorf("%+v", a)
	}
	if a := c.execute(st.Statement, param(1)); a.err == nil || a.err.Number != 1243 {
		t.Errorf("a statement lives on after COM_RESET_CONNECTION: %+v", a)
	}
	flags := func(sql string, want bool) {
		t.Helper()
		if a := c.query(sql); a.err != nil || a.ok.Status.Has(wire.StatusInTrans) != want {
			t.Errorf("%s: %+v", sql, a)
		}
	}
	flags("BEGIN", true)
	flags(fmt.Sprintf("UPDATE account SET balance=balance+1 WHERE id=%d", ids[0]), true)
	flags(fmt.Sprintf("UPDATE account SET balance=balance+1 WHERE id=%d", ids[1]), true)
	flags("SELECT id FROM account", true)
	flags("COMMIT", false)
	c.send(append([]byte{byte(wire.ComQuery)}, "SELECT 1; SELECT 2"...))
	if got := c.replies(); !strings.Contains(got, "[1]") || !strings.Contains(got, "[2]") {
		t.Errorf("two statements in one packet: %s", got)
	}
	if a := c.query(""); a.err == nil || a.err.Number != 1065 {
		t.Errorf("%+v", a)
	}
	info := func(sql, want string) {
		t.Helper()
		if a := c.query(sql); a.err != nil || a.ok.Info != want {
			t.Errorf("%s: %+v", sql, a)
		}
	}
	info("INSERT INTO account VALUES (201,1,NULL),(202,1,NULL),(203,1,NULL),(204,1,NULL)", "Records: 4  Duplicates: 0  Warnings: 0")
	info("UPDATE account SET balance=2 WHERE balance=1", "Rows matched: 4  Changed: 4  Warnings: 0")
	info("DELETE FROM account WHERE balance=2", "")
}

func TestBrokenCommandsEndOnlyTheirSession(t *testing.T) {
	o := twoMariaDB()
	o.limits.PacketBytes = 1 << 20
	w := newWorld(t, o)
	ids := w.bank()
	other := w.conn("bank")
	exec(t, other, "BEGIN")
	exec(t, other, "UPDATE account SET balance=1 WHERE id=?", ids[0])
	for name, c := range map[string]struct {
		bytes []byte
		says  string
	}{
		"oversize":          {[]byte{0xff, 0xff, 0xff, 0}, "limits.packet_bytes"},
		"out of order":      {[]byte{1, 0, 0, 7, 14}, "out of order"},
		"short execute":     {[]byte{3, 0, 0, 0, byte(wire.ComStmtExecute), 1, 0}, "alformed"},
		"half a packet":     {[]byte{9, 0, 0, 0, 3}, ""},
		"http":              {[]byte("GET / HTTP/1.1\r\n\r\n"), ""},
		"quit with garbage": {[]byte{3, 0, 0, 0, byte(wire.ComQuit), 9, 9}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := dialBare(t, w.addr, 0)
			b.conn.Write(c.bytes)
			b.conn.(*net.TCPConn).CloseWrite()
			b.r.SetSequence(c.bytes[3] + 1)
			said, gone := b.gone()
			if !gone || !strings.Contains(said, c.says) {
				t.Errorf("closed: %v, said %q", gone, said)
			}
		})
	}
	exec(t, other, "COMMIT")
	if got := w.balance(0, ids[0]); got != 1 {
		t.Errorf("%d", got)
	}
}

func TestMixedServersAndStringKeys(t *testing.T) {
	w := newWorld(t, worldOptions{engines: []launch.Engine{launch.MySQL, launch.MariaDB1011},
		tables: map[string]route.Placement{"person": {Key: "name"}}})
	ids := w.bankOf("CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
	db := w.open("bank")
	transfer(t, db, ids, true)
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 90 || b != 110 {
		t.Fatalf("%d %d", a, b)
	}
	exec(t, db, "CREATE TABLE person (name VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, age INT)")
	var rows []string
	for i := range 10 {
		rows = append(rows, fmt.Sprintf("('Näme%d',%d)", i, i))
	}
	exec(t, db, "INSERT INTO person VALUES "+strings.Join(rows, ","))
	for i := range 10 {
		for _, name := range []string{"Näme%d", "NAME%d", "näme%d  "} {
			got := values(t, db, fmt.Sprintf("SELECT age FROM person WHERE name='"+name+"'", i))
			if !slices.Equal(got, []string{fmt.Sprint(i)}) {
				t.Errorf("%s: %q", name, got)
			}
			got = values(t, db, "SELECT age FROM person WHERE name=?", fmt.Sprintf(name, i))
			if !slices.Equal(got, []string{fmt.Sprint(i)}) {
				t.Errorf("prepared %s: %q", name, got)
			}
		}
	}
	for i := range 2 {
		if got := values(t, w.direct(i), "SELECT COUNT(*) FROM bank.person"); got[0] == "0" || got[0] == "10" {
			t.Errorf("shard %d has %s of 10 rows", i, got[0])
		}
	}
}

func TestLargeResultsStream(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	db := w.open("bank")
	exec(t, db, "CREATE TABLE big (id INT PRIMARY KEY, v LONGTEXT)")
	for i := range 8 {
		exec(t, db, "INSERT INTO big VALUES (?,?)", i, strings.Repeat("x", 3<<20))
	}
	exec(t, db, "INSERT INTO big VALUES (?,?)", 100, strings.Repeat("y", 17<<20)) // more than one frame
	rows, err := db.Query("SELECT id,v FROM big")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n, bytes := 0, 0
	for rows.Next() {
		var id int
		var v string
		if err := rows.Scan(&id, &v); err != nil {
			t.Fatal(err)
		}
		n++
		bytes += len(v)
	}
	if err := rows.Err(); err != nil || n != 9 || bytes != 41<<20 {
		t.Errorf("%d rows, %d bytes, %v", n, bytes, err)
	}
}

func TestLostAutocommitWriteIsUnknown(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")
	done := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(context.Background(), fmt.Sprintf("UPDATE account SET note=SLEEP(3) WHERE id=%d", ids[0]))
		done <- err
	}()
	time.Sleep(500 * time.Millisecond)
	w.killSessionsInTransaction(0)
	err := <-done
	if numberOf(t, err) != 17001 || !strings.Contains(err.Error(), "no record") {
		t.Errorf("%v", err)
	}
	go func() {
		var n int
		done <- c.QueryRowContext(context.Background(), fmt.Sprintf("SELECT SLEEP(3) FROM account WHERE id=%d", ids[0])).Scan(&n)
	}()
	time.Sleep(500 * time.Millisecond)
	for _, id := range values(t, w.direct(0), "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'") {
		exec(t, w.direct(0), "KILL "+id)
	}
	if n := numberOf(t, <-done); n != 1213 {
		t.Errorf("a lost read: error %d", n)
	}
}

// What drivers and command line clients ask when they connect must be answered.
func TestStartQueriesOfDrivers(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	c := w.conn("bank")
	got := values(t, c, "/* mysql-connector-j */SELECT @@session.auto_increment_increment AS auto_increment_increment, "+
		"@@character_set_client AS character_set_client, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, "+
		"@@max_allowed_packet AS max_allowed_packet, @@sql_mode AS sql_mode, @@time_zone AS time_zone, @@wait_timeout AS wait_timeout")
	if len(got) != 1 || !strings.HasSuffix(got[0], ",600") {
		t.Errorf("%q", got)
	}
	got = values(t, c, "select database(), user() limit 1")
	if len(got) != 1 || !strings.HasPrefix(got[0], "bank,app@127.0.0.1") {
		t.Errorf("%q", got)
	}
	exec(t, c, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
	if got := values(t, c, "SELECT @@session.tx_isolation"); len(got) != 1 || got[0] != "READ-COMMITTED" {
		t.Errorf("%q", got)
	}
}
