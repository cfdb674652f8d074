// Package app is the program: it reads the configuration file, finds out which
// servers the shards are, wires the rooms together, and serves until it is told
// to end. Tests start it in-process exactly as cmd/xaproxy does. It knows
// everything and decides nothing about transactions.
package app

import "runtime/debug"

// Version returns the version of the program: the linker's, or what the build
// recorded.
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "xaproxy (built from source)"
	}
	return "xaproxy " + info.Main.Version
}
