package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/proxy/wire"
)

// twin executes the same statements through a proxy over two shards and at one
// server that holds everything.
type twin struct {
	t          *testing.T
	w          *world
	proxy, ref *bare
	reference  *launch.Server
}

// twins runs a test with a proxy and a reference server of each family.
func twins(t *testing.T, o worldOptions, test func(t *testing.T, tw *twin)) {
	t.Helper()
	twinsOf(t, []launch.Engine{launch.MySQL, launch.MariaDB1011}, o, test)
}

// twinsOf is twins with servers of given kinds.
func twinsOf(t *testing.T, engines []launch.Engine, o worldOptions, test func(t *testing.T, tw *twin)) {
	t.Helper()
	for _, e := range engines {
		t.Run(string(e), func(t *testing.T) {
			o := o
			o.engines = []launch.Engine{e, e}
			w := newWorld(t, o)
			ref := launchtest.Start(t, launch.Options{Engine: e, Settings: map[string]string{"innodb_lock_wait_timeout": "5"}})[0]
			tw := &twin{t: t, w: w, reference: ref}
			tw.reconnect(false)
			test(t, tw)
		})
	}
}

func (tw *twin) dial(addr, user, password string, foundRows bool) *bare {
	tw.t.Helper()
	caps := wire.ClientCapabilities
	if foundRows {
		caps |= wire.FoundRows
	}
	b := dialBareAs(tw.t, addr, user, password, caps)
	for _, q := range []string{"SET NAMES utf8mb4 COLLATE utf8mb4_general_ci", "SET time_zone='+00:00'",
		"SET sql_mode='STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"} {
		if a := b.query(q); a.err != nil {
			tw.t.Fatal(q, a.err)
		}
	}
	return b
}

// reconnect makes both sides' sessions anew.
func (tw *twin) reconnect(foundRows bool) {
	tw.t.Helper()
	tw.proxy = tw.dial(tw.w.addr, "app", "secret", foundRows)
	tw.ref = tw.dial(tw.reference.Addr(), tw.reference.User(), tw.reference.Password(), foundRows)
}

// told is what a client is told of a statement, rows in any order.
func told(b *bare, q string, args ...wire.Param) string {
	b.t.Helper()
	var a answer
	if len(args) == 0 {
		a = b.query(q)
	} else {
		a = b.execute(b.prepare(q).Statement, args...)
	}
	switch {
	case a.err != nil:
		return a.err.Error()
	case a.rows > 0 || strings.HasPrefix(q, "S"):
		slices.Sort(a.text)
		return fmt.Sprintf("%d rows: %s", a.rows, strings.Join(a.text, " | "))
	}
	return fmt.Sprintf("%d affected, id %d, %d warnings, %q", a.ok.Affected, int64(a.ok.InsertID), a.ok.Warnings, a.ok.Info)
}

func integer(n int) wire.Param {
	return wire.Param{Type: wire.TypeLong, Value: []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}}
}

func text(s string) wire.Param { return wire.Param{Type: wire.TypeVarString, Value: []byte(s)} }

// same executes statements on both sides and compares what is told, and the
// warnings behind it.
func (tw *twin) same(statements ...string) {
	tw.t.Helper()
	for _, q := range statements {
		tw.with(q)
	}
}

// with is same for one statement with parameters.
func (tw *twin) with(q string, args ...wire.Param) {
	tw.t.Helper()
	got, want := told(tw.proxy, q, args...), told(tw.ref, q, args...)
	word, _, _ := strings.Cut(q, " ")
	// MariaDB keeps the warnings over statements about the transaction, MySQL does not.
	if !slices.Contains([]string{"SHOW", "SET", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"}, word) {
		got += "\n    " + told(tw.proxy, "SHOW WARNINGS")
		want += "\n    " + told(tw.ref, "SHOW WARNINGS")
	}
	if got != want {
		tw.t.Errorf("%s %v\n  one server: %s\n  the proxy:  %s", q, args, want, got)
	}
}

// refused checks that the proxy refuses a statement, and why.
func (tw *twin) refused(q, why string) {
	tw.t.Helper()
	if got := told(tw.proxy, q); !strings.Contains(got, why) {
		tw.t.Errorf("%s\n  %s\n  does not say %q", q, got, why)
	}
}
