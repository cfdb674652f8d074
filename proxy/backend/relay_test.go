package backend_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// record is a Sink that remembers what arrived.
type record struct {
	columns [][]wire.Column
	rows    int
	bytes   int
	first   [][]byte
	ends    []wire.OK
	withRow []bool
	fail    error
}

func (r *record) Columns(defs [][]byte) error {
	var cols []wire.Column
	for _, d := range defs {
		c, err := wire.ParseColumn(d)
		if err != nil {
			return err
		}
		cols = append(cols, c)
	}
	r.columns = append(r.columns, cols)
	return nil
}

func (r *record) Row(p []byte) error {
	if r.rows++; r.rows <= 3 {
		r.first = append(r.first, slices.Clone(p))
	}
	r.bytes += len(p)
	return r.fail
}

func (r *record) End(ok wire.OK, rows bool) error {
	r.ends = append(r.ends, ok)
	r.withRow = append(r.withRow, rows)
	return nil
}

func com(sql string) []byte { return append([]byte{byte(wire.ComQuery)}, sql...) }

func relay(t *testing.T, c *backend.Conn, payload []byte) (*record, backend.Result) {
	t.Helper()
	var r record
	res, err := c.Relay(t.Context(), payload, &r)
	if err != nil {
		t.Fatalf("%.60q: %v", payload, err)
	}
	return &r, res
}

const digits = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"

func TestRelayHandsRepliesOn(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		b.exec("DROP TABLE IF EXISTS backend.r", "CREATE TABLE backend.r (id INT AUTO_INCREMENT PRIMARY KEY, v LONGBLOB) ENGINE=InnoDB")
		r, res := relay(t, c, com("INSERT INTO backend.r (v) VALUES ('a'),('b')"))
		if res.OK.Affected != 2 || res.OK.InsertID != 1 || res.Results != 1 || r.withRow[0] || res.OK.Info != "Records: 2  Duplicates: 0  Warnings: 0" {
			t.Errorf("insert: %+v", res)
		}
		r, res = relay(t, c, com("SELECT id,v FROM backend.r WHERE 0"))
		if r.rows != 0 || len(r.columns) != 1 || r.columns[0][1].OrgTable != "r" || !r.withRow[0] || res.Err != nil {
			t.Errorf("no rows: %+v %+v", r, res)
		}
		if r, _ = relay(t, c, com("SELECT id,v FROM backend.r WHERE id=1")); r.rows != 1 || string(r.first[0]) != "\x011\x01a" {
			t.Errorf("one row: %+v", r)
		}
		r, _ = relay(t, c, com("SELECT a.d,b.d,c.d,d.d,e.d FROM "+digits+" a,"+digits+" b,"+digits+" c,"+digits+" d,"+digits+" e"))
		if r.rows != 100000 || r.bytes != 1000000 {
			t.Errorf("100000 rows: %d of %d bytes", r.rows, r.bytes)
		}
		r, res = relay(t, c, com("SELECT 1; UPDATE backend.r SET v='c' WHERE id=2; SELECT 2,3"))
		if res.Results != 3 || !slices.Equal(r.withRow, []bool{true, false, true}) || !r.ends[0].Status.Has(wire.StatusMoreResults) || r.ends[2].Status.Has(wire.StatusMoreResults) {
			t.Errorf("three results: %+v %+v", r, res)
		}
		r, res = relay(t, c, com("SELECT 1; INSERT INTO backend.r (id) VALUES (1)"))
		if res.Results != 1 || res.Err == nil || res.Err.Number != 1062 || r.rows != 1 {
			t.Errorf("error behind a result: %+v %+v", r, res)
		}
		if _, res = relay(t, c, com("SELECT CAST('x' AS SIGNED)")); res.OK.Warnings != 1 {
			t.Errorf("warnings: %+v", res)
		}
		if _, res = relay(t, c, []byte{byte(wire.ComInitDB), 'b', 'a', 'c', 'k', 'e', 'n', 'd'}); res.Err != nil || c.State().Schema != "backend" {
			t.Errorf("init db: %+v, state %+v", res, c.State())
		}
		if !c.Reusable() {
			t.Error("not reusable")
		}
	})
}

