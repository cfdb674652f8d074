package xamysql

import (
	"context"
	"fmt"
	"strings"

	"xaproxy/xa"
)

// Flavor is the family of a server.
type Flavor uint8

// The families. The zero value is none of them.
const (
	FlavorUnknown Flavor = iota
	FlavorMySQL
	FlavorMariaDB
)

func (f Flavor) String() string {
	switch f {
	case FlavorUnknown:
		return "unknown server"
	case FlavorMySQL:
		return "MySQL"
	case FlavorMariaDB:
		return "MariaDB"
	}
	return "invalid flavor"
}

// Conn is one session at a MySQL or MariaDB server that runs with autocommit=1 and may send several statements in one
// packet. It is used by one goroutine at a time.
type Conn interface {
	// Session names the session for all time.
	Session() xa.SessionID
	// Flavor is the server's family.
	Flavor() Flavor
	// InTransaction is SERVER_STATUS_IN_TRANS of the last OK or EOF packet that was read, and false once the connection
	// is lost. An error packet carries no flags: whoever reads one sends a Ping before relying on this.
	InTransaction() bool
	// Exchange writes all commands in one write and then reads all their replies. A server's error packet is not an
	// error of Exchange but in Result.Err. On a transport error, or when ctx ends, it returns the replies read so far
	// (the last one perhaps incomplete) and the error, and the connection is broken and its socket closed. The error
	// carries EffectNone when nothing had been written.
	Exchange(ctx context.Context, cmds ...Command) ([]Reply, error)
}

// CommandKind says which command a Command is.
type CommandKind uint8

// The kinds of commands.
const (
	Query CommandKind = iota // COM_QUERY with SQL
	Ping                     // COM_PING
)

// Command is one command packet.
type Command struct {
	Kind CommandKind
	SQL  string // for Query
}

// Reply is the whole answer to one Command.
type Reply struct {
	Results []Result // one per executed statement; the last one has Err when a statement failed
}

// Result is the answer to one statement.
type Result struct {
	Status   uint16      // status flags of the final OK or EOF; 0 with Err
	Affected uint64      // affected rows of an OK
	Warnings uint16      // their number, as the OK or EOF tells
	Rows     [][]*string // rows of a result set, nil elements are NULL
	Err      *ServerError
}

// ServerError is an error packet.
type ServerError struct {
	Number  uint16
	State   string
	Message string
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("error %d (%s): %s", e.Number, e.State, e.Message)
}

// StatusInTrans is SERVER_STATUS_IN_TRANS in Result.Status.
const StatusInTrans uint16 = 0x0001

// FlavorOf tells the family from a server's version string.
func FlavorOf(version string) Flavor {
	if strings.Contains(strings.ToLower(version), "mariadb") {
		return FlavorMariaDB
	}
	if version == "" {
		return FlavorUnknown
	}
	return FlavorMySQL
}
