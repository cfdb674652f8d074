package integration

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"xaproxy/internal/app"
	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/proxy/wire"
)

// port is the program in this process, so that the fuzzer sees which code its bytes reach.
type port struct {
	data, admin string
	log         *portLog
}

// portLog keeps what would be a crash: a session's panic is recovered and logged.
type portLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *portLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "panic") {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.text.Write(p)
	}
	return len(p), nil
}

func (l *portLog) panics() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// openPort serves two shards at free ports until the test ends.
func openPort(t testing.TB) *port {
	t.Helper()
	servers := launchtest.Start(t, launch.Options{Engine: launch.MariaDB1011}, launch.Options{Engine: launch.MariaDB1011})
	text := fmt.Sprintf("state_dir: %s\nlisten: { data: \"127.0.0.1:0\", admin: \"127.0.0.1:0\", http: \"off\" }\nshards:\n", t.TempDir())
	for i, s := range servers {
		text += fmt.Sprintf("  s%d: { dsn: %q }\n", i, s.DSN())
	}
	text += fmt.Sprintf("tables:\n%susers:\n  app: { password: %q }\n  ops: { password: %q, role: operate }\n", placements, appPassword, opsPassword)
	c, err := app.ParseConfig("xaproxy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p := &port{log: &portLog{}}
	m, err := app.Open(t.Context(), c, slog.New(slog.NewTextHandler(p.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	p.data, p.admin = m.DataAddr(), m.AdminAddr()
	return p
}

// fuzzPatience is how long the proxy may take to give up a client that has sent everything and closed its side.
const fuzzPatience = 20 * time.Second

// FuzzPort throws bytes at a real proxy: instead of a login, in place of commands, and as the payloads of commands. It
// must neither panic nor keep the connection nor let other sessions wait.
func FuzzPort(f *testing.F) {
	p := openPort(f)
	witness, err := dialPeer(p.data, "app", appPassword, false)
	if err != nil {
		f.Fatal(err)
	}
	for _, q := range []string{"CREATE DATABASE f", "CREATE TABLE f.a (k INT PRIMARY KEY, c VARCHAR(20))", "INSERT INTO f.a VALUES (1,'x'),(2,'y'),(3,'z')"} {
		if _, err := must(witness.query(q)); err != nil {
			f.Fatal(err)
		}
	}
	for _, seed := range portSeeds() {
		for mode := range uint8(fuzzModes) {
			f.Add(mode, seed)
		}
	}
	f.Fuzz(func(t *testing.T, mode uint8, data []byte) {
		addr, user, password := p.data, "app", appPassword
		if mode%fuzzModes >= fuzzAdminRaw {
			addr, user, password = p.admin, "ops", opsPassword
		}
		if err := throwAt(addr, user, password, mode%fuzzModes, data); err != nil {
			t.Fatalf("%v\n%s", err, hex.Dump(data))
		}
		if _, err := must(witness.query("SELECT c FROM f.a WHERE k=1")); err != nil && !strings.Contains(err.Error(), "exist") && !strings.Contains(err.Error(), "17025") {
			t.Fatalf("the other session: %v", err)
		}
		if said := p.log.panics(); said != "" {
			t.Fatalf("%s\n%s", said, hex.Dump(data))
		}
	})
}

// The modes of FuzzPort.
const (
	fuzzBefore   = iota // instead of a login
	fuzzAfter           // bytes after the login
	fuzzCommands        // payloads of commands, each with one byte of length before it
	fuzzPrepared        // the same, behind a statement that is prepared
	fuzzAdminRaw
	fuzzAdminCommands
	fuzzModes
)

// portSeeds are payloads as fuzzCommands reads them.
func portSeeds() [][]byte {
	command := func(parts ...string) []byte {
		var b []byte
		for _, p := range parts {
			b = append(append(b, byte(len(p))), p...)
		}
		return b
	}
	return [][]byte{
		{}, command("\x0e"), command("\x03SELECT 1", "\x01"), command("\x02f", "\x03SELECT * FROM a ORDER BY k"), command("\x03BEGIN", "\x03INSERT INTO f.a VALUES (7,'q'),(8,'r')", "\x03ROLLBACK"),
		command("\x16SELECT c FROM f.a WHERE k=?", "\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x00\x05\x00\x00\x00", "\x19\x01\x00\x00\x00"),
		command("\x18\x01\x00\x00\x00\x00\x00abc", "\x1a\x01\x00\x00\x00", "\x1c\x01\x00\x00\x00\x01\x00\x00\x00"),
		command("\x11app\x00\x00f\x00\x2d\x00mysql_native_password\x00"), command("\x1f"), command("\x1b\x00\x00"), command("\x04a\x00"), command("\x0c\x01\x00\x00\x00"), command("\x09"),
		command("\x03SHOW WARNINGS LIMIT 1,2", "\x03SHOW PROCESSLIST", "\x03EXPLAIN ROUTE SELECT * FROM f.a", "\x03SHOW DDL"), command("\x03SHOW TRANSACTIONS", "\x03SHOW SHARDS", "\x03XA OUTCOME 'x'"),
		packet(1, []byte("\x85\xa6\xff\x19\x00\x00\x00\x01\x2d"+string(make([]byte, 23))+"app\x00\x14abcdefghijklmnopqrst"+"mysql_native_password\x00")),
		packet(1, []byte("\x05\xae\xff\x19\x00\x00\x00\x01\x2d"+string(make([]byte, 23)))),
		{0xff, 0xff, 0xff, 0, 3},
	}
}

// throwAt is a client that sends what it likes, closes its side and reads until the end.
func throwAt(addr, user, password string, mode uint8, data []byte) error {
	if mode == fuzzBefore {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return fmt.Errorf("the listener is gone: %w", err)
		}
		return pour(conn, data)
	}
	p, err := dialPeer(addr, user, password, false)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	switch mode {
	case fuzzPrepared:
		if a, err := p.execute("SELECT c FROM f.a WHERE k=? AND c<>?", []wire.Param{paramOf("1"), paramOf("'b'")}); err != nil {
			return fmt.Errorf("prepare: %w (%v)", err, a)
		}
		data = framed(data)
	case fuzzCommands, fuzzAdminCommands:
		data = framed(data)
	}
	return pour(p.conn, data)
}

// framed are commands as packets.
func framed(data []byte) []byte {
	var b []byte
	for len(data) > 0 {
		n := min(int(data[0]), len(data)-1)
		b = append(b, packet(0, data[1:1+n])...)
		data = data[1+n:]
	}
	return b
}

func pour(conn net.Conn, data []byte) error {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(fuzzPatience))
	if _, err := conn.Write(data); err != nil {
		return nil // it has closed: fair
	}
	if tcp, is := conn.(*net.TCPConn); is {
		_ = tcp.CloseWrite()
	}
	_, err := io.Copy(io.Discard, conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("the proxy keeps a client that has closed its side: %w", err)
	}
	return nil
}
