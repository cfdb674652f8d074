package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// cacheDir returns the folder that keeps fetched servers and templates, and makes it.
func cacheDir() (string, error) {
	dir := os.Getenv("XAPROXY_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no cache folder (set XAPROXY_CACHE): %w", err)
		}
		dir = filepath.Join(user, "xaproxy")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("cache folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("cache folder: %w", err)
	}
	return dir, nil
}

// errLocked says that another open file description holds the lock.
var errLocked = errors.New("locked by another process")

// tryLock takes an exclusive flock on the file, made if need be. The lock belongs to the open file description: it ends
// when the returned file, and every copy of it that a child process inherited, is closed.
func tryLock(path string) (*os.File, error) { return flock(path, os.O_RDWR|os.O_CREATE) }

// relock is tryLock on a file that exists: the error is [fs.ErrNotExist] otherwise.
func relock(path string) (*os.File, error) { return flock(path, os.O_RDWR) }

func flock(path string, flags int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, flags, 0o644)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && isAt(f, path) {
			return f, nil
		}
		closeErr := f.Close()
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return nil, fmt.Errorf("%s: %w", path, errLocked)
		case err != nil && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), closeErr)
		default: // removed or replaced between open and lock: a lock on it would mean nothing
		}
	}
}

// isAt reports whether the open file is still the one at the path.
func isAt(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(opened, there)
}

// lock waits for the lock until ctx ends; waiting is called once if there is something to wait for.
func lock(ctx context.Context, path string, waiting func()) (*os.File, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for first := true; ; first = false {
		f, err := tryLock(path)
		if err == nil || !errors.Is(err, errLocked) {
			return f, err
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for lock %s: %w", path, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// readJSON reports whether the file exists and holds a T.
func readJSON(path string, into any) (bool, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return json.Unmarshal(b, into) == nil, nil // damaged, or written by something else: as good as absent
}

// writeJSON replaces the file in one step: a reader sees the old content or the new one.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d.tmp", path, os.Getpid())
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
