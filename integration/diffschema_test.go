package integration

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"xaproxy/internal/launch"
)

// family says what can be done with the values of a type.
type family uint8

const (
	familyInt family = iota
	familyDecimal
	familyFloat
	familyString // has a collation
	familyBinary
	familyTemporal
	familyOther // ENUM, SET, BIT, JSON: not summed, not used as a key
)

// kind is a type of columns with values worth trying.
type kind struct {
	def       string // as in CREATE TABLE
	family    family
	collation string   // of familyString, and of ENUM and SET
	pool      []string // literals
	bad       []string // literals that do not fit
	unordered bool     // JSON: what is equal may look different
	noDefault bool
}

// column is a column of a generated table.
type column struct {
	kind
	name     string
	nullable bool
	given    bool   // it has a DEFAULT, or may be left out otherwise
	clock    string // what the server gives it: the statement's time, "made" or "touched", or an "id"; "": nothing
}

// table is a generated table. Its name says how it is placed: a and b by their column k, o is at one shard, r is at every
// shard, n is placed by an AUTO_INCREMENT id.
type table struct {
	name    string
	columns []column
	primary []string
	unique  []string // of one further key; nil: none
	next    int      // numbers for columns that make rows unique
}

func (t *table) column(name string) *column {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	return nil
}

// shown are the columns whose values two servers can agree on.
func (t *table) shown() []column {
	return slices.DeleteFunc(slices.Clone(t.columns), func(c column) bool { return c.clock != "" })
}

func (t *table) create() string {
	var parts []string
	for _, c := range t.columns {
		d := c.name + " " + c.def
		if !c.nullable {
			d += " NOT NULL"
		}
		switch {
		case c.clock == "id":
			d += " AUTO_INCREMENT"
		case c.clock == "made":
			d += " DEFAULT CURRENT_TIMESTAMP(6)"
		case c.clock == "touched":
			d += " DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)"
		case c.given && c.nullable && len(c.name)%2 == 0:
			d += " DEFAULT NULL"
		case c.given && !c.noDefault:
			d += " DEFAULT " + c.pool[0]
		}
		parts = append(parts, d)
	}
	primary := strings.Join(t.primary, ",")
	if t.name == "n" {
		primary = "id" // biz is unique since no two rows are given the same
	}
	parts = append(parts, "PRIMARY KEY ("+primary+")")
	if t.unique != nil {
		parts = append(parts, "UNIQUE KEY u ("+strings.Join(t.unique, ",")+")")
	}
	return fmt.Sprintf("CREATE TABLE %s (%s)", t.name, strings.Join(parts, ", "))
}

// schema is what one stretch of statements works on.
type schema struct {
	rng    *rand.Rand
	engine launch.Engine
	tables map[string]*table
	given  int // the last id that was given for n
}

func newSchema(rng *rand.Rand, e launch.Engine) *schema {
	s := &schema{rng: rng, engine: e, tables: map[string]*table{}, given: 1000000}
	key := s.keyKind()
	clock := s.chance(2)
	for _, name := range []string{"a", "b"} {
		t := &table{name: name, columns: []column{{kind: key, name: "k"}, {kind: numberKind(), name: "n"}}}
		s.fill(t, 4+s.rng.IntN(4))
		t.primary = pick(rng, [][]string{{"k", "n"}, {"n", "k"}, {"k", "n"}})
		if s.chance(3) {
			t.columns = append(t.columns, column{kind: numberKind(), name: "u"})
			t.unique = pick(rng, [][]string{{"k", "u"}, {"u", "k"}})
		}
		if clock && name == "a" {
			made := kind{def: "DATETIME(6)", family: familyTemporal}
			t.columns = append(t.columns, column{kind: made, name: "clock_made", given: true, clock: "made"},
				column{kind: kind{def: "TIMESTAMP(6)", family: familyTemporal}, name: "clock_touched", given: true, clock: "touched"})
		}
		s.tables[name] = t
	}
	for _, name := range []string{"r", "o"} {
		t := &table{name: name, columns: []column{{kind: numberKind(), name: "n"}}, primary: []string{"n"}}
		s.fill(t, 2+s.rng.IntN(3))
		s.tables[name] = t
	}
	s.tables["n"] = &table{name: "n", primary: []string{"biz"}, columns: []column{
		{kind: kind{def: pick(rng, []string{"BIGINT", "INT", "BIGINT UNSIGNED"}), family: familyInt}, name: "id", given: true, clock: "id"},
		{kind: numberKind(), name: "biz"}, {kind: numberKind(), name: "c1", nullable: true}, {kind: pick(rng, s.kinds()), name: "c2", nullable: true}}}
	return s
}

