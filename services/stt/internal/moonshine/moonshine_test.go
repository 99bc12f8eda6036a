package moonshine_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/services/stt/internal/moonshine"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ transcriber.Engine = (*moonshine.Engine)(nil)

const jfk = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."

func open(t testing.TB) *moonshine.Engine {
	t.Helper()
	e, err := moonshine.New(1)
	testkit.RequireNative(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestSpeech(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	got, err := e.Transcribe(t.Context(), pcm, transcriber.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if errs, words := wer.Errors(jfk, got.Text); errs > 1 {
		t.Errorf("%d of %d words wrong: %s", errs, words, got.Text)
	}
	last := 0
	for _, w := range got.Words {
		if w.Start < last || w.End <= w.Start || w.End > len(pcm) || w.Confidence <= 0 || w.Confidence > 1 || !w.Estimated {
			t.Errorf("word %+v after %d", w, last)
		}
		last = w.End
	}
	if got.Confidence < 0.5 || len(got.Tokens) == 0 || got.Language != "en" {
		t.Errorf("confidence %v, %d tokens, language %q", got.Confidence, len(got.Tokens), got.Language)
	}
}

func TestShortPhraseAmidSilence(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	for _, span := range [][2]int{{46400, 83200}, {48000, 80000}} {
		got, err := e.Transcribe(t.Context(), pcm[span[0]:span[1]], transcriber.Options{})
		if err != nil || len(wer.Words(got.Text)) != 2 {
			t.Errorf("\"ask not\" between pauses: %q (%.2f, dropped %q), %v", got.Text, got.Confidence, got.Dropped, err)
		}
	}
}

func TestNothingInvented(t *testing.T) {
	e := open(t)
	hum := make([]float32, 48000)
	for i := range hum {
		hum[i] = 0.2 * float32(math.Sin(2*math.Pi*50*float64(i)/16000))
	}
	for name, pcm := range map[string][]float32{
		"nothing": nil, "1": {0.5}, "200": testkit.Noise(200, 0.5), "201": testkit.Noise(201, 0.5),
		"silence": make([]float32, 80000), "white noise": testkit.Noise(80000, 0.3), "quiet noise": testkit.Noise(80000, 0.01), "hum": hum,
		"not a number": {0: float32(math.NaN()), 8000: float32(math.Inf(-1)), 16000: 0},
	} {
		got, err := e.Transcribe(t.Context(), pcm, transcriber.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got.Text != "" || got.Dropped == "" {
			t.Errorf("%s: text %q (%.2f), dropped for %q", name, got.Text, got.Confidence, got.Dropped)
		}
	}
}

func TestClippedAndLong(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	loud := make([]float32, len(pcm))
	for i, x := range pcm {
		loud[i] = 8 * x
	}
	got, err := e.Transcribe(t.Context(), loud, transcriber.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if errs, words := wer.Errors(jfk, got.Text); errs > words/4 {
		t.Errorf("clipped: %s", got.Text)
	}
	var long []float32
	for range 4 {
		long = append(long, pcm...)
	}
	if _, err := e.Transcribe(t.Context(), long, transcriber.Options{}); err != nil {
		t.Errorf("44 s: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	e := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Transcribe(ctx, testkit.PCM(t, "jfk.wav"), transcriber.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestStopsAtOnce ends the work on half a minute of speech at many moments: in the encoder,
// which takes half of it, in the first pass and in later ones.
func TestStopsAtOnce(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	long := slices.Concat(pcm, pcm, pcm[:6*second])
	want := hear(t, e, long, transcriber.Options{})
	began := time.Now()
	hear(t, e, long, transcriber.Options{})
	whole := time.Since(began)
	var late []time.Duration
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan time.Time, 1)
		timer := time.AfterFunc(whole*time.Duration(i)/25, func() {
			told <- time.Now()
			cancel()
		})
		got, err := e.Transcribe(ctx, long, transcriber.Options{})
		if timer.Stop() || err == nil {
			if got.Text != want.Text {
				t.Errorf("done before it was stopped: %q, %v", got.Text, err)
			}
		} else if late = append(late, time.Since(<-told)); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped after %d/25: %v", i, err)
		}
		cancel()
	}
	t.Logf("of %s, returned %s after being told to stop", whole, late)
	if len(late) == 0 {
		t.Error("it was never stopped")
	}
	if got := hear(t, e, long, transcriber.Options{}); got.Text != want.Text {
		t.Errorf("afterwards: %q, want %q", got.Text, want.Text)
	}
}
