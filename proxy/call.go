package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// call is one execution of a statement.
type call struct {
	plan   *plan.Plan
	sql    string
	stmt   *statement // nil: sent as text
	params []wire.Param
	types  string // of params, as paramTypes has them
	// numbering and ids are of a statement that gives ids to rows, once it is bound.
	numbering *plan.Numbering
	ids       []uint64
	example   bool // of EXPLAIN ROUTE: nothing is executed
}

// values are the parameters as plans see them.
func (k *call) values() []plan.Value {
	if k.stmt == nil {
		return nil
	}
	out := make([]plan.Value, len(k.params))
	for i, p := range k.params {
		out[i] = planValue(p)
	}
	return out
}

func planValue(p wire.Param) plan.Value {
	switch p.Kind() {
	case wire.ParamNull:
		return plan.Value{Kind: plan.ValueNull}
	case wire.ParamInt:
		return plan.Value{Kind: plan.ValueInt, Int: p.Int()}
	case wire.ParamUint:
		return plan.Value{Kind: plan.ValueUint, Uint: p.Uint()}
	case wire.ParamFloat:
		return plan.Value{Kind: plan.ValueFloat, Float: p.Float()}
	case wire.ParamDecimal:
		return plan.Value{Kind: plan.ValueDecimal, Bytes: p.Value}
	case wire.ParamBytes:
		return bytesValue(p)
	case wire.ParamTemporal:
		return plan.Value{Kind: plan.ValueTemporal, Bytes: []byte(p.Text())}
	}
	return plan.Value{Kind: plan.ValueOther}
}

// bytesValue tells text from binary strings by the type that the client gave.
func bytesValue(p wire.Param) plan.Value {
	text := []wire.FieldType{wire.TypeString, wire.TypeVarString, wire.TypeVarChar}
	binary := []wire.FieldType{wire.TypeTinyBlob, wire.TypeMediumBlob, wire.TypeLongBlob, wire.TypeBlob}
	switch {
	case slices.Contains(text, p.Type):
		return plan.Value{Kind: plan.ValueText, Bytes: p.Value}
	case slices.Contains(binary, p.Type):
		return plan.Value{Kind: plan.ValueBinary, Bytes: p.Value}
	}
	return plan.Value{Kind: plan.ValueOther}
}

// chosen are the parameters of one part.
func (k *call) chosen(part plan.Part) []wire.Param {
	if part.Params == nil {
		return k.params
	}
	out := make([]wire.Param, len(part.Params))
	for i, n := range part.Params {
		if own := n - len(k.params); own >= 0 {
			out[i] = wire.Param{Type: wire.TypeLongLong, Unsigned: true, Value: binary.LittleEndian.AppendUint64(nil, part.IDs[own])}
			continue
		}
		out[i] = k.params[n]
	}
	return out
}

// reply is how one shard's execution of a statement ended.
type reply struct {
	// refused is the server's error packet.
	refused *wire.ServerError
	// early: an own statement in front of the client's was refused, and the
	// client's was not executed.
	early bool
	// whole: the refused statement is the client's, not a part of it.
	whole bool
	// clockRuns: the relay's clock was let go at the connection.
	clockRuns bool
	// stopped is why the session's watcher ended it.
	stopped error
}

// send executes one part at a connection, behind own statements of the session
// that the same packet carries. The error is the transport's, or the client's
// when it takes no more.
func (s *session) send(ctx context.Context, k *call, conn *backend.Conn, own []string, part plan.Part, out *relay) (reply, error) {
	var r reply
	var err error
	w := &watcher{active: []*backend.Conn{conn}, alone: k.plan.Class == plan.ClassDDL}
	stopped := s.guardWith(ctx, w, func(ctx context.Context) { r, err = sendPart(ctx, k, conn, own, part, out) })
	r.stopped = stopped
	return r, err
}

// sendPart is send without a watcher. It is called by the goroutine that has the
// connection.
func sendPart(ctx context.Context, k *call, conn *backend.Conn, own []string, part plan.Part, out *relay) (reply, error) {
	var r reply
	var err error
	if out.clock != nil {
		own = append(slices.Clip(own), out.clock.front())
	}
	if k.stmt == nil {
		err = r.text(ctx, conn, own, part.SQL, out)
	} else {
		err = r.prepared(ctx, k, conn, own, part, out)
	}
	if out.clock != nil && !r.clockRuns && !conn.Broken() {
		err = errors.Join(err, letGo(ctx, conn))
	}
	return r, err
}

