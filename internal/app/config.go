package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Config is the configuration file (docs/configuration.md). Unknown and
// duplicate keys are errors that name line and column.
type Config struct {
	Node          uint32                 `yaml:"node"`      // unique per proxy; 0: drawn once and kept in StateDir
	StateDir      string                 `yaml:"state_dir"` // incarnation, certificate, generated passwords
	Listen        ListenConfig           `yaml:"listen"`
	Shards        map[string]ShardConfig `yaml:"shards"`
	Tables        map[string]TableConfig `yaml:"tables"`
	DefaultTable  DefaultTableConfig     `yaml:"default_table"`
	Users         map[string]UserConfig  `yaml:"users"`
	Drain         DrainConfig            `yaml:"drain"`
	Transactions  TransactionsConfig     `yaml:"transactions"`
	Recovery      RecoveryConfig         `yaml:"recovery"`
	Claims        ClaimsConfig           `yaml:"claims"`
	AutoIncrement AutoIncrementConfig    `yaml:"auto_increment"`
	Limits        LimitsConfig           `yaml:"limits"`
	ServerVersion string                 `yaml:"server_version"` // shown to clients; "" = that of the lowest shard number

	// name and source are the file's, for the places of errors.
	name   string
	source []byte
}

// ListenConfig holds the addresses of the ports.
type ListenConfig struct {
	Data  Addresses `yaml:"data"` // host:port or unix:/path, one or a list
	Admin string    `yaml:"admin"`
	HTTP  string    `yaml:"http"` // /livez, /readyz and /metrics; "off" = none
	// ProxyProtocol lists the load balancers (addresses or networks) whose
	// connections begin with a PROXY protocol header.
	ProxyProtocol []string      `yaml:"proxy_protocol"`
	Keepalive     time.Duration `yaml:"keepalive"` // of clients' connections, until the first probe and between probes
}

// Addresses is one address or a list of them.
type Addresses []string

// UnmarshalYAML reads a word or a list.
func (a *Addresses) UnmarshalYAML(n ast.Node) error {
	if word, ok := n.(*ast.StringNode); ok {
		*a = Addresses{word.Value}
		return nil
	}
	var list []string
	if err := yaml.NodeToValue(n, &list, yaml.Strict()); err != nil {
		return err
	}
	*a = list
	return nil
}

// DrainConfig says how the program ends.
type DrainConfig struct {
	Delay time.Duration `yaml:"delay"` // between /readyz and the first closed connection
	Limit time.Duration `yaml:"limit"` // of the transactions that are open
}

// ShardConfig is one server. Its permanent number is kept by the server itself.
type ShardConfig struct {
	DSN string `yaml:"dsn"` // user:password@tcp(host:port)/ or user:password@unix(/path)/, no schema
}

// DefaultTableConfig places tables that have no entry when they are created
// through the proxy: {key: primary}, {shard: NAME} or refuse.
type DefaultTableConfig struct {
	Key    string
	Shard  string
	Refuse bool
}

// UnmarshalYAML reads the mapping or the word refuse.
func (d *DefaultTableConfig) UnmarshalYAML(n ast.Node) error {
	if word, ok := n.(*ast.StringNode); ok {
		if word.Value != "refuse" {
			return fmt.Errorf("default_table: %q is neither a mapping nor the word refuse", word.Value)
		}
		*d = DefaultTableConfig{Refuse: true}
		return nil
	}
	var m struct {
		Key   string `yaml:"key"`
		Shard string `yaml:"shard"`
	}
	if err := yaml.NodeToValue(n, &m, yaml.Strict()); err != nil {
		return err
	}
	switch {
	case m.Key != "" && m.Shard != "":
		return errors.New("default_table: give key or shard, not both")
	case m.Key != "" && m.Key != "primary":
		return fmt.Errorf("default_table.key: %q: only primary is known", m.Key)
	}
	*d = DefaultTableConfig{Key: m.Key, Shard: m.Shard}
	return nil
}

// UserConfig is a login of the data port or, with a role, of the admin port.
type UserConfig struct {
	Password string `yaml:"password"`
	Role     string `yaml:"role"`   // "" (data port) | read | operate | heuristic
	Health   bool   `yaml:"health"` // a load balancer's checks: may have no password, may say SELECT 1 only
}

