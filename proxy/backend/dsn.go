package backend

import (
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// ErrDSN says that the data source name says something that a shard's must not say.
var ErrDSN = errors.New("not a shard's data source name")

// ParseDSN reads a data source name in go-sql-driver's format, for example
// "user:password@tcp(host:3306)/?tls=true" or "user@unix(/run/mysqld.sock)/".
// It must not name a schema or session variables: clients choose those. Of the
// parameters tls and timeout matter here.
func ParseDSN(dsn string) (Options, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return Options{}, err
	}
	switch {
	case cfg.DBName != "":
		return Options{}, fmt.Errorf("schema %q: a shard is a whole server: %w", cfg.DBName, ErrDSN)
	case len(cfg.Params) > 0:
		return Options{}, fmt.Errorf("session variables: clients set their own: %w", ErrDSN)
	case cfg.Net != "tcp" && cfg.Net != "unix":
		return Options{}, fmt.Errorf("network %q: %w", cfg.Net, ErrDSN)
	}
	return Options{
		Network: cfg.Net, Addr: cfg.Addr, User: cfg.User, Password: cfg.Passwd,
		TLS: cfg.TLS, TLSOptional: cfg.AllowFallbackToPlaintext, DialTimeout: cfg.Timeout,
	}, nil
}
