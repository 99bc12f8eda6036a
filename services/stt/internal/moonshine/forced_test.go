package moonshine_test

import (
	"slices"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/services/stt/internal/moonshine"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// hear transcribes and checks what holds for every transcript.
func hear(t testing.TB, e *moonshine.Engine, pcm []float32, opts transcriber.Options) transcriber.Transcript {
	t.Helper()
	got, err := e.Transcribe(t.Context(), pcm, opts)
	if err != nil {
		t.Fatal(err)
	}
	tokens, last := 0, 0
	for _, w := range got.Words {
		if w.Start < last || w.End <= w.Start || w.End > len(pcm) || w.Confidence <= 0 || w.Confidence > 1 || w.Tokens < 1 {
			t.Errorf("word %+v after %d", w, last)
		}
		last, tokens = w.End, tokens+w.Tokens
	}
	if tokens != len(got.Tokens) {
		t.Errorf("words of %d tokens, the transcript has %d: %+v", tokens, len(got.Tokens), got.Words)
	}
	if got.SentenceEnd > 1 || got.Text == "" && got.SentenceEnd >= 0 {
		t.Errorf("%q ends a sentence with probability %v", got.Text, got.SentenceEnd)
	}
	return got
}

// TestForced gives the decoder every beginning of what it would say.
func TestForced(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	whole := hear(t, e, pcm, transcriber.Options{})
	for n := range whole.Tokens {
		got := hear(t, e, pcm, transcriber.Options{Forced: whole.Tokens[:n]})
		if got.Text != whole.Text || !slices.Equal(got.Tokens, whole.Tokens) || got.Alone != "" {
			t.Errorf("after %d tokens: %q (alone %q)", n, got.Text, got.Alone)
		}
	}
	if got := hear(t, e, pcm, transcriber.Options{Forced: whole.Tokens}); got.Text != whole.Text || got.Confidence <= 0 {
		t.Errorf("with all forced: %q (%.2f)", got.Text, got.Confidence)
	}
	// "And so my fellow citizens": the decoder must go on from what it was made to say.
	other := slices.Clone(whole.Tokens[:4])
	other[3] = whole.Tokens[1]
	if got := hear(t, e, pcm, transcriber.Options{Forced: other}); !slices.Equal(got.Tokens[:4], other) {
		t.Errorf("forced %v, got %v: %q", other, got.Tokens, got.Text)
	}
}

func TestForcedAfterContext(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	const pause = 7.6 * second
	c := &transcriber.Context{PCM: pcm[:pause], Tokens: hear(t, e, pcm[:pause], transcriber.Options{}).Tokens}
	want := hear(t, e, pcm[pause:], transcriber.Options{Context: c})
	for n := range want.Tokens {
		got := hear(t, e, pcm[pause:], transcriber.Options{Context: c, Forced: want.Tokens[:n]})
		if got.Text != want.Text || got.Alone != "" {
			t.Errorf("after %d tokens: %q (alone %q), want %q", n, got.Text, got.Alone, want.Text)
		}
	}
}

func TestForcedThatDoesNotFit(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	want := hear(t, e, pcm, transcriber.Options{})
	for name, forced := range map[string][]uint32{
		"no such token": {want.Tokens[0], 1 << 31}, "a control token": {2}, "too many": slices.Repeat(want.Tokens[:1], 500),
	} {
		got := hear(t, e, pcm, transcriber.Options{Forced: forced})
		if got.Text != want.Text || got.Alone != "" {
			t.Errorf("%s: %q (alone %q)", name, got.Text, got.Alone)
		}
	}
	if got := hear(t, e, make([]float32, second), transcriber.Options{Forced: want.Tokens}); got.Text != "" {
		t.Errorf("silence: %q", got.Text)
	}
}

// TestSentenceEnd compares the end of a sentence with places inside it.
func TestSentenceEnd(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	end := hear(t, e, pcm, transcriber.Options{})
	for name, to := range map[string]float64{"my fellow Americans": 2.3, "ask not": 4.3, "your country can": 6.4} {
		within := hear(t, e, pcm[:int(to*second)], transcriber.Options{})
		t.Logf("%q: %.3f", within.Text, within.SentenceEnd)
		if within.SentenceEnd < 0 || within.SentenceEnd >= end.SentenceEnd {
			t.Errorf("%s: %q ends a sentence with probability %.3f, the whole with %.3f", name, within.Text, within.SentenceEnd, end.SentenceEnd)
		}
	}
}
