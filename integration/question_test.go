package integration

import (
	"context"
	"strings"
	"testing"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// TestQuestionsWhoseConnectionIsLost: what executes nothing is asked again, and when that fails, too, the client is told
// which shard is down.
func TestQuestionsWhoseConnectionIsLost(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	p := c.newProxy(t, "a", proxySettings{node: 1})
	p.up()
	conn := oneConn(t, p.dsnOf(""))
	mustRun(t, conn, "CREATE DATABASE bank", "CREATE TABLE bank.account (id INT PRIMARY KEY, balance INT)",
		"CREATE TABLE bank.name (name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci PRIMARY KEY)")
	cut := func(v faultwire.Verb, text string, times int) {
		for _, s := range c.shards {
			for range times {
				a := s.relay.Arm(faultwire.Rule{Verb: v, Side: faultwire.Before,
					Match: func(c faultwire.Command) bool { return strings.Contains(c.SQL, text) }})
				t.Cleanup(func() { a.Disarm() })
			}
		}
	}
	prepare := func(ctx context.Context, query string) error {
		st, err := conn.PrepareContext(ctx, query)
		if err == nil {
			err = st.Close()
		}
		return err
	}
	cut(faultwire.Ask, "'once'", 1)
	if err := prepare(t.Context(), "SELECT 'once', balance FROM bank.account WHERE id=?"); err != nil {
		t.Errorf("prepare when one connection is lost: %v", err)
	}
	cut(faultwire.Ask, "'twice'", 2)
	if err := prepare(t.Context(), "SELECT 'twice', balance FROM bank.account WHERE id=?"); numberOf(err) != 17030 {
		t.Errorf("prepare when two are lost: %v, want 17030", err)
	}
	cut(faultwire.Other, "+03:45", 1)
	if _, err := conn.ExecContext(t.Context(), "SET time_zone='+03:45'"); numberOf(err) != 17030 {
		t.Errorf("SET when the connection to each shard is lost: %v, want 17030", err)
	}
	if _, err := conn.ExecContext(t.Context(), "SET time_zone='+03:45'"); err != nil {
		t.Errorf("SET afterwards: %v", err)
	}
	cut(faultwire.Other, "WEIGHT_STRING", 1)
	if _, err := conn.ExecContext(t.Context(), "SELECT name FROM bank.name WHERE name='Äpfel'"); numberOf(err) != 17030 {
		t.Errorf("the weight of a key when the connection to each shard is lost: %v, want 17030", err)
	}
	if _, err := conn.ExecContext(t.Context(), "SELECT name FROM bank.name WHERE name='Äpfel'"); err != nil {
		t.Errorf("the weight afterwards: %v", err)
	}
}
