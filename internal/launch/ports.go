package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Ports lie below 32768: the kernel hands those above to client sockets, and a restarted server would find its own
// taken.
const (
	firstPort = 20000
	lastPort  = 31999
)

// port is a TCP port that this process owns among all processes that use this package, while the file is open.
type port struct {
	number int
	lock   *os.File
}

// claimPort claims a port that nobody listens on; wanted is tried first unless it is 0.
func claimPort(wanted int) (port, error) {
	// One folder for all users and whatever TMPDIR says: the ports are the machine's.
	dir := "/tmp/xaproxy-ports"
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return port{}, fmt.Errorf("folder of port locks: %w", err)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil && !errors.Is(err, os.ErrPermission) {
		return port{}, fmt.Errorf("folder of port locks: %w", err)
	}
	if wanted != 0 {
		if p, ok := tryPort(dir, wanted); ok {
			return p, nil
		}
	}
	const count = lastPort - firstPort + 1
	start := rand.IntN(count)
	for i := range count {
		if p, ok := tryPort(dir, firstPort+(start+i)%count); ok {
			return p, nil
		}
	}
	return port{}, fmt.Errorf("no free port from %d to %d", firstPort, lastPort)
}

// tryPort claims one port. What another user's dead process left can only be opened for reading, which is enough.
func tryPort(dir string, number int) (port, bool) {
	path := filepath.Join(dir, strconv.Itoa(number))
	f, err := flock(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = tryLock(path)
	}
	if err != nil {
		return port{}, false
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(number)))
	if err != nil {
		_ = f.Close()
		return port{}, false
	}
	if err := l.Close(); err != nil {
		_ = f.Close()
		return port{}, false
	}
	return port{number: number, lock: f}, true
}

// release gives the port back. The file is removed while it is locked: who opened it before sees that it is gone.
func (p port) release() error {
	err := os.Remove(p.lock.Name())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	return errors.Join(err, p.lock.Close())
}
