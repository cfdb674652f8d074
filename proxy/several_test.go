package proxy_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/proxy/wire"
)

// replies reads the answers to all statements of a packet.
func (b *bare) replies() string {
	b.t.Helper()
	var all []string
	for range 100 {
		a := b.reply()
		if a.err != nil {
			all = append(all, fmt.Sprintf("error %d", a.err.Number))
			break
		}
		flags := a.ok.Status & (wire.StatusMoreResults | wire.StatusInTrans | wire.StatusAutocommit)
		all = append(all, fmt.Sprintf("rows [%s] affected %d flags %x", strings.Join(a.text, " "), a.ok.Affected, flags))
		if a.ok.Status&wire.StatusMoreResults == 0 {
			break
		}
	}
	return strings.Join(all, "\n")
}

// TestSeveralStatements: texts of several statements are answered as a server answers them.
func TestSeveralStatements(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			w := newWorld(t, worldOptions{engines: []launch.Engine{e, e}})
			through := dialBare(t, w.addr, 0)
			direct := dialBareAs(t, w.servers[0].Addr(), w.servers[0].User(), w.servers[0].Password(), wire.ClientCapabilities)
			direct.query("CREATE DATABASE plain")
			direct.query("USE plain")
			through.query("CREATE DATABASE d")
			through.query("USE d")
			for _, q := range []string{
				"CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO t VALUES (1,'a'),(2,'b;c'); SELECT COUNT(*) FROM t",
				"SELECT v FROM t WHERE id=2; SELECT v FROM t WHERE id=1;",
				"SELECT 1",
				"SELECT 1;",
				"SELECT 1; ; ",
				"SELECT 1;;SELECT 2",
				"SELECT 1; -- x",
				"SELECT 1; /* x */ ; SELECT 2",
				"/* ; */ SELECT ';' ; SELECT \";\", ';;' -- ;\n; SELECT `v` FROM t WHERE id=1 # ;",
				"BEGIN; UPDATE t SET v='x'; SELECT COUNT(*) FROM t WHERE v='x'; ROLLBACK; SELECT COUNT(*) FROM t WHERE v='x'",
				"SET autocommit=0; SELECT 1; SET autocommit=1",
				"UPDATE t SET v='y' WHERE id=1; SELECT nothing FROM t; UPDATE t SET v='z' WHERE id=1",
				"SELECT v FROM t WHERE id=1; INSERT INTO t VALUES (1,'twice'); SELECT 1",
				"SET sql_mode='ANSI_QUOTES'; SELECT \"v\" FROM t WHERE id=1; SET sql_mode=DEFAULT; SELECT \"v;\"",
				"SET @a=1; SELECT @a; SET @a=@a+1; SELECT @a",
				"INSERT INTO t VALUES (7,'g'); SELECT ROW_COUNT(); DELETE FROM t WHERE id=7; SELECT ROW_COUNT()",
				"SELECT 'it''s; \\'; x'; SELECT 2",
				"DROP TABLE t; SELECT 1",
				";",
				" ; SELECT 1",
			} {
				got, want := "", ""
				for b, out := range map[*bare]*string{through: &got, direct: &want} {
					b.send(append([]byte{byte(wire.ComQuery)}, q...))
					*out = b.replies()
				}
				if got != want {
					t.Errorf("%s:\n%s\nthe server says\n%s", q, got, want)
				}
			}
		})
	}
}

// TestSetOption: several statements only for clients that have asked for them.
func TestSetOption(t *testing.T) {
	w := newWorld(t, worldOptions{engines: []launch.Engine{launch.MariaDB1011}})
	for _, without := range []wire.Capabilities{0, wire.MultiStatements, wire.MultiStatements | wire.DeprecateEOF} {
		b := dialBare(t, w.addr, without)
		try := func(want bool) {
			t.Helper()
			b.send(append([]byte{byte(wire.ComQuery)}, "SELECT 1; SELECT 2"...))
			if got := b.replies(); strings.Contains(got, "[2]") != want {
				t.Errorf("without %x: %s", without, got)
			}
		}
		option := func(n uint16) {
			b.send(binary.LittleEndian.AppendUint16([]byte{byte(wire.ComSetOption)}, n))
			if p := b.read(); !wire.IsEnd(p, b.caps) {
				t.Errorf("set option %d: %x", n, p)
			}
		}
		try(without == 0)
		option(0)
		try(true)
		option(1)
		try(false)
		b.send([]byte{byte(wire.ComSetOption), 9, 0})
		if a := b.reply(); a.err == nil || a.err.Number != 1047 {
			t.Errorf("unknown option: %v", a.err)
		}
	}
}

// TestCommandsThatNobodyKnows: an empty packet and a number without a command get an answer, and the connection lives on.
func TestCommandsThatNobodyKnows(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			w := newWorld(t, worldOptions{engines: []launch.Engine{e}})
			through := dialBare(t, w.addr, 0)
			direct := dialBareAs(t, w.servers[0].Addr(), w.servers[0].User(), w.servers[0].Password(), wire.ClientCapabilities)
			for _, p := range [][]byte{{}, {byte(wire.ComSleep)}, {0x7f}, {0xff, 1, 2, 3}} {
				var said [2]string
				for k, b := range []*bare{through, direct} {
					b.conn.SetDeadline(time.Now().Add(5 * time.Second))
					b.send(p)
					a := b.reply()
					if a.err == nil {
						t.Fatalf("% x: no error, %d is proxy or server", p, k)
					}
					said[k] = a.err.Error()
					if got := b.query("SELECT 1"); strings.Join(got.text, ";") != "1" {
						t.Errorf("% x: the connection does not go on: %v", p, got.err)
					}
				}
				if said[0] != said[1] {
					t.Errorf("% x: %s, the server says %s", p, said[0], said[1])
				}
			}
		})
	}
}
