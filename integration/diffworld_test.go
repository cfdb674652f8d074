package integration

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/proxy/wire"
)

// diffWorld is a proxy over some shards, and one server that holds the same data alone.
type diffWorld struct {
	t          *testing.T
	engine     launch.Engine
	count      int
	process    *proxyProcess
	ref, proxy *peer
	looker     *peer   // at the proxy, outside of what is tested
	shards     []*peer // directly
	comparer   comparer
	login      func(foundRows bool) (*peer, error) // at the one server
	single     string                              // the one server, as a driver's DSN
	foundRows  bool                                // sessions ask for matched rows
}

// placements are the tables of every generated schema.
const placements = `  a: { key: k }
  b: { key: k }
  n: { key: id }
  o: { shard: s1 }
  r: { copies: all }
`

func newDiffWorld(t *testing.T, e launch.Engine, count int) *diffWorld {
	t.Helper()
	options := make([]launch.Options, count+1)
	for i := range options {
		options[i] = launch.Options{Engine: e}
	}
	// What the reference acknowledges need not survive.
	options[count].Settings = map[string]string{"innodb_flush_log_at_trx_commit": "0", "sync_binlog": "0"}
	c := newClusterOf(t, options...)
	ref := c.shards[count]
	c.shards = c.shards[:count]
	dsns := map[string]string{}
	for _, s := range c.shards {
		dsns[s.name] = fmt.Sprintf("%s:%s@tcp(%s)/", s.server.User(), s.server.Password(), s.server.Addr())
	}
	w := &diffWorld{t: t, engine: e, count: count}
	w.process = c.newProxy(t, "diff", proxySettings{node: 1, shards: dsns, tables: placements})
	w.process.up()
	w.single = ref.server.DSN()
	w.login = func(foundRows bool) (*peer, error) {
		return dialPeer(ref.server.Addr(), ref.server.User(), ref.server.Password(), foundRows)
	}
	w.ref = w.dial(ref.server.Addr(), ref.server.User(), ref.server.Password())
	w.proxy = w.dial(w.process.data, "app", appPassword)
	w.looker = w.dial(w.process.data, "app", appPassword)
	w.comparer = comparer{ask: w.dial(ref.server.Addr(), ref.server.User(), ref.server.Password()), known: map[string]string{}, shards: count}
	t.Cleanup(func() { w.ref.close(); w.proxy.close() })
	for _, s := range c.shards {
		w.shards = append(w.shards, w.dial(s.server.Addr(), s.server.User(), s.server.Password()))
	}
	return w
}

func (w *diffWorld) dial(addr, user, password string) *peer {
	w.t.Helper()
	p, err := dialPeer(addr, user, password, false)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.close)
	return p
}

// redial gives both sides a new session in a schema.
func (w *diffWorld) redial(name string) error {
	w.ref.close()
	w.proxy.close()
	w.comparer.foundRows = w.foundRows
	var err error
	if w.ref, err = w.login(w.foundRows); err != nil {
		return err
	}
	if w.proxy, err = dialPeer(w.process.data, "app", appPassword, w.foundRows); err != nil {
		return err
	}
	for _, p := range []*peer{w.ref, w.proxy} {
		if _, err := must(p.query("USE " + name)); err != nil {
			return fmt.Errorf("USE %s: %w", name, err)
		}
	}
	return nil
}

// must makes an error of a server's error.
func must(a *reply, err error) (*reply, error) {
	if err == nil && a.err != nil {
		err = a.err
	}
	return a, err
}

