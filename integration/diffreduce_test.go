package integration

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// reducer makes a failing history small: it drops statements, then parts of those that are left.
type reducer struct {
	w      *diffWorld
	name   string // of the schema, whose tables exist
	kind   string // of the mismatch
	create []statement
	until  time.Time
	tries  int
	last   *mismatch
}

// reduce returns the smallest history found that fails the same way, and how it does.
func (h *history) reduce(failing statement, m *mismatch, patience time.Duration) ([]statement, *mismatch) {
	r := &reducer{w: h.w, name: h.name, kind: m.kind, until: time.Now().Add(patience), last: m}
	var body []statement
	for _, st := range h.done {
		if strings.HasPrefix(st.sql, "CREATE ") {
			r.create = append(r.create, st)
		} else {
			body = append(body, st)
		}
	}
	if len(body) == 0 || body[len(body)-1].lines() != failing.lines() {
		body = append(body, failing)
	}
	whole := append(slices.Clone(r.create), body...)
	if !r.fails(body) {
		return whole, differ(m.kind, "%s\n(not seen again when the same statements were repeated)", m.text)
	}
	for n := 2; n <= 2*len(body) && time.Now().Before(r.until); n *= 2 {
		body = r.without(body, max(1, len(body)/n))
	}
	body = r.shrink(body)
	body = r.without(body, 1)
	return append(r.needed(body), body...), r.last
}

// needed are the definitions of tables that statements name.
func (r *reducer) needed(body []statement) []statement {
	var text strings.Builder
	for _, st := range body {
		text.WriteString(" " + plain(st.sql) + " ")
	}
	return slices.DeleteFunc(slices.Clone(r.create), func(st statement) bool {
		return !strings.Contains(text.String(), " "+strings.Fields(st.sql)[2]+" ")
	})
}

// without drops stretches of n statements, the last statement excepted.
func (r *reducer) without(body []statement, n int) []statement {
	for at := len(body) - 1 - n; at > -n && time.Now().Before(r.until); at -= n {
		from := max(at, 0)
		to := min(at+n, len(body)-1)
		if to <= from {
			continue
		}
		if try := slices.Delete(slices.Clone(body), from, to); r.fails(try) {
			body = try
		}
	}
	return body
}

// shrink drops parts of statements, beginning with the last.
func (r *reducer) shrink(body []statement) []statement {
	for i := len(body) - 1; i >= 0; i-- {
		for again := true; again && body[i].shape != nil && time.Now().Before(r.until); {
			again = false
			for _, s := range body[i].shape.smaller() {
				try := slices.Clone(body)
				try[i] = s.render()
				if r.fails(try) {
					body, again = try, true
					break
				}
			}
		}
	}
	return body
}

// fails runs statements on empty tables and reports whether the last one is answered wrongly in the same way.
func (r *reducer) fails(body []statement) bool {
	r.tries++
	if err := r.w.empty(r.name); err != nil {
		return false
	}
	h := newHistory(r.w, r.name)
	for i, st := range body {
		refused, m, err := h.step(st)
		if err != nil {
			return false
		}
		if i == len(body)-1 && refused == "" && m != nil && m.kind == r.kind {
			r.last = m
			return true
		}
	}
	return false
}

// empty removes all rows of a schema, at the servers themselves, and begins new sessions.
func (w *diffWorld) empty(name string) error {
	if err := w.redial(name); err != nil {
		return err
	}
	for _, p := range append([]*peer{w.ref}, w.shards...) {
		a, err := must(p.query("SELECT table_name FROM information_schema.tables WHERE table_schema = '" + name + "'"))
		if err != nil {
			return err
		}
		for _, row := range a.rows {
			f, err := a.fields(row)
			if err != nil {
				return err
			}
			if _, err := must(p.query(fmt.Sprintf("DELETE FROM %s.%s", name, f[0]))); err != nil {
				return err
			}
		}
	}
	return nil
}

// regression is a failing history as a file of testdata/diff.
func regression(w *diffWorld, body []statement, m *mismatch) string {
	var b strings.Builder
	for _, line := range strings.Split(m.String(), "\n") {
		fmt.Fprintln(&b, "# "+strings.TrimSpace(line))
	}
	fmt.Fprintf(&b, "kinds: %s\nshards: %d\n", w.engine, w.count)
	if w.foundRows {
		b.WriteString("found_rows: true\n")
	}
	for _, st := range body {
		b.WriteString(st.lines())
	}
	return b.String()
}
