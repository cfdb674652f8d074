package integration

import (
	le "encoding/binary"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"xaproxy/proxy/wire"
)

// comparer says whether two answers to a statement are the same. It asks one server what its collations take as equal.
type comparer struct {
	ask       *peer
	known     map[string]string // collation and bytes to weight
	shards    int
	perPart   bool // the last answers differed in warnings that were told for each part
	foundRows bool // the clients ask for matched rows
}

// mismatch is a difference: its kind tells failures apart while a case is made smaller.
type mismatch struct{ kind, text string }

func (m *mismatch) String() string { return m.kind + ": " + m.text }

func differ(kind, format string, args ...any) *mismatch {
	return &mismatch{kind: kind, text: fmt.Sprintf(format, args...)}
}

// replies compares what one server says with what the proxy says; whole is the oracle's answer, or nil.
func (c *comparer) replies(st statement, want, got, whole *reply) (*mismatch, error) {
	c.perPart = false
	if want.err != nil || got.err != nil {
		if want.err == nil || got.err == nil || want.err.Number != got.err.Number || want.err.State != got.err.State {
			return differ("error", "want %s, got %s", said(want), said(got)), nil
		}
		return nil, nil
	}
	// What SHOW WARNINGS tells is the server's, how its columns are described is not.
	if m := sameColumns(st, want, got); m != nil && !strings.HasPrefix(st.sql, "SHOW ") {
		return m, nil
	}
	if got.ok.Info == "" && c.foundRows && strings.Contains(st.sql, "ON DUPLICATE KEY UPDATE") {
		// With CLIENT_FOUND_ROWS a row alone at its shard does not tell whether it was stored or left as it was.
		got.ok.Info = want.ok.Info
	}
	c.oncePerPart(want, got)
	if len(want.columns) > 0 && want.ok.Warnings != got.ok.Warnings && plannedFreely.MatchString(st.sql) {
		got.ok.Warnings, c.perPart = want.ok.Warnings, true // for which rows a condition is looked at is up to the plan
	}
	if strings.HasPrefix(st.sql, "SET ") && !strings.Contains(st.sql, "sql_mode") {
		got.ok.Warnings = want.ok.Warnings // what a server remarks about a value is not told
	}
	if m := sameEnd(want, got); m != nil {
		return m, nil
	}
	if len(want.columns) == 0 {
		return nil, nil
	}
	if strings.HasPrefix(st.sql, "SHOW WARNINGS") {
		// Which row of an UPDATE a shard warns of is a row of that shard.
		for _, a := range []*reply{want, got} {
			for i, row := range a.rows {
				a.rows[i] = rowless(row)
			}
		}
	}
	wanted, err := c.rows(want, len(want.columns), st.loose)
	if err != nil {
		return nil, err
	}
	found, err := c.rows(got, len(got.columns), st.loose)
	if err != nil {
		return differ("rows", "cannot be read: %v", err), nil
	}
	if whole != nil && whole.err == nil && len(whole.columns) == len(want.columns)+1 {
		ranked, err := c.rows(whole, len(want.columns), st.loose)
		if err != nil {
			return nil, err
		}
		order := newRanking(ranked, whole, st)
		// What the server itself does not keep to is no rule for the proxy.
		if order.check(wanted) == "" {
			if why := order.check(found); why != "" {
				return differ("rows", "%s\n  want %s\n  got  %s", why, show(wanted), show(found)), nil
			}
			return nil, nil
		}
	}
	return sameRows(wanted, found), nil
}

// oncePerPart allows that a warning about a constant of the statement (k = '5x') is told for each part: what a server
// says of a constant and what it says of a row looks the same. A read may have both kinds (decision 0015).
func (c *comparer) oncePerPart(want, got *reply) {
	n, m := want.ok.Warnings, got.ok.Warnings
	if n == 0 || m <= n || m%n != 0 && len(want.columns) == 0 || int(m) > c.shards*int(n) {
		return
	}
	got.ok.Warnings = n
	got.ok.Info = strings.Replace(got.ok.Info, fmt.Sprintf("Warnings: %d", m), fmt.Sprintf("Warnings: %d", n), 1)
	c.perPart = true
}

// rowless is a row of SHOW WARNINGS whose message does not say which row is meant.
func rowless(row []byte) []byte {
	fields, err := wire.ParseTextRow(nil, row, 3)
	if err != nil {
		return row
	}
	fields[2] = rowNumber.ReplaceAll(fields[2], nil)
	var out []byte
	for _, f := range fields {
		out = wire.AppendText(out, string(f))
	}
	return out
}

func said(a *reply) string {
	if a.err != nil {
		return a.err.Error()
	}
	if len(a.columns) > 0 {
		return fmt.Sprintf("%d rows", len(a.rows))
	}
	return fmt.Sprintf("OK: %d affected, id %d, %d warnings, %q", a.ok.Affected, a.ok.InsertID, a.ok.Warnings, a.ok.Info)
}

