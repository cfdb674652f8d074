package xamysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"xaproxy/xa"
)

// SchemaVersion is the version of schema xaproxy that this package reads and writes.
const SchemaVersion = 1

// Meta is the one row of xaproxy.meta: who a server is, for all time.
type Meta struct {
	Version int // of the schema
	Cluster xa.ClusterID
	Shard   xa.ShardID
	Name    string // the shard's name when it was installed, for people
}

func (m Meta) String() string {
	return fmt.Sprintf("shard %q, number %d of cluster %010x", m.Name, m.Shard, uint64(m.Cluster))
}

// is reports, as an error naming both, when the server m is not the one that is wanted.
func (m Meta) is(want Meta) error {
	switch {
	case m.Version > SchemaVersion:
		return fmt.Errorf("%w: its schema xaproxy has version %d, made by a newer xaproxy; this one knows version %d: upgrade this proxy", ErrIdentity, m.Version, SchemaVersion)
	case m.Version < SchemaVersion:
		return fmt.Errorf("%w: its schema xaproxy has version %d, which this proxy (version %d) can not migrate", ErrIdentity, m.Version, SchemaVersion)
	case m.Cluster != want.Cluster, m.Shard != want.Shard:
		return fmt.Errorf("%w: expected %s, but the server says it is %s", ErrIdentity, want, m)
	}
	return nil
}

// readMeta reads the identity of the server that c reaches; false: not installed. Anything but one row is an error.
func readMeta(ctx context.Context, c driverConn) (Meta, bool, error) {
	all, err := rows(ctx, c, selectMeta)
	switch number(err) {
	case erNoSuchTable, erBadDatabase:
		return Meta{}, false, nil
	}
	if err != nil {
		return Meta{}, false, fmt.Errorf("read xaproxy.meta: %w", err)
	}
	if len(all) == 0 {
		return Meta{}, false, nil // an installation that was interrupted
	}
	if len(all) != 1 {
		return Meta{}, false, fmt.Errorf("%w: xaproxy.meta has %d rows instead of one", ErrIdentity, len(all))
	}
	version, err1 := strconv.Atoi(all[0][0])
	cluster, err2 := strconv.ParseUint(all[0][1], 10, 64)
	shard, err3 := strconv.ParseUint(all[0][2], 10, 16)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Meta{}, false, fmt.Errorf("read xaproxy.meta: %w", err)
	}
	return Meta{Version: version, Cluster: xa.ClusterID(cluster), Shard: xa.ShardID(shard), Name: all[0][3]}, true, nil
}

// ReadMeta reads a server's identity; false: xaproxy is not installed there.
func ReadMeta(ctx context.Context, dsn string) (m Meta, installed bool, err error) {
	err = withOne(ctx, dsn, func(_ control, dc driverConn) error {
		m, installed, err = readMeta(ctx, dc)
		return err
	})
	if err != nil {
		return Meta{}, false, err
	}
	return m, installed, nil
}

// installLock is held while numbers are given to shards.
const installLock = "xaproxy install"

// ErrBusy is what Alone returns when another process gives numbers to the shards for too long.
var ErrBusy = errors.New("another process installs this cluster")

// Alone runs f while nobody else is in an Alone of this server: GET_LOCK is waited
// for as long as wait, then it is ErrBusy.
func Alone(ctx context.Context, dsn string, wait time.Duration, f func() error) error {
	return withOne(ctx, dsn, func(c control, _ driverConn) error {
		rows, err := c.list(ctx, fmt.Sprintf("SELECT GET_LOCK(%s,%d)", literal(installLock), int(wait.Seconds())))
		if err != nil {
			return err
		}
		if len(rows) != 1 || rows[0][0] != "1" {
			return ErrBusy
		}
		return f() // the lock goes with the session
	})
}

