package transcriber_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// said is an engine that hears the number of samples.
func said(calls *atomic.Int32) *engine {
	return &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		calls.Add(1)
		return transcriber.Transcript{Text: "what was said"}, nil
	}}
}

func draftOf(kind rtapv1.DraftJob_Kind) *rtapv1.DraftJob {
	return &rtapv1.DraftJob{
		StreamId: "s", Ordinal: 1, Revision: 3, Kind: kind, CapturedAt: clock.Now(), Pcm: make([]byte, 1024),
		Span: &rtapv1.Span{Epoch: 1, StartSample: 512, EndSample: 1024},
	}
}

func await(t *testing.T, results <-chan *rtapv1.DraftResult, state rtapv1.DraftResult_State) *rtapv1.DraftResult {
	t.Helper()
	for {
		select {
		case r := <-results:
			if r.GetState() == state {
				return r
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no draft result in state %v", state)
		}
	}
}

func TestSpeculativeDraftIsReportedAndServesItsFinal(t *testing.T) {
	var calls atomic.Int32
	b, _, w := workWith(t, settings(t), said(&calls))
	results, stop, err := b.DraftResults("s")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	d := draftOf(rtapv1.DraftJob_KIND_SPECULATIVE)
	if err := b.PublishDraft(d); err != nil {
		t.Fatal(err)
	}
	await(t, results, rtapv1.DraftResult_STATE_STARTED)
	r := await(t, results, rtapv1.DraftResult_STATE_DONE)
	if r.GetRecognition().GetText() != "what was said" || r.GetRevision() != 3 || r.GetSpan().GetEndSample() != 1024 {
		t.Fatalf("draft result %v", r)
	}
	counted(t, w, "none", 0, 0) // it is no final yet
	// The same audio as a final is not decoded again, other audio is.
	if err := b.PublishJob(t.Context(), &rtapv1.FinalJob{StreamId: "s", Ordinal: 1, SegmentId: "s-1-1", Span: d.GetSpan(), Pcm: d.GetPcm()}); err != nil {
		t.Fatal(err)
	}
	got := awaitResults(t, b, 1)[0]
	if !got.GetSpeculative() || got.GetRecognition().GetText() != "what was said" || calls.Load() != 1 {
		t.Errorf("speculative %v after %d inferences", got.GetSpeculative(), calls.Load())
	}
	counted(t, w, "none", 1, 1)
	if used := await(t, results, rtapv1.DraftResult_STATE_USED); used.GetRevision() != 3 || used.GetSpan().GetEndSample() != 1024 || used.GetKind() != d.GetKind() {
		t.Errorf("vad is told that %v was used", used)
	}
	if sum := testkit.Metric(t, w.Runtime().Metrics.Registry, `rtap_stage_latency_seconds_sum{stage="stt"}`); sum != r.GetSttMs()/1000 || sum == 0 {
		t.Errorf("the inference took %g s, the draft's took %g", sum, r.GetSttMs()/1000)
	}
	if err := b.PublishJob(t.Context(), &rtapv1.FinalJob{StreamId: "s", Ordinal: 2, SegmentId: "s-1-2", Span: d.GetSpan(), Pcm: d.GetPcm()}); err != nil {
		t.Fatal(err)
	}
	if got := awaitResults(t, b, 2)[1]; got.GetSpeculative() || calls.Load() != 2 {
		t.Errorf("speculative %v after %d inferences", got.GetSpeculative(), calls.Load())
	}
	counted(t, w, "none", 2, 2)
	// One that came with its job counts like the others, by how the draft was heard.
	ready := &rtapv1.FinalJob{StreamId: "s", Ordinal: 3, SegmentId: "s-1-3", Span: d.GetSpan(), Pcm: d.GetPcm(), Draft: r.GetRecognition(), DraftSttMs: 12, DraftContextOutcome: "alone_empty"}
	if err := b.PublishJob(t.Context(), ready); err != nil {
		t.Fatal(err)
	}
	awaitResults(t, b, 3)
	counted(t, w, "alone_empty", 1, 3)
}

// counted checks how often finals of a worker were heard in a context with that outcome, and how many there were.
func counted(t *testing.T, w *transcriber.Worker, outcome string, of, finals float64) {
	t.Helper()
	for series, want := range map[string]float64{
		fmt.Sprintf("rtap_stt_context_total{outcome=%q}", outcome): of, `rtap_frames_processed_total{stage="stt"}`: finals,
		`rtap_stage_latency_seconds_count{stage="stt"}`: finals, `rtap_stt_real_time_factor_count{model="fake"}`: finals,
	} {
		if got := testkit.Metric(t, w.Runtime().Metrics.Registry, series); got != want {
			t.Errorf("%s is %g, want %g", series, got, want)
		}
	}
}

func TestReadyJobNeedsNoEngine(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	busy := make(chan struct{})
	b, _ := work(t, settings(t), &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		close(busy)
		<-hold
		return transcriber.Transcript{Text: "slow"}, nil
	}})
	if err := b.PublishJob(t.Context(), job(1)); err != nil {
		t.Fatal(err)
	}
	<-busy
	ready := job(2)
	ready.Draft, ready.DraftSttMs = &rtapv1.Recognition{Text: "known"}, 12
	if err := b.PublishJob(t.Context(), ready); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r, err := b.Result(t.Context(), "s", 2)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("no result beside the inference: %v", err)
		}
		if r != nil {
			if r.GetRecognition().GetText() != "known" || !r.GetSpeculative() || r.GetTimings().GetSttMs() != 12 {
				t.Errorf("result %v", r)
			}
			return
		}
	}
}

