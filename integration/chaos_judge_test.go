package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// judge waits until nothing is left of any transaction, and then compares what every client was told, what XA OUTCOME
// said and what the shards hold:
//
//   - a transaction's rows are on all shards that it touched or on none; all when COMMIT was answered, none when it was
//     aborted; what was undone or failed within it is nowhere;
//   - what XA OUTCOME ever said is true;
//   - each account is its wealth and the sum of its ledger, and its changes are numbered without gap or repetition: no
//     update was lost and none was seen twice;
//   - one order of all transactions explains the order on every account;
//   - nothing is prepared, locked, claimed or announced, and definitions are equal everywhere.
func (w *chaos) judge() {
	began := time.Now()
	for _, p := range w.proxies {
		if _, err := poll(w.t.Context(), 30*time.Second+slack(), p.serves); err != nil {
			w.violate(nil, "%v\n%s", err, p.logTail(30))
			return
		}
	}
	w.finishDefinitions()
	w.askLeft()
	if took, err := poll(w.t.Context(), 60*time.Second+slack(), w.settled); err != nil {
		w.violate(nil, "not settled after %v: %v\n%s\n%s", took.Round(time.Millisecond), err, w.proxies[0].logTail(40), w.proxies[1].logTail(40))
	}
	w.figures.settled(time.Since(began))
	w.probe()
	for _, p := range w.proxies {
		if text := p.logTail(1 << 20); strings.Contains(text, "panic") {
			w.violate(nil, "proxy %s panicked", p.name)
		}
	}
	rows, err := w.readRows()
	if err != nil {
		w.t.Errorf("read the ledgers: %v", err)
		return
	}
	w.mu.Lock()
	txns := slices.Clone(w.txns)
	w.mu.Unlock()
	for _, x := range txns {
		w.judgeTxn(x, rows[x.id-x.id%10])
		for digit := int64(1); digit < 10; digit++ {
			if len(rows[x.id+digit]) > 0 {
				w.violate(x, "rows that were undone are there: %v", rows[x.id+digit])
			}
		}
	}
	w.judgeAccounts()
	w.judgeOrder(txns, rows)
	w.t.Logf("round %d: %d transactions, judged %v after the last fault; %s", w.round, len(txns), time.Since(began).Round(time.Millisecond), w.figures.line())
}

// serves asks for an answer of every shard about a table whose definition nobody changes.
func (p *chaosProxy) serves(ctx context.Context) error {
	db := p.open("", "timeout=1s&readTimeout=5s")
	defer db.Close()
	if err := readAll(ctx, db, "SELECT id FROM bank.canary WHERE n < 0"); err != nil {
		return fmt.Errorf("scatter at proxy %s: %w", p.name, err)
	}
	return nil
}

// placed is a row of ledger or note as a shard holds it.
type placed struct {
	shard int
	chaosRow
}

