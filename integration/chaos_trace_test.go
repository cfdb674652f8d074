package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
)

// chaosTrace keeps what all relays saw in a round in a file, and which transaction has which gtrid.
type chaosTrace struct {
	t       *testing.T
	path    string
	figures *chaosFigures

	mu    sync.Mutex
	file  *os.File // guarded by mu, and what follows
	out   *bufio.Writer
	conns map[string]*chaosConn // by relay and number
	names map[int64][]string    // transaction to gtrids
	last  []string              // gtrids, the newest last
	doubt map[string]time.Time  // shard and gtrid: since when a branch is prepared
}

// chaosConn is what a relayed connection works on now.
type chaosConn struct {
	txn   int64
	gtrid string
}

func newChaosTrace(t *testing.T, path string, f *chaosFigures) *chaosTrace {
	tr := &chaosTrace{t: t, path: path, figures: f}
	t.Cleanup(func() {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if tr.file != nil {
			_ = tr.file.Close()
		}
	})
	return tr
}

// reset begins a new file.
func (tr *chaosTrace) reset() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.file != nil {
		_ = tr.file.Close()
	}
	var err error
	if tr.file, err = os.Create(tr.path); err != nil {
		tr.t.Errorf("trace: %v", err)
	}
	tr.out = bufio.NewWriterSize(tr.file, 1<<18)
	tr.conns, tr.names, tr.last, tr.doubt = map[string]*chaosConn{}, map[int64][]string{}, nil, map[string]time.Time{}
}

// note adds a line of the test's own.
func (tr *chaosTrace) note(format string, a ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.out != nil {
		fmt.Fprintf(tr.out, "%s %s\n", time.Now().Format("15:04:05.000000"), fmt.Sprintf(format, a...))
	}
}

var (
	hexName = regexp.MustCompile(`X'([0-9A-Fa-f]{122})'`) // a gtrid of 61 bytes
	txnMark = regexp.MustCompile(`\b[12]\d{10}\d\b`)
)

func gtridOf(sql string) string {
	if m := hexName.FindStringSubmatch(sql); m != nil {
		if b, err := hex.DecodeString(m[1]); err == nil {
			return string(b)
		}
	}
	return ""
}

// add is the journal of all relays.
func (tr *chaosTrace) add(e faultwire.Event) {
	if chatter(e) || strings.Contains(e.Command.SQL, "catalog_change") && e.Result.Error == 0 {
		return
	}
	line := hexLiteral.ReplaceAllStringFunc(e.String(), printable)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.out == nil {
		return
	}
	fmt.Fprintln(tr.out, line)
	switch e.Phase {
	case faultwire.Sent:
		tr.sent(e)
	case faultwire.Answered:
		tr.answered(e)
	case faultwire.Closed:
		delete(tr.conns, connName(e))
	case faultwire.Held, faultwire.Dropped, faultwire.Opened:
	}
}

func connName(e faultwire.Event) string {
	return e.Command.Relay + "#" + strconv.FormatUint(e.Command.Conn, 10)
}

// sent links gtrids and transactions.
func (tr *chaosTrace) sent(e faultwire.Event) {
	if e.Command.Source != faultwire.Session {
		return
	}
	c := tr.conns[connName(e)]
	if c == nil {
		c = &chaosConn{}
		tr.conns[connName(e)] = c
	}
	if slices.Contains(e.Command.Verbs, faultwire.Begin) || slices.Contains(e.Command.Verbs, faultwire.Start) {
		*c = chaosConn{}
	}
	if slices.Contains(e.Command.Verbs, faultwire.Start) || slices.Contains(e.Command.Verbs, faultwire.Claim) {
		c.gtrid = gtridOf(e.Command.SQL)
		if c.gtrid != "" && !slices.Contains(tr.last, c.gtrid) {
			tr.last = append(tr.last, c.gtrid)
			if len(tr.last) > 12 { // more would have ended already
				tr.last = tr.last[1:]
			}
		}
	}
	if m := txnMark.FindString(e.Command.SQL); m != "" {
		if n, err := strconv.ParseInt(m, 10, 64); err == nil {
			if n -= n % 10; c.txn != 0 && c.txn != n {
				c.gtrid = ""
			}
			c.txn = n
		}
	}
	if c.txn != 0 && c.gtrid != "" && !slices.Contains(tr.names[c.txn], c.gtrid) {
		tr.names[c.txn] = append(tr.names[c.txn], c.gtrid)
	}
	for _, v := range e.Command.Verbs {
		switch v {
		case faultwire.Commit, faultwire.XACommit, faultwire.OnePhase, faultwire.Rollback, faultwire.XARollback:
			*c = chaosConn{} // what follows belongs to another transaction
		case faultwire.Other, faultwire.Begin, faultwire.Start, faultwire.End, faultwire.Prepare, faultwire.Claim, faultwire.Recover, faultwire.Ping, faultwire.Ask:
		}
	}
}

// answered measures how long branches are in doubt.
func (tr *chaosTrace) answered(e faultwire.Event) {
	if e.Result.Error != 0 {
		return
	}
	_, shard, _ := strings.Cut(e.Command.Relay, "-")
	switch e.Verb() {
	case faultwire.Prepare:
		tr.doubt[shard+gtridOf(e.Command.SQL)] = e.Time
	case faultwire.XACommit, faultwire.XARollback:
		key := shard + gtridOf(e.Command.SQL)
		if from, ok := tr.doubt[key]; ok {
			tr.figures.inDoubt(e.Time.Sub(from))
			delete(tr.doubt, key)
		}
	case faultwire.Other, faultwire.Begin, faultwire.Start, faultwire.End, faultwire.Claim, faultwire.Commit, faultwire.OnePhase,
		faultwire.Rollback, faultwire.Recover, faultwire.Ping, faultwire.Ask:
	}
}

