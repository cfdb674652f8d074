package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveHTTP answers /livez (the process serves), /readyz (503 while it drains, and
// with one line per shard that does not answer) and /metrics.
func (m *Main) serveHTTP(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		reasons := m.unready(r.Context())
		if len(reasons) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			reasons = []string{"ok"}
		}
		for _, line := range reasons {
			fmt.Fprintln(w, line)
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.metrics(), promhttp.HandlerOpts{}))
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // ctx's end is why it ends
	defer stop()
	err := s.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// unready says why no load balancer should send clients here.
func (m *Main) unready(ctx context.Context) []string {
	if m.draining.Load() {
		return []string{"draining"}
	}
	var down []string
	for _, s := range m.status(ctx) {
		if s.Err != nil {
			down = append(down, fmt.Sprintf("shard %s: %v", s.Name, s.Err))
		}
	}
	return down
}

// healthPatience bounds Health: a checker waits for less.
const healthPatience = 4 * time.Second

// Health asks a page of a proxy's http port; its error is what the page says.
func Health(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s\n%s", url, r.Status, text)
	}
	return nil
}
