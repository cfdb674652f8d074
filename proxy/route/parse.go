package route

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseRule reads a rule's text. Only the text that Text writes is accepted.
func ParseRule(text string) (Rule, error) {
	r, err := parseRule(text)
	if err != nil {
		return Rule{}, fmt.Errorf("the placement %q: %w", text, err)
	}
	if r.Text() != text {
		return Rule{}, fmt.Errorf("the placement %q: %w: it is written otherwise than %q", text, ErrRule, r.Text())
	}
	return r, nil
}

func parseRule(text string) (Rule, error) {
	name, rest, _ := strings.Cut(text, " ")
	if number, ok := strings.CutPrefix(text, "shard="); ok {
		s, err := readShard(number)
		return OnShard(s), err
	}
	if name == "copies=all" {
		f, err := readFields(rest)
		if err != nil {
			return Rule{}, err
		}
		shards, err := readShards(f["over"])
		if err != nil {
			return Rule{}, err
		}
		return Copies(shards)
	}
	kind, ok := functionNamed(name)
	if !ok {
		return Rule{}, fmt.Errorf("%w: the function %q is not known to this version", ErrRule, name)
	}
	return readSharded(kind, rest)
}

func readSharded(kind FunctionKind, rest string) (Rule, error) {
	quoted, ok := strings.CutPrefix(rest, "key=")
	if !ok {
		return Rule{}, fmt.Errorf("%w: no key", ErrRule)
	}
	prefix, err := strconv.QuotedPrefix(quoted)
	if err != nil {
		return Rule{}, fmt.Errorf("%w: no key", ErrRule)
	}
	column, err := strconv.Unquote(prefix)
	if err != nil {
		return Rule{}, fmt.Errorf("%w: no key", ErrRule)
	}
	f, err := readFields(strings.TrimPrefix(quoted[len(prefix):], " "))
	if err != nil {
		return Rule{}, err
	}
	t, ok := keyTypeNamed(f["type"])
	if !ok {
		return Rule{}, fmt.Errorf("%w: the type %q is not known to this version", ErrRule, f["type"])
	}
	function, err := f.function(kind, t)
	if err != nil {
		return Rule{}, err
	}
	return Spread(column, t, f["collation"], function)
}

// fields are the parts name=value of a text.
type fields map[string]string

func readFields(text string) (fields, error) {
	f := fields{}
	for part := range strings.SplitSeq(text, " ") {
		name, value, ok := strings.Cut(part, "=")
		if _, twice := f[name]; !ok || twice {
			return nil, fmt.Errorf("%w: the part %q", ErrRule, part)
		}
		f[name] = value
	}
	return f, nil
}

func (f fields) function(kind FunctionKind, t KeyType) (Function, error) {
	out := Function{Kind: kind}
	var err error
	switch kind {
	case FunctionJump, FunctionMod:
		out.Shards, err = readShards(f["over"])
	case FunctionRing:
		err = f.ring(&out)
	case FunctionSlots:
		err = f.slots(&out)
	case FunctionRange:
		err = out.readValues(t, f["below"])
	case FunctionList:
		if err = out.readValues(t, f["at"]); err == nil && f["default"] != "" {
			err = out.readRest(f["default"])
		}
	}
	return out, err
}

func (f fields) ring(out *Function) (err error) {
	out.Weights = map[Shard]int{}
	for item := range strings.SplitSeq(f["over"], ",") {
		shard, weight, _ := strings.Cut(item, ":")
		s, err := readShard(shard)
		if err != nil {
			return err
		}
		if out.Weights[s], err = readNumber(weight); err != nil {
			return err
		}
		out.Shards = append(out.Shards, s)
	}
	out.Points, err = readNumber(f["points"])
	return err
}

func (f fields) slots(out *Function) (err error) {
	for item := range strings.SplitSeq(f["at"], ",") {
		slots, shard, _ := strings.Cut(item, ":")
		first, last, several := strings.Cut(slots, "-")
		if !several {
			last = first
		}
		var r SlotRange
		if r.First, err = readNumber(first); err != nil {
			return err
		}
		if r.Last, err = readNumber(last); err != nil {
			return err
		}
		if r.Shard, err = readShard(shard); err != nil {
			return err
		}
		out.Ranges = append(out.Ranges, r)
	}
	out.Slots, err = readNumber(f["slots"])
	return err
}

func (f *Function) readValues(t KeyType, text string) error {
	for item := range strings.SplitSeq(text, ",") {
		colon := strings.LastIndexByte(item, ':') // clock times have colons, too
		if colon < 0 {
			return fmt.Errorf("%w: the value %q", ErrRule, item)
		}
		if item[:colon] == "max" {
			if err := f.readRest(item[colon+1:]); err != nil {
				return err
			}
			continue
		}
		k, err := t.read(item[:colon])
		if err != nil {
			return err
		}
		s, err := readShard(item[colon+1:])
		if err != nil {
			return err
		}
		f.Values = append(f.Values, Value{Text: item[:colon], Key: k, Shard: s})
	}
	return nil
}

func (f *Function) readRest(text string) error {
	s, err := readShard(text)
	f.Rest = &s
	return err
}

func readShards(text string) ([]Shard, error) {
	var shards []Shard
	for number := range strings.SplitSeq(text, ",") {
		s, err := readShard(number)
		if err != nil {
			return nil, err
		}
		shards = append(shards, s)
	}
	return shards, nil
}

func readShard(text string) (Shard, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: the shard number %q", ErrRule, text)
	}
	return Shard(n), nil
}

func readNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%w: the number %q", ErrRule, text)
	}
	return int(n), nil
}
