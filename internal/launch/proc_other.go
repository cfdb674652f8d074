//go:build !linux

package launch

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithLauncher does nothing: only Linux has a parent death signal. [Reap] does the work.
func dieWithLauncher(*syscall.SysProcAttr) {}

// processStart returns when the process started, and "" if there is no such process or it is dead and only not yet
// waited for. With the pid and [machine] it names one process for good.
func processStart(pid int) (string, error) {
	if state, err := ps("stat", pid); err != nil || state == "" || state[0] == 'Z' {
		return "", err
	}
	return ps("lstart", pid)
}

// isPaused reports whether the process is stopped.
func isPaused(pid int) (bool, error) {
	state, err := ps("stat", pid)
	return strings.HasPrefix(state, "T"), err
}

// ps returns one column about one process, "" if there is no such process.
func ps(column string, pid int) (string, error) {
	out, err := exec.Command("ps", "-o", column+"=", "-p", strconv.Itoa(pid)).Output() //nolint:noctx // ends at once
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", nil
	}
	return strings.TrimSpace(string(out)), err
}

// machine names what a pid is valid in.
func machine() string { return "" }
