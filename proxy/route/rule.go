package route

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Shard is the permanent number of a shard (the same numbers as xa.ShardID).
type Shard uint16

// FunctionJump names the pair of hash and distribution that rules use. It is
// stored with the data: its meaning never changes.
const FunctionJump = "jump-xxh64-1"

// RuleKind says how a table is placed.
type RuleKind uint8

// The kinds of rules. The zero value places nothing.
const (
	RuleInvalid RuleKind = iota
	RuleSharded          // rows are spread by the hash of the key column
	RuleOne              // the whole table is on one shard
	RuleCopies           // a reference table: every shard has the whole table
)

// KeyType is the class of a key column's type: how values become bytes.
type KeyType uint8

// The classes of key types that can be sharded by.
const (
	KeyTypeInvalid KeyType = iota
	KeyTypeInt             // TINYINT to BIGINT, signed or unsigned
	KeyTypeBytes           // BINARY, VARBINARY
	KeyTypeString          // CHAR, VARCHAR: weight bytes of the collation
)

func (t KeyType) String() string {
	switch t {
	case KeyTypeInt:
		return "int"
	case KeyTypeBytes:
		return "bytes"
	case KeyTypeString:
		return "string"
	case KeyTypeInvalid:
		return "invalid"
	}
	return "invalid"
}

// ErrRule is the cause of every error about a rule that cannot be.
var ErrRule = errors.New("invalid rule")

// Rule places the rows of one table. Two rules with the same Text place every
// row alike.
type Rule struct {
	kind      RuleKind
	column    string
	keyType   KeyType
	collation string
	shards    []Shard // ascending; one for RuleOne, all for RuleCopies
}

// Sharded makes a rule that spreads rows over shards by a key column. The
// collation belongs to KeyTypeString and is part of the rule: another one would
// move keys. shards are copied.
func Sharded(column string, t KeyType, collation string, shards []Shard) (Rule, error) {
	if column == "" || t == KeyTypeInvalid || len(shards) == 0 {
		return Rule{}, fmt.Errorf("%w: a key column, its type and shards are needed", ErrRule)
	}
	if (t == KeyTypeString) != (collation != "") {
		return Rule{}, fmt.Errorf("%w: key %q of type %s with collation %q", ErrRule, column, t, collation)
	}
	s, err := ascending(shards)
	if err != nil {
		return Rule{}, err
	}
	return Rule{kind: RuleSharded, column: strings.ToLower(column), keyType: t, collation: strings.ToLower(collation), shards: s}, nil
}

// ascending returns a sorted copy of shard numbers that all differ.
func ascending(shards []Shard) ([]Shard, error) {
	s := slices.Clone(shards)
	slices.Sort(s)
	if len(slices.Compact(slices.Clone(s))) != len(s) {
		return nil, fmt.Errorf("%w: a shard number is given twice", ErrRule)
	}
	return s, nil
}

// Copies makes the rule of a reference table: each of the shards, which must be
// all, has the whole table.
func Copies(shards []Shard) (Rule, error) {
	if len(shards) == 0 {
		return Rule{}, fmt.Errorf("%w: copies need shards", ErrRule)
	}
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
	return r.kind == RuleSharded && o.kind == RuleSharded && r.how() == o.how()
}

// Place returns the shard of a key. It reports false for a key without
// canonical bytes or of another kind than the rule's, and for copies, which are
// everywhere.
func (r Rule) Place(k Key) (Shard, bool) {
	switch r.kind {
	case RuleOne:
		return r.shards[0], true
	case RuleSharded:
		return r.jump(k)
	case RuleCopies, RuleInvalid:
		return 0, false
	}
	return 0, false
}

func (r Rule) jump(k Key) (Shard, bool) {
	if r.keyType.kind() != k.Kind {
		return 0, false
	}
	var buf [64]byte
	b, ok := k.Append(buf[:0])
	if !ok {
		return 0, false
	}
	return r.shards[Jump(Hash(b), len(r.shards))], true
}

func (t KeyType) kind() KeyKind {
	switch t {
	case KeyTypeInt:
		return KeyInt
	case KeyTypeBytes:
		return KeyBytes
	case KeyTypeString:
		return KeyWeight
	case KeyTypeInvalid:
		return KeyInvalid
	}
	return KeyInvalid
}

// Text is the rule in the form that is stored beside the data and shown to
// people, for example
//
//	jump-xxh64-1 key="id" type=int over=0,1,2
//	copies=all over=0,1,2
//	shard=1
func (r Rule) Text() string {
	switch r.kind {
	case RuleOne:
		return "shard=" + strconv.Itoa(int(r.shards[0]))
	case RuleCopies:
		return "copies=all" + over(r.shards)
	case RuleSharded:
		return FunctionJump + " key=" + strconv.Quote(r.column) + r.how()
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
	return text + over(r.shards)
}

func over(shards []Shard) string {
	var b strings.Builder
	b.WriteString(" over=")
	for i, s := range shards {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(s)))
	}
	return b.String()
}

// Fingerprint is a short digest of Text (the first 16 bytes of its SHA-256 in
// hexadecimal).
func (r Rule) Fingerprint() string {
	sum := sha256.Sum256([]byte(r.Text()))
	return hex.EncodeToString(sum[:16])
}
