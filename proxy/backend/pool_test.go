package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// shard is a scripted server behind net.Pipe: it logs everybody in, keeps no
// data and knows BEGIN, COMMIT and an error.
type shard struct {
	t  *testing.T
	wg sync.WaitGroup
	// states is what the pool's OnState was told.
	states chan bool

	mu    sync.Mutex
	err   error // of the next dials
	dials int
	pings int
	next  uint32
	ends  []net.Conn // the server's ends
}

func (s *shard) dial(ctx context.Context, o Options) (*Conn, error) {
	s.mu.Lock()
	s.dials++
	err := s.err
	s.next++
	id := s.next
	left, right := net.Pipe()
	if err == nil {
		s.ends = append(s.ends, right)
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.wg.Go(func() { s.serve(right, id) })
	c, err := handshake(ctx, left, o)
	if err != nil {
		return nil, err
	}
	if err := c.prepareSession(ctx); err != nil {
		return nil, err
	}
	c.ready = true
	return c, nil
}

func (s *shard) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// cut ends all connections.
func (s *shard) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.ends {
		c.Close()
	}
	s.ends = nil
}

func (s *shard) counts() (dials, pings int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials, s.pings
}

func (s *shard) serve(nc net.Conn, id uint32) {
	defer nc.Close()
	r, w := wire.NewReader(nc, 1<<20), wire.NewWriter(nc)
	phase, greeting := wire.NewServerPhase(wire.ServerOptions{Version: "10.11.0-MariaDB", ConnectionID: id, Private: true,
		Password: func(string) (string, bool) { return "", true }})
	if phase.Run(greeting, r, w, nil) != nil {
		return
	}
	caps := phase.Login().Capabilities
	status := wire.StatusAutocommit
	ok := func() error { return w.Write(wire.AppendOK(nil, caps, wire.OK{Status: status})) }
	for err := ok(); err == nil && w.Flush() == nil; {
		r.SetSequence(0)
		p, readErr := r.Read()
		if readErr != nil || wire.Command(p[0]) == wire.ComQuit {
			return
		}
		w.SetSequence(r.Sequence())
		sql := string(p[1:])
		switch {
		case wire.Command(p[0]) == wire.ComPing:
			s.mu.Lock()
			s.pings++
			s.mu.Unlock()
			err = ok()
		case strings.Contains(sql, "CONNECTION_ID"):
			for _, p := range [][]byte{wire.AppendColumnCount(nil, 2), wire.AppendColumn(nil, wire.Column{}), wire.AppendColumn(nil, wire.Column{}),
				wire.AppendText(wire.AppendText(nil, fmt.Sprint(id)), "5"), wire.AppendEnd(nil, caps, wire.OK{Status: status})} {
				err = w.Write(p)
			}
		case sql == "file":
			w.Write([]byte("\xfb/etc/passwd"))
			w.Flush()
			r.SetSequence(w.Sequence())
			if p, err := r.Read(); err != nil || len(p) != 0 {
				s.t.Errorf("client sent %q, %v", p, err)
			}
			w.SetSequence(r.Sequence())
			err = ok()
		case sql == "old":
			// A result set with EOF packets.
			old := caps &^ wire.DeprecateEOF
			for _, p := range [][]byte{wire.AppendColumnCount(nil, 1), wire.AppendColumn(nil, wire.Column{}), wire.AppendEOF(nil, status, 0),
				wire.AppendText(nil, "row"), {0xfe, 5, 0, 0, 0, 0, 0, 0, 0, 'l', 'o', 'n', 'g', '.'}, wire.AppendEnd(nil, old, wire.OK{Status: status, Warnings: 2})} {
				err = w.Write(p)
			}
		case sql == "bye":
			// What a server says when it ends an idle session.
			w.SetSequence(0)
			err = w.Write(wire.AppendError(nil, &wire.ServerError{Number: 4031, State: "HY000"}))
		case sql == "error":
			err = w.Write(wire.AppendError(nil, &wire.ServerError{Number: 1064, State: "42000"}))
		default:
			switch sql {
			case "BEGIN":
				status |= wire.StatusInTrans
			case "COMMIT":
				status &^= wire.StatusInTrans
			}
			err = ok()
		}
	}
}