// When COMMIT of several shards is answered.
const (
	ackFinished = "finished" // when all of them have committed, or Recovery.Phase2Wait is over
	ackDecided  = "decided"  // when the decision is durable
)

// TransactionsConfig says when a commit is answered, and bounds transactions.
type TransactionsConfig struct {
	Ack            string        `yaml:"ack"` // finished | decided
	MaxTime        time.Duration `yaml:"max_time"`
	IdleTime       time.Duration `yaml:"idle_time"`
	PrepareTimeout time.Duration `yaml:"prepare_timeout"`
	LockTimeout    time.Duration `yaml:"lock_timeout"`
}

// RecoveryConfig times beats and recovery; no safety rule depends on it.
type RecoveryConfig struct {
	Beat         time.Duration `yaml:"beat"`
	DeadAfter    time.Duration `yaml:"dead_after"`
	Grace        time.Duration `yaml:"grace"`
	Interval     time.Duration `yaml:"interval"`
	Phase2Wait   time.Duration `yaml:"phase2_wait"`
	SessionLease time.Duration `yaml:"session_lease"`
}

// ClaimsConfig says how long decisions stay recorded after they are carried out.
type ClaimsConfig struct {
	Retain *time.Duration `yaml:"retain"`
}

// AutoIncrementConfig says how rows of sharded tables are numbered.
type AutoIncrementConfig struct {
	Block int `yaml:"block"` // ids that are taken from the shards at a time
}

// LimitsConfig bounds what clients can take.
type LimitsConfig struct {
	Connections      int           `yaml:"connections"`       // of clients
	ShardConnections int           `yaml:"shard_connections"` // per shard, for sessions
	PoolWait         time.Duration `yaml:"pool_wait"`         // longest wait for one of them
	PacketBytes      int           `yaml:"packet_bytes"`
	StatementTime    time.Duration `yaml:"statement_time"`     // of one statement at the shards; 0: no limit
	LoginTime        time.Duration `yaml:"login_time"`         // of a client's login
	SessionStatement int           `yaml:"session_statements"` // prepared statements of one session
	RowsBuffered     int           `yaml:"rows_buffered"`      // of several shards, held to be sorted
	BytesBuffered    int           `yaml:"bytes_buffered"`     // the same
}

// Defaults, each with its reason.
const (
	defaultData  = "0.0.0.0:4406"
	defaultAdmin = "127.0.0.1:4407" // admin verbs can end transactions: this machine only
	defaultHTTP  = "127.0.0.1:4408"
	defaultState = "/var/lib/xaproxy"

	defaultKeepalive  = 15 * time.Second
	defaultDrainLimit = 20 * time.Second // below the 30 s that supervisors commonly give

	defaultMaxTime        = time.Hour        // a forgotten transaction holds locks on every shard
	defaultIdleTime       = 10 * time.Minute // the same, for an application that went quiet inside one
	defaultPrepareTimeout = 10 * time.Second // a shard that cannot prepare within this is treated as down
	defaultLockTimeout    = 10 * time.Second // deadlocks across shards are seen by nobody and end by this
	defaultBeat           = time.Second
	defaultDeadAfter      = 3 * time.Second // three lost beats; a beat is at most a third of it
	defaultGrace          = 10 * time.Second
	defaultInterval       = 30 * time.Second
	defaultPhase2Wait     = time.Second
	defaultLease          = 15 * time.Second // a proxy that is cut off loses its locks after this
	defaultRetain         = 10 * time.Minute
	defaultBlock          = 1000 // one flush for a thousand rows; a proxy that ends skips as many ids
	defaultConnections    = 2000
	defaultShardConns     = 100 // below MySQL's default max_connections of 151
	defaultPoolWait       = 10 * time.Second
	defaultPacket         = 64 << 20 // MySQL's default max_allowed_packet
	defaultLoginTime      = 10 * time.Second
	defaultStatements     = serverStatements
	defaultRowsBuffered   = 1_000_000
	defaultBytesBuffered  = 64 << 20 // a hundred of such statements at a time fit a machine
)

