package xamysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Severity says how much a Finding matters.
type Severity uint8

// The severities.
const (
	Broken  Severity = iota // xaproxy does not work, or loses its promise
	Warning                 // works, but somebody should know
	Advice                  // would be better
)

func (s Severity) String() string {
	switch s {
	case Broken:
		return "error"
	case Warning:
		return "warning"
	case Advice:
		return "advice"
	}
	return "invalid severity"
}

// Finding is something that Check found missing or advises.
type Finding struct {
	Severity Severity
	What     string
	Repair   string // SQL that repairs it; empty when no statement can
}

// Oldest versions that keep what was prepared through a disconnect, and a crash.
const (
	oldestMySQL   = "8.0.30"
	oldestMariaDB = "10.5.0"
)

// smallestPacket is what max_allowed_packet should be at least: clients' packets are forwarded whole.
const smallestPacket = 64 << 20

// clockSkew is how far a server's clock may be off before Check says so. No rule of safety depends on clocks.
const clockSkew = 5 * time.Second

// Check examines a server for what a shard must have. It changes nothing. An error means that the server could not be
// asked; what it answered badly is a Finding.
func Check(ctx context.Context, dsn string) ([]Finding, error) {
	var found []Finding
	err := withOne(ctx, dsn, func(c control, dc driverConn) error {
		e, err := examine(ctx, c)
		if err != nil {
			return err
		}
		m, installed, err := readMeta(ctx, dc)
		if err != nil && number(err) != erTableAccess { // a missing privilege is found anyhow
			return err
		}
		found = e.findings()
		if installed && m.Version != SchemaVersion {
			found = append(found, Finding{Broken, m.is(m).Error(), ""})
		}
		return nil
	})
	if number(err) == erAccessDenied {
		return []Finding{{Broken, "login is refused: " + err.Error(), loginRepair(dsn)}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	return found, nil
}

// loginRepair makes the account that the data source name speaks of.
func loginRepair(dsn string) string {
	cfg, err := controlConfig(dsn)
	if err != nil {
		return ""
	}
	account := "'" + cfg.User + "'@'%'"
	return "CREATE USER " + account + " IDENTIFIED BY '...'; GRANT ALL PRIVILEGES ON *.* TO " + account
}

// examined is what Check's questions were answered with.
type examined struct {
	flavor    Flavor
	version   string
	account   string // user@host as the server knows it
	variables map[string]string
	engine    string // support of InnoDB
	skew      time.Duration
	global    privileges // on *.*
	schema    privileges // on xaproxy.*
}

type privileges map[string]bool

func (p privileges) has(name string) bool { return p[name] || p["ALL PRIVILEGES"] }

func examine(ctx context.Context, c control) (examined, error) {
	e := examined{flavor: c.flavor, version: c.version, variables: map[string]string{}, global: privileges{}, schema: privileges{}}
	all, err := c.list(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin','binlog_format','sync_binlog',"+
		"'innodb_flush_log_at_trx_commit','max_allowed_packet','xa_detach_on_prepare','read_only','binlog_order_commits','wsrep_on',"+
		"'innodb_doublewrite')")
	if err != nil {
		return e, err
	}
	for _, row := range all {
		e.variables[strings.ToLower(row[0])] = strings.ToUpper(row[1])
	}
	if e.engine, err = c.one(ctx, "SELECT COALESCE(MAX(SUPPORT),'') FROM information_schema.engines WHERE ENGINE='InnoDB'"); err != nil {
		return e, err
	}
	if e.account, err = c.one(ctx, "SELECT CURRENT_USER()"); err != nil {
		return e, err
	}
	before := time.Now()
	now, err := c.one(ctx, "SELECT UNIX_TIMESTAMP()")
	if err != nil {
		return e, err
	}
	seconds, err := strconv.ParseInt(now, 10, 64)
	if err != nil {
		return e, fmt.Errorf("server's clock: %w", err)
	}
	e.skew = time.Unix(seconds, 0).Sub(before)
	return e, e.readGrants(ctx, c)
}

// readGrants reads what the account may do, directly and by the roles that are active in a new session.
func (e *examined) readGrants(ctx context.Context, c control) error {
	show := "SHOW GRANTS"
	if e.flavor == FlavorMySQL {
		roles, err := c.one(ctx, "SELECT CURRENT_ROLE()")
		if err != nil {
			return err
		}
		if roles != "" && roles != "NONE" {
			show = "SHOW GRANTS FOR CURRENT_USER() USING " + roles
		}
	}
	all, err := c.list(ctx, show)
	if err != nil {
		return err
	}
	for _, row := range all {
		e.grant(row[0])
	}
	return nil
}

// grant reads one line of SHOW GRANTS: GRANT a, b ON object TO account ...; a role's line has no ON.
func (e *examined) grant(line string) {
	rest, ok := strings.CutPrefix(line, "GRANT ")
	names, rest, on := strings.Cut(rest, " ON ")
	object, _, to := strings.Cut(rest, " TO ")
	if !ok || !on || !to {
		return
	}
	for name := range strings.SplitSeq(names, ",") {
		name = strings.ToUpper(strings.TrimSpace(name))
		switch strings.Trim(object, "`") {
		case "*.*":
			e.global[name] = true
			e.schema[name] = true
		case "xaproxy`.*", "xaproxy.*":
			e.schema[name] = true
		}
	}
}

// who is the account as GRANT takes it.
func (e examined) who() string {
	at := strings.LastIndexByte(e.account, '@')
	if at < 0 {
		return "'" + e.account + "'"
	}
	return "'" + e.account[:at] + "'@'" + e.account[at+1:] + "'"
}

// set is the statement that changes a setting for good, as far as a statement can.
func (e examined) set(name, value string) string {
	if e.flavor == FlavorMySQL {
		return "SET PERSIST " + name + "=" + value
	}
	return "SET GLOBAL " + name + "=" + value + " /* and " + name + "=" + value + " in the server's configuration file */"
}

func (e examined) findings() []Finding {
	var f []Finding
	f = append(f, e.server()...)
	f = append(f, e.durability()...)
	f = append(f, e.settings()...)
	f = append(f, e.rights()...)
	return f
}

// server looks at version and engine.
func (e examined) server() []Finding {
	var f []Finding
	oldest := oldestMySQL
	if e.flavor == FlavorMariaDB {
		oldest = oldestMariaDB
	}
	if olderThan(e.version, oldest) {
		f = append(f, Finding{Broken, fmt.Sprintf("%s %s is too old: prepared branches do not survive; %s is the oldest that works", e.flavor, e.version, oldest), ""})
	}
	if e.engine != "YES" && e.engine != "DEFAULT" {
		f = append(f, Finding{Broken, "InnoDB is not available", ""})
	}
	if e.variables["wsrep_on"] == "ON" {
		f = append(f, Finding{Broken, "Galera is on: it does not support XA transactions", ""})
	}
	if e.skew.Abs() > clockSkew {
		f = append(f, Finding{Warning, fmt.Sprintf("server's clock is %s off this machine's: ages of claims are misjudged by as much", e.skew.Round(time.Second)), ""})
	}
	return f
}

// olderThan compares versions by their first three numbers.
func olderThan(version, oldest string) bool {
	have, want := numbers(version), numbers(oldest)
	for i := range want {
		if have[i] != want[i] {
			return have[i] < want[i]
		}
	}
	return false
}

func numbers(version string) [3]int {
	var n [3]int
	// MariaDB may put "5.5.5-" in front for old replicas.
	version = strings.TrimPrefix(version, "5.5.5-")
	for i, part := range strings.SplitN(version, ".", 3) {
		digits := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' })
		if digits >= 0 {
			part = part[:digits]
		}
		v, err := strconv.Atoi(part)
		if err != nil {
			return n
		}
		n[i] = v
	}
	return n
}

// durability looks at what makes an acknowledged commit survive a crash.
func (e examined) durability() []Finding {
	var f []Finding
	v := e.variables
	if v["innodb_flush_log_at_trx_commit"] != "1" {
		f = append(f, Finding{Broken, "innodb_flush_log_at_trx_commit is " + v["innodb_flush_log_at_trx_commit"] + ": acknowledged commits may be lost in a crash",
			e.set("innodb_flush_log_at_trx_commit", "1")})
	}
	if v["log_bin"] == "ON" && v["sync_binlog"] != "1" {
		f = append(f, Finding{Broken, "sync_binlog is " + v["sync_binlog"] + ": acknowledged commits may be lost in a crash", e.set("sync_binlog", "1")})
	}
	if v["innodb_doublewrite"] == "OFF" {
		f = append(f, Finding{Warning, "innodb_doublewrite is off: a page torn by a power cut is lost", e.set("innodb_doublewrite", "ON")})
	}
	return f
}

// settings looks at what the protocol's statements need.
func (e examined) settings() []Finding {
	var f []Finding
	v := e.variables
	if v["log_bin"] == "ON" && v["binlog_format"] == "STATEMENT" {
		f = append(f, Finding{Broken, "binlog_format is STATEMENT: fences and collection fail in READ COMMITTED (error 1665)", e.set("binlog_format", "ROW")})
	}
	if n, err := strconv.Atoi(v["max_allowed_packet"]); err == nil && n < smallestPacket {
		f = append(f, Finding{Warning, fmt.Sprintf("max_allowed_packet is %d: larger statements of clients are refused", n),
			e.set("max_allowed_packet", strconv.Itoa(smallestPacket))})
	}
	if r := v["read_only"]; r != "OFF" && r != "" {
		f = append(f, Finding{Broken, "server is read only: a shard is a primary", "SET GLOBAL read_only=OFF"})
	}
	if e.flavor != FlavorMySQL {
		return f
	}
	if v["xa_detach_on_prepare"] == "OFF" {
		f = append(f, Finding{Broken, "xa_detach_on_prepare is off: prepared branches block their sessions and cannot be settled by others", e.set("xa_detach_on_prepare", "ON")})
	}
	if v["log_bin"] == "ON" && v["binlog_order_commits"] == "ON" {
		f = append(f, Finding{Advice, "binlog_order_commits is on: XA COMMITs are flushed one after the other; off is faster (not tested with replica_preserve_commit_order or physical backups)",
			e.set("binlog_order_commits", "OFF")})
	}
	return f
}

// rights looks at what the account may do.
func (e examined) rights() []Finding {
	var f []Finding
	need := func(sev Severity, have bool, privilege, object, why string) {
		if !have {
			f = append(f, Finding{sev, "account " + e.account + " lacks " + privilege + ": " + why, "GRANT " + privilege + " ON " + object + " TO " + e.who()})
		}
	}
	g := e.global
	need(Broken, g.has("PROCESS"), "PROCESS", "*.*", "it does not see whether a session of another account is gone")
	switch e.flavor {
	case FlavorMySQL:
		need(Broken, g.has("XA_RECOVER_ADMIN"), "XA_RECOVER_ADMIN", "*.*", "prepared branches cannot be listed (the server says error 1401)")
		need(Broken, g.has("CONNECTION_ADMIN") || g.has("SUPER"), "CONNECTION_ADMIN", "*.*", "sessions that are in the way of recovery cannot be ended")
	case FlavorMariaDB:
		need(Broken, g.has("CONNECTION ADMIN"), "CONNECTION ADMIN", "*.*", "sessions that are in the way of recovery cannot be ended")
		need(Advice, g.has("READ_ONLY ADMIN") || g.has("READ ONLY ADMIN"), "READ_ONLY ADMIN", "*.*", "branches cannot be ended while the server is switched to read_only")
	case FlavorUnknown:
		f = append(f, Finding{Broken, "server is neither MySQL nor MariaDB", ""})
	}
	var missing []string
	for _, p := range []string{"CREATE", "SELECT", "INSERT", "UPDATE", "DELETE"} {
		if !e.schema.has(p) {
			missing = append(missing, p)
		}
	}
	need(Broken, len(missing) == 0, strings.Join(missing, ", "), "xaproxy.*", "the claims are kept there")
	if strings.HasPrefix(e.account, "root@") {
		f = append(f, Finding{Warning, "account is root: clients act with its rights", e.ownAccount()})
	}
	return f
}

// ownAccount makes an account that has what xaproxy itself needs.
func (e examined) ownAccount() string {
	dynamic := "PROCESS, CONNECTION ADMIN"
	if e.flavor == FlavorMySQL {
		dynamic = "PROCESS, CONNECTION_ADMIN, XA_RECOVER_ADMIN"
	}
	return "CREATE USER 'xaproxy'@'%' IDENTIFIED BY '...'; GRANT " + dynamic + " ON *.* TO 'xaproxy'@'%'; " +
		"GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON xaproxy.* TO 'xaproxy'@'%'; /* and what clients may do in their schemas */"
}