func (s *schema) chance(oneIn int) bool { return s.rng.IntN(oneIn) == 0 }

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// fill adds columns of any type.
func (s *schema) fill(t *table, n int) {
	kinds := s.kinds()
	for i := range n {
		c := column{kind: pick(s.rng, kinds), name: fmt.Sprintf("c%d", i+1), nullable: !s.chance(3), given: s.chance(2)}
		if len(c.pool) > 7 {
			c.pool = s.some(c.pool, 7)
		}
		t.columns = append(t.columns, c)
	}
}

func (s *schema) some(list []string, n int) []string {
	list = slices.Clone(list)
	s.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:n]
}

// numberKind is for the columns that make rows unique: small numbers, some of them used twice.
func numberKind() kind {
	return kind{def: "INT", family: familyInt, pool: []string{"0", "1", "2", "3", "4", "5", "6", "7"}, bad: []string{"3000000000"}}
}

// keyKind is a type for the sharding key: few values, so that rows meet.
func (s *schema) keyKind() kind {
	var keys []kind
	for _, k := range s.kinds() {
		if k.family != familyOther && k.family != familyFloat && !k.noDefault {
			keys = append(keys, k)
		}
	}
	k := pick(s.rng, keys)
	if s.chance(2) {
		k = pick(s.rng, s.integers())
	}
	k.pool = s.some(k.pool, min(len(k.pool), 9))
	return k
}

func (s *schema) kinds() []kind {
	list := slices.Concat(s.integers(), numbers(), s.strings(), binaries(), s.temporals(), s.others())
	return list
}

func (s *schema) integers() []kind {
	type limits struct{ def, low, high, over string }
	var list []kind
	for _, l := range []limits{
		{"TINYINT", "-128", "127", "128"}, {"TINYINT UNSIGNED", "0", "255", "256"},
		{"SMALLINT", "-32768", "32767", "40000"}, {"SMALLINT UNSIGNED", "0", "65535", "65536"},
		{"MEDIUMINT", "-8388608", "8388607", "8388608"}, {"MEDIUMINT UNSIGNED", "0", "16777215", "16777216"},
		{"INT", "-2147483648", "2147483647", "2147483648"}, {"INT UNSIGNED", "0", "4294967295", "-1"},
		{"BIGINT", "-9223372036854775808", "9223372036854775807", "9223372036854775808"},
		{"BIGINT UNSIGNED", "0", "18446744073709551615", "-1"},
	} {
		pool := []string{"0", "1", "2", "3", "7", "10", "42", "99", l.low, l.high}
		if !strings.HasSuffix(l.def, "UNSIGNED") {
			pool = append(pool, "-1", "-7")
		}
		list = append(list, kind{def: l.def, family: familyInt, pool: pool, bad: []string{l.over, "'abc'"}})
	}
	return list
}

func numbers() []kind {
	return []kind{
		{def: "DECIMAL(10,2)", family: familyDecimal, pool: []string{"0.00", "0.01", "-0.01", "1.50", "2.00", "99999999.99", "-99999999.99", "10.10"}, bad: []string{"100000000"}},
		{def: "DECIMAL(30,10)", family: familyDecimal, pool: []string{"0.0000000000", "0.0000000001", "12345678901234567890.0123456789", "-1.5000000000", "3.0000000000"}, bad: []string{"'x'"}},
		{def: "DECIMAL(5,0) UNSIGNED", family: familyDecimal, pool: []string{"0", "1", "2", "99999", "10", "7"}, bad: []string{"-1"}},
		{def: "FLOAT", family: familyFloat, pool: []string{"0", "1.5", "-2.25", "0.1", "1000000", "3e10", "-3e-5"}},
		{def: "DOUBLE", family: familyFloat, pool: []string{"0", "1.5", "-2.25", "0.1", "1e100", "-1e-100", "123456789.125"}},
	}
}

// words are strings that collations disagree about.
var words = []string{"", " ", "a", "A", "a ", "á", "b", "B", "ab", "aB", "abc", "ABC ", "z", "Z", "ä", "ae", "æ", "ß", "ss", "s", "0", "10", "9", "-", "_", "a'b", "a\t", "é", "É"}

// wideWords are words beyond latin1.
var wideWords = []string{"１", "1", "日", "本", "Ω", "ω", "😀", "😁", "ő", "ö", "Ș"}

func (s *schema) collations() []string {
	switch s.engine {
	case launch.MySQL:
		return []string{"utf8mb4_0900_ai_ci", "utf8mb4_0900_as_cs", "utf8mb4_0900_bin", "utf8mb4_general_ci", "utf8mb4_bin", "utf8mb4_unicode_ci",
			"utf8mb4_unicode_520_ci", "utf8mb4_0900_as_ci", "latin1_swedish_ci", "latin1_bin", "latin1_german2_ci"}
	case launch.MariaDB118:
		return []string{"utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "utf8mb4_nopad_bin", "utf8mb4_unicode_nopad_ci", "utf8mb4_uca1400_ai_ci",
			"utf8mb4_uca1400_as_cs", "utf8mb4_uca1400_nopad_ai_ci", "latin1_swedish_ci", "latin1_bin"}
	case launch.MariaDB1011:
	}
	return []string{"utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_unicode_520_nopad_ci", "utf8mb4_bin", "utf8mb4_general_nopad_ci", "utf8mb4_nopad_bin",
		"latin1_swedish_ci", "latin1_bin", "latin1_swedish_nopad_ci"}
}

