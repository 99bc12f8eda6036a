package app

import (
	"context"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/framer"
	"github.com/rtap/rtap/services/capture/internal/publish"
)

// where is the place in a stream at which an input goes on.
type where struct {
	epoch, frame uint64
	burst        uint64 // frames before it are late, and not paced
	done         bool   // it was played to its end
}

// found is what was stored of a stream when this process began to want it.
type found struct {
	epoch uint64
	ended bool
	own   uint64 // the epoch that this process played last
}

// findings looks at a stream before its lease is waited for.
func findings(ctx context.Context, rt *service.Runtime, in input) (*found, error) {
	var last *rtapv1.Frame
	err := retry(ctx, rt, in, "looking for stored audio", func() (err error) { last, err = rt.Bus.LastFrame(ctx, in.stream()); return err })
	return &found{epoch: last.GetEpoch(), ended: last.GetEnd()}, err
}

// position finds out where an input that waits goes on: at the first frame that is not stored of
// the same source, when that was interrupted, or where vad is with it when nothing of it is stored any
// more, else at the beginning of a new epoch. In one
// run of `rtap up`, and when another process has played it while this one waited, what was
// played to its end is not played again.
func position(ctx context.Context, rt *service.Runtime, in input, before *found) (at where, err error) {
	err = retry(ctx, rt, in, "finding the place to go on", func() error {
		last, err := rt.Bus.LastFrame(ctx, in.stream())
		if err != nil {
			return err
		}
		newest, err := rt.Bus.NewestEpoch(ctx, in.stream())
		if err != nil {
			return err
		}
		switch {
		case !in.resumes():
		case newest.Number != last.GetEpoch():
			var ok bool
			if at, ok, err = checkpointed(ctx, rt, in, newest, before.own); ok || err != nil {
				return err
			}
		case last.GetSource() == in.name() && last.GetRun() == rt.RunID:
			meanwhile := last.GetEpoch() > before.epoch || last.GetEpoch() == before.epoch && !before.ended
			missing, err := rt.Bus.FirstMissing(ctx, in.stream(), last, publish.Unsure)
			if err != nil {
				return err
			}
			switch behind := last.GetFrame() + 1; {
			case !last.GetEnd(), missing < behind && (rt.RunID != "" || meanwhile):
				at = where{epoch: last.GetEpoch(), frame: missing, burst: behind}
				return nil
			case rt.RunID != "" || meanwhile:
				at = where{epoch: last.GetEpoch(), done: true}
				return nil
			}
		}
		at = where{}
		at.epoch, err = rt.Bus.NewEpoch(ctx, in.stream(), in.name(), rt.RunID)
		return err
	})
	return at, err
}

// checkpointed finds the place in an epoch of which nothing is stored any more: it expired, or the server
// lost it. It is where vad's checkpoint is, or before it, if the segment that was recorded last has to be
// read once more; the beginning, if vad has recorded nothing: it drops what it has heard. Only in one run, or by who
// played it: another time the name may be that of another recording.
func checkpointed(ctx context.Context, rt *service.Runtime, in input, newest bus.Epoch, own uint64) (at where, ok bool, err error) {
	if newest.Source != in.name() || newest.Run != rt.RunID || rt.RunID == "" && newest.Number != own {
		return where{}, false, nil
	}
	cp, _, err := rt.Bus.LoadCheckpoint(ctx, in.stream())
	if err != nil {
		return where{}, false, err
	}
	at.epoch = newest.Number
	if cp.GetEpoch() != newest.Number {
		return at, true, nil
	}
	at.frame, at.burst, at.done = cp.GetNextFrame(), cp.GetNextFrame(), cp.GetEnded()
	if s := cp.GetBoundary().GetSpan(); s.GetEpoch() == newest.Number && s.GetEndSample() > s.GetStartSample() {
		at.frame = min(at.frame, s.GetStartSample()/framer.Samples)
	}
	return at, true, nil
}

// retry does something until it succeeds; its error says that ctx is done.
func retry(ctx context.Context, rt *service.Runtime, in input, what string, do func() error) error {
	if !bus.Retry(ctx, rt.Log.With("stream_id", in.stream()), what, do) {
		return ctx.Err()
	}
	return nil
}