// withOne runs f on one session of its own, set up but of unknown identity.
func withOne(ctx context.Context, dsn string, f func(control, driverConn) error) (err error) {
	db, err := newPool(dsn, 1, setUp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := checkout(ctx, db)
	if err != nil {
		return err
	}
	defer c.putBack()
	var dc driverConn
	err = c.Raw(func(raw any) error {
		cc, ok := raw.(*controlConn)
		if !ok {
			return fmt.Errorf("pool's connection is a %T", raw)
		}
		dc = cc
		return nil
	})
	if err != nil {
		return err
	}
	return f(c, dc)
}

// Install creates schema xaproxy and its tables and writes m, whose Version 0 means SchemaVersion. It may be repeated;
// it fails when the server is already somebody else, naming both. meta's row is written last: a server without it is
// not installed.
func Install(ctx context.Context, dsn string, m Meta) error {
	if m.Version == 0 {
		m.Version = SchemaVersion
	}
	if m.Version != SchemaVersion || m.Shard > xa.MaxShard || uint64(m.Cluster) >= 1<<40 || len(m.Name) > 255 {
		return fmt.Errorf("install: %+v is out of range", m)
	}
	return withOne(ctx, dsn, func(c control, dc driverConn) error {
		if err := c.notReadOnly(ctx); err != nil {
			return fmt.Errorf("install: %w", err)
		}
		// Another version's tables are not touched.
		if found, installed, err := readMeta(ctx, dc); err != nil || installed {
			return errors.Join(err, found.is(m))
		}
		for _, statement := range schema() {
			if _, err := c.exec(ctx, statement); err != nil {
				return fmt.Errorf("install: %w", err)
			}
		}
		_, err := c.exec(ctx, fmt.Sprintf("INSERT INTO xaproxy.meta (one,version,cluster,shard,name) VALUES (1,%d,%d,%d,%s)",
			m.Version, uint64(m.Cluster), m.Shard, literal(m.Name)))
		if err != nil && number(err) != erDuplicate {
			return fmt.Errorf("install: %w", err)
		}
		found, installed, err := readMeta(ctx, dc)
		if err == nil && !installed {
			err = ErrNotInstalled
		}
		return errors.Join(err, found.is(m))
	})
}

// tableOptions are those of all tables of schema xaproxy.
const tableOptions = " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"

// schema is what Install creates. Numbers in names' columns are bytes: names are compared as bytes. xaproxy.barrier is
// written by those who read a claim (R10): a row per proxy, apart from the node table, so that barriers and beats do not
// wait for each other.
func schema() []string {
	const options = tableOptions
	return append([]string{
		"CREATE DATABASE IF NOT EXISTS xaproxy DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
		"CREATE TABLE IF NOT EXISTS xaproxy.meta (one TINYINT UNSIGNED NOT NULL PRIMARY KEY, version INT UNSIGNED NOT NULL, " +
			"cluster BIGINT UNSIGNED NOT NULL, shard SMALLINT UNSIGNED NOT NULL, name VARBINARY(255) NOT NULL)" + options,
		"CREATE TABLE IF NOT EXISTS xaproxy.claim (name VARBINARY(255) NOT NULL PRIMARY KEY, " +
			"outcome CHAR(1) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, participants MEDIUMBLOB NOT NULL, " +
			"created TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3))" + options,
		"CREATE TABLE IF NOT EXISTS xaproxy.node (node_id INT UNSIGNED NOT NULL, incarnation INT UNSIGNED NOT NULL, " +
			"state CHAR(1) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, beat BIGINT UNSIGNED NOT NULL, " +
			"collected_upto BIGINT UNSIGNED NOT NULL, endpoint VARCHAR(255) NOT NULL, PRIMARY KEY (node_id, incarnation))" + options,
		"CREATE TABLE IF NOT EXISTS xaproxy.shard (name VARBINARY(255) NOT NULL PRIMARY KEY, number SMALLINT UNSIGNED NOT NULL)" + options,
		"CREATE TABLE IF NOT EXISTS xaproxy.barrier (node_id INT UNSIGNED NOT NULL PRIMARY KEY, passed BIGINT UNSIGNED NOT NULL)" + options,
		"CREATE TABLE IF NOT EXISTS xaproxy.heuristic (name VARBINARY(255) NOT NULL, branch VARBINARY(64) NOT NULL, " +
			"decided CHAR(1) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, reason VARBINARY(4096) NOT NULL, " +
			"created TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), PRIMARY KEY (name, branch))" + options,
		"CREATE TABLE IF NOT EXISTS xaproxy.audit (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, " +
			"created TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), account VARBINARY(255) NOT NULL, " +
			"verb VARBINARY(255) NOT NULL, detail MEDIUMBLOB NOT NULL)" + options,
		"CREATE TABLE IF NOT EXISTS xaproxy.placement (table_schema VARBINARY(255) NOT NULL, table_name VARBINARY(255) NOT NULL, " +
			"rule BLOB NOT NULL, fingerprint VARBINARY(255) NOT NULL, " +
			"created TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), PRIMARY KEY (table_schema, table_name))" + options,
	}, append(catalogSchema(options), sequenceSchema(options)...)...)
}