func TestRelayOfRowsBeyond16MiB(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.exec("SET GLOBAL max_allowed_packet=67108864")
		c := b.dial()
		for _, n := range []int{wire.MaxFrame - 10, wire.MaxFrame - 4, wire.MaxFrame, 20 << 20} {
			r, res := relay(t, c, com(fmt.Sprintf("SELECT REPEAT('x',%d),1", n)))
			if res.Err != nil || r.rows != 1 || r.bytes < n || r.bytes > n+12 {
				t.Errorf("%d bytes: %d rows of %d, %+v", n, r.rows, r.bytes, res.Err)
			}
		}
		// A long command too, as text and as a parameter.
		long := make([]byte, 17<<20)
		for i := range long {
			long[i] = 'y'
		}
		r, res := relay(t, c, com("SELECT LENGTH('"+string(long)+"')"))
		if res.Err != nil || string(r.first[0]) != "\x0817825792" {
			t.Errorf("long command: %+v %q", res.Err, r.first)
		}
		stmt, err := c.Prepare(t.Context(), "SELECT LENGTH(?)")
		if err != nil {
			t.Fatal(err)
		}
		if _, res = relay(t, c, wire.AppendExecute(nil, stmt.ID, []wire.Param{{Type: wire.TypeVarString, Value: long}})); res.Err != nil {
			t.Errorf("long parameter: %v", res.Err)
		}
		if !c.Reusable() {
			t.Error("not reusable")
		}
	})
}

func TestPacketTooLargeForTheServer(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.exec("SET GLOBAL max_allowed_packet=1048576")
		defer b.exec("SET GLOBAL max_allowed_packet=67108864")
		c := b.dial()
		res, err := c.Relay(t.Context(), com("SELECT LENGTH('"+string(make([]byte, 3<<20))+"')"), &record{})
		t.Logf("%+v, %v", res.Err, err)
		if err == nil && (res.Err == nil || res.Err.Number != 1153) {
			t.Errorf("%+v, %v", res, err)
		}
		if !c.Broken() {
			t.Error("the server closes such connections")
		}
		o := b.options()
		o.MaxPacket = 1000
		small := b.dialWith(o)
		if _, err := small.Relay(t.Context(), com(string(make([]byte, 2000))), &record{}); !errors.Is(err, wire.ErrPacketTooLarge) || xa.EffectOf(err) != xa.EffectNone || small.Broken() {
			t.Errorf("our own limit: %v", err)
		}
		if _, err := small.Relay(t.Context(), com("SELECT REPEAT('x',5000)"), &record{}); !errors.Is(err, wire.ErrPacketTooLarge) || !small.Broken() {
			t.Errorf("a row beyond our limit: %v", err)
		}
	})
}

