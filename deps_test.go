package xaproxy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is what a package may import: ours by path below the module, others by
// the prefix of their path. The standard library is free but for pure rooms.
type room struct {
	ours   []string
	others []string
	pure   bool // no net, os, time, log: no I/O and no clock
}

const (
	goMySQL = "github.com/go-mysql-org/go-mysql/mysql"
	sqlDrv  = "github.com/go-sql-driver/mysql"
	tidb    = "github.com/pingcap/tidb/pkg/parser"
	yamlLib = "github.com/goccy/go-yaml"
	cobra   = "github.com/spf13/cobra"
	prom    = "github.com/prometheus/client_golang"
	pires   = "github.com/pires/go-proxyproto"
)

// rooms lists every package. A package that is missing here fails the test.
var rooms = map[string]room{
	".":                          {pure: true},
	"xa":                         {pure: true},
	"xa/xatest":                  {ours: []string{"xa"}},
	"xa/xamysql":                 {ours: []string{"xa"}, others: []string{sqlDrv}},
	"tm/internal/protocol":       {ours: []string{"xa"}, pure: true},
	"tm":                         {ours: []string{"xa", "tm/internal/protocol"}},
	"tm/tmtest":                  {ours: []string{"xa", "tm"}},
	"proxy/wire":                 {others: []string{goMySQL}, pure: true},
	"proxy/route":                {pure: true},
	"proxy/plan":                 {ours: []string{"proxy/route"}, others: []string{tidb}},
	"proxy/backend":              {ours: []string{"proxy/wire", "proxy/route", "xa", "xa/xamysql"}, others: []string{goMySQL, sqlDrv}},
	"proxy/merge":                {ours: []string{"proxy/wire", "proxy/plan"}, pure: true},
	"proxy":                      {ours: []string{"proxy/wire", "proxy/route", "proxy/plan", "proxy/merge", "proxy/backend", "tm", "xa", "xa/xamysql"}, others: []string{goMySQL, pires}},
	"proxy/admin":                {ours: []string{"proxy", "proxy/route", "tm", "xa"}, others: []string{goMySQL}},
	"internal/launch":            {others: []string{sqlDrv}},
	"internal/launch/launchtest": {ours: []string{"internal/launch"}},
	"internal/launch/fetch":      {ours: []string{"internal/launch"}},
	"internal/faultwire":         {ours: []string{"proxy/wire"}},
	"internal/demo":              {ours: []string{"internal/launch", "internal/faultwire"}, others: []string{sqlDrv}},
	"internal/bank":              {others: []string{sqlDrv}},
	"internal/app":               {ours: []string{"proxy", "proxy/admin", "proxy/backend", "proxy/plan", "proxy/route", "proxy/wire", "tm", "xa", "xa/xamysql"}, others: []string{yamlLib, prom}},
	"cmd/xaproxy":                {ours: []string{"internal/app", "internal/bank", "internal/demo"}, others: []string{cobra}},
	"integration":                {ours: []string{"internal/app", "internal/bank", "internal/launch", "internal/launch/launchtest", "internal/faultwire"}, others: []string{goMySQL, sqlDrv}},
}

// parsed is one package's non-test source as the test needs it.
type parsed struct {
	imports map[string]bool
	doc     bool
}

func readRooms(t *testing.T) map[string]*parsed {
	t.Helper()
	found := map[string]*parsed{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		return addFile(found, p)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func addFile(found map[string]*parsed, p string) error {
	src, err := os.ReadFile(p)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(token.NewFileSet(), p, src, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	dir := filepath.ToSlash(filepath.Dir(p))
	if found[dir] == nil {
		found[dir] = &parsed{imports: map[string]bool{}}
	}
	found[dir].doc = found[dir].doc || attached(f)
	for _, i := range f.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		found[dir].imports[name] = true
	}
	return nil
}

func attached(f *ast.File) bool {
	return f.Doc != nil && strings.TrimSpace(f.Doc.Text()) != ""
}

// TestRooms keeps the walls: who may import whom (ARCHITECTURE.md).
func TestRooms(t *testing.T) {
	found := readRooms(t)
	for _, dir := range slices.Sorted(maps.Keys(found)) {
		p := found[dir]
		r, listed := rooms[dir]
		if !listed {
			t.Errorf("package %s is not listed in deps_test.go", dir)
			continue
		}
		if !p.doc {
			t.Errorf("package %s has no comment attached to its package clause", dir)
		}
		for name := range p.imports {
			checkImport(t, dir, r, name)
		}
	}
}

func checkImport(t *testing.T, dir string, r room, name string) {
	t.Helper()
	first, _, _ := strings.Cut(name, "/")
	switch {
	case first == "xaproxy":
		if rel := strings.TrimPrefix(name, "xaproxy/"); !slices.Contains(r.ours, rel) {
			t.Errorf("%s may not import our package %s", dir, rel)
		}
	case strings.Contains(first, "."):
		if !slices.ContainsFunc(r.others, func(o string) bool { return name == o || strings.HasPrefix(name, o+"/") }) {
			t.Errorf("%s may not import %s", dir, name)
		}
	case r.pure && slices.Contains([]string{"net", "os", "time", "log"}, path.Clean(first)):
		t.Errorf("%s is pure and may not import %s", dir, name)
	}
}
