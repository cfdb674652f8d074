package launch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// record is what an instance's directory says about itself in instance.json: enough to find, tell and end its server
// without the launcher.
type record struct {
	Engine        Engine
	Port          int
	Password      string
	Temporary     bool   // the directory goes with its server
	Machine       string // what the pids are valid in, see machine
	PID           int    // 0 = not started, or not yet known
	Start         string // see processStart
	Launcher      int
	LauncherStart string
}

const recordName = "instance.json"

// readRecord returns the directory's record, the zero record if it has none.
func readRecord(dir string) (record, error) {
	var r record
	_, err := readJSON(filepath.Join(dir, recordName), &r)
	return r, err
}

// register writes the record, and a link to the directory where Reap looks. p is nil before the process starts. The
// caller holds the directory's lock.
func (s *Server) register(p *process) error {
	r := record{
		Engine: s.engine, Port: s.port.number, Password: s.password, Temporary: s.home == homeTemporary,
		Machine: machine(), Launcher: os.Getpid(),
	}
	var err error
	if r.LauncherStart, err = processStart(r.Launcher); err != nil {
		return err
	}
	if p != nil {
		r.PID, r.Start = p.pid, p.start
	}
	if err := writeJSON(filepath.Join(s.dir, recordName), r); err != nil {
		return fmt.Errorf("write the record of %s: %w", s.dir, err)
	}
	link, err := registration(s.dir)
	if err != nil {
		return err
	}
	if err := os.Symlink(s.dir, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("register %s: %w", s.dir, err)
	}
	return nil
}

// registration is the link that leads Reap to the directory.
func registration(dir string) (string, error) {
	instances, err := instancesDir()
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(instances, hex.EncodeToString(sum[:12])), err
}

func unregister(dir string) error {
	link, err := registration(dir)
	if err != nil {
		return err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func instancesDir() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "instances")
	return dir, os.MkdirAll(dir, 0o755)
}

// Reap ends the servers whose launcher is gone, and removes their temporary directories. Servers of living launchers
// are not touched. [Start] calls it.
func Reap(ctx context.Context) error {
	instances, err := instancesDir()
	if err != nil {
		return err
	}
	links, err := os.ReadDir(instances)
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range links {
		path := filepath.Join(instances, link.Name())
		if err := reapInstance(ctx, path); err != nil && !errors.Is(err, fs.ErrPermission) { // another user's
			errs = append(errs, fmt.Errorf("reap %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// reapInstance deals with one registered directory. Its lock tells whether anybody lives, launcher or server.
func reapInstance(ctx context.Context, link string) error {
	dir, err := os.Readlink(link)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // stopped meanwhile
	}
	if err != nil {
		return err
	}
	held, err := relock(filepath.Join(dir, "lock"))
	if errors.Is(err, errLocked) {
		held, err = killOrphan(ctx, dir)
	}
	if errors.Is(err, errLocked) {
		return nil // it lives, or is not ours to judge
	}
	if errors.Is(err, fs.ErrNotExist) {
		return removeLink(link) // the directory is gone
	}
	if err != nil {
		return err
	}
	defer held.Close()
	r, err := readRecord(dir)
	if err != nil {
		return err
	}
	if err := removeLink(link); err != nil || !r.Temporary {
		return err
	}
	return os.RemoveAll(dir)
}

func removeLink(link string) error {
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// killOrphan kills the server of a directory whose launcher is gone and returns the directory's lock. The error is
// errLocked if the launcher lives or that cannot be known.
func killOrphan(ctx context.Context, dir string) (*os.File, error) {
	r, err := readRecord(dir)
	if err != nil {
		return nil, err
	}
	if r.Machine != machine() || r.PID <= 0 || r.Start == "" {
		return nil, errLocked
	}
	if same, err := isProcess(r.Launcher, r.LauncherStart); err != nil || same {
		return nil, errors.Join(err, errLocked)
	}
	if same, err := isProcess(r.PID, r.Start); err != nil || !same {
		return nil, errors.Join(err, errLocked)
	}
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return nil, fmt.Errorf("kill orphan %d: %w", r.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	var held *os.File
	err = poll(ctx, 5*time.Millisecond, func() (bool, error) {
		var err error
		held, err = relock(filepath.Join(dir, "lock"))
		if errors.Is(err, errLocked) {
			return false, nil
		}
		return err == nil, err
	})
	return held, err
}

// isProcess reports whether the pid is the process that started then.
func isProcess(pid int, start string) (bool, error) {
	now, err := processStart(pid)
	return now != "" && now == start, err
}
