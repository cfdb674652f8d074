package plan

import "xaproxy/proxy/route"

// Class says what kind of statement a plan is for, and so which of the plan's
// fields have a meaning and who executes it.
type Class uint8

// The classes. The zero value is never planned.
const (
	ClassInvalid     Class = iota
	ClassSelect            // SELECT, TABLE, VALUES, DO: returns rows or nothing; Targets
	ClassInsert            // INSERT; Targets
	ClassReplace           // REPLACE; Targets
	ClassUpdate            // UPDATE; Targets
	ClassDelete            // DELETE; Targets
	ClassDDL               // CREATE, DROP, ALTER, TRUNCATE ...; Targets, DDL
	ClassShow              // SHOW, DESCRIBE, EXPLAIN; Targets
	ClassBegin             // BEGIN, START TRANSACTION; Tx
	ClassCommit            // COMMIT; Tx
	ClassRollback          // ROLLBACK; Tx
	ClassSavepoint         // SAVEPOINT, ROLLBACK TO, RELEASE SAVEPOINT; Savepoint
	ClassSet               // SET; Set
	ClassUse               // USE; Schema
	ClassOutcome           // XA OUTCOME 'gtrid'; Gtrid
	ClassKill              // KILL; Kill: an id of the proxy's, never forwarded
	ClassUnlock            // UNLOCK TABLES: commits nothing while no table is locked
	ClassWarnings          // SHOW WARNINGS, SHOW ERRORS, SHOW COUNT(*) ...: asked from the last statement's connection
	ClassProcesslist       // SHOW PROCESSLIST: of the proxy's own sessions; Full
	ClassRoute             // EXPLAIN ROUTE: says where a statement would go; Route
	ClassDefinitions       // SHOW DDL: of the definition statements that the shards have recorded
	ClassComment           // nothing but comments: servers answer OK
)

// State is a set of kinds of session state that a server keeps for a
// connection and that the proxy does not replay.
type State uint16

// The kinds of state. A plan that creates one (Pins) binds the session to the
// connection that executed it, as long as the state may live. A plan that reads
// one (Uses) must run on the connection that holds it, if any does; when its
// targets are elsewhere it must be refused. Where no connection holds such
// state any connection gives the same answer. What the last statement left
// (StateLastInsertID, StateFoundRows, StateRowCount) is held by the connection
// that executed it, whether a plan pins or not.
const (
	StateUserVars     State = 1 << iota // @x
	StateTempTables                     // temporary tables
	StateNamedLocks                     // GET_LOCK
	StateLastInsertID                   // LAST_INSERT_ID(), @@last_insert_id, @@identity
	StateFoundRows                      // FOUND_ROWS()
	StateRowCount                       // ROW_COUNT()
	StateSessionVars                    // system variables that are not tracked
	StateTableLocks                     // LOCK TABLES
)

// Plan is what is known about a statement before its literals and parameters
// are looked at. It is immutable and shared between sessions.
type Plan struct {
	Class Class

	// Reader is commit-protocol 6.3: the statement leaves its branch a reader.
	Reader bool
	// Locking: the statement takes locks that must live until the decision.
	Locking bool
	// ImplicitCommit: the open transaction is committed first, as on a server.
	ImplicitCommit bool

	Uses State // state that the statement reads
	Pins State // state that the statement creates

	Tx        Tx           // of ClassBegin, ClassCommit, ClassRollback
	Savepoint Savepoint    // of ClassSavepoint
	Set       []Assignment // of ClassSet, in order
	Schema    string       // of ClassUse
	Gtrid     string       // of ClassOutcome
	Kill      Kill         // of ClassKill
	Full      bool         // of ClassProcesslist: SHOW FULL PROCESSLIST
	Route     string       // of ClassRoute: the text of the statement that is not to be executed
	DDL       *DDL         // of ClassDDL

	// Variables are the system variables that a statement reads and whose value
	// a shard's connection does not have (autocommit, wait_timeout ...), in
	// lower case. The session refuses the statement or answers itself.
	Variables []string

	// NeedsInsertID: Bind must be given the value of LAST_INSERT_ID(), which
	// decides where rows are.
	NeedsInsertID bool
	// SetsInsertID: an INSERT or UPDATE has LAST_INSERT_ID(expr).
	SetsInsertID bool

	Tables []TableName // the tables named, without duplicates
	// Latches are the reference tables whose placement is locked at a shard before
	// the statement is executed there: writers of copies that could meet other rows
	// at one shard than at another go one after the other. The empty name is all.
	Latches   []TableName
	NumParams int // how many ? the text has

	flags lexFlags
	zone  zone // of the session
	bind  binder
}

