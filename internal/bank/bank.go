// Package bank is an application as users have one: it knows nothing but DSNs. It
// transfers money between accounts that are spread over the shards, keeps its own
// record of what it was told about each transfer, and compares the two afterwards.
package bank

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Options say what to do at which proxies.
type Options struct {
	// DSNs are those of the proxies, user:password@tcp(host:port)/ each, without a
	// schema; a client that loses one connects to the next.
	DSNs []string
	// Record is the file of what was told about each transfer, a JSON object per
	// line (Entry).
	Record string
	// Schema holds its tables; "bank" by default.
	Schema string
	// Accounts is how many there are; each begins with Opening cents.
	Accounts int
	Clients  int           // that transfer at the same time
	Duration time.Duration // of the load; 0: until the context ends
	Out      io.Writer     // progress, a line per second, and the result
}

// Opening is what each account holds at first, in cents.
const Opening = 1_000_000

func (o Options) withDefaults() Options {
	if o.Schema == "" {
		o.Schema = "bank"
	}
	if o.Accounts < 2 {
		o.Accounts = 100
	}
	if o.Clients < 1 {
		o.Clients = 4
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	return o
}

// Told is what a client knows of a transfer.
type Told string

// What a client can know.
const (
	Committed Told = "committed" // COMMIT was answered OK
	Aborted   Told = "aborted"   // an error before COMMIT, or a definite one at it
	Unknown   Told = "unknown"   // 17001, or no answer to COMMIT
)

// Entry is a line of the record.
type Entry struct {
	Transfer string `json:"transfer"`
	Told     Told   `json:"told"`
	Gtrid    string `json:"gtrid,omitempty"` // of an unknown one, if the proxy told it
	Error    string `json:"error,omitempty"`
}

// proxies opens the proxies one after the other.
type proxies struct {
	dsns []string
	turn int
}

// patience bounds the dial and each answer of a client.
const patience = 60 * time.Second

func (p *proxies) open(schema string) (*sql.DB, error) {
	if len(p.dsns) == 0 {
		return nil, errors.New("no DSN is given")
	}
	dsn := p.dsns[p.turn%len(p.dsns)]
	p.turn++
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("DSN: %w", err)
	}
	c.DBName, c.Timeout, c.ReadTimeout, c.WriteTimeout = schema, 3*time.Second, patience, patience
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// anyOf calls f with each proxy in turn until one can be talked to.
func (p *proxies) anyOf(ctx context.Context, schema string, f func(*sql.DB) error) error {
	var errs error
	for range p.dsns {
		db, err := p.open(schema)
		if err != nil {
			return err
		}
		err = f(db)
		_ = db.Close() // its connections are not used any more
		if err == nil || ctx.Err() != nil {
			return err
		}
		errs = errors.Join(errs, err)
	}
	return errs
}

// Prepare makes the tables and the accounts, where they are not there yet.
func Prepare(ctx context.Context, o Options) error {
	o = o.withDefaults()
	p := &proxies{dsns: o.DSNs}
	return p.anyOf(ctx, "", func(db *sql.DB) error {
		for _, q := range []string{
			"CREATE DATABASE IF NOT EXISTS " + o.Schema,
			"CREATE TABLE IF NOT EXISTS " + o.Schema + ".account (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL)",
			"CREATE TABLE IF NOT EXISTS " + o.Schema + ".entry (account BIGINT NOT NULL, transfer VARCHAR(40) NOT NULL, cents BIGINT NOT NULL, PRIMARY KEY (account, transfer))",
		} {
			if _, err := db.ExecContext(ctx, q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
		var rows []string
		for id := 1; id <= o.Accounts; id++ {
			rows = append(rows, fmt.Sprintf("(%d,%d)", id, Opening))
		}
		if _, err := db.ExecContext(ctx, "INSERT IGNORE INTO "+o.Schema+".account (id, cents) VALUES "+strings.Join(rows, ",")); err != nil {
			return fmt.Errorf("accounts: %w", err)
		}
		return nil
	})
}
