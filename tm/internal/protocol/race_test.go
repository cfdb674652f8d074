//go:build race

package protocol

// raceDetector: the exploration has one goroutine and is ten times slower.
const raceDetector = true
