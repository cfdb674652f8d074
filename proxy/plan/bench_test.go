package plan

import "testing"

// BenchmarkCacheHit is what finding a known statement's plan costs, with other literals each time.
func BenchmarkCacheHit(b *testing.B) {
	p := New(Options{})
	env := Env{Schema: "app", SQLMode: "STRICT_TRANS_TABLES,NO_ZERO_DATE", Charset: "utf8mb4", Catalog: newTestCatalog(b)}
	texts := []string{
		"SELECT a, b FROM t WHERE id = 5 AND b = 'some text' LIMIT 10",
		"SELECT a, b FROM t WHERE id = 123456 AND b = 'some other text' LIMIT 10",
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := p.Plan(env, texts[i%2]); err != nil {
			b.Fatal(err)
		}
	}
}
