//go:build unix

package backend

import (
	"net"
	"syscall"
)

// quiet reports whether a socket that nobody waits on has neither been closed by
// the server nor has bytes that nobody asked for (an idle session's farewell).
// It does not block. Sockets that can not be looked at are quiet.
func quiet(nc net.Conn) bool {
	sc, isSocket := nc.(syscall.Conn)
	if !isSocket {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	alive := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = err == syscall.EAGAIN || err == syscall.EINTR
		return true
	})
	return err == nil && alive
}
