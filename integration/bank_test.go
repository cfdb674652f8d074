package integration

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// bank is a table of accounts over the first two shards of a cluster, and one account on each.
type bank struct {
	c     *cluster
	ids   [2]int   // an account on shards 0 and 1
	more  [2][]int // further ones
	total int64
}

const accounts = 60

// newBank makes the table through the proxy and finds out where the accounts are.
func newBank(t *testing.T, c *cluster, p *proxyProcess) *bank {
	t.Helper()
	db := p.open("", "timeout=5s&readTimeout=20s")
	defer db.Close()
	var rows []string
	for id := 1; id <= accounts; id++ {
		rows = append(rows, fmt.Sprintf("(%d,1000000)", id))
	}
	for _, q := range []string{
		"CREATE DATABASE bank",
		"CREATE TABLE bank.account (id INT PRIMARY KEY, balance BIGINT NOT NULL) ENGINE=InnoDB",
		"INSERT INTO bank.account (id, balance) VALUES " + strings.Join(rows, ","),
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v\n%s\n%s", q, err, c.trace(), p.logTail(20))
		}
	}
	b := &bank{c: c}
	n := 0
	for i := range b.more {
		b.more[i] = c.shards[i].ids(t)
		n += len(b.more[i])
		if len(b.more[i]) < 2 {
			t.Fatalf("shard %d holds %d of %d accounts", i, len(b.more[i]), accounts)
		}
		b.ids[i] = b.more[i][0]
	}
	if n != accounts && len(c.shards) == 2 {
		t.Fatalf("%d accounts on the shards, want %d", n, accounts)
	}
	b.total = b.mustSum(t)
	c.resetJournals()
	return b
}

func (s *shard) ids(t testing.TB) []int {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "SELECT id FROM bank.account ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []int
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	return all
}

func (b *bank) mustSum(t testing.TB) int64 {
	t.Helper()
	var sum int64
	for _, s := range b.c.shards[:2] {
		sum += s.mustNumber(t, "SELECT SUM(balance) FROM bank.account")
	}
	return sum
}

// balances reads both accounts at the servers.
func (b *bank) balances(ctx context.Context) ([2]int64, error) {
	var got [2]int64
	for i, s := range b.c.shards[:2] {
		var err error
		if got[i], err = s.number(ctx, fmt.Sprintf("SELECT balance FROM bank.account WHERE id=%d", b.ids[i])); err != nil {
			return got, err
		}
	}
	return got, nil
}

func (b *bank) mustBalances(t testing.TB) [2]int64 {
	t.Helper()
	got, err := b.balances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// told is what a client concluded from the answers it got.
type told uint8

const (
	toldNothing   told = iota // unknown: 17001, or the connection broke at COMMIT
	toldCommitted             // COMMIT was answered OK
	toldAborted               // an error before COMMIT, a definite one at COMMIT, or ROLLBACK
)

func (d told) String() string {
	return [...]string{"unknown", "committed", "aborted"}[d]
}

// answer is what became of a transaction for the client.
type answer struct {
	told  told
	stage string // the statement that was answered last
	err   error
	gtrid string // from the error's text
}

func (a answer) String() string { return fmt.Sprintf("%s at %s: %v", a.told, a.stage, a.err) }

// Error numbers of admin.md.
const (
	codeUnknown   = 17001
	codeHeuristic = 17002
	codeDown      = 17030
	codeAborted   = 1180
	codeDeadlock  = 1213
)

func errorNumber(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

var gtridText = regexp.MustCompile(`x1h[0-9a-v]{58}`)

// conclude reads the answer to COMMIT or ROLLBACK.
func conclude(stage string, err error) answer {
	a := answer{stage: stage, err: err}
	switch {
	case stage != "COMMIT":
		a.told = toldAborted
	case err == nil:
		a.told = toldCommitted
	default:
		a.gtrid = gtridText.FindString(err.Error())
		switch errorNumber(err) {
		case codeDeadlock, codeAborted, codeDown:
			a.told = toldAborted
		}
	}
	return a
}

// transfer moves 1 from the account on shard home to the one on the other shard and ends with the statement end.
// home is the shard that is touched first.
func (b *bank) transfer(ctx context.Context, db *sql.DB, home int, end string) answer {
	conn, err := db.Conn(ctx)
	if err != nil {
		return answer{stage: "login", told: toldAborted, err: err}
	}
	defer func() { // never back to a pool: the next transfer logs in anew
		discard(conn)
	}()
	for _, q := range []string{
		"BEGIN",
		fmt.Sprintf("UPDATE bank.account SET balance=balance-1 WHERE id=%d", b.ids[home]),
		fmt.Sprintf("UPDATE bank.account SET balance=balance+1 WHERE id=%d", b.ids[1-home]),
	} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			_, _ = conn.ExecContext(ctx, "ROLLBACK")
			return answer{stage: q, told: toldAborted, err: err}
		}
	}
	_, err = conn.ExecContext(ctx, end)
	return conclude(end, err)
}

