package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"xaproxy/proxy/route"
)

// TableConfig places one table: by Key and a function, on one Shard, or in
// copies on all.
type TableConfig struct {
	Key      string `yaml:"key"`      // sharding column
	Function string `yaml:"function"` // jump (default), ring, slots, mod, range, list
	Group    string `yaml:"group"`    // tables whose equal keys must be on one shard
	Shard    string `yaml:"shard"`    // one-shard table
	Copies   string `yaml:"copies"`   // all: reference table

	Shards  []string            `yaml:"shards"`  // jump, ring, mod, slots: over these; default: all
	Weights map[string]int      `yaml:"weights"` // ring: by shard; default: 1
	Points  int                 `yaml:"points"`  // ring: virtual nodes of a shard of weight 1
	Slots   int                 `yaml:"slots"`   // slots: how many
	SlotMap map[string]string   `yaml:"slot_map"`
	Ranges  []RangeConfig       `yaml:"ranges"`  // range: ascending
	Values  map[string][]scalar `yaml:"values"`  // list: by shard
	Default string              `yaml:"default"` // list: the shard of all other values
}

// RangeConfig is one range of keys; without Below, which is not included, it is
// the last.
type RangeConfig struct {
	Below *scalar `yaml:"below"`
	Shard string  `yaml:"shard"`
}

// scalar is a value as it is written: 007, 1.50 and 2024-01-31 stay as they are.
type scalar string

// UnmarshalYAML reads any scalar.
func (s *scalar) UnmarshalYAML(n ast.Node) error {
	switch n := n.(type) {
	case *ast.StringNode:
		*s = scalar(n.Value)
		return nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		*s = scalar(n.GetToken().Value)
		return nil
	case *ast.LiteralNode:
		*s = scalar(n.Value.Value)
		return nil
	}
	return &valueAt{n, n.String() + " is no value of a column"}
}

// ways counts in how many ways the table is placed.
func (t TableConfig) ways() int {
	n := 0
	for _, given := range []string{t.Key, t.Shard, t.Copies} {
		if given != "" {
			n++
		}
	}
	return n
}

// wrong is an error about one table, with the path to what is wrong.
type wrong struct {
	path []string // below the table's entry
	err  error
}

func wrongf(path, format string, args ...any) *wrong {
	var steps []string
	if path != "" {
		steps = strings.Split(path, ".")
	}
	return &wrong{path: steps, err: fmt.Errorf(format, args...)}
}

func (c *Config) validateTables(bad func(string, ...any), found func(error)) {
	for _, name := range sortedKeys(c.Tables) {
		if w := c.wrongTable(c.Tables[name]); w != nil {
			found(c.tableError(name, w))
		}
	}
	for _, w := range c.wrongGroups() {
		found(w)
	}
	if s := c.DefaultTable.Shard; s != "" && c.Shards[s].DSN == "" {
		bad("default_table.shard: no shard is named %q", s)
	}
}

// tableError says where in the file an error about a table is.
func (c *Config) tableError(name string, w *wrong) error {
	label := "tables." + name
	for _, step := range w.path {
		label += "." + step
	}
	return c.pathError(append([]string{"tables", name}, w.path...), fmt.Errorf("%s: %w", label, w.err))
}

func (c *Config) wrongTable(t TableConfig) *wrong {
	switch {
	case t.Copies != "" && t.Copies != "all":
		return wrongf("copies", "%q: only all is known", t.Copies)
	case t.ways() > 1:
		return wrongf("", "give one of key, shard and copies")
	case t.ways() == 0:
		return wrongf("", "give key (sharded), shard (one-shard table) or copies (reference table)")
	case t.Shard != "" && c.Shards[t.Shard].DSN == "":
		return wrongf("shard", "no shard is named %q", t.Shard)
	}
	kind, known := route.ParseFunction(t.Function)
	if !known {
		return wrongf("function", "%q is none of jump, ring, slots, mod, range, list", t.Function)
	}
	if w := t.surplus(kind); w != nil || t.Key == "" {
		return w
	}
	return c.wrongFunction(t)
}

func (c *Config) wrongFunction(t TableConfig) *wrong {
	numbers := map[string]route.Shard{}
	for i, name := range sortedKeys(c.Shards) {
		numbers[name] = route.Shard(i)
	}
	f, w := t.function(numbers)
	if w != nil {
		return w
	}
	return checkFunction(t, f, slices.Sorted(maps.Values(numbers)))
}

// checkFunction checks what can be checked before the key's type is known.
func checkFunction(t TableConfig, f route.Function, all []route.Shard) *wrong {
	if f.Kind == route.FunctionRange || f.Kind == route.FunctionList {
		return nil
	}
	if _, err := route.Spread(t.Key, route.KeyTypeInt, "", f.Over(all)); err != nil {
		path := map[route.FunctionKind]string{route.FunctionRing: "weights", route.FunctionSlots: "slot_map"}[f.Kind]
		if t.Weights == nil && t.SlotMap == nil {
			path = "function"
		}
		return wrongf(path, "%w", err)
	}
	return nil
}

// surplus refuses parameters of other functions, and of keys where there is none.
func (t TableConfig) surplus(kind route.FunctionKind) *wrong {
	switch {
	case t.Key == "" && t.Group != "":
		return wrongf("group", "a group is of tables with a key")
	case t.Key == "" && t.Function != "":
		return wrongf("function", "a function needs a key")
	}
	for _, p := range []struct {
		name  string
		given bool
		of    []route.FunctionKind
	}{
		{"shards", t.Shards != nil, []route.FunctionKind{route.FunctionJump, route.FunctionRing, route.FunctionSlots, route.FunctionMod}},
		{"weights", t.Weights != nil, []route.FunctionKind{route.FunctionRing}},
		{"points", t.Points != 0, []route.FunctionKind{route.FunctionRing}},
		{"slots", t.Slots != 0, []route.FunctionKind{route.FunctionSlots}},
		{"slot_map", t.SlotMap != nil, []route.FunctionKind{route.FunctionSlots}},
		{"ranges", t.Ranges != nil, []route.FunctionKind{route.FunctionRange}},
		{"values", t.Values != nil, []route.FunctionKind{route.FunctionList}},
		{"default", t.Default != "", []route.FunctionKind{route.FunctionList}},
	} {
		if p.given && (t.Key == "" || !slices.Contains(p.of, kind)) {
			return wrongf(p.name, "this is no parameter of the function %s", kind)
		}
	}
	return nil
}

