package plan

import "strings"

// textCharset reports whether a client may send texts in a character set, and
// whether that is UTF-8. Sets in which a character's second byte may be a
// backslash (big5, cp932, gbk, gb18030, sjis) are not known, nor those that no
// client can send texts in (ucs2, utf16, utf32): texts are read bytewise.
func textCharset(name string) (utf8, known bool) {
	var buf [12]byte
	switch string(lower(buf[:0], name)) {
	case "utf8mb4", "utf8mb3", "utf8":
		return true, true
	case "ascii", "binary", "latin1", "latin2", "latin5", "latin7", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866",
		"greek", "hebrew", "koi8r", "koi8u", "macce", "macroman", "keybcs2", "armscii8", "geostd8", "dec8", "hp8", "tis620",
		"ujis", "eucjpms", "euckr", "gb2312":
		return false, true
	}
	return false, false
}

// lower appends s in lower case, or nothing when it is longer than the buffer.
func lower(buf []byte, s string) []byte {
	if len(s) > cap(buf) {
		return buf
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf
}

// sameText reports whether a literal keeps its bytes' meaning between two
// character sets.
func sameText(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	ua, _ := textCharset(a)
	ub, _ := textCharset(b)
	// From utf8mb3 to utf8mb4 nothing is lost.
	return ua && ub && strings.EqualFold(a, "utf8mb4")
}

// padding says whether a collation is one that strings can be sharded by, and
// whether it pads with spaces. A collation is listed when equal strings have
// equal WEIGHT_STRINGs but for trailing pad, which must then be the weights of
// spaces at the very end: collations that have several levels and pad are not
// listed.
func padding(collation string) (pads, known bool) {
	c := strings.ToLower(collation)
	charset, rest, _ := strings.Cut(c, "_")
	switch charset {
	case "utf8mb4", "utf8mb3", "utf8":
		return unicodePadding(charset, rest)
	case "latin1":
		switch rest {
		case "swedish_ci", "general_ci", "general_cs", "bin":
			return true, true
		case "swedish_nopad_ci", "nopad_bin":
			return false, true
		}
	case "ascii":
		switch rest {
		case "general_ci", "bin":
			return true, true
		case "general_nopad_ci", "nopad_bin":
			return false, true
		}
	}
	return false, false
}

func unicodePadding(charset, rest string) (pads, known bool) {
	switch rest {
	case "general_ci", "unicode_ci", "unicode_520_ci", "bin", "uca1400_ai_ci":
		return true, true
	case "general_nopad_ci", "unicode_nopad_ci", "unicode_520_nopad_ci", "nopad_bin", "uca1400_nopad_ai_ci":
		return false, true
	case "0900_ai_ci", "0900_as_ci", "0900_as_cs", "0900_bin":
		return false, charset == "utf8mb4"
	}
	return false, false
}

// charsetOf is the character set that a collation belongs to.
func charsetOf(collation string) string {
	cs, _, _ := strings.Cut(strings.ToLower(collation), "_")
	switch cs {
	case "utf8":
		return "utf8mb3"
	}
	return cs
}
