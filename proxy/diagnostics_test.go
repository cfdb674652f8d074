package proxy

import "testing"

func TestRowNumbersOfWarningsAreTheStatements(t *testing.T) {
	for _, c := range []struct {
		message string
		origin  []int
		want    string
	}{
		{"Data truncated for column 's' at row 2", []int{3, 7}, "Data truncated for column 's' at row 7"},
		{"Incorrect integer value: 'x at row 1' for column 'v' at row 1", []int{4}, "Incorrect integer value: 'x at row 1' for column 'v' at row 4"},
		{"Data truncated for column 's' at row 2", nil, "Data truncated for column 's' at row 2"},
		{"Data truncated for column 's' at row 9", []int{3}, "Data truncated for column 's' at row 9"},
		{"Duplicate entry '1' for key 'PRIMARY'", []int{3}, "Duplicate entry '1' for key 'PRIMARY'"},
	} {
		if got := atRow(c.message, c.origin); got != c.want {
			t.Errorf("%q: %q, want %q", c.message, got, c.want)
		}
	}
}
