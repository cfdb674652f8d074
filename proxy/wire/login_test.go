package wire_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"xaproxy/proxy/wire"
)

var theKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func testKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := theKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var users = map[string]string{"app": "päss'word", "empty": ""}

func passwordOf(user string) (string, bool) {
	p, known := users[user]
	return p, known
}

func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// prefixed reads what was read too early first.
type prefixed struct {
	net.Conn
	r io.Reader
}

func (p prefixed) Read(b []byte) (int, error) { return p.r.Read(b) }

// listen serves logins and answers every command with OK.
func listen(t *testing.T, o wire.ServerOptions, config *tls.Config) (addr string, logins chan wire.Login) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logins = make(chan wire.Login, 100)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				serve(nc, o, config, logins)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String(), logins
}

func serve(nc net.Conn, o wire.ServerOptions, config *tls.Config, logins chan<- wire.Login) {
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	r, w := wire.NewReader(nc, 1<<20), wire.NewWriter(nc)
	o.TLS = config != nil
	o.Password = passwordOf
	o.Version = "8.4.0-test"
	phase, greeting := wire.NewServerPhase(o)
	err := phase.Run(greeting, r, w, func() error {
		secured := tls.Server(prefixed{Conn: nc, r: io.MultiReader(bytes.NewReader(r.Detach()), nc)}, config)
		if err := secured.Handshake(); err != nil {
			return err
		}
		r.SetSource(secured)
		w.SetDestination(secured)
		return nil
	})
	if err != nil {
		return
	}
	login := phase.Login()
	logins <- login
	ok := wire.AppendOK(nil, login.Capabilities, wire.OK{Status: wire.StatusAutocommit})
	for {
		if w.Write(ok) != nil || w.Flush() != nil {
			return
		}
		r.SetSequence(0)
		p, err := r.Read()
		if err != nil || len(p) == 0 || wire.Command(p[0]) == wire.ComQuit {
			return
		}
		w.SetSequence(r.Sequence())
	}
}

func openDriver(t *testing.T, addr, user, password string, secure bool, params string) error {
	t.Helper()
	dsn := fmt.Sprintf("%s:%s@tcp(%s)/shop?%s", user, password, addr, params)
	if secure {
		dsn += "&tls=skip-verify"
	}
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return db.PingContext(ctx)
}

func TestRealClientsLogIn(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, withKey := range []bool{false, true} {
			var o wire.ServerOptions
			if withKey {
				o.Key = testKey(t)
			}
			var config *tls.Config
			if secure {
				config = serverTLS(t)
			}
			addr, logins := listen(t, o, config)
			for user, password := range users {
				if err := openDriver(t, addr, user, password, secure, ""); err != nil {
					t.Errorf("go-sql-driver %s TLS %t: %v", user, secure, err)
				}
				if err := openDriver(t, addr, user, password, secure, "clientFoundRows=true"); err != nil {
					t.Errorf("found rows, %s TLS %t: %v", user, secure, err)
				}
			}
			for range 2 * len(users) {
				if l := <-logins; l.Database != "shop" || l.Capabilities.Has(wire.SSL) != secure {
					t.Errorf("login %+v", l)
				}
			}
			for _, user := range []string{"app", "nobody", "empty"} {
				if err := openDriver(t, addr, user, "wrong", secure, ""); !denied(err) {
					t.Errorf("%s with a wrong password, TLS %t key %t: %v", user, secure, withKey, err)
				}
			}
		}
	}
}

func denied(err error) bool {
	var e *driver.MySQLError
	return errors.As(err, &e) && e.Number == 1045
}

