package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/pires/go-proxyproto"
)

// announced reads who the client is where a load balancer says so (the PROXY
// protocol, versions 1 and 2: haproxy.org/download/3.0/doc/proxy-protocol.txt).
// From all other addresses the header is taken for what it is there: bytes that
// are no login.
func (c *client) announced() error {
	if !c.srv.fronted(c.remote) {
		return nil
	}
	if err := c.conn.SetReadDeadline(c.opened.Add(c.srv.limits().Login)); err != nil {
		return err
	}
	h, err := proxyproto.Read(c.src.buf)
	if err != nil {
		return fmt.Errorf("%s is in listen.proxy_protocol, but its connection does not begin with a PROXY protocol header: %w", c.remote, err)
	}
	if h.Command.IsProxy() && h.SourceAddr != nil { // a LOCAL one is the balancer's own
		c.remote = h.SourceAddr
	}
	return nil
}

// fronted reports whether connections from an address have a PROXY header.
func (s *Server) fronted(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return false
	}
	for _, p := range s.port.Fronts {
		if p.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// host is the client's address without its port, as servers show it.
func (c *client) host() string {
	host, _, err := net.SplitHostPort(c.remote.String())
	if err != nil {
		return "localhost" // a unix socket
	}
	return host
}

// healthCheck is all that the account of a load balancer's checks may say.
type healthCheck struct{}

// Query implements Handler.
func (healthCheck) Query(_ context.Context, c Client, sql string) (*Table, error) {
	if text := strings.TrimRight(strings.TrimSpace(sql), "; "); !strings.EqualFold(strings.Join(strings.Fields(text), " "), "SELECT 1") {
		return nil, NewError(1227, "42000", "Access denied; "+c.User.Name+" is a health check's account (users."+c.User.Name+".health): it may ask SELECT 1")
	}
	return &Table{Columns: []Column{{Name: "1", Type: Integer}}, Rows: [][]Value{{Uint(1)}}}, nil
}
