package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch/launchtest"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	_ = mysql.SetLogger(quietDriver{})
	defer built.remove()
	return launchtest.Main(m)
}

// quietDriver drops the driver's remarks about connections that tests break.
type quietDriver struct{}

func (quietDriver) Print(...any) {}

// program is cmd/xaproxy, built once per test run.
type program struct {
	once sync.Once
	dir  string
	path string
	err  error
}

var built program

// binary returns the path of the program. XAPROXY_BINARY names one that exists already.
func binary(t testing.TB) string {
	t.Helper()
	built.once.Do(func() { built.build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func (p *program) build() {
	if p.path = os.Getenv("XAPROXY_BINARY"); p.path != "" {
		return
	}
	if p.dir, p.err = os.MkdirTemp("", "xaproxy-integration-"); p.err != nil {
		return
	}
	p.path = filepath.Join(p.dir, "xaproxy")
	if out, err := exec.Command("go", "build", "-o", p.path, "xaproxy/cmd/xaproxy").CombinedOutput(); err != nil {
		p.err = fmt.Errorf("go build: %w\n%s", err, out)
	}
}

func (p *program) remove() {
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}
