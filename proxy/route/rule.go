package route

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Shard is the permanent number of a shard (the same numbers as xa.ShardID).
type Shard uint16

func (s Shard) String() string { return strconv.Itoa(int(s)) }

// RuleKind says how a table is placed.
type RuleKind uint8

// The kinds of rules. The zero value places nothing.
const (
	RuleInvalid RuleKind = iota
	RuleSharded          // rows are spread by the key column
	RuleOne              // the whole table is on one shard
	RuleCopies           // a reference table: every shard has the whole table
)

// ErrRule is the cause of every error about a rule that cannot be.
var ErrRule = errors.New("invalid rule")

// Rule places the rows of one table. Two rules with the same Text place every
// row alike. It is immutable.
type Rule struct {
	kind      RuleKind
	column    string
	keyType   KeyType
	collation string
	function  FunctionKind
	dist      distribution // of RuleSharded
	shards    []Shard      // ascending; one for RuleOne, all for RuleCopies
}

// Sharded makes a rule that spreads rows over shards by the jump hash of a key
// column. See Spread.
func Sharded(column string, t KeyType, collation string, shards []Shard) (Rule, error) {
	return Spread(column, t, collation, Function{Shards: shards})
}

// Spread makes a rule that spreads rows by a function of a key column. The
// collation belongs to KeyTypeString and is part of the rule: another one would
// move keys. What f refers to is copied.
func Spread(column string, t KeyType, collation string, f Function) (Rule, error) {
	if column == "" || t == KeyTypeInvalid {
		return Rule{}, fmt.Errorf("%w: a key column and its type are needed", ErrRule)
	}
	if (t == KeyTypeString) != (collation != "") || strings.ContainsAny(collation, " =\"") {
		return Rule{}, fmt.Errorf("%w: key %q of type %s with collation %q", ErrRule, column, t, collation)
	}
	dist, err := f.make(t)
	if err != nil {
		return Rule{}, err
	}
	r := Rule{kind: RuleSharded, column: strings.ToLower(column), keyType: t, collation: strings.ToLower(collation),
		function: f.Kind, dist: dist, shards: dist.shards()}
	if len(r.Text()) > maxText {
		return Rule{}, fmt.Errorf("%w: its text has more than %d bytes", ErrRule, maxText)
	}
	return r, nil
}

// Copies makes the rule of a reference table: each of the shards, which must be
// all, has the whole table.
func Copies(shards []Shard) (Rule, error) {
	s, err := ascending(shards)
	if err != nil {
		return Rule{}, err
	}
	return Rule{kind: RuleCopies, shards: s}, nil
}

// OnShard makes the rule of a table that is on one shard.
func OnShard(s Shard) Rule {
	return Rule{kind: RuleOne, shards: []Shard{s}}
}

// Function is the function that spreads the rows of RuleSharded.
func (r Rule) Function() FunctionKind { return r.function }

// Kind tells how the rule places rows.
func (r Rule) Kind() RuleKind { return r.kind }

// Column is the key column's name in lower case, "" for a table on one shard.
func (r Rule) Column() string { return r.column }

// KeyType is the class of the key column's type.
func (r Rule) KeyType() KeyType { return r.keyType }

// Collation is the key column's collation for KeyTypeString, else "".
func (r Rule) Collation() string { return r.collation }

// Shards are the shards that hold the table, ascending. Not to be changed.
func (r Rule) Shards() []Shard { return r.shards }

// Together reports whether both rules spread their tables so that every value of
// the one's key is on the same shard as that value of the other's. The columns'
// names may differ.
func (r Rule) Together(o Rule) bool {
	return r.kind == RuleSharded && o.kind == RuleSharded && r.function == o.function && r.how() == o.how()
}

// Place returns the shard of a key. It reports false for a key without
// canonical bytes or of another kind than the rule's, for one that is in no
// range and on no list, and for copies, which are everywhere.
func (r Rule) Place(k Key) (Shard, bool) {
	s, f := r.find(k)
	return s, f == found
}

// Nowhere reports whether a key is one of the rule's type that has no place: it
// cannot be stored, and no row has it.
func (r Rule) Nowhere(k Key) bool {
	_, f := r.find(k)
	return f == nowhere
}

// finding is what came of looking for a key's place.
type finding uint8

const (
	notKey  finding = iota // it is no key of the rule's type
	found                  // on one shard
	nowhere                // on none
)

func (r Rule) find(k Key) (Shard, finding) {
	switch r.kind {
	case RuleOne:
		return r.shards[0], found
	case RuleCopies, RuleInvalid:
		return 0, notKey
	case RuleSharded:
	}
	if r.keyType.kind() != k.Kind {
		return 0, notKey
	}
	var buf [64]byte
	b, ok := k.Append(buf[:0])
	if !ok {
		return 0, notKey
	}
	if s, ok := r.dist.place(k, b); ok {
		return s, found
	}
	return 0, nowhere
}

// Text is the rule in the form that is stored beside the data and shown to
// people, for example
//
//	jump-xxh64-1 key="id" type=int over=0,1,2
//	ring-xxh64-1 key="id" type=int over=0:1,1:2 points=512
//	slots-xxh64-1 key="id" type=int slots=1024 at=0-511:0,512-1023:1
//	mod-1 key="id" type=int over=0,1,2
//	range-1 key="day" type=date below=2024-01-01:0,2025-01-01:1,max:2
//	list-1 key="code" type=bytes at=x6475:0,x656e:1 default=2
//	copies=all over=0,1,2
//	shard=1
func (r Rule) Text() string {
	switch r.kind {
	case RuleOne:
		return "shard=" + strconv.Itoa(int(r.shards[0]))
	case RuleCopies:
		return "copies=all" + over(r.shards)
	case RuleSharded:
		return r.function.name() + " key=" + strconv.Quote(r.column) + r.how()
	case RuleInvalid:
		return "invalid"
	}
	return "invalid"
}

// how is the part of a sharded table's text that places its keys: all but the
// column's name.
func (r Rule) how() string {
	text := " type=" + r.keyType.String()
	if r.collation != "" {
		text += " collation=" + r.collation
	}
	return text + r.dist.text()
}

// Fingerprint is a short digest of Text (the first 16 bytes of its SHA-256 in
// hexadecimal).
func (r Rule) Fingerprint() string {
	sum := sha256.Sum256([]byte(r.Text()))
	return hex.EncodeToString(sum[:16])
}
