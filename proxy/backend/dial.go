package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// Dial connects, logs in and prepares the session: autocommit=1, the lease, the
// session's name. Nothing was done at the shard when it fails.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	c, err := logIn(ctx, o)
	if err != nil {
		return nil, dialError(o, err)
	}
	if err := c.prepareSession(ctx); err != nil {
		c.Close()
		return nil, dialError(o, err)
	}
	if o.AfterDial != nil {
		if err := o.AfterDial(ctx, c); err != nil {
			c.Close()
			return nil, dialError(o, err)
		}
	}
	c.have = State{}
	c.pinned = false
	c.ready = true
	return c, nil
}

func dialError(o Options, err error) error {
	return xa.WithEffect(fmt.Errorf("dial %s at %s: %w", o.Name, o.Addr, err), xa.EffectNone)
}

// logIn connects and logs in.
func logIn(ctx context.Context, o Options) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, err
	}
	c, err := handshake(ctx, nc, o)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// handshake logs in on a connected socket.
func handshake(ctx context.Context, nc net.Conn, o Options) (*Conn, error) {
	c := &Conn{
		o: o, nc: nc, raw: nc, r: wire.NewReader(nc, o.MaxPacket),
		stmts: newStatements(o.MaxStatements), lastUsed: time.Now(),
	}
	c.kill.Store(newKill())
	w := wire.NewWriter(nc)
	caps := wire.ClientCapabilities
	if o.FoundRows {
		caps |= wire.FoundRows
	}
	phase := wire.NewClientPhase(wire.ClientOptions{
		User: o.User, Password: o.Password, Capabilities: caps, Collation: wire.CollationUTF8MB4General,
		MaxPacket:  uint32(min(o.MaxPacket, math.MaxInt32)),
		Attributes: []wire.Attribute{{Name: "_client_name", Value: "xaproxy"}, {Name: "program_name", Value: "xaproxy"}},
		TLS:        o.TLS != nil, TLSOptional: o.TLSOptional, Private: o.Network == "unix",
	})
	stop := c.watch(ctx)
	err := phase.Run(c.r, w, func() error { return c.startTLS(ctx, w) })
	stop()
	if ctxErr := ctx.Err(); err != nil && ctxErr != nil {
		return nil, fmt.Errorf("%w (%w)", ctxErr, err)
	}
	if err != nil {
		return nil, eof(err)
	}
	c.caps = phase.Capabilities()
	c.version = phase.Greeting().Version
	c.flavor = xamysql.FlavorOf(c.version)
	c.session = xa.SessionID{Shard: o.Shard, Conn: phase.Greeting().ConnectionID}
	c.note(phase.OK())
	return c, nil
}

var errEarlyBytes = errors.New("server sent bytes before TLS began")

func (c *Conn) startTLS(ctx context.Context, w *wire.Writer) error {
	if c.r.Buffered() > 0 {
		return errEarlyBytes
	}
	config := c.o.TLS
	if config.ServerName == "" && !config.InsecureSkipVerify {
		config = config.Clone()
		host, _, err := net.SplitHostPort(c.o.Addr)
		if err != nil {
			return err
		}
		config.ServerName = host
	}
	t := tls.Client(c.raw, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	c.nc = t
	c.r.SetSource(t)
	w.SetDestination(t)
	return nil
}

// Statements of the set-up. Trackers tell what else than Sync changes the
// session; the run is the server's start in Unix seconds.
const (
	// The variables of the second line are those whose setting to these values
	// clients are told OK for without that a shard is asked.
	setUp = "SET autocommit=1,session_track_schema=1,session_track_system_variables='*',session_track_transaction_info=OFF," +
		"sql_auto_is_null=0,sql_safe_updates=0,sql_big_selects=1,foreign_key_checks=1,unique_checks=1,sql_notes=1," +
		"sql_select_limit=18446744073709551615,wait_timeout="
	runOf = "SELECT CONNECTION_ID(),CAST(UNIX_TIMESTAMP()-VARIABLE_VALUE AS UNSIGNED) FROM %s.GLOBAL_STATUS WHERE VARIABLE_NAME='UPTIME'"
)

// prepareSession sends the set-up in one write and learns the session's name.
func (c *Conn) prepareSession(ctx context.Context) error {
	lease := max(1, int64(math.Ceil(c.o.Lease.Seconds())))
	schema := "information_schema"
	if c.flavor == xamysql.FlavorMySQL {
		schema = "performance_schema"
	}
	// performance_schema's table has a lower case name, which matters there.
	run := strings.Replace(fmt.Sprintf(runOf, schema), "performance_schema.GLOBAL_STATUS", "performance_schema.global_status", 1)
	initial, err := c.initial()
	if err != nil {
		return err
	}
	replies, err := c.Exchange(ctx,
		xamysql.Command{SQL: setUp + strconv.FormatInt(lease, 10)},
		initial,
		xamysql.Command{SQL: run})
	if err != nil {
		return err
	}
	for _, r := range replies {
		if e := r.Results[len(r.Results)-1].Err; e != nil {
			return fmt.Errorf("set up session: %w", e)
		}
	}
	return c.takeName(replies[2].Results[0].Rows)
}

var errSession = errors.New("the server does not name the session")

// takeName sets the session's name from the row of runOf.
func (c *Conn) takeName(rows [][]*string) error {
	if len(rows) != 1 || len(rows[0]) != 2 || rows[0][0] == nil || rows[0][1] == nil {
		return fmt.Errorf("%d rows: %w", len(rows), errSession)
	}
	id, err := strconv.ParseUint(*rows[0][0], 10, 32)
	if err != nil {
		return fmt.Errorf("connection id: %w", err)
	}
	run, err := strconv.ParseUint(*rows[0][1], 10, 32)
	if err != nil {
		return fmt.Errorf("server run: %w", err)
	}
	if uint32(id) != c.session.Conn {
		return fmt.Errorf("greeting says connection %d, CONNECTION_ID() %d (something between us and the server shares sessions): %w",
			c.session.Conn, id, errSession)
	}
	c.session.Run = uint32(run)
	return nil
}
