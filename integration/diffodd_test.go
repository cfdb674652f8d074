package integration

import (
	"fmt"
	"strings"
)

// What follows is rare in applications and easily answered wrongly: keys that are written otherwise than their column
// stores them, settings of the session, statements that need more than one table at a time.

// oddKey is a comparison of the sharding key with something that is not plainly a value of it.
func (s *schema) oddKey(c column, name string) string {
	v := s.value(c)
	bare := strings.Trim(plain(v), "'")
	forms := []string{name + " = (" + v + ")", name + " <=> " + v, "NOT " + name + " <> " + v, name + " IN (" + v + ")", name + " = " + lit("NULL")}
	switch c.family {
	case familyInt, familyDecimal:
		forms = append(forms, name+" = "+lit(quote(bare)), name+" = "+lit(quote(" "+bare)), name+" = "+lit(quote(bare+"x")),
			name+" = "+bare+" + 0", name+" = -("+v+")", name+" = 1.0 * "+v, name+" = TRUE", name+" = "+lit("0.5"), name+" = "+lit("1e0"), name+" = 0x31",
			name+" = "+lit("99999999999999999999999"))
	case familyString:
		forms = append(forms, name+" = "+v+" COLLATE utf8mb4_bin", "BINARY "+name+" = "+v, name+" = N"+plain(v), name+" = _utf8mb4"+plain(v),
			name+" = CONCAT("+v+", '')", name+" = "+lit(quote(bare+" ")), name+" = "+lit(quote(strings.ToUpper(bare))), name+" LIKE "+v, name+" = 0",
			name+" = x'61'")
	case familyBinary:
		forms = append(forms, name+" = "+lit("'a'"), name+" = "+lit("'a '"), name+" = "+lit("97"), name+" = _binary'a'", name+" LIKE "+v)
	case familyTemporal:
		digits := strings.NewReplacer("-", "", ":", "", " ", "").Replace(bare)
		forms = append(forms, name+" = "+digits, name+" = "+lit(quote(bare+" ")), name+" = "+lit(quote(bare+".000000")), name+" = "+lit(quote(bare+"x")),
			name+" = TIMESTAMP("+v+")", name+" = CAST("+v+" AS DATETIME(6))", name+" = "+lit(quote(strings.ReplaceAll(bare, "-0", "-"))))
	case familyFloat, familyOther: // no keys
	}
	return pick(s.rng, forms)
}

// setting is a SET that changes how statements are read or values are stored.
func (s *schema) setting() statement {
	return verbatim(pick(s.rng, []string{
		"SET sql_mode = ''", "SET sql_mode = 'ANSI_QUOTES'", "SET sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES'", "SET sql_mode = 'PIPES_AS_CONCAT'",
		"SET sql_mode = DEFAULT", "SET sql_mode = DEFAULT", "SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'", "SET sql_mode = 'ONLY_FULL_GROUP_BY'",
		"SET time_zone = '+05:30'", "SET time_zone = '-08:00'", "SET time_zone = '+00:00'",
		"SET NAMES utf8mb4", "SET NAMES utf8mb4 COLLATE utf8mb4_bin", "SET NAMES latin1", "SET NAMES utf8mb4",
		"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
	}))
}

