package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The recipes are raised whenever the way that servers are unpacked, or templates are made, changes: what older code
// left in the cache is then made anew.
const (
	fetchRecipe    = 1
	templateRecipe = 1
)

// installation is an engine's programs on this machine. It is stored as the marker that the fetch was completed.
type installation struct {
	Recipe    int
	Root      string // where it was unpacked; the programs run nowhere else
	Version   string // as the server names itself, e.g. "9.7.4"
	Server    string // mysqld or mariadbd
	Basedir   string // "" = the server's own default
	PluginDir string // "" = the server's own default
	InstallDB string // mariadb-install-db; "" for MySQL
}

// UnavailableError says that an engine cannot be had on this machine, what was looked for and what to install.
type UnavailableError struct {
	Engine Engine
	Fetch  error // why it was not fetched
	Path   error // why no server of PATH is used
}

// Error implements error.
func (e *UnavailableError) Error() string {
	install := "mysql-server"
	if e.Engine.Family() == familyMariaDB {
		install = "mariadb-server"
	}
	return fmt.Sprintf("%s is not to be had: Debian packages: %v; program %s on PATH: %v. Install %s, or let %s name a folder with its programs",
		e.Engine.title(), e.Fetch, e.Engine.serverProgram(), e.Path, install, e.Engine.folderVariable())
}

// Unwrap returns the reasons.
func (e *UnavailableError) Unwrap() []error { return []error{e.Fetch, e.Path} }

// Ensure makes the engine ready to start: it is fetched, unpacked and a template data directory initialized, unless that
// was done before. The first call takes seconds to minutes and says each step through progress (nil = quiet), one line a
// call. Other processes that need the engine meanwhile wait. The error is an [*UnavailableError] if the machine cannot
// have the engine.
func Ensure(ctx context.Context, e Engine, progress func(string)) error {
	_, err := ensure(ctx, e, newProgress(progress))
	return err
}

// ensure returns the template to start copies of.
func ensure(ctx context.Context, e Engine, say progress) (*template, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "servers", string(e))
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	if folder := os.Getenv(e.folderVariable()); folder != "" {
		inst, err := installationInFolder(ctx, e, folder)
		if err != nil {
			return nil, fmt.Errorf("%s=%s: %w", e.folderVariable(), folder, err)
		}
		return inst.ensureTemplate(ctx, e, cache, say)
	}
	if inst, ok := completed(dir); ok {
		return ensureTemplate(ctx, e, inst, dir, say)
	}
	fetchErr := aptOnThisMachine()
	if fetchErr == nil {
		var inst installation
		if inst, fetchErr = fetch(ctx, e, dir, say); fetchErr == nil {
			return ensureTemplate(ctx, e, inst, dir, say)
		}
		if ctx.Err() != nil {
			return nil, fetchErr
		}
	}
	inst, err := installationOnPath(ctx, e)
	if err != nil {
		return nil, &UnavailableError{Engine: e, Fetch: fetchErr, Path: err}
	}
	return inst.ensureTemplate(ctx, e, cache, say)
}

// completed returns the fetched installation in dir if its marker says that it is whole, and made for this place.
func completed(dir string) (installation, bool) {
	var inst installation
	ok, err := readJSON(filepath.Join(dir, "fetched.json"), &inst)
	ok = ok && err == nil && inst.Recipe == fetchRecipe && inst.Root == filepath.Join(dir, "root")
	return inst, ok
}

// fetch fills dir with the engine's Debian packages, once for all processes.
func fetch(ctx context.Context, e Engine, dir string, say progress) (installation, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return installation{}, err
	}
	l, err := lock(ctx, dir+".lock", func() { say.linef("waiting for another process that fetches %s", e.title()) })
	if err != nil {
		return installation{}, err
	}
	defer l.Close()
	if inst, ok := completed(dir); ok {
		return inst, nil
	}
	start := time.Now()
	if err := os.RemoveAll(dir); err != nil { // what a process left that died on the way
		return installation{}, fmt.Errorf("clear half a fetch: %w", err)
	}
	r := runner{lock: l}
	a := apt{dir: filepath.Join(dir, "apt"), runner: r}
	archives, err := a.download(ctx, e.suite(), e.packages(), say, e.title())
	if err != nil {
		return installation{}, err
	}
	say.linef("unpacking %s (%d packages)", e.title(), len(archives))
	root := filepath.Join(dir, "root")
	if err := unpack(ctx, r, archives, root); err != nil {
		return installation{}, err
	}
	if err := os.RemoveAll(a.dir); err != nil {
		return installation{}, fmt.Errorf("clear apt folder: %w", err)
	}
	inst, err := installationUnpacked(ctx, e, root)
	if err != nil {
		return installation{}, err
	}
	if err := writeJSON(filepath.Join(dir, "fetched.json"), inst); err != nil {
		return installation{}, fmt.Errorf("mark the fetch complete: %w", err)
	}
	say.linef("fetched %s in %s", e.product(inst.Version), seconds(time.Since(start)))
	return inst, nil
}