// discard closes a connection instead of giving it back to its pool.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}

// verdict compares what the client was told and what happened to the accounts since before.
func (b *bank) verdict(before, after [2]int64, home int, a answer) (committed bool, err error) {
	moved := before
	moved[home]--
	moved[1-home]++
	switch after {
	case before:
	case moved:
		committed = true
	default:
		return false, fmt.Errorf("MIXED: balances %v before, %v after", before, after)
	}
	switch {
	case errorNumber(a.err) == codeHeuristic:
		return committed, fmt.Errorf("heuristic outcome: %w", a.err)
	case a.told == toldCommitted && !committed, a.told == toldAborted && committed:
		return committed, fmt.Errorf("WRONG ANSWER: client was told %s, committed: %t", a, committed)
	}
	return committed, nil
}

// outcome asks a data port what became of a transaction.
func outcome(ctx context.Context, db *sql.DB, gtrid string) (string, error) {
	rows, err := db.QueryContext(ctx, fmt.Sprintf("XA OUTCOME '%s'", gtrid))
	if err != nil {
		return "", fmt.Errorf("XA OUTCOME: %w", err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var text []string
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		for i, v := range values {
			if !strings.EqualFold(names[i], "gtrid") {
				text = append(text, v.String)
			}
		}
	}
	return strings.ToUpper(strings.Join(text, " ")), rows.Err()
}

// truthful compares XA OUTCOME's answer and what happened.
func truthful(text string, committed bool) error {
	said := strings.Contains(text, "COMMITTED")
	saidAborted := strings.Contains(text, "ABORTED")
	recorded := said || saidAborted
	switch {
	case strings.Contains(text, "NOT RECORDED") || strings.Contains(text, "NOT_RECORDED") || strings.Contains(text, "ENDED"):
		return nil
	case !recorded, said && saidAborted, said != committed:
		return fmt.Errorf("UNTRUTHFUL: XA OUTCOME answers %q, committed: %t", text, committed)
	}
	return nil
}

// prepared fails while a server holds a branch prepared.
func (c *cluster) nothingPrepared(ctx context.Context) error {
	for _, s := range c.shards {
		all, err := s.prepared(ctx)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			return fmt.Errorf("%s: prepared: %v", s.name, all)
		}
	}
	return nil
}

// agreed fails while the accounts show half a transfer.
func (b *bank) agreed(ctx context.Context) error {
	var sum int64
	for _, s := range b.c.shards[:2] {
		n, err := s.number(ctx, "SELECT SUM(balance) FROM bank.account")
		if err != nil {
			return err
		}
		sum += n
	}
	if sum != b.total {
		return fmt.Errorf("total is %d, want %d", sum, b.total)
	}
	return nil
}

// unlocked fails while somebody holds a lock on an account.
func (b *bank) unlocked(ctx context.Context) error {
	for i, s := range b.c.shards[:2] {
		if _, err := s.number(ctx, fmt.Sprintf("SELECT balance FROM bank.account WHERE id=%d FOR UPDATE NOWAIT", b.ids[i])); err != nil {
			return fmt.Errorf("locked: %w", err)
		}
	}
	return nil
}

// collected fails while claims are recorded.
func (c *cluster) collected(ctx context.Context) error {
	for _, s := range c.shards {
		n, err := s.number(ctx, "SELECT COUNT(*) FROM xaproxy.claim")
		if err != nil {
			return err
		}
		if n > 0 {
			var which sql.NullString
			err := s.db.QueryRowContext(ctx, "SELECT MIN(CONCAT(name,' ',outcome,' of ',created)) FROM xaproxy.claim").Scan(&which)
			return errors.Join(fmt.Errorf("%s: %d claims are not collected, among them %s", s.name, n, which.String), err)
		}
	}
	return nil
}

// settled is all of it: nothing is left of any transaction.
func (b *bank) settled(ctx context.Context) error {
	return errors.Join(b.c.nothingPrepared(ctx), b.agreed(ctx), b.unlocked(ctx), b.c.collected(ctx))
}

// writable updates both accounts at the servers with a short lock wait.
func (b *bank) writable(ctx context.Context) error {
	for i, s := range b.c.shards[:2] {
		if err := s.touch(ctx, b.ids[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *shard) touch(ctx context.Context, id int) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, q := range []string{"SET SESSION innodb_lock_wait_timeout=1", fmt.Sprintf("UPDATE bank.account SET balance=balance+0 WHERE id=%d", id)} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %s: %w", s.name, q, err)
		}
	}
	return nil
}

// mustTransfer does a transfer that must work, at the latest when the limit is over.
func (b *bank) works(ctx context.Context, p *proxyProcess, home int, limit time.Duration) error {
	db := p.open("", "timeout=2s&readTimeout=10s")
	defer db.Close()
	_, err := poll(ctx, limit, func(ctx context.Context) error {
		if a := b.transfer(ctx, db, home, "COMMIT"); a.told != toldCommitted {
			return fmt.Errorf("next transfer: %s", a)
		}
		return nil
	})
	return err
}