// LoadConfig reads and validates a configuration file.
func LoadConfig(path string) (*Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return ParseConfig(path, b)
}

// ParseConfig decodes b, which is named so in errors (name:line:column), replaces
// ${env:NAME} and ${file:PATH} in strings that may hold secrets, fills in defaults
// and validates.
func ParseConfig(name string, b []byte) (*Config, error) {
	c := &Config{name: name, source: b}
	err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(c)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, c.readError(err)
	}
	if err := c.wholeNumbers(); err != nil {
		return nil, err
	}
	if err := c.expand(); err != nil {
		return nil, err
	}
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) expand() error {
	for name, s := range c.Shards {
		v, err := expandSecret(s.DSN)
		if err != nil {
			return c.keyError(fmt.Errorf("shards.%s.dsn: %w", name, err))
		}
		s.DSN = v
		c.Shards[name] = s
	}
	for name, u := range c.Users {
		v, err := expandSecret(u.Password)
		if err != nil {
			return c.keyError(fmt.Errorf("users.%s.password: %w", name, err))
		}
		u.Password = v
		c.Users[name] = u
	}
	return nil
}

// secretPattern finds ${env:NAME} and ${file:PATH}.
var secretPattern = regexp.MustCompile(`\$\{(env|file):([^}]*)\}`)

func expandSecret(s string) (string, error) {
	var failed error
	out := secretPattern.ReplaceAllStringFunc(s, func(m string) string {
		parts := secretPattern.FindStringSubmatch(m)
		if parts[1] == "env" {
			v, ok := os.LookupEnv(parts[2])
			if !ok {
				failed = errors.Join(failed, fmt.Errorf("environment variable %s is not set", parts[2]))
			}
			return v
		}
		b, err := os.ReadFile(parts[2])
		if err != nil {
			failed = errors.Join(failed, err)
		}
		return strings.TrimRight(string(b), "\r\n")
	})
	return out, failed
}

func orString(p *string, def string) {
	if *p == "" {
		*p = def
	}
}

func orDuration(p *time.Duration, def time.Duration) {
	if *p == 0 {
		*p = def
	}
}

func orInt(p *int, def int) {
	if *p == 0 {
		*p = def
	}
}

func (c *Config) setDefaults() {
	if len(c.Listen.Data) == 0 {
		c.Listen.Data = Addresses{defaultData}
	}
	orDuration(&c.Listen.Keepalive, defaultKeepalive)
	orDuration(&c.Drain.Limit, defaultDrainLimit)
	orString(&c.Listen.Admin, defaultAdmin)
	orString(&c.Listen.HTTP, defaultHTTP)
	orString(&c.StateDir, defaultState)
	if c.DefaultTable == (DefaultTableConfig{}) {
		c.DefaultTable.Key = "primary"
	}
	t := &c.Transactions
	orString(&t.Ack, ackFinished)
	orDuration(&t.MaxTime, defaultMaxTime)
	orDuration(&t.IdleTime, defaultIdleTime)
	orDuration(&t.PrepareTimeout, defaultPrepareTimeout)
	orDuration(&t.LockTimeout, defaultLockTimeout)
	r := &c.Recovery
	orDuration(&r.DeadAfter, defaultDeadAfter)
	orDuration(&r.Beat, min(defaultBeat, r.DeadAfter/3)) // a lone dead_after stays usable
	orDuration(&r.Grace, defaultGrace)
	orDuration(&r.Interval, defaultInterval)
	orDuration(&r.Phase2Wait, defaultPhase2Wait)
	orDuration(&r.SessionLease, defaultLease)
	if c.Claims.Retain == nil {
		retain := defaultRetain
		c.Claims.Retain = &retain
	}
	orInt(&c.AutoIncrement.Block, defaultBlock)
	orInt(&c.Limits.Connections, defaultConnections)
	orInt(&c.Limits.ShardConnections, defaultShardConns)
	orDuration(&c.Limits.PoolWait, defaultPoolWait)
	orInt(&c.Limits.PacketBytes, defaultPacket)
	orDuration(&c.Limits.LoginTime, defaultLoginTime)
	orInt(&c.Limits.SessionStatement, defaultStatements)
	orInt(&c.Limits.RowsBuffered, defaultRowsBuffered)
	orInt(&c.Limits.BytesBuffered, defaultBytesBuffered)
}

