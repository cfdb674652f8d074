package plan

import (
	"slices"
	"strconv"
	"strings"
)

// graft is one change to a statement's text: what stands from at to end is
// replaced.
type graft struct {
	at, end int
	before  string
	id      uint64 // 0: none
	after   string
}

// splicer writes pieces of a statement with grafts, and notes which parameters
// they have.
type splicer struct {
	b      *binding
	grafts []graft // ascending
	marks  paramPlaces
}

func (b *binding) splicer(grafts []graft) *splicer {
	slices.SortStableFunc(grafts, func(x, y graft) int { return x.at - y.at })
	return &splicer{b: b, grafts: grafts, marks: b.paramPlaces()}
}

// write appends the text of a piece to out, and its parameters to p. Ids are
// parameters of their own where the statement was prepared: its text stays the
// same from one execution to the next.
func (s *splicer) write(out *strings.Builder, p *Part, piece span) {
	pos := piece.start
	from, _ := slices.BinarySearchFunc(s.grafts, piece.start, func(e graft, at int) int { return e.at - at })
	for _, e := range s.grafts[from:] {
		if e.at >= piece.end {
			break
		}
		s.copy(out, p, span{pos, e.at})
		out.WriteString(e.before)
		switch {
		case e.id == 0:
		case s.b.given.Prepared:
			out.WriteByte('?')
			p.Params = append(p.Params, len(s.b.params)+len(p.IDs))
			p.IDs = append(p.IDs, e.id)
		default:
			out.WriteString(strconv.FormatUint(e.id, 10))
		}
		out.WriteString(e.after)
		pos = e.end
	}
	s.copy(out, p, span{pos, piece.end})
}

func (s *splicer) copy(out *strings.Builder, p *Part, piece span) {
	out.WriteString(s.b.sql[piece.start:piece.end])
	p.Params = s.marks.within(p.Params, piece)
}

// whole writes the whole statement for one shard.
func (s *splicer) whole(p Part) Part {
	var out strings.Builder
	s.write(&out, &p, span{0, s.b.end})
	p.SQL = out.String()
	return p
}

// grafts are the changes that an INSERT's text needs: a list of columns where it
// has none, and the ids of rows.
func (in *inserted) grafts(b *binding) ([]graft, error) {
	var grafts []graft
	ids := in.numbers != nil && b.given.Numbered && len(b.given.IDs) > 0
	missing := ids && in.numbers.at < 0 // the column has to be added
	if in.list != "" || missing && in.split {
		e, err := in.listGraft(b, missing)
		if err != nil {
			return nil, err
		}
		grafts = append(grafts, e)
	}
	if !ids {
		return grafts, nil
	}
	if b.code {
		return nil, unsupported("an executable comment in an INSERT that is given ids", "send the code without the comment")
	}
	places, ok := in.idPlaces(b)
	if !ok {
		return nil, unsupported("this spelling of an INSERT that is given ids", "INSERT INTO table (columns) VALUES (...)")
	}
	next := 0
	for i, v := range in.numbers.rows {
		r, err := b.numbered(in.table, in.numbers.column, v, i)
		if err != nil {
			return nil, err
		}
		if !r.Generate {
			continue
		}
		e := places[i]
		e.id = b.given.IDs[next]
		next++
		grafts = append(grafts, e)
	}
	return grafts, nil
}

// listGraft gives the statement its list of columns, or adds the column of ids to
// the one that it has.
func (in *inserted) listGraft(b *binding, missing bool) (graft, error) {
	list := in.list
	if missing {
		id := string(appendName(nil, in.numbers.column.Name))
		if err := b.readable(in.numbers.column.Name); err != nil {
			return graft{}, err
		}
		switch {
		case list != "":
			list = id + ", " + list
		case in.numbers.only:
			list = id
		default: // behind the parenthesis of the statement's own list
			pos, ok := b.ownList()
			if !ok {
				return graft{}, unsupported("this spelling of an INSERT that is given ids", "INSERT INTO table (columns) VALUES (...)")
			}
			return graft{at: pos, end: pos, before: id + ", "}, nil
		}
	}
	pos, inside, ok := b.listPlace()
	if !ok {
		return graft{}, unsupported("this spelling of an INSERT without a list of columns", "INSERT INTO table (columns) VALUES (...)")
	}
	if inside {
		return graft{at: pos, end: pos, before: list}, nil
	}
	return graft{at: pos, end: pos, before: " (" + list + ")"}, nil
}

