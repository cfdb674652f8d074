package xatest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// session is a Conn as small as possible: the driver logs in, then its socket is taken over and spoken to in packets.
// It depends on none of the proxy's own code, so that facts about servers are not facts about our client.
type session struct {
	net    net.Conn
	keep   io.Closer
	flavor xamysql.Flavor
	id     xa.SessionID
	status uint16
	lost   bool
}

var _ xamysql.Conn = (*session)(nil)

// dial opens a session at shard number.
func dial(t testing.TB, dsn string, shard xa.ShardID) *session {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{}
	cfg.MultiStatements = true
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		s.net = c
		return c, err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.keep = c // kept so that the driver's finalizers leave the socket alone
	t.Cleanup(s.close)
	version := s.one(t, "SELECT VERSION()")
	s.flavor = xamysql.FlavorOf(version)
	uptime := "SELECT UNIX_TIMESTAMP() - VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME='Uptime'"
	if s.flavor == xamysql.FlavorMariaDB {
		uptime = "SELECT UNIX_TIMESTAMP() - VARIABLE_VALUE FROM information_schema.global_status WHERE VARIABLE_NAME='Uptime'"
	}
	run, err := strconv.ParseFloat(s.one(t, uptime), 64)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := strconv.ParseUint(s.one(t, "SELECT CONNECTION_ID()"), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	s.id = xa.SessionID{Shard: shard, Run: uint32(run), Conn: uint32(conn)}
	return s
}

func (s *session) Session() xa.SessionID  { return s.id }
func (s *session) Flavor() xamysql.Flavor { return s.flavor }
func (s *session) InTransaction() bool    { return !s.lost && s.status&xamysql.StatusInTrans != 0 }

// close cuts the socket, as a killed client does.
func (s *session) close() {
	s.lost = true
	_ = s.net.Close()
}

// Exchange implements xamysql.Conn.
func (s *session) Exchange(ctx context.Context, cmds ...xamysql.Command) ([]xamysql.Reply, error) {
	if s.lost {
		return nil, xa.WithEffect(net.ErrClosed, xa.EffectNone)
	}
	if err := ctx.Err(); err != nil {
		s.close()
		return nil, xa.WithEffect(err, xa.EffectNone)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.net.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	replies, err := s.exchange(cmds)
	if err != nil {
		s.close()
		return replies, errors.Join(err, ctx.Err())
	}
	return replies, nil
}

func (s *session) exchange(cmds []xamysql.Command) ([]xamysql.Reply, error) {
	if err := s.send(cmds...); err != nil {
		return nil, err
	}
	var replies []xamysql.Reply
	for range cmds {
		r, err := s.reply()
		replies = append(replies, r)
		if err != nil {
			return replies, err
		}
	}
	return replies, nil
}

// send writes commands without waiting for replies.
func (s *session) send(cmds ...xamysql.Command) error {
	var out []byte
	for _, c := range cmds {
		payload := []byte{14}
		if c.Kind == xamysql.Query {
			payload = append([]byte{3}, c.SQL...)
		}
		out = append(out, byte(len(payload)), byte(len(payload)>>8), byte(len(payload)>>16), 0)
		out = append(out, payload...)
	}
	_, err := s.net.Write(out)
	return err
}

func (s *session) packet() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(s.net, head[:]); err != nil {
		return nil, err
	}
	p := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(s.net, p)
	if err == nil && len(p) == 0 {
		err = errors.New("empty packet")
	}
	return p, err
}

// reply reads the answer to one command.
func (s *session) reply() (xamysql.Reply, error) {
	var reply xamysql.Reply
	for {
		r, lost := s.result()
		if lost != nil {
			return reply, lost
		}
		reply.Results = append(reply.Results, r)
		if more := r.Err == nil && r.Status&8 != 0; !more {
			return reply, nil
		}
	}
}

func (s *session) result() (xamysql.Result, error) {
	p, err := s.packet()
	if err != nil {
		return xamysql.Result{}, err
	}
	switch p[0] {
	case 0xff:
		return xamysql.Result{Err: serverError(p)}, nil
	case 0:
		return s.ok(p), nil
	}
	columns, _ := lenenc(p)
	for range columns {
		if _, err := s.packet(); err != nil {
			return xamysql.Result{}, err
		}
	}
	var rows [][]*string
	for {
		p, lost := s.packet()
		switch {
		case lost != nil:
			return xamysql.Result{}, lost
		case p[0] == 0xff:
			return xamysql.Result{Rows: rows, Err: serverError(p)}, nil
		case p[0] == 0xfe && len(p) < 1<<24-1:
			r := s.ok(p)
			r.Rows = rows
			return r, nil
		}
		rows = append(rows, textRow(p))
	}
}

func (s *session) ok(p []byte) xamysql.Result {
	affected, n := lenenc(p[1:])
	_, m := lenenc(p[1+n:])
	s.status = binary.LittleEndian.Uint16(p[1+n+m:])
	return xamysql.Result{Status: s.status, Affected: affected}
}

func serverError(p []byte) *xamysql.ServerError {
	e := &xamysql.ServerError{Number: binary.LittleEndian.Uint16(p[1:]), Message: string(p[3:])}
	if len(p) > 8 && p[3] == '#' {
		e.State, e.Message = string(p[4:9]), string(p[9:])
	}
	return e
}

func textRow(p []byte) []*string {
	var row []*string
	for len(p) > 0 {
		if p[0] == 0xfb {
			row, p = append(row, nil), p[1:]
			continue
		}
		l, n := lenenc(p)
		v := string(p[n : n+int(l)])
		row, p = append(row, &v), p[n+int(l):]
	}
	return row
}

func lenenc(b []byte) (uint64, int) {
	switch b[0] {
	case 0xfc:
		return uint64(binary.LittleEndian.Uint16(b[1:])), 3
	case 0xfd:
		return uint64(b[1]) | uint64(b[2])<<8 | uint64(b[3])<<16, 4
	case 0xfe:
		return binary.LittleEndian.Uint64(b[1:]), 9
	}
	return uint64(b[0]), 1
}

func query(sql string) xamysql.Command { return xamysql.Command{Kind: xamysql.Query, SQL: sql} }

// try sends one packet and returns its results and the error packet that ended it, if one did.
func (s *session) try(t testing.TB, sql string) ([]xamysql.Result, *xamysql.ServerError) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	replies, err := s.Exchange(ctx, query(sql))
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	r := replies[0].Results
	return r, r[len(r)-1].Err
}

