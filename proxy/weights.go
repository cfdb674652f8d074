package proxy

import (
	"context"
	"encoding/hex"
	"errors"
	"sync"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/xa"
)

// weights remembers weight bytes of sharding keys that shards were asked for.
// Safe for concurrent use. When it is full it begins anew: what is asked often
// is soon back.
type weights struct {
	mu sync.RWMutex
	// Guarded by mu:
	known map[plan.WeightRequest]weight
	bytes int
}

type weight struct{ text, space []byte }

// weightsKept bounds the cache in bytes.
const weightsKept = 32 << 20

func newWeights() *weights { return &weights{known: map[plan.WeightRequest]weight{}} }

// Weight implements plan.Weights.
func (w *weights) Weight(r plan.WeightRequest) ([]byte, []byte, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	v, ok := w.known[r]
	return v.text, v.space, ok
}

func (w *weights) add(r plan.WeightRequest, v weight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes += len(r.Text) + len(v.text) + len(v.space) + 128
	if w.bytes > weightsKept {
		clear(w.known)
		w.bytes = 0
	}
	w.known[r] = v
}

// weigh asks a shard for the weights of strings.
func (s *session) weigh(ctx context.Context, requests []plan.WeightRequest) error {
	return s.anywhere(ctx, func(n xa.ShardID) error { return s.e.weighAt(ctx, n, requests) })
}

func (w *weights) ask(ctx context.Context, conn *backend.Conn, r plan.WeightRequest) error {
	// The text is UTF-8; a connection that came from another client may speak
	// another character set.
	want := conn.State()
	want.CharsetClient, want.Collation, want.CharsetResults, want.SQLMode = backend.Setting{}, backend.Setting{}, backend.Setting{}, backend.Setting{}
	if err := conn.Sync(ctx, want); err != nil {
		return err
	}
	row, err := selectOne(ctx, conn, plan.WeightSQL(r))
	if err != nil {
		return err
	}
	if len(row) != 2 || row[0] == nil {
		return errors.New("a key's weight was not answered")
	}
	var v weight
	if v.text, err = hex.DecodeString(*row[0]); err != nil {
		return err
	}
	if row[1] != nil {
		if v.space, err = hex.DecodeString(*row[1]); err != nil {
			return err
		}
	}
	w.add(r, v)
	return nil
}