// begin makes a schema of a name, empty, the session's default on both sides.
func (w *diffWorld) begin(name string) error {
	for _, p := range []*peer{w.ref, w.proxy} {
		for _, q := range []string{"DROP DATABASE IF EXISTS " + name, "CREATE DATABASE " + name} {
			if _, err := must(p.query(q)); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
	}
	return w.redial(name)
}

// history is a stretch of statements in one schema, and what they did.
type history struct {
	w          *diffWorld
	name       string // of the schema
	done       []statement
	placed     map[string]int // a key's class to its shard
	keys       map[string]keyColumn
	clocks     map[string]string // the reference's time to the proxy's
	constructs map[string]int
	refusals   int
	lastID     int  // the highest id that was generated
	alike      bool // the last statement was executed on both sides: questions about it may be asked
}

func newHistory(w *diffWorld, name string) *history {
	return &history{w: w, name: name, placed: map[string]int{}, clocks: map[string]string{}, constructs: map[string]int{}}
}

func (st statement) on(p *peer) (*reply, error) {
	if st.prepared {
		return p.execute(parameters(st.sql))
	}
	return p.query(plain(st.sql))
}

// step executes a statement at the proxy and, unless it is refused, at the one server. refused is the construct.
func (h *history) step(st statement) (refused string, m *mismatch, err error) {
	alike := h.alike
	h.alike = false
	if st.check {
		m, err = h.tables()
		return "", m, err
	}
	if !alike && strings.HasPrefix(st.sql, "SHOW ") {
		return "", nil, nil
	}
	got, err := st.on(h.w.proxy)
	if err != nil {
		return "", differ("connection", "the proxy: %v", err), nil
	}
	if construct := refusalOf(got); construct != "" {
		h.constructs[construct]++
		h.refusals++
		return construct, nil, nil
	}
	h.done, h.alike = append(h.done, st), true
	want, err := st.on(h.w.ref)
	if err != nil {
		return "", nil, err
	}
	var whole *reply
	if st.oracle != "" && want.err == nil {
		o := st
		o.sql = st.oracle
		if whole, err = o.on(h.w.ref); err != nil {
			return "", nil, err
		}
	}
	if st.generated != nil && got.err == nil && want.err == nil {
		if m, err := h.ids(st, got.ok.InsertID); m != nil || err != nil {
			return "", m, err
		}
		got.ok.InsertID = want.ok.InsertID
	}
	m, err = h.w.comparer.replies(st, want, got, whole)
	h.alike = h.alike && !h.w.comparer.perPart
	if err == nil && m != nil && want.err != nil && got.err != nil {
		var other bool
		if other, err = h.errorOfAPart(st, got.err.Number); other {
			m = nil
		}
	}
	return "", m, err
}

// ids demands that rows which were given no id have got ids in their order, higher than any before, and that the client
// is told the first.
func (h *history) ids(st statement, told uint64) (*mismatch, error) {
	h.alike = false // the proxy is asked more than the one server
	list := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(st.generated)), ","), "[]")
	a, err := must(h.w.proxy.query("SELECT biz, id FROM n WHERE biz IN (" + list + ")"))
	if err != nil {
		return nil, err
	}
	found := map[int]int{}
	for _, row := range a.rows {
		f, err := a.fields(row)
		if err != nil {
			return nil, err
		}
		biz, err := strconv.Atoi(string(f[0]))
		if err != nil {
			return nil, err
		}
		if found[biz], err = strconv.Atoi(string(f[1])); err != nil {
			return nil, err
		}
	}
	for i, biz := range st.generated {
		id := found[biz]
		if i == 0 && uint64(id) != told {
			return differ("generated", "the client was told %d, the first row has %d", told, id), nil
		}
		if id <= h.lastID {
			return differ("generated", "id %d after %d", id, h.lastID), nil
		}
		h.lastID = id
	}
	b, err := must(h.w.proxy.query("SELECT LAST_INSERT_ID()"))
	if err != nil {
		return nil, err
	}
	if f, err := b.fields(b.rows[0]); err != nil || string(f[0]) != strconv.FormatUint(told, 10) {
		return differ("generated", "LAST_INSERT_ID() is %s after %d was told (%v)", f, told, err), nil
	}
	return nil, nil
}

// errorOfAPart reports whether some row of an INSERT, or some assignment of an UPDATE, alone has this error. Of several
// errors in one statement the proxy may tell another one than the first, since shards do not work in the order of one
// server's rows.
func (h *history) errorOfAPart(st statement, number uint16) (bool, error) {
	var parts []shape
	switch sh := st.shape.(type) {
	case *insertion:
		for _, row := range sh.rows {
			one := *sh
			one.rows = [][]string{row}
			parts = append(parts, &one)
		}
	case *change:
		for _, set := range sh.set {
			one := *sh
			one.set = []string{set}
			parts = append(parts, &one)
		}
	}
	if len(parts) < 2 {
		return false, nil
	}
	a, err := must(h.w.ref.query("DO 0"))
	if err != nil {
		return false, err
	}
	begin, end := "BEGIN", "ROLLBACK"
	if a.ok.Status.Has(wire.StatusInTrans) {
		begin, end = "SAVEPOINT a_part", "ROLLBACK TO a_part"
	}
	found := false
	for _, part := range parts {
		if _, err := must(h.w.ref.query(begin)); err != nil {
			return false, err
		}
		a, err := part.render().on(h.w.ref)
		if err != nil {
			return false, err
		}
		found = found || a.err != nil && a.err.Number == number
		if _, err := must(h.w.ref.query(end)); err != nil {
			return false, err
		}
	}
	return found, nil
}

