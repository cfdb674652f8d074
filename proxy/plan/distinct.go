package plan

// distinct plans a SELECT DISTINCT whose rows may be on several shards: they come
// in the order of all their columns.
func (g *gatherer) distinct() *Refusal {
	return g.severally("DISTINCT")
}
