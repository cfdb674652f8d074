package tm

import "sync/atomic"

// counts are the totals behind Counters.
type counts struct {
	local, onePhase, twoPhase  atomic.Int64
	aborts, unknowns, fenced   atomic.Int64
	resolving, pending         atomic.Int64
	recovered, recoveredAborts atomic.Int64
	heuristics, markedDead     atomic.Int64
	reincarnations, collected  atomic.Int64
	runs, runErrors            atomic.Int64
}

// Counters returns a snapshot of the totals.
func (m *Manager) Counters() Counters {
	c := Counters{
		CommitsLocal:    m.count.local.Load(),
		CommitsOnePhase: m.count.onePhase.Load(),
		CommitsTwoPhase: m.count.twoPhase.Load(),
		Aborts:          m.count.aborts.Load(),
		Unknowns:        m.count.unknowns.Load(),
		Fenced:          m.count.fenced.Load(),
		Resolving:       m.count.resolving.Load(),
		PendingCommits:  m.count.pending.Load(),
		Recovered:       m.count.recovered.Load(),
		RecoveredAbort:  m.count.recoveredAborts.Load(),
		Heuristics:      m.count.heuristics.Load(),
		MarkedDead:      m.count.markedDead.Load(),
		Reincarnations:  m.count.reincarnations.Load(),
		Collected:       m.count.collected.Load(),
		RecoveryRuns:    m.count.runs.Load(),
		RecoveryErrors:  m.count.runErrors.Load(),
	}
	m.mu.Lock()
	c.Live = len(m.live)
	m.mu.Unlock()
	for _, s := range m.sites() {
		s.mu.Lock()
		c.InDoubt += s.doubted
		c.Misplaced += s.astray
		s.mu.Unlock()
	}
	return c
}
