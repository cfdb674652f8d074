// Command xaproxy is a MySQL-speaking proxy that commits transactions over many
// MySQL and MariaDB servers atomically. This package holds flags and commands
// only; what they do is in internal/app.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"xaproxy/internal/app"
	"xaproxy/internal/bank"
	"xaproxy/internal/demo"
)

// version is set by the linker for releases.
var version = ""

func main() {
	os.Exit(run()) //nolint:forbidigo // this is main
}

func run() int {
	// The first signal asks for an orderly end; after it the default action is
	// back, so that a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	err := root().ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, app.ErrFindings):
		return 1 // the findings are printed already
	}
	fmt.Fprintln(os.Stderr, "xaproxy:", err)
	return 1
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:           "xaproxy",
		Short:         "ACID transactions over many MySQL and MariaDB servers behind one MySQL DSN",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddCommand(serveCommand(), initCommand(), checkCommand(), placementCommand(), healthCommand(), demoCommand(), bankCommand(), versionCommand())
	return c
}

func configFlag(c *cobra.Command) *string {
	path := c.Flags().StringP("config", "c", "xaproxy.yaml", "configuration file")
	return path
}

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve clients until SIGTERM (a second one ends at once); SIGHUP reads the configuration anew",
		Args:  cobra.NoArgs,
	}
	config := configFlag(c)
	level := c.Flags().String("log-level", "info", "debug, info, warn or error")
	format := c.Flags().String("log-format", "text", "text or json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := logger(*level, *format)
		if err != nil {
			return err
		}
		cfg, err := app.LoadConfig(*config)
		if err != nil {
			return err
		}
		hangUp := make(chan os.Signal, 1)
		signal.Notify(hangUp, syscall.SIGHUP)
		defer signal.Stop(hangUp)
		return app.Serve(c.Context(), cfg, log, hangUp)
	}
	return c
}

func logger(level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	}
	return nil, fmt.Errorf("--log-format: %q is neither text nor json", format)
}

func initCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "init",
		Short: "Create the schema xaproxy on every shard and give each its permanent number",
		Args:  cobra.NoArgs,
	}
	config := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := app.LoadConfig(*config)
		if err != nil {
			return err
		}
		return app.Init(c.Context(), cfg, c.OutOrStdout())
	}
	return c
}

func checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Test every shard and print the statement that repairs what is missing",
		Args:  cobra.NoArgs,
	}
	config := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := app.LoadConfig(*config)
		if err != nil {
			return err
		}
		return app.Check(c.Context(), cfg, c.OutOrStdout())
	}
	return c
}

func placementCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "placement",
		Short: "Show for every table where its rows are and what the configuration asks for",
		Args:  cobra.NoArgs,
	}
	config := c.PersistentFlags().StringP("config", "c", "xaproxy.yaml", "configuration file")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := app.LoadConfig(*config)
		if err != nil {
			return err
		}
		return app.Placement(c.Context(), cfg, c.OutOrStdout())
	}
	adopt := &cobra.Command{
		Use:   "adopt SCHEMA.TABLE ...",
		Short: "Look at every row of tables that exist on the shards, and store their configured placement",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, names []string) error {
			cfg, err := app.LoadConfig(*config)
			if err != nil {
				return err
			}
			return app.Adopt(c.Context(), cfg, names, c.OutOrStdout())
		},
	}
	c.AddCommand(adopt)
	return c
}

func healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health [URL]",
		Short: "Exit with 0 when a proxy's page answers 200, by default http://127.0.0.1:4408/readyz: for containers without a shell",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			url := "http://127.0.0.1:4408/readyz"
			if len(args) > 0 {
				url = args[0]
			}
			return app.Health(c.Context(), url)
		},
	}
}

func bankCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bank",
		Short: "A bank that knows nothing but DSNs: load for a cluster, and a check that no cent is lost",
	}
	var o bank.Options
	run := &cobra.Command{
		Use:   "run",
		Short: "Make the accounts and transfer between them until --duration is over or SIGTERM",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Out = c.OutOrStdout()
			if err := bank.Prepare(c.Context(), o); err != nil {
				return err
			}
			return bank.Run(c.Context(), o)
		},
	}
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Compare the record with the database; exit status 1 when something is wrong",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v, err := bank.Verify(c.Context(), o)
			if err != nil {
				return err
			}
			if err := json.NewEncoder(c.OutOrStdout()).Encode(v); err != nil {
				return err
			}
			if len(v.Violations) > 0 {
				return app.ErrFindings
			}
			return nil
		},
	}
	for _, sub := range []*cobra.Command{run, verify} {
		sub.Flags().StringSliceVar(&o.DSNs, "dsn", nil, "user:password@tcp(host:port)/ of a proxy; may be repeated")
		sub.Flags().StringVar(&o.Record, "record", "bank.jsonl", "file of what was told about each transfer")
		sub.Flags().StringVar(&o.Schema, "schema", "bank", "schema of the bank's tables")
		sub.Flags().IntVar(&o.Accounts, "accounts", 100, "how many accounts there are")
		c.AddCommand(sub)
	}
	run.Flags().IntVar(&o.Clients, "clients", 4, "how many clients transfer at the same time")
	run.Flags().DurationVar(&o.Duration, "duration", 0, "how long; 0: until SIGTERM")
	return c
}

func demoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "A bank over three throw-away shards; kills the proxy in the worst places and shows recovery",
		Args:  cobra.NoArgs,
	}
	stay := c.Flags().Bool("stay", terminal(os.Stdin) && terminal(os.Stdout), "keep the servers up until interrupted (the default at a terminal)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		return demo.Run(c.Context(), demo.Options{Out: c.OutOrStdout(), Program: program, Stay: *stay})
	}
	return c
}

// terminal reports whether somebody can press Ctrl-C: f is a character device
// other than the null device.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && !os.SameFile(info, null)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintln(c.OutOrStdout(), app.Version(version))
		},
	}
}