func TestPreparedStatements(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		o := b.options()
		o.MaxStatements = 2
		c := b.dialWith(o)
		stmt, err := c.Prepare(t.Context(), "SELECT ?+1 AS n, ?")
		if err != nil || len(stmt.Params) != 2 || len(stmt.Columns) != 2 {
			t.Fatalf("%+v, %v", stmt, err)
		}
		id := stmt.ID
		r, res := relay(t, c, wire.AppendExecute(nil, id, []wire.Param{
			{Type: wire.TypeLongLong, Value: []byte{41, 0, 0, 0, 0, 0, 0, 0}}, {Type: wire.TypeVarString, Value: []byte("x")}}))
		if res.Err != nil || r.rows != 1 || r.columns[0][0].Name != "n" || r.first[0][0] != 0 || r.first[0][2] != 42 {
			t.Errorf("execute: %+v %+v", r, res)
		}
		if again, err := c.Prepare(t.Context(), "SELECT ?+1 AS n, ?"); err != nil || again.ID != id {
			t.Errorf("not from the cache: %+v, %v", again, err)
		}
		var e *wire.ServerError
		if _, err := c.Prepare(t.Context(), "SELEC"); !errors.As(err, &e) || e.Number != 1064 || xa.EffectOf(err) != xa.EffectNone {
			t.Errorf("syntax error: %v", err)
		}
		// Parameters of other types are another statement on MySQL, but for one that was not executed.
		own, err := c.PrepareFor(t.Context(), "SELECT ?+1 AS n, ?", "a")
		if err != nil || own.ID != id {
			t.Errorf("a statement that was not executed with types is not used: %+v, %v", own, err)
		}
		if again, err := c.PrepareFor(t.Context(), "SELECT ?+1 AS n, ?", "a"); err != nil || again.ID != id {
			t.Errorf("not from the cache: %+v, %v", again, err)
		}
		if other, err := c.PrepareFor(t.Context(), "SELECT ?+1 AS n, ?", "b"); err != nil || (other.ID == id) != (c.Flavor() == xamysql.FlavorMariaDB) {
			t.Errorf("with other types: %+v, %v", other, err)
		}
		// Another schema is another statement.
		if err := c.Sync(t.Context(), backend.State{Schema: "backend"}); err != nil {
			t.Fatal(err)
		}
		if other, err := c.Prepare(t.Context(), "SELECT ?+1 AS n, ?"); err != nil || other.ID == id {
			t.Errorf("schema ignored: %+v, %v", other, err)
		}
		// The third pushes the first out; the closing travels with the next command.
		if _, err := c.Prepare(t.Context(), "SELECT 3"); err != nil {
			t.Fatal(err)
		}
		if _, res := relay(t, c, wire.AppendExecute(nil, id, make([]wire.Param, 2))); res.Err == nil || res.Err.Number != 1243 {
			t.Errorf("the first statement is still open: %+v", res)
		}
		if n := ask(t, c, "SHOW SESSION STATUS LIKE 'Com_stmt_close'"); n != "Com_stmt_close" {
			t.Error(n)
		}
		if !c.Reusable() {
			t.Error("not reusable")
		}
	})
}

// TestServerThatHasNoRoomForMoreStatements makes a connection give up what it has cached.
func TestServerThatHasNoRoomForMoreStatements(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		preparedCount := "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME='PREPARED_STMT_COUNT'"
		if c.Flavor() == xamysql.FlavorMySQL {
			preparedCount = "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME='Prepared_stmt_count'"
		}
		var count int
		if _, err := fmt.Sscan(ask(t, c, preparedCount), &count); err != nil {
			t.Fatal(err)
		}
		b.exec(fmt.Sprintf("SET GLOBAL max_prepared_stmt_count=%d", count+3))
		defer b.exec("SET GLOBAL max_prepared_stmt_count=16382")
		for i := range 10 {
			stmt, err := c.Prepare(t.Context(), fmt.Sprintf("SELECT %d", i))
			if err != nil {
				t.Fatalf("statement %d: %v", i, err)
			}
			if _, res := relay(t, c, wire.AppendExecute(nil, stmt.ID, nil)); res.Err != nil {
				t.Errorf("statement %d: %v", i, res.Err)
			}
		}
		b.exec("SET GLOBAL max_prepared_stmt_count=0")
		var e *wire.ServerError
		if _, err := c.Prepare(t.Context(), "SELECT 'more'"); !errors.As(err, &e) || e.Number != 1461 {
			t.Errorf("%v", err)
		}
	})
}

// TestStatementsAreKeptByWhatDescribesThem: the character set of results is told with the columns.
func TestStatementsAreKeptByWhatDescribesThem(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		ids := map[uint32]bool{}
		for _, want := range []backend.State{{}, {CharsetResults: backend.Want("latin1")}, {SQLMode: backend.Want("ANSI_QUOTES")}, {Collation: backend.Want("utf8mb4_bin")}} {
			if err := c.Sync(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			stmt, err := c.Prepare(t.Context(), "SELECT 'a'")
			if err != nil {
				t.Fatal(err)
			}
			ids[stmt.ID] = true
		}
		if len(ids) != 4 {
			t.Errorf("%d statements for 4 settings", len(ids))
		}
	})
}

