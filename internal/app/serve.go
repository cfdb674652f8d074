package app

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"xaproxy/proxy"
	"xaproxy/proxy/admin"
	"xaproxy/proxy/backend"
	"xaproxy/proxy/route"
	"xaproxy/tm"
	"xaproxy/xa"
)

// Main is the program between its start and its end. Make one with Open, then
// call Run once; or Close without Run.
type Main struct {
	config  *Config
	log     *slog.Logger
	state   *state
	node    uint32
	unlock  func() error
	cluster xa.ClusterID
	begin   backend.Defaults        // of sessions at all shards
	shards  atomic.Pointer[[]*unit] // by number; a reload may add some
	manager *tm.Manager
	data    *proxy.Server
	admin   *proxy.Server

	dataListeners               []net.Listener
	adminListener, httpListener net.Listener
	draining                    atomic.Bool
	drainNow                    chan struct{} // a verb asked for the end
	dataUsers, adminUsers       accounts

	reloading sync.Mutex // held while a configuration is taken
	// Guarded by reloading: config, whose fields that a reload may change are read
	// at the start and by reloads only.
	drainTimes atomic.Pointer[DrainConfig]
}

// accounts are the users of a port, as they are now.
type accounts struct {
	now atomic.Pointer[proxy.StaticUsers]
}

// Lookup implements proxy.Users.
func (a *accounts) Lookup(name string) (proxy.User, bool) { return a.now.Load().Lookup(name) }

func (a *accounts) set(u proxy.StaticUsers) { a.now.Store(&u) }

// Serve runs the program until ctx ends, then drains. What reload sends makes it
// read its configuration anew.
func Serve(ctx context.Context, c *Config, log *slog.Logger, reload <-chan os.Signal) error {
	m, err := Open(ctx, c, log)
	switch {
	case err != nil && ctx.Err() != nil:
		log.Info("ended before it served, as it was asked to", slog.Any("err", err))
		return nil
	case err != nil:
		return err
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-reload:
				m.logReload(ctx)
			case <-done:
				return
			}
		}
	}()
	return m.Run(ctx)
}

// Open reads who the shards are (and installs schema xaproxy at the first
// start), takes the node's name and opens the ports. Shards that are down are
// served without.
func Open(ctx context.Context, c *Config, log *slog.Logger) (*Main, error) {
	m := &Main{config: c, log: log, drainNow: make(chan struct{}, 1)}
	m.drainTimes.Store(&c.Drain)
	if err := m.open(ctx); err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	return m, nil
}

func (m *Main) open(ctx context.Context) error {
	var err error
	if m.state, err = openState(m.config.StateDir); err != nil {
		return err
	}
	if m.unlock, err = m.state.lock(); err != nil {
		return err
	}
	if m.node, err = m.state.node(m.config.Node); err != nil {
		return err
	}
	members, err := survey(ctx, m.config)
	if err != nil {
		return err
	}
	if m.cluster, err = identify(ctx, members, m.state); err != nil {
		return err
	}
	if err := m.listen(ctx); err != nil {
		return err
	}
	units, err := m.openStores(members)
	m.shards.Store(&units)
	if err != nil {
		return err
	}
	if err := m.startManager(ctx); err != nil {
		return err
	}
	m.begin = m.defaults(ctx)
	m.openPools(units) //nolint:contextcheck // pools live longer than the start
	return m.openPorts(ctx)
}

func (m *Main) listen(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	if m.dataListeners, err = m.config.Listen.listenAll(ctx); err != nil {
		return err
	}
	if m.adminListener, err = lc.Listen(ctx, "tcp", m.config.Listen.Admin); err != nil {
		return fmt.Errorf("listen.admin: %w", err)
	}
	if m.config.Listen.HTTP == "off" {
		return nil
	}
	if m.httpListener, err = lc.Listen(ctx, "tcp", m.config.Listen.HTTP); err != nil {
		return fmt.Errorf("listen.http: %w", err)
	}
	return nil
}

// DataAddr is where applications connect: the first of the addresses.
func (m *Main) DataAddr() string { return m.dataListeners[0].Addr().String() }

func (m *Main) dataAddrs() string {
	var all []string
	for _, l := range m.dataListeners {
		all = append(all, l.Addr().String())
	}
	return strings.Join(all, " ")
}

