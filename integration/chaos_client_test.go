package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// chaosTxn is a transaction as its client remembers it.
type chaosTxn struct {
	id      int64 // its last digit is 0; rows with other last digits were undone and must never be seen
	proxy   int
	kind    string
	rows    []chaosRow
	began   time.Time
	ended   time.Time
	told    told
	stage   string // the statement that was answered last
	err     error
	gtrid   string   // told by the proxy
	answers []string // of XA OUTCOME
}

// chaosRow is what a transaction does to one account.
type chaosRow struct {
	account int
	delta   int64
	n       int64 // the account's count of changes after this one; 0: not learned
}

func (x *chaosTxn) String() string {
	s := fmt.Sprintf("transaction %d (%s) by proxy %s, %s to %s: rows %v; client was told %s at %q: %v", x.id, x.kind, []string{"a", "b"}[x.proxy],
		x.began.Format("15:04:05.000000"), x.ended.Format("15:04:05.000000"), x.rows, x.told, x.stage, x.err)
	if len(x.answers) > 0 {
		s += fmt.Sprintf("; XA OUTCOME: %q", x.answers)
	}
	return s
}

// Last digits of ids.
const (
	rowReal     = 0
	rowUndone   = 1 // before ROLLBACK TO SAVEPOINT
	rowFailed   = 2 // of a statement that failed
	idsPerRound = int64(1e9)
)

// chaosStorm says whether all clients fight for the same few accounts.
type chaosStorm struct{ on atomic.Bool }

func (s *chaosStorm) blow(ctx context.Context, random *lockedRandom) {
	for ctx.Err() == nil {
		for _, on := range []bool{false, true} {
			s.on.Store(on)
			lasts := random.between(3*time.Second, 12*time.Second)
			if on {
				lasts /= 3
			}
			select {
			case <-ctx.Done():
			case <-time.After(lasts):
			}
		}
	}
}

// chaosSession is one client's connection to one proxy, which it keeps while it works.
type chaosSession struct {
	db   *sql.DB
	conn *sql.Conn
	stmt map[string]*sql.Stmt
}

func (s *chaosSession) close() {
	if s.conn != nil {
		discard(s.conn)
		s.conn = nil
	}
}

// dial connects unless there is a connection.
func (s *chaosSession) dial(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	conn, err := s.db.Conn(ctx)
	s.conn, s.stmt = conn, map[string]*sql.Stmt{}
	if err != nil {
		s.conn = nil
	}
	return err
}

