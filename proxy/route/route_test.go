package route

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
)

// TestHashIsXXH64 holds the published vectors of XXH64 with seed 0: the
// function's name is stored beside the data, so its meaning never changes.
func TestHashIsXXH64(t *testing.T) {
	sanity := make([]byte, 101) // the reference implementation's sanity buffer
	for i, gen := 0, uint64(2654435761); i < len(sanity); i++ {
		sanity[i] = byte(gen >> 56)
		gen *= 11400714785074694797
	}
	for _, c := range []struct {
		in   string
		want uint64
	}{
		{"", 0xEF46DB3751D8E999},
		{"a", 0xD24EC4F1A98C6E5B},
		{"as", 0x1C330FB2D66BE179},
		{"asd", 0x631C37CE72A97393},
		{"asdf", 0x415872F599CEA71E},
		{"abc", 0x44BC2CF5AD770999},
		{"Call me Ishmael. Some years ago--never mind how long precisely-", 0x02A2E85470D6FD96},
		{string(sanity[:1]), 0xE934A84ADB052768},
		{string(sanity[:14]), 0x8282DCC4994E35C8},
	} {
		if got := Hash([]byte(c.in)); got != c.want {
			t.Errorf("Hash(%q) = %#016x, want %#016x", c.in, got, c.want)
		}
	}
}

// TestJumpMovesOnlyToTheNewBucket: growing by one bucket moves about one key in
// n+1, and never between old buckets.
func TestJumpMovesOnlyToTheNewBucket(t *testing.T) {
	const keys = 20000
	for n := 1; n < 12; n++ {
		moved := 0
		for k := range keys {
			h := Hash([]byte(strconv.Itoa(k)))
			before, after := Jump(h, n), Jump(h, n+1)
			if before < 0 || before >= n {
				t.Fatalf("Jump(%#x, %d) = %d", h, n, before)
			}
			if before != after {
				moved++
				if after != n {
					t.Fatalf("key %d moved from %d to %d", k, before, after)
				}
			}
		}
		want := float64(keys) / float64(n+1)
		if math.Abs(float64(moved)-want) > want/10 {
			t.Errorf("%d of %d keys moved from %d to %d buckets, want about %.0f", moved, keys, n, n+1, want)
		}
	}
}

// TestJumpHasThePublishedVectors: those of other implementations of the paper.
func TestJumpHasThePublishedVectors(t *testing.T) {
	for _, c := range []struct {
		hash    uint64
		buckets int
		want    int
	}{{1, 1, 0}, {42, 57, 43}, {0xDEAD10CC, 1, 0}, {0xDEAD10CC, 666, 361}, {256, 1024, 520}} {
		if got := Jump(c.hash, c.buckets); got != c.want {
			t.Errorf("Jump(%#x, %d) = %d, want %d", c.hash, c.buckets, got, c.want)
		}
	}
}

// TestPlacesAreGolden: where keys live. A change here loses rows.
func TestPlacesAreGolden(t *testing.T) {
	shards := []Shard{0, 1, 2, 5, 9}
	ints := mustRule(t, "id", KeyTypeInt, "", shards)
	bin := mustRule(t, "id", KeyTypeBytes, "", shards)
	text := mustRule(t, "id", KeyTypeString, "utf8mb4_bin", shards)
	for _, c := range []struct {
		rule Rule
		key  Key
		want Shard
	}{
		{ints, Key{Kind: KeyInt, Int: 0}, 9},
		{ints, Key{Kind: KeyInt, Int: 1}, 5},
		{ints, Key{Kind: KeyInt, Int: 2}, 2},
		{ints, Key{Kind: KeyInt, Int: 3}, 0},
		{ints, Key{Kind: KeyInt, Int: -1}, 1},
		{ints, Key{Kind: KeyInt, Int: math.MaxInt64}, 1},
		{ints, Key{Kind: KeyInt, Int: math.MinInt64}, 5},
		{bin, Key{Kind: KeyBytes}, 2},
		{bin, Key{Kind: KeyBytes, Bytes: []byte("abc")}, 5},
		{bin, Key{Kind: KeyBytes, Bytes: []byte{0}}, 0},
		{text, Key{Kind: KeyWeight, Bytes: []byte("\x00\x00a")}, 5},
	} {
		got, ok := c.rule.Place(c.key)
		if !ok || got != c.want {
			t.Errorf("%s places %+v on %d (%v), want %d", c.rule.Text(), c.key, got, ok, c.want)
		}
	}
}

