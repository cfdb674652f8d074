package proxy

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/proxy/backend"
	"xaproxy/proxy/wire"
)

func date(year uint16, month, day byte) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, year), month, day)
}

func temporalParams() []wire.Param {
	moment := append(date(2024, 1, 31), 10, 0, 0)
	fraction := binary.LittleEndian.AppendUint32(slices.Clone(moment), 500000)
	clock := append([]byte{0}, 0, 0, 0, 0, 10, 0, 0)
	negative := append([]byte{1}, 4, 0, 0, 0, 5, 0, 0) // 4 days and 5 hours
	return []wire.Param{
		{Type: wire.TypeDate, Value: date(2024, 1, 31)},
		{Type: wire.TypeDateTime, Value: date(2024, 1, 31)},
		{Type: wire.TypeDateTime, Value: moment},
		{Type: wire.TypeTimestamp, Value: moment},
		{Type: wire.TypeDateTime, Value: fraction},
		{Type: wire.TypeTime, Value: clock},
		{Type: wire.TypeTime, Value: negative},
	}
}

// TestTemporalParametersAreTheirTexts: to a column of a date or time a parameter
// of the binary protocol is the literal that the planner takes it for.
func TestTemporalParametersAreTheirTexts(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers")
	}
	for _, e := range launch.Engines() {
		t.Run(fmt.Sprint(e), func(t *testing.T) {
			conn := dialShared(t, launchtest.Shared(t, e))
			mustExec(t, conn, "DROP DATABASE IF EXISTS temporal", "CREATE DATABASE temporal", "SET sql_mode=''")
			for _, def := range []string{"DATE", "DATETIME", "DATETIME(6)", "TIMESTAMP(6) NULL", "TIME", "TIME(6)"} {
				mustExec(t, conn, "CREATE TABLE temporal.k (n INT AUTO_INCREMENT PRIMARY KEY, id "+def+")")
				for _, p := range temporalParams() {
					if (def == "TIME" || def == "TIME(6)") != (p.Type == wire.TypeTime) {
						continue // a text of the other kind is no key
					}
					mustExec(t, conn, "TRUNCATE TABLE temporal.k", "INSERT IGNORE INTO temporal.k (id) VALUES ('"+p.Text()+"')")
					executed(t, conn, "INSERT IGNORE INTO temporal.k (id) VALUES (?)", p)
					rows, err := selectRows(t.Context(), conn, "SELECT DISTINCT id FROM temporal.k")
					if err != nil || len(rows) != 1 {
						t.Errorf("%s: %q and its parameter are stored as %d values (%v)", def, p.Text(), len(rows), err)
					}
					literal, err := selectRows(t.Context(), conn, "SELECT n FROM temporal.k WHERE id = '"+p.Text()+"'")
					if err != nil {
						continue // one server refuses the comparison
					}
					if n := executed(t, conn, "SELECT n FROM temporal.k WHERE id = ?", p); n != len(literal) {
						t.Errorf("%s = %q finds %d rows as a parameter, %d as a literal", def, p.Text(), n, len(literal))
					}
				}
				mustExec(t, conn, "DROP TABLE temporal.k")
			}
			mustExec(t, conn, "DROP DATABASE temporal")
		})
	}
}

func mustExec(t *testing.T, conn *backend.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if refused, err := exec(t.Context(), conn, sql); err != nil || refused != nil {
			t.Fatalf("%s: %v %v", sql, refused, err)
		}
	}
}

// rowCount is a backend.Sink.
type rowCount struct{ rows int }

func (*rowCount) Columns([][]byte) error  { return nil }
func (c *rowCount) Row([]byte) error      { c.rows++; return nil }
func (*rowCount) End(wire.OK, bool) error { return nil }

// executed executes a statement of one parameter, and counts its rows.
func executed(t *testing.T, conn *backend.Conn, sql string, p wire.Param) int {
	t.Helper()
	stmt, err := conn.Prepare(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	var rows rowCount
	r, err := conn.Relay(t.Context(), wire.AppendExecute(nil, stmt.ID, []wire.Param{p}), &rows)
	if err != nil || r.Err != nil {
		t.Fatalf("%s (%s): %v %v", sql, p.Text(), err, r.Err)
	}
	return rows.rows
}
