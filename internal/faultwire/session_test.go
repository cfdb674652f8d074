package faultwire_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"xaproxy/proxy/wire"
)

// session is a client whose every packet the test writes: commands can be
// pipelined and replies read one packet at a time.
type session struct {
	net.Conn
	id   uint32 // at the server
	caps wire.Capabilities
}

func dial(addr, user, password string) (*session, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	phase := wire.NewClientPhase(wire.ClientOptions{User: user, Password: password, Collation: 45,
		Capabilities: wire.ClientCapabilities | wire.MultiStatements | wire.MultiResults})
	if err := phase.Run(wire.NewReader(c, 1<<24), wire.NewWriter(c), nil); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &session{Conn: c, id: phase.Greeting().ConnectionID, caps: phase.Capabilities()}, nil
}

// pipeline writes all queries before any reply is read.
func (s *session) pipeline(queries ...string) error {
	var all []byte
	for _, q := range queries {
		n := len(q) + 1
		all = append(all, byte(n), byte(n>>8), byte(n>>16), 0, byte(wire.ComQuery))
		all = append(all, q...)
	}
	_, err := s.Write(all)
	return err
}

func (s *session) packet() ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(s, head); err != nil {
		return nil, err
	}
	p := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(s, p)
	return p, err
}

// execute sends one statement and reads its reply.
func (s *session) execute(q string) error {
	if err := s.pipeline(q); err != nil {
		return err
	}
	p, err := s.packet()
	if err != nil {
		return err
	}
	if p[0] == 0xff {
		return fmt.Errorf("error %d", binary.LittleEndian.Uint16(p[1:]))
	}
	for p[0] != 0 && !wire.IsEnd(p, s.caps) {
		if p, err = s.packet(); err != nil {
			return err
		}
	}
	return nil
}

func must(t *testing.T, s *session, queries ...string) {
	t.Helper()
	for _, q := range queries {
		if err := s.execute(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}
