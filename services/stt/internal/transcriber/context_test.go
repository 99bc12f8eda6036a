package transcriber_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// TestContext: only stored results of the same model become a context, or none does.
func TestContext(t *testing.T) {
	stored := []*rtapv1.Result{
		{Ordinal: 1, Kind: rtapv1.Result_KIND_TEXT, Recognition: &rtapv1.Recognition{Tokens: []uint32{7, 8}, Model: &rtapv1.Model{Name: "fake"}}},
		{Ordinal: 2, Kind: rtapv1.Result_KIND_EMPTY},
		{Ordinal: 3, Kind: rtapv1.Result_KIND_TEXT, Recognition: &rtapv1.Recognition{Tokens: []uint32{9}, Model: &rtapv1.Model{Name: "fake"}}},
		{Ordinal: 4, Kind: rtapv1.Result_KIND_TEXT, Recognition: &rtapv1.Recognition{Tokens: []uint32{5}, Model: &rtapv1.Model{Name: "another"}}},
		{Ordinal: 5, Kind: rtapv1.Result_KIND_DEAD},
	}
	for name, tt := range map[string]struct {
		ordinals []uint64
		want     []uint32 // nil: alone
	}{
		"in order":          {[]uint64{1, 2, 3}, []uint32{7, 8, 9}},
		"none":              {nil, nil},
		"came out empty":    {[]uint64{2}, []uint32{}},
		"another model":     {[]uint64{3, 4}, nil},
		"given up":          {[]uint64{3, 5}, nil},
		"one is not there":  {[]uint64{3, 6}, nil},
		"the first of many": {[]uint64{1}, []uint32{7, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan *transcriber.Context, 1)
			b, _ := work(t, settings(t), &engine{
				prefixed: true,
				opts:     func(o transcriber.Options) { got <- o.Context },
				transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
					return transcriber.Transcript{Text: "x"}, nil
				},
			})
			for _, r := range stored {
				r.StreamId = "s"
				if err := b.StoreResult(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			j := job(9)
			j.Context = &rtapv1.Context{Ordinals: tt.ordinals, Pcm: make([]byte, 640)}
			if err := b.PublishJob(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			c := <-got
			if (c == nil) != (tt.want == nil) {
				t.Fatalf("context %v, want tokens %v", c, tt.want)
			}
			if c != nil && (!slices.Equal(c.Tokens, tt.want) || len(c.PCM) != 320) {
				t.Errorf("tokens %v with %d samples, want %v", c.Tokens, len(c.PCM), tt.want)
			}
			awaitResults(t, b, len(stored)+1)
		})
	}
}

// TestContextIsShed: a live final that has waited while others wait behind it is heard with less of what was said
// before, in whole segments, and with all of it where nothing is heard so.
func TestContextIsShed(t *testing.T) {
	const second = transcriber.SampleRateHz
	text := func(n, from, to int, tokens ...uint32) *rtapv1.Result {
		return &rtapv1.Result{
			StreamId: "s", Ordinal: uint64(n), Kind: rtapv1.Result_KIND_TEXT, Span: &rtapv1.Span{StartSample: uint64(from * second), EndSample: uint64(to * second)},
			Recognition: &rtapv1.Recognition{Tokens: tokens, Model: &rtapv1.Model{Name: "fake"}},
		}
	}
	stored := []*rtapv1.Result{text(1, 10, 13, 7, 8), text(2, 13, 14, 9), {StreamId: "s", Ordinal: 3, Kind: rtapv1.Result_KIND_EMPTY, Span: &rtapv1.Span{StartSample: 14 * second, EndSample: 16 * second}}}
	all := transcriber.Context{PCM: make([]float32, 6*second), Tokens: []uint32{7, 8, 9}}
	few := transcriber.Context{PCM: make([]float32, 3*second), Tokens: []uint32{9}}
	for name, tt := range map[string]struct {
		waited  time.Duration
		patient int // shed_context_ms, of a window of ten seconds
		behind  bool
		change  func(*rtapv1.FinalJob)
		deaf    string // nothing is heard without the whole context: "silence", or "alone" when that was tried as well
		want    []transcriber.Context
		outcome string
	}{
		"in time":                 {50 * time.Millisecond, 60_000, true, nil, "", []transcriber.Context{all}, "used"},
		"late, only silence":      {18 * time.Second, 11_000, true, nil, "", []transcriber.Context{{}}, "short"},
		"a little late":           {15 * time.Second, 11_000, true, nil, "", []transcriber.Context{few}, "short"},
		"hardly late":             {15 * time.Second, 14_000, true, nil, "", []transcriber.Context{all}, "used"},
		"very late":               {time.Hour, 100, true, nil, "", []transcriber.Context{{}}, "short"},
		"and nothing to wait for": {time.Hour, 100, true, func(j *rtapv1.FinalJob) { j.Context.Ordinals[2] = 7 }, "", []transcriber.Context{{}}, "short"},
		"the last":                {time.Hour, 100, false, nil, "", []transcriber.Context{all}, "used"},
		"turned off":              {time.Hour, 0, true, nil, "", []transcriber.Context{all}, "used"},
		"vad took all the time":   {time.Hour, 11_000, true, func(j *rtapv1.FinalJob) { j.VadMs = 3_600_000 }, "", []transcriber.Context{all}, "used"},
		"recorded before":         {time.Hour, 100, true, func(j *rtapv1.FinalJob) { j.Unhurried = true }, "", []transcriber.Context{all}, "used"},
		"heard with all of it":    {time.Hour, 100, true, nil, "silence", []transcriber.Context{{}, all}, "used"},
		"heard alone before":      {15 * time.Second, 11_000, true, nil, "alone", []transcriber.Context{few, all}, "used"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings(t)
			cfg.STT.ShedContextMS = tt.patient
			heard, begun, release := make(chan transcriber.Context, 4), make(chan struct{}), make(chan struct{})
			var c transcriber.Context // of the inference; one at a time
			b, _ := work(t, cfg, &engine{
				prefixed: true,
				opts: func(o transcriber.Options) {
					c = transcriber.Context{}
					if o.Context != nil {
						c = *o.Context
					}
				},
				transcribe: func(_ context.Context, pcm []float32) (transcriber.Transcript, error) {
					switch {
					case len(pcm) == 9: // the first holds the worker until the others are there
						close(begun)
						<-release
					case len(pcm) == 10:
						heard <- c
						if tt.deaf != "" && len(c.PCM) < len(all.PCM) {
							return transcriber.Transcript{Dropped: transcriber.DropSilence, Alone: map[string]string{"alone": "empty"}[tt.deaf]}, nil
						}
					}
					return transcriber.Transcript{Text: "x", Tokens: []uint32{1}}, nil
				},
			})
			for _, r := range stored {
				if err := b.StoreResult(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			jobs := []*rtapv1.FinalJob{job(9), job(10), job(11)}
			if !tt.behind {
				jobs = jobs[:2]
			}
			j := jobs[1]
			jobs[0].ClosedAt = clock.Ago(tt.waited) // it is how long finals wait that counts
			j.ClosedAt, j.Span = clock.Ago(tt.waited), &rtapv1.Span{StartSample: 16 * second, EndSample: 17 * second}
			j.Context = &rtapv1.Context{Ordinals: []uint64{1, 2, 3}, Span: &rtapv1.Span{StartSample: 10 * second, EndSample: 16 * second}, Pcm: make([]byte, 2*6*second)}
			if tt.change != nil {
				tt.change(j)
				jobs[0].VadMs, jobs[0].Unhurried = j.GetVadMs(), j.GetUnhurried()
			}
			for i, j := range jobs {
				if err := b.PublishJob(t.Context(), j); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					<-begun
				}
			}
			waiting(t, b, len(jobs)-1)
			close(release)
			results := awaitResults(t, b, len(stored)+len(jobs))
			close(heard)
			for _, want := range tt.want {
				if got := <-heard; len(got.PCM) != len(want.PCM) || !slices.Equal(got.Tokens, want.Tokens) {
					t.Errorf("heard with %d samples and tokens %v, want %d and %v", len(got.PCM), got.Tokens, len(want.PCM), want.Tokens)
				}
			}
			if more, ok := <-heard; ok {
				t.Errorf("heard once more, with %d samples", len(more.PCM))
			}
			for _, r := range results {
				if r.GetOrdinal() == 10 && (r.GetContextOutcome() != tt.outcome || r.GetRecognition().GetText() != "x") {
					t.Errorf("context %s and %q, want %s", r.GetContextOutcome(), r.GetRecognition().GetText(), tt.outcome)
				}
			}
		})
	}
}

// waiting returns when the workers' consumer knows that so many jobs wait: it learns of a stored one a moment later.
func waiting(t *testing.T, b *bus.Bus, jobs int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := b.JS().Consumer(t.Context(), bus.StreamJobs, "stt-final")
		if err != nil {
			t.Fatal(err)
		}
		if n := int(c.CachedInfo().NumPending); n == jobs {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%d jobs wait, want %d", n, jobs)
		}
	}
}