// planFlags of a column come and go with a temporary table in the server's plan, which depends on its statistics.
const planFlags = 2 | 4 | 8 | 16 | 128 | 1<<12 | 1<<14 | 1<<15 // PRI_KEY, UNIQUE_KEY, MULTIPLE_KEY, BLOB, BINARY, NO_DEFAULT, PART_KEY, NUM

var plannedFreely = regexp.MustCompile(` GROUP BY | ORDER BY |DISTINCT | JOIN | AS x, `)

// sameColumn compares two definitions as bytes, but for what depends on the plan.
func sameColumn(st statement, want, got []byte) bool {
	if string(want) == string(got) {
		return true
	}
	w, err := wire.ParseColumn(want)
	g, err2 := wire.ParseColumn(got)
	if err != nil || err2 != nil || !plannedFreely.MatchString(st.sql) {
		return false
	}
	for _, c := range []*wire.Column{&w, &g} {
		c.Flags &^= planFlags
		if strings.Contains(st.sql, " LEFT JOIN ") {
			c.Flags &^= 1 // NOT_NULL: the join may be found to be an inner one
		}
		if c.Type >= wire.TypeTinyBlob && c.Type <= wire.TypeString {
			c.Decimals = 0 // of a string
			if c.Table == "" {
				c.Type = wire.TypeVarString // COALESCE of a TEXT is a BLOB, or in another plan a string
			}
		}
		if c.Table == "" {
			c.Length = 0
			if c.Type == wire.TypeLong {
				c.Type = wire.TypeLongLong // of a calculated number
			}
		}
		if c.Table == "" && c.OrgName == c.Name {
			c.OrgName = "" // an expression that went through a temporary table is called so
		}
	}
	return w == g
}

func sameColumns(st statement, want, got *reply) *mismatch {
	for _, pair := range []struct {
		what      string
		want, got [][]byte
	}{{"columns", want.columns, got.columns}, {"prepared", want.prepared, got.prepared}} {
		if pair.what == "prepared" && (len(pair.want) == 0 || len(pair.got) == 0) {
			continue // one side had it prepared already
		}
		if len(pair.want) != len(pair.got) {
			return differ(pair.what, "want %d definitions, got %d", len(pair.want), len(pair.got))
		}
		for i := range pair.want {
			if !sameColumn(st, pair.want[i], pair.got[i]) {
				return differ(pair.what, "definition %d:\n  want %s\n  got  %s", i, columnText(pair.want[i]), columnText(pair.got[i]))
			}
		}
	}
	return nil
}

func columnText(def []byte) string {
	c, err := wire.ParseColumn(def)
	if err != nil {
		return fmt.Sprintf("%x", def)
	}
	return fmt.Sprintf("%+v", c)
}

func sameEnd(want, got *reply) *mismatch {
	const state = wire.StatusInTrans | wire.StatusAutocommit | wire.StatusInTransReadOnly
	switch {
	case want.ok.Affected != got.ok.Affected:
		return differ("affected", "want %s, got %s", said(want), said(got))
	case want.ok.InsertID != got.ok.InsertID:
		return differ("insert id", "want %s, got %s", said(want), said(got))
	case want.ok.Info != got.ok.Info:
		return differ("info", "want %s, got %s", said(want), said(got))
	case want.ok.Warnings != got.ok.Warnings:
		return differ("warnings", "want %d, got %d", want.ok.Warnings, got.ok.Warnings)
	case want.ok.Status&state != got.ok.Status&state:
		return differ("status", "want %#x, got %#x", want.ok.Status, got.ok.Status)
	}
	return nil
}

// rows are the first n fields of each row as one comparable text.
func (c *comparer) rows(a *reply, n int, loose map[int]string) ([]string, error) {
	out := make([]string, 0, len(a.rows))
	for _, row := range a.rows {
		fields, err := a.fields(row)
		if err != nil {
			return nil, err
		}
		parts := make([]string, n)
		for i, f := range fields[:n] {
			if parts[i], err = c.field(a, i, f, loose[i]); err != nil {
				return nil, err
			}
		}
		out = append(out, strings.Join(parts, " | "))
	}
	return out, nil
}

func (c *comparer) field(a *reply, i int, f []byte, loose string) (string, error) {
	switch {
	case f == nil:
		return "NULL", nil
	case loose == "float":
		return float(a, i, f), nil
	case loose != "":
		return c.weight(loose, f)
	case a.binary && (len(f) == 4 || len(f) == 8):
		return integer(a, i, f), nil
	}
	return strconv.Quote(string(f)), nil
}

// float is a floating-point number up to what the order of additions may change.
func float(a *reply, i int, f []byte) string {
	var v float64
	col, err := wire.ParseColumn(a.columns[i])
	switch {
	case err == nil && a.binary && col.Type == wire.TypeFloat && len(f) == 4:
		v = float64(math.Float32frombits(le.LittleEndian.Uint32(f)))
	case err == nil && a.binary && col.Type == wire.TypeDouble && len(f) == 8:
		v = math.Float64frombits(le.LittleEndian.Uint64(f))
	default:
		if v, err = strconv.ParseFloat(string(f), 64); err != nil {
			return strconv.Quote(string(f))
		}
	}
	if v == 0 {
		v = 0 // not -0
	}
	return strconv.FormatFloat(v, 'g', 9, 64)
}

