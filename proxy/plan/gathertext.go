package plan

import (
	"math"
	"strconv"
	"strings"
)

// edit is a change of the client's text: the pieces stand in the place of some
// tokens, or, when it is empty, behind the token before.
type edit struct {
	at     tokens
	pieces []piece
}

// piece is a text that has a part of the client's in it.
type piece struct {
	before string
	at     tokens // of the client's text; empty: none
	after  string
	limit  bool // the number of rows that a shard has to return at most
}

// limitEdit widens the shards' LIMIT, or takes it out.
func (g *gatherer) limitEdit() {
	at := g.at.limit
	switch {
	case !g.out.limit.pushed:
		g.out.edits = append(g.out.edits, edit{at: at})
	case g.out.limit.offsets:
		g.out.edits = append(g.out.edits, edit{tokens{at.from + 1, at.to}, []piece{{limit: true}}})
	}
}

// numbers are the rows to return and to pass over.
func (l *limit) numbers(b *binding) (count, offset uint64, err error) {
	count, ok := b.rowCount(l.count)
	if ok && l.offsets {
		offset, ok = b.rowCount(l.offset)
	}
	if !ok {
		return 0, 0, unsupported("this value for LIMIT over several shards", "give it as a whole number")
	}
	return count, offset, nil
}

// widened is how many rows a shard has to return.
func (l *limit) widened(count, offset uint64) uint64 {
	switch {
	case count == 0:
		return 0
	case count > math.MaxUint64-offset:
		return math.MaxUint64
	}
	return count + offset
}

// signed is a number of rows as an int64: nothing has more.
func signed(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// rowCount reads a number of LIMIT.
func (b *binding) rowCount(v value) (uint64, bool) {
	var n number
	f := fitInexact
	switch v.kind {
	case valueLiteral:
		if t, ok := b.literal(v.index); ok && t.kind == tokInt {
			n, f = parseNumber(b.text(t), tokInt)
		}
	case valueParam:
		if v.index < len(b.params) && (b.params[v.index].Kind == ValueInt || b.params[v.index].Kind == ValueUint) {
			n, f = b.params[v.index].number()
		}
	case valueOther, valueNull, valueDefault, valueInsertID, valueGenerated:
	}
	return n.magnitude, f == fitExact && !n.negative
}

// text is what each shard gets, and the parameters that it has.
func (g *gathering) text(b *binding) (string, []int, error) {
	if len(g.edits) == 0 {
		return b.statement(), nil, nil
	}
	w := textWriter{b: b, marks: b.paramPlaces()}
	for _, e := range g.edits {
		from := int(b.toks[e.at.from-1].end)
		to := from
		if !e.at.empty() {
			from, to = int(b.toks[e.at.from].start), int(b.toks[e.at.to-1].end)
		}
		w.copy(from)
		w.pos = to
		for _, p := range e.pieces {
			if p.limit {
				count, offset, err := g.limit.numbers(b)
				if err != nil {
					return "", nil, err
				}
				w.out.WriteString(strconv.FormatUint(g.limit.widened(count, offset), 10))
			}
			w.piece(p)
		}
	}
	w.copy(b.end)
	return w.out.String(), w.params, nil
}

// textWriter writes a text that is made of the client's.
type textWriter struct {
	b      *binding
	marks  paramPlaces
	out    strings.Builder
	params []int
	pos    int // what comes next of the client's text
}

// copy goes on with the client's text up to a place.
func (w *textWriter) copy(to int) {
	w.take(span{w.pos, to})
	w.pos = to
}

func (w *textWriter) take(s span) {
	w.out.WriteString(w.b.sql[s.start:s.end])
	w.params = w.marks.within(w.params, s)
}

func (w *textWriter) piece(p piece) {
	w.out.WriteString(p.before)
	if !p.at.empty() {
		w.take(span{int(w.b.toks[p.at.from].start), int(w.b.toks[p.at.to-1].end)})
	}
	w.out.WriteString(p.after)
}
