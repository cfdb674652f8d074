package protocol

import "xaproxy/xa"

// Machine is one global transaction at its coordinator. It is created when the
// transaction ends (or earlier; it does nothing before EventCommit,
// EventRollback or EventLost).
type Machine struct {
	cfg    Config
	state  State
	reason Reason
	cause  int
}

// New returns a machine in StateActive. The configuration's slice is not copied
// and must not change afterwards.
func New(c Config) *Machine { return &Machine{cfg: c, cause: -1} }

// Step takes one event and returns what to do next. An event that does not fit
// the state changes nothing.
func (m *Machine) Step(e Event) []Action { return nil }

// State returns where the transaction stands.
func (m *Machine) State() State { return m.state }

// Outcome returns what is known of the outcome: Undecided before the decision,
// then Committed, Aborted or Unknown.
func (m *Machine) Outcome() xa.Outcome { return xa.Undecided }

// Reason returns why the outcome is not Committed, and the branch that caused
// it, or -1.
func (m *Machine) Reason() (Reason, int) { return m.reason, m.cause }

// Pending returns the branches that have not ended yet.
func (m *Machine) Pending() []int { return nil }

// Heuristics returns the branches that ended against the decision.
func (m *Machine) Heuristics() []int { return nil }