// installationUnpacked describes Debian packages unpacked below root, and proves that the server runs.
func installationUnpacked(ctx context.Context, e Engine, root string) (installation, error) {
	inst := installation{
		Recipe:    fetchRecipe,
		Root:      root,
		Server:    filepath.Join(root, "usr/sbin", e.serverProgram()),
		Basedir:   filepath.Join(root, "usr"),
		PluginDir: filepath.Join(root, "usr/lib/mysql/plugin"),
	}
	if e.Family() == familyMariaDB {
		inst.InstallDB = filepath.Join(root, "usr/bin/mariadb-install-db")
	}
	var err error
	inst.Version, err = serverVersion(ctx, e, inst.Server)
	return inst, err
}

// installationInFolder describes a server that was unpacked by hand, or a folder of programs.
func installationInFolder(ctx context.Context, e Engine, folder string) (installation, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return installation{}, err
	}
	inst := installation{Recipe: fetchRecipe}
	for _, sub := range []string{".", "bin", "sbin", "libexec", "usr/sbin", "usr/bin"} {
		program := filepath.Join(folder, sub, e.serverProgram())
		if info, err := os.Stat(program); err == nil && info.Mode().IsRegular() && inst.Server == "" {
			inst.Server = program
		}
	}
	if inst.Server == "" {
		return installation{}, fmt.Errorf("no program %s in it, nor in its bin, sbin, libexec, usr/sbin or usr/bin", e.serverProgram())
	}
	inst.Basedir = filepath.Dir(filepath.Dir(inst.Server))
	return inst.complete(ctx, e)
}

// installationOnPath describes the machine's own server.
func installationOnPath(ctx context.Context, e Engine) (installation, error) {
	program, err := exec.LookPath(e.serverProgram())
	if err != nil {
		// Debian and others keep servers where the PATH of ordinary users does not lead.
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec"} {
			if found, lookErr := exec.LookPath(filepath.Join(dir, e.serverProgram())); lookErr == nil {
				program, err = found, nil
			}
		}
	}
	if err != nil {
		return installation{}, err
	}
	return installation{Recipe: fetchRecipe, Server: program}.complete(ctx, e)
}

// complete asks the server for its version and finds mariadb-install-db beside it.
func (i installation) complete(ctx context.Context, e Engine) (installation, error) {
	var err error
	if i.Version, err = serverVersion(ctx, e, i.Server); err != nil {
		return installation{}, err
	}
	if e.Family() != familyMariaDB {
		return i, nil
	}
	base := filepath.Dir(filepath.Dir(i.Server))
	for _, sub := range []string{"bin", "scripts", "usr/bin"} {
		script := filepath.Join(base, sub, "mariadb-install-db")
		if _, err := os.Stat(script); err == nil {
			i.InstallDB = script
			return i, nil
		}
	}
	if i.InstallDB, err = exec.LookPath("mariadb-install-db"); err != nil {
		return installation{}, err
	}
	return i, nil
}

// ensureTemplate initializes the template of a server that was not fetched, in a folder of its own.
func (i installation) ensureTemplate(ctx context.Context, e Engine, cache string, say progress) (*template, error) {
	if product := e.product(i.Version); !strings.HasPrefix(product, e.title()+".") {
		say.linef("using %s (%s) as %s", product, i.Server, e.title())
	}
	name := fmt.Sprintf("%s-%s-%s", e, i.Version, strings.ReplaceAll(strings.Trim(i.Server, "/"), "/", "_"))
	return ensureTemplate(ctx, e, i, filepath.Join(cache, "servers", name), say)
}

// env is the environment of the installation's programs.
func (i installation) env() []string {
	env := append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	if i.Root != "" {
		// The libraries are of another Debian release than the machine's OpenSSL configuration may be made for.
		env = append(env, "OPENSSL_CONF=/dev/null")
	}
	return env
}

var versionPattern = regexp.MustCompile(`\b(\d+)\.(\d+)\.(\d+)\b`)

// serverVersion runs the server for its version and refuses one of the wrong family or too old for xaproxy.
func serverVersion(ctx context.Context, e Engine, program string) (string, error) {
	out, err := runner{}.run(ctx, nil, program, "--no-defaults", "--version")
	if err != nil {
		return "", fmt.Errorf("ask for the version: %w", err)
	}
	m := versionPattern.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s names no version: %q", program, out)
	}
	if isMariaDB := strings.Contains(out, "MariaDB"); isMariaDB != (e.Family() == familyMariaDB) {
		return "", fmt.Errorf("%s is no %s: %q", program, e.Family(), strings.TrimSpace(out))
	}
	if versionNumber(m[0]) < e.oldest() {
		return "", fmt.Errorf("%s is too old: xaproxy needs MySQL 8.0.30 or MariaDB 10.5", e.product(m[0]))
	}
	return m[0], nil
}

// versionNumber makes versions comparable: 10.11.18 is 10_011_018; 0 if it is no version.
func versionNumber(version string) int {
	n := 0
	for part := range strings.SplitSeq(version, ".") {
		v, err := strconv.Atoi(part)
		if err != nil {
			return 0
		}
		n = n*1000 + v
	}
	return n
}

// oldest is the oldest version that xaproxy supports: MySQL 8.0.30 detaches prepared branches, MariaDB 10.5 keeps them
// over a disconnect.
func (e Engine) oldest() int {
	if e == MySQL {
		return 8_000_030
	}
	return 10_005_000
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
