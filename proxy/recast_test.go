package proxy

import (
	"bytes"
	"errors"
	"testing"

	"xaproxy/proxy/wire"
)

// TestIntegersGetTheWidthThatWasTold: one shard's plan makes INT of a calculated value, another's BIGINT.
func TestIntegersGetTheWidthThatWasTold(t *testing.T) {
	def := func(kind wire.FieldType, flags uint16) []byte {
		return wire.AppendColumn(nil, wire.Column{Name: "n", Type: kind, Flags: flags})
	}
	row := func(kind wire.FieldType, n int64, text string) []byte {
		p := wire.AppendBinaryHead(nil, 3)
		wire.SetBinaryNull(p, 1)
		p = wire.AppendBinaryInt(p, kind, uint64(n))
		return wire.AppendBinary(p, wire.TypeVarString, []byte(text))
	}
	columns := func(kind wire.FieldType, flags uint16) [][]byte {
		return [][]byte{def(kind, flags), def(kind, flags), def(wire.TypeVarString, 0)}
	}
	for _, n := range []int64{0, 7, -7, 1<<31 - 1, -1 << 31} {
		for _, kinds := range [][2]wire.FieldType{{wire.TypeLong, wire.TypeLongLong}, {wire.TypeLongLong, wire.TypeLong}} {
			r, err := newRecast(columns(kinds[0], 0), columns(kinds[1], 0))
			if err != nil || r == nil {
				t.Fatal(r, err)
			}
			got, err := r.row(row(kinds[1], n, "x"))
			if want := row(kinds[0], n, "x"); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d from %d to %d: % x, want % x (%v)", n, kinds[1], kinds[0], got, want, err)
			}
		}
	}
	r, err := newRecast(columns(wire.TypeLong, flagUnsigned), columns(wire.TypeLongLong, flagUnsigned))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.row(row(wire.TypeLongLong, 1<<32-1, "x")); err != nil || !bytes.Equal(got, row(wire.TypeLong, -1, "x")) {
		t.Errorf("% x, %v", got, err)
	}
	if _, err := r.row(row(wire.TypeLongLong, 1<<32, "x")); !errors.Is(err, errTooWide) {
		t.Errorf("a value that does not fit: %v", err)
	}
	if r, err := newRecast(columns(wire.TypeLong, 0), columns(wire.TypeLong, 0)); err != nil || r != nil {
		t.Errorf("the same widths: %v %v", r, err)
	}
}
