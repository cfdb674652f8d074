package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/proxy/route"
)

// everyType are columns of every type, with values that are hard to carry.
func everyType(e launch.Engine) (columns string, rows []string) {
	columns = `v INT, i1 TINYINT, i1u TINYINT UNSIGNED, i2 SMALLINT, i3 MEDIUMINT, i3u MEDIUMINT UNSIGNED, i8 BIGINT, i8u BIGINT UNSIGNED,
		de DECIMAL(30,10), f FLOAT, d DOUBLE, b1 BIT(1), b20 BIT(20), da DATE, ti TIME(6), dt DATETIME(6), ts TIMESTAMP(6) NULL, y YEAR,
		c CHAR(10), vc VARCHAR(20), l1 VARCHAR(20) CHARACTER SET latin1, u3 VARCHAR(20) CHARACTER SET utf8mb3, uc VARCHAR(20) CHARACTER SET ucs2,
		sj VARCHAR(20) CHARACTER SET sjis, bi BINARY(4), vb VARBINARY(20), te TEXT, lt LONGTEXT CHARACTER SET utf16, bl BLOB, mb MEDIUMBLOB,
		en ENUM('a','ü','c') CHARACTER SET latin1, se SET('x','y','ü'), js JSON, ge POINT, gc INT GENERATED ALWAYS AS (v+1) STORED,
		gv INT GENERATED ALWAYS AS (v+2) VIRTUAL, made TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), hid INT INVISIBLE`
	values := `-128,255,-32768,-8388608,16777215,-9223372036854775808,18446744073709551615,-12345678901234567890.0123456789,
		1.1,2.2250738585072014e-308,b'1',b'10000000000000000001','9999-12-31','-838:59:59.000001','9999-12-31 23:59:59.999999','2038-01-19 03:14:07.000001',2155,
		'ab  ','a\\0''"b  ','é€','ü','日本','日本',X'00FF0000',X'00FF5C2700','té€xt','日本é',X'00FFFE','',
		'ü','x,ü','{"a": [1, "ü"]}',ST_GeomFromText('POINT(1 2)'),7`
	nulls := strings.Repeat("NULL,", len(stored(columns))-1) + "NULL"
	zeros := `0,0,0,0,0,0,0,0,0,0,b'0',b'0','0000-00-00','00:00:00','0000-00-00 00:00:00',NULL,0,'','','','','','','','','','','','','a','','[]',
		ST_GeomFromText('POINT(0 0)'),0`
	if e != launch.MySQL {
		columns += ", uu UUID, i6 INET6"
		rows = []string{values + ",'123e4567-e89b-12d3-a456-426655440000','2001:db8::ff00:42:8329'", nulls + ",NULL,NULL", zeros + ",NULL,'::'"}
	} else {
		columns += ", ve VECTOR(3)"
		rows = []string{values + ",STRING_TO_VECTOR('[1,2,3]')", nulls + ",NULL", zeros + ",NULL"}
	}
	return columns, rows
}

// dump is a table's rows at a shard, as exactly as SQL can show them, without the
// sharding key.
func (w *world) dump(shard int, names []string, text map[string]bool) []string {
	w.t.Helper()
	var list []string
	for _, n := range names {
		switch {
		case text[n]:
			list = append(list, "HEX("+n+")")
		case n == "f":
			list = append(list, "CAST(f AS DOUBLE)")
		default:
			list = append(list, n)
		}
	}
	c, err := w.direct(shard).Conn(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	exec(w.t, c, "SET time_zone='+00:00',sql_mode=''")
	return values(w.t, c, "SELECT "+strings.Join(list, ",")+" FROM bank.e ORDER BY n")
}

// TestMovedRowsKeepEveryByte gives rows of every type another sharding key, there
// and back, under settings that would change them on the way.
func TestMovedRowsKeepEveryByte(t *testing.T) {
	for _, e := range []launch.Engine{launch.MySQL, launch.MariaDB1011, launch.MariaDB118} {
		t.Run(string(e), func(t *testing.T) {
			w := newWorld(t, worldOptions{engines: []launch.Engine{e, e}, tables: map[string]route.Placement{"e": {Key: "k"}}})
			ids := w.bank()
			columns, rows := everyType(e)
			for shard := range ids {
				exec(t, w.direct(shard), "CREATE TABLE bank.e (k INT NOT NULL, n INT NOT NULL, "+columns+", PRIMARY KEY (k,n)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4")
			}
			db := w.conn("bank?charset=latin1")
			values(t, db, "SELECT * FROM e WHERE k=0") // its placement is stored at the first sight, while it is empty
			c, err := w.direct(0).Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			exec(t, c, "SET sql_mode='ALLOW_INVALID_DATES',time_zone='+00:00'")
			for n, row := range rows {
				exec(t, c, fmt.Sprintf("INSERT INTO bank.e (k,n,v,%s) VALUES (%d,%d,%d,%s)", strings.Join(stored(columns), ","), ids[0], n, n, row))
			}
			all := append([]string{"n", "v"}, names(columns)...)
			before := w.dump(0, all, texts(columns))
			exec(t, db, "SET sql_mode='STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES,NO_BACKSLASH_ESCAPES',time_zone='+05:30'")
			for i, to := range []int{1, 0} {
				q := fmt.Sprintf("UPDATE e SET k=%d,made=made WHERE k=%d", ids[to], ids[1-to])
				if i == 1 {
					q = fmt.Sprintf("UPDATE e SET k=%d,made=made WHERE n>=0", ids[to])
				}
				if n, err := exec(t, db, q).RowsAffected(); err != nil || n != int64(len(rows)) {
					t.Fatal(n, err)
				}
				if left := w.dump(1-to, all, texts(columns)); len(left) != 0 {
					t.Fatalf("rows are left: %q", left)
				}
				after := w.dump(to, all, texts(columns))
				for n := range before {
					a, b := strings.Split(before[n], ","), strings.Split(after[n], ",")
					for j := range a {
						if j >= len(b) || a[j] != b[j] {
							t.Errorf("row %d: %s became %s", n, a[j:min(j+3, len(a))], b[min(j, len(b)-1):min(j+3, len(b))])
							break
						}
					}
				}
			}
		})
	}
}

// names are the names of the columns behind v.
func names(columns string) []string {
	var out []string
	depth := 0
	for _, part := range strings.FieldsFunc(columns, func(r rune) bool {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		return r == ',' && depth == 0
	}) {
		out = append(out, strings.Fields(part)[0])
	}
	return out[1:]
}

// stored are those of names that can be given values, but for the one that the
// clock sets.
func stored(columns string) []string {
	var out []string
	for _, n := range names(columns) {
		if n != "gc" && n != "gv" && n != "made" {
			out = append(out, n)
		}
	}
	return out
}

func texts(columns string) map[string]bool {
	out := map[string]bool{}
	for _, n := range []string{"c", "vc", "l1", "u3", "uc", "sj", "bi", "vb", "te", "lt", "bl", "mb", "en", "se", "js", "ge", "b1", "b20", "ve"} {
		out[n] = strings.Contains(columns, n+" ")
	}
	return out
}
