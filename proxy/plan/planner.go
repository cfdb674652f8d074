package plan

// Env is what a plan depends on beside the text. All but the catalog may
// change from statement to statement.
type Env struct {
	Schema     string // the current schema, "" for none
	SQLMode    string // the session's sql_mode as the server has it: the flags that change lexing and meaning are looked at
	Charset    string // character_set_client
	Connection string // character_set_connection; "" means as Charset
	Catalog    Catalog
}

// Options configures a Planner.
type Options struct {
	// CacheSize is how many plans are kept; 0 means DefaultCacheSize, a negative
	// number none.
	CacheSize int
}

// DefaultCacheSize is enough for the statements of a large application.
const DefaultCacheSize = 4096

// Planner makes plans and remembers them by fingerprint.
type Planner struct {
	size int
}

// New returns a planner.
func New(o Options) *Planner {
	return &Planner{size: o.CacheSize}
}

// Plan returns the plan of exactly one statement, or a *Refusal. A trailing
// semicolon is allowed. Nothing but the text is looked at: a plan that was
// returned is valid for the environment and catalog it was made with.
func (p *Planner) Plan(env Env, sql string) (*Plan, error) {
	return nil, unsupported("statements", "")
}

// Bind says where the statement goes. sql must be the text that the plan was
// returned for; params are a prepared statement's parameters, nil for a text
// without any. An error is a *Refusal. When Mode is ModeWeights the caller asks
// a shard (WeightSQL), remembers, and binds again.
func (p *Plan) Bind(sql string, params []Value, w Weights) (Targets, error) {
	return Targets{}, unsupported("statements", "")
}

// WeightSQL is the statement that a shard answers a WeightRequest by: one row of
// two columns in hexadecimal, the text's weight bytes and the bytes of one
// space, the latter empty where the collation does not pad.
func WeightSQL(r WeightRequest) string { return "" }

type lexFlags uint8

type binder interface{}