// TableName is a table with its schema resolved.
type TableName struct{ Schema, Name string }

// Access is the access mode of a transaction.
type Access uint8

// The access modes.
const (
	AccessDefault   Access = iota // the session's setting
	AccessReadWrite               // READ WRITE
	AccessReadOnly                // READ ONLY: writes get error 1792
)

// Option is one of the three states of COMMIT's AND CHAIN and RELEASE.
type Option uint8

// The options' states.
const (
	OptionDefault Option = iota // not given
	OptionYes                   // given
	OptionNo                    // given with NO
)

// Tx holds the options of BEGIN, COMMIT and ROLLBACK.
type Tx struct {
	Access  Access
	Chain   Option
	Release Option
}

// SavepointVerb is one of the three things done with savepoints.
type SavepointVerb uint8

// The verbs.
const (
	SavepointSet SavepointVerb = iota + 1
	SavepointRollback
	SavepointRelease
)

// Savepoint is a SAVEPOINT statement. Name is unquoted; names are compared
// without regard to case.
type Savepoint struct {
	Verb SavepointVerb
	Name string
}

// Kill is a KILL statement.
type Kill struct {
	Query bool // KILL QUERY: the statement only
	ID    uint64
}

// Variable says which tracked setting an assignment changes.
type Variable uint8

// The settings. SET of anything else is refused.
const (
	VarInvalid             Variable = iota
	VarNames                        // SET NAMES cs [COLLATE c]: Value, Collation; Default
	VarCharacterSet                 // SET CHARACTER SET cs: Value; Default
	VarCharsetClient                // character_set_client
	VarCharsetConnection            // character_set_connection
	VarCharsetResults               // character_set_results; Null
	VarCollationConnection          // collation_connection
	VarSQLMode                      // sql_mode: Value is the list as given
	VarTimeZone                     // time_zone
	VarIsolation                    // the session's isolation level: Value is READ COMMITTED ...
	VarNextIsolation                // of the next transaction only
	VarAccess                       // the session's transaction_read_only: Value is READ ONLY or READ WRITE
	VarNextAccess                   // of the next transaction only
	VarAutocommit                   // autocommit: Value is 0 or 1
	VarIdleTimeout                  // wait_timeout, interactive_timeout: kept by the proxy, never forwarded; Value in seconds
	VarUser                         // @x: the statement is forwarded; see Pins
	VarNothing                      // a setting to the value it has anyway (sql_auto_is_null = 0 ...): nothing to do
	VarReportGtrid                  // xa_report_gtrid: kept by the proxy, never forwarded; Value "0" or "1"
)

// Assignment is one part of a SET.
type Assignment struct {
	Variable  Variable
	Name      string // the variable's name in lower case
	Value     string
	Collation string // of VarNames
	Default   bool   // = DEFAULT: the value that the session had at login
	Null      bool   // = NULL
}

// DDLVerb says what a definition statement does to a table.
type DDLVerb uint8

// The verbs. DDLOther changes no table's existence or definition.
const (
	DDLOther DDLVerb = iota
	DDLCreateTable
	DDLAlterTable
	DDLDropTable
	DDLTruncateTable
	DDLCreateSchema
	DDLAlterSchema
	DDLDropSchema
)

