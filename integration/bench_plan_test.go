package integration

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

var benchLine = regexp.MustCompile(`BenchmarkCacheHit\S*\s+\d+\s+([0-9.]+) ns/op\s+\d+ B/op\s+(\d+) allocs/op`)

// TestBenchPlanCache: what finding the plan of a known statement costs.
func TestBenchPlanCache(t *testing.T) {
	doc := benchDocument(t)
	out, err := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkCacheHit$", "-benchmem", "-count", strconv.Itoa(benchRounds()), "xaproxy/proxy/plan").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var times []float64
	allocations := ""
	for _, m := range benchLine.FindAllStringSubmatch(string(out), -1) {
		ns, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		times, allocations = append(times, ns), m[2]
	}
	if len(times) == 0 {
		t.Fatalf("no result:\n%s", out)
	}
	slices.Sort(times)
	text := fmt.Sprintf("| plan cache hit | median of %d |\n|---|---|\n| time | %.0f ns |\n| allocations | %s |\n", len(times), times[len(times)/2], allocations)
	t.Logf("\n%s", text)
	if err := writeSection(doc, "plan cache", text); err != nil {
		t.Error(err)
	}
}
