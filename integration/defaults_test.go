package integration

import (
	"testing"

	"xaproxy/internal/launch"
)

// TestTablesOfANewSchemaAreAlike: shards of several kinds have other default collations; a schema that is made through
// the proxy has the same one everywhere, so that its tables can be used.
func TestTablesOfANewSchemaAreAlike(t *testing.T) {
	for _, kinds := range [][]launch.Engine{{launch.MariaDB1011, launch.MySQL}, {launch.MySQL, launch.MariaDB118}} {
		t.Run(string(kinds[0])+" first", func(t *testing.T) {
			c := newCluster(t, kinds...)
			p := c.newProxy(t, "p", proxySettings{node: 1})
			p.up()
			db := p.open("", "")
			defer db.Close()
			for _, q := range []string{
				"CREATE DATABASE plain", "CREATE DATABASE four CHARACTER SET utf8mb4 -- four bytes", "CREATE SCHEMA IF NOT EXISTS named COLLATE utf8mb4_bin;",
				"CREATE DATABASE three DEFAULT CHARSET latin1",
			} {
				if _, err := db.Exec(q); err != nil {
					t.Fatal(q, err)
				}
			}
			for _, schema := range []string{"plain", "four", "named", "three"} {
				for _, q := range []string{"CREATE TABLE " + schema + ".t (id INT PRIMARY KEY, s VARCHAR(20))", "INSERT INTO " + schema + ".t VALUES (1,'a'),(2,'b'),(3,'c'),(4,'d')"} {
					if _, err := db.Exec(q); err != nil {
						t.Error(q, err)
					}
				}
				var n int
				if err := db.QueryRow("SELECT COUNT(*) FROM " + schema + ".t WHERE s > 'a'").Scan(&n); err != nil || n != 3 {
					t.Error(schema, n, err)
				}
			}
			if n := c.shards[1].mustNumber(t, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='named' AND DEFAULT_COLLATION_NAME='utf8mb4_bin'"); n != 1 {
				t.Error("a collation that was named is another one")
			}
		})
	}
}
