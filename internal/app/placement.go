package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"xaproxy/proxy"
	"xaproxy/proxy/backend"
)

// Placement writes for every table where its rows are, what the configuration
// asks for, and whether it can be adopted. It changes nothing.
func Placement(ctx context.Context, c *Config, out io.Writer) error {
	return withPlacements(ctx, c, func(tool *proxy.PlacementTool) error {
		tables, err := tool.Tables(ctx)
		if err != nil {
			return err
		}
		return writePlacements(out, tables)
	})
}

func writePlacements(out io.Writer, tables []proxy.TablePlacement) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tSTATE\tROWS\tSHARDS\tPLACEMENT")
	var notes []string
	for _, t := range tables {
		name := t.Schema + "." + t.Table
		rule := t.Stored
		if rule == "" {
			rule = t.Rule
		}
		fmt.Fprintf(w, "%s\t%s\t~%d\t%s\t%s\n", name, t.State, t.Rows, strings.Join(t.Shards, ","), rule)
		switch {
		case t.State == proxy.PlacementAdoptable:
			notes = append(notes, fmt.Sprintf("%s: it has rows and no stored placement; look at them and store it: xaproxy placement adopt %s", name, name))
		case t.Why != "":
			notes = append(notes, name+": "+t.Why)
		}
		if t.Stored != "" && t.Rule != "" && t.Stored != t.Rule {
			notes = append(notes, name+": the configuration asks for "+t.Rule)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(out, n)
	}
	return nil
}

// Adopt looks at every row of tables that have no stored placement, and stores
// the configured one of those whose rows are all in their places. It returns
// ErrFindings when one was refused; why was written to the output.
func Adopt(ctx context.Context, c *Config, names []string, out io.Writer) error {
	return withPlacements(ctx, c, func(tool *proxy.PlacementTool) error {
		refused := false
		for _, name := range names {
			schema, table, ok := strings.Cut(name, ".")
			if !ok {
				return fmt.Errorf("%q: name the table as schema.table", name)
			}
			told := time.Now()
			done, err := tool.Adopt(ctx, schema, table, func(shard string, rows uint64) {
				if time.Since(told) > time.Second {
					told = time.Now()
					fmt.Fprintf(out, "%s: %d rows of shard %s\n", name, rows, shard)
				}
			})
			if err != nil {
				refused = true
				fmt.Fprintf(out, "%s: refused: %v\n", name, err)
				continue
			}
			fmt.Fprintf(out, "%s: adopted, %d rows are where %s places them\n", name, done.Rows, done.Rule)
		}
		if refused {
			return ErrFindings
		}
		return nil
	})
}

// withPlacements opens the shards for a command that does not serve. A proxy may
// be serving at the same time.
func withPlacements(ctx context.Context, c *Config, do func(*proxy.PlacementTool) error) (err error) {
	members, err := survey(ctx, c)
	if err != nil {
		return err
	}
	m := &Main{config: c, log: slog.New(slog.DiscardHandler)}
	defer func() { err = errors.Join(err, m.Close(ctx)) }()
	for _, mb := range members {
		switch {
		case mb.err != nil:
			return fmt.Errorf("shard %s: %w", mb.name, mb.err)
		case !mb.installed:
			return fmt.Errorf("shard %s has no schema xaproxy: xaproxy init installs it", mb.name)
		}
	}
	m.cluster, m.node, m.begin = members[0].meta.Cluster, max(c.Node, 1), backend.StandardDefaults()
	units, err := m.openStores(members)
	m.shards.Store(&units)
	if err != nil {
		return err
	}
	m.openPools(units) //nolint:contextcheck // pools dial by their callers' contexts
	places, err := routeMap(m.config, units)
	if err != nil {
		return err
	}
	return do(proxy.NewPlacementTool(sessionShards(units), places, m.log))
}
