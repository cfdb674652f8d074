package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const smallest = `
shards:
  s0: { dsn: "xaproxy:pw@tcp(db0:3306)/" }
  s1: { dsn: "xaproxy:pw@tcp(db1:3306)/" }
tables:
  orders: { key: customer_id }
users:
  app: { password: "${env:APP_PW}" }
`

func TestSmallestConfigGetsTheDocumentedDefaults(t *testing.T) {
	t.Setenv("APP_PW", "secret")
	c, err := ParseConfig("xaproxy.yaml", []byte(smallest))
	if err != nil {
		t.Fatal(err)
	}
	if c.Users["app"].Password != "secret" {
		t.Errorf("password = %q, want the environment's", c.Users["app"].Password)
	}
	if c.Listen.Data[0] != "0.0.0.0:4406" || c.Listen.Admin != "127.0.0.1:4407" {
		t.Errorf("listen = %+v", c.Listen)
	}
	if c.Recovery.Beat != time.Second || c.Recovery.DeadAfter != 3*time.Second || *c.Claims.Retain != 10*time.Minute {
		t.Errorf("recovery = %+v, retain = %s", c.Recovery, *c.Claims.Retain)
	}
	if c.DefaultTable.Key != "primary" {
		t.Errorf("default_table = %+v", c.DefaultTable)
	}
}

func TestShortDeadAfterBringsAShorterBeat(t *testing.T) {
	t.Setenv("APP_PW", "x")
	c, err := ParseConfig("xaproxy.yaml", []byte(smallest+"recovery: { dead_after: 1s }\nclaims: { retain: 0s }\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Recovery.Beat > c.Recovery.DeadAfter/2 {
		t.Errorf("beat %s with dead_after %s", c.Recovery.Beat, c.Recovery.DeadAfter)
	}
	if *c.Claims.Retain != 0 {
		t.Errorf("retain = %s, want the 0s that was given", *c.Claims.Retain)
	}
}

func TestBadConfigIsRefusedWithTheKey(t *testing.T) {
	t.Setenv("APP_PW", "x")
	for name, c := range map[string]struct{ add, want string }{
		"unknown key":       {"colour: red\n", "colour"},
		"duplicate key":     {"node: 1\nnode: 2\n", "node"},
		"position":          {"recovery: { bat: 1s }\n", "xaproxy.yaml:9:13: "},
		"no such shard":     {"default_table: { shard: s7 }\n", "s7"},
		"bad word":          {"default_table: maybe\n", "maybe"},
		"role":              {"listen: { data: nonsense }\n", "listen.data"},
		"beat and deadline": {"recovery: { beat: 2s, dead_after: 3s }\n", "recovery.dead_after"},
		"ack":               {"transactions: { ack: prepared }\n", "transactions.ack"},
		"copies":            {"tables: { c: { copies: some } }\n", "tables.c.copies"},
		"two ways":          {"tables: { c: { copies: all, key: id } }\n", "tables.c: give one of"},
		"no way":            {"tables: { c: { group: g } }\n", "tables.c: give key"},
		"relative":          {"state_dir: here\n", "state_dir"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseConfig("xaproxy.yaml", []byte(withoutTables(smallest, c.add)+c.add))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want one that names %s", err, c.want)
			}
		})
	}
}

// withoutTables leaves out the tables where others are added.
func withoutTables(config, add string) string {
	if !strings.HasPrefix(add, "tables:") {
		return config
	}
	return strings.Replace(config, "tables:\n  orders: { key: customer_id }\n", "", 1)
}

func TestOneServerIsNotTwoShards(t *testing.T) {
	_, err := ParseConfig("xaproxy.yaml", []byte(`shards: { a: { dsn: "u:p@tcp(h:3306)/" }, b: { dsn: "v:q@tcp(h:3306)/" } }`))
	if err == nil || !strings.Contains(err.Error(), "shards.a and shards.b") {
		t.Errorf("error = %v, want both names", err)
	}
}

func TestMissingSecretsAreErrors(t *testing.T) {
	_, err := ParseConfig("xaproxy.yaml", []byte(strings.ReplaceAll(smallest, "APP_PW", "XAPROXY_NOT_SET")))
	if err == nil || !strings.Contains(err.Error(), "XAPROXY_NOT_SET") {
		t.Errorf("error = %v", err)
	}
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfig("xaproxy.yaml", []byte(strings.ReplaceAll(smallest, "env:APP_PW", "file:"+file)))
	if err != nil || c.Users["app"].Password != "from file" {
		t.Errorf("password = %v, %v", c, err)
	}
}

func TestShardNamesSortAsPeopleCount(t *testing.T) {
	got := sortedNaturally([]string{"s10", "s2", "a", "s1"})
	if want := []string{"a", "s1", "s2", "s10"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestStateSurvivesAndIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	node, err := s.node(0)
	if err != nil || node == 0 {
		t.Fatalf("node %d, %v", node, err)
	}
	if again, err := s.node(0); err != nil || again != node {
		t.Errorf("node %d then %d (%v): it must stay", node, again, err)
	}
	if err := s.saveIncarnation(7); err != nil {
		t.Fatal(err)
	}
	if n, err := s.incarnation(); err != nil || n != 7 {
		t.Errorf("incarnation %d, %v", n, err)
	}
	first, err := s.adminPassword()
	if err != nil || len(first) < 16 {
		t.Fatalf("password %q, %v", first, err)
	}
	info, err := os.Stat(filepath.Join(dir, "admin.password"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, key, err := s.certificate(); err != nil || key == nil {
		t.Errorf("certificate: %v", err)
	}
	if _, _, err := s.certificate(); err != nil {
		t.Errorf("certificate read again: %v", err)
	}
}
