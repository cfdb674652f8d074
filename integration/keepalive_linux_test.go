package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// TestClientsAreProbed: the kernel probes a client that says nothing, so that one whose machine is gone is noticed.
func TestClientsAreProbed(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	p := c.newProxy(t, "p", proxySettings{node: 1, front: ", keepalive: 5s"})
	p.up()
	db := p.open("", "")
	defer db.Close()
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(p.data)
	if err != nil {
		t.Fatal(err)
	}
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	// What was sent last must have been acknowledged before the timer is that of keepalive.
	if _, err := poll(t.Context(), 5*time.Second, func(context.Context) error {
		text, err := os.ReadFile("/proc/net/tcp") // proc_pid_net(5): local address, state, timer
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 6 || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) || f[3] != "01" {
				continue
			}
			if strings.HasPrefix(f[5], "02:") {
				return nil
			}
			err = fmt.Errorf("timer of the client's connection: %s", f[5])
		}
		return errors.Join(err, errors.New("no connection is probed"))
	}); err != nil {
		t.Error(err)
	}
}
