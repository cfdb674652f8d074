package proxy

import (
	"crypto/tls"
	"log/slog"
	"time"
)

// Port is what the data port and the admin port have in common.
type Port struct {
	// Users knows who may log in.
	Users Users
	// TLS, when set, is offered to clients. Without it they log in in the clear,
	// and caching_sha2_password falls back to its RSA exchange.
	TLS *tls.Config
	// ServerVersion is told to clients in the greeting.
	ServerVersion string
	// Limits bound what clients can take; zero fields get their defaults.
	Limits Limits
	// Log receives one line per event an operator acts on; nil discards.
	Log *slog.Logger
}

// Users looks up logins. Safe for concurrent use; an implementation may change
// its answers at any time.
type Users interface {
	// Lookup returns the user and whether there is one.
	Lookup(name string) (User, bool)
}

// User is a login. Clients prove that they know the password by
// caching_sha2_password or mysql_native_password.
type User struct {
	Name     string
	Password string
	// Role is not read by this package; Handlers decide by it.
	Role string
}

// StaticUsers is an immutable Users, by name.
type StaticUsers map[string]User

// Lookup implements Users.
func (u StaticUsers) Lookup(name string) (User, bool) {
	v, ok := u[name]
	return v, ok
}

// Limits bound what clients can take. The errors that a limit causes name the
// setting written behind it.
type Limits struct {
	Connections int           // limits.connections; 2000
	PacketBytes int           // limits.packet_bytes; 64 MiB
	Login       time.Duration // bound of the whole connection phase; 10 s
	MaxTime     time.Duration // transactions.max_time; 1 h
	IdleTime    time.Duration // transactions.idle_time; 10 min
	Statements  int           // prepared statements of one session; 16382, as max_prepared_stmt_count
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.Connections, 2000)
	orDefault(&l.PacketBytes, 64<<20)
	orDefault(&l.Login, 10*time.Second)
	orDefault(&l.MaxTime, time.Hour)
	orDefault(&l.IdleTime, 10*time.Minute)
	orDefault(&l.Statements, 16382)
	return l
}

func orDefault[T int | time.Duration](p *T, v T) {
	if *p == 0 {
		*p = v
	}
}

func (p Port) withDefaults() Port {
	p.Limits = p.Limits.withDefaults()
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if p.ServerVersion == "" {
		p.ServerVersion = "8.0.36-xaproxy"
	}
	return p
}