// inBubble runs a test in virtual time with a pool of at most 2 connections.
func inBubble(t *testing.T, test func(t *testing.T, s *shard, p *Pool)) {
	synctest.Test(t, func(t *testing.T) {
		s := &shard{t: t, states: make(chan bool, 10)}
		p := newPool(Options{Shard: 3, Name: "s3", Network: "unix", Lease: 9 * time.Second},
			PoolOptions{MaxConns: 2, Wait: time.Second, Log: slog.New(slog.DiscardHandler), OnState: func(up bool) { s.states <- up }}, s.dial)
		defer func() {
			s.cut()
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := p.Close(ctx); err != nil {
				t.Error(err)
			}
			s.wg.Wait()
		}()
		test(t, s, p)
	})
}

func get(t *testing.T, p *Pool) *Conn {
	t.Helper()
	c, err := p.Get(t.Context(), State{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t *testing.T, c *Conn, sql string) {
	t.Helper()
	if _, err := c.Exchange(t.Context(), xamysql.Command{SQL: sql}); err != nil {
		t.Fatal(err)
	}
}

func TestWaitersAreServedInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		one, two := get(t, p), get(t, p)
		served := make(chan int, 3)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				c, err := p.Get(t.Context(), State{})
				if err != nil {
					t.Error(err)
					return
				}
				served <- i
				synctest.Wait()
				p.Put(c)
			})
			synctest.Wait()
		}
		if st := p.Stats(); st.Waiting != 3 || st.InUse != 2 {
			t.Errorf("%+v", st)
		}
		p.Put(one)
		wg.Wait()
		for i := range 3 {
			if got := <-served; got != i {
				t.Errorf("waiter %d was served as number %d", got, i)
			}
		}
		p.Put(two)
		if st := p.Stats(); st.Dials != 2 || st.Idle != 2 || st.InUse != 0 || st.Waits != 3 {
			t.Errorf("%+v", st)
		}
	})
}

func TestWaitIsBoundedAndSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		one := get(t, p)
		time.Sleep(3 * time.Second)
		two := get(t, p)
		_, err := p.Get(t.Context(), State{})
		var busy *BusyError
		if !errors.As(err, &busy) || busy.Max != 2 || busy.Oldest != 4*time.Second || busy.Waited != time.Second || busy.Shard != 3 || xa.EffectOf(err) != xa.EffectNone {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := p.Get(ctx, State{}); !errors.Is(err, context.DeadlineExceeded) || xa.EffectOf(err) != xa.EffectNone {
			t.Errorf("%v", err)
		}
		if st := p.Stats(); st.Waiting != 0 || st.WaitTimeouts != 1 {
			t.Errorf("%+v", st)
		}
		p.Put(one)
		p.Put(two)
	})
}

func TestDirtyConnectionsAreClosed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		for name, spoil := range map[string]func(c *Conn){
			"in a transaction": func(c *Conn) { send(t, c, "BEGIN") },
			"pinned":           func(c *Conn) { c.Pin() },
			"broken":           func(c *Conn) { c.Close() },
			"unknown state":    func(c *Conn) { c.unknown = true },
			"killed":           func(c *Conn) { k := c.kill.Load(); k.started.Store(true); k.finish() },
			"autocommit off":   func(c *Conn) { c.status &^= wire.StatusAutocommit },
		} {
			c := get(t, p)
			spoil(c)
			p.Put(c)
			p.Put(c)
			if st := p.Stats(); st.Open != 0 || !c.Broken() {
				t.Errorf("%s: %+v", name, st)
			}
		}
		c := get(t, p)
		send(t, c, "BEGIN")
		send(t, c, "COMMIT")
		p.Put(c)
		if st := p.Stats(); st.Idle != 1 {
			t.Errorf("clean: %+v", st)
		}
	})
}