// do sends one packet that must succeed.
func (s *session) do(t testing.TB, sql string) []xamysql.Result {
	t.Helper()
	r, serr := s.try(t, sql)
	if serr != nil {
		t.Fatalf("%s: %v", sql, serr)
	}
	return r
}

// fails sends one packet that must end in one of the error numbers.
func (s *session) fails(t testing.TB, sql string, numbers ...uint16) {
	t.Helper()
	_, serr := s.try(t, sql)
	for _, n := range numbers {
		if serr != nil && serr.Number == n {
			return
		}
	}
	t.Fatalf("%s: got %v, want error %v", sql, serr, numbers)
}

// one sends a query and returns its only value.
func (s *session) one(t testing.TB, sql string) string {
	t.Helper()
	r := s.do(t, sql)
	rows := r[len(r)-1].Rows
	if len(rows) != 1 || rows[0][0] == nil {
		t.Fatalf("%s: %d rows", sql, len(rows))
	}
	return *rows[0][0]
}

// pipeline writes the statements as separate packets in one write and returns the last result of each.
func (s *session) pipeline(t testing.TB, sqls ...string) []xamysql.Result {
	t.Helper()
	var cmds []xamysql.Command
	for _, q := range sqls {
		cmds = append(cmds, query(q))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	replies, err := s.Exchange(ctx, cmds...)
	if err != nil {
		t.Fatalf("%q: %v", sqls, err)
	}
	var last []xamysql.Result
	for _, r := range replies {
		last = append(last, r.Results[len(r.Results)-1])
	}
	return last
}

// ping asks whether the session is in a transaction.
func (s *session) ping(t testing.TB) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := s.Exchange(ctx, xamysql.Command{Kind: xamysql.Ping}); err != nil {
		t.Fatal(err)
	}
	return s.InTransaction()
}

// later sends a packet that will wait and returns a function that fetches its end.
func (s *session) later(t testing.TB, sql string) func() *xamysql.ServerError {
	t.Helper()
	if err := s.send(query(sql)); err != nil {
		t.Fatal(err)
	}
	return func() *xamysql.ServerError {
		t.Helper()
		_ = s.net.SetReadDeadline(time.Now().Add(20 * time.Second))
		r, err := s.reply()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		_ = s.net.SetReadDeadline(time.Time{})
		return r.Results[len(r.Results)-1].Err
	}
}

func (s *session) String() string { return fmt.Sprintf("session %d", s.id.Conn) }
