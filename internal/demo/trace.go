package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"xaproxy/internal/faultwire"
)

// trace records what sessions send to the shards while it is on.
type trace struct {
	mu sync.Mutex
	// Guarded by mu:
	on     bool
	begun  time.Time
	events []faultwire.Event
}

func (t *trace) note(e faultwire.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.on && e.Command.Source == faultwire.Session && len(e.Command.Verbs) > 0 {
		t.events = append(t.events, e)
	}
}

func (t *trace) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on, t.begun, t.events = true, time.Now(), nil
}

// stop ends the recording and prints it: one line per command sent, per
// statement answered and per command that a fault took.
func (t *trace) stop(out io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on = false
	for _, e := range t.events {
		at := float64(e.Time.Sub(t.begun).Microseconds()) / 1000
		line := func(arrow, text string) {
			fmt.Fprintf(out, "   %8.2f ms  %s %s  %s\n", at, e.Command.Relay, arrow, text)
		}
		switch e.Phase {
		case faultwire.Sent:
			line("<-", shorten(e.Command.SQL))
		case faultwire.Answered:
			if e.Result.Error != 0 {
				line("->", fmt.Sprintf("error %d: %s", e.Result.Error, e.Result.Message))
			} else if e.Statement == len(e.Command.Verbs)-1 {
				line("->", "OK")
			}
		case faultwire.Held:
			line("!!", "kill -9")
		case faultwire.Dropped, faultwire.Opened, faultwire.Closed:
		}
	}
}

// shorten makes a statement fit a line: long literals are names nobody reads.
func shorten(sql string) string {
	const width = 110
	sql = strings.Join(strings.Fields(sql), " ")
	for {
		i, j := longLiteral(sql)
		if i < 0 {
			break
		}
		sql = sql[:i+10] + ".." + sql[j-3:]
	}
	if r := []rune(sql); len(r) > width {
		return string(r[:width]) + "..."
	}
	return sql
}

// longLiteral finds a hexadecimal literal of more than 24 bytes.
func longLiteral(sql string) (from, to int) {
	for i := 0; i+1 < len(sql); i++ {
		if (sql[i] != 'X' && sql[i] != 'x') || sql[i+1] != '\'' {
			continue
		}
		n := strings.IndexByte(sql[i+2:], '\'')
		if n > 20 {
			return i, i + 2 + n + 1
		}
		if n >= 0 {
			i += n + 2
		}
	}
	return -1, -1
}
