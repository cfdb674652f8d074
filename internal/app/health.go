package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// serveHealth answers /livez (the process serves) and /readyz (every shard
// answers; otherwise 503 with one line per shard that does not).
func (m *Main) serveHealth(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		var down []string
		for _, s := range m.status(r.Context()) {
			if s.Err != nil {
				down = append(down, fmt.Sprintf("shard %s: %v", s.Name, s.Err))
			}
		}
		if len(down) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		for _, line := range down {
			fmt.Fprintln(w, line)
		}
		if len(down) == 0 {
			fmt.Fprintln(w, "ok")
		}
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // ctx's end is why it ends
	defer stop()
	err := s.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