var (
	quotedName = regexp.MustCompile("(`[^`]*`|'[^']*'|\"[^\"]*\")")
	digits     = regexp.MustCompile(`[0-9]+`)
)

// refusalOf is the construct that the proxy does not execute, or "".
func refusalOf(a *reply) string {
	if a.err == nil || a.err.Number != refusedKey && a.err.Number != refusedConstruct && a.err.Number != refusedDefinitions {
		return ""
	}
	text, _, _ := strings.Cut(a.err.Message, ";")
	return digits.ReplaceAllString(quotedName.ReplaceAllString(text, "X"), "N")
}

// tables compares the tables' rows at the one server with those of all shards, and where the shards have them.
func (h *history) tables() (*mismatch, error) {
	if h.keys == nil {
		if err := h.learn(); err != nil {
			return nil, err
		}
	}
	for _, table := range []string{"a", "b", "n", "o", "r"} {
		want, err := h.w.comparer.ask.query("SELECT * FROM " + h.name + "." + table)
		if err != nil {
			return nil, err
		}
		if want.err != nil {
			continue // no such table here
		}
		parts := make([]*reply, len(h.w.shards))
		for i, p := range h.w.shards {
			if parts[i], err = p.query("SELECT * FROM " + h.name + "." + table); err != nil {
				return nil, err
			}
		}
		if m, err := h.table(table, want, parts); m != nil || err != nil {
			return m, err
		}
	}
	return nil, nil
}

func (h *history) table(name string, want *reply, parts []*reply) (*mismatch, error) {
	wanted, times, err := h.contents(want)
	if err != nil {
		return nil, err
	}
	slices.Sort(wanted)
	var union []string
	for i, part := range parts {
		if part.err != nil {
			if name != "o" {
				return differ("tables", "table %s at shard %d: %v", name, i, part.err), nil
			}
			continue
		}
		rows, partTimes, err := h.contents(part)
		if err != nil {
			return nil, err
		}
		if copied(name) {
			if slices.Sort(rows); !slices.Equal(rows, wanted) {
				return differ("tables", "table r at shard %d:\n  want %s\n  got  %s", i, show(lacks(wanted, rows)), show(lacks(rows, wanted))), nil
			}
			continue
		}
		union = append(union, rows...)
		if m := h.times(name, rows, partTimes, times); m != nil {
			return m, nil
		}
		if k, found := h.keys[name]; found {
			if m, err := h.place(name, k, i, part); m != nil || err != nil {
				return m, err
			}
		}
	}
	if slices.Sort(union); !copied(name) && !slices.Equal(union, wanted) {
		return differ("tables", "table %s: lacking %s\n  beyond %s", name, show(lacks(wanted, union)), show(lacks(union, wanted))), nil
	}
	return nil, nil
}

// copied reports whether every shard has all rows of a table.
func copied(table string) bool { return table == "r" && strings.Contains(placements, "copies") }

// lacks are the rows of a that b does not have.
func lacks(a, b []string) []string {
	left := map[string]int{}
	for _, r := range b {
		left[r]++
	}
	var out []string
	for _, r := range a {
		if left[r]--; left[r] < 0 {
			out = append(out, r)
		}
	}
	return out
}

// contents are a table's rows without the columns of the clock and of generated ids, and of each row the clock's values.
func (h *history) contents(a *reply) (rows []string, times map[string]string, err error) {
	times = map[string]string{}
	for _, row := range a.rows {
		fields, err := a.fields(row)
		if err != nil {
			return nil, nil, err
		}
		var parts, clock []string
		for i, f := range fields {
			col, err := wire.ParseColumn(a.columns[i])
			if err != nil {
				return nil, nil, err
			}
			switch {
			case strings.HasPrefix(col.Name, "clock_"):
				clock = append(clock, string(f))
			case col.Name == "id":
			case f == nil:
				parts = append(parts, col.Name+"=NULL")
			default:
				parts = append(parts, fmt.Sprintf("%s=%q", col.Name, f))
			}
		}
		text := strings.Join(parts, " ")
		rows = append(rows, text)
		if clock != nil {
			times[text] = strings.Join(clock, " ")
		}
	}
	return rows, times, nil
}

