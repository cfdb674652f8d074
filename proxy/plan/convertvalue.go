package plan

import (
	"strings"
	"time"

	"xaproxy/proxy/route"
)

// zone is a session's time zone, as far as it is known here: one with a fixed
// distance from UTC.
type zone struct {
	known   bool
	minutes int16 // east of UTC
}

// zoneOf reads a value of time_zone. Names but UTC depend on the servers' tables,
// and their clocks may go back.
func zoneOf(name string) zone {
	if strings.EqualFold(name, "UTC") {
		return zone{known: true}
	}
	sign, hours, ok := int16(1), "", false
	switch {
	case strings.HasPrefix(name, "+"):
		hours, ok = name[1:], true
	case strings.HasPrefix(name, "-"):
		hours, ok, sign = name[1:], true, -1
	}
	hh, mm, _ := strings.Cut(hours, ":")
	h, okHours := digits(hh, 1, 2)
	m, okMinutes := digits(mm, 2, 2)
	if !ok || !okHours || !okMinutes || h > 14 || m > 59 {
		return zone{}
	}
	return zone{known: true, minutes: sign * int16(60*h+m)}
}

// digits reads a number of so many digits.
func digits(s string, least, most int) (int, bool) {
	if len(s) < least || len(s) > most {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

func plainKey(text string) route.Key { return route.Key{Kind: route.KeyBytes, Bytes: []byte(text)} }

// yearKey: years of two digits mean others, 0 and what is out of range is stored
// as 0000 or refused, by the mode.
func yearKey(n number, f fit) (route.Key, fit) {
	const first, last = 1901, 2155
	if f != fitExact || n.negative || n.magnitude < first || n.magnitude > last {
		return route.Key{}, fitInexact
	}
	return route.Key{Kind: route.KeyInt, Int: int64(n.magnitude)}, fitExact
}

func stringYear(s string) (route.Key, fit) {
	n, ok := digits(s, 4, 4)
	if !ok {
		return route.Key{}, fitInexact
	}
	return yearKey(number{magnitude: uint64(n)}, fitExact)
}

// decimalKey makes the key of an unsigned decimal number's text: 12.50 becomes
// 12.5, whatever the column's scale.
func (c *Column) decimalKey(text string, negative bool, u purpose) (route.Key, fit) {
	const digitsOfServers, fractionOfServers = 65, 30
	whole, fraction, _ := strings.Cut(text, ".")
	if len(whole)+len(fraction) > digitsOfServers || len(fraction) > fractionOfServers || !allDigits(whole) || !allDigits(fraction) {
		return route.Key{}, fitInexact // cut off before it is compared
	}
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	negative = negative && whole+fraction != ""
	if len(whole) > c.Precision-c.Decimals || len(fraction) > c.Decimals || negative && c.Unsigned {
		if u == toStore {
			return route.Key{}, fitInexact
		}
		return route.Key{}, fitNone
	}
	canonical := "0"
	if whole != "" {
		canonical = whole
	}
	if fraction != "" {
		canonical += "." + fraction
	}
	if negative {
		canonical = "-" + canonical
	}
	return plainKey(canonical), fitExact
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// stringDecimal: with a string a decimal column compares as doubles, which tell
// numbers of up to 15 digits apart.
func (c *Column) stringDecimal(s string, u purpose) (route.Key, fit) {
	const exactDigits = 15
	text, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(text, ".")
	if whole == "" || point && fraction == "" || len(whole)+len(fraction) > exactDigits || c.Precision > exactDigits {
		return route.Key{}, fitInexact
	}
	return c.decimalKey(text, negative, u)
}

// uuidKey makes the key of a UUID as it is always shown.
func uuidKey(s string) (route.Key, fit) {
	const length = 36
	if len(s) != length || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return route.Key{}, fitInexact
	}
	raw, ok := hexBytes(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if !ok {
		return route.Key{}, fitInexact
	}
	return route.Key{Kind: route.KeyBytes, Bytes: raw}, fitExact
}

// temporalKey makes the key of a date or time in its full form. What the column
// would round, and what one server reads and another does not, is not exact.
func (b *binding) temporalKey(c *Column, s string) (route.Key, fit) {
	//nolint:exhaustive // the other types are not asked for
	switch c.Type {
	case TypeDate:
		if _, ok := parseDate(s); ok {
			return plainKey(s), fitExact
		}
	case TypeTime:
		return c.timeKey(s)
	case TypeDatetime:
		if canonical, _, ok := parseDatetime(s, c.Decimals); ok {
			return plainKey(canonical), fitExact
		}
	case TypeTimestamp:
		return b.timestampKey(c, s)
	}
	return route.Key{}, fitInexact
}

// parseDate reads YYYY-MM-DD, a day that exists.
func parseDate(s string) (time.Time, bool) {
	if len(s) != len("2024-01-31") || s[4] != '-' || s[7] != '-' {
		return time.Time{}, false
	}
	y, ok1 := digits(s[:4], 4, 4)
	m, ok2 := digits(s[5:7], 2, 2)
	d, ok3 := digits(s[8:], 2, 2)
	if !ok1 || !ok2 || !ok3 || y == 0 {
		return time.Time{}, false
	}
	day := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return day, day.Year() == y && int(day.Month()) == m && day.Day() == d
}

// parseClock reads hh:mm:ss with a fraction of at most so many digits but zeros;
// hours have two digits, or three. The fraction comes back with its point and
// without zeros at its end.
func parseClock(s string, mostHours, decimals int) (hours, minutes, seconds int, fraction string, ok bool) {
	hh, rest, _ := strings.Cut(s, ":")
	mm, rest, _ := strings.Cut(rest, ":")
	ss, fraction, point := strings.Cut(rest, ".")
	hours, ok1 := digits(hh, 2, 3)
	minutes, ok2 := digits(mm, 2, 2)
	seconds, ok3 := digits(ss, 2, 2)
	const digitsOfServers = 6
	if !ok1 || !ok2 || !ok3 || hours > mostHours || minutes > 59 || seconds > 59 || point && fraction == "" ||
		len(fraction) > digitsOfServers || !allDigits(fraction) {
		return 0, 0, 0, "", false
	}
	if fraction = strings.TrimRight(fraction, "0"); len(fraction) > decimals {
		return 0, 0, 0, "", false
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return hours, minutes, seconds, fraction, true
}

// parseDatetime reads YYYY-MM-DD or YYYY-MM-DD hh:mm:ss with a fraction.
func parseDatetime(s string, decimals int) (canonical string, seconds time.Time, ok bool) {
	date, clock, both := strings.Cut(s, " ")
	day, ok := parseDate(date)
	if !ok {
		return "", time.Time{}, false
	}
	if !both {
		clock = "00:00:00"
	}
	h, m, sec, fraction, ok := parseClock(clock, 23, decimals)
	if !ok || len(clock) < len("hh:mm:ss") || clock[2] != ':' {
		return "", time.Time{}, false
	}
	seconds = day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second)
	return seconds.Format(time.DateTime) + fraction, seconds, true
}

// timestampKey: a text is read in the session's time zone, which is known here
// only when its distance from UTC is fixed.
func (b *binding) timestampKey(c *Column, s string) (route.Key, fit) {
	_, local, ok := parseDatetime(s, c.Decimals)
	if !ok || !b.zone.known {
		return route.Key{}, fitInexact
	}
	utc := local.Add(-time.Duration(b.zone.minutes) * time.Minute)
	const first, last = 1, 1<<31 - 1 // seconds; MariaDB 11.5 and newer go on
	if utc.Unix() < first || utc.Unix() > last {
		return route.Key{}, fitInexact
	}
	_, fraction, point := strings.Cut(s, ".")
	canonical := utc.Format(time.DateTime)
	if fraction = strings.TrimRight(fraction, "0"); point && fraction != "" {
		canonical += "." + fraction
	}
	return plainKey(canonical), fitExact
}

// timeKey reads [-]hh:mm:ss or [-]hhh:mm:ss with a fraction.
func (c *Column) timeKey(s string) (route.Key, fit) {
	text, negative := strings.CutPrefix(s, "-")
	const mostHours = 838
	h, m, sec, fraction, ok := parseClock(text, mostHours, c.Decimals)
	if !ok || h == mostHours && m == 59 && sec == 59 && fraction != "" {
		return route.Key{}, fitInexact
	}
	canonical := text[:strings.IndexByte(text, ':')]
	if h < 100 {
		canonical = canonical[len(canonical)-2:]
	}
	canonical += text[strings.IndexByte(text, ':'):][:len(":mm:ss")] + fraction
	if negative && (h != 0 || m != 0 || sec != 0 || fraction != "") {
		canonical = "-" + canonical
	}
	return plainKey(canonical), fitExact
}
