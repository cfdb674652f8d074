package proxy

import (
	"errors"
	"testing"

	"xaproxy/proxy/merge"
)

func TestHeldRowsAreBoundedCopies(t *testing.T) {
	h := &heldRows{maxRows: 2, maxBytes: 8}
	row := []byte("row")
	if err := errors.Join(h.columns([][]byte{row}), h.row(row), h.row(row)); err != nil {
		t.Fatal(err)
	}
	row[0] = 'x'
	if string(h.rows[0]) != "row" || string(h.defs[0]) != "row" {
		t.Errorf("%q, %q", h.rows, h.defs)
	}
	var full *merge.LimitError
	if err := h.row(nil); !errors.As(err, &full) || !full.Rows {
		t.Error(err)
	}
	h = &heldRows{maxRows: 2, maxBytes: 8}
	if err := h.row(make([]byte, 9)); !errors.As(err, &full) || full.Rows {
		t.Error(err)
	}
}
