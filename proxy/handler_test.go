package proxy_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"xaproxy/proxy"
)

type answers struct{ asked, ended chan struct{} }

func (a answers) Query(ctx context.Context, c proxy.Client, q string) (*proxy.Table, error) {
	switch {
	case q == "panic":
		panic("a handler's bug")
	case q == "wait":
		close(a.asked)
		<-ctx.Done()
		close(a.ended)
		return nil, ctx.Err()
	case strings.HasPrefix(q, "fail"):
		return nil, proxy.NewError(17010, "HY000", "guarded")
	case strings.HasPrefix(q, "do"):
		return nil, nil
	}
	return &proxy.Table{
		Columns: []proxy.Column{{Name: "a"}, {Name: "n", Type: proxy.Integer}},
		Rows:    [][]proxy.Value{{proxy.String(c.User.Name), proxy.Uint(7)}, {proxy.Null(), proxy.Null()}},
	}, nil
}

func startHandler(t *testing.T, h proxy.Handler, l proxy.Limits) (*proxy.Server, string) {
	t.Helper()
	s, err := proxy.NewHandlerServer(proxy.Port{Users: proxy.StaticUsers{"app": {Name: "app", Password: "secret", Role: "read"}}, Limits: l}, h)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, proxy.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return s, ln.Addr().String()
}

func openAt(t *testing.T, addr, params string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", "app:secret@tcp("+addr+")/"+params)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestHandlerAnswersTextAndPrepared(t *testing.T) {
	_, addr := startHandler(t, answers{}, proxy.Limits{})
	db := openAt(t, addr, "")
	want := "app,7 NULL,NULL"
	if got := strings.Join(values(t, db, "SHOW IT"), " "); got != want {
		t.Errorf("text: %q", got)
	}
	st, err := db.Prepare("SHOW IT")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := st.Query()
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var a sql.NullString
		var b sql.NullInt64
		if err := rows.Scan(&a, &b); err != nil {
			t.Fatal(err)
		}
		if n == 0 && (a.String != "app" || b.Int64 != 7) || n == 1 && (a.Valid || b.Valid) {
			t.Errorf("prepared row %d: %v %v", n, a, b)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d rows", n)
	}
	if got := number(t, db, "fail"); got != 17010 {
		t.Errorf("error %d", got)
	}
	exec(t, db, "do")
}

func TestPanicEndsOnlyItsSession(t *testing.T) {
	_, addr := startHandler(t, answers{}, proxy.Limits{})
	db := openAt(t, addr, "")
	keep, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("panic"); err == nil {
		t.Error("a panic was answered")
	}
	exec(t, keep, "do")
	exec(t, db, "do")
}

func TestHandlersContextEndsWithTheClient(t *testing.T) {
	a := answers{asked: make(chan struct{}), ended: make(chan struct{})}
	_, addr := startHandler(t, a, proxy.Limits{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-a.asked
		cancel() // the driver closes the connection
	}()
	if _, err := openAt(t, addr, "").ExecContext(ctx, "wait"); err == nil {
		t.Fatal("answered")
	}
	select {
	case <-a.ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the handler still waits")
	}
}

// raw is a client that speaks bytes.
func raw(t *testing.T, addr string, send ...[]byte) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, c, int64(head[0])); err != nil {
		t.Fatal(err)
	}
	for _, b := range send {
		c.Write(b)
	}
	if t, ok := c.(*net.TCPConn); ok && len(send) > 0 && len(send[len(send)-1]) == 0 {
		t.CloseWrite()
	}
	rest, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("the server left the connection open: %v", err)
	}
	return string(rest)
}

func TestBrokenLoginsEndOnlyThemselves(t *testing.T) {
	_, addr := startHandler(t, answers{}, proxy.Limits{Login: time.Second})
	for name, send := range map[string][][]byte{
		"empty packet":     {{0, 0, 0, 1}},
		"garbage":          {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		"truncated login":  {{40, 0, 0, 1, 1, 2, 3}, {}},
		"nothing":          {},
		"huge length":      {{255, 255, 255, 1, 0}},
		"wrong sequence":   {{1, 0, 0, 9, 0}},
		"half a header":    {{1, 0}, {}},
		"short login":      {{4, 0, 0, 1, 0, 2, 0, 0}},
		"mysql 3 protocol": {{5, 0, 0, 1, 0, 0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) { raw(t, addr, send...) })
	}
	exec(t, openAt(t, addr, ""), "do")
}

func TestUnknownUserAndWrongPasswordAreAlike(t *testing.T) {
	_, addr := startHandler(t, answers{}, proxy.Limits{})
	var texts []string
	for _, dsn := range []string{"app:wrong@tcp(" + addr + ")/", "nobody:wrong@tcp(" + addr + ")/"} {
		db, err := sql.Open("mysql", dsn)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Ping()
		if numberOf(t, err) != 1045 {
			t.Errorf("%v", err)
		}
		texts = append(texts, strings.NewReplacer("nobody", "app").Replace(err.Error()))
		db.Close()
	}
	if texts[0] != texts[1] {
		t.Errorf("%q against %q", texts[0], texts[1])
	}
}

func TestOversizeCommandNamesTheLimit(t *testing.T) {
	_, addr := startHandler(t, answers{}, proxy.Limits{PacketBytes: 4096})
	db := openAt(t, addr, "?maxAllowedPacket=1000000")
	_, err := db.Exec("do " + strings.Repeat("x", 10000))
	if err == nil || !strings.Contains(err.Error(), "limits.packet_bytes") {
		t.Errorf("%v", err)
	}
	exec(t, openAt(t, addr, ""), "do") // that connection is closed, the server is not
}

func TestConnectionLimit(t *testing.T) {
	_, addr := startHandler(t, answers{}, proxy.Limits{Connections: 2})
	db := openAt(t, addr, "")
	for range 2 {
		c, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	_, err := db.Conn(context.Background())
	if numberOf(t, err) != 1040 || !strings.Contains(err.Error(), "limits.connections") {
		t.Errorf("%v", err)
	}
}
