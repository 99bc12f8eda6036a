package service

import (
	"context"
	"time"
)

// Settings is what was changed while running, and the number of the newest change.
type Settings struct {
	Values   map[string]string
	Revision uint64
}

// WatchSettings sends what is set now and after each change, until ctx is done. Trouble is
// logged, and the watch begins anew.
func (r *Runtime) WatchSettings(ctx context.Context, changes chan<- Settings) {
	if r.Bus.Await(ctx) != nil {
		return
	}
	for ctx.Err() == nil {
		err := r.Bus.WatchSettings(ctx, r.Bus.Reconnected(), func(values map[string]string, revision uint64) {
			select {
			case changes <- Settings{values, revision}:
			case <-ctx.Done():
			}
		})
		if err != nil && ctx.Err() == nil {
			r.Log.Warn("following the settings failed, trying again", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}
