package plan

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/proxy/route"
)

// keyCase is a type, and literals that are stored and compared with it.
type keyCase struct {
	def      string
	column   Column
	literals []string
	exact    []string // of the literals, those that must be keys when they are stored
}

func keyCases() []keyCase {
	dates := []string{"'2024-02-29'", "'2023-02-29'", "'2024-01-31'", "'2024-1-31'", "'24-01-31'", "'20240131'", "20240131", "'2024/01/31'", "'2024-01-31 00:00:00'",
		"'2024-01-31 10:00:00'", "'2024-01-31T00:00:00'", "'0000-00-00'", "'0001-01-01'", "'9999-12-31'", "'2024-00-31'", "'2024-01-32'", "' 2024-01-31'", "'2024-01-31 '", "'abc'", "''",
		"DATE'2024-01-31'", "0", "'2024-01-31x'", "NULL", "'2024-01-31 00:00:00.4'", "20240131000000", "20240131.0"}
	times := append(dates, "'2024-01-31 10:00:00.5'", "'2024-01-31 10:00:00.500000'", "'2024-01-31 10:00:00.4'", "'2024-01-31 10:00:00.123456'", "'2024-01-31 10:00:00.1234567'", "'2024-01-31 10:00:00.'",
		"'2024-01-31 24:00:00'", "'2024-01-31 23:59:59.9'", "'2024-01-31 23:59:59.999999'", "'2024-01-31 10:00'", "'2024-01-31 10'", "'2024-01-31  10:00:00'", "'2024-01-31 1:00:00'", "'2024-01-31 10:00:60'",
		"'2024-01-31 10:00:00+02:00'", "'2024-01-31 10:00:00Z'", "'2038-01-19 03:14:07'", "'2038-01-19 03:14:08'", "'1970-01-01 00:00:00'", "'1970-01-01 00:00:01'", "'2024-03-31 02:30:00'", "TIMESTAMP'2024-01-31 10:00:00'", "20240131100000")
	clocks := []string{"'10:00:00'", "'10:00:00.5'", "'10:00:00.500'", "'10:00:00.4'", "'10:00:00.1234567'", "'-10:00:00'", "'00:00:00'", "'-00:00:00'", "'838:59:59'", "'838:59:59.5'", "'839:00:00'", "'100:00:00'", "'010:00:00'",
		"'10:00'", "'10'", "'100000'", "100000", "'1 10:00:00'", "'10:60:00'", "'2024-01-31 10:00:00'", "'24:00:00'", "' 10:00:00'", "'10:00:00 '", "''", "'abc'", "TIME'10:00:00'", "'-0:00:01'", "0", "'10:00:00.999999'"}
	decimals := []string{"0", "-0", "0.0", "-0.00", "12.5", "12.50", "012.5", "12.500", "12.505", "12.49999", "-12.5", ".5", "'12.5'", "'12.50'", "'-12.5'", "' 12.5'", "'12.5 '", "'+12.5'", "'.5'", "'5.'", "'1.25e1'", "1.25e1", "125e-1",
		"99999999.99", "100000000", "-99999999.99", "99999999.994", "99999999.999", "5", "'5'", "5.0", "TRUE", "0x35", "x'35'", "'abc'", "''", "0.1", "0.10000000000000000001", "'0.1'", "'0.10000000000000001'", "1e-1", "123456789012345.678",
		"12345678901234567890.12345678901234567890", "12345678901234567890.12345678901234567891", "'12345678901234567890.12345678901234567890'", "0.0000000000000000000000000000000000000000001", "99999999999999999999999999999999999999999999999999999999999999999999"}
	return []keyCase{
		{"DATE", Column{Type: TypeDate}, dates, []string{"'2024-02-29'", "'2024-01-31'", "'0001-01-01'", "'9999-12-31'"}},
		{"DATETIME", Column{Type: TypeDatetime}, times, []string{"'2024-01-31'", "'2024-01-31 10:00:00'", "'2024-03-31 02:30:00'"}},
		{"DATETIME(1)", Column{Type: TypeDatetime, Decimals: 1}, times, []string{"'2024-01-31 10:00:00.5'", "'2024-01-31 10:00:00.500000'"}},
		{"DATETIME(6)", Column{Type: TypeDatetime, Decimals: 6}, times, []string{"'2024-01-31 10:00:00.123456'"}},
		{"TIMESTAMP NULL", Column{Type: TypeTimestamp}, times, []string{"'2024-01-31 10:00:00'", "'2024-03-31 02:30:00'"}},
		{"TIMESTAMP(3) NULL", Column{Type: TypeTimestamp, Decimals: 3}, times, []string{"'2024-01-31 10:00:00.5'"}},
		{"TIME", Column{Type: TypeTime}, clocks, []string{"'10:00:00'", "'-10:00:00'", "'838:59:59'", "'-00:00:00'", "'010:00:00'"}},
		{"TIME(2)", Column{Type: TypeTime, Decimals: 2}, clocks, []string{"'10:00:00.5'", "'10:00:00.500'"}},
		{"DECIMAL(10,2)", Column{Type: TypeDecimal, Precision: 10, Decimals: 2}, decimals, []string{"12.5", "12.50", "-12.5", "'12.5'", "5", "0", "-0.00", "99999999.99"}},
		{"DECIMAL(10,2) UNSIGNED", Column{Type: TypeDecimal, Precision: 10, Decimals: 2, Unsigned: true}, decimals, []string{"12.5", "0"}},
		{"DECIMAL(40,20)", Column{Type: TypeDecimal, Precision: 40, Decimals: 20}, decimals, []string{"12345678901234567890.12345678901234567891", "0.1"}},
		{"DECIMAL(5)", Column{Type: TypeDecimal, Precision: 5}, decimals, []string{"5", "5.0"}},
		{"YEAR", Column{Type: TypeYear}, []string{"2024", "'2024'", "24", "'24'", "99", "0", "'0'", "'00'", "0000", "'0000'", "1900", "1901", "2155", "2156", "-2024", "2024.0", "2024e0", "2024.4", "'2024.0'", "' 2024'", "'abc'", "''", "0x7e8", "'2024-01-01'", "20240101"},
			[]string{"2024", "'2024'", "1901", "2155"}},
		{"BIT(9)", Column{Type: TypeBit, Length: 9}, []string{"0", "1", "5", "511", "512", "-1", "b'101'", "0b101", "b'0'", "b'111111111'", "b'1111111111'", "0x05", "x'05'", "'5'", "'\\0\\5'", "'1'", "5.0", "5e0", "5.4", "TRUE"},
			[]string{"5", "511"}},
		{"BIT(64)", Column{Type: TypeBit, Length: 64}, []string{"0", "18446744073709551615", "9223372036854775808", "-1", "b'1111111111111111111111111111111111111111111111111111111111111111'", "18446744073709551616", "18446744073709551615.0", "1.8446744073709552e19"},
			[]string{"18446744073709551615", "9223372036854775808"}},
		memberCase("ENUM", TypeEnum, []string{"a", "B", "it''s", "5", "ä"}),
		memberCase("SET", TypeSet, []string{"a", "B", "5", "ä"}),
	}
}

