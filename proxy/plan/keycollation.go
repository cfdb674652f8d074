package plan

import "strings"

// weighing is what is known of a collation's WEIGHT_STRING as a sharding key.
type weighing uint8

const (
	weighUnknown weighing = iota // equal strings may have other bytes
	weighAlike                   // MySQL and MariaDB make the same bytes
	weighMySQL                   // MariaDB has the name, and makes other bytes
	weighMariaDB                 // MySQL has no such collation
)

// singleByte are the character sets whose collations _general_ci and _bin weigh
// each byte by itself.
//
//nolint:gochecknoglobals // a table
var singleByte = map[string]bool{
	"armscii8": true, "cp1250": true, "cp1251": true, "cp1256": true, "cp1257": true, "cp850": true, "cp852": true, "cp866": true,
	"geostd8": true, "greek": true, "hebrew": true, "keybcs2": true, "koi8r": true, "koi8u": true, "latin2": true, "latin7": true,
	"macce": true, "macroman": true,
}

// keyWeighing says how a collation pads and weighs. It knows more collations than
// padding, which is about the order of weights, too.
func keyWeighing(collation string) (pads bool, w weighing) {
	c := strings.ToLower(collation)
	charset, rest, _ := strings.Cut(c, "_")
	unicode := charset == "utf8mb4" || charset == "utf8mb3" || charset == "utf8"
	switch {
	case charset == "utf8mb4" && strings.Contains(c, "_0900_"):
		return false, weigh0900(rest)
	case unicode && strings.HasPrefix(rest, "uca1400_"):
		return uca1400(rest)
	case singleByte[charset]:
		switch rest {
		case "general_ci", "bin":
			return true, weighAlike
		case "general_nopad_ci", "nopad_bin":
			return false, weighMariaDB
		}
		return false, weighUnknown
	}
	pads, known := padding(c)
	switch {
	case !known:
		return false, weighUnknown
	case strings.Contains(rest, "nopad"):
		return pads, weighMariaDB
	}
	return pads, weighAlike
}

// weigh0900 knows the collations of UCA 9.0.0, which do not pad. MariaDB 11.8 has
// their names for its own of UCA 14.0.0.
func weigh0900(rest string) weighing {
	for _, suffix := range [...]string{"0900_ai_ci", "0900_as_ci", "0900_as_cs", "0900_bin"} {
		if strings.HasSuffix(rest, suffix) {
			return weighMySQL
		}
	}
	return weighUnknown
}

// uca1400 knows the collations of one level, and those of several that do not pad:
// the weights of trailing spaces are at the end then, or count. A collation that
// regards case and not accents is not known: equal strings may have other bytes.
func uca1400(rest string) (pads bool, w weighing) {
	switch {
	case strings.HasSuffix(rest, "nopad_ai_ci"), strings.HasSuffix(rest, "nopad_as_ci"), strings.HasSuffix(rest, "nopad_as_cs"):
		return false, weighMariaDB
	case strings.HasSuffix(rest, "_ai_ci"):
		return true, weighMariaDB
	}
	return false, weighUnknown
}

// sorting says whether servers put texts of a collation in the order of their
// weights, and whether it pads. Servers that sort take texts for equal that differ in
// zero bytes at the end; but latin7_general_ci sorts by other weights than it has, and
// not all levels of an accent- and case-sensitive collation count when it sorts.
func sorting(collation string) (pads, known bool) {
	c := strings.ToLower(collation)
	pads, w := keyWeighing(c)
	return pads, w != weighUnknown && c != "latin7_general_ci" && (!strings.Contains(c, "_uca1400_") || !strings.HasSuffix(c, "_as_cs"))
}

// OneFamilyWeighs reports whether a collation that both families know, or may come
// to know, has weights of its own at MySQL, so that it cannot be a sharding key
// where a shard is MariaDB.
func OneFamilyWeighs(collation string) bool {
	_, w := keyWeighing(collation)
	return w == weighMySQL
}
