package proxy

import (
	"bytes"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// paramTypes remembers the types of a prepared statement's parameters: two bytes
// for each, of the last value that was not NULL. NULL has no type of its own: a
// statement whose values are NULL now and then is the same one.
type paramTypes struct {
	now  []byte
	text string // now, as it is
}

// note takes the types of an execution and returns those of the statement.
func (t *paramTypes) note(params []wire.Param) string {
	if len(t.now) != 2*len(params) {
		t.now = make([]byte, 2*len(params))
	}
	changed := t.text == ""
	for i, p := range params {
		if p.Null {
			continue
		}
		kind, sign := byte(p.Type), byte(1)
		if p.Unsigned {
			sign = 2
		}
		changed = changed || t.now[2*i] != kind || t.now[2*i+1] != sign
		t.now[2*i], t.now[2*i+1] = kind, sign
	}
	if changed {
		t.text = string(t.now)
	}
	return t.text
}

// typesOf are the types of the parameters that a part is sent with.
func (k *call) typesOf(part plan.Part) string {
	if part.Params == nil {
		return k.types
	}
	var out []byte
	for _, n := range part.Params {
		if n >= len(k.params) { // an id
			out = append(out, byte(wire.TypeLongLong), 2)
			continue
		}
		out = append(out, k.types[2*n:2*n+2]...)
	}
	return string(out)
}

// converts reports whether MySQL may change a statement's types because of a
// string's value: where it has made a parameter an integer, a number that is
// negative or too long makes it a decimal one.
func converts(params []wire.Param) bool {
	for _, p := range params {
		if !p.Null && p.Kind() == wire.ParamBytes && beyondInteger(p.Value) {
			return true
		}
	}
	return false
}

// beyondInteger reports whether a text is, or may be, a number other than an
// unsigned one of at most 18 digits.
func beyondInteger(s []byte) bool {
	const sure = 18
	s = bytes.TrimLeft(s, " \t\n\v\f\r")
	if len(s) == 0 {
		return false
	}
	if s[0] == '-' || s[0] == '+' {
		return len(s) > 1 && (s[1] == '.' || digit(s[1]))
	}
	digits := 0
	for _, c := range s {
		switch {
		case digit(c):
			digits++
		case c == '.':
		default:
			return digits > 0 && (c == 'e' || c == 'E') || digits > sure
		}
	}
	return digits > sure
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