func (c *Config) validate() error {
	var errs []error
	found := func(err error) { errs = append(errs, err) }
	bad := func(format string, args ...any) { found(c.keyError(fmt.Errorf(format, args...))) }
	if len(c.Shards) == 0 {
		found(c.at(1, 1, errors.New("shards: name at least one server")))
	}
	c.validateShards(bad)
	c.validateTables(bad, found)
	c.validateUsers(bad)
	c.validateTimes(bad)
	if b := c.AutoIncrement.Block; b < 1 || b > 1<<30 {
		bad("auto_increment.block: %d is not between 1 and %d", b, 1<<30)
	}
	c.validateListen(bad)
	if !filepath.IsAbs(c.StateDir) {
		bad("state_dir: %q is not an absolute path", c.StateDir)
	}
	return errors.Join(errs...)
}

func (c *Config) validateShards(bad func(string, ...any)) {
	seen := map[string]string{}
	for _, name := range sortedKeys(c.Shards) {
		dsn := c.Shards[name].DSN
		if dsn == "" {
			bad("shards.%s.dsn: missing", name)
			continue
		}
		o, err := parseShardDSN(dsn)
		if err != nil {
			bad("shards.%s.dsn: %w", name, err)
			continue
		}
		where := o.Network + "(" + o.Addr + ")"
		if other, twice := seen[where]; twice {
			bad("shards.%s and shards.%s name one server, %s: one shard is one server", other, name, where)
		}
		seen[where] = name
	}
}

func (c *Config) validateUsers(bad func(string, ...any)) {
	for _, name := range sortedKeys(c.Users) {
		u := c.Users[name]
		switch {
		case u.Health && u.Role != "":
			bad("users.%s: health and role exclude each other", name)
		case u.Password == "" && !u.Health:
			bad("users.%s.password: missing; an empty password is not served", name)
		}
		switch u.Role {
		case "", "read", "operate", "heuristic":
		default:
			bad("users.%s.role: %q is none of read, operate, heuristic", name, u.Role)
		}
	}
}

func (c *Config) validateTimes(bad func(string, ...any)) {
	switch c.Transactions.Ack {
	case ackFinished, ackDecided:
	default:
		bad("transactions.ack: %q is neither finished nor decided", c.Transactions.Ack)
	}
	for _, d := range []struct {
		key string
		v   time.Duration
	}{
		{"transactions.max_time", c.Transactions.MaxTime}, {"transactions.idle_time", c.Transactions.IdleTime},
		{"transactions.prepare_timeout", c.Transactions.PrepareTimeout}, {"transactions.lock_timeout", c.Transactions.LockTimeout},
		{"recovery.beat", c.Recovery.Beat}, {"recovery.dead_after", c.Recovery.DeadAfter}, {"recovery.grace", c.Recovery.Grace},
		{"recovery.interval", c.Recovery.Interval}, {"recovery.phase2_wait", c.Recovery.Phase2Wait},
		{"recovery.session_lease", c.Recovery.SessionLease}, {"claims.retain", *c.Claims.Retain},
		{"limits.pool_wait", c.Limits.PoolWait}, {"limits.statement_time", c.Limits.StatementTime}, {"limits.login_time", c.Limits.LoginTime},
		{"listen.keepalive", c.Listen.Keepalive}, {"drain.delay", c.Drain.Delay}, {"drain.limit", c.Drain.Limit},
	} {
		if d.v < 0 {
			bad("%s: %s is negative", d.key, d.v)
		}
	}
	if c.Recovery.SessionLease < time.Second {
		bad("recovery.session_lease: servers count it in whole seconds; give at least 1s")
	}
	if c.Transactions.LockTimeout < time.Second {
		bad("transactions.lock_timeout: servers count it in whole seconds; give at least 1s")
	}
	if c.Recovery.DeadAfter < 2*c.Recovery.Beat {
		bad("recovery.dead_after (%s) must be at least two beats (recovery.beat is %s)", c.Recovery.DeadAfter, c.Recovery.Beat)
	}
}
