package app

import (
	"context"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// where is the place in a stream at which an input goes on.
type where struct {
	epoch, frame uint64
	done         bool // it was played to its end
}

// found is what was stored of a stream when this process began to want it.
type found struct {
	epoch uint64
	ended bool
}

// findings looks at a stream before its lease is waited for.
func findings(ctx context.Context, rt *service.Runtime, in input) (*found, error) {
	var last *rtapv1.Frame
	err := retry(ctx, rt, in, "looking for stored audio", func() (err error) { last, err = rt.Bus.LastFrame(ctx, in.stream()); return err })
	return &found{last.GetEpoch(), last.GetEnd()}, err
}

// position finds out where an input that waits goes on: behind the newest stored frame of
// the same source, when that was interrupted, else at the beginning of a new epoch. In one
// run of `rtap up`, and when another process has played it while this one waited, what was
// played to its end is not played again.
func position(ctx context.Context, rt *service.Runtime, in input, before *found) (at where, err error) {
	err = retry(ctx, rt, in, "finding the place to go on", func() error {
		last, err := rt.Bus.LastFrame(ctx, in.stream())
		if err != nil {
			return err
		}
		if in.resumes() && last.GetSource() == in.name() && last.GetRun() == rt.RunID {
			newest, err := rt.Bus.NewestEpoch(ctx, in.stream())
			if err != nil {
				return err
			}
			meanwhile := last.GetEpoch() > before.epoch || last.GetEpoch() == before.epoch && !before.ended
			switch {
			case newest != last.GetEpoch(): // of it nothing is stored
			case !last.GetEnd():
				at = where{epoch: last.GetEpoch(), frame: last.GetFrame() + 1}
				return nil
			case rt.RunID != "" || meanwhile:
				at = where{epoch: last.GetEpoch(), done: true}
				return nil
			}
		}
		at = where{}
		at.epoch, err = rt.Bus.NewEpoch(ctx, in.stream())
		return err
	})
	return at, err
}

// retry does something until it succeeds; its error says that ctx is done.
func retry(ctx context.Context, rt *service.Runtime, in input, what string, do func() error) error {
	if !bus.Retry(ctx, rt.Log.With("stream_id", in.stream()), what, do) {
		return ctx.Err()
	}
	return nil
}
