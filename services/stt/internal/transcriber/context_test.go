package transcriber_test

import (
	"context"
	"slices"
	"testing"

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
