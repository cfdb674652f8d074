package proxy_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"xaproxy/internal/launch"
	"xaproxy/proxy/wire"
)

// TestCommentsAreAnswered: as both families' servers do (MySQL 9.7, MariaDB 10.11, 11.8).
func TestCommentsAreAnswered(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			w := newWorld(t, worldOptions{engines: []launch.Engine{e}})
			through := dialBare(t, w.addr, 0)
			direct := dialBareAs(t, w.servers[0].Addr(), w.servers[0].User(), w.servers[0].Password(), wire.ClientCapabilities)
			for _, q := range []string{"", " ", ";", " ;; ", "-- x", "# x\n", "/* x */", " /* x */;", "/*! */", "/* x */ -- y\n ;"} {
				a, b := through.query(q), direct.query(q)
				if (a.err == nil) != (b.err == nil) || a.err != nil && a.err.Number != b.err.Number {
					t.Errorf("%q: %v, the server says %v", q, a.err, b.err)
				}
			}
			for _, b := range []*bare{through, direct} {
				b.send(append([]byte{byte(wire.ComStmtPrepare)}, "/* x */"...))
				if p := b.read(); wire.IsError(p) != (e == launch.MySQL) {
					t.Errorf("prepare of a comment: %q", p)
				}
			}
		})
	}
}

// TestProcessKill: the command does what the statement does.
func TestProcessKill(t *testing.T) {
	w := newWorld(t, worldOptions{engines: []launch.Engine{launch.MariaDB1011}})
	victim, killer := dialBare(t, w.addr, 0), dialBare(t, w.addr, 0)
	id := victim.query("SELECT CONNECTION_ID()").text[0]
	kill := func(id uint32) answer {
		killer.send(binary.LittleEndian.AppendUint32([]byte{byte(wire.ComProcessKill)}, id))
		return killer.reply()
	}
	var n uint32
	for _, c := range id {
		n = n*10 + uint32(c-'0')
	}
	if a := kill(n); a.err != nil {
		t.Fatal(a.err)
	}
	if _, gone := victim.gone(); !gone {
		t.Error("the session lives")
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		a := kill(n)
		if a.err != nil && a.err.Number == 1094 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a session that has gone: %v", a.err)
		}
	}
	killer.send([]byte{byte(wire.ComProcessKill)})
	if a := killer.reply(); a.err == nil {
		t.Error("a kill without a number was answered OK")
	}
}

func TestStatistics(t *testing.T) {
	w := newWorld(t, worldOptions{engines: []launch.Engine{launch.MariaDB1011}})
	b := dialBare(t, w.addr, 0)
	b.send([]byte{byte(wire.ComStatistics)})
	if got := string(b.read()); !strings.HasPrefix(got, "Uptime: ") || !strings.Contains(got, "  Threads: 1") {
		t.Errorf("%q", got)
	}
}

// change sends COM_CHANGE_USER and answers the question for the password.
func (b *bare) change(l wire.Login, password string) answer {
	b.t.Helper()
	l.Capabilities = b.caps
	b.send(wire.AppendChangeUser(nil, l))
	p := b.read()
	if wire.IsError(p) {
		return answer{err: wire.ParseError(p)}
	}
	ask, err := wire.ParseAuthSwitch(p)
	if err != nil {
		b.t.Fatal(err)
	}
	b.w.SetSequence(b.r.Sequence())
	mixed := mysql.CalcCachingSha2Password(ask.Scramble, []byte(password))
	if ask.Plugin == wire.NativePassword {
		mixed = mysql.CalcNativePassword(ask.Scramble, []byte(password))
	}
	b.w.Write(mixed)
	if err := b.w.Flush(); err != nil {
		b.t.Fatal(err)
	}
	b.r.SetSequence(b.w.Sequence())
	p = b.read()
	if len(p) == 2 && p[0] == 1 { // more data
		if string(p[1:]) != "\x03" { // full authentication: the password is wrong; an empty answer says so
			b.w.SetSequence(b.r.Sequence())
			b.w.Write([]byte("no"))
			if err := b.w.Flush(); err != nil {
				b.t.Fatal(err)
			}
			b.r.SetSequence(b.w.Sequence())
		}
		p = b.read()
	}
	if wire.IsError(p) {
		return answer{err: wire.ParseError(p)}
	}
	ok, err := wire.ParseOK(p, b.caps)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{ok: ok}
}

