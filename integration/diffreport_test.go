package integration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// diffReport is the table of results, as in docs/differential.md.
func diffReport(results []*diffResult) string {
	var b strings.Builder
	b.WriteString("# Differential test\n\n| kind | shards | statements | refused | wrong | time |\n|---|---|---|---|---|---|\n")
	statements, refused, wrong := 0, map[string]int{}, 0
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %ds |\n", r.run.engine, r.run.shards, r.statements, count(r.refused), r.wrong, int(r.took.Seconds()))
		statements, wrong = statements+r.statements, wrong+r.wrong
		for c, n := range r.refused {
			refused[c] += n
		}
	}
	fmt.Fprintf(&b, "| all | | %d | %d | %d | |\n\n## Refused, by construct\n\n| refused | construct |\n|---|---|\n", statements, count(refused), wrong)
	names := slices.SortedFunc(maps.Keys(refused), func(x, y string) int {
		if refused[x] != refused[y] {
			return refused[y] - refused[x]
		}
		return strings.Compare(x, y)
	})
	for _, name := range names {
		fmt.Fprintf(&b, "| %d | %s |\n", refused[name], strings.ReplaceAll(name, "|", "\\|"))
	}
	return b.String()
}
