package proxy

import (
	"strings"
	"testing"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
	"xaproxy/xa/xamysql"
)

// FuzzStored reads what other proxies have stored on the shards, and what servers say as text: rubbish there is an
// error or left as it is.
func FuzzStored(f *testing.F) {
	f.Add(`[{"Schema":"d","Name":"t"}]`)
	f.Add(`{"text":"CREATE TABLE t (id INT)","schema":"d"}`)
	f.Add("Records: 3  Duplicates: 1  Warnings: 0")
	f.Add("Rows matched: 2  Changed: 1  Warnings: 99999999999999999999")
	f.Add("Data truncated for column 'a' at row 1")
	f.Add("SHOW WARNINGS LIMIT 1, 2")
	f.Fuzz(func(t *testing.T, text string) {
		if tables, err := decodeTables(text); err == nil {
			again, err := encodeTables(tables)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decodeTables(again); err != nil {
				t.Fatalf("%q does not survive: %v", again, err)
			}
		}
		_, _ = decodeAbout(xamysql.Definition{ID: "x", About: text})
		var sum tally
		for range 2 {
			sum.add(plan.ClassInsert, nil, plan.Part{Rows: 2}, wire.OK{Info: text})
		}
		sum.drop(1)
		if said := sum.info(); len(said) > 2*len(text)+100 {
			t.Fatalf("%q became %q", text, said)
		}
		if moved := atRow(text, []int{7}); moved != text && !strings.Contains(moved, " at row 7") {
			t.Fatalf("%q became %q", text, moved)
		}
		_, _ = limited(make([]condition, 3), strings.Fields(strings.ToUpper(text)))
	})
}
