package faultwire

import (
	"io"
	"sync"
)

// Side says at which end of a command a rule acts.
type Side uint8

// The sides.
const (
	Before Side = iota // the packet has been read from the proxy; earlier commands of the connection are answered; the shard has not seen it
	After              // the shard's whole reply to the statement has been read; the proxy has not seen it
)

func (s Side) String() string {
	switch s {
	case Before:
		return "before"
	case After:
		return "after"
	}
	return "invalid side"
}

// Then is what becomes of the held packet or reply once a rule has acted.
type Then uint8

// What may become of it.
const (
	Drop    Then = iota // it is thrown away and both sides of the connection are closed
	Forward             // it goes on its way, also when the side it came from is gone by now
)

// Source narrows a rule to the connections of one kind. Which kind a connection
// is, is told by its login: see [Session].
type Source uint8

// The kinds of connection.
const (
	Any     Source = iota
	Session        // carries a client's work
	Control        // the proxy's own: recovery, fences, nodes, collection; its login's attributes name go-sql-driver
)

func (s Source) String() string {
	switch s {
	case Any:
		return "any"
	case Session:
		return "session"
	case Control:
		return "control"
	}
	return "invalid source"
}

// Rule is one fault, armed by [Relay.Arm]. It acts at most once.
//
//	cut before   Rule{Verb: Prepare, Side: Before}                      the shard never sees the packet
//	cut after    Rule{Verb: Prepare, Side: After}                       the shard executed it, the reply is lost
//	hang         Rule{Verb: Prepare, Hold: true, Then: Forward}         until Release
//	late         Rule{Verb: Prepare, Sever: true, Hold: true, Then: Forward}
//	                                                                    the proxy loses the connection; the packet arrives after Release
//	kill         Rule{Verb: Prepare, Hook: func() { server.Kill() }}    at exactly that moment; then the connection is cut
//
// While a command waits for its After rule to act, the connection's later
// commands stay at the relay: what the shard has seen is exactly known.
type Rule struct {
	Verb  Verb               // in packets of several statements each one counts
	Nth   int                // acts at the nth match since it was armed; 0 means 1
	Side  Side               //
	From  Source             //
	Match func(Command) bool // a further condition, nil for none
	Sever bool               // close the proxy's side first; the shard's stays open
	Hook  func()             // runs then, in the connection's goroutine; nil for none
	Hold  bool               // then wait for Release
	Then  Then               // then do this
}

// Armed is a rule at work.
type Armed struct {
	rule     Rule
	fired    chan struct{} // closed when the rule begins to act
	done     chan struct{} // closed when it has acted: nothing of it happens later
	released chan struct{}
	release  sync.Once

	mu      sync.Mutex
	matched int // guarded by mu
	spent   bool
	off     bool // disarmed before it acted
	command Command
}

func newArmed(r Rule) *Armed {
	if r.Nth == 0 {
		r.Nth = 1
	}
	return &Armed{
		rule:     r,
		fired:    make(chan struct{}),
		done:     make(chan struct{}),
		released: make(chan struct{}),
	}
}

// Fired is closed at the moment the rule begins to act, before its hook runs.
func (a *Armed) Fired() <-chan struct{} { return a.fired }

// Done is closed when the rule has acted.
func (a *Armed) Done() <-chan struct{} { return a.done }

// Release ends the hold; before the rule acts it makes the hold a pause of no length.
func (a *Armed) Release() { a.release.Do(func() { close(a.released) }) }

// Disarm takes the rule out of action, also one that has chosen its command and
// waits for the reply; it does not undo or end what has begun (see Release). It
// reports whether the rule had begun to act: after false it never will.
func (a *Armed) Disarm() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spent = true
	select {
	case <-a.fired:
		return true
	default:
		a.off = true
		return false
	}
}

// Command returns what the rule acted on; meaningful once Fired is closed.
func (a *Armed) Command() Command {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.command
}

// claim reports which statement of c the rule chooses; the rule is then spent.
func (a *Armed) claim(c Command) (statement int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.spent || (a.rule.From != Any && a.rule.From != c.Source) {
		return 0, false
	}
	for i, v := range c.Verbs {
		if v != a.rule.Verb || (a.rule.Match != nil && !a.rule.Match(c)) {
			continue
		}
		a.matched++
		if a.matched == a.rule.Nth {
			a.spent = true
			a.command = c
			return i, true
		}
	}
	return 0, false
}

// begin says that the rule acts, unless it was disarmed since it chose its command.
func (a *Armed) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.off {
		close(a.fired)
	}
	return !a.off
}

// act runs the rule and says what to do with what is held. gone is closed when
// the relay is closed: nobody waits longer than that.
func (a *Armed) act(client io.Closer, gone <-chan struct{}) Then {
	if !a.begin() {
		return Forward
	}
	defer close(a.done)
	if a.rule.Sever {
		_ = client.Close()
	}
	if a.rule.Hook != nil {
		a.rule.Hook()
	}
	if a.rule.Hold {
		select {
		case <-a.released:
		case <-gone:
			return Drop
		}
	}
	return a.rule.Then
}
