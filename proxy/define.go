package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
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
	if err := s.storePlacement(ctx, k.plan.DDL); err != nil {
		return nil, err
	}
	out := &relay{s: s, several: true, parts: t.Parts, class: k.plan.Class}
	if err := s.defineParts(ctx, d, k, out).err(s.e); err != nil {
		return nil, err
	}
	s.forgetPlacement(ctx, k.plan.DDL)
	return out, nil
}

func (s *session) turnReadOnly() bool {
	readOnly := s.set.readOnly
	if s.once.access != plan.AccessDefault {
		readOnly = s.once.access == plan.AccessReadOnly
	}
	return readOnly
}

// defineReport is what happened at each shard.
type defineReport struct {
	shards []xa.ShardID
	errs   []error // nil: executed
}

func (s *session) defineParts(ctx context.Context, d *announcement, k *call, out *relay) defineReport {
	var r defineReport
	for i, part := range out.parts {
		out.part, out.shard = i, shardID(part.Shard)
		_, err := s.definePart(ctx, d, k, part, out)
		r.shards = append(r.shards, out.shard)
		r.errs = append(r.errs, err)
	}
	return r
}

func (s *session) definePart(ctx context.Context, d *announcement, k *call, part plan.Part, out *relay) (reply, error) {
	n := shardID(part.Shard)
	conn, err := s.take(ctx, n)
	if err != nil {
		return reply{}, err
	}
	defer s.give(ctx, n, conn)
	text := &call{plan: k.plan, sql: part.SQL} // definitions have no parameters
	r, err := d.fenced(ctx, n, conn, func() (reply, error) {
		r, err := s.send(ctx, text, conn, nil, part, out)
		if err == nil && r.refused == nil {
			s.note(k.plan, n, conn, out)
		}
		if s.diag.conn == conn {
			_ = s.diag.fetch(ctx) // before other statements follow; the statement is over whatever comes
		}
		return r, err
	})
	var own *Error
	switch {
	case errors.As(err, &own): // it did not begin
		return r, own
	case err != nil:
		return r, s.lostAlone(ctx, k, n, r, err)
	case r.refused != nil:
		return r, r.refused
	}
	return r, nil
}

// err is nil when every shard executed the statement, the shards' own error when
// none did and all say the same, else the list of what happened where.
func (r defineReport) err(e *engine) error {
	var first error
	done, same := 0, true
	for _, err := range r.errs {
		if err == nil {
			done++
			continue
		}
		if first != nil && numberOf(err) != numberOf(first) {
			same = false
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		return nil
	}
	if done == 0 && same {
		return first
	}
	list := make([]string, len(r.errs))
	for i, err := range r.errs {
		list[i] = fmt.Sprintf("%s: done", e.name(r.shards[i]))
		if err != nil {
			list[i] = fmt.Sprintf("%s: %v", e.name(r.shards[i]), err)
		}
	}
	return fail(codePartialDDL, strings.Join(list, "; ")).because(first)
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

// forgetPlacement removes the rules of tables that no longer exist. What cannot
// be removed now refuses a later CREATE with another rule, and harms nothing.
func (s *session) forgetPlacement(ctx context.Context, d *plan.DDL) {
	if d == nil {
		return
	}
	var gone []plan.TableName
	switch d.Verb {
	case plan.DDLDropTable:
		gone = d.Tables
	case plan.DDLDropSchema:
		gone = s.e.catalog.current().placed(d.Schema)
	case plan.DDLOther, plan.DDLCreateTable, plan.DDLAlterTable, plan.DDLTruncateTable, plan.DDLCreateSchema, plan.DDLAlterSchema:
	}
	for _, t := range gone {
		for _, n := range s.e.order {
			if err := s.e.shards[n].Store.DeletePlacement(ctx, t.Schema, t.Name); err != nil {
				s.e.log.Warn("delete placement", slog.String("table", t.Schema+"."+t.Name), slog.String("shard", s.e.name(n)), slog.Any("err", err))
			}
		}
	}
}

// numberOf is a server's error number, 0 for other errors.
func numberOf(err error) uint16 {
	var packet *wire.ServerError
	if errors.As(err, &packet) {
		return packet.Number
	}
	return 0
}
