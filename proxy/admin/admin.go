// Package admin answers the statements of the admin port: what is in doubt,
// what the shards can prove about a transaction, who the cluster's proxies are,
// and the verbs that finish what a crash left. It turns what the manager and
// the shards report into rows and does not know the wire format.
//
// SHOW statements change nothing. What a verb reports was read again from the
// shards after it acted. A Handler is safe for concurrent use.
package admin

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"xaproxy/proxy"
	"xaproxy/tm"
	"xaproxy/xa"
)

// Role is what an admin account may do. Each role may do what those before it
// may.
type Role string

// The roles. Logins without one have no business on the admin port.
const (
	RoleRead      Role = "read"      // look
	RoleOperate   Role = "operate"   // and finish what the recorded decision says
	RoleHeuristic Role = "heuristic" // reserved for verbs that overrule a decision
)

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return r.rank() > 0 }

func (r Role) rank() int {
	return slices.Index([]Role{"", RoleRead, RoleOperate, RoleHeuristic}, r)
}

// ShardStatus is a row of SHOW SHARDS.
type ShardStatus struct {
	Number  xa.ShardID
	Name    string
	Addr    string
	Version string // as the server greets; "" while it never answered
	Err     error  // of the last attempt to reach it; nil: up
	InUse   int    // connections held by sessions
	Idle    int
	Waiting int // sessions that wait for a connection
}

// Options say what a Handler works with. All fields are needed.
type Options struct {
	Manager *tm.Manager
	// Shards are all that there are now.
	Shards func() []tm.Shard
	// Status asks for the state of every shard. Safe for concurrent use.
	Status func(context.Context) []ShardStatus
	// Definitions knows the definition statements; *proxy.Server of the data port
	// is one.
	Definitions Definitions
	// Drain begins the orderly end of the program and returns at once.
	Drain func()
	// Reload reads the configuration anew and lists what it changed.
	Reload func(context.Context) (*proxy.Table, error)
	// Version is what SELECT @@version answers.
	Version string
}

// Definitions are the definition statements that the shards have recorded.
type Definitions interface {
	// Definitions lists them; the first column is their id.
	Definitions(ctx context.Context) (*proxy.Table, error)
	// RetryDefinition executes what is missing of one that needs a person.
	RetryDefinition(ctx context.Context, id string) error
	// ForgetDefinition settles one that needs a person, who has done so.
	ForgetDefinition(ctx context.Context, id string) error
}

// Handler implements proxy.Handler.
type Handler struct {
	o     Options
	verbs []verb
}

// verb is one statement of the admin port. Its pattern is matched against the
// whole statement without comments, trailing semicolon and outer space.
type verb struct {
	pattern *regexp.Regexp
	role    Role
	run     func(ctx context.Context, args []string) (*proxy.Table, error)
}

// New returns a handler.
func New(o Options) *Handler {
	h := &Handler{o: o}
	add := func(pattern string, role Role, run func(context.Context, []string) (*proxy.Table, error)) {
		re := regexp.MustCompile(`(?is)^` + strings.ReplaceAll(pattern, " ", `\s+`) + `$`)
		h.verbs = append(h.verbs, verb{pattern: re, role: role, run: run})
	}
	const id = `['"]([^'"]*)['"]`
	add(`XA RECOVER(?: CONVERT XID)?`, RoleRead, h.recover)
	add(`SHOW XA TRANSACTIONS`, RoleRead, h.transactions)
	add(`SHOW XA TRANSACTION `+id, RoleRead, h.transaction)
	add(`SHOW SHARDS`, RoleRead, h.shards)
	add(`SHOW NODES`, RoleRead, h.nodes)
	add(`SHOW DDL`, RoleRead, h.definitions)
	add(`DRAIN`, RoleOperate, h.drain)
	add(`RELOAD`, RoleOperate, h.reload)
	add(`DDL RETRY `+id, RoleOperate, h.retryDefinition)
	add(`DDL FORGET `+id, RoleOperate, h.forgetDefinition)
	add(`XA RESOLVE ALL`, RoleOperate, h.resolveAll)
	add(`XA RESOLVE `+id, RoleOperate, h.resolve)
	add(`XA OUTCOME `+id, RoleOperate, h.outcome)
	// What clients say by themselves when they connect.
	add(`SET (?:NAMES|CHARACTER SET|(?:SESSION )?autocommit|(?:SESSION )?sql_mode|@@).*`, RoleRead, nothing)
	add(`SHOW (?:WARNINGS|ERRORS)`, RoleRead, h.warnings)
	add(`SELECT @@(?:version_comment|version)(?: LIMIT 1)?`, RoleRead, h.version)
	add(`SELECT 1`, RoleRead, one)
	return h
}

// Statements lists the forms of the statements that are served, for messages
// and documentation.
func Statements() []string {
	return []string{
		"XA RECOVER", "SHOW XA TRANSACTIONS", "SHOW XA TRANSACTION 'gtrid'", "SHOW SHARDS", "SHOW NODES", "SHOW DDL",
		"XA RESOLVE 'gtrid'", "XA RESOLVE ALL", "XA OUTCOME 'gtrid'", "DDL RETRY 'id'", "DDL FORGET 'id'", "DRAIN", "RELOAD",
	}
}

// Errors of this package, in MySQL's numbers.
const (
	codeParse  = 1064
	codeAccess = 1227
)