// exec executes a statement as text, or prepared where it has arguments, and keeps prepared ones for the next time.
func (s *chaosSession) exec(ctx context.Context, q string, args ...any) (int64, error) {
	var result sql.Result
	var err error
	if len(args) == 0 {
		result, err = s.conn.ExecContext(ctx, q)
	} else {
		if s.stmt[q] == nil {
			if s.stmt[q], err = s.conn.PrepareContext(ctx, q); err != nil {
				delete(s.stmt, q)
				return 0, err
			}
		}
		result, err = s.stmt[q].ExecContext(ctx, args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// client does transactions until ctx ends, each by a proxy of its choice. A transaction that has begun is ended.
func (w *chaos) client(ctx context.Context, storm *chaosStorm, number int) {
	sessions := make([]*chaosSession, len(w.proxies))
	for i, p := range w.proxies {
		db := p.open("", "timeout=2s&readTimeout=30s")
		sessions[i] = &chaosSession{db: db}
		defer db.Close()
		defer sessions[i].close()
	}
	for i := 1; ctx.Err() == nil; i++ {
		x := &chaosTxn{
			id:    1e11 + int64(w.round)*idsPerRound + int64(number)*1e7 + int64(i)*10,
			proxy: w.random.IntN(len(w.proxies)), began: time.Now(),
		}
		w.choose(x, storm.on.Load())
		w.mu.Lock()
		w.txns = append(w.txns, x)
		w.mu.Unlock()
		s := sessions[x.proxy]
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 40*time.Second)
		w.do(call, s, x)
		x.ended = time.Now()
		w.figures.ended(x)
		if x.err != nil || w.random.chance(10) {
			s.close()
		}
		if x.told == toldNothing && x.gtrid != "" {
			w.askFor(call, x)
		}
		cancel()
		if n := errorNumber(x.err); x.err != nil && (n == 0 || n == codeDown || n > 17000) { // what is down refuses at once
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// choose says which accounts a transaction changes.
func (w *chaos) choose(x *chaosTxn, storm bool) {
	count := 2 + w.random.IntN(2)
	if w.random.chance(15) {
		count = 1
	}
	first := w.random.IntN(len(w.shards))
	used := map[int]bool{}
	for i := range count {
		ids := w.on((first + i) % len(w.shards))
		if w.random.chance(20) {
			ids = w.on(first) // more than one on a shard
		}
		if storm {
			ids = ids[:2]
		}
		id := ids[w.random.IntN(len(ids))]
		if used[id] {
			continue
		}
		used[id] = true
		x.rows = append(x.rows, chaosRow{account: id})
	}
	if w.random.chance(50) {
		slices.SortFunc(x.rows, func(a, b chaosRow) int { return a.account - b.account })
	}
	for i := range x.rows[1:] {
		d := int64(1 + w.random.IntN(100))
		x.rows[0].delta -= d
		x.rows[i+1].delta += d
	}
	x.kind = "transfer"
	switch r := w.random.IntN(100); {
	case r < 12:
		x.kind = "note"
	case r < 32:
		x.kind = "prepared"
	case r < 42:
		x.kind = "savepoint"
	case r < 50:
		x.kind = "failing statement"
	case r < 55:
		x.kind = "rollback"
	case r < 58:
		x.kind = "vanish"
	case r < 61:
		x.kind = "impatient"
	}
}

// do executes a transaction and fills in how it ended for the client.
func (w *chaos) do(ctx context.Context, s *chaosSession, x *chaosTxn) {
	x.told = toldAborted // until COMMIT is sent nothing can happen
	if x.stage, x.err = "login", s.dial(ctx); x.err != nil {
		return
	}
	if x.kind == "note" {
		w.conclude(x, w.note(ctx, s, x))
		return
	}
	if x.err = w.work(ctx, s, x); x.err != nil {
		_, _ = s.exec(ctx, "ROLLBACK")
		return
	}
	switch x.kind {
	case "rollback":
		x.stage = "ROLLBACK"
		_, x.err = s.exec(ctx, "ROLLBACK")
		return
	case "vanish":
		x.stage = "vanished"
		s.close()
		return
	case "impatient":
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.random.between(0, 40*time.Millisecond))
		defer cancel()
	}
	x.stage = "COMMIT"
	_, err := s.exec(ctx, "COMMIT")
	w.conclude(x, err)
}

// conclude reads the answer to the statement that commits.
func (w *chaos) conclude(x *chaosTxn, err error) {
	x.err, x.told = err, toldNothing
	if err == nil {
		x.told = toldCommitted
		return
	}
	x.gtrid = gtridText.FindString(err.Error())
	switch n := errorNumber(err); n {
	case 0, codeUnknown:
	case codeHeuristic:
		w.violate(x, "a server committed by itself")
	case codeDeadlock, codeAborted, codeDown, 17031, 17032, 17040, 1053:
		x.told = toldAborted
	default:
		if x.kind == "note" { // a statement that a server or the proxy refused
			x.told = toldAborted
		}
	}
}

// note inserts a row for each account by one statement that commits by itself.
func (w *chaos) note(ctx context.Context, s *chaosSession, x *chaosTxn) error {
	x.stage = "INSERT"
	var values []string
	for i := range x.rows {
		x.rows[i].delta = 0
		values = append(values, fmt.Sprintf("(%d,%d)", x.rows[i].account, x.id))
	}
	n, err := s.exec(ctx, "INSERT INTO bank.note (account,txn) VALUES "+strings.Join(values, ","))
	if err == nil && n != int64(len(values)) {
		w.violate(x, "%d rows were inserted, %d affected", len(values), n)
	}
	return err
}

// work is everything between BEGIN and the end.
func (w *chaos) work(ctx context.Context, s *chaosSession, x *chaosTxn) error {
	if _, err := s.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	for i := range x.rows {
		if err := w.change(ctx, s, x, &x.rows[i]); err != nil {
			return err
		}
	}
	if x.kind == "savepoint" {
		if err := w.undo(ctx, s, x); err != nil {
			return err
		}
	}
	if err := w.book(ctx, s, x); err != nil {
		return err
	}
	if x.kind == "failing statement" {
		return w.failStatement(ctx, s, x)
	}
	return nil
}

// change moves money and learns which change of the account this is.
func (w *chaos) change(ctx context.Context, s *chaosSession, x *chaosTxn, row *chaosRow) error {
	x.stage = fmt.Sprintf("UPDATE of %d", row.account)
	var affected int64
	var err error
	if x.kind == "prepared" {
		affected, err = s.exec(ctx, "UPDATE bank.account SET balance=balance+?, n=n+1 WHERE id=?", row.delta, row.account)
	} else {
		affected, err = s.exec(ctx, fmt.Sprintf("UPDATE bank.account SET balance=balance+(%d), n=n+1 WHERE id=%d", row.delta, row.account))
	}
	if err != nil {
		return err
	}
	if affected != 1 {
		w.violate(x, "an UPDATE of account %d affected %d rows", row.account, affected)
		return errors.New("wrong count of affected rows")
	}
	x.stage = fmt.Sprintf("SELECT of %d", row.account)
	err = s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT n FROM bank.account WHERE id=%d /* %d */", row.account, x.id)).Scan(&row.n)
	if errors.Is(err, sql.ErrNoRows) {
		w.violate(x, "account %d is not found", row.account)
	}
	return err
}

// undo inserts rows and takes them back by a savepoint.
func (w *chaos) undo(ctx context.Context, s *chaosSession, x *chaosTxn) error {
	x.stage = "savepoint"
	for _, q := range []string{
		"SAVEPOINT here",
		"INSERT INTO bank.ledger (account,txn,delta,n) VALUES " + x.values(rowUndone),
		fmt.Sprintf("UPDATE bank.account SET balance=balance+77 WHERE id=%d", x.rows[len(x.rows)-1].account),
		"ROLLBACK TO SAVEPOINT here",
	} {
		if _, err := s.exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func (x *chaosTxn) values(digit int64) string {
	var all []string
	for _, row := range x.rows {
		all = append(all, fmt.Sprintf("(%d,%d,%d,%d)", row.account, x.id+digit, row.delta, row.n))
	}
	return strings.Join(all, ",")
}

// book writes the ledger: one row for each account, by one statement or by one each.
func (w *chaos) book(ctx context.Context, s *chaosSession, x *chaosTxn) error {
	x.stage = "INSERT"
	const insert = "INSERT INTO bank.ledger (account,txn,delta,n) VALUES "
	if x.kind == "prepared" {
		for _, row := range x.rows {
			if _, err := s.exec(ctx, insert+"(?,?,?,?)", row.account, x.id, row.delta, row.n); err != nil {
				return err
			}
		}
		return nil
	}
	n, err := s.exec(ctx, insert+x.values(rowReal))
	if err == nil && n != int64(len(x.rows)) {
		w.violate(x, "%d rows were inserted, %d affected", len(x.rows), n)
	}
	return err
}

// failStatement inserts rows of which the last is there already: none of them must stay, and the transaction goes on.
func (w *chaos) failStatement(ctx context.Context, s *chaosSession, x *chaosTxn) error {
	x.stage = "failing INSERT"
	last := x.rows[len(x.rows)-1]
	_, err := s.exec(ctx, fmt.Sprintf("INSERT INTO bank.ledger (account,txn,delta,n) VALUES %s,(%d,%d,0,0)", x.values(rowFailed), last.account, x.id))
	switch {
	case err == nil:
		w.violate(x, "a key was inserted twice")
	case errorNumber(err) == 1062:
		return nil
	}
	return err
}

// canary updates a row of its own by one proxy on one shard. What it waits while neither has been touched for a while
// is what the faults of others cost it.
func (w *chaos) canary(ctx context.Context, proxy, shard int) {
	db := w.proxies[proxy].open("", "timeout=2s&readTimeout=30s")
	defer db.Close()
	db.SetMaxOpenConns(1)
	id := w.on(shard)[proxy]
	q := fmt.Sprintf("UPDATE bank.canary SET n=n+1 WHERE id=%d", id)
	var served time.Time // when it was answered last
	for ctx.Err() == nil {
		began := time.Now()
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 40*time.Second)
		_, err := db.ExecContext(call, q)
		cancel()
		calm := w.quiet(proxy, shard, served)
		if err == nil {
			served = time.Now()
		}
		if calm {
			w.figures.unaffected(time.Since(began), err, fmt.Sprintf("proxy %d, shard %d", proxy, shard))
		}
		select {
		case <-ctx.Done():
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// chaosBusy says since when something has been left alone.
type chaosBusy struct {
	mu     sync.Mutex
	held   bool      // by a fault that bears no other
	shares int       // by faults that do
	until  time.Time // when the last fault was over; the zero time while there was none
}

// take makes it the caller's to torment, or returns false.
func (b *chaosBusy) take(shared bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case shared:
		b.shares++
	case b.held:
		return false
	default:
		b.held = true
	}
	return true
}

func (b *chaosBusy) giveBack(shared, struck bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if shared {
		b.shares--
	} else {
		b.held = false
	}
	if struck {
		b.until = time.Now()
	}
}

func (b *chaosBusy) quietSince() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held || b.shares > 0 {
		return time.Now().Add(time.Hour)
	}
	return b.until
}

// quiet reports whether proxy and shard have been left alone since they served last, until now, and for some time before
// that. Until they serve again they are affected by what was done to them.
func (w *chaos) quiet(proxy, shard int, served time.Time) bool {
	from := served.Add(-2 * time.Second)
	return w.proxies[proxy].busy.quietSince().Before(from) && w.shards[shard].busy.quietSince().Before(from)
}
