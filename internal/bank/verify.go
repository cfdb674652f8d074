package bank

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Verdict is what a comparison found.
type Verdict struct {
	Committed  int      `json:"committed"` // transfers that the clients were told so
	Aborted    int      `json:"aborted"`
	Unknown    int      `json:"unknown"`
	Resolved   int      `json:"resolved"`   // of the unknown ones, those that XA OUTCOME told of
	Happened   int      `json:"happened"`   // of the unknown ones, those that were committed
	Unrecorded int      `json:"unrecorded"` // transfers that no client has recorded: it ended in between
	Total      int64    `json:"total"`      // cents of all accounts
	Violations []string `json:"violations"`
}

// side is what the database has of one transfer.
type side struct {
	rows int
	sum  int64
}

// Verify compares the record with the database: the total is unchanged, each
// transfer has both sides or none, and none is the opposite of what its client was
// told. The outcome of those that 17001 named is asked for by XA OUTCOME. Its error
// is that it could not compare.
func Verify(ctx context.Context, o Options) (Verdict, error) {
	o = o.withDefaults()
	entries, err := readRecord(o.Record)
	if err != nil {
		return Verdict{}, err
	}
	p := &proxies{dsns: o.DSNs}
	outcomes, err := p.outcomes(ctx, entries)
	if err != nil {
		return Verdict{}, err
	}
	var v Verdict
	var sides map[string]side
	err = p.anyOf(ctx, o.Schema, func(db *sql.DB) (err error) {
		v = Verdict{}
		sides, err = v.read(ctx, db)
		return err
	})
	if err != nil {
		return v, err
	}
	if want := int64(o.Accounts) * Opening; v.Total != want {
		v.wrong("the accounts hold %d cents, not %d", v.Total, want)
	}
	v.judge(entries, outcomes, sides)
	return v, nil
}

func (v *Verdict) wrong(format string, args ...any) {
	v.Violations = append(v.Violations, fmt.Sprintf(format, args...))
}

func readRecord(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Entry
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(all)+1, err)
		}
		all = append(all, e)
	}
	return all, lines.Err()
}

// outcomePatience bounds the questions about one transaction: its home may be
// coming back.
const outcomePatience = 30 * time.Second

// outcomes asks what became of the transactions whose gtrid is known.
func (p *proxies) outcomes(ctx context.Context, entries []Entry) (map[string]string, error) {
	told := map[string]string{}
	for _, e := range entries {
		if e.Gtrid == "" {
			continue
		}
		until := time.Now().Add(outcomePatience)
		for {
			var state string
			err := p.anyOf(ctx, "", func(db *sql.DB) (err error) {
				state, err = ask(ctx, db, e.Gtrid)
				return err
			})
			if err == nil && state != "ACTIVE" {
				told[e.Gtrid] = state
				break
			}
			if ctx.Err() != nil || time.Now().After(until) {
				return nil, errors.Join(fmt.Errorf("XA OUTCOME '%s': %s", e.Gtrid, state), err)
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return told, nil
}

// ask is XA OUTCOME.
func ask(ctx context.Context, db *sql.DB, gtrid string) (string, error) {
	rows, err := db.QueryContext(ctx, "XA OUTCOME '"+gtrid+"'")
	if err != nil {
		return "", err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	values := make([]sql.NullString, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	state := ""
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		for i, name := range names {
			if strings.EqualFold(name, "outcome") || strings.EqualFold(name, "state") {
				state = strings.ToUpper(values[i].String)
			}
		}
	}
	return state, rows.Err()
}

// read takes everything that the database has in one transaction.
func (v *Verdict) read(ctx context.Context, db *sql.DB) (map[string]side, error) {
	if err := db.QueryRowContext(ctx, "SELECT SUM(cents) FROM account").Scan(&v.Total); err != nil {
		return nil, fmt.Errorf("sum of the accounts: %w", err)
	}
	sums, err := pairs(ctx, db, "SELECT account, SUM(cents) FROM entry GROUP BY account")
	if err != nil {
		return nil, err
	}
	balances, err := pairs(ctx, db, "SELECT id, cents FROM account")
	if err != nil {
		return nil, err
	}
	for id, cents := range balances {
		if cents != Opening+sums[id] {
			v.wrong("account %d holds %d cents, its entries say %d", id, cents, Opening+sums[id])
		}
	}
	rows, err := db.QueryContext(ctx, "SELECT transfer, cents FROM entry")
	if err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	defer rows.Close()
	sides := map[string]side{}
	for rows.Next() {
		var transfer string
		var cents int64
		if err := rows.Scan(&transfer, &cents); err != nil {
			return nil, err
		}
		s := sides[transfer]
		s.rows++
		s.sum += cents
		sides[transfer] = s
	}
	return sides, rows.Err()
}

func pairs(ctx context.Context, db *sql.DB, query string) (map[int64]int64, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	out := map[int64]int64{}
	for rows.Next() {
		var k, n int64
		if err := rows.Scan(&k, &n); err != nil {
			return nil, err
		}
		out[k] = n
	}
	return out, rows.Err()
}

// judge compares each transfer with what its client was told.
func (v *Verdict) judge(entries []Entry, outcomes map[string]string, sides map[string]side) {
	recorded := map[string]bool{}
	for _, e := range entries {
		recorded[e.Transfer] = true
		s := sides[e.Transfer]
		happened := s.rows > 0
		switch e.Told {
		case Committed:
			v.Committed++
			if !happened {
				v.wrong("transfer %s: its client was told that it is committed, and it is not there", e.Transfer)
			}
		case Aborted:
			v.Aborted++
			if happened {
				v.wrong("transfer %s: its client was told that nothing has happened (%s), and it is there", e.Transfer, e.Error)
			}
		case Unknown:
			v.Unknown++
			if happened {
				v.Happened++
			}
			v.outcome(e, outcomes[e.Gtrid], happened)
		}
	}
	for transfer, s := range sides {
		if s.rows != 2 || s.sum != 0 {
			v.wrong("transfer %s: %d sides, sum %d", transfer, s.rows, s.sum)
		}
		if !recorded[transfer] {
			v.Unrecorded++
		}
	}
}

func (v *Verdict) outcome(e Entry, told string, happened bool) {
	switch told {
	case "":
		return
	case "COMMITTED", "ABORTED":
		v.Resolved++
		if (told == "COMMITTED") != happened {
			v.wrong("transfer %s: XA OUTCOME '%s' says %s, happened: %t", e.Transfer, e.Gtrid, told, happened)
		}
	}
}
