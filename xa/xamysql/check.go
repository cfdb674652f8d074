package xamysql

import "context"

// Severity says how much a Finding matters.
type Severity uint8

// The severities.
const (
	Broken  Severity = iota // xaproxy does not work, or loses its promise
	Warning                 // works, but somebody should know
	Advice                  // would be better
)

func (s Severity) String() string {
	switch s {
	case Broken:
		return "error"
	case Warning:
		return "warning"
	case Advice:
		return "advice"
	}
	return "invalid severity"
}

// Finding is something that Check found missing or advises.
type Finding struct {
	Severity Severity
	What     string
	Repair   string // SQL that repairs it; empty when no statement can
}

// Check examines a server for what a shard must have. It changes nothing. An error means that the server could not be
// asked; what it answered badly is a Finding.
func Check(ctx context.Context, dsn string) ([]Finding, error) { return nil, errTODO }
