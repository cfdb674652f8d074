//go:build !race

package plan

// raceDetector is whether the race detector is on.
const raceDetector = false
