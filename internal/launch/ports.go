package launch

import (
	"errors"
	"fmt"
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
	dir := filepath.Join(os.TempDir(), "xaproxy-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return port{}, fmt.Errorf("folder of port locks: %w", err)
	}
	if err := os.Chmod(dir, 0o1777); err != nil && !errors.Is(err, os.ErrPermission) {
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

// tryPort claims one port. A lock file that another user made cannot be opened: the port counts as taken.
func tryPort(dir string, number int) (port, bool) {
	f, err := tryLock(filepath.Join(dir, strconv.Itoa(number)))
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
