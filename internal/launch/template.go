package launch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// template is an initialized data directory that was cleanly shut down; servers start on copies of it. It is stored as
// the marker that the initialization was completed.
type template struct {
	Recipe       int
	Installation installation
	Data         string
	Password     string // of the accounts xaproxy and root
}

const (
	accountUser = "xaproxy"
	rootUser    = "root"
)

// ensureTemplate initializes the template of an installation in dir, once for all processes.
func ensureTemplate(ctx context.Context, e Engine, inst installation, dir string, say progress) (*template, error) {
	if t, ok := completedTemplate(dir, inst); ok {
		return t, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	l, err := lock(ctx, dir+".lock", func() { say.linef("waiting for another process that initializes %s", e.title()) })
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if t, ok := completedTemplate(dir, inst); ok {
		return t, nil
	}
	start := time.Now()
	say.linef("initializing a template data directory for %s (%s)", e.product(inst.Version), inst.Server)
	t := &template{
		Recipe: templateRecipe, Installation: inst,
		Data: filepath.Join(dir, "template"), Password: rand.Text(),
	}
	scratch := filepath.Join(dir, "scratch")
	r := runner{lock: l, env: inst.env()}
	if err := errors.Join(os.RemoveAll(t.Data), os.RemoveAll(scratch)); err != nil {
		return nil, fmt.Errorf("clear half a template: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(scratch, "tmp"), 0o755); err != nil {
		return nil, err
	}
	if e == MySQL {
		err = t.initializeMySQL(ctx, r, scratch)
	} else {
		err = t.initializeMariaDB(ctx, r, e, scratch)
	}
	if err != nil {
		return nil, fmt.Errorf("initialize %s: %w", e.product(inst.Version), err)
	}
	if err := os.RemoveAll(scratch); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(dir, "template.json"), t); err != nil {
		return nil, fmt.Errorf("mark the template complete: %w", err)
	}
	say.linef("initialized %s in %s", e.product(inst.Version), seconds(time.Since(start)))
	return t, nil
}

// completedTemplate returns the template in dir if it is whole and made by this installation.
func completedTemplate(dir string, inst installation) (*template, bool) {
	t := new(template)
	ok, err := readJSON(filepath.Join(dir, "template.json"), t)
	ok = ok && err == nil && t.Recipe == templateRecipe
	return t, ok && t.Installation == inst && t.Data == filepath.Join(dir, "template")
}

// initializeMySQL runs the server's own initialization, which creates the accounts and the keys of TLS and
// caching_sha2_password too.
func (t *template) initializeMySQL(ctx context.Context, r runner, scratch string) error {
	accounts := filepath.Join(scratch, "accounts.sql")
	sql := fmt.Sprintf("CREATE USER '%[1]s'@'%%' IDENTIFIED WITH caching_sha2_password BY '%[3]s';\n"+
		"GRANT ALL PRIVILEGES ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;\n"+
		"CREATE USER '%[2]s'@'%%' IDENTIFIED WITH caching_sha2_password BY '%[3]s';\n"+
		"GRANT ALL PRIVILEGES ON *.* TO '%[2]s'@'%%' WITH GRANT OPTION;\n"+
		"ALTER USER '%[2]s'@'localhost' IDENTIFIED BY '%[3]s';\n", accountUser, rootUser, t.Password)
	if err := os.WriteFile(accounts, []byte(sql), 0o600); err != nil {
		return err
	}
	config, err := t.writeConfig(MySQL, scratch, map[string]string{"init_file": accounts})
	if err != nil {
		return err
	}
	if _, err := r.run(ctx, nil, t.Installation.Server, "--defaults-file="+config, "--initialize-insecure"); err != nil {
		return withLog(err, scratch)
	}
	// Each copy makes a server_uuid of its own.
	if err := os.Remove(filepath.Join(t.Data, "auto.cnf")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// initializeMariaDB runs mariadb-install-db, then creates the accounts by a second bootstrap run.
func (t *template) initializeMariaDB(ctx context.Context, r runner, e Engine, scratch string) error {
	config, err := t.writeConfig(e, scratch, nil)
	if err != nil {
		return err
	}
	install := []string{
		"--defaults-file=" + config, "--datadir=" + t.Data, "--tmpdir=" + filepath.Join(scratch, "tmp"),
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
	}
	if t.Installation.Basedir != "" {
		install = append(install, "--basedir="+t.Installation.Basedir)
	}
	if os.Geteuid() == 0 {
		install = append(install, "--user=root")
	}
	if _, err := r.run(ctx, nil, t.Installation.InstallDB, install...); err != nil {
		return withLog(err, scratch)
	}
	sql := fmt.Sprintf("FLUSH PRIVILEGES;\n"+
		"DELETE FROM mysql.global_priv WHERE user IN ('', '%[2]s');\nFLUSH PRIVILEGES;\n"+
		"CREATE USER '%[1]s'@'%%' IDENTIFIED VIA mysql_native_password USING PASSWORD('%[3]s');\n"+
		"GRANT ALL PRIVILEGES ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;\n"+
		"CREATE USER '%[2]s'@'%%' IDENTIFIED VIA mysql_native_password USING PASSWORD('%[3]s');\n"+
		"GRANT ALL PRIVILEGES ON *.* TO '%[2]s'@'%%' WITH GRANT OPTION;\n"+
		"CREATE USER '%[2]s'@'localhost' IDENTIFIED VIA mysql_native_password USING PASSWORD('%[3]s');\n"+
		"GRANT ALL PRIVILEGES ON *.* TO '%[2]s'@'localhost' WITH GRANT OPTION;\n", accountUser, rootUser, t.Password)
	if _, err := r.run(ctx, []byte(sql), t.Installation.Server, "--defaults-file="+config, "--bootstrap"); err != nil {
		return withLog(err, scratch)
	}
	if versionNumber(t.Installation.Version) >= firstWithTLS {
		return writeCertificate(t.Data)
	}
	return nil
}

// writeConfig writes the options of an initializing run on the template's data directory.
func (t *template) writeConfig(e Engine, scratch string, extra map[string]string) (string, error) {
	c := configuration{engine: e, installation: t.Installation, dir: scratch, data: t.Data, socket: filepath.Join(scratch, "s")}
	path := filepath.Join(scratch, "my.cnf")
	return path, c.write(path, extra)
}

// withLog adds the tail of the folder's error log to an error.
func withLog(err error, dir string) error {
	if err == nil {
		return nil
	}
	b, readErr := os.ReadFile(filepath.Join(dir, "error.log"))
	if readErr != nil || len(b) == 0 {
		return err
	}
	return fmt.Errorf("%w\nerror log:\n%s", err, lastLines(string(b), 15))
}
