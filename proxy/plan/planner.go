package plan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // the parser's literal values
)

// Env is what a plan depends on beside the text. All but the catalog may
// change from statement to statement.
type Env struct {
	Schema string // the current schema, "" for none
	// SQLMode is the session's sql_mode. "" means that no mode is set, not the
	// server's default: the session asks for that when it dials.
	SQLMode    string
	Charset    string // character_set_client
	Connection string // character_set_connection; "" means as Charset
	// Collation is collation_connection, in lower case and without the name utf8;
	// "" when it is not known.
	Collation string
	TimeZone  string // the session's time_zone, "" when it is not known
	Catalog   Catalog
	// Weights are needed for definitions of tables that are placed by ranges or
	// lists of strings.
	Weights Weights
}

// Options configures a Planner.
type Options struct {
	// CacheSize is how many plans are kept; 0 means DefaultCacheSize, a negative
	// number none.
	CacheSize int
}

// DefaultCacheSize is enough for the statements of a large application.
const DefaultCacheSize = 4096

// maxCachedKey is the longest fingerprint that is kept: the INSERTs of a
// thousand rows differ anyway, and would fill the memory.
const maxCachedKey = 8 << 10

// Planner makes plans and remembers them by fingerprint.
type Planner struct {
	cache   *cache
	parsers sync.Pool // of *parser.Parser
	scratch sync.Pool // of *scratch
}

// scratch is the memory that one call of Plan or Bind needs.
type scratch struct {
	lexed
	key   []byte
	marks []int32
}

// New returns a planner.
func New(o Options) *Planner {
	size := o.CacheSize
	if size == 0 {
		size = DefaultCacheSize
	}
	return &Planner{
		cache:   newCache(max(size, 0)),
		parsers: sync.Pool{New: func() any { return newParser() }},
		scratch: sync.Pool{New: func() any { return new(scratch) }},
	}
}

func newParser() *parser.Parser {
	p := parser.New()
	p.EnableWindowFunc(true)
	return p
}

// Plan returns the plan of exactly one statement, or a *Refusal. A trailing
// semicolon is allowed. A plan holds for the environment that it was made with:
// after a change of the session's settings or the catalog, plan again.
func (p *Planner) Plan(env Env, sql string) (*Plan, error) {
	flags, err := env.lexFlags()
	if err != nil {
		return nil, err
	}
	s, _ := p.scratch.Get().(*scratch)
	defer p.release(s)
	if err := s.lex(sql, flags); err != nil {
		if onlyComments(err, sql) {
			return &Plan{Class: ClassComment, Reader: true}, nil
		}
		return nil, err
	}
	if s.cacheable() {
		return p.cached(env, s)
	}
	kept := env // escapes, so that the common path need not
	plan, err := p.verb(&kept, s)
	if err != nil {
		return nil, err
	}
	return plan, nil
}

// onlyComments reports whether err says that a text has no statement, and the text
// is not empty either. Servers of both families answer OK to that, and 1065 where
// there is not even a comment (tried on MySQL 9.7, MariaDB 10.11 and 11.8).
func onlyComments(err error, sql string) bool {
	var r *Refusal
	if !errors.As(err, &r) || r.Code != CodeEmpty {
		return false
	}
	sql = strings.TrimLeft(sql, " \t\n\v\f\r")
	return sql != "" && sql[0] != ';'
}

func (p *Planner) release(s *scratch) {
	s.sql, s.unstable = "", nil
	p.scratch.Put(s)
}

// cacheable reports whether the statement is one whose literals are values.
func (l *lexed) cacheable() bool {
	if l.op(0, '(') {
		return true
	}
	if l.toks[0].kind != tokWord {
		return false
	}
	var buf [8]byte
	switch string(upper(buf[:0], l.text(l.toks[0]))) {
	case "SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "TABLE", "VALUES", "DO":
		return true
	case "SET":
		return l.setsUserVariables()
	}
	return false
}

// cached returns the remembered plan of the statement's fingerprint, or makes it.
func (p *Planner) cached(env Env, s *scratch) (*Plan, error) {
	s.key = s.template(s.key[:0])
	n := len(s.key)
	s.key = env.appendKey(s.key, s.flags)
	if plan := p.cache.get(s.key); plan != nil {
		return plan, nil
	}
	kept := env // escapes, so that the common path need not
	plan, err := p.analyse(&kept, s, string(s.key[:n]))
	if err != nil {
		return nil, err
	}
	if len(s.key) <= maxCachedKey {
		p.cache.put(string(s.key), plan)
	}
	return plan, nil
}