// idPlaces are where the rows' ids stand, or are to be put.
func (in *inserted) idPlaces(b *binding) ([]graft, bool) {
	if !in.split {
		e, ok := in.setPlace(b)
		return []graft{e}, ok
	}
	lists, ok := b.lists(len(in.numbers.rows))
	if !ok {
		return nil, false
	}
	places := make([]graft, len(lists))
	for i, l := range lists {
		if in.numbers.at < 0 {
			at := int(b.toks[l.start].end)
			places[i] = graft{at: at, end: at, after: ", "}
			if in.numbers.only {
				places[i].after = ""
			}
			continue
		}
		v, ok := b.nth(l, in.numbers.at)
		if !ok {
			return nil, false
		}
		places[i] = graft{at: int(b.toks[v.start].start), end: int(b.toks[v.end-1].end)}
	}
	return places, true
}

// setPlace finds the id of INSERT ... SET, or where to put it.
func (in *inserted) setPlace(b *binding) (graft, bool) {
	set := b.setWord()
	if set < 0 {
		return graft{}, false
	}
	if in.numbers.at < 0 {
		at := int(b.toks[set].end)
		return graft{at: at, end: at, before: " " + string(appendName(nil, in.numbers.column.Name)) + "=", after: ","}, true
	}
	v, ok := b.nth(span{set, len(b.toks)}, in.numbers.at)
	if !ok {
		return graft{}, false
	}
	for i := v.start; i < v.end; i++ {
		if b.op(i, '=') && i+1 < v.end {
			return graft{at: int(b.toks[i+1].start), end: int(b.toks[v.end-1].end)}, true
		}
	}
	return graft{}, false
}

// setWord is the token SET of INSERT ... SET.
func (l *lexed) setWord() int {
	for i := 1; i < len(l.toks); i++ {
		switch {
		case l.op(i, '('): // PARTITION (p): SET itself stands in no parentheses
			end, ok := l.closing(i)
			if !ok {
				return -1
			}
			i = end
		case l.is(i, "SET") && !l.op(i-1, '.'):
			return i
		}
	}
	return -1
}

// nth finds, as tokens, element n of a list that begins behind token l.start and
// ends before token l.end, or at ON DUPLICATE KEY or the row's name.
func (l *lexed) nth(list span, n int) (span, bool) {
	start := list.start + 1
	for i := start; i <= list.end; i++ {
		switch {
		case i == list.end, l.op(i, ','), l.is(i, "ON"), l.is(i, "AS"):
			if n == 0 {
				return span{start, i}, i > start
			}
			if i == list.end || !l.op(i, ',') {
				return span{}, false
			}
			n--
			start = i + 1
		case l.op(i, '('):
			end, ok := l.closing(i)
			if !ok {
				return span{}, false
			}
			i = end
		}
	}
	return span{}, false
}

// lists are the rows behind VALUES, as the tokens of their parentheses.
func (l *lexed) lists(want int) ([]span, bool) {
	i, ok := l.valuesWord()
	if !ok {
		return nil, false
	}
	var found []span
	for i++; ; i++ {
		if l.is(i, "ROW") {
			i++
		}
		end, ok := l.closing(i)
		if !ok {
			return nil, false
		}
		found = append(found, span{i, end})
		if i = end + 1; !l.op(i, ',') {
			break
		}
	}
	return found, len(found) == want && (i == len(l.toks) || l.is(i, "ON") || l.is(i, "AS"))
}
