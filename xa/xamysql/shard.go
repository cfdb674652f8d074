package xamysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"xaproxy/xa"
)

// Options says which server a Shard is and who asks.
type Options struct {
	DSN     string       // go-sql-driver's format; its schema and parameters are not used
	Number  xa.ShardID   // permanent number, must be the one in xaproxy.meta
	Name    string       // configured name, for people
	Cluster xa.ClusterID // must be the one in xaproxy.meta
	Node    uint32       // node id of this proxy; names its row in xaproxy.barrier
}

// Sizes of the pools of the shard's own connections. The node table has some for itself: a beat that had to wait behind
// fences would let this proxy be declared dead.
const (
	settlePool = 16
	nodePool   = 4
)

// Shard is a server as resource, claim store and node store. All methods may be called concurrently.
type Shard struct {
	o      Options
	settle *sql.DB // branches and claims
	nodes  *sql.DB // node table and its locks
	// sequences is for ids of AUTO_INCREMENT columns.
	sequences *sql.DB
}

var (
	_ xa.Resource   = (*Shard)(nil)
	_ xa.ClaimStore = (*Shard)(nil)
	_ xa.NodeStore  = (*Shard)(nil)
)

var (
	// ErrReplica says that the server is read only: perhaps a replica, whose lists and rows prove nothing.
	ErrReplica = errors.New("server is read only: what it lists is no evidence")
	// ErrIdentity says that the server is another one than it should be.
	ErrIdentity = errors.New("wrong server")
	// ErrNotInstalled says that schema xaproxy is not there.
	ErrNotInstalled = errors.New("xaproxy is not installed at this server: run xaproxy init")
	// ErrBlind says that the account does not see other accounts' sessions.
	ErrBlind = errors.New("account needs the privilege PROCESS to know which sessions are gone")
)

// Open makes a Shard. It does not connect.
func Open(o Options) (*Shard, error) {
	if o.Number > xa.MaxShard {
		return nil, fmt.Errorf("shard %q: number %d is above %d", o.Name, o.Number, xa.MaxShard)
	}
	s := &Shard{o: o}
	var err error
	if s.settle, err = newPool(o.DSN, settlePool, s.ready); err != nil {
		return nil, s.fail("open", err)
	}
	if s.nodes, err = newPool(o.DSN, nodePool, s.ready); err != nil {
		return nil, errors.Join(s.fail("open", err), s.settle.Close())
	}
	if s.sequences, err = newPool(o.DSN, sequencePool, s.ready); err != nil {
		return nil, errors.Join(s.fail("open", err), s.settle.Close(), s.nodes.Close())
	}
	return s, nil
}

// Close ends the shard's connections.
func (s *Shard) Close() error {
	return errors.Join(s.settle.Close(), s.nodes.Close(), s.sequences.Close())
}

// Shard implements xa.Resource.
func (s *Shard) Shard() xa.ShardID { return s.o.Number }

// Name implements xa.Resource.
func (s *Shard) Name() string { return s.o.Name }

// ready sets up a new session and checks that it reached the shard that it should.
func (s *Shard) ready(ctx context.Context, c driverConn) (about, error) {
	a, err := setUp(ctx, c)
	if err != nil {
		return a, err
	}
	a.session.Shard = s.o.Number
	m, installed, err := readMeta(ctx, c)
	if err != nil {
		return a, err
	}
	if !installed {
		return a, ErrNotInstalled
	}
	return a, m.is(Meta{Version: SchemaVersion, Cluster: s.o.Cluster, Shard: s.o.Number, Name: s.o.Name})
}

// fail wraps an error with the shard's name and what was being done.
func (s *Shard) fail(doing string, err error) error {
	return fmt.Errorf("shard %s (number %d): %s: %w", s.o.Name, s.o.Number, doing, err)
}

// control is one of the shard's own sessions, checked out of its pool by one goroutine.
type control struct {
	*sql.Conn
	about
}

// checkout takes a session out of a pool; the caller gives it back by putBack.
func checkout(ctx context.Context, db *sql.DB) (control, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return control{}, err
	}
	ctl := control{Conn: c}
	err = c.Raw(func(dc any) error {
		cc, ok := dc.(*controlConn)
		if !ok {
			return fmt.Errorf("pool's connection is a %T", dc)
		}
		ctl.about = cc.about
		return nil
	})
	if err != nil {
		return control{}, errors.Join(err, c.Close())
	}
	return ctl, nil
}

// primary is checkout at a server that is not read only: fences, listings and lists of sessions are evidence only there.
func primary(ctx context.Context, db *sql.DB) (control, error) {
	c, err := checkout(ctx, db)
	if err != nil {
		return c, err
	}
	if err := c.notReadOnly(ctx); err != nil {
		c.putBack()
		return control{}, err
	}
	return c, nil
}

func (c control) notReadOnly(ctx context.Context) error {
	v, err := c.one(ctx, selectReadOnly)
	if err != nil {
		return err
	}
	if v != "0" && v != "OFF" {
		return ErrReplica
	}
	return nil
}

// putBack gives the session back to its pool. An error of it says only that the connection broke, which its last
// statement has said before.
func (c control) putBack() { _ = c.Close() }

// list reads a whole result as strings; NULL is "".
func (c control) list(ctx context.Context, query string) ([][]string, error) {
	var all [][]string
	err := c.Raw(func(dc any) (err error) {
		cc, ok := dc.(*controlConn)
		if !ok {
			return fmt.Errorf("pool's connection is a %T", dc)
		}
		all, err = rows(ctx, cc, query)
		return err
	})
	return all, err
}

// one is the first value of a result that must have one row.
func (c control) one(ctx context.Context, query string) (string, error) {
	all, err := c.list(ctx, query)
	if err != nil {
		return "", err
	}
	if len(all) != 1 {
		return "", fmt.Errorf("%s: %d rows instead of one", query, len(all))
	}
	return all[0][0], nil
}

// exec runs a statement and returns the affected rows.
func (c control) exec(ctx context.Context, statement string) (int64, error) {
	r, err := c.ExecContext(ctx, statement)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
