// Package integration holds the tests of the whole: the real program as a child process, real servers behind relays
// that cut, kill and hang at chosen packets, and clients that remember what they were told. It owns the crash matrix,
// the counters and the end-to-end traps. It knows the program only by its configuration file, its ports and its log.
//
// The tests run one after the other unless they say otherwise; nothing they start outlives them. What is durable is
// judged at the servers themselves, never through the proxy. docs/testing.md tells how to run them.
package integration