// times demands that rows which got one time at the one server got one time through the proxy, and others another.
func (h *history) times(name string, rows []string, got, want map[string]string) *mismatch {
	for _, row := range rows {
		w, found := want[row]
		if !found {
			continue
		}
		wanted, found2 := strings.Fields(w), strings.Fields(got[row])
		if len(wanted) != len(found2) {
			return differ("clock", "table %s: %s has %q, want %q", name, row, got[row], w)
		}
		for i := range wanted {
			if len(wanted[i]) < 12 {
				continue // a date
			}
			a, b := fmt.Sprintf("%d: %s %s", i, wanted[i-1], wanted[i]), fmt.Sprintf("%d: %s %s", i, found2[i-1], found2[i])
			if known, seen := h.clocks[a]; seen && known != b {
				return differ("clock", "table %s: a statement's rows have the times %s and %s: %s", name, known, b, row)
			}
			h.clocks[a] = b
		}
	}
	return nil
}

// keyColumn is how the values of a sharding key are written.
type keyColumn struct {
	column, collation, family string
}

// learn finds out what the keys are.
func (h *history) learn() error {
	a, err := must(h.w.ref.query("SELECT table_name, column_name, data_type, COALESCE(collation_name, '') FROM information_schema.columns WHERE table_schema = '" +
		h.name + "' AND column_name = 'k'"))
	if err != nil {
		return err
	}
	h.keys = map[string]keyColumn{}
	for _, row := range a.rows {
		f, err := a.fields(row)
		if err != nil {
			return err
		}
		k := keyColumn{column: string(f[1]), collation: string(f[3])}
		switch t := strings.ToLower(string(f[2])); {
		case strings.HasSuffix(t, "int") || t == "decimal" || t == "year":
			k.family = "number"
		case strings.HasSuffix(t, "binary"):
			k.family = "binary"
		default:
			k.family = "string"
		}
		h.keys[string(f[0])] = k
	}
	return nil
}

func (k keyColumn) literal(f []byte) string {
	switch k.family {
	case "number":
		return string(f)
	case "binary":
		return "x'" + hex.EncodeToString(f) + "'"
	}
	return quote(string(f))
}

// place demands that equal keys are at one shard, in all tables, and that a point read finds what is there.
func (h *history) place(table string, k keyColumn, shard int, part *reply) (*mismatch, error) {
	at := -1
	for i, def := range part.columns {
		if col, err := wire.ParseColumn(def); err == nil && col.Name == k.column {
			at = i
		}
	}
	for _, row := range part.rows {
		fields, err := part.fields(row)
		if err != nil {
			return nil, err
		}
		class := k.literal(fields[at])
		if k.family == "string" && k.collation != "" {
			if class, err = h.w.comparer.weight(k.collation, fields[at]); err != nil {
				return nil, err
			}
		}
		where, known := h.placed[class]
		if known && where != shard {
			return differ("placement", "table %s: key %s is at shard %d, an equal one at %d", table, k.literal(fields[at]), shard, where), nil
		}
		if known {
			continue
		}
		h.placed[class] = shard
		q := fmt.Sprintf("SELECT COUNT(*) FROM %s.%s WHERE %s = %s LIMIT 1", h.name, table, k.column, k.literal(fields[at]))
		if m := h.routed(q, shard); m != nil {
			return m, nil
		}
		if m, err := h.finds(q); m != nil || err != nil {
			return m, err
		}
	}
	return nil, nil
}

// routed demands that the proxy looks for a key where its row is.
func (h *history) routed(q string, shard int) *mismatch {
	a, err := must(h.w.looker.query("EXPLAIN ROUTE " + q))
	if err != nil {
		return nil // refused
	}
	for _, row := range a.rows {
		f, err := a.fields(row)
		if err != nil || len(f) < 2 {
			return differ("placement", "EXPLAIN ROUTE %s: %q", q, row)
		}
		if string(f[1]) == fmt.Sprintf("s%d", shard) {
			return nil
		}
	}
	return differ("placement", "%s is looked for elsewhere than at shard s%d: %q", q, shard, a.rows)
}

func (h *history) finds(q string) (*mismatch, error) {
	got, err := h.w.looker.query(q)
	if err != nil {
		return differ("connection", "the proxy: %v", err), nil
	}
	if refusalOf(got) != "" {
		return nil, nil
	}
	want, err := h.w.comparer.ask.query(q)
	if err != nil {
		return nil, err
	}
	m, err := h.w.comparer.replies(statement{sql: q, limit: -1}, want, got, nil)
	if m != nil {
		m = differ("placement", "%s: %s", q, m.text)
	}
	return m, err
}