// AdminAddr is where operators connect.
func (m *Main) AdminAddr() string { return m.adminListener.Addr().String() }

func (m *Main) startManager(ctx context.Context) error {
	last, err := m.state.incarnation()
	if err != nil {
		return err
	}
	retain := *m.config.Claims.Retain
	if retain == 0 {
		retain = -1 // tm reads 0 as the default
	}
	r, t := m.config.Recovery, m.config.Transactions
	m.manager, err = tm.New(tm.Options{
		Cluster: m.cluster, Node: m.node, MinIncarnation: last, SaveIncarnation: m.state.saveIncarnation,
		Endpoint: m.AdminAddr(), Shards: resources(m.units()), Log: m.log, OnHeuristic: m.recordHeuristic,
		Timing: tm.Timing{
			Beat: r.Beat, DeadAfter: r.DeadAfter, Grace: r.Grace, Interval: r.Interval, Phase2Wait: r.Phase2Wait,
			PrepareTimeout: t.PrepareTimeout, Retain: retain, Decided: t.Ack == ackDecided,
		},
	})
	if err != nil {
		return err
	}
	if err := m.manager.Start(ctx); err != nil {
		return err
	}
	m.tellDirectory(ctx, m.units())
	return nil
}

func routeMap(config *Config, units []*unit) (*route.Map, error) {
	c := route.MapConfig{Tables: map[string]route.Placement{}}
	numbers := map[string]route.Shard{}
	for _, u := range units {
		numbers[u.name] = route.Shard(u.meta.Shard)
		c.Shards = append(c.Shards, route.Shard(u.meta.Shard))
	}
	for name, t := range config.Tables {
		p, err := t.placement(numbers)
		if err != nil {
			return nil, fmt.Errorf("tables.%s: %w", name, err)
		}
		c.Tables[name] = p
	}
	switch d := config.DefaultTable; {
	case d.Refuse:
		c.Default.Kind = route.DefaultRefuse
	case d.Shard != "":
		c.Default = route.Default{Kind: route.DefaultShard, Shard: numbers[d.Shard]} // validate has seen that there is one
	default:
		c.Default.Kind = route.DefaultPrimaryKey
	}
	return route.NewMap(c)
}

// adminName is the account that exists when the file names none with a role.
const adminName = "admin"

func (m *Main) openPorts(ctx context.Context) error {
	cert, key, err := m.state.certificate()
	if err != nil {
		return err
	}
	fronts, err := m.config.Listen.fronts()
	if err != nil {
		return err
	}
	port := proxy.Port{
		TLS:           &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		Key:           key,
		ServerVersion: m.serverVersion(ctx),
		Limits:        m.config.portLimits(),
		Log:           m.log, Node: m.node, Fronts: fronts,
	}
	if err := m.openData(port); err != nil { //nolint:contextcheck // pools and sessions outlive the start
		return err
	}
	return m.openAdmin(port, key)
}

// portLimits are the limits of the ports.
func (c *Config) portLimits() proxy.Limits {
	return proxy.Limits{
		Connections: c.Limits.Connections, PacketBytes: c.Limits.PacketBytes,
		RowsBuffered: c.Limits.RowsBuffered, BytesBuffered: c.Limits.BytesBuffered,
		MaxTime: c.Transactions.MaxTime, IdleTime: c.Transactions.IdleTime,
		StatementTime: c.Limits.StatementTime, Login: c.Limits.LoginTime, Statements: c.Limits.SessionStatement,
	}
}

// clients are the users of the data port.
func (c *Config) clients() proxy.StaticUsers {
	users := proxy.StaticUsers{}
	for name, u := range c.Users {
		users[name] = proxy.User{Name: name, Password: u.Password, Role: u.Role, Health: u.Health}
	}
	return users
}

// operators are the users of the admin port.
func (m *Main) operators(c *Config) (proxy.StaticUsers, error) {
	users := proxy.StaticUsers{}
	for name, u := range c.Users {
		if u.Role != "" {
			users[name] = proxy.User{Name: name, Password: u.Password, Role: u.Role}
		}
	}
	if len(users) > 0 {
		return users, nil
	}
	password, err := m.state.adminPassword()
	if err != nil {
		return nil, err
	}
	users[adminName] = proxy.User{Name: adminName, Password: password, Role: string(admin.RoleOperate)}
	m.log.Info("no user has a role: the admin port's account was generated",
		slog.String("user", adminName), slog.String("password_file", m.state.path("admin.password")))
	return users, nil
}

