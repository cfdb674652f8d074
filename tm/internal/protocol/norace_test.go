//go:build !race

package protocol

// raceDetector is false: everything is explored.
const raceDetector = false
