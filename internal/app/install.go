package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"xaproxy/proxy/backend"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// member is a configured shard and what it says it is.
type member struct {
	name      string
	dsn       string
	options   backend.Options // of sessions' connections; without what the pools add
	meta      xamysql.Meta
	installed bool
	err       error // it did not answer
}

// surveyTime bounds the first question to each shard.
const surveyTime = 10 * time.Second

// parseShardDSN reads a shard's DSN.
func parseShardDSN(dsn string) (backend.Options, error) { return backend.ParseDSN(dsn) }

// survey asks every shard who it is, all at the same time.
func survey(ctx context.Context, c *Config) ([]member, error) {
	members := make([]member, 0, len(c.Shards))
	for _, name := range sortedNaturally(sortedKeys(c.Shards)) {
		o, err := parseShardDSN(c.Shards[name].DSN)
		if err != nil {
			return nil, fmt.Errorf("shards.%s.dsn: %w", name, err)
		}
		members = append(members, member{name: name, dsn: c.Shards[name].DSN, options: o})
	}
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	var wg sync.WaitGroup
	for i := range members {
		m := &members[i]
		wg.Go(func() { m.meta, m.installed, m.err = xamysql.ReadMeta(ctx, m.dsn) })
	}
	wg.Wait()
	return members, consistent(members)
}

// consistent refuses servers that cannot be shards of one cluster together.
func consistent(members []member) error {
	var errs []error
	first := map[xa.ShardID]*member{}
	var known *member
	for i := range members {
		m := &members[i]
		if m.err != nil || !m.installed {
			continue
		}
		if known == nil {
			known = m
		}
		if m.meta.Cluster != known.meta.Cluster {
			errs = append(errs, fmt.Errorf("shards %s and %s belong to different clusters (%010x and %010x)",
				known.name, m.name, uint64(known.meta.Cluster), uint64(m.meta.Cluster)))
			continue
		}
		if other := first[m.meta.Shard]; other != nil {
			errs = append(errs, fmt.Errorf("shards %s and %s both answer as number %d: their DSNs reach one server, or one is a copy of the other",
				other.name, m.name, m.meta.Shard))
			continue
		}
		first[m.meta.Shard] = m
	}
	return errors.Join(errs...)
}

// installPatience bounds the wait for another proxy that starts for the first time.
const installPatience = 30 * time.Second

// install makes every member a shard of one cluster. All must answer: a number
// given while another shard cannot be asked might be given twice. Proxies that
// start for the first time together do it one after the other.
func install(ctx context.Context, members []member) error {
	for _, m := range members {
		if m.err != nil {
			return fmt.Errorf("all shards must answer while numbers are given: shard %s: %w", m.name, m.err)
		}
	}
	return xamysql.Alone(ctx, members[0].dsn, installPatience, func() error {
		for i := range members {
			m := &members[i]
			var err error
			if m.meta, m.installed, err = xamysql.ReadMeta(ctx, m.dsn); err != nil {
				return fmt.Errorf("shard %s: %w", m.name, err)
			}
		}
		return installAlone(ctx, members)
	})
}

func installAlone(ctx context.Context, members []member) error {
	cluster, next := xa.ClusterID(0), xa.ShardID(0)
	var schemas []xamysql.Schema // that a shard must have which joins a cluster
	for _, m := range members {
		if !m.installed {
			continue
		}
		if cluster == 0 {
			var err error
			if schemas, err = xamysql.ReadSchemas(ctx, m.dsn); err != nil {
				return fmt.Errorf("shard %s: %w", m.name, err)
			}
		}
		cluster = m.meta.Cluster
		next = max(next, m.meta.Shard+1)
		// Numbers of shards that are not configured any more are not given again.
		names, err := xamysql.ReadDirectory(ctx, m.dsn)
		if err != nil {
			return fmt.Errorf("shard %s: %w", m.name, err)
		}
		for _, number := range names {
			next = max(next, number+1)
		}
	}
	if cluster == 0 {
		drawn, err := randomCluster()
		if err != nil {
			return err
		}
		cluster = drawn
	}
	for i := range members {
		m := &members[i]
		if m.installed {
			continue
		}
		m.meta = xamysql.Meta{Version: xamysql.SchemaVersion, Cluster: cluster, Shard: next, Name: m.name}
		if err := xamysql.CreateSchemas(ctx, m.dsn, schemas); err != nil {
			return fmt.Errorf("shard %s: %w", m.name, err)
		}
		if err := xamysql.Install(ctx, m.dsn, m.meta); err != nil {
			return fmt.Errorf("shard %s: %w", m.name, err)
		}
		m.installed = true
		next++
	}
	return tellDirectory(ctx, members)
}