func TestDraftsThatAreNotWanted(t *testing.T) {
	var calls atomic.Int32
	b, _ := work(t, settings(t), said(&calls))
	results, stop, err := b.DraftResults("s")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if err := b.PublishDraft(&rtapv1.DraftJob{StreamId: "s"}); err != nil { // takes another's place
		t.Fatal(err)
	}
	old := draftOf(rtapv1.DraftJob_KIND_INTERIM)
	old.CapturedAt = clock.Ago(time.Minute)
	if err := b.PublishDraft(old); err != nil {
		t.Fatal(err)
	}
	await(t, results, rtapv1.DraftResult_STATE_DROPPED)
	// Without its context, which no result is there for, a text must not become a final.
	early := draftOf(rtapv1.DraftJob_KIND_SPECULATIVE)
	early.Context = &rtapv1.Context{Ordinals: []uint64{7}, Pcm: make([]byte, 64)}
	prefixed, _ := work(t, settings(t), &engine{prefixed: true, transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		return transcriber.Transcript{Text: "again and again", Alone: transcriber.AloneHalves}, nil
	}})
	theirs, stopTheirs, err := prefixed.DraftResults("s")
	if err != nil {
		t.Fatal(err)
	}
	defer stopTheirs()
	if err := prefixed.PublishDraft(early); err != nil {
		t.Fatal(err)
	}
	if r := await(t, theirs, rtapv1.DraftResult_STATE_DROPPED); r.GetContextOutcome() != "late" || r.GetSttMs() == 0 {
		t.Errorf("outcome %q after %g ms", r.GetContextOutcome(), r.GetSttMs())
	}
	if s, err := b.JS().Stream(t.Context(), bus.StreamDrafts); err != nil || s.CachedInfo().State.Msgs != 0 {
		t.Errorf("drafts are left: %v", err)
	}
}

// TestNoDraftsBesideAQueue: while finals wait for one another what may come to nothing is not begun, and is again when
// they do not.
func TestNoDraftsBesideAQueue(t *testing.T) {
	var calls atomic.Int32
	b, _, w := workWith(t, settings(t), said(&calls))
	results, stop, err := b.DraftResults("s")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	ctx, enough := context.WithCancel(t.Context())
	crowded := make(chan struct{})
	go func() {
		defer close(crowded)
		for ctx.Err() == nil {
			w.Load.Crowd()
			time.Sleep(10 * time.Millisecond)
		}
	}()
	time.Sleep(50 * time.Millisecond)
	if err := b.PublishDraft(draftOf(rtapv1.DraftJob_KIND_SPECULATIVE)); err != nil {
		t.Fatal(err)
	}
	if r := await(t, results, rtapv1.DraftResult_STATE_DROPPED); r.GetSttMs() != 0 || calls.Load() != 0 {
		t.Errorf("%g ms and %d inferences before it was given up", r.GetSttMs(), calls.Load())
	}
	if n := testkit.Metric(t, w.Runtime().Metrics.Registry, `rtap_shed_total{reason="draft_load"}`); n != 1 {
		t.Errorf("%g drafts were counted as given up for load", n)
	}
	enough()
	<-crowded
	time.Sleep(time.Second)
	if err := b.PublishDraft(draftOf(rtapv1.DraftJob_KIND_SPECULATIVE)); err != nil {
		t.Fatal(err)
	}
	await(t, results, rtapv1.DraftResult_STATE_DONE)
}
