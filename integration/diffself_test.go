package integration

import (
	"strings"
	"testing"

	"xaproxy/proxy/wire"
)

// resultOf is a result set of text rows, fields separated by blanks.
func resultOf(columns string, rows ...string) *reply {
	a := &reply{}
	for _, name := range strings.Fields(columns) {
		a.columns = append(a.columns, wire.AppendColumn(nil, wire.Column{Name: name, Type: wire.TypeVarString}))
	}
	for _, r := range rows {
		var p []byte
		for _, f := range strings.Fields(r) {
			p = wire.AppendText(p, f)
		}
		a.rows = append(a.rows, p)
	}
	return a
}

// TestDifferentialTellsRightFromWrong: what one server may answer itself is right, everything else is wrong.
func TestDifferentialTellsRightFromWrong(t *testing.T) {
	c := &comparer{known: map[string]string{"ci\x00a": "A", "ci\x00A": "A", "ci\x00b": "B"}}
	whole := resultOf("n s rank", "1 a 1", "2 b 2", "3 b 2", "4 c 3")
	for name, test := range map[string]struct {
		st         statement
		want, got  *reply
		whole      *reply
		difference string
	}{
		"any order":          {statement{limit: -1}, resultOf("n", "1", "2"), resultOf("n", "2", "1"), nil, ""},
		"a row twice":        {statement{limit: -1}, resultOf("n", "1", "2"), resultOf("n", "1", "1"), nil, "rows"},
		"a row less":         {statement{limit: -1}, resultOf("n", "1", "2"), resultOf("n", "1"), nil, "rows"},
		"ties":               {statement{limit: -1}, resultOf("n s", "1 a", "2 b", "3 b", "4 c"), resultOf("n s", "1 a", "3 b", "2 b", "4 c"), whole, ""},
		"out of order":       {statement{limit: -1}, resultOf("n s", "1 a", "2 b", "3 b", "4 c"), resultOf("n s", "1 a", "2 b", "4 c", "3 b"), whole, "rows"},
		"a tie that is cut":  {statement{limit: 2}, resultOf("n s", "1 a", "2 b"), resultOf("n s", "1 a", "3 b"), whole, ""},
		"behind the limit":   {statement{limit: 2}, resultOf("n s", "1 a", "2 b"), resultOf("n s", "1 a", "4 c"), whole, "rows"},
		"one tie twice":      {statement{limit: 3}, resultOf("n s", "1 a", "2 b", "3 b"), resultOf("n s", "1 a", "2 b", "2 b"), whole, "rows"},
		"the wrong offset":   {statement{offset: 1, limit: 2}, resultOf("n s", "2 b", "3 b"), resultOf("n s", "1 a", "2 b"), whole, "rows"},
		"past the end":       {statement{offset: 9, limit: 2}, resultOf("n s"), resultOf("n s", "4 c"), whole, "rows"},
		"equal looks":        {statement{limit: -1, loose: map[int]string{0: "ci"}}, resultOf("s", "a"), resultOf("s", "A"), nil, ""},
		"other group":        {statement{limit: -1, loose: map[int]string{0: "ci"}}, resultOf("s", "a"), resultOf("s", "b"), nil, "rows"},
		"sums of floats":     {statement{limit: -1, loose: map[int]string{0: "float"}}, resultOf("s", "0.30000000000000004"), resultOf("s", "0.3"), nil, ""},
		"another sum":        {statement{limit: -1, loose: map[int]string{0: "float"}}, resultOf("s", "0.30001"), resultOf("s", "0.3"), nil, "rows"},
		"a column's name":    {statement{limit: -1}, resultOf("n"), resultOf("m"), nil, "columns"},
		"an error instead":   {statement{limit: -1}, resultOf("n"), &reply{err: &wire.ServerError{Number: 1062, State: "23000"}}, nil, "error"},
		"another error":      {statement{limit: -1}, &reply{err: &wire.ServerError{Number: 1048, State: "23000"}}, &reply{err: &wire.ServerError{Number: 1062, State: "23000"}}, nil, "error"},
		"affected rows":      {statement{limit: -1}, &reply{ok: wire.OK{Affected: 1}}, &reply{ok: wire.OK{Affected: 2}}, nil, "affected"},
		"the transaction":    {statement{limit: -1}, &reply{ok: wire.OK{Status: wire.StatusInTrans}}, &reply{}, nil, "status"},
		"warnings of a read": {statement{limit: -1}, &reply{columns: resultOf("n").columns, ok: wire.OK{Warnings: 1}}, resultOf("n"), nil, "warnings"},
	} {
		m, err := c.replies(test.st, test.want, test.got, test.whole)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if m == nil && test.difference != "" || m != nil && m.kind != test.difference {
			t.Errorf("%s: %v, want %q", name, m, test.difference)
		}
	}
}
