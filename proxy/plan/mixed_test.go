package plan

import (
	"database/sql"
	"slices"
	"testing"
)

// TestServersCompareEachMemberOfAListByItself: a string or a double in the list
// of an IN does not make doubles of the others.
func TestServersCompareEachMemberOfAListByItself(t *testing.T) {
	onServers(t, func(t *testing.T, c *sql.Conn) {
		run(t, c, "CREATE TABLE k (id BIGINT PRIMARY KEY)")
		defer run(t, c, "DROP TABLE k")
		run(t, c, "INSERT INTO k VALUES (9007199254740992),(9007199254740993),(5)")
		for _, list := range []string{"9007199254740993, 5", "9007199254740993, '5'", "'5', 9007199254740993", "9007199254740993, 5e0", "5e0, 9007199254740993", "9007199254740993, 5.0", "NULL, 9007199254740993, '5'"} {
			got, err := ask(t, c, "SELECT CAST(id AS CHAR) FROM k WHERE id IN ("+list+") ORDER BY id")
			if want := []string{"[{5 true}]", "[{9007199254740993 true}]"}; err != nil || !slices.Equal(got, want) {
				t.Errorf("IN (%s) finds %v: %v", list, got, err)
			}
		}
	})
}
