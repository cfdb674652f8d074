//go:build !unix

package backend

import "net"

// quiet can not look into a socket here; the first command will tell.
func quiet(net.Conn) bool { return true }
