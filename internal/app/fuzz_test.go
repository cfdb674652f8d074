package app

import (
	"strings"
	"testing"
)

// FuzzParseConfig: whatever the file says, it is a configuration or an error with a text.
func FuzzParseConfig(f *testing.F) {
	f.Setenv("APP_PW", "secret")
	f.Add(smallest)
	f.Add(smallest + "recovery: { dead_after: 1s }\nclaims: { retain: 0s }\ndefault_table: refuse\nlimits: { packet_bytes: 1 }\n")
	f.Add("tables: { a: { copies: all }, b: { shard: s1 }, c: { key: k, group: g } }\nlisten: { data: \"x\" }\n")
	f.Add("shards: &a { s0: *a }\n")
	f.Add("users: { a: { password: \"${env:X\", role: operate } }\nnode: -1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file:") {
			return // it may name a device
		}
		if _, err := ParseConfig("xaproxy.yaml", []byte(text)); err != nil && err.Error() == "" {
			t.Fatal("an error without a text")
		}
	})
}