// function makes the function with shard numbers of the configured names.
func (t TableConfig) function(numbers map[string]route.Shard) (route.Function, *wrong) {
	kind, _ := route.ParseFunction(t.Function)
	f := route.Function{Kind: kind, Points: t.Points, Slots: t.Slots}
	number := func(path, name string) (route.Shard, *wrong) {
		n, known := numbers[name]
		if !known {
			return 0, wrongf(path, "no shard is named %q", name)
		}
		return n, nil
	}
	for i, name := range t.Shards {
		n, w := number("shards."+strconv.Itoa(i), name)
		if w != nil {
			return f, w
		}
		f.Shards = append(f.Shards, n)
	}
	if t.Weights != nil {
		f.Weights = map[route.Shard]int{}
	}
	for _, name := range sortedKeys(t.Weights) {
		n, w := number("weights", name)
		if w != nil {
			return f, w
		}
		f.Weights[n] = t.Weights[name]
	}
	for _, name := range sortedKeys(t.SlotMap) {
		n, w := number("slot_map", name)
		if w == nil {
			f.Ranges, w = slotRanges(f.Ranges, name, t.SlotMap[name], n)
		}
		if w != nil {
			return f, w
		}
	}
	switch kind {
	case route.FunctionRange:
		return f, t.ranges(&f, number)
	case route.FunctionList:
		return f, t.list(&f, number)
	case route.FunctionJump, route.FunctionRing, route.FunctionSlots, route.FunctionMod:
	}
	return f, nil
}

// slotRanges reads the slots of a shard: 0-99,200.
func slotRanges(ranges []route.SlotRange, name, text string, n route.Shard) ([]route.SlotRange, *wrong) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, several := strings.Cut(strings.TrimSpace(part), "-")
		if !several {
			last = first
		}
		a, err1 := strconv.Atoi(strings.TrimSpace(first))
		b, err2 := strconv.Atoi(strings.TrimSpace(last))
		if errors.Join(err1, err2) != nil {
			return nil, wrongf("slot_map."+name, "%q is no list of slots such as 0-99,200", text)
		}
		ranges = append(ranges, route.SlotRange{First: a, Last: b, Shard: n})
	}
	return ranges, nil
}

func (t TableConfig) ranges(f *route.Function, number func(path, name string) (route.Shard, *wrong)) *wrong {
	if len(t.Ranges) == 0 {
		return wrongf("function", "range needs ranges: [{below: VALUE, shard: NAME}, ...]")
	}
	for i, r := range t.Ranges {
		path := "ranges." + strconv.Itoa(i)
		n, w := number(path+".shard", r.Shard)
		switch {
		case w != nil:
			return w
		case r.Below != nil:
			f.Values = append(f.Values, route.Value{Text: string(*r.Below), Shard: n})
		case i < len(t.Ranges)-1:
			return wrongf(path, "only the last range can be without below")
		default:
			f.Rest = &n
		}
	}
	if len(f.Values) == 0 {
		return wrongf("ranges", "at least one range needs below")
	}
	return nil
}

func (t TableConfig) list(f *route.Function, number func(path, name string) (route.Shard, *wrong)) *wrong {
	if len(t.Values) == 0 {
		return wrongf("function", "list needs values: {NAME: [VALUE, ...], ...}")
	}
	seen := map[scalar]bool{}
	for _, name := range sortedKeys(t.Values) {
		n, w := number("values", name)
		if w != nil {
			return w
		}
		for _, v := range t.Values[name] {
			if seen[v] {
				return wrongf("values."+name, "the value %q is listed twice", v)
			}
			seen[v] = true
			f.Values = append(f.Values, route.Value{Text: string(v), Shard: n})
		}
	}
	if t.Default == "" {
		return nil
	}
	n, w := number("default", t.Default)
	f.Rest = &n
	return w
}

// wrongGroups finds tables of one group with different functions. Whether their
// keys are placed alike shows when the types are known.
func (c *Config) wrongGroups() []error {
	var errs []error
	first := map[string]string{}
	for _, name := range sortedKeys(c.Tables) {
		t := c.Tables[name]
		if t.Group == "" {
			continue
		}
		other, seen := first[t.Group]
		if !seen {
			first[t.Group] = name
			continue
		}
		a, _ := route.ParseFunction(c.Tables[other].Function)
		b, _ := route.ParseFunction(t.Function)
		if a != b {
			errs = append(errs, c.tableError(name, wrongf("group", "%s is placed by %s, the table %s of the same group by %s", name, b, other, a)))
		}
	}
	return errs
}

// placement is the table's placement with the shards' numbers.
func (t TableConfig) placement(numbers map[string]route.Shard) (route.Placement, error) {
	switch {
	case t.Shard != "":
		one := numbers[t.Shard]
		return route.Placement{Shard: &one}, nil
	case t.Copies != "":
		return route.Placement{Copies: true}, nil
	}
	f, w := t.function(numbers)
	if w != nil {
		return route.Placement{}, w.err
	}
	return route.Placement{Key: t.Key, Function: f, Group: t.Group}, nil
}
