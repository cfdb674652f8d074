package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xaproxy/proxy/route"
)

const threeShards = `
shards:
  s0: { dsn: "xaproxy:pw@tcp(db0:3306)/" }
  s1: { dsn: "xaproxy:pw@tcp(db1:3306)/" }
  s2: { dsn: "xaproxy:pw@tcp(db2:3306)/" }
tables:
`

// TestFunctionsAreConfigured: each function's parameters become the rule that
// they describe.
func TestFunctionsAreConfigured(t *testing.T) {
	numbers := map[string]route.Shard{"s0": 0, "s1": 1, "s2": 5}
	for entry, want := range map[string]string{
		"{ key: id }": `jump-xxh64-1 key="id" type=int over=0,1,5`,
		"{ key: id, function: jump, shards: [s2, s0] }":                                `jump-xxh64-1 key="id" type=int over=0,5`,
		"{ key: id, function: ring }":                                                  `ring-xxh64-1 key="id" type=int over=0:1,1:1,5:1 points=512`,
		"{ key: id, function: ring, weights: { s1: 3 }, points: 8, shards: [s0, s1] }": `ring-xxh64-1 key="id" type=int over=0:1,1:3 points=8`,
		"{ key: id, function: slots }":                                                 `slots-xxh64-1 key="id" type=int slots=1024 at=0-340:0,341-681:1,682-1023:5`,
		"{ key: id, function: slots, slots: 10, slot_map: { s0: '0-3,9', s2: 4-8 } }":  `slots-xxh64-1 key="id" type=int slots=10 at=0-3:0,4-8:5,9:0`,
		"{ key: id, function: mod, shards: [s0, s1] }":                                 `mod-1 key="id" type=int over=0,1`,
	} {
		c, err := ParseConfig("xaproxy.yaml", []byte(threeShards+"  t: "+entry+"\n"))
		if err != nil {
			t.Errorf("%s: %v", entry, err)
			continue
		}
		p, err := c.Tables["t"].placement(numbers)
		if err != nil {
			t.Fatal(err)
		}
		r, err := route.Spread(p.Key, route.KeyTypeInt, "", p.Function.Over([]route.Shard{0, 1, 5}))
		if err != nil || r.Text() != want {
			t.Errorf("%s is %s (%v), want %s", entry, r.Text(), err, want)
		}
	}
}

// TestValuesStayAsTheyAreWritten: what looks like a number or a date to YAML is
// a value of a column.
func TestValuesStayAsTheyAreWritten(t *testing.T) {
	c, err := ParseConfig("xaproxy.yaml", []byte(threeShards+`
  r: { key: day, function: range, ranges: [ { below: 2024-01-01, shard: s0 }, { below: "2025-01-01", shard: s1 }, { shard: s2 } ] }
  l: { key: code, function: list, values: { s0: [007, no, 1.50, -5], s1: [ "us", true ] }, default: s2 }
`))
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]route.Shard{"s0": 0, "s1": 1, "s2": 2}
	for name, want := range map[string]string{"r": "2024-01-01:0 2025-01-01:1", "l": "007:0 no:0 1.50:0 -5:0 us:1 true:1"} {
		p, err := c.Tables[name].placement(numbers)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range p.Function.Values {
			got = append(got, v.Text+":"+v.Shard.String())
		}
		if strings.Join(got, " ") != want || p.Function.Rest == nil || *p.Function.Rest != 2 {
			t.Errorf("%s has %v, %v; want %s", name, got, p.Function.Rest, want)
		}
	}
}

// TestBadPlacementsAreRefusedWhereTheyStand: every error names file, line, column
// and key.
func TestBadPlacementsAreRefusedWhereTheyStand(t *testing.T) {
	for entry, want := range map[string]string{
		"{ key: id, function: hash }":                                                      "xaproxy.yaml:7:27: tables.t.function: \"hash\" is none of jump",
		"{ key: id, shards: [s0, s9] }":                                                    "xaproxy.yaml:7:30: tables.t.shards.1: no shard is named \"s9\"",
		"{ key: id, shards: [s0, s0] }":                                                    "tables.t.function: invalid rule: a shard number is given twice",
		"{ key: id, weights: { s0: 1 } }":                                                  "tables.t.weights: this is no parameter of the function jump",
		"{ key: id, function: ring, weights: { s9: 1 } }":                                  "tables.t.weights: no shard is named",
		"{ key: id, function: ring, weights: { s0: 0 } }":                                  "tables.t.weights: invalid rule: weight 0",
		"{ key: id, function: ring, weights: { s0: x } }":                                  "xaproxy.yaml:7:",
		"{ key: id, function: slots, slots: 4, slot_map: { s0: 0-2 } }":                    "tables.t.slot_map: invalid rule: slot 3 is on no shard",
		"{ key: id, function: slots, slots: 4, slot_map: { s0: 0-2, s1: 2-3 } }":           "slot 2 is given twice",
		"{ key: id, function: slots, slot_map: { s0: zero } }":                             "tables.t.slot_map.s0: \"zero\" is no list of slots",
		"{ key: id, function: slots, slot_map: { s0: 0-3 }, shards: [s0] }":                "by ranges and by shards",
		"{ key: id, function: range }":                                                     "tables.t.function: range needs ranges",
		"{ key: id, function: range, ranges: [ { shard: s0 } ] }":                          "tables.t.ranges: at least one range needs below",
		"{ key: id, function: range, ranges: [ { shard: s0 }, { below: 5, shard: s1 } ] }": "tables.t.ranges.0: only the last range",
		"{ key: id, function: range, ranges: [ { below: 5, shard: s7 } ] }":                "xaproxy.yaml:7:63: tables.t.ranges.0.shard: no shard is named",
		"{ key: id, function: range, ranges: [ { below: [5], shard: s0 } ] }":              "is no value of a column",
		"{ key: id, function: list }":                                                      "tables.t.function: list needs values",
		"{ key: id, function: list, values: { s0: [a], s1: [a] } }":                        "tables.t.values.s1: the value \"a\" is listed twice",
		"{ key: id, function: list, values: { s0: [a] }, default: s8 }":                    "tables.t.default: no shard is named",
		"{ copies: all, function: mod }":                                                   "tables.t.function: a function needs a key",
		"{ shard: s0, group: g }":                                                          "tables.t.group: a group is of tables with a key",
		"{ shard: s0, points: 5 }":                                                         "tables.t.points: this is no parameter",
		"{ key: id, colour: red }":                                                         "xaproxy.yaml:7:",
		"{ key: id, group: g }\n  u: { key: id, group: g, function: mod }":                 "xaproxy.yaml:8:24: tables.u.group: u is placed by mod, the table t of the same group by jump",
	} {
		file := filepath.Join(t.TempDir(), "xaproxy.yaml")
		if err := os.WriteFile(file, []byte(threeShards+"  t: "+entry+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadConfig(file)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "xaproxy.yaml:") {
			t.Errorf("%s: %v; want %s", entry, err, want)
		}
	}
}
