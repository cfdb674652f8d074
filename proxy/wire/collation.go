package wire

// Collations that a login may name. The list holds character sets in which a
// byte below 0x80 is always that ASCII character, so that statements can be read
// byte by byte.
const (
	CollationBinary         = 63
	CollationUTF8MB4General = 45
)

// Charset returns the character set and the collation that a login's collation
// number stands for; false for numbers whose character set is not supported. 0
// is what clients send that do not care.
func Charset(collation uint8) (charset, name string, known bool) {
	switch collation {
	case 0, CollationUTF8MB4General:
		return "utf8mb4", "utf8mb4_general_ci", true
	case 46:
		return "utf8mb4", "utf8mb4_bin", true
	case 224:
		return "utf8mb4", "utf8mb4_unicode_ci", true
	case 246:
		return "utf8mb4", "utf8mb4_unicode_520_ci", true
	case 255:
		// MariaDB knows this name from 11.4.5 on only.
		return "utf8mb4", "utf8mb4_0900_ai_ci", true
	case 33:
		return "utf8mb3", "utf8mb3_general_ci", true
	case 83:
		return "utf8mb3", "utf8mb3_bin", true
	case 192:
		return "utf8mb3", "utf8mb3_unicode_ci", true
	case 8:
		return "latin1", "latin1_swedish_ci", true
	case 47:
		return "latin1", "latin1_bin", true
	case 48:
		return "latin1", "latin1_general_ci", true
	case 11:
		return "ascii", "ascii_general_ci", true
	case 65:
		return "ascii", "ascii_bin", true
	case CollationBinary:
		return "binary", "binary", true
	}
	return "", "", false
}