func (s *schema) strings() []kind {
	var list []kind
	for _, collation := range s.collations() {
		charset, _, _ := strings.Cut(collation, "_")
		pool := slices.Clone(words)
		if charset != "latin1" {
			pool = append(pool, wideWords...)
		}
		for i, w := range pool {
			pool[i] = quote(w)
		}
		pool = s.some(pool, 12)
		def := pick(s.rng, []string{"VARCHAR(20)", "VARCHAR(20)", "CHAR(8)", "VARCHAR(190)"})
		list = append(list, kind{def: def + " CHARACTER SET " + charset + " COLLATE " + collation, family: familyString, collation: collation,
			pool: pool, bad: []string{quote(strings.Repeat("x", 200))}})
	}
	text := kind{def: "TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", family: familyString, collation: "utf8mb4_general_ci", noDefault: true}
	for _, w := range words {
		text.pool = append(text.pool, quote(w))
	}
	return append(list, text)
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func binaries() []kind {
	pool := []string{"x''", "x'00'", "x'0000'", "x'61'", "x'41'", "x'6120'", "x'ff'", "x'ff00'", "x'80'", "x'20'"}
	return []kind{
		{def: "BINARY(4)", family: familyBinary, pool: pool, bad: []string{"x'0102030405'"}},
		{def: "VARBINARY(8)", family: familyBinary, pool: pool, bad: []string{"x'010203040506070809'"}},
		{def: "BLOB", family: familyBinary, pool: pool, noDefault: true},
	}
}

func (s *schema) temporals() []kind {
	stamps := []string{"'1970-01-02 00:00:01'", "'2000-01-01 00:00:00'", "'2024-02-29 12:34:56'", "'2024-02-29 12:34:57'", "'2037-12-31 23:59:59'"}
	times := append(slices.Clone(stamps), "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'")
	fine := append(slices.Clone(stamps), "'2024-02-29 12:34:56.000001'", "'2024-02-29 12:34:56.500000'", "'2024-02-29 12:34:56.5'")
	return []kind{
		{def: "DATE", family: familyTemporal, pool: []string{"'1000-01-01'", "'1999-12-31'", "'2000-01-01'", "'2024-02-29'", "'9999-12-31'"}, bad: []string{"'2023-02-29'"}},
		{def: "TIME", family: familyTemporal, pool: []string{"'00:00:00'", "'12:34:56'", "'-12:34:56'", "'838:59:59'", "'-838:59:59'", "'100:00:00'"}, bad: []string{"'99999:00:00'"}},
		{def: "TIME(3)", family: familyTemporal, pool: []string{"'00:00:00.000'", "'-00:00:00.001'", "'00:00:00.001'", "'12:34:56.789'", "'-1:00:00'"}},
		{def: "DATETIME", family: familyTemporal, pool: times, bad: []string{"'abc'"}},
		{def: "DATETIME(6)", family: familyTemporal, pool: fine},
		{def: "TIMESTAMP", family: familyTemporal, pool: stamps, bad: []string{"'1950-01-01 00:00:00'"}},
		{def: "TIMESTAMP(6)", family: familyTemporal, pool: fine},
		{def: "YEAR", family: familyTemporal, pool: []string{"1901", "2000", "2024", "2155", "0"}, bad: []string{"1000"}},
	}
}

func (s *schema) others() []kind {
	json := kind{def: "JSON", family: familyOther, unordered: true, noDefault: true, bad: []string{"'{'"},
		pool: []string{`'{"a": 1}'`, `'[1, 2]'`, `'"x"'`, `'null'`, `'1'`, `'1.0'`, `'{"b": {"c": []}}'`}}
	return []kind{
		{def: "ENUM('b','a','C','')", family: familyOther, pool: []string{"'b'", "'a'", "'C'", "''", "'A'"}, bad: []string{"'nope'"}},
		{def: "SET('x','y','z')", family: familyOther, pool: []string{"'x'", "'y'", "'x,y'", "'z,x'", "''"}, bad: []string{"'q'"}},
		{def: "BIT(1)", family: familyOther, pool: []string{"0", "1"}},
		{def: "BIT(10)", family: familyOther, pool: []string{"0", "1", "512", "1023", "97"}},
		{def: "BIT(64)", family: familyOther, pool: []string{"0", "1", "18446744073709551615", "9223372036854775808"}},
		json,
	}
}
