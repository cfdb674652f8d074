package proxy

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/xa/xamysql"
)

// diagnostics is what SHOW WARNINGS answers: of the last statement.
type diagnostics struct {
	// conn has the warnings; nil: they are in list.
	conn *backend.Conn
	list []condition
	told uint64      // how many warnings the shards have told of; they keep fewer
	own  []condition // of the proxy itself
	// refusal is the error of the one server that executed the statement; what it
	// lists has the warnings before the error, and the error.
	refusal *wire.ServerError
}

type condition struct {
	level   string
	number  uint64
	message string
}

// maxConditions is MySQL's max_error_count, and for MariaDB's the other one.
const (
	maxConditions        = 1024
	maxConditionsMariaDB = 64
)

// clear begins a statement.
func (d *diagnostics) clear() { *d = diagnostics{} }

// note takes a statement's warnings, which stay at the connection for now.
func (d *diagnostics) note(conn *backend.Conn, out *relay) {
	if out.warned == 0 || out.oneSpeaks() && out.part > 0 {
		return // one shard speaks for a definition, and for copies
	}
	d.conn = conn
	d.told += uint64(out.warned)
}

// collect fetches the warnings of one part of a statement over several shards,
// before the next part is executed; definitions leave one part's.
func (s *session) collect(ctx context.Context, conn *backend.Conn, out *relay) error {
	if !out.several || s.diag.conn != conn || out.class == plan.ClassDDL {
		return nil
	}
	rows := out.shown
	if out.clock == nil {
		var err error
		stopped := s.guard(ctx, []*backend.Conn{conn}, func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, killPatience)
			defer cancel()
			rows, err = s.diag.ask(ctx)
		})
		if err == nil && errors.Is(stopped, errGone) {
			return errGone
		}
		if err != nil {
			return err
		}
	}
	s.diag.take(conn.Flavor(), s.saidOnce(out, rows), out.parts[out.part].Origin)
	return nil
}

// ofText are the numbers of what servers say of a statement's text.
//
//nolint:gochecknoglobals // immutable table
var ofText = map[string]bool{
	"1235": true, // ER_NOT_SUPPORTED_YET: JSON in BETWEEN
	"1287": true, // ER_WARN_DEPRECATED_SYNTAX
	"1681": true, // ER_WARN_DEPRECATED_SYNTAX_NO_REPLACEMENT
	"3719": true, // ER_DEPRECATED_UTF8_ALIAS
	"3720": true, // ER_DEPRECATED_NATIONAL
	"3778": true, // ER_WARN_DEPRECATED_UTF8MB3_COLLATION
}

// saidOnce leaves out what a server says of a statement's text, not of its rows,
// when another part's server has said it before.
func (s *session) saidOnce(out *relay, rows [][]*string) [][]*string {
	if out.part == 0 {
		return rows
	}
	kept := slices.DeleteFunc(slices.Clone(rows), func(r []*string) bool {
		return len(r) > 1 && r[1] != nil && ofText[*r[1]]
	})
	n := len(rows) - len(kept)
	out.total.Warnings -= min(out.total.Warnings, uint16(n))
	out.tally.drop(n)
	s.diag.told -= min(s.diag.told, uint64(n))
	return kept
}

// noteRefusal takes what a server lists after an error: it stays at the
// connection for now.
func (d *diagnostics) noteRefusal(conn *backend.Conn, e *wire.ServerError) {
	*d = diagnostics{conn: conn, refusal: e}
}

// fail is the error that the client is told. When it is the server's own word,
// the server's list stands.
func (d *diagnostics) fail(e *Error) {
	own := []condition{{level: "Error", number: uint64(e.Number), message: e.Message}}
	switch r := d.refusal; {
	case r == nil || r.Number != e.Number || r.Message != e.Message:
		*d = diagnostics{own: own}
	case d.conn == nil && len(d.list) == 0:
		d.own = own
	}
}

// lose gives up what the connection lists.
func (d *diagnostics) lose() {
	d.conn = nil
	if e := d.refusal; e != nil {
		d.own = []condition{{level: "Error", number: uint64(e.Number), message: e.Message}}
	}
}

func (d *diagnostics) warn(e *Error) {
	d.own = append(d.own, condition{level: "Warning", number: uint64(e.Number), message: e.Message})
}

// count is how many warnings the proxy itself has.
func (d *diagnostics) count() uint16 { return uint16(min(len(d.own), maxConditions)) }

// fetch asks the connection that has the warnings, and keeps them. The error is
// the transport's.
func (d *diagnostics) fetch(ctx context.Context) error {
	flavor := d.conn.Flavor()
	rows, err := d.ask(ctx)
	if err == nil {
		d.take(flavor, rows, nil)
	}
	if len(d.list) == 0 {
		d.lose()
	}
	return err
}

// ask asks the connection that has the warnings, which then is no longer needed.
func (d *diagnostics) ask(ctx context.Context) ([][]*string, error) {
	conn := d.conn
	d.conn = nil
	rows, err := selectRows(ctx, conn, "SHOW WARNINGS")
	var said *wire.ServerError
	if err != nil && !errors.As(err, &said) {
		return nil, err
	}
	return rows, nil
}

// take keeps the rows of SHOW WARNINGS. origin are the rows of a part of a split
// INSERT.
func (d *diagnostics) take(flavor xamysql.Flavor, rows [][]*string, origin []int) {
	d.conn = nil
	limit := maxConditions
	if flavor == xamysql.FlavorMariaDB {
		limit = maxConditionsMariaDB
	}
	for _, r := range rows {
		if len(d.list) >= limit {
			break
		}
		if len(r) < 3 || r[0] == nil || r[1] == nil || r[2] == nil {
			continue
		}
		n, err := strconv.ParseUint(*r[1], 10, 32)
		if err != nil {
			continue
		}
		d.list = append(d.list, condition{level: *r[0], number: n, message: atRow(*r[2], origin)})
	}
}

// atRow puts the number that a row has in the client's statement in place of the
// one that it has in a part of it.
func atRow(message string, origin []int) string {
	const mark = " at row "
	i := strings.LastIndex(message, mark)
	if i < 0 {
		return message
	}
	n, err := strconv.Atoi(message[i+len(mark):])
	if err != nil || n < 1 || n > len(origin) {
		return message
	}
	return message[:i+len(mark)] + strconv.Itoa(origin[n-1])
}

// showDiagnostics answers SHOW [COUNT(*)] WARNINGS|ERRORS [LIMIT [o,] n].
func (s *session) showDiagnostics(ctx context.Context, sql string) (*Table, error) {
	if s.diag.conn != nil {
		_ = s.diag.fetch(ctx) // without an answer they are gone with the connection
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
		name, n := "@@session.warning_count", max(uint64(len(list)), s.diag.told+uint64(len(s.diag.own)))
		if errorsOnly {
			name, n = "@@session.error_count", uint64(len(list))
		}
		return &Table{Columns: []Column{{Name: name, Type: Integer}}, Rows: [][]Value{{Uint(n)}}}, nil
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
