package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// lines are a client's connections, so that a test can break them as a dying client does.
type lines struct {
	mu    sync.Mutex
	conns []net.Conn
}

// connector dials the proxy and keeps the socket.
func (l *lines) open(t *testing.T, p *proxyProcess) *sql.DB {
	t.Helper()
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = "app", appPassword, "tcp", p.data
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, addr)
		if err == nil {
			l.mu.Lock()
			l.conns = append(l.conns, c)
			l.mu.Unlock()
		}
		return c, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// TestClientThatDiesLeavesNothing cuts the client at every packet of its transfer.
func TestClientThatDiesLeavesNothing(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	p := c.newProxy(t, "a", proxySettings{node: 1})
	p.up()
	b := newBank(t, c, p)
	for _, test := range []struct {
		shard int
		verb  faultwire.Verb
	}{
		{0, faultwire.Begin}, {1, faultwire.Start}, {1, faultwire.End}, {1, faultwire.Prepare}, {0, faultwire.Claim}, {0, faultwire.Commit}, {1, faultwire.XACommit},
	} {
		for _, side := range []faultwire.Side{faultwire.Before, faultwire.After} {
			t.Run(fmt.Sprintf("%s %s", side, test.verb), func(t *testing.T) {
				c.resetJournals()
				before := b.mustBalances(t)
				var l lines
				db := l.open(t, p)
				hit := c.shards[test.shard].relay.Arm(faultwire.Rule{Verb: test.verb, Side: side, From: faultwire.Session, Hook: l.cut, Then: faultwire.Forward})
				a := b.transfer(t.Context(), db, 0, "COMMIT")
				<-hit.Done()
				mustSettle(t, b, p)
				committed, err := b.verdict(before, b.mustBalances(t), 0, a)
				if err != nil {
					t.Errorf("%v\n%s", err, c.trace())
				}
				if began := test.verb != faultwire.Begin && test.verb != faultwire.Start; committed && !began {
					t.Error("committed what the client never asked to commit")
				}
				mustWork(t, b, p)
			})
		}
	}
}

// TestClientThatDiesInALockWaitLeavesNothing: its statement waits at the second shard when the client dies; nothing of
// it may appear later, prepared or done.
func TestClientThatDiesInALockWaitLeavesNothing(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			c := newCluster(t, e, e)
			p := c.newProxy(t, "a", proxySettings{node: 1})
			p.up()
			b := newBank(t, c, p)
			before := b.mustBalances(t)
			blocker, err := c.shards[1].db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer blocker.Close()
			for _, q := range []string{"BEGIN", fmt.Sprintf("SELECT * FROM bank.account WHERE id=%d FOR UPDATE", b.ids[1])} {
				if _, err := blocker.ExecContext(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			var l lines
			db := l.open(t, p)
			waits := make(chan answer, 1)
			go func() { waits <- b.transfer(t.Context(), db, 0, "COMMIT") }()
			time.Sleep(500 * time.Millisecond)
			l.cut()
			<-waits
			// The first shard's lock goes although the second one's is still held: the statement was killed.
			if _, err := poll(t.Context(), limit+slack(), func(ctx context.Context) error { return c.shards[0].touch(ctx, b.ids[0]) }); err != nil {
				t.Errorf("the dead client's lock stays: %v\n%s", err, c.trace())
			}
			if _, err := blocker.ExecContext(t.Context(), "ROLLBACK"); err != nil {
				t.Fatal(err)
			}
			mustSettle(t, b, p)
			time.Sleep(time.Second)
			mustSettle(t, b, p)
			if after := b.mustBalances(t); after != before {
				t.Errorf("balances %v, then %v", before, after)
			}
			mustWork(t, b, p)
		})
	}
}