func memberCase(def string, t ColumnType, members []string) keyCase {
	plainMembers := make([]string, len(members))
	for i, m := range members {
		plainMembers[i] = strings.ReplaceAll(m, "''", "'")
	}
	return keyCase{
		def: def + "('" + strings.Join(members, "','") + "') COLLATE utf8mb4_general_ci", column: Column{Type: t, Members: plainMembers, Charset: "utf8mb4", Collation: "utf8mb4_general_ci"},
		literals: []string{"'a'", "'A'", "'a '", "' a'", "'B'", "'b'", "'it''s'", "'5'", "'1'", "'2'", "5", "1", "0", "2", "''", "'x'", "'a,B'", "'B,a'", "'a,a'", "'a,b'", "'A,B'", "'ä'", "'Ä'", "'a,'", "'a,x'", "NULL", "1.0", "'3'", "'a,B,5'"},
		exact:    []string{"'a'", "'B'", "'5'", "'ä'"},
	}
}

// stored reads all rows and makes their keys.
func stored(t *testing.T, c *sql.Conn, column *Column) map[string]string {
	t.Helper()
	var space []byte
	if pads, _ := keyWeighing(column.Collation); pads {
		space, _, _ = serverWeights{t, c, map[WeightRequest][2][]byte{}}.Weight(WeightRequest{Charset: column.Charset, Collation: column.Collation, Text: " "})
	}
	rows, err := c.QueryContext(t.Context(), "SELECT n, "+StoredSQL(column)+" FROM k WHERE id IS NOT NULL")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	keys := map[string]string{}
	for rows.Next() {
		var n, text string
		if err := rows.Scan(&n, &text); err != nil {
			t.Fatal(err)
		}
		k, err := StoredKey(column, text, space)
		if err != nil {
			continue // no row that was written through the proxy
		}
		b, ok := k.Append(nil)
		if !ok {
			t.Fatalf("%q has no canonical bytes", text)
		}
		keys[n] = string(b)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

// withModes sets what may change how values are read.
func withModes(t *testing.T, c *sql.Conn, do func(mode string)) {
	t.Helper()
	for _, mode := range []string{"", "STRICT_ALL_TABLES", "ALLOW_INVALID_DATES,NO_ZERO_DATE", "TIME_ROUND_FRACTIONAL", "TIME_TRUNCATE_FRACTIONAL"} {
		if _, err := c.ExecContext(t.Context(), "SET sql_mode = '"+mode+"'"); err == nil { // not every server knows each
			do(mode)
		}
	}
}

// TestServersStoreAndCompareEveryTypeAsKeysSay: what a literal is stored as is
// its key, and what a literal is equal to has its key, for every type that rows
// can be placed by.
func TestServersStoreAndCompareEveryTypeAsKeysSay(t *testing.T) {
	onServers(t, func(t *testing.T, c *sql.Conn) {
		for _, k := range keyCases() {
			k.column.Name = "id"
			for _, zone := range []string{"+00:00", "-05:30"} {
				run(t, c, "SET time_zone = '"+zone+"'")
				run(t, c, "CREATE TABLE k (n INT AUTO_INCREMENT PRIMARY KEY, id "+k.def+")")
				storesAsKeysSay(t, c, &k, zone)
				comparesAsKeysSay(t, c, &k, zone)
				run(t, c, "DROP TABLE k")
				if k.column.Type != TypeTimestamp {
					break
				}
			}
		}
	})
}

func storesAsKeysSay(t *testing.T, c *sql.Conn, k *keyCase, zone string) {
	t.Helper()
	for _, literal := range k.literals {
		key, f := keyIn(t, &k.column, literal, toStore, zone, serverWeights{t, c, map[WeightRequest][2][]byte{}})
		if f != fitExact && slices.Contains(k.exact, literal) {
			t.Errorf("%s: %s is not exact", k.def, literal)
		}
		if f != fitExact {
			_, _ = c.ExecContext(t.Context(), "INSERT IGNORE INTO k (id) VALUES ("+literal+")") // to be compared with
			continue
		}
		want, _ := key.Append(nil)
		withModes(t, c, func(mode string) {
			r, err := c.ExecContext(t.Context(), "INSERT INTO k (id) VALUES ("+literal+")")
			if err != nil {
				t.Errorf("%s: %s (mode %q): %v", k.def, literal, mode, err)
				return
			}
			n, err := r.LastInsertId()
			if err != nil {
				t.Fatal(err)
			}
			inUTC(t, c, zone, func() {
				if got := stored(t, c, &k.column)[fmt.Sprint(n)]; got != string(want) {
					t.Errorf("%s stores %s as %q, the key is %q (mode %q, zone %s)", k.def, literal, got, want, mode, zone)
				}
			})
		})
	}
}

func inUTC(t *testing.T, c *sql.Conn, zone string, do func()) {
	t.Helper()
	run(t, c, "SET time_zone = '+00:00'")
	do()
	run(t, c, "SET time_zone = '"+zone+"'")
}

func comparesAsKeysSay(t *testing.T, c *sql.Conn, k *keyCase, zone string) {
	t.Helper()
	var keys map[string]string
	inUTC(t, c, zone, func() { keys = stored(t, c, &k.column) })
	if len(keys) < len(k.exact) {
		t.Fatalf("%s: %d rows", k.def, len(keys))
	}
	weights := serverWeights{t, c, map[WeightRequest][2][]byte{}}
	withModes(t, c, func(mode string) {
		for _, literal := range k.literals {
			key, f := keyIn(t, &k.column, literal, toCompare, zone, weights)
			if f == fitInexact {
				continue
			}
			for _, condition := range []string{"id = " + literal, literal + " = id", "id IN (" + literal + ")", "id IN (" + literal + ", NULL)", "id <=> " + literal} {
				equalHaveTheKey(t, c, k, condition, key, f, keys, mode)
			}
		}
	})
	pairs, err := ask(t, c, "SELECT CONCAT(a.n, ' ', b.n) FROM k a JOIN k b ON a.id = b.id")
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range pairs {
		a, b, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(pair, "[{"), " true}]"), " ")
		if keys[a] != keys[b] {
			t.Errorf("%s: rows with the keys %q and %q are equal", k.def, keys[a], keys[b])
		}
	}
}

