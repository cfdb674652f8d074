package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/merge"
	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/tm"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// mapError makes the error that a client is told. It is the only place that
// knows which number an error of the packages below gets.
func (s *session) mapError(err error) *Error {
	var own *Error
	var refusal *plan.Refusal
	var end *tm.EndError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &refusal):
		return refused(refusal)
	case errors.As(err, &end):
		return s.endError(nil, end).because(err)
	}
	return s.shardError(err)
}

// refused is a plan's refusal as an error.
func refused(r *plan.Refusal) *Error {
	state := "HY000"
	switch r.Code {
	case plan.CodeNoDatabase:
		state = "3D000"
	case plan.CodeAccess, plan.CodeSyntax, plan.CodeEmpty, plan.CodeNoSuchSchema:
		state = "42000"
	case plan.CodeNoSuchTable, plan.CodeUnknownTable:
		state = "42S02"
	case plan.CodeColumnCount:
		state = "21S01"
	case plan.CodeParameters, plan.CodeNoKey, plan.CodeUnsupported, plan.CodeUnusable:
	}
	return (&Error{Number: uint16(r.Code), State: state, Message: r.Error()}).because(r)
}

// shardError maps what shards and pools say.
func (s *session) shardError(err error) *Error {
	var down *backend.DownError
	var busy *backend.BusyError
	var packet *wire.ServerError
	var server *xamysql.ServerError
	var full *merge.LimitError
	var inexact *merge.UnsupportedError
	switch {
	case errors.As(err, &down):
		return fail(codeShardDown, down.Name, down.Cause.Error()).because(err)
	case errors.As(err, &busy):
		return fail(codePoolWait, busy.Name, busy.Error()+" (limits.pool_wait, limits.shard_connections)").because(err)
	case errors.As(err, &packet):
		return (&Error{Number: packet.Number, State: packet.State, Message: packet.Message}).because(err)
	case errors.As(err, &server):
		return (&Error{Number: server.Number, State: server.State, Message: server.Message}).because(err)
	case errors.As(err, &full) && full.Rows:
		return fail(codeResultTooLarge, fmt.Sprintf("%d rows", s.e.limits().RowsBuffered), "limits.rows_buffered").because(err)
	case errors.As(err, &full):
		return fail(codeResultTooLarge, fmt.Sprintf("%d bytes", s.e.limits().BytesBuffered), "limits.bytes_buffered").because(err)
	case errors.As(err, &inexact):
		return fail(codeUnsupported, inexact.Construct).because(err)
	case errors.Is(err, merge.ErrOrder):
		return fail(codeUnsupported, "GROUP BY or DISTINCT of values that a server sorts by their beginning only (max_sort_length)").because(err)
	case errors.Is(err, merge.ErrRange):
		return fail(codeUnsupported, "an aggregate whose value is out of its type's range").because(err)
	case errors.Is(err, wire.ErrPacketTooLarge):
		return fail(codePacketTooLarge, s.e.limits().PacketBytes).because(err)
	case errors.Is(err, backend.ErrClosed):
		return fail(codeShutdown).because(err)
	case errors.Is(err, backend.ErrValue):
		return fail(codeUnsupported, err.Error()).because(err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fail(codeInterrupted).because(err)
	}
	return fail(codeInternal, err.Error()).because(err)
}

// endError is a transaction's end as commit-protocol §7.2 S4 words it. t is nil
// when its branches are not known.
func (s *session) endError(t *transaction, end *tm.EndError) *Error {
	switch {
	case end.Heuristic:
		return fail(codeHeuristic, end.Global, causeText(end.Cause))
	case end.Outcome == xa.Aborted:
		return s.abortError(t, end)
	}
	return fail(codeOutcomeUnknown, unknownText(end))
}

func (s *session) abortError(t *transaction, end *tm.EndError) *Error {
	var server *xamysql.ServerError
	switch {
	case len(end.Down) > 0:
		names := make([]string, len(end.Down))
		for i, n := range end.Down {
			names[i] = s.e.name(n)
		}
		return fail(codeShardDown, strings.Join(names, ", "), causeText(end.Cause))
	case t != nil && len(t.branches) == 1 && errors.As(end.Cause, &server):
		// One server, one answer: its own.
		return &Error{Number: server.Number, State: server.State, Message: server.Message}
	case end.Retry:
		return fail(codeDeadlock, causeText(end.Cause))
	}
	return fail(codeAborted, causeText(end.Cause))
}

func causeText(err error) string {
	if err == nil {
		return "no cause is known"
	}
	return err.Error()
}

// unknownText names the gtrid, or says that there is none to ask for.
func unknownText(end *tm.EndError) string {
	if !end.Recorded {
		return causeText(end.Cause) + "; it was a commit at one shard, no record of it exists: look at the data before you try again"
	}
	return "gtrid '" + string(end.Global) + "'; do not try again before XA OUTCOME '" + string(end.Global) +
		"' has told what became of it (" + causeText(end.Cause) + ")"
}
