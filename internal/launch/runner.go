package launch

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// runner runs programs to their end that write into the cache. They share the lock under which they run: if the
// launcher dies, nobody else begins before they have ended too, which the kernel sees to where it can.
type runner struct {
	lock *os.File // nil = none
	env  []string
}

// run returns what the program printed; the error carries its last lines.
func (r runner) run(ctx context.Context, stdin []byte, name string, args ...string) (string, error) {
	runtime.LockOSThread() // the parent death signal comes when the thread ends
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = r.env
	cmd.Stdin = bytes.NewReader(stdin)
	if r.lock != nil {
		cmd.ExtraFiles = []*os.File{r.lock}
	}
	cmd.SysProcAttr = new(syscall.SysProcAttr)
	dieWithLauncher(cmd.SysProcAttr)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, lastLines(string(out), 12))
	}
	return string(out), nil
}
