package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"

	"xaproxy/proxy"
)

// Difference is one key that another configuration sets otherwise.
type Difference struct {
	Key      string // as in the file, with dots
	Old, New string // "" = not there; passwords and DSNs are not shown
	Restart  bool   // it counts from the next start on
}

// live are the keys, or beginnings of keys, that count without a restart.
//
//nolint:gochecknoglobals // immutable table
var live = []string{
	"users.", "tables.", "default_table", "drain.", "transactions.max_time", "transactions.idle_time",
	"limits.connections", "limits.packet_bytes", "limits.statement_time", "limits.login_time", "limits.session_statements",
	"limits.rows_buffered", "limits.bytes_buffered",
}

// secret are the ends of keys whose values are not shown.
func secret(key string) bool {
	return strings.HasSuffix(key, ".password") || strings.HasSuffix(key, ".dsn")
}

// differences compares two configurations key by key.
func differences(old, now *Config) []Difference {
	a, b := flatten(old), flatten(now)
	var out []Difference
	for key := range keys(a, b) {
		if a[key] == b[key] {
			continue
		}
		d := Difference{Key: key, Old: a[key], New: b[key], Restart: !slices.ContainsFunc(live, func(l string) bool { return strings.HasPrefix(key, l) })}
		if secret(key) {
			d.Old, d.New = hidden(d.Old), hidden(d.New)
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(x, y Difference) int { return cmp.Compare(x.Key, y.Key) })
	return out
}

func hidden(value string) string {
	if value == "" {
		return ""
	}
	return "(hidden)"
}

func keys(maps ...map[string]string) map[string]bool {
	all := map[string]bool{}
	for _, m := range maps {
		for key := range m {
			all[key] = true
		}
	}
	return all
}

// flatten lists what a configuration says, by key. A table's entry is one value.
func flatten(c *Config) map[string]string {
	out := map[string]string{}
	add(out, "", reflect.ValueOf(*c))
	return out
}

func add(out map[string]string, key string, v reflect.Value) {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	whole := strings.HasPrefix(key, "tables.") || key == "default_table"
	switch {
	case v.Kind() == reflect.Struct && !whole:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("yaml"); name != "" {
				add(out, join(key, name), v.Field(i))
			}
		}
	case v.Kind() == reflect.Map && !whole:
		for it := v.MapRange(); it.Next(); {
			add(out, join(key, it.Key().String()), it.Value())
		}
	case whole:
		text, err := json.Marshal(v.Interface()) // also behind pointers, and in one order
		if err != nil {
			text = []byte(fmt.Sprintf("%+v", v.Interface()))
		}
		out[key] = string(text)
	default:
		out[key] = fmt.Sprintf("%+v", v.Interface())
	}
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// take reads the file anew and takes from it what counts without a restart: all
// of that, or nothing. What it returns is what has changed; keys that need a
// restart have not.
func (m *Main) take(ctx context.Context) ([]Difference, error) {
	m.reloading.Lock()
	defer m.reloading.Unlock()
	if m.config.name == "" {
		return nil, errors.New("the configuration was not read from a file")
	}
	next, err := LoadConfig(m.config.name)
	if err != nil {
		return nil, err
	}
	changed := differences(m.config, next)
	added := m.addedShards(next)
	shards := maps.Clone(m.config.Shards)
	for _, name := range added {
		shards[name] = next.Shards[name]
		for i := range changed {
			if strings.HasPrefix(changed[i].Key, "shards."+name+".") {
				changed[i].Restart = false
			}
		}
	}
	operators, err := m.operators(next)
	if err != nil {
		return nil, err
	}
	if len(added) > 0 || slices.ContainsFunc(changed, func(d Difference) bool {
		return strings.HasPrefix(d.Key, "tables.") || d.Key == "default_table"
	}) {
		if err := m.place(ctx, next, added, shards); err != nil {
			return nil, err
		}
	}
	// From here on nothing can fail.
	m.dataUsers.set(next.clients())
	m.adminUsers.set(operators)
	m.data.SetLimits(next.portLimits())
	m.admin.SetLimits(next.portLimits())
	m.drainTimes.Store(&next.Drain)
	merged := *m.config
	merged.Shards = shards
	merged.Users, merged.Tables, merged.DefaultTable, merged.Drain, merged.source = next.Users, next.Tables, next.DefaultTable, next.Drain, next.source
	merged.Transactions.MaxTime, merged.Transactions.IdleTime = next.Transactions.MaxTime, next.Transactions.IdleTime
	shardConns, wait := merged.Limits.ShardConnections, merged.Limits.PoolWait
	merged.Limits = next.Limits
	merged.Limits.ShardConnections, merged.Limits.PoolWait = shardConns, wait
	m.config = &merged
	return changed, nil
}

// addedShards are those that another configuration has more.
func (m *Main) addedShards(next *Config) []string {
	return slices.DeleteFunc(sortedNaturally(sortedKeys(next.Shards)), func(name string) bool {
		return slices.ContainsFunc(m.units(), func(u *unit) bool { return u.name == name })
	})
}

// place takes another placement of tables that do not exist yet, and more shards.
func (m *Main) place(ctx context.Context, next *Config, added []string, shards map[string]ShardConfig) error {
	have := m.units()
	for _, u := range have {
		if _, there := next.Shards[u.name]; !there {
			return next.keyError(fmt.Errorf("shards: %s is missing; what is changed about tables needs all shards", u.name))
		}
	}
	if len(added) == 0 {
		places, err := routeMap(next, have)
		if err != nil {
			return err
		}
		return m.data.SetMap(ctx, places)
	}
	known := *m.config
	known.Shards = shards
	fresh, err := m.openAdded(ctx, &known, added)
	if err == nil {
		err = m.admit(ctx, next, fresh)
	}
	if err != nil {
		return errors.Join(next.keyError(fmt.Errorf("shards.%s: %w", added[0], err)), closeUnits(ctx, fresh))
	}
	return nil
}

// openAdded gives added shards their numbers and makes their units. All shards must
// answer if one is new to the cluster.
func (m *Main) openAdded(ctx context.Context, known *Config, added []string) ([]*unit, error) {
	members, err := survey(ctx, known)
	if err != nil {
		return nil, err
	}
	if _, err := identify(ctx, members, m.state); err != nil {
		return nil, err
	}
	members = slices.DeleteFunc(members, func(mb member) bool { return !slices.Contains(added, mb.name) })
	for _, mb := range members {
		if mb.err != nil {
			return nil, fmt.Errorf("shard %s does not answer: %w", mb.name, mb.err)
		}
	}
	fresh, err := m.openStores(members)
	if err == nil {
		m.openPools(fresh) //nolint:contextcheck // pools live longer than the reload
	}
	return fresh, err
}

// admit lets sessions and recovery use fresh shards.
func (m *Main) admit(ctx context.Context, next *Config, fresh []*unit) error {
	all := append(slices.Clone(m.units()), fresh...)
	slices.SortFunc(all, func(a, b *unit) int { return cmp.Compare(a.meta.Shard, b.meta.Shard) })
	places, err := routeMap(next, all)
	if err != nil {
		return err
	}
	if err := m.data.AddShards(ctx, sessionShards(fresh), places, func() error {
		for _, r := range resources(fresh) {
			if err := m.manager.AddShard(r); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	m.shards.Store(&all)
	m.tellDirectory(ctx, all)
	m.log.Info("shards were added", slog.String("shards", names(fresh)))
	return nil
}

// Reload is the verb RELOAD: one row for each key that the file sets otherwise.
func (m *Main) Reload(ctx context.Context) (*proxy.Table, error) {
	changed, err := m.take(ctx)
	if err != nil {
		return nil, proxy.ConfigurationRefused(err)
	}
	t := &proxy.Table{Columns: []proxy.Column{{Name: "key"}, {Name: "old"}, {Name: "new"}, {Name: "state"}}}
	for _, d := range changed {
		t.Rows = append(t.Rows, []proxy.Value{proxy.String(d.Key), proxy.String(d.Old), proxy.String(d.New), proxy.String(d.state())})
	}
	return t, nil
}

func (d Difference) state() string {
	if d.Restart {
		return "needs a restart"
	}
	return "taken"
}

// logReload is SIGHUP.
func (m *Main) logReload(ctx context.Context) {
	changed, err := m.take(ctx)
	if err != nil {
		m.log.Error("the configuration was not taken, nothing has changed", slog.Any("err", err))
		return
	}
	for _, d := range changed {
		m.log.Info("configuration", slog.String("key", d.Key), slog.String("old", d.Old), slog.String("new", d.New), slog.String("state", d.state()))
	}
	m.log.Info("the configuration was read anew", slog.Int("changed", len(changed)))
}
