package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"xaproxy/proxy/wire"
)

const (
	modern = wire.ServerCapabilities
	old    = wire.ServerCapabilities &^ (wire.DeprecateEOF | wire.SessionTrack)
)

func TestOKSurvives(t *testing.T) {
	tracked := []wire.Change{
		{Kind: wire.ChangeVariable, Name: "sql_mode", Value: "ANSI"}, {Kind: wire.ChangeSchema, Value: "shop"},
		{Kind: wire.ChangeState, Value: "1"}, {Kind: wire.ChangeGTIDs, Value: "a:1-5"},
		{Kind: wire.ChangeCharacteristics, Value: "SET TRANSACTION READ ONLY;"}, {Kind: wire.ChangeTransaction, Value: "T_______"},
	}
	full := wire.OK{Affected: 300, InsertID: 1 << 40, Status: wire.StatusAutocommit | wire.StatusMoreResults, Warnings: 3,
		Info: "Rows matched: 1", Changes: tracked}
	for _, ok := range []wire.OK{{}, {Info: "x"}, {Status: wire.StatusInTrans, Changes: tracked[:1]}, full} {
		for _, caps := range []wire.Capabilities{modern, old} {
			want := ok
			if caps.Has(wire.SessionTrack) && len(ok.Changes) > 0 {
				want.Status |= wire.StatusSessionChanged
			}
			if !caps.Has(wire.SessionTrack) {
				want.Changes = nil
			}
			p := wire.AppendOK(nil, caps, ok)
			got, err := wire.ParseOK(p, caps)
			if err != nil || !reflect.DeepEqual(got, want) || !wire.IsOK(p) {
				t.Errorf("caps %#x: %+v became %+v, %v", uint32(caps), want, got, err)
			}
			end := wire.AppendEnd(nil, caps, ok)
			got, err = wire.ParseEnd(end, caps)
			if !caps.Has(wire.DeprecateEOF) {
				want = wire.OK{Status: ok.Status, Warnings: ok.Warnings}
			}
			if err != nil || !reflect.DeepEqual(got, want) || !wire.IsEnd(end, caps) {
				t.Errorf("end, caps %#x: %+v became %+v, %v", uint32(caps), want, got, err)
			}
		}
	}
}

func TestStatementIDIsNotAChange(t *testing.T) {
	ok := wire.OK{Changes: []wire.Change{{Kind: wire.ChangeVariable, Name: "statement_id", Value: "7"}}}
	got, err := wire.ParseOK(wire.AppendOK(nil, modern, ok), modern)
	if err != nil || got.Changes != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEndIsToldFromALongRow(t *testing.T) {
	row := make([]byte, wire.MaxFrame)
	row[0] = 0xfe // a field of at least 16 MiB
	if wire.IsEnd(row, modern) || wire.IsEnd(row, old) {
		t.Error("a row of 16 MiB is taken for the end")
	}
	if wire.IsEnd([]byte{0xfe, 1, 2, 3, 4, 5, 6, 7, 8, 9}, old) {
		t.Error("ten bytes are no EOF packet")
	}
}

func TestErrorSurvives(t *testing.T) {
	want := wire.ServerError{Number: 1213, State: "40001", Message: "Deadlock"}
	p := wire.AppendError(nil, &want)
	if got := wire.ParseError(p); *got != want || !wire.IsError(p) {
		t.Errorf("%+v", got)
	}
	if got := wire.ParseError([]byte("\xff\x10\x04Too many")); got.Number != 1040 || got.Message != "Too many" || got.State != "HY000" {
		t.Errorf("without SQLSTATE: %+v", got)
	}
}

func TestColumnSurvives(t *testing.T) {
	want := wire.Column{Schema: "s", Table: "t", OrgTable: "o", Name: "n", OrgName: "on", Collation: 255, Length: 1 << 20,
		Type: wire.TypeVarString, Flags: 0x1001, Decimals: 31}
	got, err := wire.ParseColumn(wire.AppendColumn(nil, want))
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for n, good := range map[int]bool{1: true, 250: true, 300: true, 4096: true, 0: false, 1 << 20: false} {
		got, err := wire.ParseColumnCount(wire.AppendColumnCount(nil, n))
		if good != (err == nil) || good && got != n {
			t.Errorf("%d columns: %d, %v", n, got, err)
		}
	}
}

func TestTextRow(t *testing.T) {
	p := wire.AppendText(wire.AppendNull(wire.AppendText(nil, "a")), "")
	got, err := wire.ParseTextRow(nil, p, 3)
	if err != nil || string(got[0]) != "a" || got[1] != nil || got[2] == nil || len(got[2]) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	for _, columns := range []int{2, 4} {
		if _, err := wire.ParseTextRow(nil, p, columns); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("as %d columns: %v", columns, err)
		}
	}
}