// DDL is what a definition statement changes. The catalog is to be read anew
// for the tables and schemas named.
type DDL struct {
	Verb   DDLVerb
	Tables []TableName // changed, created or dropped
	Schema string      // of the schema verbs
	// Created is the new table with its rule, of DDLCreateTable: the rule is to
	// be stored (placement) before a shard executes the statement. It is nil when
	// the table exists already.
	Created *Table
	// IfNotExists: the table may exist already; its stored rule is kept.
	IfNotExists bool
	IfExists    bool // of DDLDropTable
	// Renumbers: the ids of the tables' AUTO_INCREMENT columns go on elsewhere.
	Renumbers bool
}

// Mode says how many shards a bound statement goes to.
type Mode uint8

// The modes. The zero value is never returned with a nil error.
const (
	ModeInvalid Mode = iota
	ModeWeights      // weights of strings are needed first: ask, then bind again
	ModeAny          // any one shard: Parts has one part, whose Shard is only a suggestion
	ModeOne          // one shard
	ModeConcat       // several: the rows one after the other, in any order
	ModeAll          // several: a write or definition; affected rows are added up
	ModeMerge        // several: the rows are combined as Targets.Merge says
	ModeNumbers      // ids of rows are needed first: take them, then bind again
)

// Part is what one shard gets.
type Part struct {
	Shard route.Shard
	SQL   string
	// Params are the numbers of the parameters that this text has, in its
	// order; nil means all, in the client's order. Those from the number of the
	// client's parameters on are IDs.
	Params []int
	IDs    []uint64
	// Rows is how many rows of a split INSERT this part has, else 0.
	Rows int
	// Origin are the numbers, from 1, that these rows have in the client's
	// statement.
	Origin []int
}

// Targets says where a bound statement goes.
type Targets struct {
	Mode    Mode
	Parts   []Part          // ascending by shard
	Weights []WeightRequest // of ModeWeights
	// Numbering is of ModeNumbers, and then of the targets that are bound with it.
	Numbering *Numbering
	IDs       []uint64 // that were generated, in the order of the rows
	Merge     *Merge   // of ModeMerge
	// NeedsClock: the parts of a statement over several shards read the time, and
	// must all be given the same.
	NeedsClock bool
	// Copies: the parts of ModeAll write the copies of a reference table. What one
	// of them tells is told; all must have affected as many rows.
	Copies bool
	Split  *Split // of an INSERT or REPLACE for several shards
	Move   *Move  // of an UPDATE that gives rows another shard
	// Choose is of an UPDATE or DELETE with LIMIT for several shards. Where it finds
	// no row, the first of Parts is to be executed as it is.
	Choose *Choose
}

// Split is what has to be known of a split INSERT to tell of it what one server
// would.
type Split struct {
	Ignore bool // IGNORE
	Update bool // ON DUPLICATE KEY UPDATE
	// LastID is the number that the statement's last row gives its AUTO_INCREMENT
	// column, 0 when the table has none. LastIDUnsure: when the last row updates
	// another one, that may have another number.
	LastID       uint64
	LastIDUnsure bool
}

// WeightRequest asks for the weight bytes of a string under a collation. It is
// comparable, so it can be a cache's key.
type WeightRequest struct {
	Charset   string // the column's
	Collation string // the column's
	Text      string // UTF-8
}

// Weights knows weight bytes that were asked before. Weight returns the bytes
// of the text and, where the collation pads, those of one space.
type Weights interface {
	Weight(r WeightRequest) (weight, space []byte, ok bool)
}

// ValueKind says what a parameter is.
type ValueKind uint8

// The kinds of parameters. ValueOther is never a key.
const (
	ValueOther ValueKind = iota
	ValueNull
	ValueInt     // Int
	ValueUint    // Uint
	ValueFloat   // Float
	ValueDecimal // Bytes: the number's text
	ValueText    // Bytes: in the client's character set (MYSQL_TYPE_STRING, VAR_STRING, VARCHAR)
	ValueBinary  // Bytes: a binary string (the BLOB types)
	// ValueTemporal is a date or time in Bytes: 2024-01-31, 2024-01-31 10:00:00.5,
	// -101:00:00.
	ValueTemporal
)

// Value is a decoded parameter of a prepared statement.
type Value struct {
	Kind  ValueKind
	Int   int64
	Uint  uint64
	Float float64
	Bytes []byte
}
