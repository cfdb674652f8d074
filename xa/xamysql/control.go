package xamysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"xaproxy/xa"
)

// Settings of the shard's own sessions. They keep nothing of the server's defaults that matters: fences and collection
// in READ COMMITTED lock no gaps between claims (server-facts, trap 10), a fence waits one second for a claim that is
// being decided.
const (
	setSession = "SET SESSION autocommit=1, completion_type=0, innodb_lock_wait_timeout=1, lock_wait_timeout=5, " +
		"wait_timeout=60, time_zone='+00:00', sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
	setIsolation   = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE"
	setNoLimit     = "SET SESSION max_execution_time=0" // MySQL
	setNoLimitMDB  = "SET SESSION max_statement_time=0" // MariaDB
	selectRun      = "SELECT CAST(UNIX_TIMESTAMP() - VARIABLE_VALUE AS UNSIGNED) FROM performance_schema.global_status WHERE VARIABLE_NAME='Uptime'"
	selectRunMDB   = "SELECT CAST(UNIX_TIMESTAMP() - VARIABLE_VALUE AS UNSIGNED) FROM information_schema.global_status WHERE VARIABLE_NAME='UPTIME'"
	selectMeta     = "SELECT version, cluster, shard, name FROM xaproxy.meta"
	selectReadOnly = "SELECT @@global.read_only"
	probeProcess   = "SELECT COUNT(*) FROM information_schema.innodb_trx" // 1227 without PROCESS
)

// charset and collation of the shard's own sessions; both families know them.
const controlCollation = "utf8mb4_bin"

const (
	dialTimeout = 5 * time.Second
	idleTime    = 20 * time.Second // shorter than the sessions' wait_timeout
)

// about is what one of the shard's own sessions knows about itself.
type about struct {
	flavor  Flavor
	version string
	session xa.SessionID
	process bool // sees the sessions of all accounts
}

// driverConn is all that database/sql asks of the driver's connection.
type driverConn interface {
	driverLife
	driverStatements
}

type driverLife interface {
	driver.Conn
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type driverStatements interface {
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.QueryerContext
}

// controlConn is a connection of the driver together with what set-up found out.
type controlConn struct {
	driverConn
	about about
}

// connector makes connections that are set up and have been checked to reach the right server.
type connector struct {
	base  driver.Connector
	ready func(ctx context.Context, c driverConn) (about, error)
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	raw, err := c.base.Connect(ctx)
	if err != nil {
		return nil, err
	}
	dc, ok := raw.(driverConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("driver's connection is a %T", raw), raw.Close())
	}
	a, err := c.ready(ctx, dc)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return &controlConn{driverConn: dc, about: a}, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.base.Driver() }

// controlConfig is the driver's configuration for the shard's own sessions.
func controlConfig(dsn string) (*mysql.Config, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("data source name: %w", err)
	}
	cfg.DBName = ""
	cfg.Params = map[string]string{}
	cfg.ParseTime = false
	cfg.MultiStatements = false
	cfg.InterpolateParams = true
	cfg.ClientFoundRows = false
	cfg.RejectReadOnly = false
	cfg.CheckConnLiveness = true
	cfg.AllowAllFiles = false
	cfg.Logger = silent{}
	if err := cfg.Apply(mysql.Charset("utf8mb4", controlCollation)); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = dialTimeout
	}
	return cfg, nil
}

// silent drops what the driver would print: every such event is also an error that is returned.
type silent struct{}

// Print implements mysql.Logger.
func (silent) Print(...any) {}

// newPool opens a pool of sessions that ready has set up. It does not connect.
func newPool(dsn string, size int, ready func(context.Context, driverConn) (about, error)) (*sql.DB, error) {
	cfg, err := controlConfig(dsn)
	if err != nil {
		return nil, err
	}
	base, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("data source name: %w", err)
	}
	db := sql.OpenDB(connector{base: base, ready: ready})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	db.SetConnMaxIdleTime(idleTime)
	return db, nil
}

// setUp gives a new session its settings and finds out what it is.
func setUp(ctx context.Context, c driverConn) (about, error) {
	var a about
	row, err := firstRow(ctx, c, "SELECT VERSION(), CONNECTION_ID()")
	if err != nil {
		return a, err
	}
	a.version = row[0]
	a.flavor = FlavorOf(a.version)
	id, err := strconv.ParseUint(row[1], 10, 32)
	if err != nil {
		return a, fmt.Errorf("connection id: %w", err)
	}
	limit, uptime := setNoLimit, selectRun
	if a.flavor == FlavorMariaDB {
		limit, uptime = setNoLimitMDB, selectRunMDB
	}
	for _, q := range []string{setSession, setIsolation, limit} {
		if _, err := c.ExecContext(ctx, q, nil); err != nil {
			return a, fmt.Errorf("set up session: %w", err)
		}
	}
	row, err = firstRow(ctx, c, uptime)
	if err != nil {
		return a, fmt.Errorf("server's run: %w", err)
	}
	run, err := strconv.ParseUint(row[0], 10, 32)
	if err != nil {
		return a, fmt.Errorf("server's run: %w", err)
	}
	a.session = xa.SessionID{Run: uint32(run), Conn: uint32(id)}
	_, err = firstRow(ctx, c, probeProcess)
	if err != nil && number(err) != erPrivilege {
		return a, fmt.Errorf("probe PROCESS: %w", err)
	}
	a.process = err == nil
	return a, nil
}

// rows reads a whole result as strings; NULL is "".
func rows(ctx context.Context, c driverConn, query string) (_ [][]string, err error) {
	r, err := c.QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	values := make([]driver.Value, len(r.Columns()))
	var all [][]string
	for {
		err := r.Next(values)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = text(v)
		}
		all = append(all, row)
	}
}

func text(v driver.Value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	case string:
		return v
	}
	return fmt.Sprint(v)
}

// firstRow is the first row of a result that must have one.
func firstRow(ctx context.Context, c driverConn, query string) ([]string, error) {
	all, err := rows(ctx, c, query)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: %w", query, sql.ErrNoRows)
	}
	return all[0], nil
}