// recent is one of the gtrids that were made last, "" when there is none.
func (tr *chaosTrace) recent(random *lockedRandom) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.last) == 0 {
		return ""
	}
	return tr.last[random.IntN(len(tr.last))]
}

// gtrids are the names that a transaction had.
func (tr *chaosTrace) gtrids(txn int64) []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.names[txn])
}

// find returns the lines that contain one of the words, what their connections did while x ran, and the faults around it.
func (tr *chaosTrace) find(x *chaosTxn, words ...string) string {
	tr.mu.Lock()
	_ = tr.out.Flush()
	tr.mu.Unlock()
	data, err := os.ReadFile(tr.path)
	if err != nil {
		return err.Error()
	}
	names := func(line []byte) bool {
		return slices.ContainsFunc(words, func(word string) bool { return bytes.Contains(line, []byte(word)) })
	}
	conns := map[string]bool{}
	for line := range bytes.Lines(data) {
		if c := connText.Find(line); c != nil && names(line) {
			conns[string(c)] = true
		}
	}
	const stamp = "15:04:05.000000"
	during := func(line []byte, before, after time.Duration) bool {
		at := string(line[:min(len(stamp), len(line))])
		return x != nil && at >= x.began.Add(-before).Format(stamp) && at <= x.ended.Add(after).Format(stamp)
	}
	var b strings.Builder
	for line := range bytes.Lines(data) {
		fault := bytes.Contains(line, []byte(" FAULT ")) || bytes.Contains(line, []byte(" RULE "))
		if names(line) || conns[string(connText.Find(line))] && during(line, 0, time.Second) || fault && during(line, 10*time.Second, 30*time.Second) {
			b.Write(line)
		}
	}
	return b.String()
}

var connText = regexp.MustCompile(`[ab]-s\d session conn \d+ `)

// known is everything that is known about a transaction.
func (w *chaos) known(x *chaosTxn) string {
	names := w.trace.gtrids(x.id)
	var b strings.Builder
	fmt.Fprintf(&b, "gtrids %v\n%s", names, w.trace.find(x, append(names, strconv.FormatInt(x.id, 10))...))
	for _, p := range w.proxies {
		text, _ := os.ReadFile(p.log)
		for line := range bytes.Lines(text) {
			for _, g := range names {
				if bytes.Contains(line, []byte(g)) {
					fmt.Fprintf(&b, "log of proxy %s: %s", p.name, line)
				}
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), 20*time.Second)
	defer cancel()
	for _, s := range w.shards {
		for _, g := range names {
			n, err := s.number(ctx, fmt.Sprintf("SELECT COUNT(*) FROM xaproxy.claim WHERE name='%s'", g))
			fmt.Fprintf(&b, "shard %s: %d claims of %s now (%v)\n", s.name, n, g, err)
		}
		for _, table := range []string{"ledger", "note"} {
			n, err := s.number(ctx, fmt.Sprintf("SELECT COUNT(*) FROM bank.%s WHERE txn BETWEEN %d AND %d", table, x.id, x.id+9))
			fmt.Fprintf(&b, "shard %s: %d rows in %s (%v)\n", s.name, n, table, err)
		}
	}
	keep(fmt.Sprintf("chaos-%d", x.id), b.String())
	return b.String()
}

// ask asks for the outcome of transactions of others while they run, which fences those whose proxy may be dead.
func (w *chaos) ask(ctx context.Context) {
	for ctx.Err() == nil {
		if g := w.trace.recent(w.random); g != "" {
			w.outcomeOf(ctx, g, w.random.IntN(len(w.proxies)))
		}
		select {
		case <-ctx.Done():
		case <-time.After(w.random.between(10*time.Millisecond, 200*time.Millisecond)):
		}
	}
}

// outcomeOf asks one proxy, and compares its answer with what was answered before: a definite answer never changes.
func (w *chaos) outcomeOf(ctx context.Context, gtrid string, proxy int) string {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	db := w.proxies[proxy].open("", "timeout=1s&readTimeout=15s")
	defer db.Close()
	text, err := outcome(ctx, db, gtrid)
	w.trace.note("XA OUTCOME '%s' at proxy %s: %s %v", gtrid, w.proxies[proxy].name, text, err)
	if err != nil {
		return ""
	}
	said := definite(text)
	w.figures.asked(said)
	if said == "" {
		return text
	}
	w.mu.Lock()
	before := w.outcomes[gtrid]
	w.outcomes[gtrid] = said
	w.mu.Unlock()
	if before != "" && before != said {
		w.violate(nil, "XA OUTCOME of %s was %s, then %s\n%s", gtrid, before, said, w.trace.find(nil, gtrid))
	}
	return text
}

// definite is COMMITTED or ABORTED when the answer says so, else "".
func definite(text string) string {
	switch {
	case strings.Contains(text, "ENDED"), strings.Contains(text, "NOT RECORDED"), strings.Contains(text, "ACTIVE"):
		return ""
	case strings.Contains(text, "COMMITTED"):
		return "COMMITTED"
	case strings.Contains(text, "ABORTED"):
		return "ABORTED"
	}
	return ""
}

// askFor asks for the outcome of a transaction that its client was told nothing about, until somebody knows.
func (w *chaos) askFor(ctx context.Context, x *chaosTxn) {
	for i := range 10 {
		text := w.outcomeOf(ctx, x.gtrid, (x.proxy+i)%len(w.proxies))
		w.mu.Lock()
		x.answers = append(x.answers, text)
		w.mu.Unlock()
		if text != "" && !strings.Contains(text, "ACTIVE") {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}
