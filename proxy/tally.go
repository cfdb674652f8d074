package proxy

import (
	"fmt"
	"strconv"
	"strings"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

// tally adds up the info texts of a statement that several shards executed, so
// that the client reads what one server would have said:
//
//	Records: 3  Duplicates: 1  Warnings: 0       INSERT and REPLACE of several rows
//	Rows matched: 2  Changed: 1  Warnings: 0     UPDATE
type tally struct {
	labels  []string
	numbers []uint64
	lost    bool // a text did not fit: then there is none
}

var (
	insertLabels = []string{"Records", "Duplicates", "Warnings"} //nolint:gochecknoglobals // immutable table
)

// add takes one shard's answer.
func (t *tally) add(class plan.Class, split *plan.Split, part plan.Part, ok wire.OK) {
	info := ok.Info
	if part.Rows == 1 && info == "" {
		// One row of several: its server saw a single-row statement, which has no text.
		info = renderInfo(insertLabels, []uint64{1, duplicates(class, split, ok.Affected), uint64(ok.Warnings)})
	}
	if info == "" {
		return
	}
	labels, numbers, fits := parseInfo(info)
	if !fits || t.labels != nil && strings.Join(labels, ",") != strings.Join(t.labels, ",") {
		t.lost = true
		return
	}
	if t.labels == nil {
		t.labels, t.numbers = labels, numbers
		return
	}
	for i, n := range numbers {
		t.numbers[i] += n
	}
}

// duplicates is the count of a single row. REPLACE counts the rows that it took
// away. INSERT IGNORE counts rows that it neither stored nor changed (0 affected),
// ON DUPLICATE KEY UPDATE without IGNORE those that it changed (2 affected).
func duplicates(class plan.Class, split *plan.Split, affected uint64) uint64 {
	switch {
	case class == plan.ClassReplace && affected > 1:
		return affected - 1
	case split != nil && split.Ignore && affected == 0, split != nil && !split.Ignore && affected > 1:
		return 1
	}
	return 0
}

// drop takes warnings back.
func (t *tally) drop(warnings int) {
	if n := len(t.numbers) - 1; n >= 0 && t.labels[n] == "Warnings" {
		t.numbers[n] -= min(t.numbers[n], uint64(warnings))
	}
}

// info is the text of the whole.
func (t *tally) info() string {
	if t.lost || t.labels == nil {
		return ""
	}
	return renderInfo(t.labels, t.numbers)
}

// parseInfo reads "Label: number  Label: number".
func parseInfo(s string) ([]string, []uint64, bool) {
	var labels []string
	var numbers []uint64
	for _, field := range strings.Split(s, "  ") {
		label, digits, ok := strings.Cut(field, ": ")
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
		if !ok || err != nil {
			return nil, nil, false
		}
		labels = append(labels, label)
		numbers = append(numbers, n)
	}
	return labels, numbers, true
}

func renderInfo(labels []string, numbers []uint64) string {
	var b strings.Builder
	for i, l := range labels {
		if i > 0 {
			b.WriteString("  ")
		}
		fmt.Fprintf(&b, "%s: %d", l, numbers[i])
	}
	return b.String()
}
