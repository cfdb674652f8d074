package route

import (
	"fmt"
	"slices"
	"strings"
)

// FunctionKind names how keys are spread over shards.
type FunctionKind uint8

// The functions. The zero value is the default.
const (
	FunctionJump  FunctionKind = iota // jump consistent hash
	FunctionRing                      // consistent hash ring with virtual nodes
	FunctionSlots                     // a fixed number of slots, each on a shard
	FunctionMod                       // the key's remainder
	FunctionRange                     // ascending bounds
	FunctionList                      // the values themselves
)

// The names of the functions in rules. They are stored with the data: what one
// of them means never changes.
const (
	nameJump  = "jump-xxh64-1"
	nameRing  = "ring-xxh64-1"
	nameSlots = "slots-xxh64-1"
	nameMod   = "mod-1"
	nameRange = "range-1"
	nameList  = "list-1"
)

func (f FunctionKind) String() string {
	switch f {
	case FunctionJump:
		return "jump"
	case FunctionRing:
		return "ring"
	case FunctionSlots:
		return "slots"
	case FunctionMod:
		return "mod"
	case FunctionRange:
		return "range"
	case FunctionList:
		return "list"
	}
	return "invalid"
}

// ParseFunction returns the function of a configured word; "" is the default.
func ParseFunction(word string) (FunctionKind, bool) {
	if word == "" {
		return FunctionJump, true
	}
	for f := FunctionJump; f <= FunctionList; f++ {
		if f.String() == word {
			return f, true
		}
	}
	return FunctionJump, false
}

// Function is a function with its parameters.
//
//	jump    Shards
//	ring    Shards, Weights, Points
//	slots   Slots and Ranges; without Ranges, Shards share the slots evenly
//	mod     Shards: that of remainder i is number i, ascending
//	range   Values are upper bounds, not included, ascending; Rest is above the last
//	list    Values; Rest is for all others
type Function struct {
	Kind    FunctionKind
	Shards  []Shard       // of jump, ring, mod, slots; empty in a Placement: all
	Weights map[Shard]int // of ring; a shard that is missing has 1
	Points  int           // of ring: virtual nodes of a shard of weight 1; 0: DefaultPoints
	Slots   int           // of slots; 0: DefaultSlots
	Ranges  []SlotRange   // of slots
	Values  []Value       // of range and list
	Rest    *Shard        // of range and list; nil: such keys have no place
}

// SlotRange is the slots First to Last, which are on a shard.
type SlotRange struct {
	First, Last int
	Shard       Shard
}

// Value is a bound of a range or a value of a list.
type Value struct {
	Text  string // as configured; it does not count for a rule
	Key   Key    // as a column of the key's type stores it
	Shard Shard
}

// Defaults and limits of parameters.
const (
	// DefaultPoints keeps the shards' shares within a few percent of each other.
	DefaultPoints = 512
	// DefaultSlots is enough for shares that differ by a percent on ten shards.
	DefaultSlots = 1024

	maxPoints = 1 << 18 // of a ring, over all shards: 4 MB
	maxSlots  = 1 << 16
	maxText   = 60000 // bytes of a rule's text: the shards store it in a BLOB
)

// distribution places canonical keys. It is immutable.
type distribution interface {
	// place returns the shard of a key; false: there is none.
	place(k Key, canonical []byte) (Shard, bool)
	// text is the function's parameters in canonical form, beginning with a space.
	text() string
	// shards are those that keys are placed on, ascending.
	shards() []Shard
}

// name is the function's name in rules.
func (f FunctionKind) name() string {
	switch f {
	case FunctionJump:
		return nameJump
	case FunctionRing:
		return nameRing
	case FunctionSlots:
		return nameSlots
	case FunctionMod:
		return nameMod
	case FunctionRange:
		return nameRange
	case FunctionList:
		return nameList
	}
	return ""
}

func functionNamed(name string) (FunctionKind, bool) {
	for f := FunctionJump; f <= FunctionList; f++ {
		if f.name() == name {
			return f, true
		}
	}
	return FunctionJump, false
}

// takes reports whether the function can place keys of a class.
func (f FunctionKind) takes(t KeyType) bool {
	switch f {
	case FunctionMod:
		return t == KeyTypeInt || t == KeyTypeUint
	case FunctionRange:
		return t.ordered()
	case FunctionJump, FunctionRing, FunctionSlots, FunctionList:
		return true
	}
	return false
}

// Signed reports whether the function calculates with a number's sign, so that
// numbers of 64 bits without a sign are of a class of their own.
func (f FunctionKind) Signed() bool { return f == FunctionMod || f == FunctionRange }

// Over returns the function over all shards where it does not say which.
func (f Function) Over(all []Shard) Function {
	switch f.Kind {
	case FunctionJump, FunctionRing, FunctionMod:
		if len(f.Shards) == 0 {
			f.Shards = all
		}
	case FunctionSlots:
		if len(f.Shards) == 0 && len(f.Ranges) == 0 {
			f.Shards = all
		}
	case FunctionRange, FunctionList:
	}
	return f
}

// make checks the parameters for keys of a class.
func (f Function) make(t KeyType) (distribution, error) {
	if !f.Kind.takes(t) {
		return nil, fmt.Errorf("%w: %s cannot place keys of type %s", ErrRule, f.Kind, t)
	}
	switch f.Kind {
	case FunctionJump, FunctionMod:
		s, err := ascending(f.Shards)
		if err != nil {
			return nil, err
		}
		if f.Kind == FunctionMod {
			return modulo{s, t == KeyTypeUint}, nil
		}
		return jump{s}, nil
	case FunctionRing:
		return f.ring()
	case FunctionSlots:
		return f.slots()
	case FunctionRange:
		return f.bounds(t)
	case FunctionList:
		return f.list(t)
	}
	return nil, fmt.Errorf("%w: no function", ErrRule)
}

// jump is jump consistent hash over shards in ascending order.
type jump struct{ over []Shard }

func (j jump) place(_ Key, canonical []byte) (Shard, bool) {
	return j.over[Jump(Hash(canonical), len(j.over))], true
}

func (j jump) text() string    { return over(j.over) }
func (j jump) shards() []Shard { return j.over }

// modulo places a number by its remainder, which is never negative.
type modulo struct {
	over     []Shard
	unsigned bool
}

func (m modulo) place(k Key, _ []byte) (Shard, bool) {
	n := int64(len(m.over))
	if m.unsigned {
		return m.over[uint64(k.Int)%uint64(n)], true
	}
	return m.over[(k.Int%n+n)%n], true
}

func (m modulo) text() string    { return over(m.over) }
func (m modulo) shards() []Shard { return m.over }

// ascending returns a sorted copy of shard numbers that all differ.
func ascending(shards []Shard) ([]Shard, error) {
	if len(shards) == 0 {
		return nil, fmt.Errorf("%w: no shard is given", ErrRule)
	}
	s := slices.Clone(shards)
	slices.Sort(s)
	if len(slices.Compact(slices.Clone(s))) != len(s) {
		return nil, fmt.Errorf("%w: a shard number is given twice", ErrRule)
	}
	return s, nil
}

// over is the parameter of functions that have only shards.
func over(shards []Shard) string {
	items := make([]string, len(shards))
	for i, s := range shards {
		items[i] = s.String()
	}
	return " over=" + strings.Join(items, ",")
}
