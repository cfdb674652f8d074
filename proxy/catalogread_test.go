package proxy

import (
	"fmt"
	"reflect"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
)

// TestColumnsAreReadAsTheServersHaveThem: every type with its sizes, character
// set and members.
func TestColumnsAreReadAsTheServersHaveThem(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers")
	}
	for _, e := range launch.Engines() {
		t.Run(fmt.Sprint(e), func(t *testing.T) {
			s := launchtest.Shared(t, e)
			conn := dialShared(t, s)
			types := columnTypes(e)
			definition := ""
			for i, c := range types {
				definition += fmt.Sprintf(", c%02d %s", i, c.definition)
			}
			for _, sql := range []string{"DROP DATABASE IF EXISTS readcols", "CREATE DATABASE readcols", "CREATE TABLE readcols.t (id INT PRIMARY KEY" + definition + ")"} {
				if refused, err := exec(t.Context(), conn, sql); err != nil || refused != nil {
					t.Fatalf("%s: %v %v", sql, refused, err)
				}
			}
			sc, err := readCatalog(t.Context(), conn)
			if err != nil {
				t.Fatal(err)
			}
			got := sc.tables[plan.TableName{Schema: "readcols", Name: "t"}].table.Columns[1:]
			for i, c := range types {
				c.want.Name = got[i].Name
				if !reflect.DeepEqual(got[i], c.want) {
					t.Errorf("%s is\n%+v, want\n%+v", c.definition, got[i], c.want)
				}
			}
			if _, err := exec(t.Context(), conn, "DROP DATABASE readcols"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func dialShared(t *testing.T, s *launch.Server) *backend.Conn {
	t.Helper()
	o, err := backend.ParseDSN(s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	pool := backend.NewPool(o, backend.PoolOptions{})
	conn, err := pool.Get(t.Context(), backend.State{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Put(conn) })
	return conn
}

type columnOfType struct {
	definition string
	want       plan.Column
}

func columnTypes(e launch.Engine) []columnOfType {
	const cs, co, latin, swedish = "utf8mb4", "utf8mb4_bin", "latin1", "latin1_swedish_ci"
	types := []columnOfType{
		{"TINYINT(1) NOT NULL", plan.Column{Type: plan.TypeTiny}},
		{"BIGINT UNSIGNED", plan.Column{Type: plan.TypeBig, Unsigned: true, Nullable: true}},
		{"DECIMAL(12,3) NOT NULL", plan.Column{Type: plan.TypeDecimal, Precision: 12, Decimals: 3}},
		{"NUMERIC NOT NULL", plan.Column{Type: plan.TypeDecimal, Precision: 10}},
		{"FLOAT NOT NULL", plan.Column{Type: plan.TypeFloat}},
		{"REAL NOT NULL", plan.Column{Type: plan.TypeDouble}},
		{"BIT(9) NOT NULL", plan.Column{Type: plan.TypeBit, Length: 9}},
		{"DATE NOT NULL", plan.Column{Type: plan.TypeDate}},
		{"TIME(3) NOT NULL", plan.Column{Type: plan.TypeTime, Decimals: 3}},
		{"DATETIME(6) NOT NULL", plan.Column{Type: plan.TypeDatetime, Decimals: 6}},
		{"TIMESTAMP(2) NOT NULL DEFAULT '2001-01-01 00:00:00'", plan.Column{Type: plan.TypeTimestamp, Decimals: 2}},
		{"YEAR NOT NULL", plan.Column{Type: plan.TypeYear}},
		{"CHAR(5) COLLATE utf8mb4_bin NOT NULL", plan.Column{Type: plan.TypeChar, Length: 5, Charset: cs, Collation: co}},
		{"VARCHAR(7) CHARACTER SET latin1 NOT NULL", plan.Column{Type: plan.TypeVarchar, Length: 7, Charset: latin, Collation: swedish}},
		{"TEXT COLLATE utf8mb4_bin NOT NULL", plan.Column{Type: plan.TypeText, Length: 65535, Charset: cs, Collation: co}},
		{"LONGTEXT COLLATE utf8mb4_bin NOT NULL", plan.Column{Type: plan.TypeText, Length: 1<<31 - 1, Charset: cs, Collation: co}},
		{"BINARY(16) NOT NULL", plan.Column{Type: plan.TypeBinary, Length: 16}},
		{"VARBINARY(16) NOT NULL", plan.Column{Type: plan.TypeVarbinary, Length: 16}},
		{"MEDIUMBLOB NOT NULL", plan.Column{Type: plan.TypeBlob, Length: 1<<24 - 1}},
		{`ENUM('A','it''s','a\\,b') COLLATE utf8mb4_bin NOT NULL`, plan.Column{Type: plan.TypeEnum, Length: 4, Members: []string{"A", "it's", `a\,b`}, Charset: cs, Collation: co}},
		{"SET('x','Y') COLLATE utf8mb4_bin NOT NULL", plan.Column{Type: plan.TypeSet, Length: 3, Members: []string{"x", "Y"}, Charset: cs, Collation: co}},
		{"POINT NOT NULL", plan.Column{Type: plan.TypeGeometry}},
	}
	if e == launch.MySQL {
		return append(types, columnOfType{"JSON NOT NULL", plan.Column{Type: plan.TypeJSON}})
	}
	return append(types,
		columnOfType{"JSON NOT NULL", plan.Column{Type: plan.TypeText, Length: 1<<31 - 1, Charset: cs, Collation: co}},
		columnOfType{"UUID NOT NULL", plan.Column{Type: plan.TypeUUID}},
		columnOfType{"INET6 NOT NULL", plan.Column{Type: plan.TypeInet}})
}