func (m *Main) openAdmin(port proxy.Port, key *rsa.PrivateKey) error {
	users, err := m.operators(m.config)
	if err != nil {
		return err
	}
	m.adminUsers.set(users)
	port.Users, port.Key, port.Fronts = &m.adminUsers, key, nil
	m.admin, err = proxy.NewHandlerServer(port, admin.New(admin.Options{
		Manager: m.manager, Shards: func() []tm.Shard { return resources(m.units()) }, Status: m.status, Version: Version(""), Definitions: m.data, Drain: m.Drain, Reload: m.Reload,
	}))
	return err
}

func (m *Main) openData(port proxy.Port) error {
	m.dataUsers.set(m.config.clients())
	port.Users = &m.dataUsers
	places, err := routeMap(m.config, m.units())
	if err != nil {
		return err
	}
	m.data, err = proxy.NewServer(proxy.Options{
		Port: port, Manager: m.manager, Map: places, Shards: sessionShards(m.units()), SequenceBlock: m.config.AutoIncrement.Block,
	})
	return err
}

// serverVersion is the configured one, else that of the lowest shard number
// that answers.
func (m *Main) serverVersion(ctx context.Context) string {
	if m.config.ServerVersion != "" {
		return m.config.ServerVersion
	}
	for _, u := range m.units() {
		if u.err == nil && u.probe(ctx) == nil {
			return u.greeting()
		}
	}
	return ""
}

// Run serves until ctx ends, DRAIN is said or a port breaks, then drains.
func (m *Main) Run(ctx context.Context) error {
	// The manager outlives the sessions: it finishes their transactions.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	managed := make(chan error, 1)
	go func() { managed <- m.manager.Run(life) }()

	broken := make(chan error, 3)
	var ports sync.WaitGroup
	port := func(serve func() error) {
		ports.Go(func() {
			if err := serve(); err != nil && !errors.Is(err, proxy.ErrServerClosed) {
				broken <- err
			}
		})
	}
	accepting, refuse := context.WithCancel(life)
	defer refuse()
	port(func() error { return m.data.Serve(accepting, m.dataListeners...) })
	// Operators and health checks are answered while the program drains.
	port(func() error { return m.admin.Serve(life, m.adminListener) })
	if m.httpListener != nil {
		port(func() error { return m.serveHTTP(life, m.httpListener) })
	}
	m.log.Info("serving", slog.String("data", m.dataAddrs()), slog.String("admin", m.AdminAddr()), slog.String("shards", names(m.units())))
	var broke error
	select {
	case <-ctx.Done():
	case <-m.drainNow:
	case broke = <-broken:
	}
	m.draining.Store(true) // /readyz says so first
	times := m.drainTimes.Load()
	m.log.Info("draining", slog.Duration("delay", times.Delay), slog.Duration("at_most", times.Limit))
	if broke == nil {
		waitFor(life, times.Delay)
	}
	refuse()
	m.drain(life, times.Limit)
	end()
	ports.Wait()
	err := errors.Join(broke, <-managed, m.Close(life))
	m.log.Info("ended")
	return err
}

// waitFor waits for d or the end of ctx.
func waitFor(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Drain asks for the end of the program, as SIGTERM does. It does not wait.
func (m *Main) Drain() {
	select {
	case m.drainNow <- struct{}{}:
	default:
	}
}

// drain gives open transactions their time. That some were cut off is what was
// asked for, not an error.
func (m *Main) drain(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := m.data.Shutdown(ctx); err != nil {
		m.log.Warn("open transactions were rolled back", slog.Any("err", err))
	}
	if err := m.manager.Drain(ctx); err != nil {
		m.log.Warn("transactions are left to recovery", slog.Any("err", err))
	}
	if err := m.admin.Shutdown(ctx); err != nil {
		m.log.Warn("statements of the admin port were ended", slog.Any("err", err))
	}
}

// Close gives back what Open took. Run does it by itself.
func (m *Main) Close(ctx context.Context) error {
	var errs []error
	for _, l := range append(slices.Clone(m.dataListeners), m.adminListener, m.httpListener) {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, closeUnits(ctx, m.units()))
	if m.unlock != nil {
		errs = append(errs, m.unlock())
	}
	return errors.Join(errs...)
}
