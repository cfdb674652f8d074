package xamysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Change is a row of xaproxy.catalog_change: a definition statement is changing tables. Its owner stores it at every
// shard before the first one executes the statement, and removes it after the last.
type Change struct {
	ID     string // unguessable
	Node   uint32 // of the proxy that announced the statement
	Tables string // as the proxy encodes them
	Runner string // who alone may execute parts of it now; unguessable
}

// CatalogMember is a row of xaproxy.catalog_member: a running proxy that places rows by what it has read, and which
// changes it knows of.
type CatalogMember struct {
	Token   string // of the process, unguessable
	Node    uint32
	Beat    uint64 // changes when the row is written
	Seen    string // the ids of the changes that it knows of
	Drained bool   // and nothing of its runs on their tables, nor will
}

// CatalogView is what a member reads at one shard.
type CatalogView struct {
	Member  bool // its row is there
	Changes []Change
}

var (
	// ErrDefinitionRuns says that another definition statement runs in this cluster.
	ErrDefinitionRuns = errors.New("another definition statement is running")
	// ErrChangeTaken says that somebody else executes the statement now, since its runner seemed to be gone.
	ErrChangeTaken = errors.New("another proxy has taken this definition statement over, since its owner seemed to be gone")
	// ErrChangeOver says that the announcement is not there any more.
	ErrChangeOver = errors.New("this definition statement is over")
)

// definitionWait is how long the server is asked to wait for a name in one call.
const definitionWait = time.Second

// catalogSchema is what Install creates for the shared catalog.
func catalogSchema(options string) []string {
	return []string{
		"CREATE TABLE IF NOT EXISTS xaproxy.catalog_change (id VARBINARY(64) NOT NULL PRIMARY KEY, node_id INT UNSIGNED NOT NULL, " +
			"tables MEDIUMBLOB NOT NULL, " + runnerColumn + ", " +
			"created TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3))" + options,
		"CREATE TABLE IF NOT EXISTS xaproxy.catalog_member (token VARBINARY(64) NOT NULL PRIMARY KEY, node_id INT UNSIGNED NOT NULL, " +
			"beat BIGINT UNSIGNED NOT NULL, seen BLOB NOT NULL, drained TINYINT NOT NULL)" + options,
		definitionSchema(options),
	}
}

const runnerColumn = "runner VARBINARY(64) NOT NULL DEFAULT ''"

// shared runs f on a session of the node pool, at a server that is not read only. Where tables of the shared catalog, or
// columns of them, are missing (an older installation), they are created.
func (s *Shard) shared(ctx context.Context, doing string, f func(control) error) error {
	c, err := primary(ctx, s.nodes)
	if err != nil {
		return s.fail(doing, err)
	}
	defer c.putBack()
	err = f(c)
	if n := number(err); n == erNoSuchTable || n == erNoSuchColumn {
		statements := catalogSchema(tableOptions)
		if n == erNoSuchColumn {
			statements = []string{"ALTER TABLE xaproxy.catalog_change ADD COLUMN " + runnerColumn}
		}
		for _, statement := range statements {
			if _, err := c.exec(ctx, statement); err != nil && number(err) != erColumnTwice {
				return s.fail(doing, err)
			}
		}
		err = f(c)
	}
	if err != nil {
		return s.fail(doing, err)
	}
	return nil
}

// ReadCatalogView reads what concerns the member: first whether its row is there, and in the same statement the changes.
func (s *Shard) ReadCatalogView(ctx context.Context, token string) (view CatalogView, err error) {
	err = s.shared(ctx, "read the changes of the catalog", func(c control) error {
		found, err := c.list(ctx, "SELECT 0, 0, '' FROM xaproxy.catalog_member WHERE token="+literal(token)+
			" UNION ALL SELECT id, node_id, tables FROM xaproxy.catalog_change")
		if err != nil {
			return err
		}
		view = CatalogView{}
		for _, row := range found {
			if row[0] == "0" {
				view.Member = true
				continue
			}
			node, err := strconv.ParseUint(row[1], 10, 32)
			if err != nil {
				return fmt.Errorf("xaproxy.catalog_change: %w", err)
			}
			view.Changes = append(view.Changes, Change{ID: row[0], Node: uint32(node), Tables: row[2]})
		}
		return nil
	})
	return view, err
}

