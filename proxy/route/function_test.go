package route

import (
	"bufio"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestPlacesArePublished: where keys live, by the calculation of another
// program (testdata/places.py). A change here loses rows.
func TestPlacesArePublished(t *testing.T) {
	file, err := os.Open("testdata/places.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	seen := map[FunctionKind]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		part := strings.Split(lines.Text(), "\t")
		r, err := ParseRule(part[0])
		if err != nil {
			t.Fatal(err)
		}
		seen[r.Function()]++
		k := publishedKey(t, r, part[1])
		got, ok := r.Place(k)
		switch {
		case part[2] == "-":
			if ok || !r.Nowhere(k) {
				t.Errorf("%s places %s on %d (%v), want nowhere", part[0], part[1], got, ok)
			}
		case !ok || got.String() != part[2] || r.Nowhere(k):
			t.Errorf("%s places %s on %d (%v), want %s", part[0], part[1], got, ok, part[2])
		}
	}
	for f := FunctionJump; f <= FunctionList; f++ {
		if seen[f] < 10 {
			t.Errorf("%s has %d published places", f, seen[f])
		}
	}
}

func publishedKey(t *testing.T, r Rule, text string) Key {
	t.Helper()
	if digits, ok := strings.CutPrefix(text, "x"); ok {
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		return Key{Kind: r.KeyType().kind(), Bytes: b}
	}
	if r.KeyType() == KeyTypeUint {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return Key{Kind: KeyInt, Int: int64(n)}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return Key{Kind: KeyInt, Int: n}
}

func intKeys(at ...int64) []Value {
	var values []Value
	for i, n := range at {
		values = append(values, Value{Text: strconv.FormatInt(n, 10), Key: Key{Kind: KeyInt, Int: n}, Shard: Shard(i)})
	}
	return values
}

// TestFunctionsWriteWhatTheyRead: parameters in another order are the same rule,
// and its text is the rule.
func TestFunctionsWriteWhatTheyRead(t *testing.T) {
	two := Shard(2)
	for want, f := range map[string]Function{
		`ring-xxh64-1 key="id" type=int over=0:1,1:3 points=512`:                     {Kind: FunctionRing, Shards: []Shard{1, 0}, Weights: map[Shard]int{1: 3}},
		`ring-xxh64-1 key="id" type=int over=1:1 points=7`:                           {Kind: FunctionRing, Shards: []Shard{1}, Points: 7},
		`slots-xxh64-1 key="id" type=int slots=1024 at=0-340:0,341-681:1,682-1023:2`: {Kind: FunctionSlots, Shards: []Shard{2, 0, 1}},
		`slots-xxh64-1 key="id" type=int slots=8 at=0-4:1,5:0,6-7:1`: {Kind: FunctionSlots, Slots: 8,
			Ranges: []SlotRange{{6, 7, 1}, {0, 2, 1}, {3, 4, 1}, {5, 5, 0}}},
		`mod-1 key="id" type=int over=0,1,2`:              {Kind: FunctionMod, Shards: []Shard{2, 1, 0}},
		`range-1 key="id" type=int below=-5:0,10:1`:       {Kind: FunctionRange, Values: intKeys(-5, 10)},
		`range-1 key="id" type=int below=-5:0,10:1,max:2`: {Kind: FunctionRange, Values: intKeys(-5, 10), Rest: &two},
		`list-1 key="id" type=int at=-5:1,10:0 default=2`: {Kind: FunctionList, Values: intKeys(10, -5), Rest: &two},
		`jump-xxh64-1 key="id" type=int over=0,5`:         {Shards: []Shard{5, 0}},
	} {
		r, err := Spread("ID", KeyTypeInt, "", f)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if r.Text() != want {
			t.Errorf("text %q, want %q", r.Text(), want)
		}
		again, err := ParseRule(want)
		if err != nil || again.Text() != want || !again.Together(r) || again.Fingerprint() != r.Fingerprint() {
			t.Errorf("%s is read as %s: %v", want, again.Text(), err)
		}
	}
}

func TestFunctionsThatCannotBe(t *testing.T) {
	bytesKey := []Value{{Text: "a", Key: Key{Kind: KeyBytes, Bytes: []byte("a")}}}
	for name, c := range map[string]struct {
		t KeyType
		f Function
	}{
		"no shards":             {KeyTypeInt, Function{Kind: FunctionMod}},
		"mod of text":           {KeyTypeBytes, Function{Kind: FunctionMod, Shards: []Shard{0}}},
		"range of decimals":     {KeyTypeDecimal, Function{Kind: FunctionRange, Values: bytesKey}},
		"range of times":        {KeyTypeTime, Function{Kind: FunctionRange, Values: bytesKey}},
		"bounds fall":           {KeyTypeInt, Function{Kind: FunctionRange, Values: intKeys(5, 4)}},
		"bound twice":           {KeyTypeInt, Function{Kind: FunctionRange, Values: intKeys(5, 5)}},
		"no bounds":             {KeyTypeInt, Function{Kind: FunctionRange}},
		"value twice":           {KeyTypeInt, Function{Kind: FunctionList, Values: intKeys(5, 5)}},
		"value of another type": {KeyTypeInt, Function{Kind: FunctionList, Values: bytesKey}},
		"weight 0":              {KeyTypeInt, Function{Kind: FunctionRing, Shards: []Shard{0}, Weights: map[Shard]int{0: 0}}},
		"weight without shard":  {KeyTypeInt, Function{Kind: FunctionRing, Shards: []Shard{0}, Weights: map[Shard]int{1: 1}}},
		"points":                {KeyTypeInt, Function{Kind: FunctionRing, Shards: []Shard{0}, Points: -1}},
		"too many points":       {KeyTypeInt, Function{Kind: FunctionRing, Shards: []Shard{0, 1}, Points: 1 << 18}},
		"huge product":          {KeyTypeInt, Function{Kind: FunctionRing, Shards: []Shard{0}, Points: 1 << 18, Weights: map[Shard]int{0: 1 << 62}}},
		"slots":                 {KeyTypeInt, Function{Kind: FunctionSlots, Slots: 1 << 17, Shards: []Shard{0}}},
		"gap":                   {KeyTypeInt, Function{Kind: FunctionSlots, Slots: 4, Ranges: []SlotRange{{0, 1, 0}, {3, 3, 0}}}},
		"end is missing":        {KeyTypeInt, Function{Kind: FunctionSlots, Slots: 4, Ranges: []SlotRange{{0, 1, 0}}}},
		"overlap":               {KeyTypeInt, Function{Kind: FunctionSlots, Slots: 4, Ranges: []SlotRange{{0, 2, 0}, {2, 3, 1}}}},
		"beyond":                {KeyTypeInt, Function{Kind: FunctionSlots, Slots: 4, Ranges: []SlotRange{{0, 4, 0}}}},
		"both":                  {KeyTypeInt, Function{Kind: FunctionSlots, Slots: 4, Shards: []Shard{0}, Ranges: []SlotRange{{0, 3, 0}}}},
	} {
		if r, err := Spread("id", c.t, "", c.f); !errors.Is(err, ErrRule) {
			t.Errorf("%s: %s, %v", name, r.Text(), err)
		}
	}
	var many []Value
	for i := range int64(10000) {
		many = append(many, Value{Key: Key{Kind: KeyInt, Int: i}})
	}
	if _, err := Spread("id", KeyTypeInt, "", Function{Kind: FunctionList, Values: many}); !errors.Is(err, ErrRule) {
		t.Errorf("a text that the shards cannot store: %v", err)
	}
}

func TestTextsThatAreNoRules(t *testing.T) {
	for _, text := range []string{"", "invalid", "shard=", "shard=70000", "shard=01", "copies=all", "copies=all over=", "copies=all over=1,0", "copies=two over=0",
		"jump-xxh64-2 key=\"id\" type=int over=0", "jump-xxh64-1 key=id type=int over=0", "jump-xxh64-1 key=\"id\" type=int over=1,0", "jump-xxh64-1 key=\"id\" type=int over=0,0",
		"jump-xxh64-1 key=\"id\" type=int over=0 ", "jump-xxh64-1 key=\"id\" type=int over=0 x=1", "jump-xxh64-1 key=\"ID\" type=int over=0", "jump-xxh64-1 key=\"id\" type=json over=0",
		"jump-xxh64-1 key=\"id\" type=string over=0", "jump-xxh64-1 key=\"id\" type=int", "mod-1 key=\"id\" type=bytes over=0", "ring-xxh64-1 key=\"id\" type=int over=0 points=2",
		"ring-xxh64-1 key=\"id\" type=int over=0:1 points=0", "slots-xxh64-1 key=\"id\" type=int slots=4 at=0-1:0", "slots-xxh64-1 key=\"id\" type=int slots=4 at=0-1:0,2-3:0",
		"range-1 key=\"id\" type=int below=5:0,4:1", "range-1 key=\"id\" type=int below=max:1,5:0", "range-1 key=\"id\" type=int below=5", "range-1 key=\"id\" type=bytes below=61:0",
		"list-1 key=\"id\" type=int at=5:0,4:1", "list-1 key=\"id\" type=int at=a:0", "list-1 key=\"id\" type=int at=05:0", "list-1 key=\"id\" type=bytes at=xAB:0", "jump-xxh64-1 key=\"id",
	} {
		if r, err := ParseRule(text); !errors.Is(err, ErrRule) {
			t.Errorf("%q is read as %s: %v", text, r.Text(), err)
		}
	}
}

// FuzzParseRule: no text panics, and what is read is written alike.
func FuzzParseRule(f *testing.F) {
	for _, text := range []string{"shard=4", "copies=all over=0,1", `jump-xxh64-1 key="a \"b" type=string collation=utf8mb4_bin over=0`,
		`ring-xxh64-1 key="id" type=int over=0:1,1:3 points=2`, `slots-xxh64-1 key="id" type=int slots=4 at=0-2:1,3:0`, `mod-1 key="id" type=uint over=0,1`,
		`range-1 key="id" type=datetime below=2024-07-01T00:00:00:0,max:1`, `list-1 key="id" type=bytes at=x6575:0 default=2`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err == nil && r.Text() != text {
			t.Errorf("%q is written %q", text, r.Text())
		}
	})
}

// TestRingGrowsByItsShare: a shard that is added takes keys from all, and no
// key moves between the others.
func TestRingGrowsByItsShare(t *testing.T) {
	two := mustSpread(t, Function{Kind: FunctionRing, Shards: []Shard{0, 1}})
	three := mustSpread(t, Function{Kind: FunctionRing, Shards: []Shard{0, 1, 2}, Weights: map[Shard]int{2: 2}})
	const keys = 20000
	count := map[Shard]int{}
	for i := range int64(keys) {
		before, _ := two.Place(Key{Kind: KeyInt, Int: i})
		after, _ := three.Place(Key{Kind: KeyInt, Int: i})
		count[after]++
		if before != after && after != 2 {
			t.Fatalf("key %d moved from %d to %d", i, before, after)
		}
	}
	for s, want := range map[Shard]float64{0: keys / 4, 1: keys / 4, 2: keys / 2} {
		if got := float64(count[s]); got < want*0.85 || got > want*1.15 {
			t.Errorf("shard %d has %.0f keys, want about %.0f", s, got, want)
		}
	}
}

func mustSpread(t *testing.T, f Function) Rule {
	t.Helper()
	r, err := Spread("id", KeyTypeInt, "", f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