func TestConnectionBehindAnErrorIsAskedBeforeReuse(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		c := get(t, p)
		send(t, c, "error")
		p.Put(c)
		synctest.Wait()
		if _, pings := s.counts(); pings != 1 || p.Stats().Idle != 1 {
			t.Errorf("%d pings, %+v", pings, p.Stats())
		}
		// The error hid that a transaction is open.
		c = get(t, p)
		send(t, c, "BEGIN")
		send(t, c, "error")
		c.status &^= wire.StatusInTrans
		p.Put(c)
		synctest.Wait()
		if st := p.Stats(); st.Open != 0 || st.Dropped != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestIdleConnectionsArePingedWithinTheLease(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		c := get(t, p)
		p.Put(c)
		time.Sleep(61 * time.Second) // between two rounds of pings
		if dials, pings := s.counts(); dials != 1 || pings < 60/5 || pings > 60/3 {
			t.Errorf("%d dials, %d pings", dials, pings)
		}
		if get(t, p) != c {
			t.Error("another connection")
		}
		p.Put(c)
		// The server goes away and comes back.
		s.cut()
		time.Sleep(4 * time.Second)
		if st := p.Stats(); st.Idle != 1 || st.Dropped != 1 || st.Dials != 2 {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * DefaultIdleTime)
		if st := p.Stats(); st.Open != 0 || st.Down {
			t.Errorf("nobody used it: %+v", st)
		}
	})
}

func TestShardThatIsDownIsNotHammered(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		refused := errors.New("connection refused")
		s.fail(refused)
		for range 1000 {
			_, err := p.Get(t.Context(), State{})
			var down *DownError
			if !errors.As(err, &down) || !errors.Is(err, refused) || down.Shard != 3 || xa.EffectOf(err) != xa.EffectNone {
				t.Fatal(err)
			}
		}
		if dials, _ := s.counts(); dials != 1 {
			t.Errorf("%d dials", dials)
		}
		time.Sleep(10 * time.Second)
		if dials, _ := s.counts(); dials < 10 || dials > 30 || !p.Stats().Down {
			t.Errorf("%d dials in 10 s", dials)
		}
		s.fail(nil)
		time.Sleep(probeLast + time.Millisecond)
		p.Put(get(t, p))
		if up := []bool{<-s.states, <-s.states}; up[0] || !up[1] || p.Stats().Down {
			t.Errorf("states %v", up)
		}
	})
}

func TestWaitersLearnThatTheShardWentDown(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		one, two := get(t, p), get(t, p)
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := p.Get(t.Context(), State{})
				errs <- err
			}()
		}
		synctest.Wait()
		s.fail(errors.New("refused"))
		s.cut()
		if err := one.Ping(t.Context()); err == nil {
			t.Error("cut, yet it answers")
		}
		p.Put(one) // hands the first waiter the right to dial
		for range 2 {
			var down *DownError
			if err := <-errs; !errors.As(err, &down) {
				t.Error(err)
			}
		}
		two.Close()
		p.Put(two)
		s.fail(nil)
		time.Sleep(time.Second)
	})
}

func TestFullServerIsNotDown(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		s.fail(&wire.ServerError{Number: 1040, State: "08004", Message: "Too many connections"})
		var down *DownError
		if _, err := p.Get(t.Context(), State{}); !errors.As(err, &down) {
			t.Error(err)
		}
		s.fail(nil)
		p.Put(get(t, p))
	})
}

func TestCallersContextDoesNotMakeAShardDown(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Get(ctx, State{}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if st := p.Stats(); st.Down || st.Open != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestStateDecidesWhichConnectionIsTaken(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		a, b := get(t, p), get(t, p)
		for c, schema := range map[*Conn]string{a: "a", b: "b"} {
			if err := c.Sync(t.Context(), State{Schema: schema}); err != nil {
				t.Fatal(err)
			}
		}
		p.Put(a)
		p.Put(b)
		c, err := p.Get(t.Context(), State{Schema: "a"})
		if err != nil || c != a {
			t.Errorf("not the one with schema a, %v", err)
		}
		p.Put(a)
		// Without a schema neither fits: one gives way to a new one.
		c = get(t, p)
		if c == a || c == b || c.State().Schema != "" {
			t.Error("a schema where none is wanted")
		}
		other, err := p.Get(t.Context(), State{Schema: "c"})
		if err != nil || other != a {
			t.Errorf("%v", err)
		}
		// A waiter without schema gets no connection with one either.
		got := make(chan *Conn, 1)
		go func() {
			c, err := p.Get(t.Context(), State{})
			if err != nil {
				t.Error(err)
			}
			got <- c
		}()
		synctest.Wait()
		p.Put(other)
		third := <-got
		if third == other || third.State().Schema != "" {
			t.Error("waiter got a schema")
		}
		p.Put(third)
		p.Put(c)
	})
}

