package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"xaproxy/internal/launch"
)

// diffCase is a file of testdata/diff: statements that were answered wrongly once.
type diffCase struct {
	name       string
	statements []statement
	engines    []string // none: all
	shards     int
	foundRows  bool
}

func readCases(t *testing.T) []diffCase {
	t.Helper()
	files, err := filepath.Glob("testdata/diff/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var list []diffCase
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := diffCase{name: strings.TrimSuffix(filepath.Base(file), ".sql"), shards: 3}
		var settings map[string]string
		if c.statements, settings, err = parseStatements(string(text)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		c.foundRows = settings["found_rows"] == "true"
		c.engines = strings.Fields(settings["kinds"])
		if n := settings["shards"]; n != "" {
			if c.shards, err = strconv.Atoi(n); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
		list = append(list, c)
	}
	return list
}

func (c diffCase) on(r diffRun) bool {
	if c.shards != r.shards {
		return false
	}
	for _, e := range c.engines {
		if e == string(r.engine) {
			return true
		}
	}
	return len(c.engines) == 0
}

// TestDifferentialCases repeats what was wrong once. A refusal is no failure.
func TestDifferentialCases(t *testing.T) {
	cases := readCases(t)
	for _, e := range launch.Engines() {
		for _, n := range []int{2, 3, 5} {
			var mine []diffCase
			for _, c := range cases {
				if c.on(diffRun{e, n}) {
					mine = append(mine, c)
				}
			}
			if len(mine) == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", e, n), func(t *testing.T) {
				w := newDiffWorld(t, e, n)
				for i, c := range mine {
					t.Run(c.name, func(t *testing.T) { c.run(t, w, fmt.Sprintf("c%d", i)) })
				}
			})
		}
	}
}

func (c diffCase) run(t *testing.T, w *diffWorld, schema string) {
	w.foundRows = c.foundRows
	if err := w.begin(schema); err != nil {
		t.Fatal(err)
	}
	h := newHistory(w, schema)
	for _, st := range c.statements {
		refused, m, err := h.step(st)
		if err != nil {
			t.Fatalf("%s: %v", st, err)
		}
		if refused != "" {
			t.Logf("refused: %s: %s", st, refused)
		}
		if m != nil {
			t.Fatalf("%s\n%s", st, m)
		}
	}
}
