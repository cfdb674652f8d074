package backend

// ParseDSN reads a data source name in go-sql-driver's format, for example
// "user:password@tcp(host:3306)/?tls=true" or "user@unix(/run/mysqld.sock)/".
// It must not name a schema or session variables.
func ParseDSN(dsn string) (Options, error) { return Options{}, errSoon }
