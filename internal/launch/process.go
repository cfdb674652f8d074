package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is one run of a server, from start to death.
type process struct {
	pid   int
	start string        // its start time, see processStart
	done  chan struct{} // closed when it is dead and waited for
	err   error         // how it ended; valid after done
}

// command is what a process is made of.
type command struct {
	program string
	args    []string
	env     []string
	output  *os.File   // what it prints
	inherit []*os.File // locks that it shares with the launcher
	orphan  orphanage  // whether it outlives its launcher
}

// orphanage says what becomes of a process whose launcher dies.
type orphanage uint8

const (
	diesWithLauncher orphanage = iota
	outlivesLauncher           // for tests of Reap only
)

// startProcess starts the command. A goroutine bound to one thread starts and awaits it: the parent death signal comes
// when that thread ends, which is thus never before the launcher's own end.
func startProcess(c command) (*process, error) {
	cmd := exec.Command(c.program, c.args...) //nolint:noctx // a server outlives the context of its start
	cmd.Env = c.env
	cmd.Stdout, cmd.Stderr = c.output, c.output
	cmd.ExtraFiles = c.inherit
	// In a group of its own: an interrupt from the terminal is for the launcher, who may want to stop it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.orphan == diesWithLauncher {
		dieWithLauncher(cmd.SysProcAttr)
	}
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
			p.start, err = processStart(p.pid)
		}
		started <- err
		if cmd.Process != nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	err := <-started
	if err != nil && cmd.Process != nil {
		err = errors.Join(err, cmd.Process.Kill())
		<-p.done
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.program, err)
	}
	return p, nil
}

// alive reports whether the process was not yet seen dead.
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends a signal unless the process is dead: its pid is its own until it has been waited for, and that happens
// under the same roof.
func (p *process) signal(s syscall.Signal) error {
	if !p.alive() {
		return os.ErrProcessDone
	}
	if err := syscall.Kill(p.pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s to server %d: %w", s, p.pid, err)
	}
	return nil
}

// kill kills the process and waits for its death.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// terminate asks the process to end, and kills it after the patience.
func (p *process) terminate(patience time.Duration) error {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
		if err := p.signal(s); errors.Is(err, os.ErrProcessDone) {
			return nil
		} else if err != nil {
			return err
		}
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-p.done:
		return nil
	case <-t.C:
		return p.kill()
	}
}

// poll calls check every interval until it is true, fails or ctx ends.
func poll(ctx context.Context, interval time.Duration, check func() (bool, error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if ok, err := check(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
