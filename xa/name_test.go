package xa_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"xaproxy/xa"
)

func globalNames() []xa.GlobalName {
	names := []xa.GlobalName{
		{},
		{
			Cluster: 1<<40 - 1, Node: xa.MaxNode, Incarnation: xa.MaxIncarnation, Sequence: xa.MaxSequence,
			Home:   xa.SessionID{Shard: xa.MaxShard, Conn: math.MaxUint32, Run: math.MaxUint32},
			Random: [10]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
		},
		{
			Cluster: 0x123456789a, Node: 7, Incarnation: 3, Sequence: 42,
			Home:   xa.SessionID{Shard: 2, Conn: 1234, Run: 1800000000},
			Random: [10]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		},
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := xa.GlobalName{
			Cluster: xa.ClusterID(r.Uint64N(1 << 40)), Node: r.Uint32N(xa.MaxNode + 1),
			Incarnation: r.Uint32N(xa.MaxIncarnation + 1), Sequence: r.Uint64N(xa.MaxSequence + 1),
			Home: xa.SessionID{Shard: xa.ShardID(r.UintN(1 << 15)), Conn: r.Uint32(), Run: r.Uint32()},
		}
		for i := range n.Random {
			n.Random[i] = byte(r.Uint32())
		}
		names = append(names, n)
	}
	return names
}

func TestGlobalNameSurvivesEncoding(t *testing.T) {
	for _, n := range globalNames() {
		id, err := n.ID()
		if err != nil {
			t.Fatal(err)
		}
		if len(id) != xa.GlobalIDLen || len(id) > 64 {
			t.Errorf("%q has %d bytes", id, len(id))
		}
		for _, c := range []byte(id) {
			if c < '!' || c > '~' {
				t.Errorf("%q is not printable", id)
			}
		}
		back, err := id.Parse()
		if err != nil || back != n {
			t.Errorf("%+v came back as %+v, %v", n, back, err)
		}
	}
}

func TestGlobalIDIsStable(t *testing.T) {
	id, err := globalNames()[2].ID()
	if err != nil {
		t.Fatal(err)
	}
	// Prepared branches of older versions carry such names: this never changes.
	const want = "x1h28q5cu4q0007000030000001a002000016i1lkjkg0041061050o3gg28a"
	if string(id) != want {
		t.Errorf("%s, want %s", id, want)
	}
}

func TestQualifierSurvivesEncoding(t *testing.T) {
	for _, q := range []xa.Qualifier{
		{},
		{Session: xa.SessionID{Shard: xa.MaxShard, Conn: math.MaxUint32, Run: math.MaxUint32}, Ordinal: 1023},
		{Session: xa.SessionID{Shard: 1, Conn: 99, Run: 1800000000}, Ordinal: 2},
	} {
		s, err := q.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(s) != xa.BranchLen || len(s) > 64 {
			t.Errorf("%q has %d bytes", s, len(s))
		}
		back, err := xa.ParseQualifier(s)
		if err != nil || back != q {
			t.Errorf("%+v came back as %+v, %v", q, back, err)
		}
	}
}

func TestNoNameIsThePrefixOfAnother(t *testing.T) {
	var ids []string
	for _, n := range globalNames() {
		id, err := n.ID()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(id))
	}
	for i, a := range ids {
		for j, b := range ids {
			if i != j && strings.HasPrefix(b, a) {
				t.Errorf("%q is a prefix of %q", a, b)
			}
		}
	}
	// A name that is cut or continued is no name at all.
	for n := range len(ids[0]) {
		if _, err := xa.GlobalID(ids[0][:n]).Parse(); !errors.Is(err, xa.ErrForeign) {
			t.Errorf("%q: %v", ids[0][:n], err)
		}
	}
	if _, err := xa.GlobalID(ids[0] + "0").Parse(); !errors.Is(err, xa.ErrForeign) {
		t.Error("a longer name is accepted:", err)
	}
}