// TestMalformedInputHurtsNobodyElse sends rubbish in every phase while another session works.
func TestMalformedInputHurtsNobodyElse(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	p := c.newProxy(t, "a", proxySettings{node: 1})
	p.up()
	b := newBank(t, c, p)
	db := p.open("", "readTimeout=20s")
	defer db.Close()
	witness, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	if _, err := witness.ExecContext(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{p.data, p.adminAddr} {
		for name, packets := range rubbish() {
			for _, packet := range packets {
				throw(t, addr, packet)
			}
			if !p.alive() {
				t.Fatalf("%s ended the process\n%s", name, p.logTail(40))
			}
		}
	}
	for name, dsn := range map[string]string{
		"unknown user":   fmt.Sprintf("nobody:%s@tcp(%s)/", appPassword, p.data),
		"wrong password": fmt.Sprintf("app:wrong@tcp(%s)/", p.data),
		"no password":    fmt.Sprintf("app@tcp(%s)/", p.data),
		"admin user":     fmt.Sprintf("nobody:x@tcp(%s)/", p.adminAddr),
		"data user":      fmt.Sprintf("app:%s@tcp(%s)/", appPassword, p.adminAddr),
	} {
		bad, err := sql.Open("mysql", dsn)
		if err != nil {
			t.Fatal(err)
		}
		if err := bad.PingContext(t.Context()); errorNumber(err) != 1045 {
			t.Errorf("%s: %v, want error 1045", name, err)
		}
		_ = bad.Close()
	}
	if _, err := witness.ExecContext(t.Context(), fmt.Sprintf("UPDATE bank.account SET balance=balance+0 WHERE id=%d", b.ids[0])); err != nil {
		t.Errorf("the witness: %v", err)
	}
	if _, err := witness.ExecContext(t.Context(), "COMMIT"); err != nil {
		t.Errorf("the witness: %v", err)
	}
	mustWork(t, b, p)
	mustSettle(t, b, p)
}

// rubbish is what no client should send instead of its login.
func rubbish() map[string][][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([][]byte, 50)
	for i := range noise {
		noise[i] = make([]byte, random.IntN(200))
		for j := range noise[i] {
			noise[i][j] = byte(random.Uint32())
		}
	}
	login := packet(1, []byte("\x85\xa6\xff\x19\x00\x00\x00\x01\x2d"+string(make([]byte, 23))+"app\x00\x14abcdefghijklmnopqrst"+"mysql_native_password\x00"))
	truncated := make([][]byte, 0, len(login))
	for n := range login {
		truncated = append(truncated, login[:n])
		if n > 4 {
			truncated = append(truncated, packet(1, login[4:n]))
		}
	}
	return map[string][][]byte{
		"nothing":           {nil},
		"an empty packet":   {packet(1, nil), packet(0, nil)},
		"oversize":          {{0xff, 0xff, 0xff, 1}, append([]byte{0xff, 0xff, 0xff, 1}, make([]byte, 1<<16)...)},
		"a truncated login": truncated,
		"a wrong sequence":  {packet(7, login[4:])},
		"HTTP":              {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		"a huge length":     {packet(1, append([]byte("\x85\xa6\xff\x19\x00\x00\x00\x01\x2d"+string(make([]byte, 23))+"app\x00"), 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f))},
		"noise":             noise,
	}
}

func packet(seq byte, payload []byte) []byte {
	n := len(payload)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, payload...)
}

// throw sends bytes instead of a login and looks at how the server takes it.
func throw(t *testing.T, addr string, bytes []byte) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("the listener is gone: %v", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c, int64(head[0])|int64(head[1])<<8|int64(head[2])<<16)
	_, _ = c.Write(bytes)
	_, _ = io.Copy(io.Discard, c)
}

// TestMalformedCommandsHurtNobodyElse sends rubbish as an authenticated client.
func TestMalformedCommandsHurtNobodyElse(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011)
	p := c.newProxy(t, "a", proxySettings{node: 1})
	p.up()
	random := rand.New(rand.NewPCG(3, 4))
	var commands [][]byte
	for com := range 256 {
		commands = append(commands, packet(0, []byte{byte(com)}), packet(0, []byte{byte(com), 1, 0, 0, 0}), packet(0, []byte{byte(com), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}))
		noise := make([]byte, random.IntN(60))
		for j := range noise {
			noise[j] = byte(random.Uint32())
		}
		commands = append(commands, packet(0, append([]byte{byte(com)}, noise...)))
	}
	commands = append(commands, packet(0, nil), packet(9, []byte("\x03SELECT 1")), []byte{0xff, 0xff, 0xff, 0}, []byte{5, 0, 0, 0, 3})
	for _, command := range commands {
		var l lines
		db := l.open(t, p)
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatalf("before % x: %v\n%s", command, err, p.logTail(20))
		}
		s := l.conns[0]
		_ = s.SetDeadline(time.Now().Add(30 * time.Millisecond))
		_, _ = s.Write(command)
		_, _ = s.Read(make([]byte, 1<<10))
		_ = s.Close()
		_ = db.Close()
		if !p.alive() {
			t.Fatalf("% x ended the process\n%s", command, p.logTail(40))
		}
	}
	if _, err := poll(t.Context(), 2*time.Second, p.ready); err != nil {
		t.Error(errors.Join(err, errors.New(p.logTail(20))))
	}
}
