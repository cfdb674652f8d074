package bank

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

// totals count what was told.
type totals struct {
	committed, aborted, unknown atomic.Int64
	last                        atomic.Pointer[string] // the last error since the last report
}

func (t *totals) String() string {
	s := fmt.Sprintf("committed %d, aborted %d, unknown %d", t.committed.Load(), t.aborted.Load(), t.unknown.Load())
	if last := t.last.Swap(nil); last != nil {
		s += "; last error: " + *last
	}
	return s
}

// record appends entries to the file; each is there before the next transfer of
// its client begins.
type record struct {
	mu   sync.Mutex
	file *os.File
}

func (r *record) add(e Entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err = r.file.Write(append(b, '\n'))
	return err
}

// Run transfers until the time is over or ctx ends. Errors of transfers are
// recorded, not returned.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	f, err := os.OpenFile(o.Record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if o.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Duration)
		defer cancel()
	}
	r := &record{file: f}
	var t totals
	var clients sync.WaitGroup
	failed := make(chan error, o.Clients)
	for i := range o.Clients {
		clients.Go(func() {
			p := &proxies{dsns: o.DSNs, turn: i}
			if err := work(ctx, p, o, r, &t); err != nil {
				failed <- err
			}
		})
	}
	report := time.NewTicker(time.Second)
	defer report.Stop()
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	for {
		select {
		case <-report.C:
			fmt.Fprintln(o.Out, t.String())
		case <-done:
			fmt.Fprintln(o.Out, "ended:", t.String())
			close(failed)
			return errors.Join(<-failed, f.Sync())
		}
	}
}

// work is one client: it connects to the next proxy whenever its connection is
// lost. A transfer that has begun is brought to its end when ctx ends.
func work(ctx context.Context, p *proxies, o Options, r *record, t *totals) error {
	for ctx.Err() == nil {
		db, err := p.open(o.Schema)
		if err != nil {
			return err
		}
		err = serve(ctx, db, o.Accounts, r, t)
		_ = db.Close() // the connection is lost, or the time is over
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// serve transfers on one connection until it is lost. Its error is the record's.
func serve(ctx context.Context, db *sql.DB, accounts int, r *record, t *totals) error {
	life := context.WithoutCancel(ctx)
	conn, err := db.Conn(life)
	if err != nil {
		return nil // the next proxy is tried
	}
	defer conn.Close()
	for ctx.Err() == nil {
		if _, err := conn.ExecContext(life, "BEGIN"); err != nil {
			return nil // nothing has begun
		}
		e, lost := transfer(life, conn, accounts)
		switch e.Told {
		case Committed:
			t.committed.Add(1)
		case Aborted:
			t.aborted.Add(1)
		case Unknown:
			t.unknown.Add(1)
		}
		if e.Error != "" {
			t.last.Store(&e.Error)
		}
		if err := r.add(e); err != nil {
			return fmt.Errorf("record: %w", err)
		}
		if lost {
			return nil
		}
	}
	return nil
}

// transfer moves some cents between two accounts and enters both sides.
func transfer(ctx context.Context, conn *sql.Conn, accounts int) (e Entry, lost bool) {
	e = Entry{Transfer: rand.Text(), Told: Aborted}
	from := 1 + mathrand.IntN(accounts)
	to := 1 + (from+mathrand.IntN(accounts-1))%accounts
	cents := 1 + mathrand.IntN(1000)
	first, second := []any{-cents, from}, []any{cents, to}
	if from > to { // always in one order: transfers do not wait for each other in a circle
		first, second = second, first
	}
	for _, side := range [][]any{first, second} {
		for _, q := range []string{
			fmt.Sprintf("UPDATE account SET cents=cents+(%d) WHERE id=%d", side...),
			fmt.Sprintf("INSERT INTO entry (cents, account, transfer) VALUES (%d,%d,'%s')", side[0], side[1], e.Transfer),
		} {
			if _, err := conn.ExecContext(ctx, q); err != nil {
				e.Error = err.Error()
				_, err := conn.ExecContext(ctx, "ROLLBACK")
				return e, err != nil
			}
		}
	}
	_, err := conn.ExecContext(ctx, "COMMIT")
	if err == nil {
		e.Told = Committed
		return e, false
	}
	e.Error = err.Error()
	var said *mysql.MySQLError
	switch {
	case !errors.As(err, &said):
		e.Told, lost = Unknown, true
	case !definite[said.Number]:
		e.Told, e.Gtrid = Unknown, gtrid.FindString(said.Message)
	}
	return e, lost
}

// definite are the errors of a COMMIT after which nothing has happened anywhere.
var definite = map[uint16]bool{1180: true, 1213: true, 17030: true} //nolint:gochecknoglobals // immutable

var gtrid = regexp.MustCompile(`x1h[0-9a-v]{58}`)