func TestNamesThatDoNotFitAreRefused(t *testing.T) {
	for _, n := range []xa.GlobalName{
		{Cluster: 1 << 40},
		{Node: xa.MaxNode + 1},
		{Incarnation: xa.MaxIncarnation + 1},
		{Sequence: xa.MaxSequence + 1},
		{Home: xa.SessionID{Shard: xa.MaxShard + 1}},
	} {
		if id, err := n.ID(); err == nil {
			t.Errorf("%+v became %q", n, id)
		}
	}
	for _, q := range []xa.Qualifier{{Session: xa.SessionID{Shard: xa.MaxShard + 1}}, {Ordinal: 1024}} {
		if s, err := q.Encode(); err == nil {
			t.Errorf("%+v became %q", q, s)
		}
	}
}

func TestForeignNamesAreRefused(t *testing.T) {
	id, err := globalNames()[2].ID()
	if err != nil {
		t.Fatal(err)
	}
	good := string(id)
	for _, s := range []string{
		"",
		"some other manager's transaction",
		strings.Repeat("0", xa.GlobalIDLen),
		"x2h" + good[3:],               // a later version
		"x1w" + good[3:],               // another register
		strings.ToUpper(good),          // the alphabet is lower case
		good[:20] + "w" + good[21:],    // outside the alphabet
		good[:20] + "\x00" + good[21:], // not printable
		good[:31] + "8" + good[32:],    // more bits than a connection id has
		good[:38] + "v" + good[39:],    // more bits than a server run has
		good[:60] + "é",                // 62 bytes
	} {
		if n, err := xa.GlobalID(s).Parse(); !errors.Is(err, xa.ErrForeign) || n != (xa.GlobalName{}) {
			t.Errorf("%q: %+v, %v", s, n, err)
		}
	}
	q, err := xa.Qualifier{Ordinal: 1}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "b1", q[:18], q + "0", strings.ToUpper("v" + q[1:]), q[:5] + "v" + q[6:], q[:3] + "-" + q[4:]} {
		if n, err := xa.ParseQualifier(s); !errors.Is(err, xa.ErrForeign) || n != (xa.Qualifier{}) {
			t.Errorf("%q: %+v, %v", s, n, err)
		}
	}
}

func TestRunsWithinTwoSecondsAreTheSame(t *testing.T) {
	for _, c := range []struct {
		a, b uint32
		want bool
	}{{100, 100, true}, {100, 102, true}, {102, 100, true}, {100, 103, false}, {103, 100, false}, {0, math.MaxUint32, false}} {
		if got := xa.SameRun(c.a, c.b); got != c.want {
			t.Errorf("%d and %d: %v", c.a, c.b, got)
		}
	}
}

// FuzzParse: whatever a server lists, parsing does not panic, and what it
// accepts is exactly what encoding produces.
func FuzzParse(f *testing.F) {
	for _, n := range globalNames()[:3] {
		id, err := n.ID()
		if err != nil {
			f.Fatal(err)
		}
		q, err := xa.Qualifier{Session: n.Home, Ordinal: 1}.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(id), q)
		f.Add(string(id[:30]), q[:10])
	}
	f.Add("", "")
	f.Add(strings.Repeat("v", xa.GlobalIDLen), strings.Repeat("v", xa.BranchLen))
	f.Fuzz(func(t *testing.T, g, b string) {
		if n, err := xa.GlobalID(g).Parse(); err == nil {
			if id, err := n.ID(); err != nil || string(id) != g {
				t.Errorf("%q became %q, %v", g, id, err)
			}
		} else if !errors.Is(err, xa.ErrForeign) {
			t.Error(err)
		}
		if q, err := xa.ParseQualifier(b); err == nil {
			if s, err := q.Encode(); err != nil || s != b {
				t.Errorf("%q became %q, %v", b, s, err)
			}
		} else if !errors.Is(err, xa.ErrForeign) {
			t.Error(err)
		}
	})
}
