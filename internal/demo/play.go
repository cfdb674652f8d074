package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"xaproxy/internal/faultwire"
)

func (s *show) play(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		s.schema, s.transfers, s.killAfterPrepare, s.killAfterDecision, s.rush, s.verdict,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// schema creates the bank through the proxy and looks where the rows went.
func (s *show) schema(ctx context.Context) error {
	root, err := sql.Open("mysql", s.dsn(""))
	if err != nil {
		return err
	}
	defer root.Close()
	rows := make([]string, accounts)
	for i := range rows {
		rows[i] = fmt.Sprintf("(%d, %d)", i+1, opening)
	}
	for _, q := range []string{
		"CREATE DATABASE bank",
		"CREATE TABLE bank.account (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL)",
		"INSERT INTO bank.account (id, cents) VALUES " + strings.Join(rows, ", "),
	} {
		if _, err := root.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", shorten(q), err)
		}
		s.say("   app> %s", shorten(q))
	}
	for _, sh := range s.shards {
		if sh.ids, err = numbers(ctx, sh.db, "SELECT id FROM bank.account ORDER BY id"); err != nil {
			return err
		}
		s.say("   shard %s holds %d accounts: %v", sh.name, len(sh.ids), sh.ids)
		if len(sh.ids) == 0 {
			return fmt.Errorf("shard %s holds no account", sh.name)
		}
	}
	return nil
}

func numbers(ctx context.Context, db *sql.DB, query string) ([]int, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// transfer moves cents between two accounts, as any application would.
func (s *show) transfer(ctx context.Context, from, to, cents int) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after Commit
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE account SET cents = cents - %d WHERE id = %d", cents, from)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE account SET cents = cents + %d WHERE id = %d", cents, to)); err != nil {
		return err
	}
	return tx.Commit()
}

// transfers shows the verbs of one transfer between each pair of shards.
func (s *show) transfers(ctx context.Context) error {
	s.say("")
	s.say("== 3. Transfers, and every verb that a shard sees (<- sent, -> answered)")
	same := s.shards[0].ids
	if len(same) > 1 {
		s.say("   within one shard: nothing but what the application says")
		if err := s.shown(func() error { return s.transfer(ctx, same[0], same[1], 100) }); err != nil {
			return err
		}
	}
	for i := range s.shards {
		from, to := s.shards[i], s.shards[(i+1)%len(s.shards)]
		s.say("   from shard %s to shard %s: two-phase commit; %s is home, its commit carries the decision", from.name, to.name, from.name)
		if err := s.shown(func() error { return s.transfer(ctx, from.ids[0], to.ids[0], 100) }); err != nil {
			return err
		}
	}
	return s.balanced(ctx)
}

func (s *show) shown(act func() error) error {
	s.trace.start()
	err := act()
	s.trace.stop(s.out)
	return err
}

// balanced sums all accounts at the shards themselves.
func (s *show) balanced(ctx context.Context) error {
	sum := 0
	for _, sh := range s.shards {
		n, err := numbers(ctx, sh.db, "SELECT CAST(COALESCE(SUM(cents), 0) AS SIGNED) FROM bank.account")
		if err != nil {
			return err
		}
		sum += n[0]
	}
	if sum != accounts*opening {
		return fmt.Errorf("INVARIANT BROKEN: the bank has %d cents, not %d", sum, accounts*opening)
	}
	s.say("   sum over all shards, asked directly: %d cents, as at the start", sum)
	return nil
}

