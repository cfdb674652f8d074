package wire_test

import (
	"bytes"
	"testing"

	"xaproxy/proxy/wire"
)

var bothCaps = []wire.Capabilities{modern, old}

func FuzzParseOK(f *testing.F) {
	f.Add(wire.AppendOK(nil, modern, wire.OK{Info: "i", Changes: []wire.Change{
		{Kind: wire.ChangeVariable, Name: "n", Value: "v"}, {Kind: wire.ChangeGTIDs, Value: "g"}, {Kind: wire.ChangeSchema}}}))
	f.Add(wire.AppendEOF(nil, wire.StatusInTrans, 1))
	f.Add([]byte{0, 0xfe, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, caps := range bothCaps {
			if ok, err := wire.ParseOK(p, caps); err == nil {
				again := wire.AppendOK(nil, caps, ok)
				if _, err := wire.ParseOK(again, caps); err != nil {
					t.Fatalf("%+v does not survive: %v", ok, err)
				}
			}
			if wire.IsEnd(p, caps) {
				wire.ParseEnd(p, caps)
			}
		}
		wire.IsOK(p)
		wire.IsLocalInfile(p)
		if wire.IsError(p) {
			e := wire.ParseError(p)
			if got := wire.ParseError(wire.AppendError(nil, e)); len(e.State) == 5 && *got != *e {
				t.Fatalf("%+v became %+v", e, got)
			}
		}
	})
}

func FuzzParseColumn(f *testing.F) {
	f.Add(wire.AppendColumn(nil, wire.Column{Name: "n", Type: wire.TypeLong}))
	f.Add([]byte{3, 'd', 'e', 'f', 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, p []byte) {
		if c, err := wire.ParseColumn(p); err == nil {
			if again, err := wire.ParseColumn(wire.AppendColumn(nil, c)); err != nil || again != c {
				t.Fatalf("%+v became %+v, %v", c, again, err)
			}
		}
		if n, err := wire.ParseColumnCount(p); err == nil && (n < 1 || n > wire.MaxColumns) {
			t.Fatal(n)
		}
	})
}

func FuzzParseTextRow(f *testing.F) {
	f.Add(wire.AppendNull(wire.AppendText(nil, "a")), uint8(2))
	f.Fuzz(func(t *testing.T, p []byte, columns uint8) {
		if fields, err := wire.ParseTextRow(nil, p, int(columns)); err == nil && len(fields) != int(columns) {
			t.Fatal(len(fields))
		}
	})
}

func FuzzParseGreeting(f *testing.F) {
	f.Add(wire.AppendGreeting(nil, wire.Greeting{Version: "9", Scramble: make([]byte, 20), Capabilities: modern, Plugin: "p"}))
	f.Add([]byte("\xff\x10\x04no"))
	f.Add([]byte{10, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		g, err := wire.ParseGreeting(p)
		if err == nil && len(g.Scramble) != wire.ScrambleLen {
			t.Fatal("scramble")
		}
		for _, password := range []string{"", "secret"} {
			c := wire.NewClientPhase(wire.ClientOptions{Password: password, Capabilities: wire.ClientCapabilities})
			for range 3 {
				c.Step(p)
			}
		}
	})
}

func FuzzClientPhase(f *testing.F) {
	f.Add(wire.AppendAuthSwitch(nil, wire.AuthSwitch{Plugin: wire.NativePassword, Scramble: make([]byte, 20)}))
	f.Add(wire.AppendAuthSwitch(nil, wire.AuthSwitch{Plugin: wire.ClearPassword}))
	f.Add(wire.AppendMoreData(nil, []byte{4}))
	f.Add(wire.AppendMoreData(nil, []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")))
	greeting := wire.AppendGreeting(nil, wire.Greeting{Version: "9", Scramble: make([]byte, 20), Capabilities: modern, Plugin: wire.CachingSHA2Password})
	f.Fuzz(func(t *testing.T, p []byte) {
		c := wire.NewClientPhase(wire.ClientOptions{Password: "secret", Capabilities: wire.ClientCapabilities})
		c.Step(greeting)
		for range 3 {
			send, _, err := c.Step(p)
			if err != nil {
				return
			}
			if bytes.Contains(send, []byte("secret")) {
				t.Fatal("the password was sent in clear")
			}
		}
		c.Step(wire.AppendMoreData(nil, []byte{4}))
		c.Step(p)
	})
}

func FuzzServerPhase(f *testing.F) {
	login := wire.AppendLogin(nil, wire.Login{Capabilities: modern, User: "app", Auth: make([]byte, 32), Plugin: wire.CachingSHA2Password, Attributes: []wire.Attribute{{Name: "a", Value: "b"}}})
	f.Add(login, []byte{2}, []byte{0})
	f.Add(login[:33], []byte{}, []byte{})
	f.Add(wire.AppendSSLRequest(nil, modern|wire.SSL, 45, 0), login, make([]byte, 20))
	f.Add([]byte{}, []byte{}, []byte{})
	key := testKey(f)
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		for _, user := range []string{"app", ""} {
			s, _ := wire.NewServerPhase(wire.ServerOptions{TLS: true, Key: key, Password: func(name string) (string, bool) {
				return "something nobody guesses", name == user
			}})
			for _, p := range [][]byte{first, second, third} {
				_, next := s.Step(p)
				if next == wire.NextDone {
					t.Fatal("logged in")
				}
				if next == wire.NextRefused {
					break
				}
			}
		}
	})
}

