package proxy

import (
	"strconv"
	"strings"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// settings are what a client's SET statements have asked for. Values compare
// with ==; a copy is changed, checked by a server and then taken over whole.
type settings struct {
	state      backend.State // what shards are told, by Sync
	autocommit bool
	readOnly   bool // transactions without an access mode of their own
	// connection is the character set of state.Collation, "" for the default.
	connection string
	origin     collationOrigin
	// wait_timeout and interactive_timeout in seconds; 0: not set.
	wait, interactive uint32
	reportGtrid       bool // xa_report_gtrid: COMMIT's OK names the transaction
}

// collationOrigin says what chose collation_connection: a default of the shards
// may turn out to be another one when more of them have told theirs.
type collationOrigin uint8

const (
	byLogin   collationOrigin = iota // the login's number, by what the shards know
	byCharset                        // the character set's default
	byName                           // the client named it
)

// once are the characteristics that SET TRANSACTION gives to the next
// transaction only.
type once struct {
	isolation backend.Setting
	access    plan.Access
}

// charset is the character set of the client's text.
func (s settings) charset() string {
	if v, given := s.state.CharsetClient.Value(); given {
		return v
	}
	return "utf8mb4"
}

// collation is collation_connection.
func (s settings) collation() string {
	if v, given := s.state.Collation.Value(); given {
		return canonicalCollation(strings.ToLower(v))
	}
	return "utf8mb4_general_ci"
}

// sqlMode is the sql_mode; def is the one that sessions at shards begin with.
func (s settings) sqlMode(def string) string {
	if v, given := s.state.SQLMode.Value(); given {
		return v
	}
	return def
}

// charsets maps the supported character sets to their default collations, as
// the shards have them. In all of them a byte below 0x80 is that ASCII
// character, so that statements can be read byte by byte.
type charsets map[string]string

func (c charsets) collation(charset string) (string, bool) {
	v, ok := c[charset]
	return v, ok
}

// fallbackCharsets are the defaults that all supported servers share.
func fallbackCharsets() charsets {
	return charsets{
		"utf8mb4": "utf8mb4_general_ci", "utf8mb3": "utf8mb3_general_ci", "latin1": "latin1_swedish_ci",
		"ascii": "ascii_general_ci", "binary": "binary",
	}
}

// canonicalCharset is a character set under the name that servers use.
func canonicalCharset(name string) string {
	name = strings.ToLower(name)
	if name == "utf8" {
		return "utf8mb3"
	}
	return name
}

// atLogin are the settings of a session that logged in with a collation number.
// As on a server, a collation that it does not know is replaced: here by the
// default of its character set that all shards know. Drivers send their own
// favourite without being asked (MySQL's utf8mb4_0900_ai_ci, which MariaDB 10.11
// lacks).
func atLogin(l wire.Login, know func(collation string) bool, defaults charsets) (settings, error) {
	s := settings{autocommit: true}
	s.state.Schema = l.Database
	charset, collation, known := wire.Charset(l.Collation)
	if !known {
		return s, fail(codeUnsupported, "collation number "+strconv.Itoa(int(l.Collation))+" at login; use utf8mb4")
	}
	if c, supported := defaults.collation(charset); supported && (!know(canonicalCollation(collation)) || namesCharset(collation, c)) {
		collation = c
	}
	s.connection = charset
	s.state.Collation = wantCharset(collation, "utf8mb4_general_ci")
	s.state.CharsetClient = wantCharset(charset, "utf8mb4")
	s.state.CharsetResults = s.state.CharsetClient
	return s, nil
}

// namesCharset reports whether a server whose character set has this default
// takes a login with the collation as one that names the character set only:
// MariaDB from 11.5 on, for the collation that was the default before
// (character_set_collations).
func namesCharset(collation, initial string) bool {
	return strings.HasSuffix(collation, "_general_ci") && strings.Contains(initial, "_uca1400_")
}

// assign applies one assignment of a SET statement to s. login are the settings
// of the session's beginning, which DEFAULT means. Assignments to VarUser,
// VarNext* and VarNothing are not its business.
func (s *settings) assign(a plan.Assignment, login settings, known charsets) error {
	st := &s.state
	switch a.Variable {
	case plan.VarNames, plan.VarCharacterSet, plan.VarCharsetClient, plan.VarCharsetConnection, plan.VarCharsetResults,
		plan.VarCollationConnection:
		return s.assignCharset(a, login, known)
	case plan.VarSQLMode:
		set(&st.SQLMode, a, login.state.SQLMode)
	case plan.VarTimeZone:
		set(&st.TimeZone, a, login.state.TimeZone)
	case plan.VarIsolation:
		set(&st.Isolation, a, login.state.Isolation)
	case plan.VarAccess:
		s.readOnly = !a.Default && a.Value == "READ ONLY"
	case plan.VarAutocommit:
		s.autocommit = a.Default || a.Value != "0"
	case plan.VarReportGtrid:
		s.reportGtrid = a.Value == "1"
	case plan.VarIdleTimeout:
		return s.assignTimeout(a)
	case plan.VarUser, plan.VarNothing, plan.VarNextIsolation, plan.VarNextAccess:
	case plan.VarInvalid:
		return fail(codeUnsupported, "SET "+a.Name)
	}
	return nil
}

// maxTimeout is the largest wait_timeout that servers know: a year.
const maxTimeout = 31536000

// assignTimeout is assign for wait_timeout and interactive_timeout. Only the
// first has an effect once a session has begun, as on a server.
func (s *settings) assignTimeout(a plan.Assignment) error {
	seconds := uint64(0)
	if !a.Default {
		n, err := strconv.ParseUint(a.Value, 10, 32)
		if err != nil {
			return fail(codeUnsupported, "SET "+a.Name+"="+a.Value).because(err)
		}
		seconds = min(max(n, 1), maxTimeout)
	}
	if a.Name == "interactive_timeout" {
		s.interactive = uint32(seconds)
	} else {
		s.wait = uint32(seconds)
	}
	return nil
}

// assignCharset is assign for what concerns character sets.
func (s *settings) assignCharset(a plan.Assignment, login settings, known charsets) error {
	st := &s.state
	switch {
	case a.Variable == plan.VarNames:
		return s.names(a, login, known)
	case a.Variable == plan.VarCharacterSet:
		// The connection's character set would become the default schema's,
		// which the proxy does not know.
		return fail(codeUnsupported, "SET CHARACTER SET; use SET NAMES")
	case a.Variable == plan.VarCharsetClient:
		return setCharset(&st.CharsetClient, a, login.state.CharsetClient, known)
	case a.Variable == plan.VarCharsetConnection:
		return s.setConnection(a, login, known)
	case a.Variable == plan.VarCharsetResults && a.Null:
		st.CharsetResults = backend.Want("")
	case a.Variable == plan.VarCharsetResults:
		return setCharset(&st.CharsetResults, a, login.state.CharsetResults, known)
	case a.Variable == plan.VarCollationConnection && a.Default:
		s.takeConnection(login)
	case a.Variable == plan.VarCollationConnection:
		charset, _, _ := strings.Cut(canonicalCollation(strings.ToLower(a.Value)), "_")
		cs, err := supported(charset, known)
		if err != nil {
			return err
		}
		st.Collation, s.connection, s.origin = backend.Want(a.Value), cs, byName
	}
	return nil
}

func set(p *backend.Setting, a plan.Assignment, login backend.Setting) {
	if a.Default {
		*p = login
		return
	}
	*p = backend.Want(a.Value)
}

// supported checks a character set's name.
func supported(name string, known charsets) (string, error) {
	cs := canonicalCharset(name)
	if _, ok := known.collation(cs); !ok {
		return "", fail(codeUnsupported, "character set "+name+"; use utf8mb4")
	}
	return cs, nil
}

func setCharset(p *backend.Setting, a plan.Assignment, login backend.Setting, known charsets) error {
	if a.Default {
		*p = login
		return nil
	}
	cs, err := supported(a.Value, known)
	if err == nil {
		*p = wantCharset(cs, "utf8mb4")
	}
	return err
}

func (s *settings) setConnection(a plan.Assignment, login settings, known charsets) error {
	if a.Default {
		s.takeConnection(login)
		return nil
	}
	cs, err := supported(a.Value, known)
	if err != nil {
		return err
	}
	collation, _ := known.collation(cs)
	s.state.Collation, s.connection, s.origin = wantCharset(collation, "utf8mb4_general_ci"), cs, byCharset
	return nil
}

func (s *settings) takeConnection(from settings) {
	s.state.Collation, s.connection, s.origin = from.state.Collation, from.connection, from.origin
}

// settle chooses collation_connection again, unless the client has named it: login
// and known are what all shards say now.
func (s *settings) settle(login settings, known charsets) {
	switch s.origin {
	case byLogin:
		s.takeConnection(login)
	case byCharset:
		if collation, ok := known.collation(s.connection); ok {
			s.state.Collation = wantCharset(collation, "utf8mb4_general_ci")
		}
	case byName:
	}
}

// wantCharset is a setting whose value a fresh connection has when it is def.
func wantCharset(value, def string) backend.Setting {
	if value == def {
		return backend.Setting{}
	}
	return backend.Want(value)
}

// names is SET NAMES: client, results and connection at once.
func (s *settings) names(a plan.Assignment, login settings, known charsets) error {
	if a.Default {
		s.state.CharsetClient, s.state.CharsetResults = login.state.CharsetClient, login.state.CharsetResults
		s.takeConnection(login)
		return nil
	}
	if err := s.setConnection(a, login, known); err != nil {
		return err
	}
	s.state.CharsetClient = wantCharset(s.connection, "utf8mb4")
	s.state.CharsetResults = s.state.CharsetClient
	if a.Collation != "" {
		if of, _, _ := strings.Cut(canonicalCollation(strings.ToLower(a.Collation)), "_"); of != s.connection {
			return fail(codeUnsupported, "COLLATE "+a.Collation+" with the character set "+s.connection)
		}
		s.state.Collation, s.origin = wantCharset(strings.ToLower(a.Collation), "utf8mb4_general_ci"), byName
	}
	return nil
}
