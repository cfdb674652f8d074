package app

import "testing"

// TestTheSameFileHasNoDifferences: also where values are behind pointers and in maps.
func TestTheSameFileHasNoDifferences(t *testing.T) {
	const text = `
shards: { s0: { dsn: "u:p@tcp(a:1)/" }, s1: { dsn: "u:p@tcp(b:1)/" } }
users: { app: { password: x } }
tables:
  r: { key: day, function: range, ranges: [ { below: 2024-01-01, shard: s0 }, { shard: s1 } ] }
  l: { key: code, function: list, values: { s0: [a], s1: [b, c] } }
  w: { key: id, function: ring, weights: { s0: 1, s1: 2 } }
claims: { retain: 5m }
`
	parse := func(text string) *Config {
		c, err := ParseConfig("xaproxy.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if d := differences(parse(text), parse(text)); len(d) > 0 {
		t.Errorf("%+v", d)
	}
	if d := differences(parse(text), parse(text+"node: 7\n")); len(d) != 1 || d[0].Key != "node" || !d[0].Restart {
		t.Errorf("%+v", d)
	}
}
