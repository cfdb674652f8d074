package protocol

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"xaproxy/xa"
)

// TestScripts plays the conversations in testdata. A script is a sequence of
//
//	event
//	----
//	resulting state
//	  action
//
// separated by blank lines; lines that begin with # are comments, "new" takes
// how each branch was used. XAPROXY_REWRITE=1 writes what the machine does into
// the files: read the difference before you believe it.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if os.Getenv("XAPROXY_REWRITE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(text) {
				t.Errorf("%s says:\n%s\nthe machine does:\n%s", file, text, got)
			}
		})
	}
}

// play returns the script with the machine's replies.
func play(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	var m *Machine
	for n, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if n > 0 {
			out.WriteString("\n")
		}
		in, _, asks := strings.Cut(block, "\n----")
		out.WriteString(in + "\n")
		if !asks {
			continue
		}
		out.WriteString("----\n")
		var acts []Action
		for _, line := range strings.Split(in, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			words := strings.Fields(line)
			if words[0] == "new" {
				m = newFromScript(t, words[1:])
				continue
			}
			acts = append(acts, m.Step(scriptEvent(t, words))...)
		}
		out.WriteString(m.State().String() + "\n")
		for _, a := range acts {
			out.WriteString("  " + a.String() + "\n")
		}
	}
	return out.String()
}

func newFromScript(t *testing.T, uses []string) *Machine {
	t.Helper()
	c := Config{Global: "g"}
	for i, u := range uses {
		use, ok := map[string]Use{"writer": Writer, "locking": LockingReader, "reader": Reader}[u]
		if !ok {
			t.Fatalf("what is a %q?", u)
		}
		c.Branches = append(c.Branches, Branch{Name: fmt.Sprintf("b%d", i), Use: use})
	}
	return New(c)
}

func scriptEvent(t *testing.T, words []string) Event {
	t.Helper()
	e := Event{}
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		t.Fatalf("%q lacks a word", words)
		return ""
	}
	branch := func() {
		n, err := strconv.Atoi(arg(1))
		if err != nil {
			t.Fatal(err)
		}
		e.Branch = n
	}
	switch words[0] {
	case "commit":
		e.Kind = EventCommit
	case "rollback":
		e.Kind = EventRollback
	case "timeout":
		e.Kind = EventTimeout
	case "lost":
		e.Kind = EventLost
		branch()
	case "vote":
		e.Kind = EventVote
		branch()
		switch arg(2) {
		case "prepared":
			e.Vote = xa.Prepared
		case "read-only":
			e.Vote = xa.ReadOnly
		case "no":
			e.Effect = xa.EffectNone
		case "unknown":
		default:
			t.Fatalf("what is %q?", words)
		}
	case "decided":
		e.Kind = EventDecided
		e.Reply = map[string]Reply{"done": ReplyDone, "fenced": ReplyFenced, "none": ReplyNone, "unknown": ReplyUnknown}[arg(1)]
	case "resolved":
		e.Kind = EventResolved
		e.Outcome = map[string]xa.Outcome{"committed": xa.Committed, "aborted": xa.Aborted, "unknown": xa.Unknown, "undecided": xa.Undecided}[arg(1)]
	case "ended":
		e.Kind = EventEnded
		branch()
		e.End = map[string]End{"finished": EndFinished, "heuristic": EndHeuristic, "unknown": EndUnknown}[arg(2)]
	default:
		t.Fatalf("what is %q?", words)
	}
	return e
}
