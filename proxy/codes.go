package proxy

import "fmt"

// Numbers of the errors that the proxy itself sends.
const (
	codeOutOfRange         uint16 = 167
	codeTooManyConnections uint16 = 1040
	codeBadHandshake       uint16 = 1043
	codeSchemaDenied       uint16 = 1044
	codeLoginDenied        uint16 = 1045
	codeUnknownCommand     uint16 = 1047
	codeShutdown           uint16 = 1053
	codeKillUnknown        uint16 = 1094
	codeKillDenied         uint16 = 1095
	codeInternal           uint16 = 1105
	codeNoTable            uint16 = 1146
	codePacketTooLarge     uint16 = 1153
	codeLoginTime          uint16 = 1159
	codeAborted            uint16 = 1180
	codeArguments          uint16 = 1210
	codeDeadlock           uint16 = 1213
	codeUnknownStatement   uint16 = 1243
	codeNotPreparable      uint16 = 1295
	codeNoSavepoint        uint16 = 1305
	codeInterrupted        uint16 = 1317
	codeTooManyStatements  uint16 = 1461
	codeNoNumbers          uint16 = 1467
	codeInTransaction      uint16 = 1568
	codeReadOnly           uint16 = 1792
	codeMalformed          uint16 = 1835
	codeKillElsewhere      uint16 = 17010
	codeConfiguration      uint16 = 17011
	codeOutcomeUnknown     uint16 = 17001
	codeHeuristic          uint16 = 17002
	codePending            uint16 = 17003
	codeNoKey              uint16 = 17020
	codeUnsupported        uint16 = 17021
	codePartialDDL         uint16 = 17022
	codeColumnsDiffer      uint16 = 17023
	codeDefinitionsDiffer  uint16 = 17024
	codeTableChanging      uint16 = 17025
	codeCopiesDiffer       uint16 = 17027
	codeShardDown          uint16 = 17030
	codePoolWait           uint16 = 17031
	codeTimeLimit          uint16 = 17032
	codeStateLost          uint16 = 17033
	codeStatementTime      uint16 = 17034
	codeResultTooLarge     uint16 = 17035
	codeUnfinished         uint16 = 17036
	codeDraining           uint16 = 17040
)