// TellCatalogMember stores m's row; its Beat is not looked at, it goes up by one.
func (s *Shard) TellCatalogMember(ctx context.Context, m CatalogMember) error {
	return s.shared(ctx, "tell what is known of the catalog", func(c control) error {
		drained := "0"
		if m.Drained {
			drained = "1"
		}
		_, err := c.exec(ctx, "INSERT INTO xaproxy.catalog_member (token,node_id,beat,seen,drained) VALUES ("+literal(m.Token)+","+
			digits(s.o.Node)+",1,"+literal(m.Seen)+","+drained+") ON DUPLICATE KEY UPDATE beat=beat+1, seen="+literal(m.Seen)+", drained="+drained)
		return err
	})
}

// CatalogMembers returns the members that have a row at this shard.
func (s *Shard) CatalogMembers(ctx context.Context) (all []CatalogMember, err error) {
	err = s.shared(ctx, "read who uses the catalog", func(c control) error {
		found, err := c.list(ctx, "SELECT token, node_id, beat, seen, drained FROM xaproxy.catalog_member")
		if err != nil {
			return err
		}
		all = make([]CatalogMember, 0, len(found))
		for _, row := range found {
			node, err1 := strconv.ParseUint(row[1], 10, 32)
			beat, err2 := strconv.ParseUint(row[2], 10, 64)
			if err := errors.Join(err1, err2); err != nil {
				return fmt.Errorf("xaproxy.catalog_member: %w", err)
			}
			all = append(all, CatalogMember{Token: row[0], Node: uint32(node), Beat: beat, Seen: row[3], Drained: row[4] == "1"})
		}
		return nil
	})
	return all, err
}

// ForgetCatalogMember removes a member's row.
func (s *Shard) ForgetCatalogMember(ctx context.Context, token string) error {
	return s.shared(ctx, "forget a user of the catalog", func(c control) error {
		_, err := c.exec(ctx, "DELETE FROM xaproxy.catalog_member WHERE token="+literal(token))
		return err
	})
}

// StoreChange announces a change at this shard, durably.
func (s *Shard) StoreChange(ctx context.Context, change Change) error {
	return s.shared(ctx, "announce a change of the catalog", func(c control) error {
		_, err := c.exec(ctx, s.insertChange(change))
		return err
	})
}

func (s *Shard) insertChange(change Change) string {
	return "INSERT INTO xaproxy.catalog_change (id,node_id,tables,runner) VALUES (" +
		literal(change.ID) + "," + digits(s.o.Node) + "," + literal(change.Tables) + "," + literal(change.Runner) + ")"
}

// EndChange removes the announcement of a change that is over, unless it is another runner's: then ErrChangeTaken.
func (s *Shard) EndChange(ctx context.Context, id, runner string) error {
	return s.shared(ctx, "end a change of the catalog", func(c control) error {
		n, err := c.exec(ctx, "DELETE FROM xaproxy.catalog_change WHERE id="+literal(id)+" AND runner="+literal(runner))
		if err != nil || n > 0 {
			return err
		}
		left, err := c.one(ctx, "SELECT COUNT(*) FROM xaproxy.catalog_change WHERE id="+literal(id))
		if err == nil && left != "0" {
			err = ErrChangeTaken
		}
		return err
	})
}

