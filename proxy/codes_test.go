package proxy

import (
	"strings"
	"testing"
)

func TestErrorNumbersAreUnique(t *testing.T) {
	seen := map[uint16]string{}
	names := map[string]bool{}
	for _, c := range Codes() {
		if other, twice := seen[c.Number]; twice {
			t.Errorf("%d is %s and %s", c.Number, other, c.Name)
		}
		seen[c.Number] = c.Name
		if names[c.Name] {
			t.Errorf("%s twice", c.Name)
		}
		names[c.Name] = true
		if len(c.State) != 5 || c.Format == "" || c.Meaning == "" || c.Next == "" {
			t.Errorf("%d lacks something: %+v", c.Number, c)
		}
		if strings.HasPrefix(c.State, "40") && c.Retry != RetrySafe {
			t.Errorf("%d: frameworks retry class 40", c.Number)
		}
	}
}