// codes is the one table of errors that the proxy sends. docs/errors.md is made
// from it.
var codes = []Code{ //nolint:gochecknoglobals // immutable table
	{codeOutOfRange, "22003", "ID_OUT_OF_RANGE", "Out of range value for column '%s' at row %d",
		"The AUTO_INCREMENT column's type has no number left for the row (so says MariaDB).", RetryNever, "Give the column a larger type."},
	{codeTooManyConnections, "08004", "TOO_MANY_CONNECTIONS", "Too many connections (limits.connections is %d)",
		"As many clients are connected as the setting allows.", RetrySafe, "Raise limits.connections or use fewer connections."},
	{codeBadHandshake, "08S01", "BAD_HANDSHAKE", "Bad handshake: %s",
		"The client's login could not be read.", RetryLater, "Check that the client speaks the MySQL protocol 4.1 or newer."},
	{codeSchemaDenied, "42000", "SCHEMA_DENIED", "Access denied for user '%s' to database '%s'",
		"The schema belongs to the proxy itself.", RetryLater, "Use the admin port to look at the proxy's state."},
	{codeLoginDenied, "28000", "LOGIN_DENIED", "Access denied for user '%s'@'%s' (using password: %s)",
		"Unknown user or wrong password.", RetryLater, "Check the users section of the configuration."},
	{codeUnknownCommand, "08S01", "UNKNOWN_COMMAND", "Unknown command",
		"The protocol command is not served.", RetryLater, "Use a statement instead."},
	{codeShutdown, "08S01", "SHUTDOWN", "Server shutdown in progress: the proxy is draining; connect again",
		"The proxy ends; the connection was between transactions and nothing was executed.", RetrySafe, "Connect again (to another proxy)."},
	{codeKillUnknown, "HY000", "NO_SUCH_SESSION", "Unknown thread id: %d",
		"KILL named no session of this proxy.", RetryLater, "Look the id up with SELECT CONNECTION_ID() through the proxy."},
	{codeKillDenied, "HY000", "KILL_DENIED", "You are not owner of thread %d",
		"KILL named the session of another user.", RetryLater, "Use the admin port."},
	{codeInternal, "HY000", "INTERNAL", "xaproxy: %s",
		"Something that should not happen.", RetryNever, "Look into the proxy's log and report it."},
	{codeNoTable, "42S02", "NO_SUCH_TABLE", "Table '%s' doesn't exist",
		"No shard has the table.", RetryLater, "Create it through the proxy."},
	{codePacketTooLarge, "08S01", "PACKET_TOO_LARGE", "Got a packet bigger than limits.packet_bytes (%d bytes)",
		"The command is larger than the setting allows; the connection is closed.", RetryLater, "Raise limits.packet_bytes, and max_allowed_packet on the shards."},
	{codeLoginTime, "08S01", "LOGIN_TIME", "Got timeout reading communication packets: the login took longer than limits.login_time (%s)",
		"The client did not log in in time; the connection is closed.", RetrySafe, "Connect again, or raise the setting."},
	{codeAborted, "HY000", "ABORTED", "Transaction was rolled back on every shard: %s",
		"Nothing of it happened anywhere, and doing it again would end alike.", RetryLater, "Mend the cause that the text gives."},
	{codeArguments, "HY000", "WRONG_ARGUMENTS", "Incorrect arguments to %s",
		"The packet does not fit the prepared statement.", RetryLater, "Report it to the driver's authors."},
	{codeDeadlock, "40001", "DEADLOCK", "Transaction was rolled back on every shard; try restarting it: %s",
		"A deadlock, a fence, a lost connection to a shard that answers again: nothing happened anywhere.", RetrySafe, "Run the transaction again."},
	{codeUnknownStatement, "HY000", "UNKNOWN_STATEMENT", "Unknown prepared statement handler (%d) given to %s",
		"The statement was closed or never prepared.", RetryLater, "Prepare it again."},
	{codeNotPreparable, "HY000", "NOT_PREPARABLE", "This command is not supported in the prepared statement protocol yet: %s",
		"The statement can only be sent as text.", RetryLater, "Send it as text."},
	{codeNoSavepoint, "42000", "NO_SAVEPOINT", "SAVEPOINT %s does not exist",
		"No savepoint of that name was set in this transaction.", RetryLater, "Set it first."},
	{codeInterrupted, "70100", "INTERRUPTED", "Query execution was interrupted",
		"KILL ended the statement.", RetrySafe, "Run it again if wanted."},
	{codeTooManyStatements, "42000", "TOO_MANY_STATEMENTS", "Can't create more than %d prepared statements in a session (limits.session_statements)",
		"The session has prepared as many statements as it may.", RetryLater, "Close prepared statements."},
	{codeNoNumbers, "HY000", "NO_IDS_LEFT", "Failed to read auto-increment value from storage engine",
		"The AUTO_INCREMENT column's type has no number left for all rows.", RetryNever, "Give the column a larger type."},
	{codeInTransaction, "25001", "IN_TRANSACTION", "Transaction characteristics can't be changed while a transaction is in progress",
		"SET TRANSACTION without SESSION is for the next transaction.", RetryLater, "End the transaction first."},
	{codeReadOnly, "25006", "READ_ONLY", "Cannot execute statement in a READ ONLY transaction",
		"The transaction was started READ ONLY.", RetryLater, "Start it READ WRITE."},
	{codeMalformed, "HY000", "MALFORMED_PACKET", "Malformed communication packet: %s",
		"The packet cannot be decoded; the connection is closed.", RetryLater, "Report it to the driver's authors."},
	{codeOutcomeUnknown, "08007", "OUTCOME_UNKNOWN", "Outcome of the commit is unknown: %s",
		"The transaction is or will be committed everywhere, or nowhere; the proxy cannot know which now. The text gives the gtrid, or says that no record of it exists.", RetryNever, "Ask with XA OUTCOME 'gtrid' (where there is one), or read the data."},
	{codeHeuristic, "HY000", "HEURISTIC", "A part of transaction %s was committed by the server itself while the rest was rolled back: %s",
		"A statement committed on its shard by itself; recorded in xaproxy.heuristic.", RetryNever, "Compare the data of the shards that the text names."},
	{codePending, "HY000", "PENDING", "Transaction %s is committed; shard %s receives its part when it returns",
		"A warning, never an error: the commit is decided and durable.", RetryNever, "Nothing; SHOW WARNINGS gives gtrid and shards."},
	{codeKillElsewhere, "HY000", "KILL_ELSEWHERE", "Session %d is not one of this proxy's: %s",
		"Its number belongs to another proxy.", RetryNever, "Send KILL to the proxy that the text names."},
	{codeConfiguration, "HY000", "CONFIGURATION_REFUSED", "The configuration was not taken, nothing has changed: %s",
		"RELOAD found a file that cannot be read, or that would move rows.", RetryLater, "Mend the file where the text says."},
	{codeNoKey, "HY000", "NO_SHARDING_KEY", "No sharding key: %s",
		"The statement does not say which shard its rows belong to.", RetryLater, "Give the sharding column a value."},
	{codeUnsupported, "HY000", "UNSUPPORTED", "Not supported across shards: %s",
		"The proxy cannot do it exactly, so it does not do it.", RetryLater, "The text names the construct and a way round where there is one."},
	{codePartialDDL, "HY000", "PARTIAL_DDL", "The statement was executed on a part of the shards only: %s",
		"The text lists every shard with what happened there. What a shard could not be asked for is executed when it answers; what it refused needs a person.", RetryLater, "SHOW DDL says what to do."},
	{codeColumnsDiffer, "HY000", "COLUMNS_DIFFER", "Shards %s and %s answered with different columns: %s",
		"The parts of the result do not fit together.", RetryLater, "Make the table's definition equal on all shards."},
	{codeDefinitionsDiffer, "HY000", "DEFINITIONS_DIFFER", "Table %s is not usable: %s",
		"Its definition differs between shards, or its placement is not known.", RetryLater, "Do what the text says."},
	{codeTableChanging, "HY000", "TABLE_CHANGING", "Table %s cannot be used now: %s",
		"Its definition is being changed somewhere, or this proxy cannot be sure that it knows the present one; nothing was executed.", RetrySafe, "Try again."},
	{codeCopiesDiffer, "HY000", "COPIES_DIFFER", "The copies of a reference table are not alike; the statement was taken back on every shard. Rows affected: %s",
		"Somebody else was writing the same rows at the same moment, or the copies have come to differ.", RetryLater, "Try again; if it stays, compare the table on the shards that the text names: xaproxy placement adopt does it."},
	{codeShardDown, "HY000", "SHARD_DOWN", "Shard %s is down: %s; nothing was committed anywhere",
		"A shard that is needed does not answer; an open transaction was rolled back.", RetryLater, "Try again when the shard is back."},
	{codePoolWait, "HY000", "POOL_WAIT", "No connection to shard %s became free in time: %s; nothing was committed anywhere",
		"All connections to the shard are in use; an open transaction was rolled back so that transactions do not wait for each other.", RetrySafe, "Run it again; raise limits.shard_connections if it happens often."},
	{codeTimeLimit, "HY000", "TIME_LIMIT", "Transaction was rolled back on every shard: it was %s for longer than %s (%s)",
		"The transaction was idle or open for too long.", RetrySafe, "Commit sooner, or raise the setting."},
	{codeStateLost, "HY000", "STATE_LOST", "The session's connection to shard %s was lost with its %s; connect again",
		"The session kept state at a shard which no longer exists.", RetryLater, "Connect again and set it up anew."},
	{codeStatementTime, "HY000", "STATEMENT_TIME", "The statement was stopped: it ran for longer than limits.statement_time (%s)",
		"It was undone, as by KILL QUERY; an open transaction goes on without it.", RetryLater, "Make it faster, or raise the setting."},
	{codeResultTooLarge, "HY000", "RESULT_TOO_LARGE", "The rows of several shards cannot be combined: more than %s would have to be held (%s)",
		"The order of the result is not that of the shards' rows, so all of them have to be held.", RetryLater, "Ask for fewer rows (LIMIT, conditions), order by what the rows are grouped by, or raise the setting."},
	{codeUnfinished, "HY000", "UNFINISHED", "Nothing was executed: shard %s has not finished its part of %s, which is committed, in %v (transactions.ack: decided, limits.pool_wait)",
		"The session's last transaction was answered when it was decided; a shard that has not finished its part yet would show what was there before. An open transaction was rolled back.", RetryLater, "Run the statement again when the shard answers."},
	{codeDraining, "HY000", "DRAINING", "The proxy ended before the transaction did; it was rolled back on every shard",
		"The time for open transactions was over when the proxy was shut down.", RetrySafe, "Run the transaction again on another proxy."},
}

// Codes returns the table of errors that the proxy can send, by number.
func Codes() []Code { return append([]Code(nil), codes...) }

// codeOf returns the row of a number; unknown numbers are internal errors.
func codeOf(number uint16) Code {
	for _, c := range codes {
		if c.Number == number {
			return c
		}
	}
	return codeOf(codeInternal)
}

// fail makes the error of a number of the table.
func fail(number uint16, args ...any) *Error {
	c := codeOf(number)
	return &Error{Number: c.Number, State: c.State, Message: fmt.Sprintf(c.Format, args...)}
}
