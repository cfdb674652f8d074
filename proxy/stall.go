package proxy

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"xaproxy/proxy/backend"
)

// stall keeps the leases of a session's connections while its client takes what it
// is sent more slowly than they last: a server counts the time since it has sent all
// of its reply, although much of that may be in sockets still. Its methods but for
// fire belong to the session's goroutine, which waits for the client meanwhile.
type stall struct {
	s *session
	// relaying is the connection whose reply is being handed to the client; nil: none.
	relaying *backend.Conn
	guarded  bool      // a watcher pings the connections that are not at work
	shown    time.Time // when the server behind relaying last had a sign of life

	mu      sync.Mutex
	timer   *time.Timer
	waiting bool // guarded by mu, as is what fire does
}

// relay is called when a command was sent whose reply goes to the client.
func (k *stall) relay(conn *backend.Conn) { k.relaying, k.shown = conn, time.Now() }

// relayed is called when the reply was read whole.
func (k *stall) relayed() { k.relaying = nil }

// begin is called before something is written to the client. False: nothing has a
// lease that could end.
func (k *stall) begin() bool {
	if k.relaying == nil && (k.guarded || k.s.tx == nil && k.s.pin == nil) {
		return false
	}
	if now := time.Now(); k.relaying != nil && now.Sub(k.shown) >= k.s.e.leaseStep {
		k.beat(now) // each write is short, all of them are long
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = true
	if k.timer == nil {
		k.timer = time.AfterFunc(k.s.e.leaseStep, k.fire)
	} else {
		k.timer.Reset(k.s.e.leaseStep)
	}
	return true
}

// end is called after the write that begin has agreed to.
func (k *stall) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = false
	k.timer.Stop()
}

// fire shows life in place of the session's goroutine, again and again.
func (k *stall) fire() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.waiting {
		return
	}
	k.timer.Reset(k.s.e.leaseStep)
	if k.relaying != nil {
		k.beat(time.Now())
		return
	}
	for _, conn := range k.s.others(nil) {
		if err := ping(context.Background(), conn); err != nil {
			k.s.e.log.Warn("lease of a connection was lost", slog.Uint64("session", uint64(k.s.c.id)), slog.Any("err", err))
		}
	}
}

// beat asks behind the reply. A connection that is lost shows when it is read.
func (k *stall) beat(now time.Time) {
	_ = k.relaying.Beat()
	k.shown = now
}
