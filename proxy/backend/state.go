package backend

// Setting is the wanted value of a session variable. The zero Setting is the
// value that the session had when it was dialed: that of Options.Defaults, or
// utf8mb4.
type Setting struct {
	value string
	given bool
}

// Want returns the Setting with this value; the empty string is a value too
// (sql_mode = ”).
func Want(value string) Setting { return Setting{value: value, given: true} }

// Value returns the wanted value; given is false for the zero Setting.
func (s Setting) Value() (value string, given bool) { return s.value, s.given }

// State is what a client wants of a session. Values of State compare with ==.
// The zero State is that of a fresh connection.
type State struct {
	// Schema is the default schema, empty for none. A connection that has one can
	// not lose it: Pool.Get chooses another.
	Schema string
	// CharsetClient, CharsetResults and Collation are character_set_client,
	// character_set_results (the empty value is NULL) and collation_connection,
	// which determines character_set_connection.
	CharsetClient, CharsetResults, Collation Setting
	SQLMode, TimeZone                        Setting
	// Isolation is the session's isolation level as in SET TRANSACTION: "READ
	// COMMITTED" and so on.
	Isolation Setting
}

func (s State) sameCharsets(o State) bool {
	return s.CharsetClient == o.CharsetClient && s.CharsetResults == o.CharsetResults && s.Collation == o.Collation
}
