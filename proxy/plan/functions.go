package plan

import (
	"slices"
	"strings"
)

// effect says what a built-in function needs beside its arguments.
type effect uint8

const (
	unknownFunction effect = iota // not listed: stored, loadable or too new
	pure                          // its arguments alone, or the session settings that are replayed
	volatile                      // another value at another moment or on another server
	clock                         // the time of the statement, which all its parts can be given
	ofServer                      // what the first shard says
	ofConnection                  // a value that the proxy's own session has: see Plan.Variables
	refused                       // has no meaning through a proxy
	setsLocks                     // GET_LOCK
	readsLocks                    // RELEASE_LOCK, IS_FREE_LOCK
	readsInsertID                 // LAST_INSERT_ID
	readsFoundRows                // FOUND_ROWS
	readsRowCount                 // ROW_COUNT
	aggregateLike                 // GROUPING, ANY_VALUE: belong to GROUP BY
)

// The built-in functions of MySQL 9 and MariaDB 11, as the parser spells them.
const (
	pureNames = `
abs acos aes_decrypt aes_encrypt ascii asin atan atan2 bin bin_to_uuid bit_count bit_length cast ceil ceiling char char_func
char_length character_length charset coalesce coercibility collation compress concat concat_ws conv convert convert_tz cos cot
crc32 crc32c date date_add date_format date_sub adddate subdate addtime datediff day dayname dayofmonth dayofweek dayofyear
decode degrees elt encode exp export_set extract extractvalue field find_in_set floor format format_bytes format_pico_time
format_radix from_base64 from_days from_unixtime get_format greatest hex hour if ifnull nullif inet6_aton inet6_ntoa inet_aton inet_ntoa
insert_func instr interval is_ipv4 is_ipv4_compat is_ipv4_mapped is_ipv6 is_uuid isnull json_array json_array_append
json_array_insert json_array_intersect json_contains json_contains_path json_depth json_equals json_exists json_extract
json_insert json_keys json_length json_merge json_merge_patch json_merge_preserve json_normalize json_object json_overlaps
json_pretty json_query json_quote json_remove json_replace json_schema_valid json_schema_validation_report json_search json_set
json_storage_size json_type json_unquote json_valid json_value json_compact json_detailed json_loose json_memberof
last_day lcase least left length lengthb ln locate log log10 log2 lower lpad ltrim make_set makedate maketime md5 microsecond mid
minute mod month monthname natural_sort_key oct octet_length octetlength old_password ord password period_add period_diff pi
position pow power quarter quote radians regexp_instr regexp_like regexp_replace regexp_substr repeat replace reverse right round
rpad rtrim sec_to_time second sha sha1 sha2 sign sin soundex space sqrt st_astext st_distance st_geomfromtext st_x st_y strcmp
str_to_date substr substring substring_index subtime tan time time_format time_to_sec timediff timestamp timestampadd
timestampdiff to_base64 to_char to_days to_seconds trim truncate ucase uncompress uncompressed_length unhex
updatexml upper uuid_to_bin week weekday weekofyear weight_string year yearweek sformat nvl nvl2 chr
database schema name_const`
	clockNames = `
now current_timestamp localtime localtimestamp curdate current_date curtime current_time utc_date utc_time utc_timestamp`
	volatileNames = `
sysdate rand random_bytes uuid uuid_v4 uuid_v7 sys_guid sleep benchmark`
	serverNames     = `version`
	connectionNames = `connection_id user session_user system_user current_user current_role`
	refusedNames    = `
load_file uuid_short is_used_lock master_pos_wait source_pos_wait master_gtid_wait wait_for_executed_gtid_set
wait_until_sql_thread_after_gtids gtid_subset gtid_subtract nextval lastval setval next_value previous_value
ps_current_thread_id ps_thread_id statement_digest statement_digest_text validate_password_strength
mysql_query_attribute_string sys_exec sys_eval icu_version rownum`
)

// functions holds the effect of every known function by name in lower case.
//
//nolint:gochecknoglobals // an immutable table
var functions = functionTable()