// appendKey appends everything but the text that a plan depends on. The
// character sets are in the flags, as far as they matter.
func (e *Env) appendKey(key []byte, flags lexFlags) []byte {
	key = append(key, 0)
	key = append(key, e.Schema...)
	key = append(key, 0)
	key = append(key, e.Collation...)
	key = append(key, 0)
	key = binary.BigEndian.AppendUint16(key, uint16(flags))
	z := zoneOf(e.TimeZone)
	if !z.known {
		z.minutes = math.MaxInt16
	}
	key = binary.BigEndian.AppendUint16(key, uint16(z.minutes))
	return binary.BigEndian.AppendUint64(key, e.Catalog.Version())
}

// lexFlags reads the settings that change how texts are read.
func (e *Env) lexFlags() (lexFlags, error) {
	flags := modeFlags(e.SQLMode)
	if flags&lexOracle != 0 {
		return 0, unsupported("the grammar of sql_mode "+e.SQLMode, "SET sql_mode to a value without ORACLE, MSSQL, DB2, MAXDB, POSTGRESQL and EMPTY_STRING_IS_NULL")
	}
	utf8, known := textCharset(e.Charset)
	if !known {
		return 0, unsupported("the character set "+e.Charset, "SET NAMES utf8mb4")
	}
	if utf8 {
		flags |= lexUTF8
	}
	if !utf8 || e.Connection != "" && !sameText(e.Connection, e.Charset) {
		flags |= lexASCIIOnly
	}
	if !strings.EqualFold(e.Charset, "utf8mb4") {
		flags |= lexBMPOnly
	}
	if f, knows := e.Catalog.(Families); knows && f.OnlyMySQL() {
		flags |= lexOnlyMySQL
	}
	return flags, nil
}

func modeFlags(mode string) lexFlags {
	var flags lexFlags
	for mode != "" {
		var word string
		word, mode, _ = strings.Cut(mode, ",")
		flags |= modeFlag(word)
	}
	return flags
}

func modeFlag(word string) lexFlags {
	var buf [32]byte
	switch string(upper(buf[:0], word)) {
	case "ANSI":
		return lexAnsiQuotes | lexPipesConcat | lexIgnoreSpace
	case "ANSI_QUOTES":
		return lexAnsiQuotes
	case "NO_BACKSLASH_ESCAPES":
		return lexNoBackslash
	case "PIPES_AS_CONCAT":
		return lexPipesConcat
	case "HIGH_NOT_PRECEDENCE":
		return lexHighNot
	case "IGNORE_SPACE":
		return lexIgnoreSpace
	case "PAD_CHAR_TO_FULL_LENGTH":
		return lexPadChar
	case "NO_AUTO_VALUE_ON_ZERO":
		return lexZeroIsValue
	case "ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL", "EMPTY_STRING_IS_NULL":
		return lexOracle
	}
	return 0
}

// parse returns the syntax tree of one statement. The parser's panics (it has
// some, on huge numbers) become errors.
func (p *Planner) parse(text string, flags lexFlags) (node ast.StmtNode, err error) {
	pr, _ := p.parsers.Get().(*parser.Parser)
	defer func() {
		if r := recover(); r != nil {
			node, err = nil, unread(fmt.Sprint(r))
			return // a parser that panicked is not used again
		}
		p.parsers.Put(pr)
	}()
	pr.SetSQLMode(parserMode(flags))
	nodes, _, parseErr := pr.Parse(text, "", "")
	if parseErr != nil {
		return nil, unread(parserMessage(parseErr))
	}
	if len(nodes) != 1 {
		return nil, unread("exactly one statement is expected")
	}
	return nodes[0], nil
}

// parserMode has no ANSI_QUOTES and NO_BACKSLASH_ESCAPES: templates are written
// without regard to them.
func parserMode(flags lexFlags) mysql.SQLMode {
	var m mysql.SQLMode
	if flags&lexPipesConcat != 0 {
		m |= mysql.ModePipesAsConcat
	}
	if flags&lexHighNot != 0 {
		m |= mysql.ModeHighNotPrecedence
	}
	if flags&lexIgnoreSpace != 0 {
		m |= mysql.ModeIgnoreSpace
	}
	return m
}

// parserMessage shortens the parser's message to where it stopped.
func parserMessage(err error) string {
	const longest = 160
	text := err.Error()
	if _, near, ok := strings.Cut(text, "near "); ok {
		text = "near " + near
	}
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return strings.TrimSpace(text)
}

// unread refuses what the parser does not read. The servers may: their grammars
// have more than the parser's.
func unread(why string) *Refusal {
	return unsupported("the proxy cannot read this statement: "+why, "")
}
