package proxy

import (
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/xa"
)

// relay hands the reply of one or of several shards to the client: rows as they
// are, definitions and ends written anew for the client's capabilities. The last
// OK is kept until finish: it is told only when the transaction was looked at.
type relay struct {
	s *session
	// skip is how many results of the next reply belong to statements that the
	// session has put in front of the client's.
	skip int
	// several: the replies of several shards are made into one.
	several bool
	feed    *feed      // takes the rows; nil: the client does
	shard   xa.ShardID // that answers now
	parts   []plan.Part
	part    int
	class   plan.Class

	total    wire.OK
	warned   uint16 // of the part that ended last
	affected uint64 // its rows
	told     uint64 // its insert id
	rows     bool   // the end belongs to a result set
	ended    bool
	tally    tally
	copies   bool        // the parts write the copies of a table: the first one's answer is told
	split    *plan.Split // of a split INSERT
	lastID   uint64      // that the part with the statement's last row told
	clock    *clock      // one for all parts; nil: none is needed
	shown    [][]*string // the warnings of the part that ended last, with a clock
	hadID    bool        // LAST_INSERT_ID() of the part's connection was not 0 before
	sent     bool        // the part was sent, with the own statements in front of it
}

// Columns implements backend.Sink.
func (r *relay) Columns(defs [][]byte) error {
	switch {
	case r.skip > 0:
		return nil
	case r.feed != nil:
		r.feed.begin(defs)
		return nil
	}
	return r.s.c.definitions(defs, r.s.status(0))
}

// definitions begins a result set.
func (c *client) definitions(defs [][]byte, status wire.Status) error {
	if err := c.w.Write(wire.AppendColumnCount(nil, len(defs))); err != nil {
		return err
	}
	return c.definitionList(defs, status)
}

// definitionList writes definitions, and an EOF where the client waits for one.
func (c *client) definitionList(defs [][]byte, status wire.Status) error {
	for _, d := range defs {
		if err := c.w.Write(d); err != nil {
			return err
		}
	}
	if len(defs) == 0 || c.caps.Has(wire.DeprecateEOF) {
		return nil
	}
	return c.w.Write(wire.AppendEOF(nil, status, 0))
}

// Row implements backend.Sink.
func (r *relay) Row(p []byte) error {
	switch {
	case r.skip > 0:
		return nil
	case r.feed != nil:
		r.feed.row(p)
		return nil
	}
	return r.s.c.w.Write(p)
}

// End implements backend.Sink.
func (r *relay) End(ok wire.OK, rows bool) error {
	if r.skip > 0 {
		r.skip--
		return nil
	}
	if r.several {
		r.add(ok, rows)
		return nil
	}
	if ok.Status.Has(wire.StatusMoreResults) {
		return r.write(ok, rows)
	}
	r.total, r.rows, r.ended, r.warned, r.told = ok, rows, true, ok.Warnings, ok.InsertID
	return nil
}

// add takes the end of one part. A definition is one thing, however many shards
// execute it.
func (r *relay) add(ok wire.OK, rows bool) {
	r.warned, r.told, r.affected = ok.Warnings, ok.InsertID, ok.Affected
	if r.oneSpeaks() {
		if !r.ended {
			r.total, r.ended = ok, true
		}
		return
	}
	r.total.Affected += ok.Affected
	if r.total.InsertID == 0 {
		r.total.InsertID = ok.InsertID
	}
	if r.hasLastRow() {
		r.lastID = ok.InsertID
	}
	warnings := uint32(r.total.Warnings) + uint32(ok.Warnings)
	r.total.Warnings = uint16(min(warnings, 1<<16-1))
	r.total.Status |= ok.Status &^ wire.StatusMoreResults
	r.rows, r.ended = rows, true
	if r.part < len(r.parts) {
		part := r.parts[r.part]
		r.tally.add(r.class, r.split, part, ok)
		// One row affected is a new one or, to who counts found rows, one left as it was.
		r.tally.lost = r.tally.lost || part.Rows == 1 && ok.Affected == 1 && r.split != nil && r.split.Update && r.s.c.caps.Has(wire.FoundRows)
	}
}

// oneSpeaks reports whether what the first part says is told of the whole.
func (r *relay) oneSpeaks() bool { return r.class == plan.ClassDDL || r.copies }

// hasLastRow reports whether the part that answers has the last row of a split
// INSERT: its id is the one that servers tell, of those that were given.
func (r *relay) hasLastRow() bool {
	if r.part >= len(r.parts) {
		return false
	}
	rows := 0
	for _, p := range r.parts {
		rows += len(p.Origin)
	}
	mine := r.parts[r.part].Origin
	return len(mine) > 0 && mine[len(mine)-1] == rows
}

// settleID finds the insert id of a split INSERT of given numbers. A server that
// has stored or changed any row tells the number of the last one, also when it
// did nothing to that.
func (r *relay) settleID() error {
	switch {
	case r.split == nil || r.total.InsertID == 0:
		return nil
	case r.lastID != 0:
		r.total.InsertID = r.lastID
	case r.split.LastIDUnsure:
		return fail(codeUnsupported, "ON DUPLICATE KEY UPDATE over several shards that leaves the last row as it was: its AUTO_INCREMENT number is not known; insert the rows of one shard at a time")
	default:
		r.total.InsertID = r.split.LastID
	}
	return nil
}

// finish sends the end that was kept.
func (r *relay) finish() error {
	if r.several && !r.rows && !r.oneSpeaks() {
		r.total.Info = r.tally.info()
	}
	return r.write(r.total, r.rows)
}

func (r *relay) write(ok wire.OK, rows bool) error {
	ok.Status = r.s.status(ok.Status) | ok.Status&wire.StatusMoreResults
	ok.Changes = nil // they are the shard's session's
	if rows {
		return r.s.c.w.Write(wire.AppendEnd(nil, r.s.c.caps, ok))
	}
	return r.s.c.ok(ok)
}