// TestLateContext: a word that is heard only with what came before it waits for that, and not for ever.
func TestLateContext(t *testing.T) {
	for name, arrives := range map[string]bool{"it comes": true, "it never comes": false} {
		t.Run(name, func(t *testing.T) {
			cfg := settings(t)
			cfg.STT.MaxDeliveries = 2
			heard, with := make(chan *transcriber.Context, 8), false // one inference at a time
			b, _ := work(t, cfg, &engine{
				prefixed: true,
				opts:     func(o transcriber.Options) { with = o.Context != nil; heard <- o.Context },
				transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
					if !with {
						return transcriber.Transcript{Dropped: transcriber.DropSilence}, nil
					}
					return transcriber.Transcript{Text: "not"}, nil
				},
			})
			j := job(2)
			j.Context = &rtapv1.Context{Ordinals: []uint64{1}, Pcm: make([]byte, 640)}
			if err := b.PublishJob(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			if c := <-heard; c != nil {
				t.Fatalf("heard with %v at first", c)
			}
			want := ""
			if arrives {
				want = "not"
				before := &rtapv1.Result{StreamId: "s", Ordinal: 1, Kind: rtapv1.Result_KIND_TEXT, Recognition: &rtapv1.Recognition{Tokens: []uint32{7}, Model: &rtapv1.Model{Name: "fake"}}}
				if err := b.StoreResult(t.Context(), before); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range awaitResults(t, b, len(want)/3+1) {
				if r.GetOrdinal() == 2 && r.GetRecognition().GetText() != want {
					t.Errorf("heard %q, want %q", r.GetRecognition().GetText(), want)
				}
			}
		})
	}
}
