package xamysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Definition is a row of xaproxy.ddl: a definition statement as one shard knows it. Its row is at every shard before the
// first one executes it.
type Definition struct {
	ID        string // that of its announcement
	Node      uint32 // of the proxy that began it
	Statement string // what this shard has to execute, "" when it has no part
	About     string // what it takes to execute it, as the proxy encodes it
	Part      DefinitionPart
	Earlier   string // what was defined at this shard before, as the proxy encodes it
	Error     string // why the part failed
	Outcome   DefinitionOutcome
	Created   string // UTC
}

// DefinitionPart is how far a shard's part of a definition statement is known to be.
type DefinitionPart string

// The states of parts. That a part is done is stored after it was executed, so an open one may have been executed, too.
const (
	PartNone   DefinitionPart = "none" // the shard has no part
	PartOpen   DefinitionPart = "open"
	PartDone   DefinitionPart = "done"
	PartFailed DefinitionPart = "failed" // refused by the server, which changed nothing
)

// DefinitionOutcome is how a definition statement ended.
type DefinitionOutcome string

// The outcomes.
const (
	DefinitionOpen       DefinitionOutcome = ""
	DefinitionDone       DefinitionOutcome = "done"
	DefinitionRefused    DefinitionOutcome = "refused"    // by the first shard: nothing was changed anywhere
	DefinitionStuck      DefinitionOutcome = "stuck"      // shards differ and a person has to decide
	DefinitionForgotten  DefinitionOutcome = "forgotten"  // a person has decided
	DefinitionSuperseded DefinitionOutcome = "superseded" // a later statement has made its tables alike
)

// notFinal: the outcome may still change.
const notFinal = "outcome IN ('','stuck')"

// ObjectName names a table; with an empty Table, a schema.
type ObjectName struct{ Schema, Table string }

// Objects is what a server has of some names.
type Objects struct {
	Version string
	Text    []string // SHOW CREATE of each without what rows change, "" where there is none
}

const selectDefinitions = "SELECT id, node_id, statement, about, part, earlier, error, outcome, created FROM xaproxy.ddl"

// definitionSchema is what Install creates for definition statements.
func definitionSchema(options string) string {
	return "CREATE TABLE IF NOT EXISTS xaproxy.ddl (id VARBINARY(64) NOT NULL PRIMARY KEY, node_id INT UNSIGNED NOT NULL, " +
		"statement LONGBLOB NOT NULL, about LONGBLOB NOT NULL, part VARBINARY(16) NOT NULL, earlier LONGBLOB NOT NULL, " +
		"error BLOB NOT NULL, outcome VARBINARY(16) NOT NULL, " +
		"created TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), KEY (outcome, created))" + options
}

// StoreDefinition records a statement at this shard, durably.
func (s *Shard) StoreDefinition(ctx context.Context, d Definition) error {
	return s.shared(ctx, "record a definition statement", func(c control) error {
		_, err := c.exec(ctx, "INSERT INTO xaproxy.ddl (id,node_id,statement,about,part,earlier,error,outcome) VALUES ("+literal(d.ID)+","+
			digits(s.o.Node)+","+literal(d.Statement)+","+literal(d.About)+","+literal(string(d.Part))+","+literal(d.Earlier)+",'','')")
		return err
	})
}

// Definitions returns what is recorded here, with an id that alone, with outcomes those that ended so; the latest first.
func (s *Shard) Definitions(ctx context.Context, id string, outcomes ...DefinitionOutcome) (all []Definition, err error) {
	where := " WHERE 1=1"
	if id != "" {
		where += " AND id=" + literal(id)
	}
	if len(outcomes) > 0 {
		list := make([]string, len(outcomes))
		for i, o := range outcomes {
			list[i] = literal(string(o))
		}
		where += " AND outcome IN (" + strings.Join(list, ",") + ")"
	}
	err = s.shared(ctx, "read definition statements", func(c control) error {
		found, err := c.list(ctx, selectDefinitions+where+" ORDER BY created DESC, id")
		if err != nil {
			return err
		}
		all = make([]Definition, 0, len(found))
		for _, row := range found {
			node, err := strconv.ParseUint(row[1], 10, 32)
			if err != nil {
				return fmt.Errorf("xaproxy.ddl: %w", err)
			}
			all = append(all, Definition{ID: row[0], Node: uint32(node), Statement: row[2], About: row[3], Part: DefinitionPart(row[4]),
				Earlier: row[5], Error: row[6], Outcome: DefinitionOutcome(row[7]), Created: row[8]})
		}
		return nil
	})
	return all, err
}