// text sends COM_QUERY. Own statements share the packet: what is behind a
// statement that fails is not executed.
func (r *reply) text(ctx context.Context, conn *backend.Conn, own []string, sql string, out *relay) error {
	payload := make([]byte, 0, 128+len(sql))
	payload = append(payload, byte(wire.ComQuery))
	for _, o := range own {
		payload = append(append(payload, o...), ';')
	}
	payload = append(payload, sql...)
	out.skip = len(own)
	res, err := r.relay(ctx, conn, payload, out)
	r.early = res.Err != nil && res.Results < len(own)
	return err
}

// prepared sends COM_STMT_EXECUTE. Own statements go first and alone: a packet
// behind a failed one would be executed.
func (r *reply) prepared(ctx context.Context, k *call, conn *backend.Conn, own []string, part plan.Part, out *relay) error {
	if len(own) > 0 {
		refused, err := exec(ctx, conn, own...)
		if err != nil || refused != nil {
			r.refused, r.early = refused, refused != nil
			return err
		}
	}
	stmt, err := conn.PrepareFor(ctx, part.SQL, k.typesOf(part))
	if err != nil {
		if errors.As(err, &r.refused) {
			return nil
		}
		return err
	}
	out.skip = 0
	params := k.chosen(part)
	id := *stmt
	_, err = r.relay(ctx, conn, wire.AppendExecute(nil, id.ID, params), out)
	if conn.Flavor() == xamysql.FlavorMySQL && converts(params) {
		conn.Unprepare(&id)
	}
	return err
}

// relay sends the client's command, and behind it what the relay's clock needs.
func (r *reply) relay(ctx context.Context, conn *backend.Conn, payload []byte, out *relay) (backend.Result, error) {
	if out.feed == nil && !out.several {
		stall := out.s.c.stall
		stall.relay(conn)
		defer stall.relayed()
	}
	res, behind, err := conn.RelayThen(ctx, payload, out, out.then())
	r.refused = res.Err
	if err == nil && out.clock != nil {
		r.clockRuns, err = out.behind(behind)
	}
	return res, err
}

// exec runs own statements, one packet for all, and returns the error packet of
// the first that fails.
func exec(ctx context.Context, conn *backend.Conn, sql ...string) (*wire.ServerError, error) {
	replies, err := conn.Exchange(ctx, xamysql.Command{Kind: xamysql.Query, SQL: strings.Join(sql, ";")})
	if err != nil {
		return nil, err
	}
	for _, r := range replies {
		for _, one := range r.Results {
			if e := one.Err; e != nil {
				return &wire.ServerError{Number: e.Number, State: e.State, Message: e.Message}, nil
			}
		}
	}
	return nil, nil
}

// selectOne runs a SELECT of one row and returns its fields.
func selectOne(ctx context.Context, conn *backend.Conn, sql string) ([]*string, error) {
	rows, err := selectRows(ctx, conn, sql)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, errors.New("a row was expected")
	}
	return rows[0], nil
}

// selectRows runs an own SELECT or SHOW.
func selectRows(ctx context.Context, conn *backend.Conn, sql string) ([][]*string, error) {
	replies, err := conn.Exchange(ctx, xamysql.Command{Kind: xamysql.Query, SQL: sql})
	if err != nil {
		return nil, err
	}
	if len(replies) != 1 || len(replies[0].Results) != 1 {
		return nil, errors.New("one result was expected")
	}
	r := replies[0].Results[0]
	if r.Err != nil {
		return nil, &wire.ServerError{Number: r.Err.Number, State: r.Err.State, Message: r.Err.Message}
	}
	return r.Rows, nil
}

// unknownAlone reports whether the statement may have changed data although its
// answer was lost, outside of any transaction that could be rolled back.
func (k *call) unknownAlone(err error) bool {
	return !k.plan.Reader && xa.EffectOf(err) != xa.EffectNone
}
