package faultwire

import "encoding/binary"

// The commands the relay tells apart; all others are answered by one packet.
const (
	comQuit             = 0x01
	comQuery            = 0x03
	comFieldList        = 0x04
	comPing             = 0x0e
	comChangeUser       = 0x11
	comStmtPrepare      = 0x16
	comStmtExecute      = 0x17
	comStmtSendLongData = 0x18
	comStmtClose        = 0x19
	comStmtFetch        = 0x1c
	comStmtBulkExecute  = 0xfa
)

const (
	headerOK     = 0x00
	headerInfile = 0xfb
	headerEOF    = 0xfe
	headerErr    = 0xff

	errProgress = 0xffff // MariaDB's progress report: not the end of anything
)

// step is what a packet of the shard means to the command it answers.
type step uint8

const (
	stepMore      step = iota // more of the same statement's reply follows
	stepStatement             // the statement's reply is complete, another statement's follows
	stepDone                  // the command's reply is complete
)

type replyState uint8

const (
	replyFirst   replyState = iota // first packet of a statement's reply
	replyDefs                      // column or parameter definitions
	replyDefsEOF                   // the EOF behind them
	replyRows
	replyStmt // first packet of COM_STMT_PREPARE's reply
	replyAuth // COM_CHANGE_USER
	replyOne  // one packet
)

// reply follows the shard's answer to one command. It is fed the first frame of
// every packet.
type reply struct {
	caps    capabilities
	state   replyState
	prepare bool // definitions are those of COM_STMT_PREPARE: no rows follow
	binary  bool
	left    int   // definitions to come in this list
	lists   []int // lists of definitions behind this one

	result Result // of the statement whose reply ended last
	stmt   uint32 // COM_STMT_PREPARE's id
}

// Result is what the shard said to one statement.
type Result struct {
	Error   uint16 // the server's error number; 0 for success
	Message string // the server's error text
	InTrans bool   // SERVER_STATUS_IN_TRANS; false with an error, which carries no flags
	Rows    int
}

// newReply returns nil for a command that is not answered.
func newReply(command byte, caps capabilities) *reply {
	r := &reply{caps: caps, state: replyOne}
	switch command {
	case comQuit, comStmtClose, comStmtSendLongData:
		return nil
	case comQuery:
		r.state = replyFirst
	case comStmtExecute, comStmtBulkExecute:
		r.state, r.binary = replyFirst, true
	case comStmtPrepare:
		r.state, r.prepare = replyStmt, true
	case comStmtFetch, comFieldList:
		r.state = replyRows
	case comChangeUser:
		r.state = replyAuth
	}
	return r
}

func (r *reply) feed(p []byte) step {
	if len(p) == 0 {
		if r.state == replyRows {
			r.result.Rows++
		}
		return stepMore
	}
	if p[0] == headerErr {
		return r.failed(p)
	}
	switch r.state {
	case replyOne:
		if p[0] == headerOK {
			r.okStatus(p)
		}
		return stepDone
	case replyAuth:
		if p[0] == headerOK {
			return stepDone
		}
		return stepMore
	case replyFirst:
		return r.first(p)
	case replyStmt:
		return r.prepared(p)
	case replyDefs:
		r.left--
		return r.defined()
	case replyDefsEOF:
		return r.defsEOF(p)
	case replyRows:
		return r.row(p)
	}
	return stepDone
}

func (r *reply) failed(p []byte) step {
	if len(p) < 3 {
		r.result = Result{Error: 1}
		return stepDone
	}
	number := binary.LittleEndian.Uint16(p[1:])
	if number == errProgress {
		return stepMore
	}
	text := p[3:]
	if len(text) > 6 && text[0] == '#' {
		text = text[6:]
	}
	r.result = Result{Error: number, Message: string(text)}
	return stepDone
}

func (r *reply) first(p []byte) step {
	switch p[0] {
	case headerOK:
		return r.end(r.okStatus(p))
	case headerInfile:
		return stepMore // the client sends the file; then an OK or ERR comes
	}
	c := cursor{p: p}
	metadata := byte(1)
	if r.caps.flags&capOptionalMetadata != 0 {
		metadata = c.byte()
	}
	n := int(c.lenenc())
	if r.caps.ext&extCacheMetadata != 0 {
		metadata = c.byte()
	}
	r.result = Result{}
	r.left, r.lists = 0, nil
	if metadata != 0 {
		r.left = n
	}
	return r.defined()
}

func (r *reply) prepared(p []byte) step {
	c := cursor{p: p[1:]}
	r.stmt = c.uint32()
	columns := int(c.uint16())
	params := int(c.uint16())
	c.skip(1 + 2)
	if r.caps.flags&capOptionalMetadata != 0 && c.byte() == 0 {
		columns, params = 0, 0
	}
	r.result = Result{}
	switch {
	case params > 0 && columns > 0:
		r.left, r.lists = params, []int{columns}
	default:
		r.left, r.lists = params+columns, nil
	}
	if r.left == 0 {
		return stepDone
	}
	r.state = replyDefs
	return stepMore
}

// defined goes on once a definition was read, or when there are none.
func (r *reply) defined() step {
	r.state = replyDefs
	if r.left > 0 {
		return stepMore
	}
	if r.caps.flags&capDeprecateEOF == 0 {
		r.state = replyDefsEOF
		return stepMore
	}
	return r.nextList()
}

func (r *reply) nextList() step {
	if !r.prepare {
		r.state = replyRows
		return stepMore
	}
	if len(r.lists) == 0 {
		return stepDone
	}
	r.left, r.lists = r.lists[0], r.lists[1:]
	r.state = replyDefs
	return stepMore
}

func (r *reply) defsEOF(p []byte) step {
	c := cursor{p: p[1:]}
	c.skip(2)
	if status := c.uint16(); r.binary && status&statusCursor != 0 {
		return r.end(status) // rows are fetched
	}
	return r.nextList()
}

func (r *reply) row(p []byte) step {
	if p[0] != headerEOF || len(p) == maxPayload {
		r.result.Rows++
		return stepMore
	}
	c := cursor{p: p[1:]}
	if r.caps.flags&capDeprecateEOF == 0 {
		if len(p) > 8 {
			r.result.Rows++
			return stepMore
		}
		c.skip(2)
		return r.end(c.uint16())
	}
	c.lenenc()
	c.lenenc()
	return r.end(c.uint16())
}

// okStatus reads an OK packet's status flags.
func (r *reply) okStatus(p []byte) uint16 {
	c := cursor{p: p[1:]}
	c.lenenc()
	c.lenenc()
	status := c.uint16()
	r.result = Result{InTrans: status&statusInTrans != 0}
	return status
}

func (r *reply) end(status uint16) step {
	r.result.InTrans = status&statusInTrans != 0
	if status&statusMoreResults == 0 {
		return stepDone
	}
	r.state = replyFirst
	return stepStatement
}