func TestStatementIsPreparedAnewWhenItsColumnsChange(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		b.exec("DROP TABLE IF EXISTS backend.m", "CREATE TABLE backend.m (a INT)", "INSERT INTO backend.m VALUES (1)")
		stmt, err := c.Prepare(t.Context(), "SELECT * FROM backend.m")
		if err != nil || len(stmt.Columns) != 1 {
			t.Fatal(stmt, err)
		}
		b.exec("ALTER TABLE backend.m ADD COLUMN b INT")
		r, res := relay(t, c, wire.AppendExecute(nil, stmt.ID, nil))
		if res.Err != nil || len(r.columns[0]) != 2 {
			t.Errorf("execute after ALTER: %+v %+v", r, res)
		}
		if stmt, err = c.Prepare(t.Context(), "SELECT * FROM backend.m"); err != nil || len(stmt.Columns) != 2 {
			t.Errorf("prepare after ALTER: %d columns, %v", len(stmt.Columns), err)
		}
	})
}

func TestSinkErrorBreaksTheConnection(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		gone := errors.New("client is gone")
		if _, err := c.Relay(t.Context(), com("SELECT 1"), &record{fail: gone}); !errors.Is(err, gone) || xa.EffectOf(err) != xa.EffectUnknown {
			t.Errorf("%v", err)
		}
		if !c.Broken() || c.Reusable() {
			t.Error("unread replies are left")
		}
	})
}

func TestRelayRefusesOtherCommands(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		for _, p := range [][]byte{nil, {byte(wire.ComQuit)}, {byte(wire.ComStmtLongData), 1, 0, 0, 0}, {byte(wire.ComStmtExecute)}, {byte(wire.ComStatistics)}, {0x1c}} {
			if _, err := c.Relay(t.Context(), p, &record{}); err == nil || xa.EffectOf(err) != xa.EffectNone {
				t.Errorf("%x: %v", p, err)
			}
		}
		if ask(t, c, "SELECT 1") != "1" {
			t.Error("the connection suffered")
		}
		if e := refused(t, c, "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE backend.e"); e.Number == 0 {
			t.Error(e)
		}
	})
}

func TestSyncSendsTheDifference(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		b.exec("CREATE DATABASE IF NOT EXISTS `back``end ü`")
		questions := func() string {
			t.Helper()
			replies, err := c.Exchange(t.Context(), query("SHOW SESSION STATUS LIKE 'Questions'"))
			if err != nil {
				t.Fatal(err)
			}
			return *replies[0].Results[0].Rows[0][1]
		}
		fresh := sessionOf(t, c)
		states := []backend.State{
			{Schema: "backend"},
			{Schema: "backend", CharsetClient: backend.Want("latin1"), CharsetResults: backend.Want(""), Collation: backend.Want("latin1_bin"),
				SQLMode: backend.Want(""), TimeZone: backend.Want("+02:00"), Isolation: backend.Want("READ COMMITTED")},
			{Schema: "back`end ü", CharsetClient: backend.Want("latin1"), SQLMode: backend.Want("ANSI_QUOTES,NO_BACKSLASH_ESCAPES"), Isolation: backend.Want("serializable")},
			{Schema: "backend"},
		}
		want := []string{
			"backend|utf8mb4|utf8mb4|utf8mb4_general_ci", "backend|latin1|NULL|latin1_bin||+02:00|READ-COMMITTED",
			"back`end ü|latin1|utf8mb4|utf8mb4_general_ci|ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "backend" + fresh[len("NULL"):],
		}
		for i, s := range states {
			if err := c.Sync(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if got := sessionOf(t, c); len(got) < len(want[i]) || got[:len(want[i])] != want[i] {
				t.Errorf("state %d: %s, want %s", i, got, want[i])
			}
			if c.State() != s || !c.Reusable() {
				t.Errorf("state %d: %+v", i, c.State())
			}
		}
		before := questions()
		if err := c.Sync(t.Context(), states[3]); err != nil {
			t.Fatal(err)
		}
		var x, y int
		fmt.Sscan(before, &x)
		fmt.Sscan(questions(), &y)
		if y != x+1 {
			t.Errorf("%d statements for no difference", y-x-1)
		}
		if err := c.Sync(t.Context(), backend.State{}); !errors.Is(err, backend.ErrSchema) || xa.EffectOf(err) != xa.EffectNone {
			t.Errorf("schema can not be lost: %v", err)
		}
	})
}

