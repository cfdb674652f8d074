package app

import (
	"context"
	"errors"
	"fmt"
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