// integer is an integer of the binary form as text: its width may be another one.
func integer(a *reply, i int, f []byte) string {
	col, err := wire.ParseColumn(a.columns[i])
	switch {
	case err == nil && col.Type == wire.TypeLong && len(f) == 4 && col.Flags&32 != 0:
		return strconv.FormatUint(uint64(le.LittleEndian.Uint32(f)), 10)
	case err == nil && col.Type == wire.TypeLong && len(f) == 4:
		return strconv.Itoa(int(int32(le.LittleEndian.Uint32(f))))
	case err == nil && col.Type == wire.TypeLongLong && len(f) == 8 && col.Flags&32 != 0:
		return strconv.FormatUint(le.LittleEndian.Uint64(f), 10)
	case err == nil && col.Type == wire.TypeLongLong && len(f) == 8:
		return strconv.FormatInt(int64(le.LittleEndian.Uint64(f)), 10)
	}
	return strconv.Quote(string(f))
}

// weight names the strings that a collation takes as equal.
func (c *comparer) weight(collation string, f []byte) (string, error) {
	id := collation + "\x00" + string(f)
	if w, found := c.known[id]; found {
		return w, nil
	}
	charset, _, _ := strings.Cut(collation, "_")
	if charset == "uca1400" {
		charset = "utf8mb4"
	}
	value := f
	if !strings.Contains(collation, "0900") && !strings.Contains(collation, "nopad") {
		value = []byte(strings.TrimRight(string(f), " "))
	}
	a, err := c.ask.query(fmt.Sprintf("SELECT HEX(WEIGHT_STRING(CONVERT(CONVERT(x'%x' USING utf8mb4) USING %s) COLLATE %s))", value, charset, collation))
	if err != nil {
		return "", err
	}
	if a.err != nil {
		return "", a.err
	}
	fields, err := a.fields(a.rows[0])
	if err != nil {
		return "", err
	}
	c.known[id] = "weight " + string(fields[0])
	return c.known[id], nil
}

func show(rows []string) string {
	if len(rows) > 12 {
		return fmt.Sprintf("%d rows: %s; ...", len(rows), strings.Join(rows[:12], "; "))
	}
	return fmt.Sprintf("%d rows: %s", len(rows), strings.Join(rows, "; "))
}

func sameRows(want, got []string) *mismatch {
	a, b := slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if slices.Equal(a, b) {
		return nil
	}
	return differ("rows", "\n  want %s\n  got  %s", show(a), show(b))
}

// ranking is the wanted sequence, as far as it is determined: rows of one rank may come in any order, and a LIMIT may
// take any of them.
type ranking struct {
	ranks []string // of each position
	rows  []map[string]int
	at    map[string]int // rank to its place in rows
	st    statement
}

func newRanking(rows []string, whole *reply, st statement) *ranking {
	o := &ranking{at: map[string]int{}, st: st}
	last := len(whole.columns) - 1
	type ranked struct {
		rank int
		row  string
	}
	var list []ranked
	for i, row := range whole.rows {
		fields, err := whole.fields(row)
		if err != nil {
			return o
		}
		n := 0
		if whole.binary && len(fields[last]) == 8 {
			n = int(le.LittleEndian.Uint64(fields[last]))
		} else if whole.binary && len(fields[last]) == 4 {
			n = int(le.LittleEndian.Uint32(fields[last]))
		} else if !whole.binary {
			n, _ = strconv.Atoi(string(fields[last]))
		}
		list = append(list, ranked{n, rows[i]})
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return a.rank - b.rank })
	for _, r := range list {
		id := strconv.Itoa(r.rank)
		if _, found := o.at[id]; !found {
			o.at[id] = len(o.rows)
			o.rows = append(o.rows, map[string]int{})
		}
		o.rows[o.at[id]][r.row]++
		o.ranks = append(o.ranks, id)
	}
	return o
}

// check returns what is wrong with a sequence of rows, or "".
func (o *ranking) check(rows []string) string {
	begin, end := min(o.st.offset, len(o.ranks)), len(o.ranks)
	if o.st.limit >= 0 {
		end = min(begin+o.st.limit, end)
	} else {
		begin = 0
	}
	if len(rows) != end-begin {
		return fmt.Sprintf("%d rows instead of %d", len(rows), end-begin)
	}
	left := make([]map[string]int, len(o.rows))
	for i, row := range rows {
		at := o.at[o.ranks[begin+i]]
		if left[at] == nil {
			left[at] = map[string]int{}
			for r, n := range o.rows[at] {
				left[at][r] = n
			}
		}
		if left[at][row] == 0 {
			return fmt.Sprintf("row %d does not belong there: %s", i, row)
		}
		left[at][row]--
	}
	return ""
}
