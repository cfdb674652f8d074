package proxy

import (
	"testing"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

func TestTypesOfParameters(t *testing.T) {
	integer := wire.Param{Type: wire.TypeLongLong}
	unsigned := wire.Param{Type: wire.TypeLongLong, Unsigned: true}
	text := wire.Param{Type: wire.TypeVarString}
	null := wire.Param{Type: wire.TypeNull, Null: true}
	var p paramTypes
	first := p.note([]wire.Param{integer, text})
	if again := p.note([]wire.Param{null, null}); again != first {
		t.Error("NULL makes other types")
	}
	for _, other := range [][]wire.Param{{text, text}, {unsigned, text}, {integer, integer}} {
		if p.note(other) == first {
			t.Errorf("%v has the types of an integer and a string", other)
		}
		if p.note([]wire.Param{integer, text}) != first {
			t.Error("the same types are others")
		}
	}
	params := []wire.Param{integer, text}
	if n := testing.AllocsPerRun(100, func() { p.note(params) }); n != 0 {
		t.Errorf("%v allocations for the types of before", n)
	}
	k := &call{params: params, types: first}
	var q paramTypes
	if got, want := k.typesOf(plan.Part{Params: []int{1, 0, 2}}), q.note([]wire.Param{text, integer, unsigned}); got != want {
		t.Errorf("the types of a part are %q, want %q", got, want)
	}
	var fresh paramTypes
	if fresh.note([]wire.Param{null}) == "" {
		t.Error("a statement that was executed with NULL only counts as not executed")
	}
}

func TestNumbersThatAreNoIntegers(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "abc": false, "1": false, "123456789012345678": false, "1.5": false, "12x": false, "2024-01-01": false, "-": false, "-x": false,
		"-1": true, " -1": true, "+1": true, "-.5": true, "1234567890123456789": true, "1e30": true, "1E1": true, "\t-7": true,
		"1234567890123456789x": true, "x1e30": false,
	} {
		if got := converts([]wire.Param{{Type: wire.TypeVarString, Value: []byte(text)}}); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
