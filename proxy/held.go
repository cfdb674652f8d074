package proxy

import (
	"context"
	"slices"

	"xaproxy/proxy/merge"
	"xaproxy/proxy/plan"
)

// heldRows is a result in memory: a rowSink.
type heldRows struct {
	maxRows, maxBytes int

	defs  [][]byte // of the visible columns
	rows  [][]byte // in the protocol of the statement
	bytes int
	clock *clock // that the parts have had, if any
}

// columns implements rowSink.
func (h *heldRows) columns(defs [][]byte) error {
	for _, d := range defs {
		h.defs = append(h.defs, slices.Clone(d))
	}
	return nil
}

// row implements rowSink.
func (h *heldRows) row(payload []byte) error {
	h.bytes += len(payload)
	switch {
	case len(h.rows) >= h.maxRows:
		return &merge.LimitError{Rows: true}
	case h.bytes > h.maxBytes:
		return &merge.LimitError{}
	}
	h.rows = append(h.rows, slices.Clone(payload))
	return nil
}

// fetch executes a SELECT of one or several parts and keeps its rows, within
// limits.rows_buffered and limits.bytes_buffered. The client is told nothing: for
// what the session reads for a statement of the client's, as the keys of rows
// that are then written (plan.Locking takes the locks shard by shard, in ascending
// order). k is a call of its own, with the plan of the SELECT and its text; with
// k.stmt nil the rows are of the text protocol (wire.ParseTextRow), else of the
// binary one. Warnings are dropped, and SHOW WARNINGS is as before. After an error
// within a transaction this goes on without the statement, or has been rolled back
// everywhere: then s.tx is nil.
func (s *session) fetch(ctx context.Context, k *call, t plan.Targets) (*heldRows, error) {
	held := &heldRows{maxRows: s.e.limits().RowsBuffered, maxBytes: s.e.limits().BytesBuffered}
	told := s.diag
	out, err := s.gather(ctx, k, t, held)
	s.diag = told
	if out != nil {
		held.clock = out.clock
	}
	return held, err
}
