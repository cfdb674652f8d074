package backend

import (
	"context"
	"fmt"
	"strings"

	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// State returns what the session's state is, as far as Sync and the server's
// trackers know.
func (c *Conn) State() State { return c.have }

// Sync makes the session's state the wanted one. It sends only what differs, in
// one write, and nothing when nothing does. A refusal by the server is a
// *wire.ServerError in the error's chain and leaves the state unknown: the
// connection will not be reused, but a later Sync may succeed. Sync does not
// check whether a transaction is open.
func (c *Conn) Sync(ctx context.Context, want State) error {
	_, err := c.SyncWarned(ctx, want)
	return err
}

// SyncWarned is Sync. It returns how many warnings the server had about the new
// values; SHOW WARNINGS lists them.
func (c *Conn) SyncWarned(ctx context.Context, want State) (uint16, error) {
	if c.have == want && !c.unknown && !c.formerID {
		return 0, nil
	}
	cmds, err := c.difference(want)
	if err != nil {
		return 0, xa.WithEffect(fmt.Errorf("session state for shard %s: %w", c.o.Name, err), xa.EffectNone)
	}
	c.syncing = true
	replies, err := c.Exchange(ctx, cmds...)
	c.syncing = false
	if err != nil {
		return 0, fmt.Errorf("session state: %w", err)
	}
	warned := uint16(0)
	for _, r := range replies {
		last := r.Results[len(r.Results)-1]
		warned = last.Warnings
		if e := last.Err; e != nil {
			c.unknown = true
			return 0, fmt.Errorf("session state at shard %s: %w", c.o.Name,
				&wire.ServerError{Number: e.Number, State: e.State, Message: e.Message})
		}
	}
	c.have = want
	c.unknown = false
	if c.formerID {
		c.insertID, c.formerID = false, false
	}
	return warned, nil
}

// initial is the command that brings a fresh session to the zero State.
func (c *Conn) initial() (xamysql.Command, error) {
	sets, err := c.charsets(State{})
	if err != nil {
		return xamysql.Command{}, err
	}
	for _, v := range c.variables(State{}) {
		text, err := v.assignment()
		if err != nil {
			return xamysql.Command{}, err
		}
		sets = append(sets, text)
	}
	return xamysql.Command{SQL: "SET " + strings.Join(sets, ",")}, nil
}

// difference returns the commands that lead from have to want.
func (c *Conn) difference(want State) ([]xamysql.Command, error) {
	var cmds []xamysql.Command
	charsets := c.unknown || !want.sameCharsets(c.have)
	if want.Schema != c.have.Schema || c.unknown && want.Schema != "" {
		use, err := useSchema(want.Schema)
		if err != nil {
			return nil, err
		}
		if !ascii(want.Schema) {
			// The name is UTF-8, whatever the session's client speaks.
			cmds = append(cmds, xamysql.Command{SQL: "SET character_set_client=utf8mb4"})
			charsets = true
		}
		cmds = append(cmds, use)
	}
	sets, err := c.charsetsIf(charsets, want)
	if err != nil {
		return nil, err
	}
	if c.formerID {
		sets = append(sets, "SESSION last_insert_id=0")
	}
	for _, v := range c.variables(want) {
		if v.want == v.have && !c.unknown {
			continue
		}
		text, err := v.assignment()
		if err != nil {
			return nil, err
		}
		sets = append(sets, text)
	}
	if len(sets) > 0 {
		cmds = append(cmds, xamysql.Command{SQL: "SET " + strings.Join(sets, ",")})
	}
	return cmds, nil
}

func (c *Conn) charsetsIf(differ bool, want State) ([]string, error) {
	if !differ {
		return nil, nil
	}
	return c.charsets(want)
}

// charsets are the assignments of all that concerns character sets, always
// together and in one way: MySQL tells clients a collation number for their
// results that depends on how the character set was set, not only to what.
func (c *Conn) charsets(want State) ([]string, error) {
	client := variable{name: "character_set_client", want: want.CharsetClient, initial: "utf8mb4", check: word}
	results := variable{name: "character_set_results", want: want.CharsetResults, initial: "utf8mb4", check: word, nullable: true}
	connection := variable{name: "collation_connection", want: want.Collation, initial: "utf8mb4_general_ci", check: word}
	var sets []string
	for _, v := range []variable{client, results, connection} {
		text, err := v.assignment()
		if err != nil {
			return nil, err
		}
		sets = append(sets, text)
	}
	cs, collation := client.value(), connection.value()
	if of, _, _ := strings.Cut(collation, "_"); strings.EqualFold(cs, results.value()) && strings.EqualFold(cs, of) {
		return []string{"NAMES '" + cs + "' COLLATE '" + collation + "'"}, nil
	}
	return sets, nil
}

// variable is a session variable of State.
type variable struct {
	name       string
	want, have Setting
	initial    string // what the zero Setting means
	check      func(string) bool
	isolation  bool
	nullable   bool
}

func (c *Conn) variables(want State) [3]variable {
	isolation := "transaction_isolation"
	if c.flavor == xamysql.FlavorMariaDB {
		isolation = "tx_isolation" // the other name came with 11.1
	}
	d := c.o.Defaults
	return [...]variable{
		{name: "sql_mode", want: want.SQLMode, have: c.have.SQLMode, initial: d.SQLMode, check: words},
		{name: "time_zone", want: want.TimeZone, have: c.have.TimeZone, initial: d.TimeZone, check: zone},
		{name: isolation, want: want.Isolation, have: c.have.Isolation, initial: d.Isolation, check: isolationLevel, isolation: true},
	}
}

// value is what the variable shall be.
func (v variable) value() string {
	if value, given := v.want.Value(); given {
		return value
	}
	return v.initial
}

// assignment returns "name=value" for SET.
func (v variable) assignment() (string, error) {
	value := v.value()
	switch {
	case v.nullable && value == "":
		return "SESSION " + v.name + "=NULL", nil
	case v.isolation && !v.check(strings.ReplaceAll(value, "-", " ")), !v.isolation && !v.check(value):
		return "", fmt.Errorf("%s = %q: %w", v.name, value, ErrValue)
	case v.isolation:
		value = strings.ReplaceAll(value, " ", "-")
	}
	return "SESSION " + v.name + "='" + value + "'", nil
}

func useSchema(name string) (xamysql.Command, error) {
	if name == "" {
		return xamysql.Command{}, ErrSchema
	}
	if len(name) > 64*4 || strings.ContainsRune(name, 0) {
		return xamysql.Command{}, fmt.Errorf("schema %q: %w", name, ErrValue)
	}
	return xamysql.Command{SQL: "USE `" + strings.ReplaceAll(name, "`", "``") + "`"}, nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// only reports whether s has nothing but letters, digits, '_' and others.
func only(s, others string) bool {
	for i := range len(s) {
		b := s[i]
		letter := b|0x20 >= 'a' && b|0x20 <= 'z'
		if !letter && (b < '0' || b > '9') && b != '_' && strings.IndexByte(others, b) < 0 {
			return false
		}
	}
	return len(s) <= 1024
}

func word(s string) bool  { return s != "" && only(s, "") }
func words(s string) bool { return only(s, ",") }
func zone(s string) bool  { return s != "" && only(s, "/+-:") }

func isolationLevel(s string) bool {
	switch strings.ToUpper(s) {
	case "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE":
		return true
	}
	return false
}
