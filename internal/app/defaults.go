package app

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"xaproxy/proxy/backend"
)

// defaultsTime bounds the wait for a slow shard's settings; it gets those of the others then.
const defaultsTime = 4 * time.Second

// defaults decides once what sessions at all shards begin with: the settings of
// the lowest shard number that answers. Differences of the others do not matter
// to clients then, but to people who expect them.
func (m *Main) defaults(ctx context.Context) backend.Defaults {
	ctx, cancel := context.WithTimeout(ctx, defaultsTime)
	defer cancel()
	units := m.units()
	told := make([]*backend.ServerDefaults, len(units))
	var wg sync.WaitGroup
	for i, u := range units {
		if u.err != nil {
			continue
		}
		wg.Go(func() {
			d, err := backend.ReadDefaults(ctx, u.options)
			if err != nil {
				m.log.Warn("read the settings of a shard's server", slog.String("shard", u.name), slog.Any("err", err))
				return
			}
			told[i] = &d
		})
	}
	wg.Wait()
	chosen := backend.StandardDefaults()
	var first *backend.ServerDefaults
	for i, d := range told {
		if d == nil {
			continue
		}
		use, left := d.ForAll()
		if first == nil {
			first, chosen = d, use
			if len(left) > 0 {
				m.log.Warn("modes that not every server knows are left out of the sessions' sql_mode",
					slog.String("shard", units[i].name), slog.String("modes", strings.Join(left, ",")))
			}
			continue
		}
		m.compareDefaults(units[i].name, chosen, use)
		if strings.EqualFold(chosen.TimeZone, "SYSTEM") && d.SystemZone != first.SystemZone {
			m.log.Error("time zones of the shards' hosts differ: set default_time_zone at every server, else times of one statement differ",
				slog.String("shard", units[i].name), slog.String("zone", d.SystemZone), slog.String("other", first.SystemZone))
		}
	}
	return chosen
}

// compareDefaults says where a server is configured otherwise.
func (m *Main) compareDefaults(name string, chosen, its backend.Defaults) {
	for _, v := range []struct{ name, chosen, its string }{
		{"sql_mode", chosen.SQLMode, its.SQLMode},
		{"time_zone", chosen.TimeZone, its.TimeZone},
		{"transaction_isolation", chosen.Isolation, its.Isolation},
	} {
		if v.chosen != v.its {
			m.log.Warn("a shard's default differs and is not used", slog.String("shard", name), slog.String("variable", v.name),
				slog.String("its", v.its), slog.String("used", v.chosen))
		}
	}
}
