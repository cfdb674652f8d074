// Package faultwire owns a TCP relay between the proxy and a shard that recognises what the packets do to a transaction
// and, when a rule says so, cuts the connection, holds the packet or its reply, or runs a function at exactly that
// moment. It knows the MySQL protocol's framing and nothing of shards, branches or outcomes; tests and the demo use it.
//
// # What is promised
//
// The relay understands only as much as it must to know which reply belongs to which statement. The login passes
// through untouched. A connection whose login asks for TLS or compression passes through unread, and no rule acts on
// it.
//
// A command reaches the shard in the order in which the proxy wrote it. When a rule acts before a command, all earlier
// commands of the connection have been answered; when it acts after one, no later command has reached the shard. So
// what the server has executed is known exactly, also for pipelined commands.
//
// When either side of a connection ends, the other is closed, as a network does; bytes already on their way are not
// taken back, and a packet that a rule holds is still delivered when the rule says Forward.
//
// All methods may be called from several goroutines. Hooks and the journal function run in the connection's goroutines;
// the journal function is called by one goroutine at a time.
package faultwire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Options describe a relay.
type Options struct {
	Name    string      // in the journal
	Listen  string      // address; "" is a free port of 127.0.0.1
	Network string      // of the target: "tcp" by default, "unix"
	Target  string      // the shard's address
	Journal func(Event) // nil for none; must not call the relay
}

// Relay is a listener and its connections.
type Relay struct {
	options  Options
	listener net.Listener
	gone     chan struct{} // closed by Close
	close    sync.Once
	running  sync.WaitGroup

	journal sync.Mutex // serializes Options.Journal

	mu      sync.Mutex
	rules   []*Armed // guarded by mu, and what follows
	conns   map[*conn]struct{}
	last    uint64
	refuses bool
}

// Listen starts a relay; it ends by Close.
func Listen(ctx context.Context, o Options) (*Relay, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Network == "" {
		o.Network = "tcp"
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("relay %s: %w", o.Name, err)
	}
	r := &Relay{options: o, listener: l, gone: make(chan struct{}), conns: map[*conn]struct{}{}}
	r.running.Add(1)
	go r.accept()
	return r, nil
}

// Addr is where the relay listens.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Arm puts a rule to work. Rules are asked in the order they were armed; the first that matches acts.
func (r *Relay) Arm(rule Rule) *Armed {
	a := newArmed(rule)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules = append(r.rules, a)
	return a
}

// DisarmAll takes all rules out of action and releases what they hold.
func (r *Relay) DisarmAll() {
	r.mu.Lock()
	rules := r.rules
	r.rules = nil
	r.mu.Unlock()
	for _, a := range rules {
		a.Disarm()
		a.Release()
	}
}

// CutAll closes all connections as they are.
func (r *Relay) CutAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.close()
	}
}

// Refuse makes the relay close new connections at once, until Admit. Connections that exist are left alone.
func (r *Relay) Refuse() { r.refuse(true) }

// Admit ends Refuse.
func (r *Relay) Admit() { r.refuse(false) }

func (r *Relay) refuse(refuses bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses = refuses
}

// Close ends the listener and all connections, and waits for their goroutines.
func (r *Relay) Close() error {
	var err error
	r.close.Do(func() {
		close(r.gone)
		err = r.listener.Close()
		r.CutAll()
	})
	r.running.Wait()
	return err
}

func (r *Relay) accept() {
	defer r.running.Done()
	for {
		c, err := r.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		r.running.Add(1)
		go func() {
			defer r.running.Done()
			r.serve(c)
		}()
	}
}

func (r *Relay) serve(client net.Conn) {
	r.mu.Lock()
	refuses := r.refuses
	r.mu.Unlock()
	if refuses {
		_ = client.Close()
		return
	}
	server, err := net.Dial(r.options.Network, r.options.Target)
	if err != nil { // as a server that does not listen
		_ = client.Close()
		return
	}
	c := newConn(r, client, server)
	if !r.enter(c) {
		c.close()
		return
	}
	defer r.leave(c)
	c.run()
}

func (r *Relay) enter(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.gone:
		return false
	default:
	}
	r.last++
	c.command.Conn = r.last
	r.conns[c] = struct{}{}
	return true
}

func (r *Relay) leave(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// match returns the rule that acts on c and the statement it chooses.
func (r *Relay) match(c Command) (*Armed, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, a := range r.rules {
		if statement, ok := a.claim(c); ok {
			r.rules = append(r.rules[:i:i], r.rules[i+1:]...)
			return a, statement
		}
	}
	return nil, 0
}

func (r *Relay) note(e Event) {
	if r.options.Journal == nil {
		return
	}
	r.journal.Lock()
	defer r.journal.Unlock()
	e.Time = time.Now()
	r.options.Journal(e)
}