// TestServersDefaultsDoNotReachSessions: what a server is configured to, and what somebody sets there meanwhile, changes
// neither new sessions nor what the zero State means.
func TestServersDefaultsDoNotReachSessions(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		o := b.options()
		o.Defaults = backend.Defaults{SQLMode: "PIPES_AS_CONCAT", TimeZone: "+03:00", Isolation: "READ-COMMITTED"}
		const want = "NULL|utf8mb4|utf8mb4|utf8mb4_general_ci|PIPES_AS_CONCAT|+03:00|READ-COMMITTED"
		c := b.dialWith(o)
		b.exec("SET GLOBAL sql_mode='ANSI_QUOTES'", "SET GLOBAL time_zone='+07:00'")
		defer b.exec("SET GLOBAL sql_mode=DEFAULT", "SET GLOBAL time_zone='SYSTEM'")
		later := b.dialWith(o)
		if err := c.Sync(t.Context(), backend.State{SQLMode: backend.Want("ANSI"), TimeZone: backend.Want("+01:00"), Isolation: backend.Want("SERIALIZABLE")}); err != nil {
			t.Fatal(err)
		}
		if err := c.Sync(t.Context(), backend.State{}); err != nil {
			t.Fatal(err)
		}
		for _, conn := range []*backend.Conn{c, later} {
			if got := sessionOf(t, conn); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		told, err := backend.ReadDefaults(t.Context(), b.options())
		if err != nil || told.SQLMode != "ANSI_QUOTES" || told.TimeZone != "+07:00" || told.Isolation != "REPEATABLE-READ" {
			t.Errorf("the server's own: %+v, %v", told, err)
		}
	})
}

// TestCharacterSetsHaveNoHistory: the collation number of a result's column does not depend on what the session was before.
func TestCharacterSetsHaveNoHistory(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		number := func(c *backend.Conn) uint16 {
			t.Helper()
			r, _ := relay(t, c, com("SELECT 'a'"))
			return r.columns[0][0].Collation
		}
		fresh, used := b.dial(), b.dial()
		latin := backend.State{CharsetClient: backend.Want("latin1"), CharsetResults: backend.Want("latin1"), Collation: backend.Want("latin1_bin")}
		for _, s := range []backend.State{latin, {CharsetResults: backend.Want("latin1")}, {}} {
			if err := used.Sync(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if a, b := number(fresh), number(used); a != b {
			t.Errorf("collation number %d, and %d after other settings", a, b)
		}
	})
}

// sessionOf returns the session's state as the server sees it.
func sessionOf(t *testing.T, c *backend.Conn) string {
	t.Helper()
	isolation := "@@transaction_isolation"
	if c.Flavor() == xamysql.FlavorMariaDB {
		isolation = "@@tx_isolation"
	}
	replies, err := c.Exchange(t.Context(), query("SELECT COALESCE(DATABASE(),'NULL'),@@character_set_client,COALESCE(@@character_set_results,'NULL'),@@collation_connection,@@sql_mode,@@time_zone,"+isolation))
	if err != nil || replies[0].Results[0].Err != nil {
		t.Fatal(replies, err)
	}
	s := ""
	for i, f := range replies[0].Results[0].Rows[0] {
		if i > 0 {
			s += "|"
		}
		// Results may arrive in latin1.
		for _, r := range []byte(*f) {
			if r >= 0x80 && c.State().CharsetResults == backend.Want("") {
				s += string(rune(r))
			} else {
				s += string([]byte{r})
			}
		}
	}
	return s
}

