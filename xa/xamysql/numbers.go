package xamysql

import (
	"errors"

	"github.com/go-sql-driver/mysql"
)

// Error numbers of the servers that mean something to the protocol.
const (
	erAccessDenied   = 1045
	erDuplicate      = 1062
	erNoSuchThread   = 1094
	erTableAccess    = 1142
	erNoSuchTable    = 1146
	erNoSuchColumn   = 1054
	erColumnTwice    = 1060
	erUnknownSystem  = 1193
	erLockTimeout    = 1205
	erDeadlock       = 1213
	erPrivilege      = 1227
	erBadDatabase    = 1049
	erXANota         = 1397 // XAER_NOTA: unknown, or somebody has it
	erXAInval        = 1398 // XAER_INVAL
	erXARMFail       = 1399 // XAER_RMFAIL: not in this state
	erXAOutside      = 1400 // XAER_OUTSIDE
	erXARMErr        = 1401 // XAER_RMERR; MySQL: or no right to list
	erXARBRollback   = 1402 // XA_RBROLLBACK
	erXARBTimeout    = 1613 // XA_RBTIMEOUT
	erXARBDeadlock   = 1614 // XA_RBDEADLOCK
	erBeforeCommit   = 3101 // ER_TRANSACTION_ROLLBACK_DURING_COMMIT
	erOutOfRange     = 1690 // a number left its type's range
	erCheckReadSince = 1020 // ER_CHECKREAD: MariaDB with innodb_snapshot_isolation
)

// number is the server's error number in err's chain, 0 when there is none.
func number(err error) uint16 {
	var p *ServerError
	if errors.As(err, &p) {
		return p.Number
	}
	var d *mysql.MySQLError
	if errors.As(err, &d) {
		return d.Number
	}
	return 0
}

// refusedPrepare reports whether an error packet of XA PREPARE proves that the branch is not and will not be prepared.
func refusedPrepare(n uint16) bool {
	switch n {
	case erXANota, erXAInval, erXARMFail, erXAOutside, erXARBRollback, erXARBTimeout, erXARBDeadlock, erDeadlock, erBeforeCommit:
		return true
	}
	return false
}

// rolledBack reports whether the error says that the server has rolled the branch back by itself.
func rolledBack(n uint16) bool {
	switch n {
	case erXARBRollback, erXARBTimeout, erXARBDeadlock:
		return true
	}
	return false
}