// TestChangeUser: a new login on the same connection; nothing of the old session is left, and a wrong password ends it.
func TestChangeUser(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	admin := dialBare(t, w.addr, 0)
	for _, q := range []string{"CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v INT)", "INSERT INTO d.t VALUES (1,0),(2,0),(3,0)"} {
		if a := admin.query(q); a.err != nil {
			t.Fatal(a.err)
		}
	}
	for _, plugin := range []string{wire.CachingSHA2Password, wire.NativePassword, ""} {
		b := dialBare(t, w.addr, 0)
		for _, q := range []string{"SET sql_mode='ANSI_QUOTES'", "SET @v=1", "BEGIN", "UPDATE d.t SET v=9"} {
			if a := b.query(q); a.err != nil {
				t.Fatalf("%s: %v", q, a.err)
			}
		}
		st := b.prepare("SELECT v FROM d.t WHERE id=1")
		a := b.change(wire.Login{User: "other", Database: "d", Plugin: plugin, Collation: wire.CollationUTF8MB4General}, "secret")
		if a.err != nil {
			t.Fatalf("%q: %v", plugin, a.err)
		}
		if a.ok.Status&wire.StatusInTrans != 0 {
			t.Error("still in a transaction")
		}
		for q, want := range map[string]string{"SELECT SUM(v) FROM t": "0", "SELECT DATABASE()": "d", "SELECT @v": "NULL", "SELECT \"x\"": "x"} {
			if got := b.query(q); got.err != nil || strings.Join(got.text, ";") != want {
				t.Errorf("%s: %v %q, want %s", q, got.err, got.text, want)
			}
		}
		if got := b.query("SHOW PROCESSLIST"); got.err != nil || !strings.Contains(strings.Join(got.text, ";"), ",other,") {
			t.Errorf("process list: %v %q", got.err, got.text)
		}
		if a := b.execute(st.Statement); a.err == nil || a.err.Number != 1243 {
			t.Errorf("a statement of the old session: %v", a.err)
		}
		if a := b.change(wire.Login{User: "other", Plugin: plugin}, "wrong"); a.err == nil || a.err.Number != 1045 {
			t.Errorf("wrong password: %v", a.err)
		}
		b.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, gone := b.gone(); !gone {
			t.Error("the connection lives on after a wrong password")
		}
	}
	b := dialBare(t, w.addr, 0)
	if a := b.change(wire.Login{User: "nobody"}, ""); a.err == nil || a.err.Number != 1045 {
		t.Errorf("unknown user: %v", a.err)
	}
	b = dialBare(t, w.addr, 0)
	b.send([]byte{byte(wire.ComChangeUser), 'x'})
	if a := b.reply(); a.err == nil {
		t.Error("a malformed packet was taken")
	}
}

// TestCodeInComments: what MySQL alone reads as code is code where no shard is MariaDB, and refused elsewhere.
func TestCodeInComments(t *testing.T) {
	for _, test := range []struct {
		engines []launch.Engine
		reads   bool
	}{
		{[]launch.Engine{launch.MySQL, launch.MySQL}, true},
		{[]launch.Engine{launch.MySQL, launch.MariaDB1011}, false},
		{[]launch.Engine{launch.MariaDB1011}, false},
	} {
		w := newWorld(t, worldOptions{engines: test.engines})
		b := dialBare(t, w.addr, 0)
		for _, q := range []string{"CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1),(2),(3),(4),(5),(6)"} {
			if a := b.query(q); a.err != nil {
				t.Fatal(a.err)
			}
		}
		for q, want := range map[string]string{
			"SELECT 1 /*!40101 +1 */": "2",
			"SELECT 1 /*!80016 +1 */": "2",
			"SELECT COUNT(*) FROM d.t WHERE id=5 /*!80000 OR id=6 OR id=1 */":    "3",
			"SELECT COUNT(*) FROM d.t WHERE id>4 /*!80030 AND id<6 */ OR id = 1": "2",
		} {
			a := b.query(q)
			switch everywhere := strings.Contains(q, "40101"); {
			case everywhere || test.reads:
				if a.err != nil || len(a.text) != 1 || a.text[0] != want {
					t.Errorf("%v: %s: %v %q, want %s", test.engines, q, a.err, a.text, want)
				}
			case a.err == nil || a.err.Number != 17021:
				t.Errorf("%v: %s: %v %q", test.engines, q, a.err, a.text)
			}
		}
		if a := b.query("SELECT 1 /*!80031 +1 */"); a.err == nil || a.err.Number != 17021 {
			t.Errorf("a version that a supported server may not have: %v %q", a.err, a.text)
		}
	}
}
