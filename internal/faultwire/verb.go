package faultwire

import "strings"

// Verb is what a statement does to a transaction.
type Verb uint8

// The verbs. The zero value is every statement that none of the others describes.
const (
	Other      Verb = iota
	Begin           // BEGIN, START TRANSACTION
	Start           // XA START, XA BEGIN
	End             // XA END
	Prepare         // XA PREPARE
	Claim           // INSERT INTO xaproxy.claim: a coordinator's decision or, on a control connection, a fence
	Commit          // COMMIT
	XACommit        // XA COMMIT of a prepared branch
	OnePhase        // XA COMMIT ... ONE PHASE
	Rollback        // ROLLBACK of the transaction, not to a savepoint
	XARollback      // XA ROLLBACK
	Recover         // XA RECOVER
	Ping            // COM_PING
	Ask             // COM_STMT_PREPARE, whatever its text
)

func (v Verb) String() string {
	switch v {
	case Other:
		return "other"
	case Begin:
		return "BEGIN"
	case Start:
		return "XA START"
	case End:
		return "XA END"
	case Prepare:
		return "XA PREPARE"
	case Claim:
		return "claim INSERT"
	case Commit:
		return "COMMIT"
	case XACommit:
		return "XA COMMIT"
	case OnePhase:
		return "XA COMMIT ONE PHASE"
	case Rollback:
		return "ROLLBACK"
	case XARollback:
		return "XA ROLLBACK"
	case Recover:
		return "XA RECOVER"
	case Ping:
		return "PING"
	case Ask:
		return "statement PREPARE"
	}
	return "invalid verb"
}

// Classify returns the verb of each statement of sql, in order.
func Classify(sql string) []Verb {
	parts := split(sql)
	verbs := make([]Verb, len(parts))
	for i, p := range parts {
		verbs[i] = verbOf(words(p, 8))
	}
	return verbs
}

func verbOf(w []string) Verb {
	if len(w) == 0 {
		return Other
	}
	switch w[0] {
	case "XA":
		return xaVerb(w)
	case "BEGIN":
		return Begin
	case "START":
		if len(w) > 1 && w[1] == "TRANSACTION" {
			return Begin
		}
	case "COMMIT":
		return Commit
	case "ROLLBACK":
		if !contains(w, "TO") {
			return Rollback
		}
	case "INSERT":
		if contains(w, "XAPROXY.CLAIM") {
			return Claim
		}
	}
	return Other
}

func xaVerb(w []string) Verb {
	if len(w) < 2 {
		return Other
	}
	switch w[1] {
	case "START", "BEGIN":
		return Start
	case "END":
		return End
	case "PREPARE":
		return Prepare
	case "COMMIT":
		if w[len(w)-1] == "PHASE" {
			return OnePhase
		}
		return XACommit
	case "ROLLBACK":
		return XARollback
	case "RECOVER":
		return Recover
	}
	return Other
}

func contains(w []string, want string) bool {
	for _, s := range w {
		if s == want {
			return true
		}
	}
	return false
}

// words returns the first n-1 words of a statement and its last one, in upper
// case and without back quotes; comments are white space.
func words(sql string, n int) []string {
	var w []string
	for i := 0; i < len(sql); {
		if j := skipSpace(sql, i); j > i {
			i = j
			continue
		}
		j := i
		for j < len(sql) && skipSpace(sql, j) == j && sql[j] != '(' {
			j = next(sql, j)
		}
		if j == i { // '('
			i++
			continue
		}
		word := strings.ToUpper(strings.ReplaceAll(sql[i:j], "`", ""))
		if len(w) < n {
			w = append(w, word)
		} else {
			w[n-1] = word
		}
		i = j
	}
	return w
}

// split cuts sql at the semicolons between statements; empty statements are dropped.
func split(sql string) []string {
	var parts []string
	from := 0
	cut := func(to int) {
		if p := strings.TrimSpace(sql[from:to]); p != "" {
			parts = append(parts, p)
		}
		from = to + 1
	}
	for i := 0; i < len(sql); {
		if j := skipSpace(sql, i); j > i {
			i = j
			continue
		}
		if sql[i] == ';' {
			cut(i)
			i++
			continue
		}
		i = next(sql, i)
	}
	if from < len(sql) {
		cut(len(sql))
	}
	return parts
}

// skipSpace returns where the white space and comments that start at i end.
func skipSpace(sql string, i int) int {
	for i < len(sql) {
		rest := sql[i:]
		switch {
		case strings.IndexByte(" \t\r\n\v\f\x00", sql[i]) >= 0:
			i++
		case strings.HasPrefix(rest, "/*") && !strings.HasPrefix(rest, "/*!") && !strings.HasPrefix(rest, "/*M!"):
			i = endAfter(sql, i+2, "*/")
		case sql[i] == '#', strings.HasPrefix(rest, "-- "), strings.HasPrefix(rest, "--\n"):
			i = endAfter(sql, i, "\n")
		default:
			return i
		}
	}
	return i
}

func endAfter(sql string, i int, end string) int {
	if j := strings.Index(sql[i:], end); j >= 0 {
		return i + j + len(end)
	}
	return len(sql)
}

// next returns the position behind the byte or quoted string at i.
func next(sql string, i int) int {
	quote := sql[i]
	if quote != '\'' && quote != '"' && quote != '`' {
		return i + 1
	}
	for i++; i < len(sql); i++ {
		switch {
		case sql[i] == '\\' && quote != '`':
			i++
		case sql[i] == quote:
			return i + 1
		}
	}
	return len(sql)
}