func equalHaveTheKey(t *testing.T, c *sql.Conn, k *keyCase, condition string, key route.Key, f fit, keys map[string]string, mode string) {
	t.Helper()
	found, err := ask(t, c, "SELECT n FROM k WHERE "+condition)
	if err != nil || strings.Contains(condition, "NULL") && strings.HasPrefix(condition, "NULL") {
		return
	}
	want, _ := key.Append(nil)
	for _, row := range found {
		n := strings.TrimSuffix(strings.TrimPrefix(row, "[{"), " true}]")
		if got, known := keys[n]; f == fitNone && condition != "id <=> NULL" || f == fitExact && known && got != string(want) {
			t.Errorf("%s: %s (mode %q) finds the row with the key %q, want %q (%d)", k.def, condition, mode, got, want, f)
		}
	}
	if f == fitExact && len(found) == 0 && slices.Contains(slices.Collect(mapValues(keys)), string(want)) {
		t.Logf("%s: %s finds no row with the key %q", k.def, condition, want)
	}
}

func mapValues(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// TestMariaDBStoresUUIDsAsKeysSay: its type is not known to the parser, so that
// the literals are parameters here.
func TestMariaDBStoresUUIDsAsKeysSay(t *testing.T) {
	onServers(t, func(t *testing.T, c *sql.Conn) {
		if strings.Contains(t.Name(), string(launch.MySQL)) {
			t.Skip("it has no such type")
		}
		column := &Column{Name: "id", Type: TypeUUID}
		run(t, c, "CREATE TABLE k (n INT AUTO_INCREMENT PRIMARY KEY, id UUID)")
		texts := []string{"00112233-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233445566778899aabbccddeeff", "{00112233-4455-6677-8899-aabbccddeeff}", "00112233-44556677-8899-aabbccddeeff",
			"00112233-4455-6677-8899-aabbccddeef", "00112233-4455-6677-8899-aabbccddeefg", "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000", "", "f47ac10b-58cc-1372-8567-0e02b2c3d479"}
		b := &binding{scratch: new(scratch)}
		for _, text := range texts {
			key, f := b.stringKey(column, text, toStore)
			r, err := c.ExecContext(t.Context(), "INSERT IGNORE INTO k (id) VALUES ("+quoteText(text)+")")
			if f != fitExact || err != nil {
				continue
			}
			n, err := r.LastInsertId()
			if err != nil {
				t.Fatal(err)
			}
			if got := stored(t, c, column)[fmt.Sprint(n)]; got != string(key.Bytes) {
				t.Errorf("%q is stored as %x, the key is %x", text, got, key.Bytes)
			}
		}
		keys := stored(t, c, column)
		if len(keys) < 5 {
			t.Fatalf("%d rows", len(keys))
		}
		for _, text := range texts {
			key, f := b.stringKey(column, text, toCompare)
			found, err := ask(t, c, "SELECT n FROM k WHERE id = "+quoteText(text))
			if f != fitExact || err != nil {
				continue
			}
			for _, row := range found {
				if n := strings.TrimSuffix(strings.TrimPrefix(row, "[{"), " true}]"); keys[n] != string(key.Bytes) {
					t.Errorf("%q finds the row with the key %x, want %x", text, keys[n], key.Bytes)
				}
			}
		}
		_, _ = c.ExecContext(context.WithoutCancel(t.Context()), "DROP TABLE k")
	})
}