func TestLoginSurvives(t *testing.T) {
	want := wire.Login{Capabilities: modern | wire.SSL, MaxPacket: 1 << 24, Collation: 45, User: "app", Auth: payload(300),
		Database: "shop", Plugin: wire.CachingSHA2Password, Attributes: []wire.Attribute{{Name: "_os", Value: "Linux"}, {Name: "x", Value: ""}}}
	got, err := wire.ParseLogin(wire.AppendLogin(nil, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if !wire.IsSSLRequest(wire.AppendSSLRequest(nil, want.Capabilities, 45, 0)) || wire.IsSSLRequest(wire.AppendLogin(nil, want)) {
		t.Error("TLS request is not recognised")
	}
}

func TestGreetingSurvives(t *testing.T) {
	want := wire.Greeting{Version: "8.4.0", ConnectionID: 77, Scramble: payload(wire.ScrambleLen), Capabilities: modern,
		Collation: 45, Status: wire.StatusAutocommit, Plugin: wire.CachingSHA2Password}
	got, err := wire.ParseGreeting(wire.AppendGreeting(nil, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	var e *wire.ServerError
	if _, err := wire.ParseGreeting([]byte("\xff\x10\x04Too many connections")); !errors.As(err, &e) || e.Number != 1040 {
		t.Errorf("refused greeting: %v", err)
	}
}

func TestPreparedSurvives(t *testing.T) {
	want := wire.Prepared{Statement: 9, Columns: 2, Params: 3, Warnings: 1}
	if got, err := wire.ParsePrepared(wire.AppendPrepared(nil, want)); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func everyParam() []wire.Param {
	return []wire.Param{
		{Type: wire.TypeTiny, Value: []byte{0xff}},
		{Type: wire.TypeShort, Unsigned: true, Value: []byte{0xff, 0xff}},
		{Type: wire.TypeLong, Value: []byte{0xfe, 0xff, 0xff, 0xff}},
		{Type: wire.TypeLongLong, Unsigned: true, Value: []byte{1, 0, 0, 0, 0, 0, 0, 0x80}},
		{Type: wire.TypeDouble, Value: []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}},
		{Type: wire.TypeFloat, Value: []byte{0, 0, 0xc0, 0x3f}},
		{Type: wire.TypeVarString, Value: []byte("text")},
		{Type: wire.TypeBlob, Value: []byte{}},
		{Type: wire.TypeNewDecimal, Value: []byte("1.50")},
		{Type: wire.TypeLong, Null: true},
		{Type: wire.TypeDate, Value: []byte{0xe8, 7, 2, 29}},
		{Type: wire.TypeDateTime, Value: []byte{0xe8, 7, 2, 29, 1, 2, 3}},
		{Type: wire.TypeTimestamp, Value: []byte{0xe8, 7, 2, 29, 1, 2, 3, 5, 0, 0, 0}},
		{Type: wire.TypeTime, Value: []byte{1, 1, 0, 0, 0, 2, 3, 4, 6, 0, 0, 0}},
		{Type: wire.TypeTime, Value: []byte{}},
	}
}

func TestExecuteSurvives(t *testing.T) {
	want := everyParam()
	memory := wire.NewParameters(len(want))
	got, err := memory.Decode(wire.AppendExecute(nil, 42, want))
	if err != nil || got.Statement != 42 || !reflect.DeepEqual(got.Params, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	texts := []string{"-1", "65535", "-2", "9223372036854775809", "1.5", "1.5", "text", "", "1.50", "NULL",
		"2024-02-29", "2024-02-29 01:02:03", "2024-02-29 01:02:03.000005", "-26:03:04.000006", "00:00:00"}
	for i, p := range got.Params {
		if p.Text() != texts[i] {
			t.Errorf("parameter %d: %q, want %q", i, p.Text(), texts[i])
		}
	}
	// libmariadb does not send the types again.
	second := []byte{byte(wire.ComStmtExecute), 42, 0, 0, 0, 0, 1, 0, 0, 0}
	one := wire.NewParameters(1)
	if _, err := one.Decode(append(bytes.Clone(second), 0, 0, 5)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("types were never sent: %v", err)
	}
	if _, err := one.Decode(wire.AppendExecute(nil, 42, []wire.Param{{Type: wire.TypeTiny, Value: []byte{4}}})); err != nil {
		t.Fatal(err)
	}
	e, err := one.Decode(append(bytes.Clone(second), 0, 0, 5))
	if err != nil || e.Params[0].Int() != 5 {
		t.Errorf("with remembered types: %+v, %v", e, err)
	}
	if e, err = one.Decode(append(bytes.Clone(second), 1, 0)); err != nil || !e.Params[0].Null {
		t.Errorf("NULL with remembered types: %+v, %v", e, err)
	}
}

func TestLongDataIsUsedUpByTheExecution(t *testing.T) {
	m := wire.NewParameters(2)
	for _, part := range []string{"long ", "data"} {
		l, err := wire.ParseLongData(append([]byte{byte(wire.ComStmtLongData), 1, 0, 0, 0, 1, 0}, part...))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.AddLong(l, 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.AddLong(wire.LongData{Param: 2}, 100); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("third parameter of two: %v", err)
	}
	if err := m.AddLong(wire.LongData{Param: 0, Data: payload(92)}, 100); !errors.Is(err, wire.ErrPacketTooLarge) {
		t.Errorf("beyond the limit: %v", err)
	}
	// The value of a parameter with long data is not in the packet.
	execute := []byte{byte(wire.ComStmtExecute), 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, byte(wire.TypeTiny), 0, byte(wire.TypeBlob), 0, 9}
	e, err := m.Decode(execute)
	if err != nil || string(e.Params[1].Value) != "long data" || e.Params[0].Int() != 9 {
		t.Fatalf("%+v, %v", e, err)
	}
	again, err := wire.NewParameters(2).Decode(wire.AppendExecute(nil, 5, e.Params))
	if err != nil || string(again.Params[1].Value) != "long data" {
		t.Errorf("encoded again: %+v, %v", again, err)
	}
	if _, err := m.Decode(execute); err == nil {
		t.Error("long data served two executions")
	}
}

func TestCharsetsOfLogins(t *testing.T) {
	if cs, name, known := wire.Charset(255); cs != "utf8mb4" || name != "utf8mb4_0900_ai_ci" || !known {
		t.Error(cs, name, known)
	}
	if _, _, known := wire.Charset(28); known {
		t.Error("gbk's second bytes may be ASCII")
	}
}
