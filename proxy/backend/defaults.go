package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"xaproxy/xa/xamysql"
)

// Defaults are the values of session variables that hold until a client asks for
// others. They are set when a session is dialed, whatever its server's own
// defaults are and become: every shard must read a statement as the planner
// does, and every part of a statement must mean the same.
type Defaults struct {
	SQLMode   string // a list of modes, perhaps none
	TimeZone  string
	Isolation string // as in REPEATABLE-READ
}

// StandardDefaults are what servers of both families have when nobody has
// configured them otherwise, without modes that one family lacks.
func StandardDefaults() Defaults {
	return Defaults{SQLMode: "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION", TimeZone: "SYSTEM", Isolation: "REPEATABLE-READ"}
}

// ServerDefaults is what a server is configured to.
type ServerDefaults struct {
	Defaults
	// SystemZone is the operating system's time zone, which SYSTEM means.
	SystemZone string
}

const (
	askDefaults = "SELECT @@GLOBAL.sql_mode,@@GLOBAL.time_zone,@@system_time_zone"
	// The name differs between the server families.
	askIsolation = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('transaction_isolation','tx_isolation')"
)

// ReadDefaults asks a shard for its server's own defaults.
func ReadDefaults(ctx context.Context, o Options) (ServerDefaults, error) {
	o.Defaults = StandardDefaults()
	c, err := Dial(ctx, o)
	if err != nil {
		return ServerDefaults{}, err
	}
	defer c.Close()
	replies, err := c.Exchange(ctx, xamysql.Command{SQL: askDefaults}, xamysql.Command{SQL: askIsolation})
	if err != nil {
		return ServerDefaults{}, fmt.Errorf("read the server's defaults: %w", err)
	}
	var fields []string
	for _, r := range replies {
		one := r.Results[0]
		if one.Err != nil {
			return ServerDefaults{}, fmt.Errorf("read the server's defaults: %w", one.Err)
		}
		for _, row := range one.Rows[:min(1, len(one.Rows))] {
			for _, f := range row {
				if f != nil {
					fields = append(fields, *f)
				}
			}
		}
	}
	if len(fields) != 5 { // the isolation's name is among them
		return ServerDefaults{}, errors.New("the server does not tell its defaults")
	}
	return ServerDefaults{Defaults: Defaults{SQLMode: fields[0], TimeZone: fields[1], Isolation: fields[4]}, SystemZone: fields[2]}, nil
}

// ForAll returns what sessions at every shard can be given to behave as at this
// server: modes that only one family of servers knows are left out and returned.
func (d ServerDefaults) ForAll() (Defaults, []string) {
	out := d.Defaults
	var kept, left []string
	for _, m := range strings.Split(d.SQLMode, ",") {
		m = strings.ToUpper(strings.TrimSpace(m))
		switch {
		case m == "", m == "NO_AUTO_CREATE_USER": // about account statements
		case slices.Contains(commonModes(), m):
			kept = append(kept, m)
		default:
			left = append(left, m)
		}
	}
	out.SQLMode = strings.Join(kept, ",")
	if strings.EqualFold(d.TimeZone, "SYSTEM") && (d.SystemZone == "UTC" || d.SystemZone == "GMT") {
		out.TimeZone = "+00:00"
	}
	return out, left
}

// commonModes are those that both families know under one meaning.
func commonModes() []string {
	return strings.Fields(`ALLOW_INVALID_DATES ANSI ANSI_QUOTES ERROR_FOR_DIVISION_BY_ZERO HIGH_NOT_PRECEDENCE IGNORE_SPACE
NO_AUTO_VALUE_ON_ZERO NO_BACKSLASH_ESCAPES NO_DIR_IN_CREATE NO_ENGINE_SUBSTITUTION NO_UNSIGNED_SUBTRACTION NO_ZERO_DATE
NO_ZERO_IN_DATE ONLY_FULL_GROUP_BY PAD_CHAR_TO_FULL_LENGTH PIPES_AS_CONCAT REAL_AS_FLOAT STRICT_ALL_TABLES STRICT_TRANS_TABLES
TRADITIONAL`)
}
