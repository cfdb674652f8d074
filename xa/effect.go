package xa

import "errors"

// Effect is what is known about a call that returned an error.
type Effect uint8

// The effects. The zero value is the careful one.
const (
	EffectUnknown Effect = iota // it may have happened, or may still happen
	EffectNone                  // it certainly did not and will not happen
	EffectDone                  // it happened although an error was returned
)

func (e Effect) String() string {
	switch e {
	case EffectUnknown:
		return "unknown"
	case EffectNone:
		return "none"
	case EffectDone:
		return "done"
	}
	return "invalid effect"
}

// Sentinels found in the chain of errors that this package's interfaces return.
var (
	// ErrFenced: an abort was recorded before the commit could be.
	ErrFenced = errors.New("an abort is recorded for this transaction")
	// ErrBusy: the branch's owner is alive and its session is in the way.
	ErrBusy = errors.New("branch is held by a live session")
	// ErrHeuristic: the server ended the branch against the decision.
	ErrHeuristic = errors.New("branch was ended by the server against the decision")
	// ErrDead: this incarnation is marked dead.
	ErrDead = errors.New("incarnation is marked dead")
	// ErrHeld: another process holds the node's name.
	ErrHeld = errors.New("node name is held by another process")
	// ErrLost: the branch's local transaction no longer exists at the server.
	ErrLost = errors.New("transaction no longer exists at the shard")
)

type effectError struct {
	err    error
	effect Effect
}

func (e *effectError) Error() string { return e.err.Error() }
func (e *effectError) Unwrap() error { return e.err }

// WithEffect wraps err so that EffectOf finds effect; nil stays nil.
func WithEffect(err error, effect Effect) error {
	if err == nil {
		return nil
	}
	return &effectError{err: err, effect: effect}
}

// EffectOf returns what is known about the call that returned err: the
// outermost mark in its chain, EffectUnknown when there is none, EffectDone
// for nil.
func EffectOf(err error) Effect {
	if err == nil {
		return EffectDone
	}
	var e *effectError
	if errors.As(err, &e) {
		return e.effect
	}
	return EffectUnknown
}
