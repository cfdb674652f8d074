package backend

import (
	"context"
	"errors"
	"time"

	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

var errSoon = errors.New("not yet written")

// Conn is one session at a shard.
type Conn struct{}

// Dial connects, logs in and prepares the session: autocommit=1, the lease, the
// session's name.
func Dial(ctx context.Context, o Options) (*Conn, error) { return nil, errSoon }

// Session names the session for all time.
func (c *Conn) Session() xa.SessionID { return xa.SessionID{} }

// Flavor is the server's family.
func (c *Conn) Flavor() xamysql.Flavor { return xamysql.FlavorUnknown }

// ServerVersion is the version that the server's greeting told.
func (c *Conn) ServerVersion() string { return "" }

// Status is the flags of the last OK or EOF packet that was read.
func (c *Conn) Status() wire.Status { return 0 }

// InTransaction is StatusInTrans of Status; false once the connection is broken.
func (c *Conn) InTransaction() bool { return false }

// Broken reports whether the connection is lost.
func (c *Conn) Broken() bool { return true }

// Pin says that the session has state that Sync does not know: the connection
// will be closed when it is put back.
func (c *Conn) Pin() {}

// Reusable reports whether Pool.Put would keep the connection.
func (c *Conn) Reusable() bool { return false }

// LastUsed is when the last reply was read; a connection that is held without
// being used must be pinged within the lease.
func (c *Conn) LastUsed() time.Time { return time.Time{} }

// Close closes the connection. It is idempotent. A connection at which KillQuery
// is aimed is closed when the server has answered that.
func (c *Conn) Close() {}

// Exchange writes all commands in one write, then reads all replies: see
// xamysql.Conn. Commands behind the first must be small (some KiB): nothing is
// read before all are written.
func (c *Conn) Exchange(ctx context.Context, cmds ...xamysql.Command) ([]xamysql.Reply, error) {
	return nil, errSoon
}

// Ping sends COM_PING; afterwards InTransaction tells the truth.
func (c *Conn) Ping(ctx context.Context) error { return errSoon }

// Sync makes the session's state the wanted one. It sends only what differs, in
// one write, and nothing when nothing does. An error leaves the state unknown:
// the connection will not be reused. It does not check whether a transaction is
// open.
func (c *Conn) Sync(ctx context.Context, want State) error { return errSoon }

// Sink takes a reply as it arrives. The slices are valid during the call only.
// An error ends the relay; the connection is then broken, since the rest of the
// reply is unread.
type Sink interface {
	// Columns begins a result set; defs are the column definitions' payloads.
	Columns(defs [][]byte) error
	// Row is a row's payload, in the protocol of the command.
	Row(payload []byte) error
	// End is the end of a result set (rows true), or an OK without one.
	// Status.Has(wire.StatusMoreResults) says that another one follows.
	End(ok wire.OK, rows bool) error
}

// Result is how a relayed reply ended.
type Result struct {
	// OK is the last OK or end of rows, if there was one.
	OK wire.OK
	// Err is the error packet that ended the reply, or nil. The sink has not
	// seen it.
	Err *wire.ServerError
	// Results counts the calls of Sink.End.
	Results int
}

// Relay sends the payload of one command (COM_QUERY, COM_STMT_EXECUTE,
// COM_INIT_DB, COM_PING, COM_STMT_RESET) and hands the reply to sink.
func (c *Conn) Relay(ctx context.Context, payload []byte, sink Sink) (Result, error) {
	return Result{}, errSoon
}

// Stmt is a prepared statement of a connection.
type Stmt struct {
	ID       uint32
	Params   [][]byte // payloads of the parameters' definitions
	Columns  [][]byte // payloads of the columns' definitions
	Warnings uint16
}

// Prepare prepares sql under the state that Sync has set, or finds it in the
// connection's cache. A server's error packet is a *wire.ServerError in the
// error's chain. The Stmt is valid until the next call of Prepare.
func (c *Conn) Prepare(ctx context.Context, sql string) (*Stmt, error) { return nil, errSoon }

// KillQuery sends KILL QUERY for this session on a connection of its own. Other
// goroutines than the owner may call it. From the call on the connection will
// not be reused, and the owner's next command waits for the server's answer.
func (c *Conn) KillQuery(ctx context.Context) error { return errSoon }
