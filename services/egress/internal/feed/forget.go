package feed

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/failpoint"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// forget deletes results up to a stored utterance or stream end. Those of an open utterance
// stay, so that a successor can still join its text, and at an utterance's end those whose
// gap is still to be told, by [order.gap].
func (s *Sequencer) forget(ctx context.Context, o *order) {
	results, err := s.rt.Bus.JS().Stream(ctx, bus.StreamResults)
	if err != nil {
		return
	}
	told := o.toldBelow(o.released + 1)
	// In this order, so that whoever finds one knows which gaps were told.
	for _, ordinal := range slices.Sorted(maps.Keys(o.results)) {
		r := o.results[ordinal]
		if ordinal > o.released || ordinal > told && r.result.GetGapMs() > 0 {
			continue
		}
		if !s.remove(ctx, results, r) {
			return // the rest goes with the next marker
		}
		failpoint.At("egress/forgetting")
		delete(o.results, ordinal)
	}
}

func (s *Sequencer) remove(ctx context.Context, results jetstream.Stream, r *stored) bool {
	err := results.DeleteMsg(ctx, r.sequence)
	if err == nil || errors.Is(err, jetstream.ErrMsgNotFound) {
		return true
	}
	if ctx.Err() == nil {
		s.rt.Log.Debug("deleting a released result failed", "error", err)
	}
	return false
}

// gap is the audio in ms that is missing before a text: before its segment, and before those
// since the last text in which nothing was understood.
func (o *order) gap(r *rtapv1.Result) uint32 {
	gap, told := r.GetGapMs(), o.toldBelow(r.GetOrdinal())
	for ordinal, other := range o.results {
		if ordinal > told && ordinal < r.GetOrdinal() {
			gap += other.result.GetGapMs()
		}
	}
	return gap
}

// toldBelow is the highest known ordinal below one with which the gaps before it were told,
// that of a text, or have ended, with their stream; 0 for none.
func (o *order) toldBelow(ordinal uint64) (told uint64) {
	for n, r := range o.results {
		switch r.result.GetKind() {
		case rtapv1.Result_KIND_TEXT, rtapv1.Result_KIND_STREAM_END:
			if n < ordinal {
				told = max(told, n)
			}
		}
	}
	return told
}
