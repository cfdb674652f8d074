package wire

import "github.com/go-mysql-org/go-mysql/mysql"

// Capabilities is the set of protocol features that one side offers, or that
// both agreed upon.
type Capabilities uint32

// The capabilities that are used here.
const (
	LongPassword           = Capabilities(mysql.CLIENT_LONG_PASSWORD) // MariaDB: "I speak MySQL", no extended set
	FoundRows              = Capabilities(mysql.CLIENT_FOUND_ROWS)
	LongFlag               = Capabilities(mysql.CLIENT_LONG_FLAG)
	ConnectWithDB          = Capabilities(mysql.CLIENT_CONNECT_WITH_DB)
	Compress               = Capabilities(mysql.CLIENT_COMPRESS)
	LocalFiles             = Capabilities(mysql.CLIENT_LOCAL_FILES)
	IgnoreSpace            = Capabilities(mysql.CLIENT_IGNORE_SPACE)
	Protocol41             = Capabilities(mysql.CLIENT_PROTOCOL_41)
	Interactive            = Capabilities(mysql.CLIENT_INTERACTIVE)
	SSL                    = Capabilities(mysql.CLIENT_SSL)
	Transactions           = Capabilities(mysql.CLIENT_TRANSACTIONS)
	SecureConnection       = Capabilities(mysql.CLIENT_SECURE_CONNECTION)
	MultiStatements        = Capabilities(mysql.CLIENT_MULTI_STATEMENTS)
	MultiResults           = Capabilities(mysql.CLIENT_MULTI_RESULTS)
	PSMultiResults         = Capabilities(mysql.CLIENT_PS_MULTI_RESULTS)
	PluginAuth             = Capabilities(mysql.CLIENT_PLUGIN_AUTH)
	ConnectAttrs           = Capabilities(mysql.CLIENT_CONNECT_ATTRS)
	PluginAuthLenenc       = Capabilities(mysql.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
	SessionTrack           = Capabilities(mysql.CLIENT_SESSION_TRACK)
	DeprecateEOF           = Capabilities(mysql.CLIENT_DEPRECATE_EOF)
	OptionalResultMetadata = Capabilities(mysql.CLIENT_OPTIONAL_RESULTSET_METADATA)
	ZstdCompression        = Capabilities(mysql.CLIENT_ZSTD_COMPRESSION_ALGORITHM)
	QueryAttributes        = Capabilities(mysql.CLIENT_QUERY_ATTRIBUTES)
)

// ServerCapabilities are offered to clients; SSL is added where TLS is. Not
// offered: compression, LOCAL INFILE, query attributes, optional metadata, and
// IgnoreSpace, which would change how statements are read.
const ServerCapabilities = LongPassword | FoundRows | LongFlag | ConnectWithDB | Protocol41 | Interactive |
	Transactions | SecureConnection | MultiStatements | MultiResults | PSMultiResults | PluginAuth | ConnectAttrs | PluginAuthLenenc | SessionTrack | DeprecateEOF

// ClientCapabilities are asked of shards; FoundRows, SSL and ConnectWithDB are
// added where wanted.
const ClientCapabilities = LongPassword | LongFlag | Protocol41 | Transactions | SecureConnection |
	MultiStatements | MultiResults | PSMultiResults | PluginAuth | ConnectAttrs |
	PluginAuthLenenc | SessionTrack | DeprecateEOF

// Has reports whether all of want are in the set.
func (c Capabilities) Has(want Capabilities) bool { return c&want == want }

// Status is the set of flags in an OK or EOF packet.
type Status uint16

// The status flags.
const (
	StatusInTrans            = Status(mysql.SERVER_STATUS_IN_TRANS)
	StatusAutocommit         = Status(mysql.SERVER_STATUS_AUTOCOMMIT)
	StatusMoreResults        = Status(mysql.SERVER_MORE_RESULTS_EXISTS)
	StatusNoGoodIndexUsed    = Status(mysql.SERVER_STATUS_NO_GOOD_INDEX_USED)
	StatusNoIndexUsed        = Status(mysql.SERVER_STATUS_NO_INDEX_USED)
	StatusCursorExists       = Status(mysql.SERVER_STATUS_CURSOR_EXISTS)
	StatusLastRowSent        = Status(mysql.SERVER_STATUS_LAST_ROW_SEND)
	StatusDBDropped          = Status(mysql.SERVER_STATUS_DB_DROPPED)
	StatusNoBackslashEscapes = Status(mysql.SERVER_STATUS_NO_BACKSLASH_ESCAPED)
	StatusMetadataChanged    = Status(mysql.SERVER_STATUS_METADATA_CHANGED)
	StatusQueryWasSlow       = Status(mysql.SERVER_QUERY_WAS_SLOW)
	StatusPSOutParams        = Status(mysql.SERVER_PS_OUT_PARAMS)
	StatusInTransReadOnly    = Status(mysql.SERVER_STATUS_IN_TRANS_READONLY)
	StatusSessionChanged     = Status(mysql.SERVER_SESSION_STATE_CHANGED)
)

// Has reports whether all of want are set.
func (s Status) Has(want Status) bool { return s&want == want }

// Command is the first byte of a command's payload.
type Command byte

// The commands.
const (
	ComSleep           = Command(mysql.COM_SLEEP)
	ComQuit            = Command(mysql.COM_QUIT)
	ComInitDB          = Command(mysql.COM_INIT_DB)
	ComQuery           = Command(mysql.COM_QUERY)
	ComFieldList       = Command(mysql.COM_FIELD_LIST)
	ComStatistics      = Command(mysql.COM_STATISTICS)
	ComProcessKill     = Command(mysql.COM_PROCESS_KILL)
	ComPing            = Command(mysql.COM_PING)
	ComChangeUser      = Command(mysql.COM_CHANGE_USER)
	ComStmtPrepare     = Command(mysql.COM_STMT_PREPARE)
	ComStmtExecute     = Command(mysql.COM_STMT_EXECUTE)
	ComStmtLongData    = Command(mysql.COM_STMT_SEND_LONG_DATA)
	ComStmtClose       = Command(mysql.COM_STMT_CLOSE)
	ComStmtReset       = Command(mysql.COM_STMT_RESET)
	ComSetOption       = Command(mysql.COM_SET_OPTION)
	ComStmtFetch       = Command(mysql.COM_STMT_FETCH)
	ComResetConnection = Command(mysql.COM_RESET_CONNECTION)
)

// Authentication plugins that are spoken.
const (
	NativePassword      = mysql.AUTH_NATIVE_PASSWORD
	CachingSHA2Password = mysql.AUTH_CACHING_SHA2_PASSWORD
	ClearPassword       = mysql.AUTH_CLEAR_PASSWORD
)

// First bytes of payloads.
const (
	headOK          = mysql.OK_HEADER
	headMoreData    = mysql.MORE_DATE_HEADER
	headLocalInfile = mysql.LocalInFile_HEADER
	headEOF         = mysql.EOF_HEADER
	headERR         = mysql.ERR_HEADER
	headGreeting    = mysql.ClassicProtocolVersion
)
