package integration

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// chaosFigures is what a run is summed up to.
type chaosFigures struct {
	lasted time.Duration
	seed   uint64

	mu          sync.Mutex
	told        map[told]int // guarded by mu, and what follows
	kinds       map[string]int
	faults      map[string]int
	verbs       map[string]int
	errors      map[string]int // of transactions, by number
	internal    map[string]int // texts of 1105, which should not happen
	became      map[string]int // unknown answers
	outcomes    map[string]int
	definitions int
	refusals    map[string]int // of definitions, by number
	operated    int
	exits       int // of proxies
	crashes     int // of shards
	violations  int
	doubt       time.Duration // the longest
	doubts      int
	statement   time.Duration // the longest transaction
	stall       time.Duration
	stallAt     string
	calm        int // statements of unaffected clients
	disturbed   map[string]int
	settling    time.Duration // the longest
	completing  time.Duration // the longest, of definitions
}

func newChaosFigures() *chaosFigures {
	return &chaosFigures{
		told: map[told]int{}, kinds: map[string]int{}, faults: map[string]int{}, verbs: map[string]int{}, errors: map[string]int{}, internal: map[string]int{},
		became: map[string]int{}, outcomes: map[string]int{}, refusals: map[string]int{}, disturbed: map[string]int{},
	}
}

func (f *chaosFigures) count(n *int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*n++
}

func (f *chaosFigures) fault(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[name]++
}

func (f *chaosFigures) verb(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verbs[name]++
}

func (f *chaosFigures) ended(x *chaosTxn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told[x.told]++
	f.kinds[x.kind]++
	f.statement = max(f.statement, x.ended.Sub(x.began))
	if x.err != nil {
		f.errors[number(x.err)]++
	}
	if errorNumber(x.err) == 1105 {
		f.internal[x.err.Error()]++
	}
}

func (f *chaosFigures) unknown(x *chaosTxn, committed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how := "connection lost at COMMIT"
	switch n := errorNumber(x.err); {
	case n != 0 && x.gtrid != "":
		how = fmt.Sprintf("%d with a gtrid", n)
	case n != 0:
		how = fmt.Sprintf("%d, no record exists", n)
	}
	f.became[fmt.Sprintf("%s: %s", how, map[bool]string{true: "committed", false: "aborted"}[committed])]++
}

func (f *chaosFigures) asked(said string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if said == "" {
		said = "ACTIVE, or ENDED, NOT RECORDED"
	}
	f.outcomes[said]++
}

func (f *chaosFigures) inDoubt(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doubts++
	f.doubt = max(f.doubt, d)
}

func (f *chaosFigures) unaffected(d time.Duration, err error, where string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calm++
	if d > f.stall {
		f.stall, f.stallAt = d, where
	}
	if err != nil {
		f.disturbed[number(err)]++
	}
}

func (f *chaosFigures) settled(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settling = max(f.settling, d)
}

// refused counts an answer to a definition.
func (f *chaosFigures) refused(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusals[number(err)]++
}

// number is an error's number as text.
func number(err error) string {
	if n := errorNumber(err); n != 0 {
		return fmt.Sprint(n)
	}
	return "connection lost or refused"
}

func (f *chaosFigures) defined(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.completing = max(f.completing, d)
}

func sum[K comparable](m map[K]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

// line is the run up to now in short.
func (f *chaosFigures) line() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("so far %d committed, %d aborted, %d unknown, %d faults, %d definitions", f.told[toldCommitted], f.told[toldAborted],
		f.told[toldNothing], sum(f.faults), f.definitions)
}

// String is the table for the document.
func (f *chaosFigures) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	row := func(what string, value any) { fmt.Fprintf(&b, "| %s | %v |\n", what, value) }
	b.WriteString("| figure | value |\n|---|---|\n")
	row("time", fmt.Sprintf("%v (seed %d)", f.lasted.Round(time.Second), f.seed))
	row("violations", f.violations)
	row("transactions", fmt.Sprintf("%d: %d told committed, %d told aborted, %d told nothing", sum(f.told), f.told[toldCommitted], f.told[toldAborted], f.told[toldNothing]))
	row("what was tried", list(f.kinds))
	row("faults", fmt.Sprintf("%d: %s", sum(f.faults), list(f.faults)))
	row("verbs at which rules acted", list(f.verbs))
	row("errors of transactions", list(f.errors))
	if len(f.internal) > 0 {
		row("texts of 1105", list(f.internal))
	}
	row("unknown answers, and what they were", list(f.became))
	row("answers of XA OUTCOME", list(f.outcomes))
	row("admin statements", f.operated)
	row("definitions executed; other answers; longest until interrupted ones were completed",
		fmt.Sprintf("%d; %s; %v", f.definitions, list(f.refusals), f.completing.Round(time.Millisecond)))
	row("branches seen prepared and ended; longest time in doubt", fmt.Sprintf("%d; %v", f.doubts, f.doubt.Round(time.Millisecond)))
	row("longest transaction", f.statement.Round(time.Millisecond))
	row("statements of unaffected clients; longest; errors", fmt.Sprintf("%d; %v (%s); %s", f.calm, f.stall.Round(time.Millisecond), f.stallAt, list(f.disturbed)))
	row("longest time from the last fault until nothing was left", f.settling.Round(time.Millisecond))
	row("proxies that ended by themselves", f.exits)
	row("servers that ended by themselves", f.crashes)
	return b.String()
}

// list is a map as text, the most frequent first.
func list(m map[string]int) string {
	if len(m) == 0 {
		return "none"
	}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%s: %d", k, m[k]))
	}
	return strings.Join(parts, "; ")
}

// writeSection replaces the part of a document between two marks by text, or writes the document.
func writeSection(path, name, text string) error {
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	before, rest, found := strings.Cut(string(old), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		before, after = string(old), "\n"
	}
	return os.WriteFile(path, []byte(before+begin+text+end+after), 0o644)
}