func functionTable() map[string]effect {
	t := make(map[string]effect)
	for names, e := range map[string]effect{
		pureNames: pure, clockNames: clock, volatileNames: volatile, serverNames: ofServer, connectionNames: ofConnection, refusedNames: refused,
		"get_lock": setsLocks, "release_lock release_all_locks is_free_lock": readsLocks,
		"last_insert_id": readsInsertID, "found_rows": readsFoundRows, "row_count": readsRowCount,
		"any_value grouping": aggregateLike,
	} {
		for _, name := range strings.Fields(names) {
			t[name] = e
		}
	}
	// UNIX_TIMESTAMP() without an argument is the clock.
	t["unix_timestamp"] = clock
	// The parser's own name for DATE'..', TIME'..', TIMESTAMP'..'.
	for _, kind := range [...]string{"date", "time", "timestamp"} {
		t["'tidb`.("+kind+"literal"] = pure
	}
	return t
}

// needsParenthesis reports whether a name is a function only with its
// parenthesis right behind it (unless IGNORE_SPACE is set): else it is a stored
// function's name.
func needsParenthesis(word string) bool {
	var buf [24]byte
	switch string(upper(buf[:0], word)) {
	case "ADDDATE", "BIT_AND", "BIT_OR", "BIT_XOR", "CAST", "COUNT", "CURDATE", "CURTIME", "DATE_ADD", "DATE_SUB", "EXTRACT",
		"GROUP_CONCAT", "JSON_ARRAYAGG", "JSON_OBJECTAGG", "MAX", "MID", "MIN", "NOW", "POSITION", "SESSION_USER", "STD", "STDDEV",
		"STDDEV_POP", "STDDEV_SAMP", "SUBDATE", "SUBSTR", "SUBSTRING", "SUM", "SYSDATE", "SYSTEM_USER", "TRIM", "VARIANCE",
		"VAR_POP", "VAR_SAMP", "ST_COLLECT":
		return true
	}
	return false
}

// spelledAsFunction refuses what the parser takes for a built-in function and
// the servers do not: a quoted name before a parenthesis, a space before one,
// and the names that only the parser uses.
func (l *lexed) spelledAsFunction() *Refusal {
	for i, t := range l.toks {
		if !l.op(i+1, '(') {
			continue
		}
		name := l.name(t)
		switch t.kind {
		case tokQuoted:
			if functions[strings.ToLower(name)] != unknownFunction && !l.namesTable(i) {
				return unsupported("the quoted function name "+l.text(t), "write it without quotes")
			}
		case tokWord:
			if needsParenthesis(name) && l.toks[i+1].gap && l.flags&lexIgnoreSpace == 0 && !l.namesTable(i) {
				return unsupported("the space between "+name+" and its parenthesis", "write them together")
			}
			if l.is(i, "INSERT_FUNC") || l.is(i, "CHAR_FUNC") {
				return unsupported("the function "+name, "")
			}
		case tokOp, tokInt, tokDecimal, tokFloat, tokHex, tokBit, tokString, tokNString, tokParam, tokUserVar, tokSysVar:
		}
	}
	return nil
}

// namesTable reports whether token i stands where a table is named, so that
// the parenthesis behind it holds columns.
func (l *lexed) namesTable(i int) bool {
	for _, w := range [...]string{"INTO", "INSERT", "REPLACE", "IGNORE", "WITH", "RECURSIVE", "AS"} {
		if l.is(i-1, w) {
			return true
		}
	}
	// A name behind a point is no built-in function; after a comma a WITH clause
	// or a list of window names may go on, which no function name follows.
	return l.op(i-1, '.')
}

// proxyVariables are the system variables whose value in a shard's session is
// not the client's (see Plan.Variables): the proxy runs its sessions with
// autocommit, short timeouts and ids of their own.
func proxyVariables() []string {
	return strings.Fields(`
autocommit wait_timeout interactive_timeout xa_report_gtrid last_insert_id identity insert_id warning_count error_count timestamp rand_seed1
rand_seed2 pseudo_thread_id pseudo_slave_mode pseudo_replica_mode in_transaction tx_read_only transaction_read_only tx_isolation
transaction_isolation sql_log_bin gtid_next gtid_owned gtid_executed last_gtid gtid_seq_no gtid_domain_id proxy_user external_user
completion_type session_track_gtids session_track_schema session_track_state_change session_track_system_variables
session_track_transaction_info resultset_metadata immediate_server_version original_server_version original_commit_timestamp`)
}

func ofProxy(variable string) bool { return slices.Contains(proxyVariables(), variable) }

// replayed reports whether every connection of the session has a variable's
// value: it can be read anywhere.
func replayed(variable string) bool {
	switch variable {
	case "sql_mode", "time_zone", "character_set_client", "character_set_connection", "character_set_results", "collation_connection":
		return true
	}
	return false
}
