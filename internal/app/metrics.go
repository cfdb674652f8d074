package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"xaproxy/proxy/backend"
)

// collector reads what the program counts when it is scraped.
type collector struct{ m *Main }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// The metrics (docs/operations.md).
//
//nolint:gochecknoglobals // immutable
var (
	commitTotal     = desc("xa_commit_total", "Transactions that were committed, by how: none (no writer, or one branch), one_phase (one writer among several branches), home (two-phase, decided at the home shard).", "mode")
	abortTotal      = desc("xa_abort_total", "Transactions that COMMIT was asked for and that were rolled back.")
	unknownTotal    = desc("xa_unknown_total", "Commits whose outcome this proxy could not tell its client (17001).")
	fencedTotal     = desc("xa_fenced_total", "Commits of this proxy that met an abort which another had recorded.")
	resolvingTotal  = desc("xa_resolving_total", "Commits that had to ask the claim store because home's answer was lost.")
	pendingTotal    = desc("xa_pending_total", "Commits that were answered before every shard had its part (warning 17003).")
	recoveredTotal  = desc("xa_recovered_total", "Prepared branches that recovery finished.", "outcome")
	heuristicTotal  = desc("xa_heuristic_total", "Branches that a server ended against the decision.")
	markedDeadTotal = desc("xa_nodes_marked_dead_total", "Incarnations of proxies that this one marked dead.")
	renewedTotal    = desc("xa_reincarnations_total", "Times this proxy took a new incarnation because its own was marked dead.")
	collectedTotal  = desc("xa_claims_collected_total", "Claims that were removed.")
	runsTotal       = desc("xa_recovery_runs_total", "Recovery scans of a shard.", "result")
	liveGauge       = desc("xa_live", "Transactions of this proxy with a gtrid that are not finished.")
	inDoubtGauge    = desc("xa_in_doubt", "Prepared branches in the last complete listings of the shards.")
	misplacedGauge  = desc("xa_misplaced_prepared", "Prepared branches that are never touched: their server was copied, or their home is not configured.")
	incarnation     = desc("xa_incarnation", "Incarnation of this proxy.")
	sessionsGauge   = desc("xaproxy_sessions", "Clients that are logged in at the data port.")
	drainingGauge   = desc("xaproxy_draining", "1 while the proxy drains.")
	poolConns       = desc("xaproxy_pool_connections", "Connections to a shard.", "shard", "state")
	poolWaiting     = desc("xaproxy_pool_waiting", "Statements that wait for a connection to a shard.", "shard")
	poolWaits       = desc("xaproxy_pool_waits_total", "Statements that had to wait for a connection.", "shard")
	poolTimeouts    = desc("xaproxy_pool_wait_timeouts_total", "Statements that got none in limits.pool_wait (17031).", "shard")
	poolDials       = desc("xaproxy_pool_dials_total", "Connections to a shard that were tried.", "shard", "result")
	shardUp         = desc("xaproxy_shard_up", "1 while connections to the shard work, as sessions last saw it.", "shard")
)

// metrics is the registry of one program.
func (m *Main) metrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Describe implements prometheus.Collector: the metrics are those of one scrape.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	total := func(d *prometheus.Desc, v int64, labels ...string) {
		send(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		send(d, prometheus.GaugeValue, float64(v), labels...)
	}
	n := c.m.manager.Counters()
	total(commitTotal, n.CommitsLocal, "none")
	total(commitTotal, n.CommitsOnePhase, "one_phase")
	total(commitTotal, n.CommitsTwoPhase, "home")
	total(abortTotal, n.Aborts)
	total(unknownTotal, n.Unknowns)
	total(fencedTotal, n.Fenced)
	total(resolvingTotal, n.Resolving)
	total(pendingTotal, n.PendingCommits)
	total(recoveredTotal, n.Recovered-n.RecoveredAbort, "commit")
	total(recoveredTotal, n.RecoveredAbort, "abort")
	total(heuristicTotal, n.Heuristics)
	total(markedDeadTotal, n.MarkedDead)
	total(renewedTotal, n.Reincarnations)
	total(collectedTotal, n.Collected)
	total(runsTotal, n.RecoveryRuns-n.RecoveryErrors, "ok")
	total(runsTotal, n.RecoveryErrors, "error")
	gauge(liveGauge, n.Live)
	gauge(inDoubtGauge, n.InDoubt)
	gauge(misplacedGauge, n.Misplaced)
	gauge(incarnation, int(c.m.manager.Incarnation()))
	gauge(sessionsGauge, len(c.m.data.Sessions()))
	gauge(drainingGauge, one(c.m.draining.Load()))
	for _, u := range c.m.units() {
		s := sum(u.pool.Stats(), u.found.Stats())
		gauge(poolConns, s.InUse, u.name, "in_use")
		gauge(poolConns, s.Idle, u.name, "idle")
		gauge(poolWaiting, s.Waiting, u.name)
		total(poolWaits, int64(s.Waits), u.name)
		total(poolTimeouts, int64(s.WaitTimeouts), u.name)
		total(poolDials, int64(s.Dials-s.DialErrors), u.name, "ok")
		total(poolDials, int64(s.DialErrors), u.name, "error")
		gauge(shardUp, one(!s.Down), u.name)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sum adds what two pools to one shard count.
func sum(a, b backend.Stats) backend.Stats {
	return backend.Stats{
		InUse: a.InUse + b.InUse, Idle: a.Idle + b.Idle, Waiting: a.Waiting + b.Waiting,
		Dials: a.Dials + b.Dials, DialErrors: a.DialErrors + b.DialErrors,
		Waits: a.Waits + b.Waits, WaitTimeouts: a.WaitTimeouts + b.WaitTimeouts,
		Down: a.Down || b.Down,
	}
}