// pipe runs both phases against each other.
func pipe(t *testing.T, so wire.ServerOptions, co wire.ClientOptions) (wire.Login, error) {
	t.Helper()
	left, right := net.Pipe()
	defer left.Close()
	so.Password = passwordOf
	phase, greeting := wire.NewServerPhase(so)
	served := make(chan error, 1)
	go func() {
		defer right.Close()
		r, w := wire.NewReader(right, 1<<20), wire.NewWriter(right)
		err := phase.Run(greeting, r, w, func() error { return errors.New("no TLS here") })
		if err == nil {
			w.Write(wire.AppendOK(nil, phase.Login().Capabilities, wire.OK{Info: "hello"}))
			err = w.Flush()
		}
		served <- err
	}()
	co.Capabilities |= wire.ClientCapabilities
	co.Collation = wire.CollationUTF8MB4General
	c := wire.NewClientPhase(co)
	err := c.Run(wire.NewReader(left, 1<<20), wire.NewWriter(left), func() error { return errors.New("no TLS here") })
	left.Close()
	served1 := <-served
	if err == nil && (served1 != nil || c.OK().Info != "hello") {
		t.Errorf("client is in, server says %v", served1)
	}
	return phase.Login(), err
}

func TestBothPhasesAgree(t *testing.T) {
	for _, private := range []bool{false, true} {
		for user, password := range users {
			so := wire.ServerOptions{Private: private}
			l, err := pipe(t, so, wire.ClientOptions{User: user, Password: password, Private: private, Database: "d"})
			if err != nil || l.User != user || l.Database != "d" || !l.Capabilities.Has(wire.DeprecateEOF|wire.SessionTrack) {
				t.Errorf("%s: %+v, %v", user, l, err)
			}
			so.Key = testKey(t)
			_, err = pipe(t, so, wire.ClientOptions{User: user, Password: password + "x", Private: private})
			var e *wire.ServerError
			if !errors.As(err, &e) || e.Number != 1045 || e.State != "28000" {
				t.Errorf("%s with a wrong password: %v", user, err)
			}
		}
	}
	if _, err := pipe(t, wire.ServerOptions{}, wire.ClientOptions{TLS: true}); !errors.Is(err, wire.ErrNoTLS) {
		t.Errorf("TLS wanted, not offered: %v", err)
	}
	if _, err := pipe(t, wire.ServerOptions{RequireTLS: true}, wire.ClientOptions{User: "app", Password: users["app"]}); err == nil {
		t.Error("TLS required, not used")
	}
}

// script logs in by hand and returns the kinds of packets that the server sent.
func script(t *testing.T, o wire.ServerOptions, steps ...func(scramble []byte) []byte) (sent [][]byte, last wire.Next) {
	t.Helper()
	o.Password = passwordOf
	s, greeting := wire.NewServerPhase(o)
	g, err := wire.ParseGreeting(greeting)
	if err != nil {
		t.Fatal(err)
	}
	scramble := g.Scramble
	for _, step := range steps {
		send, next := s.Step(step(scramble))
		sent, last = append(sent, send), next
		if next == wire.NextRefused || next == wire.NextDone {
			return sent, next
		}
		if sw, err := wire.ParseAuthSwitch(send); err == nil {
			scramble = sw.Scramble
		}
	}
	return sent, last
}

func loginAs(user, plugin string, caps wire.Capabilities, auth func(scramble []byte) []byte) func([]byte) []byte {
	return func(scramble []byte) []byte {
		return wire.AppendLogin(nil, wire.Login{Capabilities: caps, User: user, Plugin: plugin, Auth: auth(scramble)})
	}
}

func native(password string) func([]byte) []byte {
	return func(s []byte) []byte { return calcNative(s, password) }
}

func sha2(password string) func([]byte) []byte {
	return func(s []byte) []byte { return calcSHA2(s, password) }
}

func fixed(b ...byte) func([]byte) []byte { return func([]byte) []byte { return b } }