func FuzzExecute(f *testing.F) {
	f.Add(wire.AppendExecute(nil, 1, everyParam()), uint8(15), []byte("x"))
	f.Add([]byte{byte(wire.ComStmtExecute), 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0}, uint8(1), []byte{})
	f.Add([]byte{}, uint8(0), []byte{})
	f.Fuzz(func(t *testing.T, p []byte, n uint8, long []byte) {
		m := wire.NewParameters(int(n))
		for range 2 {
			e, err := m.Decode(p)
			if err != nil {
				continue
			}
			if len(e.Params) != int(n) {
				t.Fatal(len(e.Params))
			}
			again, err := wire.NewParameters(int(n)).Decode(wire.AppendExecute(nil, e.Statement, e.Params))
			if err != nil {
				t.Fatalf("%+v does not survive: %v", e, err)
			}
			for i, v := range e.Params {
				if v.Text() != again.Params[i].Text() || v.Kind() != again.Params[i].Kind() {
					t.Fatalf("parameter %d: %q became %q", i, v.Text(), again.Params[i].Text())
				}
			}
			if l, err := wire.ParseLongData(long); err == nil {
				m.AddLong(l, 1000)
			}
		}
		wire.ParseStatement(p)
		wire.ParsePrepared(p)
		wire.ParseLongData(p)
	})
}

func FuzzParseLogin(f *testing.F) {
	f.Add(wire.AppendLogin(nil, wire.Login{Capabilities: modern | wire.ConnectWithDB, User: "app", Auth: make([]byte, 20), Database: "d", Plugin: wire.NativePassword}))
	f.Add(wire.AppendSSLRequest(nil, modern|wire.SSL, 45, 0))
	f.Fuzz(func(t *testing.T, p []byte) {
		wire.IsSSLRequest(p)
		if l, err := wire.ParseLogin(p); err == nil {
			l.Capabilities |= wire.PluginAuthLenenc
			if _, err := wire.ParseLogin(wire.AppendLogin(nil, l)); err != nil {
				t.Fatalf("%+v does not survive: %v", l, err)
			}
		}
		wire.ParseAuthSwitch(p)
	})
}

func FuzzChangeUser(f *testing.F) {
	f.Add(wire.AppendChangeUser(nil, wire.Login{Capabilities: wire.ClientCapabilities, User: "u", Database: "d", Plugin: wire.NativePassword, Collation: 45}), uint32(wire.ClientCapabilities))
	f.Add([]byte{byte(wire.ComChangeUser), 'u', 0, 0, 0}, uint32(0))
	f.Fuzz(func(t *testing.T, p []byte, caps uint32) {
		was := wire.Login{Capabilities: wire.Capabilities(caps), Collation: 45}
		s, send, next := wire.NewChangePhase(wire.ServerOptions{Password: func(string) (string, bool) { return "secret", true }}, p, was)
		if len(send) == 0 || next == wire.NextDone {
			t.Fatal("nobody was asked for a password")
		}
		if next == wire.NextRead {
			if _, next := s.Step(p); next == wire.NextDone {
				t.Fatal("the answer to no question was taken")
			}
		}
		if l, err := wire.ParseChangeUser(p, was); err == nil && l.Capabilities != was.Capabilities {
			t.Fatal("capabilities")
		}
	})
}
