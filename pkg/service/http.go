package service

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
)

// HTTPPart serves h on l until it is stopped.
func HTTPPart(name string, l net.Listener, h http.Handler) lifecycle.Part {
	srv := obs.Server(h)
	return lifecycle.Part{
		Name: name,
		Run: func(ctx context.Context) error {
			done := make(chan error, 1)
			go func() { done <- srv.Serve(l) }()
			select {
			case err := <-done:
				if errors.Is(err, http.ErrServerClosed) {
					return nil
				}
				return err
			case <-ctx.Done():
				_ = srv.Close()
				if err := <-done; err != nil && !errors.Is(err, http.ErrServerClosed) {
					return err
				}
				return ctx.Err()
			}
		},
	}
}