func TestPluginsAreNegotiated(t *testing.T) {
	caps := wire.ClientCapabilities
	word := users["app"]
	for name, steps := range map[string][]func([]byte) []byte{
		"native at once":                {loginAs("app", wire.NativePassword, caps, native(word))},
		"native, asked to switch":       {loginAs("app", wire.NativePassword, caps, fixed()), native(word)},
		"native by an empty password":   {loginAs("empty", wire.NativePassword, caps, fixed()), fixed()},
		"another plugin switches":       {loginAs("app", "client_ed25519", caps, fixed(1, 2, 3)), sha2(word)},
		"no plugin named":               {loginAs("app", "", caps, fixed()), sha2(word)},
		"client without plugins":        {loginAs("app", "", caps&^wire.PluginAuth, native(word))},
		"empty password as a zero byte": {loginAs("empty", wire.CachingSHA2Password, caps, fixed(0))},
	} {
		if sent, next := script(t, wire.ServerOptions{}, steps...); next != wire.NextDone {
			t.Errorf("%s: ended with %d, %q", name, next, sent)
		}
	}
	sent, next := script(t, wire.ServerOptions{}, loginAs("app", wire.ClearPassword, caps, fixed([]byte(word+"\x00")...)))
	if next != wire.NextRefused || wire.ParseError(sent[0]).Number == 1045 {
		t.Errorf("clear password without TLS: %q", sent)
	}
}

func TestFullAuthentication(t *testing.T) {
	caps := wire.ClientCapabilities
	word := users["app"]
	stale := loginAs("app", wire.CachingSHA2Password, caps, fixed(make([]byte, 32)...))
	if _, next := script(t, wire.ServerOptions{Private: true}, stale, fixed([]byte(word+"\x00")...)); next != wire.NextDone {
		t.Error("in clear on a private transport")
	}
	key := testKey(t)
	encrypted := func(s []byte) []byte { return encrypt(t, word, s, &key.PublicKey) }
	if _, next := script(t, wire.ServerOptions{Key: key}, stale, fixed(2), encrypted); next != wire.NextDone {
		t.Error("encrypted with the key that was sent")
	}
	if _, next := script(t, wire.ServerOptions{Key: key}, stale, encrypted); next != wire.NextDone {
		t.Error("encrypted with a key that the client had")
	}
	if _, next := script(t, wire.ServerOptions{Key: key}, stale, fixed([]byte(word+"\x00")...)); next != wire.NextRefused {
		t.Error("in clear on a public transport")
	}
}

func TestUnknownUserLooksLikeAWrongPassword(t *testing.T) {
	caps := wire.ClientCapabilities
	key := testKey(t)
	for name, o := range map[string]wire.ServerOptions{"bare": {}, "private": {Private: true}, "key": {Key: key}} {
		for _, plugin := range []string{wire.NativePassword, wire.CachingSHA2Password, "dialog", ""} {
			for _, auth := range [][]byte{nil, {0}, make([]byte, 20), make([]byte, 32)} {
				talk := func(user string) ([][]byte, wire.Next) {
					return script(t, o, loginAs(user, plugin, caps, fixed(auth...)), fixed(auth...), fixed(2), fixed(make([]byte, 256)...))
				}
				known, knownEnd := talk("app")
				unknown, unknownEnd := talk("ppa")
				if knownEnd != wire.NextRefused || unknownEnd != wire.NextRefused || len(known) != len(unknown) {
					t.Fatalf("%s %q %d: %d packets and %d", name, plugin, len(auth), len(known), len(unknown))
				}
				for i := range known {
					if len(known[i]) != len(unknown[i]) || len(known[i]) > 0 && known[i][0] != unknown[i][0] {
						t.Errorf("%s %q %d: packet %d is %q and %q", name, plugin, len(auth), i, known[i], unknown[i])
					}
				}
			}
		}
	}
}

func TestClientRefusesToGiveThePasswordAway(t *testing.T) {
	greeting := wire.AppendGreeting(nil, wire.Greeting{Version: "x", Scramble: make([]byte, 20), Capabilities: wire.ServerCapabilities, Plugin: wire.NativePassword})
	for _, private := range []bool{false, true} {
		c := wire.NewClientPhase(wire.ClientOptions{User: "u", Password: "secret", Capabilities: wire.ClientCapabilities, Private: private})
		if _, _, err := c.Step(greeting); err != nil {
			t.Fatal(err)
		}
		send, _, err := c.Step(wire.AppendAuthSwitch(nil, wire.AuthSwitch{Plugin: wire.ClearPassword}))
		if private && (err != nil || string(send) != "secret\x00") || !private && !errors.Is(err, wire.ErrPlugin) {
			t.Errorf("private %t: %q, %v", private, send, err)
		}
	}
}
