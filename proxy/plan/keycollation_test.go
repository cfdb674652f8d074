package plan

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// keyCollations are those of the server at hand that can be sharded by, with
// their weighing.
func keyCollations(t *testing.T, c *sql.Conn) map[string]weighing {
	t.Helper()
	listed, err := ask(t, c, "SELECT COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY")
	if err != nil {
		t.Fatal(err)
	}
	full, err := ask(t, c, "SELECT FULL_COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY")
	if err == nil { // MariaDB 10.10 and newer
		listed = append(listed, full...)
	}
	known := map[string]weighing{}
	for _, row := range listed {
		name := strings.TrimSuffix(strings.TrimPrefix(row, "[{"), " true}]")
		if rest, old := strings.CutPrefix(name, "utf8_"); old {
			name = "utf8mb3_" + rest
		}
		if _, w := keyWeighing(name); w != weighUnknown {
			known[name] = w
		}
	}
	return known
}

// TestEqualTextsHaveEqualKeysInEveryCollation: what a server holds for equal has
// equal canonical bytes, in each collation that rows can be placed by.
func TestEqualTextsHaveEqualKeysInEveryCollation(t *testing.T) {
	onServers(t, func(t *testing.T, c *sql.Conn) {
		collations := keyCollations(t, c)
		const least = 60
		if len(collations) < least {
			t.Errorf("%d collations, want at least %d", len(collations), least)
		}
		run(t, c, "SET sql_mode = ''")
		for collation := range collations {
			for _, kind := range []ColumnType{TypeVarchar, TypeChar} {
				equalTexts(t, c, &Column{Name: "id", Type: kind, Length: 20, Charset: charsetOf(collation), Collation: collation})
			}
		}
	})
}

func equalTexts(t *testing.T, c *sql.Conn, column *Column) {
	t.Helper()
	run(t, c, "CREATE TABLE k (n INT PRIMARY KEY, id "+column.Type.String()+"(20) COLLATE "+column.Collation+")")
	defer run(t, c, "DROP TABLE k")
	var rows []string
	for i, s := range sampleTexts() {
		rows = append(rows, fmt.Sprintf("(%d,CONVERT(_utf8mb4 X'%x' USING %s))", i, s, column.Charset))
	}
	run(t, c, "INSERT INTO k VALUES "+strings.Join(rows, ","))
	keys := stored(t, c, column)
	if len(keys) != len(rows) {
		t.Fatalf("%s: %d keys of %d", column.Collation, len(keys), len(rows))
	}
	pairs, err := ask(t, c, "SELECT CONCAT(a.n, ' ', b.n) FROM k a JOIN k b ON a.id = b.id")
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range pairs {
		a, b, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(pair, "[{"), " true}]"), " ")
		if keys[a] != keys[b] {
			t.Errorf("%s %s: texts %s and %s are equal, their keys are %x and %x", column.Type, column.Collation, a, b, keys[a], keys[b])
		}
	}
}

// TestFamiliesWeighAlike: collations that may be keys in clusters of both families
// give every character of the Basic Multilingual Plane, and some beyond, the same
// weight on every server; the collations of one family are not taken for such.
func TestFamiliesWeighAlike(t *testing.T) {
	digests := map[string]map[string]string{}
	onServers(t, func(t *testing.T, c *sql.Conn) {
		for collation, w := range keyCollations(t, c) {
			if w != weighAlike {
				continue
			}
			if digests[collation] == nil {
				digests[collation] = map[string]string{}
			}
			digests[collation][t.Name()] = weightDigest(t, c, collation)
		}
	})
	both := 0
	for collation, of := range digests {
		var seen []string
		for _, digest := range of {
			if !slices.Contains(seen, digest) {
				seen = append(seen, digest)
			}
		}
		if len(seen) > 1 {
			t.Errorf("%s: %v", collation, of)
		}
		if len(of) == 3 {
			both++
		}
	}
	const least = 40
	if both < least && !testing.Short() {
		t.Errorf("%d collations are known to all servers, want at least %d", both, least)
	}
}

// weightDigest digests the weights of characters in blocks.
func weightDigest(t *testing.T, c *sql.Conn, collation string) string {
	t.Helper()
	const block, last, surrogates, behind = 0x100, 0x10000, 0xD800, 0xE000
	h := sha256.New()
	if singleByte[charsetOf(collation)] || strings.HasPrefix(collation, "latin1") || strings.HasPrefix(collation, "ascii") {
		for b := range 256 {
			if b >= 128 && charsetOf(collation) == "ascii" {
				break
			}
			h.Write([]byte(one(t, c, fmt.Sprintf("SELECT HEX(WEIGHT_STRING(CAST(_%s X'%02x' AS CHAR CHARACTER SET %s) COLLATE %s))", charsetOf(collation), b, charsetOf(collation), collation))))
			h.Write([]byte{0})
		}
		return hex.EncodeToString(h.Sum(nil))
	}
	for at := rune(0); at < last; at += block {
		if at >= surrogates && at < behind {
			continue
		}
		var text []byte
		for r := at; r < at+block; r++ {
			text = append(text, string(r)...)
			text = append(text, '|') // no contractions
		}
		h.Write([]byte(one(t, c, fmt.Sprintf("SELECT HEX(WEIGHT_STRING(CONVERT(_utf8mb4 X'%x' USING %s) COLLATE %s))", text, charsetOf(collation), collation))))
	}
	return hex.EncodeToString(h.Sum(nil))
}
