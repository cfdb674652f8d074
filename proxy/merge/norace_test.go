//go:build !race

package merge_test

// raceEnabled is whether the race detector is on.
const raceEnabled = false
