package xamysql

import (
	"encoding/hex"
	"strconv"
	"strings"

	"xaproxy/xa"
)

// Statements that end a plain local transaction. They name what completion_type could otherwise add to them.
const (
	sqlCommit   = "COMMIT AND NO CHAIN NO RELEASE"
	sqlRollback = "ROLLBACK AND NO CHAIN NO RELEASE"
)

// literal is s as a hexadecimal literal: the same bytes whatever the session's sql_mode and character sets are.
func literal(s string) string {
	return "X'" + strings.ToUpper(hex.EncodeToString([]byte(s))) + "'"
}

// xid is the three parts of a branch's name as the verbs take them.
func xid(id xa.ID) string {
	return literal(string(id.Global)) + "," + literal(id.Branch) + "," + strconv.FormatUint(uint64(xa.FormatID), 10)
}

func xaStart(id xa.ID) string    { return "XA START " + xid(id) }
func xaEnd(id xa.ID) string      { return "XA END " + xid(id) }
func xaPrepare(id xa.ID) string  { return "XA PREPARE " + xid(id) }
func xaCommit(id xa.ID) string   { return "XA COMMIT " + xid(id) }
func xaOnePhase(id xa.ID) string { return "XA COMMIT " + xid(id) + " ONE PHASE" }
func xaRollback(id xa.ID) string { return "XA ROLLBACK " + xid(id) }

// insertClaim records d unless its name is taken. Every value is a hexadecimal literal of a length that fits its column
// in full, and the time is the server's own, so that neither sql_mode, nor a character set, nor SET timestamp of the
// session that runs it can change what is stored.
func insertClaim(g xa.GlobalID, outcome, participants string) string {
	return "INSERT INTO xaproxy.claim (name,outcome,participants,created) VALUES (" + claimValues(g, outcome, participants) + ")"
}

func claimValues(g xa.GlobalID, outcome, participants string) string {
	return literal(string(g)) + "," + literal(outcome) + "," + literal(participants) + ",SYSDATE(3)"
}
