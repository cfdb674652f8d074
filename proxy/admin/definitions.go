package admin

import (
	"context"
	"slices"

	"xaproxy/proxy"
)

func (h *Handler) definitions(ctx context.Context, _ []string) (*proxy.Table, error) {
	return h.o.Definitions.Definitions(ctx)
}

func (h *Handler) retryDefinition(ctx context.Context, args []string) (*proxy.Table, error) {
	if err := h.o.Definitions.RetryDefinition(ctx, args[0]); err != nil {
		return nil, err
	}
	return h.definition(ctx, args[0])
}

func (h *Handler) forgetDefinition(ctx context.Context, args []string) (*proxy.Table, error) {
	if err := h.o.Definitions.ForgetDefinition(ctx, args[0]); err != nil {
		return nil, err
	}
	return h.definition(ctx, args[0])
}

// definition is SHOW DDL of one statement, read from the shards again.
func (h *Handler) definition(ctx context.Context, id string) (*proxy.Table, error) {
	t, err := h.o.Definitions.Definitions(ctx)
	if err != nil {
		return nil, err
	}
	t.Rows = slices.DeleteFunc(t.Rows, func(row []proxy.Value) bool { return row[0] != proxy.String(id) })
	return t, nil
}
