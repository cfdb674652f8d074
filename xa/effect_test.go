package xa_test

import (
	"errors"
	"fmt"
	"testing"

	"xaproxy/xa"
)

func TestTheOutermostEffectCounts(t *testing.T) {
	cause := errors.New("cause")
	none := xa.WithEffect(cause, xa.EffectNone)
	for _, c := range []struct {
		name string
		err  error
		want xa.Effect
	}{
		{"no error", nil, xa.EffectDone},
		{"an error without a mark", cause, xa.EffectUnknown},
		{"a mark", none, xa.EffectNone},
		{"a wrapped mark", fmt.Errorf("prepare: %w", none), xa.EffectNone},
		{"a mark on a mark", xa.WithEffect(fmt.Errorf("prepare: %w", none), xa.EffectUnknown), xa.EffectUnknown},
		{"done although it failed", xa.WithEffect(cause, xa.EffectDone), xa.EffectDone},
	} {
		if got := xa.EffectOf(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if err := xa.WithEffect(nil, xa.EffectNone); err != nil {
		t.Error("nil became", err)
	}
	if !errors.Is(none, cause) || none.Error() != cause.Error() {
		t.Error("the mark hides its cause")
	}
}

func TestZeroValuesPromiseNothing(t *testing.T) {
	var (
		v xa.Vote
		o xa.Outcome
		e xa.Effect
		w xa.Owner
		a xa.Asker
	)
	if v != xa.NoVote || o != xa.Undecided || e != xa.EffectUnknown || w != xa.OwnerAlive || a != xa.AskRecoverer {
		t.Error(v, o, e, w, a)
	}
}

func TestEveryValueHasItsName(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range []fmt.Stringer{
		xa.NoVote, xa.Prepared, xa.ReadOnly, xa.Vote(99),
		xa.Undecided, xa.Committed, xa.Aborted, xa.Outcome(99),
		xa.EffectNone, xa.EffectDone, xa.Effect(99),
	} {
		if seen[s.String()] {
			t.Errorf("%q names two values", s)
		}
		seen[s.String()] = true
	}
}
