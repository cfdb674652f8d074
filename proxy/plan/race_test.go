//go:build race

package plan

// raceDetector: sync.Pool drops what it keeps at random.
const raceDetector = true