// readRows reads what the shards hold of this round's transactions.
func (w *chaos) readRows() (map[int64][]placed, error) {
	all := map[int64][]placed{}
	low := int64(1e11) + int64(w.round)*idsPerRound
	for i, s := range w.shards {
		for _, q := range []string{
			"SELECT account, txn, delta, n FROM bank.ledger WHERE txn BETWEEN ? AND ?",
			"SELECT account, txn, 0, 0 FROM bank.note WHERE txn BETWEEN ? AND ?",
		} {
			if err := s.each(w.t.Context(), q, []any{low, low + idsPerRound - 1}, func(r *sql.Rows) error {
				var txn int64
				p := placed{shard: i}
				err := r.Scan(&p.account, &txn, &p.delta, &p.n)
				all[txn] = append(all[txn], p)
				return err
			}); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (s *shard) each(ctx context.Context, q string, args []any, row func(*sql.Rows) error) error {
	rows, err := s.db.QueryContext(ctx, q, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// judgeTxn judges one transaction by its rows.
func (w *chaos) judgeTxn(x *chaosTxn, there []placed) {
	committed := len(there) > 0
	if committed {
		var have []chaosRow
		for _, p := range there {
			have = append(have, p.chaosRow)
			if p.shard != w.home[p.account] {
				w.violate(x, "a row of account %d is on shard %d, not on %d", p.account, p.shard, w.home[p.account])
			}
		}
		order := func(a, b chaosRow) int { return a.account - b.account }
		want := slices.Clone(x.rows)
		slices.SortFunc(want, order)
		slices.SortFunc(have, order)
		if !slices.Equal(want, have) {
			w.violate(x, "MIXED: of %v there are %v", want, have)
			return
		}
	}
	if x.told == toldCommitted && !committed || x.told == toldAborted && committed {
		w.violate(x, "WRONG ANSWER: committed is %t", committed)
	}
	if x.told == toldNothing {
		w.figures.unknown(x, committed)
	}
	for _, g := range append(w.trace.gtrids(x.id), x.gtrid) {
		w.mu.Lock()
		said := w.outcomes[g]
		w.mu.Unlock()
		// A name that never got to prepare may be a transaction's that was named anew; what is committed has one name.
		if said == "COMMITTED" && !committed || said == "ABORTED" && committed && (g == x.gtrid || len(w.trace.gtrids(x.id)) == 1) {
			w.violate(x, "UNTRUTHFUL: XA OUTCOME of %s is %s, committed is %t", g, said, committed)
		}
	}
}

// judgeAccounts compares each account with its ledger.
func (w *chaos) judgeAccounts() {
	total, canaries := int64(0), int64(0)
	for _, s := range w.shards {
		const q = `SELECT a.id, a.balance, a.n, COUNT(l.txn), COUNT(DISTINCT l.n), COALESCE(MIN(l.n),1), COALESCE(MAX(l.n),0), COALESCE(SUM(l.delta),0)
			FROM bank.account a LEFT JOIN bank.ledger l ON l.account=a.id GROUP BY a.id, a.balance, a.n`
		if err := s.each(w.t.Context(), q, nil, func(r *sql.Rows) error {
			var id, balance, n, count, distinct, lowest, highest, sum int64
			if err := r.Scan(&id, &balance, &n, &count, &distinct, &lowest, &highest, &sum); err != nil {
				return err
			}
			total += balance
			if balance != chaosWealth+sum || n != count || distinct != count || lowest != 1 || highest != count {
				w.violate(nil, "account %d: balance %d, ledger %d; %d changes, %d rows numbered %d to %d, %d of them distinct",
					id, balance-chaosWealth, sum, n, count, lowest, highest, distinct)
			}
			return nil
		}); err != nil {
			w.t.Errorf("read accounts: %v", err)
		}
		canaries += s.mustNumber(w.t, "SELECT COUNT(*) FROM bank.canary")
	}
	if total != chaosAccounts*chaosWealth || canaries != chaosAccounts {
		w.violate(nil, "the total is %d, want %d; %d canaries, want %d", total, chaosAccounts*chaosWealth, canaries, chaosAccounts)
	}
}

// judgeOrder looks for one order of the round's transactions that agrees with the numbers on every account.
func (w *chaos) judgeOrder(txns []*chaosTxn, rows map[int64][]placed) {
	type change struct{ n, txn int64 }
	by := map[int][]change{}
	for txn, all := range rows {
		for _, p := range all {
			if p.n > 0 {
				by[p.account] = append(by[p.account], change{p.n, txn})
			}
		}
	}
	next, before := map[int64][]int64{}, map[int64]int{}
	for _, all := range by {
		slices.SortFunc(all, func(a, b change) int { return int(a.n - b.n) })
		for i := 1; i < len(all); i++ {
			next[all[i-1].txn] = append(next[all[i-1].txn], all[i].txn)
			before[all[i].txn]++
		}
	}
	var free []int64
	left := 0
	for txn := range rows {
		left++
		if before[txn] == 0 {
			free = append(free, txn)
		}
	}
	for ; len(free) > 0; left-- {
		last := free[len(free)-1]
		free = free[:len(free)-1]
		for _, txn := range next[last] {
			if before[txn]--; before[txn] == 0 {
				free = append(free, txn)
			}
		}
	}
	if left == 0 {
		return
	}
	var some *chaosTxn
	for _, x := range txns {
		if before[x.id] > 0 {
			some = x
		}
	}
	w.violate(some, "%d transactions have no order that all accounts agree on", left)
}

// settled fails while anything is left of any transaction or definition.
func (w *chaos) settled(ctx context.Context) error {
	errs := []error{w.c.nothingPrepared(ctx), w.c.collected(ctx),
		w.none(ctx, "SELECT COUNT(*) FROM xaproxy.catalog_change", "SELECT COUNT(*) FROM xaproxy.heuristic")}
	for _, s := range w.shards {
		for _, table := range []string{"account", "canary", "ledger"} {
			if _, err := s.number(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM bank."+table+" FOR UPDATE NOWAIT) x"); err != nil {
				errs = append(errs, fmt.Errorf("locked: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// probe changes every account by each proxy in one transaction, and by one statement, which find every row.
func (w *chaos) probe() {
	for _, p := range w.proxies {
		if err := w.probeBy(p); err != nil {
			w.violate(nil, "a transaction over everything at proxy %s: %v", p.name, err)
		}
	}
}

func (w *chaos) probeBy(p *chaosProxy) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 60*time.Second)
	defer cancel()
	db := p.open("", "timeout=2s&readTimeout=30s")
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for id := 1; id <= chaosAccounts; id++ {
		for _, q := range []string{"UPDATE bank.account SET balance=balance+1 WHERE id=%d", "UPDATE bank.account SET balance=balance-1 WHERE id=%d"} {
			if _, err := tx.ExecContext(ctx, fmt.Sprintf(q, id)); err != nil {
				return err
			}
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	r, err := db.ExecContext(ctx, "UPDATE bank.account SET balance=balance+0")
	if err != nil {
		return err
	}
	_, err = r.RowsAffected()
	return err
}

// askLeft asks both proxies for every transaction whose client was told nothing, while its claim is still kept.
func (w *chaos) askLeft() {
	w.mu.Lock()
	txns := slices.Clone(w.txns)
	w.mu.Unlock()
	for _, x := range txns {
		if x.told != toldNothing {
			continue
		}
		for _, g := range w.trace.gtrids(x.id) {
			for p := range w.proxies {
				x.answers = append(x.answers, w.outcomeOf(w.t.Context(), g, p))
			}
		}
	}
}

// finishDefinitions waits until the proxies have completed what was interrupted, and then drops what is left. An
// announcement that the lowest shard has not is over; the next definition sweeps it away.
func (w *chaos) finishDefinitions() {
	took, err := poll(w.t.Context(), 45*time.Second+slack(), func(ctx context.Context) error {
		_, err := w.openDefinition(ctx)
		first, errFirst := w.shards[0].number(ctx, "SELECT COUNT(*) FROM xaproxy.catalog_change")
		if errFirst == nil && first > 0 {
			errFirst = fmt.Errorf("%d announced", first)
		}
		return errors.Join(err, errFirst, w.none(ctx, "SELECT COUNT(*) FROM xaproxy.ddl WHERE outcome='stuck'"))
	})
	w.figures.defined(took)
	if err != nil {
		w.violate(nil, "interrupted definitions are not completed: %v\n%s", err, w.definitions())
		return
	}
	_, err = poll(w.t.Context(), 30*time.Second+slack(), func(ctx context.Context) error {
		open, err := w.openDefinition(ctx)
		if err != nil {
			return err
		}
		if open != "" {
			return errors.Join(fmt.Errorf("to do: %s", open), w.defineOnce(ctx, open))
		}
		if err := w.none(ctx, "SELECT COUNT(*) FROM xaproxy.catalog_change"); err != nil {
			return errors.Join(err, w.defineOnce(ctx, "CREATE TABLE bank.passing (id INT PRIMARY KEY) ENGINE=InnoDB"))
		}
		return nil
	})
	if err != nil {
		w.violate(nil, "definitions are not as in the beginning: %v\n%s", err, w.definitions())
	}
}

// definitions is SHOW DDL.
func (w *chaos) definitions() string {
	db := w.proxies[0].open("", "timeout=1s&readTimeout=5s")
	defer db.Close()
	rows, err := db.QueryContext(w.t.Context(), "SHOW DDL")
	if err != nil {
		return err.Error()
	}
	defer rows.Close()
	var b strings.Builder
	for n := 0; rows.Next() && n < 10; n++ {
		var id, statement, schema, state, shards, node, since, advice sql.NullString
		if err := rows.Scan(&id, &statement, &schema, &state, &shards, &node, &since, &advice); err != nil {
			return err.Error()
		}
		fmt.Fprintln(&b, id.String, statement.String, state.String, shards.String, "node", node.String, since.String)
	}
	return b.String()
}

// none fails while a count at any shard is not 0.
func (w *chaos) none(ctx context.Context, counts ...string) error {
	for _, s := range w.shards {
		for _, q := range counts {
			n, err := s.number(ctx, q)
			if err == nil && n > 0 {
				err = fmt.Errorf("%s: %s: %d", s.name, q, n)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// openDefinition is a statement that brings definitions back to those of the beginning, "" when they are.
func (w *chaos) openDefinition(ctx context.Context) (string, error) {
	first := map[string]bool{}
	for i, s := range w.shards {
		here := map[string]bool{}
		if err := s.each(ctx, "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.columns WHERE TABLE_SCHEMA='bank'", nil, func(r *sql.Rows) error {
			var table, column string
			err := r.Scan(&table, &column)
			here[table+"."+column] = true
			return err
		}); err != nil {
			return "", err
		}
		for name := range here {
			table, column, _ := strings.Cut(name, ".")
			switch {
			case table == "passing":
				return "DROP TABLE bank.passing", nil
			case strings.HasPrefix(column, "extra"):
				return fmt.Sprintf("ALTER TABLE bank.%s DROP COLUMN %s", table, column), nil
			}
		}
		if i == 0 {
			first = here
		}
		if !maps.Equal(first, here) {
			return "", fmt.Errorf("%s: columns %v, at the first shard %v", s.name, here, first)
		}
	}
	return "", nil
}
