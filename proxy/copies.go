package proxy

import (
	"strings"

	"xaproxy/xa/xamysql"
)

// copyLatch is the statement in front of each part of a write to a reference
// table. It locks the table's placement at the part's shard, until the branch
// there has ended.
//
// With READ COMMITTED an UPDATE passes over rows that another branch has changed
// when their committed versions do not match. A branch that is prepared at one
// shard may be committed at another, so that the statement would change other
// rows there. Such a writer is alone. With REPEATABLE READ and above a statement
// waits for every row that it looks at, so such writers may be together.
//
// It is in front of locking reads of reference tables, too.
func (s *session) copyLatch(k *call) []string {
	if len(k.plan.Latches) == 0 {
		return nil
	}
	level := s.e.defaults.Isolation
	if asked, given := s.want().Isolation.Value(); given {
		level = asked
	}
	lock := " LOCK IN SHARE MODE"
	if strings.HasPrefix(strings.ToUpper(level), "READ") {
		lock = " FOR UPDATE"
	}
	var tables []xamysql.Placement
	for _, name := range k.plan.Latches {
		if name.Name == "" {
			tables = nil // all
			break
		}
		tables = append(tables, xamysql.Placement{Schema: name.Schema, Table: name.Name})
	}
	return []string{xamysql.LockPlacements(tables) + lock}
}
