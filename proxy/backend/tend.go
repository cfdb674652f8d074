package backend

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// pingsAtOnce bounds the pings that are under way together.
const pingsAtOnce = 16

// tend is the pool's goroutine: it pings idle connections so that their leases
// go on, closes those that nobody has used for long, and dials a shard that is
// down until it answers.
func (p *Pool) tend(ctx context.Context) {
	every := time.NewTicker(p.o.Lease / 3)
	defer every.Stop()
	probe := time.NewTimer(time.Hour)
	defer probe.Stop()
	probe.Stop()
	backoff := time.Duration(0)
	told := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			p.work.Go(func() { p.refresh(ctx, p.o.Lease/6) })
		case <-p.kick:
			p.ask(ctx)
			if p.doubtful() {
				p.probe(ctx)
			}
		case <-probe.C:
			p.probe(ctx)
		}
		down := p.isDown()
		if down == told {
			told = !down
			p.tell(told)
			backoff = probeFirst
			// Those that are lost too should not be found by callers.
			p.work.Go(func() { p.refresh(ctx, 0) })
		}
		if down {
			probe.Reset(backoff)
			backoff = min(2*backoff, probeLast)
		}
	}
}

func (p *Pool) isDown() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down != nil
}

// doubtful reports, once, that a ping has failed.
func (p *Pool) doubtful() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	doubt := p.doubt && p.down == nil
	p.doubt = false
	return doubt
}

// tell reports that the shard's state has changed.
func (p *Pool) tell(up bool) {
	shard := slog.String("shard", p.o.Name)
	if up {
		p.p.Log.Info("shard is up", shard)
	} else {
		p.mu.Lock()
		down := p.down
		p.mu.Unlock()
		if down != nil {
			p.p.Log.Warn("shard is down", shard, slog.String("cause", down.Cause.Error()))
		}
	}
	if p.p.OnState != nil {
		p.p.OnState(up)
	}
}

// ask pings what was put back behind an error, which may have hidden an open
// transaction.
func (p *Pool) ask(ctx context.Context) {
	p.mu.Lock()
	due := p.unsure
	p.unsure = nil
	p.mu.Unlock()
	for _, i := range due {
		p.work.Go(func() { p.ping(ctx, i) })
	}
}

// refresh pings what has been silent for at least so long.
func (p *Pool) refresh(ctx context.Context, silence time.Duration) {
	var due []idleConn
	p.mu.Lock()
	p.idle = slices.DeleteFunc(p.idle, func(i idleConn) bool {
		if time.Since(i.c.lastUsed) < silence {
			return false
		}
		due = append(due, i)
		return true
	})
	p.mu.Unlock()
	var wg sync.WaitGroup
	room := make(chan struct{}, pingsAtOnce)
	for _, i := range due {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			p.ping(ctx, i)
		})
	}
	wg.Wait()
}

// ping asks a connection that nobody uses whether it lives, and gives it back to
// the pool or closes it.
func (p *Pool) ping(ctx context.Context, i idleConn) {
	var err error
	stale := time.Since(i.used) > p.p.IdleTime
	if !stale {
		pinging, cancel := context.WithTimeout(ctx, p.o.Lease/3)
		err = i.c.Ping(pinging)
		cancel()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !stale && err == nil && i.c.Reusable() {
		p.offer(i)
		return
	}
	p.stats.Dropped++
	i.c.Close()
	p.releaseSlot()
	if err != nil {
		p.doubt = true
		p.wake()
	}
}

// probe dials to find out whether the shard is up.
func (p *Pool) probe(ctx context.Context) {
	p.mu.Lock()
	if p.closed || p.down == nil && p.open >= p.p.MaxConns {
		p.mu.Unlock()
		return
	}
	p.open++
	p.mu.Unlock()
	c, err := p.dial(ctx, p.o)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Dials++
	if err != nil {
		p.stats.DialErrors++
		if ctx.Err() == nil && !full(err) {
			p.markDown(&DownError{Shard: p.o.Shard, Name: p.o.Name, Cause: err, Since: time.Now()})
		}
		p.releaseSlot()
		return
	}
	if p.down != nil {
		p.down = nil
		p.wake()
	}
	p.offer(idleConn{c: c, used: time.Now()})
}