func (s *show) balance(ctx context.Context, sh *shard) (int, error) {
	n, err := numbers(ctx, sh.db, fmt.Sprintf("SELECT cents FROM bank.account WHERE id = %d", sh.ids[0]))
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

func (s *show) killAfterPrepare(ctx context.Context) error {
	s.say("")
	s.say("== 4. kill -9 of the proxy after PREPARE: %s has promised, nobody has decided", s.shards[1].name)
	rule := faultwire.Rule{Verb: faultwire.Prepare, Side: faultwire.After, From: faultwire.Session}
	return s.killed(ctx, s.shards[1].relay, rule, 0)
}

func (s *show) killAfterDecision(ctx context.Context) error {
	s.say("")
	s.say("== 5. kill -9 of the proxy after the decision: %s has committed, the answer is lost, %s still waits", s.shards[0].name, s.shards[1].name)
	rule := faultwire.Rule{
		Verb: faultwire.Commit, Side: faultwire.After, From: faultwire.Session,
		Match: func(c faultwire.Command) bool { return len(c.Verbs) == 2 && c.Verbs[0] == faultwire.Claim },
	}
	return s.killed(ctx, s.shards[0].relay, rule, 777)
}

// killed makes a transfer of 777 cents whose proxy is killed by the rule,
// starts the proxy again and waits until the shards agree on moved cents.
func (s *show) killed(ctx context.Context, at *faultwire.Relay, rule faultwire.Rule, moved int) error {
	from, to := s.shards[0], s.shards[1]
	was, err := s.balance(ctx, from)
	if err != nil {
		return err
	}
	var death error
	rule.Hook = func() { death = s.proxy.kill() }
	armed := at.Arm(rule)
	err = s.shown(func() error { return s.transfer(ctx, from.ids[0], to.ids[0], 777) })
	if !armed.Disarm() {
		return errors.New("the fault did not strike")
	}
	<-armed.Done()
	if death != nil {
		return death
	}
	s.say("   the application got: %v (so it does not know)", err)
	if err == nil {
		return errors.New("INVARIANT BROKEN: the application was told success by a dead proxy")
	}
	if err := s.prepared(ctx); err != nil {
		return err
	}
	s.say("   the proxy starts again")
	begun := time.Now()
	if err := s.serve(ctx); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	is, err := s.balance(ctx, from)
	if err != nil {
		return err
	}
	if was-is != moved {
		return fmt.Errorf("INVARIANT BROKEN: %d cents left shard %s, expected %d", was-is, from.name, moved)
	}
	verdict := "rolled back everywhere"
	if moved > 0 {
		verdict = "committed everywhere"
	}
	s.say("   recovered %.2f s after the start: %s", time.Since(begun).Seconds(), verdict)
	return s.balanced(ctx)
}

// prepared shows what the shards hold in doubt.
func (s *show) prepared(ctx context.Context) error {
	for _, sh := range s.shards {
		n, err := inDoubt(ctx, sh.db)
		if err != nil {
			return err
		}
		s.say("   shard %s: %d branch(es) in XA RECOVER", sh.name, n)
	}
	return nil
}

func inDoubt(ctx context.Context, db *sql.DB) (int, error) {
	rows, err := db.QueryContext(ctx, "XA RECOVER")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	return n, rows.Err()
}

// settled waits until no shard holds a prepared branch or a claim.
func (s *show) settled(ctx context.Context) error {
	return s.proxy.await(ctx, 20*time.Second, func(ctx context.Context) error {
		for _, sh := range s.shards {
			n, err := inDoubt(ctx, sh.db)
			if err != nil {
				return err
			}
			claims, err := numbers(ctx, sh.db, "SELECT COUNT(*) FROM xaproxy.claim")
			if err != nil {
				return err
			}
			if n > 0 || claims[0] > 0 {
				return fmt.Errorf("INVARIANT BROKEN: shard %s still has %d prepared branches and %d claims", sh.name, n, claims[0])
			}
		}
		return nil
	})
}

// rush is ordinary life: several clients at once, random accounts.
func (s *show) rush(ctx context.Context) error {
	const clients, each = 8, 50
	s.say("")
	s.say("== 6. %d clients, %d random transfers each", clients, each)
	var done, refused atomic.Int64
	begun := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				pair := []int{1 + rand.IntN(accounts), 1 + rand.IntN(accounts)}
				sort.Ints(pair) // one order of locking: no deadlocks across shards
				if err := s.transfer(ctx, pair[0], pair[1], rand.IntN(200)-100); err != nil {
					refused.Add(1)
					continue
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.say("   %d committed, %d rolled back, %.0f per second", done.Load(), refused.Load(), float64(done.Load())/time.Since(begun).Seconds())
	return s.balanced(ctx)
}

func (s *show) verdict(ctx context.Context) error {
	s.say("")
	s.say("== 7. What is left behind")
	if err := s.settled(ctx); err != nil {
		return err
	}
	s.say("   no prepared branch and no claim on any shard; every invariant held")
	return nil
}
