package protocol

import (
	"os"
	"testing"
	"time"
)

var (
	mysql   = [3]bool{}
	mariadb = [3]bool{true, true, true}
	mixed   = [3]bool{true, true, false}

	two          = []Use{Writer, Writer}
	three        = []Use{Writer, Writer, Writer}
	decisionOnly = []Use{LockingReader, Writer, Writer}
)

// scenarios: up to three branches at both kinds of server. With two branches
// home's server and the other one may crash, with three one of them may, and
// both in one scenario.
func scenarios() []scenario {
	list := []scenario{
		{name: "home and 1, MySQL", uses: two, maria: mysql},
		{name: "home and 1, MariaDB", uses: two, maria: mariadb},
		{name: "home and 1, claim and COMMIT in two packets, MySQL", uses: two, maria: mysql, twoStep: true},
		{name: "home and 1, claim and COMMIT in two packets, MariaDB", uses: two, maria: mariadb, twoStep: true},
		{name: "one phase at home, no reader", uses: []Use{Writer}, noClaims: true},
		{name: "one phase at home, a locking reader", uses: []Use{Writer, LockingReader}, noClaims: true},
		{name: "one phase at 1, locking readers at home and 2", uses: []Use{LockingReader, Writer, LockingReader}, noClaims: true},
		{name: "home and 2, MySQL", uses: three, maria: mysql},
		{name: "home, MariaDB and MySQL", uses: three, maria: mixed},
		{name: "home, 1 and a locking reader, MySQL", uses: []Use{Writer, Writer, LockingReader}, maria: mysql},
		{name: "home only read, 2 writers, MariaDB", uses: decisionOnly, maria: mariadb},
	}
	for i := range list {
		list[i].homeCrashes, list[i].otherCrashes = 1, 1
	}
	list[7].otherCrashes, list[9].homeCrashes, list[10].otherCrashes = 0, 0, 0
	if deep() {
		list = append(list,
			scenario{name: "home and 2, MariaDB", uses: three, maria: mariadb},
			scenario{name: "home, 1 and a locking reader, MariaDB", uses: []Use{Writer, Writer, LockingReader}, maria: mariadb},
			scenario{name: "home and 2, claim and COMMIT in two packets, MariaDB", uses: three, maria: mariadb, twoStep: true},
		)
		for i := range list {
			list[i].homeCrashes, list[i].otherCrashes = 2, 2
		}
	}
	return list
}

func deep() bool { return os.Getenv("XAPROXY_MODEL") == "deep" }

// TestNoReachableStateBreaksAnInvariant walks every state of each scenario.
// XAPROXY_MODEL=deep allows two crashes of each kind and more scenarios.
func TestNoReachableStateBreaksAnInvariant(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			skipLong(t, s)
			begin := time.Now()
			r := explore(s)
			t.Logf("%d states, %d steps, depth %d, %v", r.states, r.steps, r.depth, time.Since(begin).Round(time.Millisecond))
			if r.problem != "" {
				t.Error(r.problem)
				tell(t, r)
			}
		})
	}
}

const (
	notaIsDone    = "NOTA is done"
	nodeThenClaim = "XA OUTCOME reads collected_upto, then the claim"
	claimThenNode = "XA OUTCOME reads the claim, then collected_upto"

	nobodyLists      = "foreign collects a commit row without looking for its participants"
	oneIsListed      = "foreign looks for one participant only"
	incarnationTwice = "an incarnation that is marked dead is used again"
)

// mutations: each breaks one rule, and the invariant that it must break in turn.
func mutations() []scenario {
	return []scenario{
		{broken: "no fence", uses: two},
		{broken: "count a lost vote", uses: two},
		{broken: "decide before all votes", uses: three},
		{broken: "guess aborted after a lost answer", uses: two},
		{broken: "guess committed after a lost answer", uses: two},
		{broken: "forget early", uses: three},
		{broken: "drop the abort claim early", uses: two},
		{broken: "drop the abort claim because older sessions are gone", uses: two},
		{broken: notaIsDone, uses: two, maria: mariadb},
		{broken: "MariaDB's OK from another session is done", uses: two, maria: mariadb, otherCrashes: 1},
		{broken: "lost one-phase commit told as aborted", uses: []Use{LockingReader, Writer}, noClaims: true},
		{broken: "act on a visible but not yet durable claim", uses: two, homeCrashes: 1},
		{broken: "owner trusts its own late fence after a dead mark", uses: two},
		{broken: incarnationTwice, uses: two},
		{broken: nobodyLists, uses: two},
		{broken: oneIsListed, uses: three},
		{broken: "foreign collects a commit row of an incarnation not marked dead", uses: two},
		{broken: "COMMIT runs on behind a failed INSERT", uses: two},
		{broken: "listing before the row is read", uses: two},
		{broken: "the deletion does not name the outcome it read", uses: two, homeCrashes: 1},
		{broken: "the mark is not checked in the deleting transaction", uses: two, homeCrashes: 1},
		{broken: "the fence's own answer is told", uses: two},
		{broken: "collected_upto is not raised", uses: two},
		{broken: nodeThenClaim, uses: two},
		{broken: claimThenNode, uses: two, homeCrashes: 1},
		{broken: "a connection id is compared without the server's run", uses: two, homeCrashes: 1},
		{broken: "the outcome of a transaction without a claim is asked for", uses: []Use{LockingReader, Writer}},
		{broken: "locking readers are not asked", uses: []Use{Writer, Writer, LockingReader}},
		{broken: "home loses its last commit", uses: two},
	}
}

// TestEveryBrokenRuleIsCaught shows that each rule is needed and that the
// exploration would notice its absence; -v prints the shortest counter-example.
func TestEveryBrokenRuleIsCaught(t *testing.T) {
	for _, s := range mutations() {
		t.Run(s.broken, func(t *testing.T) {
			skipLong(t, s)
			r := explore(s)
			if r.problem == "" {
				t.Fatalf("not caught in %d states", r.states)
			}
			tell(t, r)
		})
	}
}

// skipLong: with -short, and with the race detector, which has nothing to find
// in one goroutine and makes it twenty times slower, two branches must do.
func skipLong(t *testing.T, s scenario) {
	t.Helper()
	if len(s.uses) > 2 && !s.noClaims && (testing.Short() || raceDetector) {
		t.Skip("three branches only without -short and -race")
	}
	if s.broken == "" && !s.noClaims && s.name != "home and 1, MariaDB" && raceDetector {
		t.Skip("one scenario only with -race")
	}
}

func tell(t *testing.T, r result) {
	t.Helper()
	t.Logf("%s, after %d steps (%d states):", r.problem, len(r.trace), r.states)
	for i, line := range r.trace {
		t.Logf("%3d %s", i+1, line)
	}
}