// TakeChange makes change.Runner the only one who may execute parts of the change at this shard, and makes sure that no
// part of another's runs here, nor ever will: the session that executes a part holds a name, and looks for its runner after
// it has taken it. ErrDefinitionRuns: a part is running. Where the announcement is missing, it is ErrChangeOver, or with
// restore is stored again.
func (s *Shard) TakeChange(ctx context.Context, change Change, restore bool) error {
	return s.shared(ctx, "take a change of the catalog over", func(c control) error {
		got, err := c.one(ctx, "SELECT GET_LOCK("+s.definitionName("part")+",1)")
		if err != nil {
			return err
		}
		if got != "1" {
			return ErrDefinitionRuns
		}
		err = s.takeChange(ctx, c, change, restore)
		if _, errRelease := c.list(ctx, "SELECT RELEASE_LOCK("+s.definitionName("part")+")"); errRelease != nil {
			c.drop() // the name is free when its session ends
		}
		return err
	})
}

func (s *Shard) takeChange(ctx context.Context, c control, change Change, restore bool) error {
	if restore {
		_, err := c.exec(ctx, s.insertChange(change)+" ON DUPLICATE KEY UPDATE runner="+literal(change.Runner))
		return err
	}
	if _, err := c.exec(ctx, "UPDATE xaproxy.catalog_change SET runner="+literal(change.Runner)+" WHERE id="+literal(change.ID)); err != nil {
		return err
	}
	left, err := c.one(ctx, "SELECT COUNT(*) FROM xaproxy.catalog_change WHERE id="+literal(change.ID))
	if err == nil && left == "0" {
		err = ErrChangeOver
	}
	return err
}

// PartFence are the statements by which a session that executes a part of a change holds TakeChange off: after enter
// has answered 1, allowed says 1 unless the change is over or another runner's; leave is for afterwards.
func (s *Shard) PartFence(id, runner string) (enter, allowed, leave string) {
	name := s.definitionName("part")
	return "SELECT GET_LOCK(" + name + ",10)",
		"SELECT COUNT(*) FROM xaproxy.catalog_change WHERE id=" + literal(id) + " AND runner=" + literal(runner),
		"SELECT RELEASE_LOCK(" + name + ")"
}

// HoldDefinitions takes the right to execute a definition statement, which is the cluster's when all take it at the same
// shard. It waits for a second, then says ErrDefinitionRuns. The name belongs to a session of its own that is kept
// alive; when it is lost, somebody else may get the right, and fences what this one does.
func (s *Shard) HoldDefinitions(ctx context.Context) (release func(), err error) {
	c, err := s.takeDefinitions(ctx)
	if err != nil {
		return nil, s.fail("take the right to change definitions", err)
	}
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.keepAlive(keep)
	}()
	return func() {
		stop()
		<-done
	}, nil
}

func (s *Shard) takeDefinitions(ctx context.Context) (control, error) {
	c, err := primary(ctx, s.settle)
	if err != nil {
		return c, err
	}
	if _, err := c.exec(ctx, "SET SESSION wait_timeout="+strconv.Itoa(int(holdLease/time.Second))); err != nil {
		c.drop()
		return control{}, err
	}
	got, err := c.one(ctx, "SELECT GET_LOCK("+s.definitionName("ddl")+","+strconv.Itoa(int(definitionWait/time.Second))+")")
	if err == nil && got != "1" {
		err = ErrDefinitionRuns
	}
	if err != nil {
		c.drop()
		return control{}, err
	}
	return c, nil
}

// definitionName is the name of a lock about definitions, at most 64 characters.
func (s *Shard) definitionName(of string) string {
	return "CONVERT(" + literal(fmt.Sprintf("xaproxy/%010x/%s", uint64(s.o.Cluster), of)) + " USING utf8mb4)"
}

// SeenChanges is the text of CatalogMember.Seen.
func SeenChanges(changes []Change) string {
	ids := make([]string, len(changes))
	for i, c := range changes {
		ids[i] = c.ID
	}
	return strings.Join(ids, ",")
}

// Has reports whether the member knows of the change.
func (m CatalogMember) Has(id string) bool {
	for one := range strings.SplitSeq(m.Seen, ",") {
		if one == id {
			return true
		}
	}
	return false
}