func TestCloseWaitsForWhatIsInUse(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		c := get(t, p)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if _, err := p.Get(t.Context(), State{}); !errors.Is(err, ErrClosed) || xa.EffectOf(err) != xa.EffectNone {
			t.Errorf("%v", err)
		}
		go func() {
			time.Sleep(time.Minute)
			p.Put(c)
		}()
		began := time.Now()
		if err := p.Close(t.Context()); err != nil || time.Since(began) != time.Minute || !c.Broken() {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// count is a Sink that counts rows.
type count struct{ rows int }

func (n *count) Columns([][]byte) error  { return nil }
func (n *count) Row([]byte) error        { n.rows++; return nil }
func (n *count) End(wire.OK, bool) error { return nil }

func TestRequestForAFileGetsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		c := get(t, p)
		res, err := c.Relay(t.Context(), []byte("\x03file"), discard{})
		if err != nil || res.Err == nil || res.Err.Number != 1148 {
			t.Errorf("%+v, %v", res, err)
		}
		send(t, c, "SELECT 1")
		p.Put(c)
	})
}

func TestServerWithoutDeprecateEOF(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		c := get(t, p)
		c.caps &^= wire.DeprecateEOF
		var rows count
		res, err := c.Relay(t.Context(), []byte("\x03old"), &rows)
		if err != nil || rows.rows != 2 || res.OK.Warnings != 2 || !c.Reusable() {
			t.Errorf("%+v, %d rows, %v", res, rows.rows, err)
		}
		p.Put(c)
	})
}

func TestFarewellOutOfTurnMeansThatNothingWasDone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		c := get(t, p)
		if _, err := c.Exchange(t.Context(), xamysql.Command{SQL: "bye"}); xa.EffectOf(err) != xa.EffectNone || !c.Broken() {
			t.Errorf("%v", err)
		}
		p.Put(c)
		// Behind an answer it proves nothing.
		c = get(t, p)
		replies, err := c.Exchange(t.Context(), xamysql.Command{SQL: "UPDATE"}, xamysql.Command{SQL: "bye"})
		if len(replies) != 1 || xa.EffectOf(err) != xa.EffectUnknown {
			t.Errorf("%v, %v", replies, err)
		}
		p.Put(c)
	})
}

func TestOwnerWaitsForTheKillThatIsUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, s *shard, p *Pool) {
		c := get(t, p)
		k := c.kill.Load()
		k.started.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Exchange(ctx, xamysql.Command{SQL: "COMMIT"}); !errors.Is(err, context.DeadlineExceeded) || xa.EffectOf(err) != xa.EffectNone || c.Broken() {
			t.Errorf("%v", err)
		}
		go func() {
			time.Sleep(time.Second)
			k.finish()
		}()
		began := time.Now()
		send(t, c, "COMMIT")
		if time.Since(began) != time.Second {
			t.Error("did not wait")
		}
		p.Put(c)
	})
}

func TestCloseIsLeftToTheKillThatIsUnderWay(t *testing.T) {
	k := newKill()
	closed := 0
	k.started.Store(true)
	k.whenQuiet(func() { closed++ })
	if closed != 0 {
		t.Error("closed before KILL's reply")
	}
	k.finish()
	if closed != 1 {
		t.Error("not closed after KILL's reply")
	}
}

func TestDSN(t *testing.T) {
	o, err := ParseDSN("u:p@tcp(db0:3307)/?timeout=3s&tls=skip-verify")
	if err != nil || o.Addr != "db0:3307" || o.User != "u" || o.Password != "p" || o.TLS == nil || o.DialTimeout != 3*time.Second || o.TLSOptional {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = ParseDSN("u@unix(/run/m.sock)/"); err != nil || o.Network != "unix" || o.Addr != "/run/m.sock" || o.TLS != nil {
		t.Errorf("%+v, %v", o, err)
	}
	for _, dsn := range []string{"u@tcp(h)/shop", "u@tcp(h)/?sql_mode=ANSI", "u@other(h)/"} {
		if _, err := ParseDSN(dsn); !errors.Is(err, ErrDSN) {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}