func mustRule(t *testing.T, column string, kt KeyType, collation string, shards []Shard) Rule {
	t.Helper()
	r, err := Sharded(column, kt, collation, shards)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustCopies(t *testing.T, shards []Shard) Rule {
	t.Helper()
	r, err := Copies(shards)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTogetherIsEqualPlacing: tables whose equal keys are on one shard, whatever
// the key is called.
func TestTogetherIsEqualPlacing(t *testing.T) {
	base := mustRule(t, "id", KeyTypeInt, "", []Shard{0, 1})
	for name, c := range map[string]struct {
		other Rule
		want  bool
	}{
		"the same":           {base, true},
		"another column":     {mustRule(t, "customer_id", KeyTypeInt, "", []Shard{1, 0}), true},
		"another type":       {mustRule(t, "id", KeyTypeBytes, "", []Shard{0, 1}), false},
		"other shards":       {mustRule(t, "id", KeyTypeInt, "", []Shard{0, 1, 2}), false},
		"one shard":          {OnShard(0), false},
		"copies":             {mustCopies(t, []Shard{0, 1}), false},
		"nothing":            {Rule{}, false},
		"string":             {mustRule(t, "id", KeyTypeString, "utf8mb4_bin", []Shard{0, 1}), false},
		"a name like a rule": {mustRule(t, `id" type=bytes`, KeyTypeInt, "", []Shard{0, 1}), true},
	} {
		if base.Together(c.other) != c.want || c.other.Together(base) != c.want {
			t.Errorf("%s: not %v", name, c.want)
		}
	}
	a, b := mustRule(t, "a", KeyTypeString, "utf8mb4_bin", []Shard{0, 1}), mustRule(t, "a", KeyTypeString, "utf8mb4_general_ci", []Shard{0, 1})
	if a.Together(b) || OnShard(1).Together(OnShard(1)) || (Rule{}).Together(Rule{}) {
		t.Error("other collations, one-shard tables or nothing are together")
	}
}

func TestPlaceRefusesKeysOfAnotherKind(t *testing.T) {
	text := mustRule(t, "n", KeyTypeString, "utf8mb4_bin", []Shard{0, 1})
	for _, k := range []Key{{}, {Kind: KeyInt, Int: 1}, {Kind: KeyBytes}, {Kind: KeyText, Bytes: []byte("x")}} {
		if s, ok := text.Place(k); ok {
			t.Errorf("%+v is placed on %d", k, s)
		}
	}
	if !(Key{Kind: KeyText}).NeedsWeight() {
		t.Error("text needs no weight")
	}
	if _, ok := (Rule{}).Place(Key{Kind: KeyInt}); ok {
		t.Error("the zero rule places a key")
	}
	if _, ok := mustCopies(t, []Shard{0, 1}).Place(Key{Kind: KeyInt}); ok {
		t.Error("copies have one place")
	}
}

// TestWeightsLoseTheirPad: 'a' and 'a  ' are one key where the collation pads.
func TestWeightsLoseTheirPad(t *testing.T) {
	k := Key{Kind: KeyText, Bytes: []byte("a")}
	pad := []byte{0, ' '}
	a := k.WithWeight([]byte{0, 'A'}, pad)
	b := k.WithWeight([]byte{0, 'A', 0, ' ', 0, ' '}, pad)
	if string(a.Bytes) != string(b.Bytes) {
		t.Errorf("%v and %v differ", a, b)
	}
	if c := k.WithWeight([]byte{0, 'A', 0, ' '}, nil); string(c.Bytes) == string(a.Bytes) {
		t.Error("a collation without pad lost it")
	}
	if d := k.WithWeight(pad, pad); len(d.Bytes) != 0 {
		t.Errorf("a space alone is %v, want nothing", d.Bytes)
	}
}

// TestRuleTextIsGolden: texts are stored beside the data and compared.
func TestRuleTextIsGolden(t *testing.T) {
	for want, r := range map[string]Rule{
		`jump-xxh64-1 key="id" type=int over=0,1,2`:                         mustRule(t, "ID", KeyTypeInt, "", []Shard{2, 0, 1}),
		`jump-xxh64-1 key="a \"b" type=string collation=utf8mb4_bin over=0`: mustRule(t, `a "b`, KeyTypeString, "UTF8MB4_bin", []Shard{0}),
		`jump-xxh64-1 key="k" type=bytes over=3`:                            mustRule(t, "k", KeyTypeBytes, "", []Shard{3}),
		`shard=4`:                                                           OnShard(4),
		`copies=all over=0,1,2`:                                             mustCopies(t, []Shard{1, 2, 0}),
		`invalid`:                                                           {},
	} {
		if r.Text() != want {
			t.Errorf("text %q, want %q", r.Text(), want)
		}
	}
	if got := OnShard(4).Fingerprint(); got != "53d537c8eaf1ea9a45a5ad380070c858" {
		t.Errorf("fingerprint %s", got)
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	for name, make := range map[string]func() (Rule, error){
		"no copies":          func() (Rule, error) { return Copies(nil) },
		"a copy twice":       func() (Rule, error) { return Copies([]Shard{1, 1}) },
		"no column":          func() (Rule, error) { return Sharded("", KeyTypeInt, "", []Shard{0}) },
		"no type":            func() (Rule, error) { return Sharded("a", KeyTypeInvalid, "", []Shard{0}) },
		"no shards":          func() (Rule, error) { return Sharded("a", KeyTypeInt, "", nil) },
		"shard twice":        func() (Rule, error) { return Sharded("a", KeyTypeInt, "", []Shard{1, 0, 1}) },
		"text, no collation": func() (Rule, error) { return Sharded("a", KeyTypeString, "", []Shard{0}) },
		"int, collation":     func() (Rule, error) { return Sharded("a", KeyTypeInt, "utf8mb4_bin", []Shard{0}) },
	} {
		if _, err := make(); !errors.Is(err, ErrRule) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMapChecksWhatItIsMadeOf(t *testing.T) {
	one, nine := Shard(1), Shard(9)
	for name, c := range map[string]MapConfig{
		"no shards":     {},
		"shard twice":   {Shards: []Shard{0, 0}},
		"key, copies":   {Shards: []Shard{0, 1}, Tables: map[string]Placement{"t": {Key: "a", Copies: true}}},
		"neither":       {Shards: []Shard{0, 1}, Tables: map[string]Placement{"t": {}}},
		"both":          {Shards: []Shard{0, 1}, Tables: map[string]Placement{"t": {Key: "a", Shard: &one}}},
		"unknown shard": {Shards: []Shard{0, 1}, Tables: map[string]Placement{"t": {Shard: &nine}}},
		"bad default":   {Shards: []Shard{0, 1}, Default: Default{Kind: DefaultShard, Shard: 9}},
	} {
		if _, err := NewMap(c); !errors.Is(err, ErrMap) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLookupPrefersTheSchemasEntry(t *testing.T) {
	one := Shard(1)
	config := MapConfig{Shards: []Shard{3, 1}, Tables: map[string]Placement{"t": {Key: "a"}, "app.t": {Shard: &one}}}
	m, err := NewMap(config)
	if err != nil {
		t.Fatal(err)
	}
	delete(config.Tables, "app.t") // the map has its own copy
	if p, ok := m.Lookup("app", "t"); !ok || p.Shard == nil {
		t.Errorf("app.t: %+v %v", p, ok)
	}
	if p, ok := m.Lookup("other", "t"); !ok || p.Key != "a" {
		t.Errorf("other.t: %+v %v", p, ok)
	}
	if _, ok := m.Lookup("app", "u"); ok {
		t.Error("app.u is configured")
	}
	if m.First() != 1 || len(m.Shards()) != 2 {
		t.Errorf("shards %v", m.Shards())
	}
	if m.Default().Kind != DefaultRefuse {
		t.Error("the zero default does not refuse")
	}
}

func TestKeyTypesHaveNames(t *testing.T) {
	for kt, want := range map[KeyType]string{KeyTypeInt: "int", KeyTypeBytes: "bytes", KeyTypeString: "string", KeyTypeInvalid: "invalid"} {
		if kt.String() != want || strings.Contains(want, " ") {
			t.Errorf("%d is %q", kt, kt)
		}
	}
}
