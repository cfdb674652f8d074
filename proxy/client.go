package proxy

import "context"

// client is the connection of one client.
type client struct{}

// conversation executes the commands of a client that has logged in.
type conversation interface {
	// command answers one command packet, which is not empty. An error ends the
	// connection.
	command(ctx context.Context, payload []byte) error
}

type handlerSession struct {
	client  *client
	handler Handler
}

func (h *handlerSession) command(ctx context.Context, payload []byte) error { return errGone }
