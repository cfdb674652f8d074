package merge

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// randomDecimal is a number's text, as servers write it and otherwise.
func randomDecimal(r *rand.Rand) string {
	var s strings.Builder
	if r.IntN(2) == 0 {
		s.WriteByte('-')
	}
	for range r.IntN(40) {
		s.WriteByte('0' + byte(r.IntN(10)*r.IntN(2)))
	}
	s.WriteByte('0' + byte(r.IntN(10)))
	if n := r.IntN(31); n > 0 {
		s.WriteByte('.')
		for range n {
			s.WriteByte('0' + byte(r.IntN(10)*r.IntN(2)))
		}
	}
	return s.String()
}

func rat(t *testing.T, s string) *big.Rat {
	t.Helper()
	x, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatal(s)
	}
	return x
}

func TestDecimalsCalculateAsRationals(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20000 {
		a, b := randomDecimal(r), randomDecimal(r)
		var x, y decimal
		if !x.parse([]byte(a)) || !y.parse([]byte(b)) {
			t.Fatalf("%s, %s", a, b)
		}
		ra, rb := rat(t, a), rat(t, b)
		if got := x.compare(&y); got != ra.Cmp(rb) {
			t.Fatalf("%s <> %s is %d", a, b, got)
		}
		if got := rat(t, string(x.append(nil))); got.Cmp(ra) != 0 {
			t.Fatalf("%s became %s", a, x.append(nil))
		}
		ka, okA := digitsKey([]byte(a), 0)
		kb, okB := digitsKey([]byte(b), 0)
		if got := compareKeys(kindExact, nil, []byte(a), &ka, []byte(b), &kb); !okA || !okB || got != ra.Cmp(rb) {
			t.Fatalf("keys of %s <> %s: %d", a, b, got)
		}
		sum := x
		if !sum.add(&y) {
			t.Fatalf("%s + %s", a, b)
		}
		if got := rat(t, string(sum.append(nil))); got.Cmp(new(big.Rat).Add(ra, rb)) != 0 {
			t.Fatalf("%s + %s = %s", a, b, sum.append(nil))
		}
		n := 1 + r.Uint64N(1<<r.IntN(63)+1)
		scale := r.IntN(37)
		quotient := x
		quotient.divide(n)
		if !quotient.round(scale) {
			t.Fatalf("%s / %d", a, n)
		}
		want := new(big.Rat).Quo(ra, new(big.Rat).SetInt(new(big.Int).SetUint64(n)))
		if got := rat(t, string(quotient.append(nil))); got.Cmp(rat(t, want.FloatString(scale))) != 0 {
			t.Fatalf("%s / %d = %s, want %s", a, n, quotient.append(nil), want.FloatString(scale))
		}
	}
}

func TestTextsThatAreNoDecimals(t *testing.T) {
	for _, s := range []string{"", "-", ".", "-.", "1.2.3", "1e5", " 1", "1 ", "0x1", "--1", "1-", strings.Repeat("9", 91), "0." + strings.Repeat("0", maxScale+1)} {
		var d decimal
		if d.parse([]byte(s)) {
			t.Errorf("%q is taken for %s", s, d.append(nil))
		}
	}
	for s, want := range map[string]string{"-0": "0", "-0.00": "0.00", "007": "7", ".5": "0.5", "5.": "5", strings.Repeat("9", 90): strings.Repeat("9", 90)} {
		var d decimal
		if !d.parse([]byte(s)) || string(d.append(nil)) != want {
			t.Errorf("%q is %s", s, d.append(nil))
		}
	}
	var d, e decimal
	if !d.parse(bytes.Repeat([]byte("9"), 90)) || !e.parse([]byte("1")) || d.add(&e) {
		t.Error("a sum of 91 digits")
	}
}