func TestSyncRefusesWhatIsNotAValue(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		for _, s := range []backend.State{
			{SQLMode: backend.Want("', sql_log_bin='0")}, {TimeZone: backend.Want("'")}, {TimeZone: backend.Want("")}, {Isolation: backend.Want("CHAOS")},
			{CharsetClient: backend.Want("utf8mb4' ")}, {Collation: backend.Want("")}, {Schema: "a\x00b"}, {SQLMode: backend.Want("ANSI\\")},
		} {
			if err := c.Sync(t.Context(), s); !errors.Is(err, backend.ErrValue) || xa.EffectOf(err) != xa.EffectNone {
				t.Errorf("%+v: %v", s, err)
			}
		}
		if !c.Reusable() {
			t.Error("nothing was sent, yet the connection is dirty")
		}
		var e *wire.ServerError
		if err := c.Sync(t.Context(), backend.State{Schema: "no_such_schema", TimeZone: backend.Want("+01:00")}); !errors.As(err, &e) || e.Number != 1049 {
			t.Errorf("unknown schema: %v", err)
		}
		if c.Reusable() {
			t.Error("the state is unknown, yet the connection is reusable")
		}
		if err := c.Sync(t.Context(), backend.State{}); err != nil || !c.Reusable() {
			t.Errorf("back to the known state: %v", err)
		}
		if ask(t, c, "SELECT @@time_zone") == "+01:00" {
			t.Error("the time zone stayed")
		}
	})
}

func TestForeignChangeOfAVariableIsNoticed(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.exec("DROP PROCEDURE IF EXISTS backend.sneak", "CREATE PROCEDURE backend.sneak() SET SESSION group_concat_max_len=77")
		for _, sql := range []string{"SET SESSION group_concat_max_len=77", "CALL backend.sneak()", "SET NAMES latin1", "SET autocommit=0"} {
			c := b.dial()
			relay(t, c, com(sql))
			if c.Reusable() {
				t.Errorf("%s went unnoticed", sql)
			}
		}
		c := b.dial()
		for _, sql := range []string{"SELECT 1", "BEGIN", "COMMIT", "DO 1", "CREATE TABLE IF NOT EXISTS backend.e (id INT PRIMARY KEY)", "SHOW WARNINGS"} {
			relay(t, c, com(sql))
			if !c.Reusable() && sql != "BEGIN" {
				t.Errorf("%s counts as a change", sql)
			}
		}
	})
}

func TestKillQueryEndsTheStatementAndTheReuse(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		for range 2 { // each KILL ends one statement
			killed := make(chan error, 1)
			go func() {
				waitFor(t, func() bool {
					var n int
					b.db.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE id=? AND info LIKE '%SLEEP%'", c.Session().Conn).Scan(&n)
					return n > 0
				})
				killed <- c.KillQuery(context.Background())
			}()
			began := time.Now()
			// MySQL's SLEEP returns 1 when it is killed, in a longer statement the error comes.
			_, res := relay(t, c, com("SELECT SLEEP(20) FROM "+digits+" x"))
			if time.Since(began) > 15*time.Second {
				t.Error("the statement was not killed")
			}
			t.Logf("%+v", res.Err)
			if err := <-killed; err != nil {
				t.Fatal(err)
			}
			if c.Reusable() {
				t.Error("KILL was aimed at the connection, yet it is reusable")
			}
			if err := c.Ping(t.Context()); err != nil && !c.Broken() {
				t.Error(err)
			}
		}
		if err := c.KillQuery(t.Context()); err != nil {
			t.Errorf("kill without a statement: %v", err)
		}
		if _, res := relay(t, c, com("SELECT 1")); res.Err != nil {
			t.Errorf("behind a KILL that came too late: %v", res.Err)
		}
		c.Close()
		c.Close()
	})
}

func TestRelayDoesNotAllocatePerRow(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		c := b.dial()
		sql := com("SELECT a.d,b.d,c.d,d.d FROM " + digits + " a," + digits + " b," + digits + " c," + digits + " d")
		relay(t, c, sql)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, _ := relay(t, c, sql)
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; n > 2000 || r.rows != 10000 {
			t.Errorf("%d allocations for %d rows", n, r.rows)
		}
	})
}
