// Package plan turns a statement's text into a plan: its class, what it does to
// the session and the transaction, and which text goes to which shard. It is
// the only package that sees a syntax tree. It does not know connections,
// sessions or transactions, and performs no I/O.
//
// The rule is that of an allow-list: a statement is planned only if the answer
// through the proxy equals the answer of one server that holds all data. What
// is not recognised is refused with a *Refusal that names the construct.
//
// A plan is a function of the statement's fingerprint alone (the text with its
// literals replaced), of the environment and of the catalog: the parser only
// ever sees the fingerprint, so a cached plan cannot depend on the literals of
// the statement that made it. Bind reads the literals of a given text, or a
// prepared statement's parameters, and says where to go.
//
//	text -> tokens -> pre-scan (XA, COMMIT, SET ...) -> Plan
//	               -> fingerprint -> cache | parser -> analysis -> Plan
//	Plan + text + parameters -> Bind -> Targets
//
// A Planner and its Plans are safe for concurrent use; a Plan is immutable.
package plan