// hard is a statement that shards cannot simply answer: refused or right.
func (s *schema) hard() statement {
	a, b := s.tables["a"], s.tables["b"]
	ca, cb := pick(s.rng, a.shown()), pick(s.rng, b.shown())
	cond := s.condition(ca, ca.name)
	other := s.condition(cb, "y."+cb.name)
	return verbatim(pick(s.rng, []string{
		"SELECT k, n FROM a UNION SELECT k, n FROM b",
		"SELECT n FROM a WHERE " + cond + " UNION ALL SELECT n FROM b",
		"SELECT k, n FROM a WHERE n IN (SELECT y.n FROM b AS y WHERE " + other + ")",
		"SELECT k, n FROM a AS x WHERE EXISTS (SELECT 1 FROM b AS y WHERE y.k = x.k)",
		"SELECT k, (SELECT COUNT(*) FROM b AS y WHERE y.k = x.k) FROM a AS x",
		"SELECT k, (SELECT MAX(y.n) FROM b AS y) FROM a AS x",
		"SELECT x.n, y.n FROM a AS x JOIN b AS y ON x.n = y.n",
		"SELECT x.n, y.n FROM a AS x LEFT JOIN b AS y ON x.n = y.n AND x.k <> y.k",
		"SELECT COUNT(*) FROM a AS x JOIN b AS y",
		"SELECT k, COUNT(*) OVER (PARTITION BY k) FROM a",
		"SELECT n, ROW_NUMBER() OVER (ORDER BY n, k) FROM a",
		"SELECT q.n FROM (SELECT n, k FROM a WHERE " + cond + ") AS q",
		"SELECT MAX(q.c) FROM (SELECT k, COUNT(*) AS c FROM a GROUP BY k) AS q",
		"WITH q AS (SELECT n FROM a) SELECT COUNT(*) FROM q",
		"SELECT GROUP_CONCAT(n ORDER BY n) FROM a",
		"SELECT n FROM a GROUP BY n WITH ROLLUP",
		"SELECT BIT_OR(n), STD(n), VARIANCE(n) FROM a",
		"SELECT SQL_CALC_FOUND_ROWS n FROM a LIMIT 1",
		"INSERT INTO r (n) SELECT n FROM a",
		"INSERT INTO a (k, n) SELECT k, n + 1000 FROM a WHERE " + cond,
		"UPDATE a AS x JOIN b AS y ON x.k = y.k SET x." + s.ordinary(a).name + " = DEFAULT",
		"DELETE x FROM a AS x JOIN b AS y ON x.k = y.k AND " + other,
		"UPDATE a SET n = n + (SELECT COUNT(*) FROM b)",
		"SELECT n FROM a WHERE (k, n) IN (SELECT k, n FROM b)",
		"SELECT DISTINCT COUNT(*) FROM a GROUP BY k",
		"SELECT AVG(DISTINCT n), SUM(DISTINCT n) FROM a",
		"SELECT k FROM a GROUP BY k HAVING MAX(n) > MIN(n) + 1",
		"SELECT COUNT(*) FROM a HAVING COUNT(*) > 100000",
		"SELECT 1 FROM a LIMIT 2",
		"SELECT COUNT(*), 'x', 1 + 1 FROM a WHERE FALSE",
		"SELECT k, MAX(n) - MIN(n) FROM a GROUP BY k",
		"SELECT SUM(n) + 1, COUNT(*) * 2 FROM a",
		"SELECT IF(n > 3, 'big', 'small'), COUNT(*) FROM a GROUP BY 1",
		"SELECT n + 1 AS n FROM a GROUP BY n",
		"TABLE b",
	}))
}

// everyKey is one statement with each value of the sharding key in turn, so that a prepared one is executed again.
func (s *schema) everyKey() []statement {
	t := s.tables[pick(s.rng, []string{"a", "b"})]
	key := *t.column("k")
	c := s.ordinary(t)
	value := s.value(c)
	head, tail := "SELECT n, "+c.name+" FROM "+t.name+" WHERE k = ", ""
	switch s.rng.IntN(4) {
	case 0:
		head = fmt.Sprintf("UPDATE %s SET %s = %s WHERE k = ", t.name, c.name, value)
	case 1:
		head = fmt.Sprintf("DELETE FROM %s WHERE n = %s AND k = ", t.name, lit("3"))
	case 2:
		tail = " FOR UPDATE"
	}
	var list []statement
	for _, v := range append(key.pool, "NULL") {
		list = append(list, statement{sql: head + lit(v) + tail, prepared: true, limit: -1})
	}
	return list
}