// Query implements proxy.Handler.
func (h *Handler) Query(ctx context.Context, c proxy.Client, sql string) (*proxy.Table, error) {
	text := trim(sql)
	for _, v := range h.verbs {
		args := v.pattern.FindStringSubmatch(text)
		if args == nil {
			continue
		}
		if Role(c.User.Role).rank() < v.role.rank() {
			return nil, proxy.NewError(codeAccess, "42000",
				fmt.Sprintf("Access denied; this statement needs the role %s (users.%s.role)", v.role, c.User.Name))
		}
		return v.run(ctx, args[1:])
	}
	return nil, proxy.NewError(codeParse, "42000",
		"The admin port serves only: "+strings.Join(Statements(), "; ")+". Near: "+clip(text, 80))
}

// comments are removed before a statement is matched.
var comments = regexp.MustCompile(`(?s)/\*.*?\*/|(?m:(?:--\s|#).*$)`)

func trim(sql string) string {
	return strings.TrimRight(strings.TrimSpace(comments.ReplaceAllString(sql, " ")), "; \t\r\n")
}

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n]) + "..."
}

func nothing(context.Context, []string) (*proxy.Table, error) { return nil, nil } //nolint:nilnil // OK without rows

func one(context.Context, []string) (*proxy.Table, error) {
	return &proxy.Table{
		Columns: []proxy.Column{{Name: "1", Type: proxy.Integer}},
		Rows:    [][]proxy.Value{{proxy.Uint(1)}},
	}, nil
}

func (h *Handler) drain(context.Context, []string) (*proxy.Table, error) {
	h.o.Drain()
	return nil, nil //nolint:nilnil // OK without rows
}

func (h *Handler) reload(ctx context.Context, _ []string) (*proxy.Table, error) {
	return h.o.Reload(ctx)
}

func (h *Handler) version(context.Context, []string) (*proxy.Table, error) {
	return &proxy.Table{
		Columns: []proxy.Column{{Name: "@@version_comment"}},
		Rows:    [][]proxy.Value{{proxy.String("xaproxy admin port, " + h.o.Version)}},
	}, nil
}

func (h *Handler) warnings(context.Context, []string) (*proxy.Table, error) {
	return &proxy.Table{Columns: []proxy.Column{{Name: "Level"}, {Name: "Code", Type: proxy.Integer}, {Name: "Message"}}}, nil
}

func (h *Handler) shards(ctx context.Context, _ []string) (*proxy.Table, error) {
	t := &proxy.Table{Columns: []proxy.Column{
		{Name: "number", Type: proxy.Integer}, {Name: "shard"}, {Name: "address"}, {Name: "state"}, {Name: "version"},
		{Name: "in_use", Type: proxy.Integer}, {Name: "idle", Type: proxy.Integer}, {Name: "waiting", Type: proxy.Integer},
		{Name: "error"},
	}}
	for _, s := range h.o.Status(ctx) {
		state, why := "up", proxy.Null()
		if s.Err != nil {
			state, why = "down", proxy.String(s.Err.Error())
		}
		t.Rows = append(t.Rows, []proxy.Value{
			proxy.Uint(uint64(s.Number)), proxy.String(s.Name), proxy.String(s.Addr), proxy.String(state), proxy.String(s.Version),
			count(s.InUse), count(s.Idle), count(s.Waiting), why,
		})
	}
	return t, nil
}

func count(n int) proxy.Value { return proxy.Uint(uint64(max(n, 0))) }

func (h *Handler) nodes(ctx context.Context, _ []string) (*proxy.Table, error) {
	t := &proxy.Table{Columns: []proxy.Column{
		{Name: "node", Type: proxy.Integer}, {Name: "incarnation", Type: proxy.Integer}, {Name: "state"}, {Name: "endpoint"},
		{Name: "beat_still_ms", Type: proxy.Integer}, {Name: "shards"}, {Name: "dead_at"},
	}}
	views, errs := h.o.Manager.Nodes(ctx)
	if len(views) == 0 && len(errs) > 0 {
		return nil, fmt.Errorf("no shard's node table could be read: %w", errs[0])
	}
	for _, v := range views {
		t.Rows = append(t.Rows, []proxy.Value{
			proxy.Uint(uint64(v.Node)), proxy.Uint(uint64(v.Incarnation)), proxy.String(v.State.String()), proxy.String(v.Endpoint),
			proxy.Uint(uint64(max(v.Still.Milliseconds(), 0))), proxy.String(h.names(v.Shards)), proxy.String(h.names(v.DeadAt)),
		})
	}
	for _, err := range errs {
		t.Rows = append(t.Rows, []proxy.Value{
			proxy.Null(), proxy.Null(), proxy.String("not read"), proxy.Null(), proxy.Null(), proxy.String(err.Error()), proxy.Null(),
		})
	}
	return t, nil
}

// name is the shard's name, or its number when it is not configured.
func (h *Handler) name(id xa.ShardID) string {
	for _, s := range h.o.Shards() {
		if s.Resource.Shard() == id {
			return s.Resource.Name()
		}
	}
	return fmt.Sprintf("number %d (not configured)", id)
}

func (h *Handler) names(ids []xa.ShardID) string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		names = append(names, h.name(id))
	}
	return strings.Join(names, ",")
}

// byNumber returns the shards in the order of their numbers.
func (h *Handler) byNumber() []tm.Shard {
	return slices.SortedFunc(slices.Values(h.o.Shards()), func(a, b tm.Shard) int {
		return cmp.Compare(a.Resource.Shard(), b.Resource.Shard())
	})
}
