package proxy

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"xaproxy/proxy/plan"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// define executes a definition statement at every shard that it concerns, one
// after the other, and says of each what happened when they do not agree. The
// open transaction was committed before, as on a server.
func (s *session) define(ctx context.Context, k *call) error {
	if s.turnReadOnly() {
		return s.tell(fail(codeReadOnly))
	}
	var d *announcement
	var err error
	stopped := s.guardWith(ctx, &watcher{alone: true}, func(ctx context.Context) { d, k, err = s.openDefinition(ctx, k) })
	if stopped != nil && err == nil {
		err = stopped
	}
	var out *relay
	if err == nil {
		out, err = s.defineEverywhere(ctx, d, k)
	}
	_ = s.guardWith(ctx, &watcher{alone: true}, d.close) // its time is bounded
	if err != nil {
		return s.tell(err)
	}
	if d := k.plan.DDL; d != nil && d.Verb == plan.DDLDropSchema && d.Schema == s.set.state.Schema {
		s.set.state.Schema = "" // as on a server
	}
	return out.finish()
}

// defineEverywhere executes the statement at its shards, while no proxy uses
// the tables that it changes.
func (s *session) defineEverywhere(ctx context.Context, d *announcement, k *call) (*relay, error) {
	t, err := s.bind(ctx, k)
	if err != nil {
		return nil, err
	}
	if err := s.renumber(ctx, k.plan.DDL); err != nil {
		return nil, err
	}
	if err := s.storePlacement(ctx, k.plan.DDL); err != nil {
		return nil, err
	}
	if d.stored {
		if err := d.record(ctx, k, t.Parts, s.want()); err != nil {
			d.settlePlacements(ctx, xamysql.DefinitionRefused)
			return nil, err
		}
	}
	out := &relay{s: s, several: true, parts: t.Parts, class: k.plan.Class}
	r := s.defineParts(ctx, d, k, out)
	if err := d.ended(ctx, r); err != nil {
		return nil, err
	}
	return out, nil
}

func (s *session) turnReadOnly() bool {
	readOnly := s.set.readOnly
	if s.once.access != plan.AccessDefault {
		readOnly = s.once.access == plan.AccessReadOnly
	}
	return readOnly
}

// partEnd is what became of a shard's part.
type partEnd uint8

const (
	partUnreached partEnd = iota
	partDone
	partNotBegun // it will not be executed for this session
	partRefused  // by the server
	partUnknown  // the answer was lost
)

// defineReport is what happened at each shard.
type defineReport struct {
	shards []xa.ShardID
	ends   []partEnd
	errs   []error
}

// defineParts executes part after part. The first that is not executed ends it:
// what follows would only have to be undone.
func (s *session) defineParts(ctx context.Context, d *announcement, k *call, out *relay) defineReport {
	r := defineReport{ends: make([]partEnd, len(out.parts)), errs: make([]error, len(out.parts))}
	for _, part := range out.parts {
		r.shards = append(r.shards, shardID(part.Shard))
	}
	for i, part := range out.parts {
		out.part, out.shard = i, r.shards[i]
		if r.ends[i], r.errs[i] = s.definePart(ctx, d, k, part, out); r.ends[i] != partDone {
			break
		}
	}
	return r
}

func (s *session) definePart(ctx context.Context, d *announcement, k *call, part plan.Part, out *relay) (partEnd, error) {
	n := shardID(part.Shard)
	conn, err := s.take(ctx, n)
	if err != nil {
		return partNotBegun, err
	}
	defer s.give(ctx, n, conn)
	text := &call{plan: k.plan, sql: part.SQL} // definitions have no parameters
	r, err := d.fenced(ctx, n, conn, func() (reply, error) {
		r, err := s.send(ctx, text, conn, nil, part, out)
		if err == nil && r.refused == nil {
			s.note(k.plan, n, conn, out)
			d.mark(ctx, n, xamysql.PartDone, "")
		}
		if s.diag.conn == conn {
			_ = s.diag.fetch(ctx) // before other statements follow; the statement is over whatever comes
		}
		return r, err
	})
	var own *Error
	switch {
	case errors.As(err, &own):
		return partNotBegun, err
	case err != nil && !k.unknownAlone(err):
		return partNotBegun, s.lostConnection(ctx, n, err)
	case err != nil:
		return partUnknown, err
	case r.refused != nil:
		return partRefused, r.refused
	}
	return partDone, nil
}