// MarkDefinition stores how far this shard's part is, unless somebody else than by.Runner executes the change by now.
func (s *Shard) MarkDefinition(ctx context.Context, id string, by Change, part DefinitionPart, why string) error {
	return s.shared(ctx, "record a part of a definition statement", func(c control) error {
		_, err := c.exec(ctx, "UPDATE xaproxy.ddl SET part="+literal(string(part))+", error="+literal(clipBytes(why))+
			" WHERE id="+literal(id)+" AND "+runs(by))
		return err
	})
}

// EndDefinition stores how the statement ended, unless it has ended for good. ErrChangeTaken: somebody else than by.Runner
// executes the change by now. Of the statements that have ended for good the last keep are kept.
func (s *Shard) EndDefinition(ctx context.Context, id string, by Change, o DefinitionOutcome, keep int) error {
	return s.shared(ctx, "record the end of a definition statement", func(c control) error {
		if _, err := c.exec(ctx, "UPDATE xaproxy.ddl SET outcome="+literal(string(o))+" WHERE id="+literal(id)+" AND "+notFinal+
			" AND "+runs(by)); err != nil {
			return err
		}
		is, err := c.one(ctx, "SELECT "+runs(by))
		if err == nil && is != "1" {
			err = ErrChangeTaken
		}
		if err != nil {
			return err
		}
		_, err = c.exec(ctx, "DELETE FROM xaproxy.ddl WHERE NOT "+notFinal+" AND created < (SELECT created FROM (SELECT created FROM xaproxy.ddl WHERE NOT "+
			notFinal+" ORDER BY created DESC LIMIT 1 OFFSET "+strconv.Itoa(keep)+") AS kept)")
		return err
	})
}

// SettleDefinition gives a statement another outcome that was in need of a person.
func (s *Shard) SettleDefinition(ctx context.Context, id string, o DefinitionOutcome) error {
	return s.shared(ctx, "settle a definition statement", func(c control) error {
		_, err := c.exec(ctx, "UPDATE xaproxy.ddl SET outcome="+literal(string(o))+" WHERE id="+literal(id)+" AND "+notFinal)
		return err
	})
}

// runs is the condition that by.Runner may execute parts of the change. Whoever takes it over waits for the statement.
func runs(by Change) string {
	return "EXISTS (SELECT 1 FROM xaproxy.catalog_change WHERE id=" + literal(by.ID) + " AND runner=" + literal(by.Runner) + " LOCK IN SHARE MODE)"
}

const errorLen = 4096 // bytes of ddl.error

func clipBytes(s string) string { return s[:min(len(s), errorLen)] }

// nextNumber is the only thing of SHOW CREATE TABLE that rows change. No comment can stand before it.
var nextNumber = regexp.MustCompile(`(?m)^(\).*?) AUTO_INCREMENT=\d+`)

// ReadObjects reads how the objects are defined. The texts of one server and version are equal when the definitions are.
func (s *Shard) ReadObjects(ctx context.Context, names []ObjectName) (o Objects, err error) {
	err = s.shared(ctx, "read how tables are defined", func(c control) error {
		o = Objects{Version: c.version}
		for _, name := range names {
			text, err := c.object(ctx, name)
			if err != nil {
				return err
			}
			o.Text = append(o.Text, text)
		}
		return nil
	})
	return o, err
}

func (c control) object(ctx context.Context, name ObjectName) (string, error) {
	show := "SHOW CREATE DATABASE " + quoteName(name.Schema)
	if name.Table != "" {
		show = "SHOW CREATE TABLE " + quoteName(name.Schema) + "." + quoteName(name.Table)
	}
	found, err := c.list(ctx, show)
	switch n := number(err); {
	case n == erNoSuchTable, n == erBadDatabase:
		return "", nil
	case err != nil:
		return "", err
	case len(found) != 1 || len(found[0]) < 2:
		return "", errors.New(show + " has no answer")
	}
	return nextNumber.ReplaceAllString(found[0][1], "$1"), nil
}

func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
