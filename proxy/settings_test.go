package proxy

import (
	"testing"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

func all(string) bool { return true }

func TestLoginWithACollationThatAShardLacksGetsTheDefault(t *testing.T) {
	const mysql8 = 255 // utf8mb4_0900_ai_ci
	lacks := func(c string) bool { return c != "utf8mb4_0900_ai_ci" }
	s, err := atLogin(wire.Login{Collation: mysql8}, lacks, fallbackCharsets())
	if err != nil || s.state != (backend.State{}) {
		t.Errorf("%+v %v, want the state that needs no setting", s, err)
	}
	s, err = atLogin(wire.Login{Collation: mysql8}, all, fallbackCharsets())
	if v, given := s.state.Collation.Value(); err != nil || !given || v != "utf8mb4_0900_ai_ci" {
		t.Errorf("%+v %v, want the collation of the login", s, err)
	}
}

func TestLoginWithTheFormerDefaultGetsTheServersOwn(t *testing.T) {
	mariaDB118 := charsets{"utf8mb4": "utf8mb4_uca1400_ai_ci", "latin1": "latin1_swedish_ci"}
	mysql := charsets{"utf8mb4": "utf8mb4_0900_ai_ci", "latin1": "latin1_swedish_ci"}
	for _, test := range []struct {
		login    uint8
		defaults charsets
		want     backend.Setting
	}{
		{wire.CollationUTF8MB4General, mariaDB118, backend.Want("utf8mb4_uca1400_ai_ci")},
		{224, mariaDB118, backend.Want("utf8mb4_unicode_ci")},
		{8, mariaDB118, backend.Want("latin1_swedish_ci")},
		{wire.CollationUTF8MB4General, mysql, backend.Setting{}},
	} {
		s, err := atLogin(wire.Login{Collation: test.login}, all, test.defaults)
		if err != nil || s.state.Collation != test.want {
			t.Errorf("login with %d where the default is %s: %+v %v", test.login, test.defaults["utf8mb4"], s.state, err)
		}
	}
}

func TestLoginOfTheCommonDriverNeedsNoSetting(t *testing.T) {
	for _, collation := range []uint8{0, wire.CollationUTF8MB4General} {
		s, err := atLogin(wire.Login{Collation: collation}, all, fallbackCharsets())
		if err != nil || s.state != (backend.State{}) || !s.autocommit || s.charset() != "utf8mb4" {
			t.Errorf("%d: %+v %v", collation, s, err)
		}
	}
	if _, err := atLogin(wire.Login{Collation: 28}, all, fallbackCharsets()); err == nil { // gbk: a second byte may be a backslash
		t.Error("gbk is taken")
	}
}

func TestAssignments(t *testing.T) {
	login, err := atLogin(wire.Login{Collation: 8}, all, fallbackCharsets())
	if err != nil {
		t.Fatal(err)
	}
	s := login
	known := fallbackCharsets()
	for _, a := range []plan.Assignment{
		{Variable: plan.VarNames, Value: "utf8", Collation: "utf8mb3_bin"},
		{Variable: plan.VarCharsetResults, Null: true},
		{Variable: plan.VarSQLMode, Value: ""},
		{Variable: plan.VarTimeZone, Value: "+01:00"},
		{Variable: plan.VarAutocommit, Value: "0"},
		{Variable: plan.VarAccess, Value: "READ ONLY"},
	} {
		if err := s.assign(a, login, known); err != nil {
			t.Fatal(err)
		}
	}
	want := backend.State{CharsetClient: backend.Want("utf8mb3"), CharsetResults: backend.Want(""), Collation: backend.Want("utf8mb3_bin"),
		SQLMode: backend.Want(""), TimeZone: backend.Want("+01:00")}
	if s.state != want || s.autocommit || !s.readOnly || s.connection != "utf8mb3" {
		t.Errorf("%+v", s)
	}
	for _, a := range []plan.Assignment{{Variable: plan.VarNames, Default: true}, {Variable: plan.VarSQLMode, Default: true},
		{Variable: plan.VarTimeZone, Default: true}, {Variable: plan.VarAutocommit, Default: true}, {Variable: plan.VarAccess, Default: true}} {
		if err := s.assign(a, login, known); err != nil {
			t.Fatal(err)
		}
	}
	if s != login {
		t.Errorf("DEFAULT: %+v, at login %+v", s, login)
	}
	for _, a := range []plan.Assignment{{Variable: plan.VarNames, Value: "sjis"}, {Variable: plan.VarCollationConnection, Value: "gbk_bin"},
		{Variable: plan.VarCharacterSet, Value: "latin1"}} {
		if err := s.assign(a, login, known); err == nil {
			t.Errorf("%+v is taken", a)
		}
	}
}

// TestSettleKeepsWhatTheClientNamed: only collations that a default chose are chosen again.
func TestSettleKeepsWhatTheClientNamed(t *testing.T) {
	before := charsets{"utf8mb4": "utf8mb4_uca1400_ai_ci", "latin1": "latin1_swedish_ci"}
	after := charsets{"utf8mb4": "utf8mb4_0900_ai_ci", "latin1": "latin1_swedish_ci"}
	old, err := atLogin(wire.Login{}, all, before)
	if err != nil {
		t.Fatal(err)
	}
	login, err := atLogin(wire.Login{}, all, after)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		set  plan.Assignment
		want backend.Setting
	}{
		{plan.Assignment{Variable: plan.VarAutocommit, Value: "1"}, login.state.Collation},
		{plan.Assignment{Variable: plan.VarNames, Value: "utf8mb4"}, backend.Want("utf8mb4_0900_ai_ci")},
		{plan.Assignment{Variable: plan.VarCharsetConnection, Value: "latin1"}, backend.Want("latin1_swedish_ci")},
		{plan.Assignment{Variable: plan.VarNames, Value: "utf8mb4", Collation: "utf8mb4_unicode_ci"}, backend.Want("utf8mb4_unicode_ci")},
		{plan.Assignment{Variable: plan.VarCollationConnection, Value: "utf8mb4_uca1400_ai_ci"}, backend.Want("utf8mb4_uca1400_ai_ci")},
		{plan.Assignment{Variable: plan.VarNames, Default: true}, login.state.Collation},
	} {
		s := old
		if err := s.assign(test.set, old, before); err != nil {
			t.Fatal(err)
		}
		s.settle(login, after)
		if s.state.Collation != test.want {
			t.Errorf("%+v: %+v, want %+v", test.set, s.state.Collation, test.want)
		}
	}
}
