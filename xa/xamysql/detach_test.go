package xamysql

import (
	"errors"
	"strings"
	"testing"
)

const innodbStatus = `
=====================================
LATEST DETECTED DEADLOCK
------------------------
MariaDB thread id 7, OS thread handle 1, query id 12 127.0.0.1 app Updating
------------
TRANSACTIONS
------------
Trx id counter 46
LIST OF TRANSACTIONS FOR EACH SESSION:
---TRANSACTION 44, ACTIVE (PREPARED) 0 sec
2 lock struct(s), heap size 1128, 1 row lock(s), undo log entries 1
MariaDB thread id 81, OS thread handle 140322489931456, query id 105 127.0.0.1 xaproxy
---TRANSACTION 43, ACTIVE (PREPARED) 9 sec recovered trx
2 lock struct(s), heap size 1128, 1 row lock(s), undo log entries 1
---TRANSACTION (0x7f), ACTIVE 0 sec
MariaDB thread id 9, OS thread handle 140322489931457, query id 106 127.0.0.1 xaproxy
SHOW ENGINE INNODB STATUS
--------
FILE I/O
----------------------------
END OF INNODB MONITOR OUTPUT
============================
`

func TestInnoDBStatusTellsWhoIsAttached(t *testing.T) {
	quoting := strings.Replace(innodbStatus, "app Updating", "app Updating\nSELECT '... truncated...'", 1)
	if got, err := attachedIn(quoting, 9, 81); err != nil || !got {
		t.Errorf("a statement that talks of truncation: %v, %v", got, err)
	}
	for id, want := range map[uint32]bool{81: true, 8: false, 1: false, 7: false, 9: true, 810: false} {
		got, err := attachedIn(innodbStatus, 9, id)
		if err != nil || got != want {
			t.Errorf("connection %d: %v, %v", id, got, err)
		}
	}
}

func TestInnoDBStatusThatIsNotUnderstoodIsNoEvidence(t *testing.T) {
	for name, status := range map[string]string{
		"empty":            "",
		"no beginning":     strings.Replace(innodbStatus, "---TRANSACTION 44", "... truncated...\n---TRANSACTION 44", 1),
		"no end":           strings.Replace(innodbStatus, "END OF INNODB", "", 1),
		"another heading":  strings.Replace(innodbStatus, "LIST OF TRANSACTIONS", "TRANSACTIONS", 1),
		"another wording":  strings.ReplaceAll(innodbStatus, "MariaDB thread id", "thread"),
		"without our line": strings.Replace(innodbStatus, "thread id 9,", "thread id 99,", 1),
	} {
		if attached, err := attachedIn(status, 9, 81); !errors.Is(err, errStatus) || attached {
			t.Errorf("%s: %v, %v", name, attached, err)
		}
	}
}
