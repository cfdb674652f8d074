package proxy

import (
	"context"
	"errors"
	"strings"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/route"
)

// explainRoute is EXPLAIN ROUTE: where a statement would go, one row for each
// shard, or why it would be refused. Nothing is executed; a shard may be asked
// for the weight of a key.
func (s *session) explainRoute(ctx context.Context, sql string) (*Table, error) {
	r := &routeReport{s: s}
	err := r.describe(ctx, sql)
	var refusal *plan.Refusal
	var own *Error
	switch {
	case err == nil:
	case errors.As(err, &own):
		r.refused(own.Number, own.Message, codeOf(own.Number).Next)
	case errors.As(err, &refusal) && refusal.Code != plan.CodeSyntax:
		r.refused(uint16(refusal.Code), refusal.Construct, refusal.Advice)
	default:
		return nil, err
	}
	return &Table{Columns: []Column{{Name: "tier"}, {Name: "shard"}, {Name: "statement"}, {Name: "answer"}, {Name: "notes"},
		{Name: "code", Type: Integer}, {Name: "construct"}, {Name: "advice"}}, Rows: r.rows}, nil
}

// routeReport collects the rows of EXPLAIN ROUTE.
type routeReport struct {
	s    *session
	rows [][]Value
}

// The tiers of EXPLAIN ROUTE.
const (
	tierOne     = "1"       // one shard's answer
	tierSeveral = "2"       // made of several shards' answers
	tierProxy   = "proxy"   // no shard's
	tierRefused = "refused" // none
)

func orNull(text string) Value {
	if text == "" {
		return Null()
	}
	return String(text)
}

func (r *routeReport) add(tier, shard, sql, answer, notes string) {
	r.rows = append(r.rows, []Value{String(tier), orNull(shard), orNull(sql), orNull(answer), orNull(notes), Null(), Null(), Null()})
}

func (r *routeReport) refused(code uint16, construct, advice string) {
	r.rows = [][]Value{{String(tierRefused), Null(), Null(), Null(), Null(), Uint(uint64(code)), orNull(construct), orNull(advice)}}
}

func (r *routeReport) describe(ctx context.Context, sql string) error {
	s := r.s
	p, err := s.plan(ctx, s.env(), sql)
	if err != nil {
		return err
	}
	var notes []string
	if len(p.Variables) > 0 {
		notes = append(notes, "the proxy gives the value of "+strings.Join(p.Variables, ", "))
		if p, sql, err = s.inlined(ctx, p, sql); err != nil {
			return err
		}
	}
	k := &call{plan: p, sql: sql, example: true}
	if !bindable(p) {
		r.add(tierProxy, "", "", "the proxy's own", strings.Join(notes, "; "))
		return nil
	}
	t, err := s.bind(ctx, k)
	if err != nil {
		return err
	}
	suggested := t.Parts[0].Shard
	if err := s.place(k, &t); err != nil {
		return err
	}
	if err := s.permit(k); err != nil {
		return err
	}
	notes = append(notes, s.routeNotes(k, t)...)
	r.targets(t, suggested, strings.Join(notes, "; "), p.Class)
	return nil
}

// targets adds a row for each part.
func (r *routeReport) targets(t plan.Targets, suggested route.Shard, notes string, class plan.Class) {
	tier, answer := tierOne, "that of the shard, as it is"
	switch t.Mode {
	case plan.ModeOne:
	case plan.ModeAny:
		answer += "; any shard can give it"
		if t.Parts[0].Shard != suggested {
			answer += ", this one is at hand"
		}
	case plan.ModeConcat:
		tier, answer = tierSeveral, "the rows of one shard after the other"
	case plan.ModeAll:
		tier, answer = tierSeveral, "affected rows added up"
		switch {
		case class == plan.ClassDDL:
			answer = "that of the first shard, if all executed it"
		case t.Copies:
			answer = "that of the first copy, if all have changed as many rows"
		}
	case plan.ModeMerge:
		tier, answer = tierSeveral, t.Merge.String()
	case plan.ModeInvalid, plan.ModeWeights, plan.ModeNumbers:
	}
	for _, p := range t.Parts {
		r.add(tier, r.s.e.name(shardID(p.Shard)), p.SQL, answer, notes)
	}
}

// routeNotes say what the statement does beside its answer.
func (s *session) routeNotes(k *call, t plan.Targets) []string {
	p := k.plan
	several := len(t.Parts) > 1 || t.Move != nil
	var notes []string
	note := func(is bool, text string) {
		if is {
			notes = append(notes, text)
		}
	}
	note(p.ImplicitCommit, "commits the open transaction first")
	note(p.Class == plan.ClassDDL, "no proxy uses the tables meanwhile, and every shard must answer")
	if p.DDL != nil && p.DDL.Created != nil {
		note(true, "placed by "+p.DDL.Created.Rule.Text())
	}
	note(len(t.IDs) > 0, "the ids of new rows are examples")
	note(p.Locking && p.Reader, "locks what it reads until the transaction's end")
	note(several && s.tx == nil && s.set.autocommit && changes(p.Class) && p.Class != plan.ClassDDL, "a transaction over these shards by itself")
	note(several && s.tx != nil && changes(p.Class), "joins these shards to the open transaction")
	note(t.NeedsClock, "all parts have the time of the first")
	note(t.Choose != nil, "first finds and locks the rows by a SELECT of their primary keys over these shards, then changes exactly these")
	if t.Move != nil {
		note(true, "then carries the rows with the new key to "+s.e.name(shardID(t.Move.To)))
	}
	note(p.Pins&pinned != 0, "ties the session to the shard: "+stateNames(p.Pins&pinned))
	note(s.bound(p) != 0, "goes where the session's state is: "+stateNames(s.bound(p)))
	return notes
}

// bindable reports whether shards execute the statement.
func bindable(p *plan.Plan) bool {
	switch p.Class {
	case plan.ClassSelect, plan.ClassInsert, plan.ClassReplace, plan.ClassUpdate, plan.ClassDelete, plan.ClassDDL, plan.ClassShow:
		return true
	case plan.ClassSet:
		return p.Pins != 0
	case plan.ClassInvalid, plan.ClassBegin, plan.ClassCommit, plan.ClassRollback, plan.ClassSavepoint, plan.ClassUse, plan.ClassOutcome,
		plan.ClassKill, plan.ClassUnlock, plan.ClassWarnings, plan.ClassProcesslist, plan.ClassRoute, plan.ClassDefinitions, plan.ClassComment:
	}
	return false
}
