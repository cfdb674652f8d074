package backend

import (
	"container/list"
	"context"
	"fmt"
	"slices"

	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// Stmt is a prepared statement of a connection.
type Stmt struct {
	ID       uint32
	Params   [][]byte // payloads of the parameters' definitions
	Columns  [][]byte // payloads of the columns' definitions
	Warnings uint16
}

// statementKey is everything that decides what a text means, and how its columns
// are described.
type statementKey struct {
	schema                               string
	sqlMode, charset, collation, results Setting
	text                                 string
	types                                string // of the parameters; "" before the first execution
}

// statements is a cache of prepared statements, least recently used out first.
type statements struct {
	max     int
	byKey   map[statementKey]*list.Element // of *cachedStmt
	order   *list.List                     // front: most recently used
	closing []uint32                       // to be closed with the next write
}

type cachedStmt struct {
	key  statementKey
	stmt Stmt
}

func newStatements(limit int) *statements {
	return &statements{max: limit, byKey: map[statementKey]*list.Element{}, order: list.New()}
}

func (s *statements) find(k statementKey) *Stmt {
	e := s.byKey[k]
	if e == nil {
		return nil
	}
	s.order.MoveToFront(e)
	return &e.Value.(*cachedStmt).stmt
}

// findFor finds the statement of a key with types, else takes one that was not
// executed yet.
func (s *statements) findFor(k statementKey) *Stmt {
	if stmt := s.find(k); stmt != nil || k.types == "" {
		return stmt
	}
	fresh := k
	fresh.types = ""
	e := s.byKey[fresh]
	if e == nil {
		return nil
	}
	delete(s.byKey, fresh)
	s.byKey[k] = e
	s.order.MoveToFront(e)
	cached := e.Value.(*cachedStmt)
	cached.key = k
	return &cached.stmt
}

func (s *statements) add(k statementKey, stmt Stmt) *Stmt {
	cached := &cachedStmt{key: k, stmt: stmt}
	s.byKey[k] = s.order.PushFront(cached)
	if s.order.Len() > s.max {
		s.drop(s.order.Back())
	}
	return &cached.stmt
}

func (s *statements) drop(e *list.Element) {
	cached := s.order.Remove(e).(*cachedStmt)
	delete(s.byKey, cached.key)
	s.closing = append(s.closing, cached.stmt.ID)
}

// dropAll reports whether there was something to drop.
func (s *statements) dropAll() bool {
	had := s.order.Len() > 0
	for s.order.Len() > 0 {
		s.drop(s.order.Back())
	}
	return had
}

func (s *statements) dropID(id uint32) {
	for e := s.order.Front(); e != nil; e = e.Next() {
		if e.Value.(*cachedStmt).stmt.ID == id {
			s.drop(e)
			return
		}
	}
}

// frameClosings puts the closing of statements in front of the next command; the
// server does not answer it.
func (c *Conn) frameClosings() {
	for _, id := range c.stmts.closing {
		c.scratch = wire.AppendStatement(c.scratch[:0], wire.ComStmtClose, id)
		c.out, _ = wire.AppendFrames(c.out, 0, c.scratch)
	}
	c.stmts.closing = c.stmts.closing[:0]
}

// Prepare prepares sql under the state that Sync has set, or finds it in the
// connection's cache. A server's error packet is a *wire.ServerError in the
// error's chain, and the connection is as good as before. The Stmt is valid
// until the next call of Prepare.
func (c *Conn) Prepare(ctx context.Context, sql string) (*Stmt, error) {
	return c.PrepareFor(ctx, sql, "")
}

// PrepareFor is Prepare for an execution with parameters of these types, in any
// notation: a statement that was executed with others is not used. MySQL from
// 8.0.22 on gives parameters the types of an execution and converts the strings of
// later ones to these (manual, PREPARE); MariaDB takes them as they come.
func (c *Conn) PrepareFor(ctx context.Context, sql, types string) (*Stmt, error) {
	if c.flavor != xamysql.FlavorMySQL {
		types = ""
	}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	key := statementKey{schema: c.have.Schema, sqlMode: c.have.SQLMode,
		charset: c.have.CharsetClient, collation: c.have.Collation, results: c.have.CharsetResults, text: sql, types: types}
	if stmt := c.stmts.findFor(key); stmt != nil && !c.unknown {
		return stmt, nil
	}
	if len(sql) >= c.o.MaxPacket {
		return nil, xa.WithEffect(fmt.Errorf("statement of %d bytes: %w", len(sql), wire.ErrPacketTooLarge), xa.EffectNone)
	}
	stmt, refused, err := c.prepareNow(ctx, sql)
	if err == nil && refused != nil && refused.Number == errTooManyStatements && c.stmts.dropAll() {
		stmt, refused, err = c.prepareNow(ctx, sql)
	}
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return nil, xa.WithEffect(fmt.Errorf("prepare: %w", refused), xa.EffectNone)
	}
	return c.stmts.add(key, stmt), nil
}

// errTooManyStatements: all sessions of the server together have as many as
// max_prepared_stmt_count allows.
const errTooManyStatements = 1461

func (c *Conn) prepareNow(ctx context.Context, sql string) (stmt Stmt, refused *wire.ServerError, err error) {
	c.frameClosings()
	c.scratch = append(append(c.scratch[:0], byte(wire.ComStmtPrepare)), sql...)
	var sequence uint8
	c.out, sequence = wire.AppendFrames(c.out, 0, c.scratch)
	err = c.converse(ctx, func() error {
		var err error
		stmt, refused, err = c.prepared(sequence)
		return err
	})
	return stmt, refused, err
}

// Unprepare forgets a statement of Prepare's that will not be used again: it is
// closed with the next command.
func (c *Conn) Unprepare(stmt *Stmt) { c.stmts.dropID(stmt.ID) }

func (c *Conn) prepared(sequence uint8) (Stmt, *wire.ServerError, error) {
	c.r.SetSequence(sequence)
	p, err := c.r.Read()
	if err != nil {
		return Stmt{}, nil, eof(err)
	}
	c.answered = true
	if wire.IsError(p) {
		refused, err := c.failed(p)
		return Stmt{}, refused, err
	}
	head, err := wire.ParsePrepared(p)
	if err != nil {
		return Stmt{}, nil, err
	}
	stmt := Stmt{ID: head.Statement, Warnings: head.Warnings}
	if stmt.Params, err = c.keptDefinitions(int(head.Params)); err != nil {
		return Stmt{}, nil, err
	}
	if stmt.Columns, err = c.keptDefinitions(int(head.Columns)); err != nil {
		return Stmt{}, nil, err
	}
	return stmt, nil, nil
}

func (c *Conn) keptDefinitions(n int) ([][]byte, error) {
	defs, err := c.definitions(n)
	kept := make([][]byte, len(defs))
	for i, d := range defs {
		kept[i] = slices.Clone(d)
	}
	return kept, err
}
