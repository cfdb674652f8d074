package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dieWithLauncher makes the kernel kill the process when the thread that starts it ends; the caller keeps that thread.
func dieWithLauncher(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// Fields of proc_pid_stat(5) as readStat returns them: its numbers begin with 1, and the state is its field 3.
const (
	statState   = 0
	statThreads = 20 - 3
	statStart   = 22 - 3
)

// processStart returns when the process started, in the kernel's own unit, and "" if there is no such process or it is
// dead and only not yet waited for. With the pid and [machine] it names one process for good. A process whose first
// thread is a zombie lives as long as it has others: they hold its files and locks.
func processStart(pid int) (string, error) {
	fields, err := readStat(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil || fields == nil {
		return "", err
	}
	if len(fields) <= statStart {
		return "", fmt.Errorf("/proc/%d/stat: only %d fields", pid, len(fields))
	}
	dead := fields[statState] == "X" || fields[statState] == "Z"
	if threads := fields[statThreads]; dead && (threads == "0" || threads == "1") {
		return "", nil
	}
	return fields[statStart], nil
}

// isPaused reports whether every thread of the process is stopped.
func isPaused(pid int) (bool, error) {
	threads, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
	if err != nil {
		return false, err
	}
	for _, thread := range threads {
		fields, err := readStat(thread)
		if err != nil {
			return false, err
		}
		if fields != nil && fields[statState] != "T" {
			return false, nil
		}
	}
	return len(threads) > 0, nil
}

// readStat returns the fields of a stat file from the state on, nil if the process or thread is gone.
func readStat(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// The name before the state is in parentheses and may hold anything, parentheses too.
	i := strings.LastIndexByte(string(b), ')')
	fields := strings.Fields(string(b[i+1:]))
	if i < 0 || len(fields) == 0 {
		return nil, fmt.Errorf("%s: not in the form of proc_pid_stat(5)", path)
	}
	return fields, nil
}

// machine names what a pid is valid in: one boot of one machine, one process name space.
func machine() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = nil
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		space = ""
	}
	return strings.TrimSpace(string(boot)) + " " + space
}