// tellDirectory stores the shards' names and numbers at every shard that
// answers: for proxies that start while one does not, and so that no number is
// given twice.
func tellDirectory(ctx context.Context, members []member) error {
	names := map[string]xa.ShardID{}
	for _, m := range members {
		names[m.name] = m.meta.Shard
	}
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		if m.err != nil {
			continue
		}
		wg.Go(func() {
			if err := xamysql.StoreDirectory(ctx, m.dsn, names); err != nil {
				errs[i] = fmt.Errorf("shard %s: %w", m.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Init creates schema xaproxy on every shard that lacks it and gives each its
// permanent number. It may be repeated.
func Init(ctx context.Context, c *Config, out io.Writer) error {
	members, err := survey(ctx, c)
	if err != nil {
		return err
	}
	fresh := map[string]bool{}
	for _, m := range members {
		fresh[m.name] = !m.installed
	}
	if err := install(ctx, members); err != nil {
		return err
	}
	// Two DSNs of one server show only once it has a number.
	if members, err = survey(ctx, c); err != nil {
		return err
	}
	for _, m := range members {
		what := "was installed already"
		if fresh[m.name] {
			what = "installed"
		}
		fmt.Fprintf(out, "shard %s: number %d of cluster %010x, %s\n", m.name, m.meta.Shard, uint64(m.meta.Cluster), what)
	}
	return nil
}

// ErrFindings is returned by Check when a shard lacks something that xaproxy
// needs; what it is was written to the output.
var ErrFindings = errors.New("a shard lacks what xaproxy needs")

// Check tests every shard and writes what is missing with the statement that
// repairs it. It changes nothing.
func Check(ctx context.Context, c *Config, out io.Writer) error {
	members, err := survey(ctx, c)
	if err != nil {
		return err
	}
	broken := false
	for _, m := range members {
		findings, err := xamysql.Check(ctx, m.dsn)
		if err != nil {
			fmt.Fprintf(out, "shard %s: error: %v\n", m.name, err)
			broken = true
			continue
		}
		if !m.installed {
			fmt.Fprintf(out, "shard %s: advice: schema xaproxy is not installed; the first serve does it, or: xaproxy init\n", m.name)
		} else {
			fmt.Fprintf(out, "shard %s: number %d of cluster %010x\n", m.name, m.meta.Shard, uint64(m.meta.Cluster))
		}
		for _, f := range findings {
			fmt.Fprintf(out, "shard %s: %s: %s\n", m.name, f.Severity, f.What)
			if f.Repair != "" {
				fmt.Fprintf(out, "    %s\n", f.Repair)
			}
			broken = broken || f.Severity == xamysql.Broken
		}
		if len(findings) == 0 {
			fmt.Fprintf(out, "shard %s: ok\n", m.name)
		}
	}
	if broken {
		return ErrFindings
	}
	return nil
}

// identify gives every member its number: what it says itself or, while it does
// not answer, what the state directory remembers.
func identify(ctx context.Context, members []member, s *state) (xa.ClusterID, error) {
	known, remembered, err := s.directory()
	if err != nil {
		return 0, err
	}
	whole, err := remember(ctx, members, known)
	if err != nil {
		return 0, err
	}
	if err := complete(ctx, members, whole); err != nil {
		return 0, err
	}
	if err := consistent(members); err != nil {
		return 0, err
	}
	cluster := members[0].meta.Cluster
	if remembered && known.Cluster != cluster {
		return 0, fmt.Errorf("the shards belong to cluster %010x, but this proxy's state directory to %010x: give it a state_dir of its own",
			uint64(cluster), uint64(known.Cluster))
	}
	next := directory{Cluster: cluster, Shards: map[string]xa.ShardID{}}
	for _, m := range members {
		if number, was := known.Shards[m.name]; was && number != m.meta.Shard {
			return 0, fmt.Errorf("shard %s answers as number %d (installed as %q), but this proxy knows it as number %d: a DSN reaches another server than before",
				m.name, m.meta.Shard, m.meta.Name, number)
		}
		next.Shards[m.name] = m.meta.Shard
	}
	return cluster, s.saveDirectory(next)
}

// complete fills in the meta of members that are not installed yet or do not
// answer.
func complete(ctx context.Context, members []member, known directory) error {
	fresh := false
	for i := range members {
		m := &members[i]
		number, remembered := known.Shards[m.name]
		switch {
		case m.err != nil && remembered:
			m.meta = xamysql.Meta{Version: xamysql.SchemaVersion, Cluster: known.Cluster, Shard: number, Name: m.name}
			m.installed = true
		case m.err != nil:
			return fmt.Errorf("shard %s does not answer (%w), and neither the state directory nor another shard knows its number: start once while it answers", m.name, m.err)
		case !m.installed && remembered:
			return fmt.Errorf("shard %s was number %d, but the server that answers has no schema xaproxy: was it restored or replaced?", m.name, number)
		case !m.installed:
			fresh = true
		}
	}
	if !fresh {
		return nil
	}
	return install(ctx, members)
}

// remember adds to known what the shards that answer know of those that do not.
// One that is lost meanwhile is missed only where nobody else knows a number.
func remember(ctx context.Context, members []member, known directory) (directory, error) {
	out := directory{Cluster: known.Cluster, Shards: maps.Clone(known.Shards)}
	if out.Shards == nil {
		out.Shards = map[string]xa.ShardID{}
	}
	if !slices.ContainsFunc(members, func(m member) bool { return m.err != nil }) {
		return out, nil
	}
	var lost []error
	for _, m := range members {
		if m.err != nil || !m.installed {
			continue
		}
		if out.Cluster == 0 {
			out.Cluster = m.meta.Cluster
		}
		names, err := xamysql.ReadDirectory(ctx, m.dsn)
		if err != nil {
			lost = append(lost, fmt.Errorf("shard %s: %w", m.name, err))
		}
		for name, number := range names {
			if _, is := out.Shards[name]; !is {
				out.Shards[name] = number
			}
		}
	}
	unknown := slices.ContainsFunc(members, func(m member) bool {
		_, is := out.Shards[m.name]
		return m.err != nil && !is
	})
	if unknown {
		return out, errors.Join(lost...)
	}
	return out, nil
}

// sortedNaturally puts s2 before s10, so that numbers given at the first start
// are the ones people expect.
func sortedNaturally(names []string) []string {
	split := func(s string) (string, int) {
		i := len(strings.TrimRight(s, "0123456789"))
		n, err := strconv.Atoi(s[i:])
		if err != nil {
			n = -1
		}
		return s[:i], n
	}
	return slices.SortedStableFunc(slices.Values(names), func(x, y string) int {
		a, an := split(x)
		b, bn := split(y)
		return cmp.Or(cmp.Compare(a, b), cmp.Compare(an, bn))
	})
}
