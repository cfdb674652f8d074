package proxy

import (
	"errors"
	"fmt"
)

// Error is an error as MySQL clients see it. Number, state and text are what
// the ERR packet carries.
type Error struct {
	Number  uint16
	State   string
	Message string
	cause   error
}

func (e *Error) Error() string {
	return fmt.Sprintf("error %d (%s): %s", e.Number, e.State, e.Message)
}

// Unwrap returns what caused the error, nil when nothing did.
func (e *Error) Unwrap() error { return e.cause }

// Code is a row of the table of errors that the proxy itself can send. Errors
// of the shards pass through with the number they have.
type Code struct {
	Number uint16
	State  string
	Name   string
	Format string // of the text; what it inserts is named in Meaning
	// Meaning says what happened, Retry whether the same work may be tried
	// again without asking first, Next what to do.
	Meaning string
	Retry   Retry
	Next    string
}

// Retry says whether the work that got an error may be done again blindly.
type Retry uint8

// The answers.
const (
	RetryNever Retry = iota // not before the outcome is known
	RetrySafe               // nothing happened; it may work now
	RetryLater              // nothing happened; it will not work before something is mended
)

func (r Retry) String() string {
	switch r {
	case RetryNever:
		return "no"
	case RetrySafe:
		return "yes"
	case RetryLater:
		return "after the cause is mended"
	}
	return "invalid"
}

// because records the cause.
func (e *Error) because(err error) *Error {
	e.cause = err
	return e
}

// NewError returns an error for a Handler's client. Numbers of the proxy's own
// range are listed in Codes.
func NewError(number uint16, state, message string) *Error {
	return &Error{Number: number, State: state, Message: message}
}

// errGone: the client has closed its connection, or must be treated so.
var errGone = errors.New("client connection is gone")

// ConfigurationRefused is the error for a configuration that RELOAD does not take.
func ConfigurationRefused(err error) *Error {
	return fail(codeConfiguration, err.Error()).because(err)
}
