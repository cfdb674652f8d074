package integration

import (
	le "encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"xaproxy/proxy/wire"
)

// peer is a client session that keeps what it is sent: column definitions and rows are compared as bytes.
type peer struct {
	conn net.Conn
	r    *wire.Reader
	w    *wire.Writer
	caps wire.Capabilities
	// kept are the statements that are prepared, so that a text is executed again with other values.
	kept map[string]keptStatement
}

// keptStatement is a prepared statement and the definitions that came with it: parameters, then columns.
type keptStatement struct {
	id          uint32
	definitions [][]byte
}

// maxKept bounds the prepared statements of a session.
const maxKept = 40

// peerPatience bounds one answer.
const peerPatience = time.Minute

// dialPeer logs in; foundRows asks for matched instead of changed rows.
func dialPeer(addr, user, password string, foundRows bool) (*peer, error) {
	conn, err := net.DialTimeout("tcp", addr, peerPatience)
	if err != nil {
		return nil, err
	}
	p := &peer{conn: conn, r: wire.NewReader(conn, 1<<30), w: wire.NewWriter(conn), kept: map[string]keptStatement{}}
	caps := wire.ClientCapabilities
	if foundRows {
		caps |= wire.FoundRows
	}
	_ = conn.SetDeadline(time.Now().Add(peerPatience))
	phase := wire.NewClientPhase(wire.ClientOptions{User: user, Password: password,
		Collation: wire.CollationUTF8MB4General, Capabilities: caps})
	if err := phase.Run(p.r, p.w, nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	p.caps = phase.Capabilities()
	return p, nil
}

func (p *peer) close() { _ = p.conn.Close() }

// reply is all that a server says to one statement.
type reply struct {
	err      *wire.ServerError
	ok       wire.OK  // also the end of the rows
	prepared [][]byte // definitions that came with a preparation just now: parameters, then columns
	columns  [][]byte // column definitions
	rows     [][]byte
	binary   bool // the rows' form
}

func (p *peer) send(payload []byte) error {
	_ = p.conn.SetDeadline(time.Now().Add(peerPatience))
	p.w.SetSequence(0)
	if err := p.w.Write(payload); err != nil {
		return err
	}
	p.r.SetSequence(1)
	return p.w.Flush()
}

func (p *peer) read() ([]byte, error) {
	b, err := p.r.Read()
	return append([]byte(nil), b...), err
}

// query executes a text. An error is a connection that has gone.
func (p *peer) query(sql string) (*reply, error) {
	if err := p.send(append([]byte{byte(wire.ComQuery)}, sql...)); err != nil {
		return nil, err
	}
	a := &reply{}
	return a, p.reply(a)
}

// execute prepares a text unless that is done, and executes it.
func (p *peer) execute(sql string, params []wire.Param) (*reply, error) {
	a := &reply{binary: true}
	st, found := p.kept[sql]
	if !found {
		var err error
		if st, err = p.prepare(sql, a); err != nil || a.err != nil {
			return a, err
		}
		a.prepared = st.definitions
	}
	if err := p.send(wire.AppendExecute(nil, st.id, params)); err != nil {
		return nil, err
	}
	return a, p.reply(a)
}

func (p *peer) prepare(sql string, a *reply) (keptStatement, error) {
	if len(p.kept) >= maxKept {
		if err := p.forget(); err != nil {
			return keptStatement{}, err
		}
	}
	if err := p.send(append([]byte{byte(wire.ComStmtPrepare)}, sql...)); err != nil {
		return keptStatement{}, err
	}
	b, err := p.read()
	if err != nil {
		return keptStatement{}, err
	}
	if wire.IsError(b) {
		a.err = wire.ParseError(b)
		return keptStatement{}, nil
	}
	st, err := wire.ParsePrepared(b)
	if err != nil {
		return keptStatement{}, err
	}
	k := keptStatement{id: st.Statement}
	for _, n := range []int{int(st.Params), int(st.Columns)} {
		list, err := p.definitions(n)
		if err != nil {
			return keptStatement{}, err
		}
		k.definitions = append(k.definitions, list...)
	}
	p.kept[sql] = k
	return k, nil
}

// forget closes what is prepared.
func (p *peer) forget() error {
	for sql, st := range p.kept {
		if err := p.send(wire.AppendStatement(nil, wire.ComStmtClose, st.id)); err != nil {
			return err
		}
		delete(p.kept, sql)
	}
	return nil
}

func (p *peer) reply(a *reply) error {
	b, err := p.read()
	if err != nil {
		return err
	}
	switch {
	case wire.IsError(b):
		a.err = wire.ParseError(b)
		return nil
	case wire.IsOK(b):
		a.ok, err = wire.ParseOK(b, p.caps)
		return err
	}
	n, err := wire.ParseColumnCount(b)
	if err != nil {
		return err
	}
	if a.columns, err = p.definitions(n); err != nil {
		return err
	}
	for {
		b, err := p.read()
		switch {
		case err != nil:
			return err
		case wire.IsError(b):
			a.err = wire.ParseError(b)
			return nil
		case wire.IsEnd(b, p.caps):
			a.ok, err = wire.ParseEnd(b, p.caps)
			return err
		}
		a.rows = append(a.rows, b)
	}
}

func (p *peer) definitions(n int) ([][]byte, error) {
	var list [][]byte
	for range n {
		b, err := p.read()
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	if n > 0 && !p.caps.Has(wire.DeprecateEOF) {
		if _, err := p.read(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// fields splits a row; nil is NULL. In the binary form they are what is between the lengths.
func (a *reply) fields(row []byte) ([][]byte, error) {
	if !a.binary {
		return wire.ParseTextRow(nil, row, len(a.columns))
	}
	n := len(a.columns)
	nulls := 1 + (n+9)/8
	if len(row) < nulls {
		return nil, wire.ErrMalformed
	}
	rest := row[nulls:]
	out := make([][]byte, n)
	for i, def := range a.columns {
		if row[1+(i+2)/8]>>((i+2)%8)&1 != 0 {
			continue
		}
		col, err := wire.ParseColumn(def)
		if err != nil {
			return nil, err
		}
		size, skip := binarySize(col.Type, rest)
		if size < 0 || len(rest) < skip+size {
			return nil, wire.ErrMalformed
		}
		out[i], rest = rest[skip:skip+size:skip+size], rest[skip+size:]
	}
	return out, nil
}

// fixedSizes are the lengths of numbers in the binary form.
var fixedSizes = map[wire.FieldType]int{wire.TypeTiny: 1, wire.TypeShort: 2, wire.TypeYear: 2, wire.TypeLong: 4, wire.TypeInt24: 4, wire.TypeFloat: 4,
	wire.TypeLongLong: 8, wire.TypeDouble: 8}

// binarySize is the length of the value that b begins with, and that of the length before it.
func binarySize(t wire.FieldType, b []byte) (size, skip int) {
	if n, fixed := fixedSizes[t]; fixed {
		return n, 0
	}
	switch {
	case len(b) == 0:
		return -1, 0
	case b[0] < 251:
		return int(b[0]), 1
	case b[0] == 252 && len(b) > 2:
		return int(le.LittleEndian.Uint16(b[1:])), 3
	case b[0] == 253 && len(b) > 3:
		return int(b[1]) | int(b[2])<<8 | int(b[3])<<16, 4
	}
	return -1, 0
}

// Literals stand between these marks in a generated statement, so that it can be sent as text or with parameters.
const (
	literalBegin = "«"
	literalEnd   = "»"
)

// lit marks a literal.
func lit(s string) string { return literalBegin + s + literalEnd }

// plain is the text without marks.
func plain(marked string) string {
	return strings.NewReplacer(literalBegin, "", literalEnd, "").Replace(marked)
}

// parameters are the text with a question mark for each literal, and the values.
func parameters(marked string) (string, []wire.Param) {
	var b strings.Builder
	var params []wire.Param
	for {
		before, rest, found := strings.Cut(marked, literalBegin)
		b.WriteString(before)
		if !found {
			return b.String(), params
		}
		var value string
		value, marked, _ = strings.Cut(rest, literalEnd)
		b.WriteByte('?')
		params = append(params, paramOf(value))
	}
}

func paramOf(l string) wire.Param {
	if l == "NULL" {
		return wire.Param{Type: wire.TypeNull, Null: true}
	}
	if n, err := strconv.ParseInt(l, 10, 64); err == nil {
		return wire.Param{Type: wire.TypeLongLong, Value: le.LittleEndian.AppendUint64(nil, uint64(n))}
	}
	if n, err := strconv.ParseUint(l, 10, 64); err == nil {
		return wire.Param{Type: wire.TypeLongLong, Unsigned: true, Value: le.LittleEndian.AppendUint64(nil, n)}
	}
	switch {
	case strings.HasPrefix(l, "'"):
		return wire.Param{Type: wire.TypeVarString, Value: []byte(strings.ReplaceAll(l[1:len(l)-1], "''", "'"))}
	case strings.HasPrefix(l, "x'"):
		b, err := hex.DecodeString(l[2 : len(l)-1])
		if err != nil {
			panic(err)
		}
		return wire.Param{Type: wire.TypeBlob, Value: b}
	case strings.ContainsAny(l, "eE"):
		f, err := strconv.ParseFloat(l, 64)
		if err != nil {
			panic(fmt.Sprintf("literal %q: %v", l, err))
		}
		return wire.Param{Type: wire.TypeDouble, Value: le.LittleEndian.AppendUint64(nil, math.Float64bits(f))}
	}
	return wire.Param{Type: wire.TypeNewDecimal, Value: []byte(l)}
}
