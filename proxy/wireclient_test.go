package proxy_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"xaproxy/proxy/wire"
)

// bare is a client made of the codec alone: any set of capabilities, any packet.
type bare struct {
	t    *testing.T
	conn net.Conn
	r    *wire.Reader
	w    *wire.Writer
	caps wire.Capabilities
}

func dialBare(t *testing.T, addr string, without wire.Capabilities) *bare {
	t.Helper()
	b := dialBareAs(t, addr, "app", "secret", wire.ClientCapabilities&^without)
	b.conn.SetDeadline(time.Now().Add(20 * time.Second))
	return b
}

func dialBareAs(t *testing.T, addr, user, password string, caps wire.Capabilities) *bare {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	b := &bare{t: t, conn: conn, r: wire.NewReader(conn, 1<<30), w: wire.NewWriter(conn)}
	phase := wire.NewClientPhase(wire.ClientOptions{User: user, Password: password, Collation: wire.CollationUTF8MB4General,
		Capabilities: caps})
	if err := phase.Run(b.r, b.w, nil); err != nil {
		t.Fatal(err)
	}
	b.caps = phase.Capabilities()
	return b
}

// answer is the reply to one command.
type answer struct {
	ok   wire.OK
	err  *wire.ServerError
	rows int
	text []string // of COM_QUERY: the rows, fields joined by commas
}

func (b *bare) send(payload []byte) {
	b.t.Helper()
	b.w.SetSequence(0)
	b.w.Write(payload)
	if err := b.w.Flush(); err != nil {
		b.t.Fatal(err)
	}
	b.r.SetSequence(1)
}

func (b *bare) read() []byte {
	b.t.Helper()
	p, err := b.r.Read()
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bare) query(sql string) answer {
	b.t.Helper()
	b.send(append([]byte{byte(wire.ComQuery)}, sql...))
	return b.reply()
}

func (b *bare) reply() answer {
	b.t.Helper()
	p := b.read()
	switch {
	case wire.IsError(p):
		return answer{err: wire.ParseError(p)}
	case wire.IsOK(p):
		ok, err := wire.ParseOK(p, b.caps)
		if err != nil {
			b.t.Fatal(err)
		}
		return answer{ok: ok}
	}
	n, err := wire.ParseColumnCount(p)
	if err != nil {
		b.t.Fatal(err)
	}
	b.definitions(n)
	var a answer
	for {
		p := b.read()
		if wire.IsError(p) {
			a.err = wire.ParseError(p)
			return a
		}
		if wire.IsEnd(p, b.caps) {
			if a.ok, err = wire.ParseEnd(p, b.caps); err != nil {
				b.t.Fatal(err)
			}
			return a
		}
		a.rows++
		if fields, err := wire.ParseTextRow(nil, p, n); err == nil {
			a.text = append(a.text, joined(fields))
		}
	}
}

// joined is a row of the text protocol as one string.
func joined(fields [][]byte) string {
	var out []string
	for _, f := range fields {
		if f == nil {
			f = []byte("NULL")
		}
		out = append(out, string(f))
	}
	return strings.Join(out, ",")
}

func (b *bare) definitions(n int) {
	b.t.Helper()
	for range n {
		if _, err := wire.ParseColumn(b.read()); err != nil {
			b.t.Fatal(err)
		}
	}
	if n > 0 && !b.caps.Has(wire.DeprecateEOF) {
		if p := b.read(); !wire.IsEnd(p, b.caps) {
			b.t.Fatalf("no EOF behind the definitions: %x", p)
		}
	}
}

func (b *bare) prepare(sql string) wire.Prepared {
	b.t.Helper()
	b.send(append([]byte{byte(wire.ComStmtPrepare)}, sql...))
	p := b.read()
	if wire.IsError(p) {
		b.t.Fatal(wire.ParseError(p))
	}
	st, err := wire.ParsePrepared(p)
	if err != nil {
		b.t.Fatal(err)
	}
	b.definitions(int(st.Params))
	b.definitions(int(st.Columns))
	return st
}

func (b *bare) execute(id uint32, params ...wire.Param) answer {
	b.t.Helper()
	b.send(wire.AppendExecute(nil, id, params))
	return b.reply()
}

// gone reports whether the server has closed the connection; what it says before
// is returned.
func (b *bare) gone() (string, bool) {
	said := ""
	for {
		p, err := b.r.Read()
		if err != nil {
			ne, ok := err.(net.Error) //nolint:errorlint // of this connection itself
			return said, !ok || !ne.Timeout()
		}
		if wire.IsError(p) {
			said = wire.ParseError(p).Message
		}
	}
}
