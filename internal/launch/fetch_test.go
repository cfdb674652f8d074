package launch_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"xaproxy/internal/launch"
)

func TestMirrorsComeFromAptSources(t *testing.T) {
	etc := t.TempDir()
	if err := os.Mkdir(filepath.Join(etc, "sources.list.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"sources.list": `# deb http://commented.example/debian bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb-src http://source.example/debian bookworm main
deb   [ arch=amd64  signed-by=/k/other.gpg ]  http://oneline.example/mirror/ bookworm main contrib # remark
deb http://security.example/debian-security bookworm-security main
deb http://vendor.example/linux/debian bookworm stable
`,
		"sources.list.d/a.sources": `Types: deb deb-src
URIs: http://deb822.example/debian http://second.example/debian/
# remark
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: http://inline.example/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 AAAA
 -----END PGP PUBLIC KEY BLOCK-----
`,
		"sources.list.d/ignored.save": "deb http://saved.example/debian bookworm main\n",
	} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := launch.MirrorURIs(etc)
	want := []string{
		"http://deb822.example/debian", "http://second.example/debian", // signed by Debian's archive keyring
		"http://inline.example/debian", // named like it
		"http://oneline.example/mirror",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("mirrors %q, %v; want %q", got, err, want)
	}
}

func TestMachineWithoutAptSourcesHasNoMirror(t *testing.T) {
	if got, err := launch.MirrorURIs(filepath.Join(t.TempDir(), "none")); err != nil || len(got) != 0 {
		t.Fatalf("mirrors %q, %v", got, err)
	}
}

// TestHalfFetchIsDoneAgain kills a process while it unpacks; whoever comes next must not use what it left. It needs the
// network, so only the smallest engine is fetched unless XAPROXY_TEST_FETCH=all.
func TestHalfFetchIsDoneAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("fetches packages")
	}
	requireEngines(t)
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		if e != launch.MariaDB1011 && os.Getenv("XAPROXY_TEST_FETCH") != "all" {
			t.Skip("XAPROXY_TEST_FETCH is not all")
		}
		if os.Getenv(folderVariable(e)) != "" {
			t.Skip(folderVariable(e), "is set")
		}
		cache := t.TempDir()
		t.Setenv("XAPROXY_CACHE", cache)
		h := startHelper(t, "ensure", e)
		h.await(t, "progress unpacking")
		eventually(t, "something is unpacked", func() bool {
			_, err := os.Stat(filepath.Join(cache, "servers", string(e), "root", "usr"))
			return err == nil
		})
		h.kill(t)
		var steps []string
		if err := launch.Ensure(t.Context(), e, func(line string) { steps = append(steps, line) }); err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(steps, "\n"); !strings.Contains(all, "fetching ") || !strings.Contains(all, "initialized ") {
			t.Fatalf("steps:\n%s", all)
		}
		steps = nil
		if err := launch.Ensure(t.Context(), e, func(line string) { steps = append(steps, line) }); err != nil || steps != nil {
			t.Fatalf("a complete fetch was touched: %v, %q", err, steps)
		}
	})
}

// TestHalfTemplateIsMadeAgain makes templates of a server that a folder names, so that nothing is fetched.
func TestHalfTemplateIsMadeAgain(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		cache := folderEngine(t, e)
		h := startHelper(t, "ensure", e)
		h.await(t, "progress initializing")
		var half []string
		eventually(t, "something is initialized", func() bool {
			var err error
			half, err = filepath.Glob(filepath.Join(cache, "servers", "*", "template", "*"))
			return err == nil && len(half) > 0
		})
		h.kill(t)
		s, err := launch.Start(t.Context(), launch.Options{Engine: e, Progress: func(line string) { t.Log(line) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop() })
		exec(t, open(t, s.DSN()), "CREATE DATABASE d")
	})
}

func TestProcessesInitializeOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		folderEngine(t, e)
		var helpers []*helper
		for range 3 {
			helpers = append(helpers, startHelper(t, "ensure", e))
		}
		initialized := 0
		for _, h := range helpers {
			for h.lines.Scan() {
				if strings.HasPrefix(h.lines.Text(), "progress initialized") {
					initialized++
				}
			}
			if err := h.cmd.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		if initialized != 1 {
			t.Fatalf("initialized %d times", initialized)
		}
	})
}

func TestMissingServerErrorSaysWhatToInstall(t *testing.T) {
	t.Setenv("XAPROXY_CACHE", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XAPROXY_MYSQL_DIR", "")
	if _, err := os.Stat("/usr/sbin/mysqld"); err == nil {
		t.Skip("this machine has MySQL installed")
	}
	err := launch.Ensure(t.Context(), launch.MySQL, nil)
	var unavailable *launch.UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"apt-get", "mysqld", "mysql-server", "XAPROXY_MYSQL_DIR"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestFolderWithoutServerIsRefused(t *testing.T) {
	t.Setenv("XAPROXY_CACHE", t.TempDir())
	t.Setenv("XAPROXY_MARIADB_DIR", t.TempDir())
	err := launch.Ensure(t.Context(), launch.MariaDB118, nil)
	if err == nil || !strings.Contains(err.Error(), "no program mariadbd") {
		t.Fatalf("error %v", err)
	}
}

func folderVariable(e launch.Engine) string {
	return "XAPROXY_" + strings.ToUpper(e.Family()) + "_DIR"
}

// folderEngine gives the test an empty cache folder, and names the fetched server's folder as a user would name one.
func folderEngine(t *testing.T, e launch.Engine) (cache string) {
	t.Helper()
	s, err := launch.Start(t.Context(), launch.Options{Engine: e})
	if err != nil {
		t.Skip(err)
	}
	base := text(t, open(t, s.DSN()), "SELECT @@basedir")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	cache = t.TempDir()
	t.Setenv("XAPROXY_CACHE", cache)
	t.Setenv(folderVariable(e), base)
	return cache
}
