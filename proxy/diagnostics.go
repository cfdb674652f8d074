package proxy

import (
	"context"
	"strconv"
	"strings"

	"xaproxy/proxy/backend"
)

// diagnostics is what SHOW WARNINGS answers: of the last statement.
type diagnostics struct {
	// conn has the warnings; nil: they are in list.
	conn *backend.Conn
	list []condition
	own  []condition // of the proxy itself
}

type condition struct {
	level   string
	number  uint64
	message string
}

// maxConditions is servers' max_error_count.
const maxConditions = 1024

// clear begins a statement.
func (d *diagnostics) clear() { *d = diagnostics{} }

// note takes a statement's warnings, which stay at the connection for now.
func (d *diagnostics) note(conn *backend.Conn, out *relay) {
	if out.total.Warnings > 0 {
		d.conn = conn
	}
}

func (d *diagnostics) fail(e *Error) {
	*d = diagnostics{own: []condition{{level: "Error", number: uint64(e.Number), message: e.Message}}}
}

func (d *diagnostics) warn(e *Error) {
	d.own = append(d.own, condition{level: "Warning", number: uint64(e.Number), message: e.Message})
}

// count is how many warnings the proxy itself has.
func (d *diagnostics) count() uint16 { return uint16(min(len(d.own), maxConditions)) }

// fetch asks the connection that has the warnings.
func (d *diagnostics) fetch(ctx context.Context) {
	conn := d.conn
	d.conn = nil
	rows, err := selectRows(ctx, conn, "SHOW WARNINGS")
	if err != nil {
		return // the statement is over, its warnings are gone with the connection
	}
	for _, r := range rows {
		if len(r) < 3 || r[0] == nil || r[1] == nil || r[2] == nil {
			continue
		}
		n, err := strconv.ParseUint(*r[1], 10, 32)
		if err != nil {
			continue
		}
		d.list = append(d.list, condition{level: *r[0], number: n, message: *r[2]})
	}
}

// showDiagnostics answers SHOW [COUNT(*)] WARNINGS|ERRORS [LIMIT [o,] n].
func (s *session) showDiagnostics(ctx context.Context, sql string) (*Table, error) {
	if s.diag.conn != nil {
		s.diag.fetch(ctx)
	}
	words := strings.Fields(strings.ToUpper(strings.TrimRight(strings.TrimSpace(sql), "; \t\r\n")))
	list := append(append([]condition(nil), s.diag.list...), s.diag.own...)
	count := len(words) > 1 && strings.HasPrefix(words[1], "COUNT")
	errorsOnly := false
	for _, w := range words {
		errorsOnly = errorsOnly || w == "ERRORS"
	}
	if errorsOnly {
		kept := list[:0]
		for _, c := range list {
			if c.level == "Error" {
				kept = append(kept, c)
			}
		}
		list = kept
	}
	if count {
		name := "@@session.warning_count"
		if errorsOnly {
			name = "@@session.error_count"
		}
		return &Table{Columns: []Column{{Name: name, Type: Integer}}, Rows: [][]Value{{Uint(uint64(len(list)))}}}, nil
	}
	list, err := limited(list, words)
	if err != nil {
		return nil, err
	}
	t := &Table{Columns: []Column{{Name: "Level"}, {Name: "Code", Type: Integer}, {Name: "Message"}}}
	for _, c := range list {
		t.Rows = append(t.Rows, []Value{String(c.level), Uint(c.number), String(c.message)})
	}
	return t, nil
}

// limited applies the LIMIT of a SHOW WARNINGS.
func limited(list []condition, words []string) ([]condition, error) {
	at := -1
	for i, w := range words {
		if w == "LIMIT" {
			at = i
		}
	}
	if at < 0 {
		return list, nil
	}
	offset, n, two := strings.Cut(strings.Join(words[at+1:], ""), ",")
	if !two {
		offset, n = "0", offset
	}
	from, err := strconv.ParseUint(offset, 10, 31)
	if err != nil {
		return nil, fail(codeUnsupported, "this form of SHOW WARNINGS")
	}
	rows, err := strconv.ParseUint(n, 10, 31)
	if err != nil {
		return nil, fail(codeUnsupported, "this form of SHOW WARNINGS")
	}
	from = min(from, uint64(len(list)))
	return list[from:min(from+rows, uint64(len(list)))], nil
}
