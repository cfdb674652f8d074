package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch"
)

// get returns the status of a page of a proxy's http port, 0 when there is none.
func (p *proxyProcess) get(path string) (int, string) {
	client := http.Client{Timeout: 5 * time.Second}
	r, err := client.Get("http://" + p.httpAddr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

// TestDrainSaysSoFirst: /readyz turns before a client is closed, /livez stays, an open transaction is finished, an idle
// client is closed, nobody new is let in, and the exit status is 0.
func TestDrainSaysSoFirst(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	p := c.newProxy(t, "p", proxySettings{node: 1, more: "drain: { delay: 1s, limit: 20s }\n"})
	p.up()
	bank := newBank(t, c, p)
	before := bank.mustBalances(t)
	if status, text := p.get("/readyz"); status != 200 {
		t.Fatalf("/readyz: %d %s", status, text)
	}
	dsn := "app:" + appPassword + "@tcp(" + p.data + ")/"
	open, endOpen, err := dial(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer endOpen()
	idle, endIdle, err := dial(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer endIdle()
	if err := runAll(t.Context(), open, "BEGIN", fmt.Sprintf("UPDATE bank.account SET balance=balance-1 WHERE id=%d", bank.ids[0])); err != nil {
		t.Fatal(err)
	}
	if _, err := p.admin().Exec("DRAIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := poll(t.Context(), 900*time.Millisecond, func(context.Context) error {
		if status, text := p.get("/readyz"); status != 503 || text != "draining\n" {
			return fmt.Errorf("/readyz: %d %s", status, text)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := runAll(t.Context(), idle, "DO 1"); err != nil {
		t.Errorf("a client was closed before drain.delay was over: %v", err)
	}
	time.Sleep(1200 * time.Millisecond)
	if err := runAll(t.Context(), idle, "DO 1"); err == nil {
		t.Error("an idle client is served after drain.delay")
	}
	if conn, err := net.Dial("tcp", p.data); err == nil {
		_ = conn.Close()
		t.Error("clients are let in")
	}
	if status, _ := p.get("/livez"); status != 200 {
		t.Errorf("/livez: %d", status)
	}
	var n int
	if err := p.admin().QueryRow("SELECT 1").Scan(&n); err != nil {
		t.Errorf("the admin port while a transaction is open: %v", err)
	}
	if err := runAll(t.Context(), open, fmt.Sprintf("UPDATE bank.account SET balance=balance+1 WHERE id=%d", bank.ids[1]), "COMMIT"); err != nil {
		t.Errorf("the open transaction: %v", err)
	}
	if text, err := p.ends(15 * time.Second); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	if after := bank.mustBalances(t); after[0] != before[0]-1 || after[1] != before[1]+1 {
		t.Errorf("%v, then %v", before, after)
	}
}

// TestRollingRestart: two proxies are restarted in turn under load, by clients that connect again; no transaction fails.
func TestRollingRestart(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	var proxies [2]*proxyProcess
	for i := range proxies {
		proxies[i] = c.newProxy(t, fmt.Sprintf("p%d", i), proxySettings{node: i + 1})
		proxies[i].up()
	}
	bank := newBank(t, c, proxies[0])
	db := eitherOf(t, proxies)
	ctx, stop := context.WithCancel(t.Context())
	var transactions, again atomic.Int64
	failed := make(chan error, 1000)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				begun, err := bank.randomTransfer(db)
				switch {
				case err == nil:
					transactions.Add(1)
				case begun:
					select {
					case failed <- err:
					default:
					}
				default:
					again.Add(1) // nothing had begun: the client connects anew
				}
			}
		})
	}
	const rounds = 5
	for round := range rounds {
		for _, p := range proxies {
			time.Sleep(500 * time.Millisecond)
			if err := p.stop(); err != nil {
				t.Errorf("round %d, %s: %v\n%s", round, p.name, err, p.logTail(20))
			}
			p.up()
		}
	}
	stop()
	clients.Wait()
	close(failed)
	for err := range failed {
		t.Errorf("a transaction failed: %v", err)
	}
	if transactions.Load() < 100 {
		t.Errorf("only %d transactions", transactions.Load())
	}
	t.Logf("%d restarts of a proxy, %d transactions, %d were begun anew, 0 may fail", 2*rounds, transactions.Load(), again.Load())
	mustSettle(t, bank, proxies[0])
}

// eitherOf connects to whichever of the proxies answers.
func eitherOf(t *testing.T, proxies [2]*proxyProcess) *sql.DB {
	t.Helper()
	var turn atomic.Uint32
	name := "either" + proxies[0].data
	mysql.RegisterDialContext(name, func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		var errs error
		n := turn.Add(1)
		for i := range uint32(2) {
			conn, err := d.DialContext(ctx, "tcp", proxies[(n+i)%2].data)
			if err == nil {
				return conn, nil
			}
			errs = errors.Join(errs, err)
		}
		return nil, errs
	})
	t.Cleanup(func() { mysql.DeregisterDialContext(name) })
	return openAt(t, "app:"+appPassword+"@"+name+"(proxies)/?timeout=5s&readTimeout=20s")
}

// randomTransfer moves 1 from a random account to another one. Without begun nothing of it has happened.
func (b *bank) randomTransfer(db *sql.DB) (begun bool, err error) {
	tx, err := db.Begin()
	if err != nil {
		return false, err
	}
	from, to := b.more[0][rand.IntN(len(b.more[0]))], b.more[1][rand.IntN(len(b.more[1]))]
	for _, q := range []string{
		fmt.Sprintf("UPDATE bank.account SET balance=balance-1 WHERE id=%d", from),
		fmt.Sprintf("UPDATE bank.account SET balance=balance+1 WHERE id=%d", to),
	} {
		if _, err := tx.Exec(q); err != nil {
			_ = tx.Rollback()
			return true, fmt.Errorf("%s: %w", q, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return true, fmt.Errorf("COMMIT: %w", err)
	}
	return true, nil
}
