package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// unixPrefix begins the address of a unix socket.
const unixPrefix = "unix:"

func (c *Config) validateListen(bad func(string, ...any)) {
	for _, a := range c.Listen.Data {
		path, socket := strings.CutPrefix(a, unixPrefix)
		switch {
		case socket && !filepath.IsAbs(path):
			bad("listen.data: %s: the path of a unix socket must be absolute", a)
		case !socket:
			if _, _, err := net.SplitHostPort(a); err != nil {
				bad("listen.data: %w", err)
			}
		}
	}
	for _, l := range []struct{ key, addr string }{{"admin", c.Listen.Admin}, {"http", c.Listen.HTTP}} {
		if l.key == "http" && l.addr == "off" {
			continue
		}
		if _, _, err := net.SplitHostPort(l.addr); err != nil {
			bad("listen.%s: %w", l.key, err)
		}
	}
	if _, err := c.Listen.fronts(); err != nil {
		bad("listen.proxy_protocol: %w", err)
	}
}

// fronts are the load balancers' addresses.
func (l ListenConfig) fronts() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range l.ProxyProtocol {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, errAddr := netip.ParseAddr(s)
			if errAddr != nil {
				return nil, fmt.Errorf("%q is neither an address nor a network", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// listenAll listens at all of the data port's addresses, or at none.
func (l ListenConfig) listenAll(ctx context.Context) ([]net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: l.Keepalive, Interval: l.Keepalive, Count: keepaliveProbes}}
	var out []net.Listener
	for _, a := range l.Data {
		one, err := listenAt(ctx, lc, a)
		if err != nil {
			for _, l := range out {
				err = errors.Join(err, l.Close())
			}
			return nil, fmt.Errorf("listen.data: %w", err)
		}
		out = append(out, one)
	}
	return out, nil
}

// keepaliveProbes without an answer end a connection.
const keepaliveProbes = 3

// listenAt listens at host:port or unix:/path. The file of a socket at which
// nobody listens any more is replaced.
func listenAt(ctx context.Context, lc net.ListenConfig, address string) (net.Listener, error) {
	path, socket := strings.CutPrefix(address, unixPrefix)
	if !socket {
		return lc.Listen(ctx, "tcp", address)
	}
	l, err := lc.Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(ctx, path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		l, err = lc.Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, err
	}
	// Whoever may reach the folder may log in, as at a server's socket.
	if err := os.Chmod(path, 0o777); err != nil { //nolint:gosec // clients of other accounts connect, a password is asked for
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// abandoned reports whether the file is a socket at which nobody listens.
func abandoned(ctx context.Context, path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close() // somebody listens
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
