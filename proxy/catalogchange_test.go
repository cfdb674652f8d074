package proxy

import (
	"errors"
	"testing"
	"time"

	"xaproxy/xa/xamysql"
)

// TestFreeTurnIsTakenWithoutTimeLeft: who looks after changes that were left
// behind does not wait for the turn, and must not miss a free one by chance.
func TestFreeTurnIsTakenWithoutTimeLeft(t *testing.T) {
	c := &catalog{turn: make(chan struct{}, 1)}
	for i := range 200 {
		if err := c.takeTurn(t.Context(), time.Now()); err != nil {
			t.Fatalf("attempt %d: %v", i, err)
		}
		if err := c.takeTurn(t.Context(), time.Now()); !errors.Is(err, xamysql.ErrDefinitionRuns) {
			t.Fatalf("a turn was taken twice: %v", err)
		}
		<-c.turn
	}
}