// ended records how the statement ended, and is the client's error: the server's
// own when nothing was changed anywhere, else the list of what happened where.
func (d *announcement) ended(ctx context.Context, r defineReport) error {
	at := slices.IndexFunc(r.ends, func(e partEnd) bool { return e != partDone })
	if at < 0 {
		if err := d.conclude(ctx, xamysql.DefinitionDone); err != nil {
			d.leave(err) // whoever completes it finds that nothing is missing
		}
		return nil
	}
	outcome, err := d.judge(ctx, r, at)
	if err == nil && outcome != xamysql.DefinitionOpen {
		err = d.conclude(ctx, outcome)
	}
	switch {
	case err != nil || outcome == xamysql.DefinitionOpen:
		d.leave(r.errs[at])
		return d.partial(r, at, "what is missing is executed when every shard answers (SHOW DDL)")
	case outcome == xamysql.DefinitionRefused:
		return r.errs[at]
	}
	return d.partial(r, at, "its tables cannot be used before this is repaired: SHOW DDL")
}

// judge says how a statement ended whose part at was not executed; Open: it has
// not.
func (d *announcement) judge(ctx context.Context, r defineReport, at int) (xamysql.DefinitionOutcome, error) {
	end, why := r.ends[at], r.errs[at]
	switch {
	case end == partUnknown, end == partNotBegun && (at > 0 || errors.Is(why, xamysql.ErrChangeTaken)):
		return xamysql.DefinitionOpen, nil
	case end == partNotBegun:
		return xamysql.DefinitionRefused, nil
	}
	d.mark(ctx, r.shards[at], xamysql.PartFailed, why.Error())
	if at > 0 {
		return xamysql.DefinitionStuck, nil
	}
	same, err := d.unchanged(ctx, r.shards[at])
	if err != nil || !same { // DROP TABLE of several tables is not one step at every server
		return xamysql.DefinitionStuck, err
	}
	return xamysql.DefinitionRefused, nil
}

// leave lets the announcement stay, so that the tables are closed until somebody
// has completed the statement.
func (d *announcement) leave(why error) {
	d.left = true
	d.c.e.log.Warn("a definition statement was interrupted; it will be completed", slog.String("id", d.journal), slog.Any("err", why))
}

// partial is the error of a statement that not every shard has executed.
func (d *announcement) partial(r defineReport, at int, next string) error {
	list := make([]string, len(r.ends))
	for i, n := range r.shards {
		text := "not executed"
		switch r.ends[i] {
		case partDone:
			text = "done"
		case partNotBegun, partRefused:
			text = r.errs[i].Error()
		case partUnknown:
			text = "not known: " + r.errs[i].Error()
		case partUnreached:
		}
		list[i] = d.c.e.name(n) + ": " + text
	}
	code := codePartialDDL
	if at == 0 {
		code = codeOutcomeUnknown
	}
	return fail(code, strings.Join(list, "; ")+"; "+next).because(r.errs[at])
}

// storePlacement records the rule of a table before a shard creates it, so that
// no rows can ever be where another rule would not look for them.
func (s *session) storePlacement(ctx context.Context, d *plan.DDL) error {
	if d == nil || d.Created == nil {
		return nil
	}
	t := d.Created
	want := xamysql.Placement{Schema: t.Schema, Table: t.Name, Rule: t.Rule.Text(), Fingerprint: t.Rule.Fingerprint()}
	for _, n := range s.e.order {
		have, err := s.e.shards[n].Store.StorePlacement(ctx, want)
		if err != nil {
			return fail(codeShardDown, s.e.name(n), "the table's placement cannot be stored: "+err.Error()).because(err)
		}
		if have.Fingerprint != want.Fingerprint {
			return fail(codeDefinitionsDiffer, t.Schema+"."+t.Name, "shard "+s.e.name(n)+" has stored the placement "+
				have.Rule+", the statement and the configuration ask for "+want.Rule)
		}
	}
	return nil
}
