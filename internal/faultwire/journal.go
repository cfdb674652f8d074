package faultwire

import (
	"fmt"
	"strings"
	"time"
)

// Command is one command as a relay saw it.
type Command struct {
	Relay  string // the relay's name
	Conn   uint64 // number of the connection, from 1, within the relay
	Thread uint32 // the connection's id at the server (the low 32 bits)
	Source Source // Session or Control
	Byte   byte   // the protocol's command byte
	SQL    string // text of COM_QUERY, or of the statement that COM_STMT_PREPARE or COM_STMT_EXECUTE is about
	Verbs  []Verb // of each of its statements; executed ones only, so none for COM_STMT_PREPARE
}

func (c Command) String() string {
	var names []string
	for _, v := range c.Verbs {
		names = append(names, v.String())
	}
	return fmt.Sprintf("%s %s conn %d (thread %d): command 0x%02x [%s] %s",
		c.Relay, c.Source, c.Conn, c.Thread, c.Byte, strings.Join(names, ", "), c.SQL)
}

// Phase is the moment of a command's life that an event reports.
type Phase uint8

// The phases.
const (
	Sent     Phase = iota // written to the shard
	Answered              // one statement's reply has been read from the shard; Event.Result says what
	Held                  // a rule begins to act on it
	Dropped               // thrown away by a rule; the connection is being closed
	Opened                // not a command: the connection's login has succeeded
	Closed                // not a command: the connection has ended
)

func (p Phase) String() string {
	switch p {
	case Sent:
		return "sent"
	case Answered:
		return "answered"
	case Held:
		return "held"
	case Dropped:
		return "dropped"
	case Opened:
		return "opened"
	case Closed:
		return "closed"
	}
	return "invalid phase"
}

// Event is one line of a relay's journal.
type Event struct {
	Time      time.Time
	Phase     Phase
	Command   Command
	Statement int    // Answered: index of the statement within the command
	Result    Result // Answered
}

// Verb is the verb of the event's statement, Other when it has none.
func (e Event) Verb() Verb {
	if e.Statement < len(e.Command.Verbs) {
		return e.Command.Verbs[e.Statement]
	}
	return Other
}

func (e Event) String() string {
	s := fmt.Sprintf("%s %-8s %s", e.Time.Format("15:04:05.000000"), e.Phase, e.Command)
	if e.Phase != Answered {
		return s
	}
	if e.Result.Error != 0 {
		return fmt.Sprintf("%s -> #%d error %d %s", s, e.Statement, e.Result.Error, e.Result.Message)
	}
	return fmt.Sprintf("%s -> #%d ok, rows %d, in transaction %t", s, e.Statement, e.Result.Rows, e.Result.InTrans)
}
