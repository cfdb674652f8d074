package integration

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// TestDoors: a proxy is reached at several addresses, at a unix socket, and through a load balancer that says who the
// client is.
func TestDoors(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	second, socket := freeAddr(t), filepath.Join(t.TempDir(), "data.sock")
	p := c.newProxy(t, "p", proxySettings{node: 1, listen: fmt.Sprintf(", %q, %q", second, "unix:"+socket),
		front: ", proxy_protocol: [127.0.0.2, 10.0.0.0/8], keepalive: 5s", users: "  lb: { health: true }\n"})
	// The file of a socket at which nobody listens any more is no obstacle.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	p.up()
	balanced := balance(t, p.data)
	for dsn, want := range map[string]string{
		"tcp(" + p.data + ")":   "app@127.0.0.1",
		"tcp(" + second + ")":   "app@127.0.0.1",
		"unix(" + socket + ")":  "app@localhost",
		"tcp(" + balanced + ")": "app@127.0.0.1", // the balancer itself connects from 127.0.0.2
	} {
		db := openAt(t, "app:"+appPassword+"@"+dsn+"/")
		var user string
		if err := db.QueryRow("SELECT USER()").Scan(&user); err != nil || user != want {
			t.Errorf("%s: %q %v, want %q", dsn, user, err, want)
		}
	}
	t.Run("a header from elsewhere is no login", func(t *testing.T) {
		conn, err := net.Dial("tcp", p.data)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("PROXY TCP4 10.1.1.1 10.1.1.2 1000 4406\r\n"))
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
			t.Error("the connection is kept")
		}
	})
	t.Run("no header from a balancer", func(t *testing.T) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		conn, err := d.Dial("tcp", p.data)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if n, err := conn.Read(make([]byte, 10)); n > 0 || err == nil {
			t.Errorf("greeted without a header: %d %v", n, err)
		}
	})
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket's file is left")
	}
}

// TestHealthAccount: checks are answered while no shard is, say nothing else, and end with the drain.
func TestHealthAccount(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	p := c.newProxy(t, "p", proxySettings{node: 1, users: "  lb: { health: true }\n"})
	p.up()
	for _, s := range c.shards {
		s.kill(t)
	}
	db := openAt(t, "lb@tcp("+p.data+")/")
	for range 3 {
		var n int
		began := time.Now()
		if err := db.QueryRow("SELECT 1").Scan(&n); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if took := time.Since(began); took > time.Second+slack() {
			t.Errorf("a check took %v without shards", took)
		}
	}
	if _, err := db.Exec("SELECT 2"); errorNumber(err) != 1227 {
		t.Errorf("another statement: %v", err)
	}
	if err := openAt(t, "lb:x@tcp("+p.data+")/").Ping(); errorNumber(err) != 1045 {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := p.admin().Exec("DRAIN"); err != nil {
		t.Fatal(err)
	}
	if text, err := p.ends(20 * time.Second); err != nil {
		t.Errorf("after DRAIN: %v\n%s", err, text)
	}
}

// TestKillOfASessionElsewhere: the number of a session says whose it is.
func TestKillOfASessionElsewhere(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	a, b := c.newProxy(t, "a", proxySettings{node: 1}), c.newProxy(t, "b", proxySettings{node: 2})
	a.up()
	b.up()
	at, end, err := dial(t.Context(), "app:"+appPassword+"@tcp("+a.data+")/")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	var id int64
	if err := at.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	_, err = b.open("", "").Exec(fmt.Sprintf("KILL %d", id))
	if errorNumber(err) != 17010 || !strings.Contains(err.Error(), a.adminAddr) {
		t.Errorf("KILL at the other proxy: %v", err)
	}
	if _, err := b.open("", "").Exec("KILL 1"); errorNumber(err) != 1094 && errorNumber(err) != 17010 {
		t.Errorf("KILL of nobody: %v", err)
	}
	if _, err := a.open("", "").Exec(fmt.Sprintf("KILL %d", id)); err != nil {
		t.Errorf("KILL at its own proxy: %v", err)
	}
	if _, err := at.ExecContext(t.Context(), "DO 1"); err == nil {
		t.Error("the session lives")
	}
}

// TestGtridInTheAnswerToCommit: with xa_report_gtrid=1 it is in the OK, and can be asked for at any proxy.
func TestGtridInTheAnswerToCommit(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	a, b := c.newProxy(t, "a", proxySettings{node: 1, retain: "1h"}), c.newProxy(t, "b", proxySettings{node: 2, retain: "1h"})
	a.up()
	b.up()
	bank := newBank(t, c, a)
	client, err := dialPeer(a.data, "app", appPassword, false)
	if err != nil {
		t.Fatal(err)
	}
	defer client.close()
	transfer := func() string {
		t.Helper()
		var info string
		for _, q := range []string{"BEGIN", fmt.Sprintf("UPDATE bank.account SET balance=balance-1 WHERE id=%d", bank.ids[0]),
			fmt.Sprintf("UPDATE bank.account SET balance=balance+1 WHERE id=%d", bank.ids[1]), "COMMIT"} {
			r, err := client.query(q)
			if err != nil || r.err != nil {
				t.Fatal(q, err, r.err)
			}
			info = r.ok.Info
		}
		return info
	}
	if info := transfer(); info != "" {
		t.Errorf("told without being asked: %q", info)
	}
	if r, err := client.query("SET xa_report_gtrid=1"); err != nil || r.err != nil {
		t.Fatal(err, r.err)
	}
	info := transfer()
	gtrid := gtridText.FindString(info)
	if info != "gtrid: "+gtrid || gtrid == "" {
		t.Fatalf("%q", info)
	}
	for _, p := range []*proxyProcess{a, b} {
		text, err := outcome(t.Context(), p.open("", ""), gtrid)
		if err != nil || !strings.Contains(text, "COMMITTED") {
			t.Errorf("at %s: %q %v", p.name, text, err)
		}
	}
	if r, err := client.query("UPDATE bank.account SET balance=balance+0 WHERE id=1"); err != nil || r.err != nil || strings.Contains(r.ok.Info, "gtrid") {
		t.Errorf("%v %v %q", err, r.err, r.ok.Info)
	}
}

func openAt(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// balance starts HAProxy from another loopback address; it sends the PROXY header and checks with the account lb.
func balance(t *testing.T, target string) string {
	t.Helper()
	addr, _ := runHAProxy(t, func(bind string) string {
		return fmt.Sprintf("defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n"+
			"listen mysql\n  bind %s\n  source 127.0.0.2\n  option mysql-check user lb\n  server s %s send-proxy-v2 check check-send-proxy inter 100ms fall 1\n", bind, target)
	})
	time.Sleep(time.Second) // ten checks: a server that fails one is not used any more
	return addr
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
