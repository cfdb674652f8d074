package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// apt is a package manager of its own: its lists, status and archives live in dir, and it installs nothing. Its status
// file is empty, so that every dependency is fetched, down to libc.
type apt struct {
	dir    string
	runner runner
}

// aptOnThisMachine reports whether the machine has what fetching needs, and says what is missing.
func aptOnThisMachine() error {
	for _, program := range []string{"apt-get", "apt-config", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	mirrors, err := debianMirrors("/etc/apt")
	if err == nil && len(mirrors) == 0 {
		err = errors.New("the apt sources below /etc/apt name no mirror of Debian's main archive")
	}
	return err
}

// download fetches the packages of the suite with all they depend on and returns the archives' paths.
func (a apt) download(ctx context.Context, suite string, packages []string, say progress, title string) ([]string, error) {
	mirrors, err := debianMirrors("/etc/apt")
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, m := range mirrors {
		if err := a.prepare(ctx, m, suite); err != nil {
			return nil, err
		}
		say.linef("reading the package list of Debian %s from %s", suite, m.uri)
		if _, err := a.run(ctx, "update", "-o", "APT::Update::Error-Mode=any"); err != nil {
			failures = append(failures, fmt.Errorf("package list of %s from %s: %w", suite, m.uri, err))
			continue
		}
		install := append([]string{"-y", "--no-install-recommends", "--download-only", "install"}, packages...)
		total := a.size(ctx, install)
		say.linef("fetching %s (about %d MB)", title, megabytes(total))
		stop := a.watch(total, title, say)
		_, err := a.run(ctx, install...)
		stop()
		if err != nil {
			failures = append(failures, fmt.Errorf("fetch %s from %s: %w", strings.Join(packages, " "), m.uri, err))
			continue
		}
		return filepath.Glob(filepath.Join(a.archives(), "*.deb"))
	}
	return nil, errors.Join(failures...)
}

func (a apt) archives() string { return filepath.Join(a.dir, "cache", "archives") }

// prepare empties the folder and writes the configuration.
func (a apt) prepare(ctx context.Context, m mirror, suite string) error {
	if err := os.RemoveAll(a.dir); err != nil {
		return fmt.Errorf("clear apt folder: %w", err)
	}
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial", "etc"} {
		if err := os.MkdirAll(filepath.Join(a.dir, sub), 0o755); err != nil {
			return fmt.Errorf("make apt folder: %w", err)
		}
	}
	options := ""
	if k := m.keyring(); k != "" {
		options = "[signed-by=" + k + "] "
	}
	conf, err := a.configuration(ctx)
	if err != nil {
		return err
	}
	files := map[string]string{
		"state/status":     "",
		"etc/sources.list": fmt.Sprintf("deb %s%s %s main\n", options, m.uri, suite),
		"etc/apt.conf":     conf,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("write apt folder: %w", err)
		}
	}
	return nil
}

// configuration is an apt.conf that takes nothing of the machine's but how to reach a mirror (proxies, time-outs): its
// hooks would run, and some remove archives, some need root.
func (a apt) configuration(ctx context.Context) (string, error) {
	dump, err := a.runner.run(ctx, nil, "apt-config", "dump")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(dump) {
		for _, prefix := range []string{"http", "ftp", "Retries", "ForceIPv", "EnableSrvRecords"} {
			if strings.HasPrefix(line, "Acquire::"+prefix) && strings.HasSuffix(strings.TrimSpace(line), ";") {
				b.WriteString(line)
			}
		}
	}
	// Running as root, apt would become a user that cannot write here; others it leaves alone.
	// Copies of an index older than its Valid-Until, and machines with a wrong clock, must do: these are test servers,
	// and signatures are still checked.
	fmt.Fprintf(&b, `Dir::State %q;
Dir::State::status %q;
Dir::Cache %q;
Dir::Etc::sourcelist %q;
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
APT::Sandbox::User "root";
Acquire::Check-Valid-Until "false";
Acquire::Check-Date "false";
Acquire::Languages "none";
`, a.path("state"), a.path("state/status"), a.path("cache"), a.path("etc/sources.list"))
	return b.String(), nil
}

func (a apt) path(sub string) string { return filepath.Join(a.dir, sub) }

// run runs apt-get with the configuration of its own.
func (a apt) run(ctx context.Context, args ...string) (string, error) {
	r := a.runner
	r.env = append(os.Environ(), "APT_CONFIG="+a.path("etc/apt.conf"), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	return r.run(ctx, nil, "apt-get", append([]string{"-q"}, args...)...)
}

// size returns how many bytes the install would fetch, 0 if that cannot be said.
func (a apt) size(ctx context.Context, install []string) int64 {
	out, err := a.run(ctx, append([]string{"--print-uris"}, install...)...)
	if err != nil {
		return 0
	}
	var total int64
	for line := range strings.Lines(out) {
		// 'uri' file size hash
		if fields := strings.Fields(line); len(fields) >= 3 && strings.HasPrefix(fields[0], "'") {
			if n, err := strconv.ParseInt(fields[2], 10, 64); err == nil {
				total += n
			}
		}
	}
	return total
}

// watch says every three seconds how much has arrived, until the returned function is called.
func (a apt) watch(total int64, title string, say progress) (stop func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(3 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				say.linef("fetching %s: %d of %d MB", title, megabytes(folderSize(a.archives())), megabytes(total))
			}
		}
	}()
	return func() { close(done); <-gone }
}

func megabytes(n int64) int64 { return (n + 500_000) / 1_000_000 }

// folderSize adds up the sizes of the files below dir; files that vanish meanwhile do not count.
func folderSize(dir string) int64 {
	var total int64
	walk := func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // a file that was renamed meanwhile: this is a progress display
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	}
	if err := filepath.WalkDir(dir, walk); err != nil {
		return 0
	}
	return total
}

// lastLines returns the last n lines of text that are not blank.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
