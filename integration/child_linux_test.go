package integration

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// A child must die with the test's process also when that is killed: the parent death signal. It is sent when the
// thread that forked ends, so one locked thread that never ends forks all.
var forker = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func startChild(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	done := make(chan error)
	forker() <- func() { done <- cmd.Start() }
	return <-done
}

// sharpenTimers lets the calling thread wake up when it asked to, not 50 µs later.
func sharpenTimers() {
	const setTimerSlack = 29 // prctl(2)
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0)
}
