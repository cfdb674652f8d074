package backend

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"xaproxy/proxy/wire"
	"xaproxy/xa"
)

// kill is what the owner of a Conn and the one who aims KILL at one of its commands
// share. KILL is aimed once at each.
type kill struct {
	started atomic.Bool
	over    atomic.Bool
	done    chan struct{} // closed when the server has answered
	closing atomic.Pointer[func()]
}

func newKill() *kill { return &kill{done: make(chan struct{})} }

func (k *kill) aimed() bool { return k.started.Load() }

// wait waits until no KILL is under way.
func (k *kill) wait(ctx context.Context) error {
	if !k.aimed() {
		return nil
	}
	select {
	case <-k.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// whenQuiet calls f now, or when the KILL that is under way is over. f may be
// called twice.
func (k *kill) whenQuiet(f func()) {
	k.closing.Store(&f)
	// Whoever comes second sees what the first one stored.
	if !k.started.Load() || k.over.Load() {
		f()
	}
}

func (k *kill) finish() {
	k.over.Store(true)
	if f := k.closing.Load(); f != nil {
		(*f)()
	}
	close(k.done)
}

// KillQuery sends KILL QUERY for this session on a connection of its own, which
// is outside of every pool's limit. Other goroutines than the owner may call it,
// for what the owner waits for; only the first call for each command does anything. From the call
// on the connection will not be reused, and the owner's next command waits for
// the server's answer.
func (c *Conn) KillQuery(ctx context.Context) error {
	k := c.kill.Load()
	if !k.started.CompareAndSwap(false, true) {
		return k.wait(ctx)
	}
	defer k.finish()
	ctx, cancel := context.WithTimeout(ctx, c.o.DialTimeout)
	defer cancel()
	reserved, err := logIn(ctx, c.o)
	if err != nil {
		return xa.WithEffect(fmt.Errorf("kill query at shard %s: %w", c.o.Name, err), xa.EffectNone)
	}
	defer reserved.Close()
	res, err := reserved.Relay(ctx, append([]byte{byte(wire.ComQuery)},
		"KILL QUERY "+strconv.FormatUint(uint64(c.session.Conn), 10)...), discard{})
	if err != nil {
		return fmt.Errorf("kill query: %w", err)
	}
	if res.Err != nil {
		return fmt.Errorf("kill query at shard %s: %w", c.o.Name, res.Err)
	}
	return nil
}
