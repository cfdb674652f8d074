package proxy

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// errorsDoc is docs/errors.md.
func errorsDoc() string {
	var b strings.Builder
	b.WriteString("# Errors that the proxy sends\n\nMade from the table in package proxy by `UPDATE=1 go test ./proxy -run TestErrorsDocument`. " +
		"Errors of the shards pass through unchanged.\n\n| number | SQLSTATE | name | what happened | try again blindly? | what to do |\n|---|---|---|---|---|---|\n")
	for _, c := range Codes() {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", c.Number, c.State, c.Name, c.Meaning, c.Retry, c.Next)
	}
	return b.String()
}

func TestErrorsDocumentIsTheTable(t *testing.T) {
	const path = "../docs/errors.md"
	want := errorsDoc()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Error("docs/errors.md is not what the table says: run UPDATE=1 go test ./proxy -run TestErrorsDocument")
	}
}
