//go:build !nowhisper

package whispercpp_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
	"github.com/rtap/rtap/services/stt/internal/whispercpp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ transcriber.Engine = (*whispercpp.Engine)(nil)

const jfk = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."

func open(t testing.TB, path string, beam int) *whispercpp.Engine {
	t.Helper()
	e, err := whispercpp.New(whispercpp.Config{Path: path, Name: "test", Threads: 2, BeamSize: beam})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestSpeech(t *testing.T) {
	pcm := testkit.PCM(t, "jfk.wav")
	for name, tt := range map[string]struct {
		path string
		beam int
		opts transcriber.Options
	}{
		"tiny.en":                {testkit.TinyEN(t), 1, transcriber.Options{Language: "en"}},
		"tiny.en, beam of 3":     {testkit.TinyEN(t), 3, transcriber.Options{Language: "en"}},
		"base, English":          {testkit.Base(t), 1, transcriber.Options{Language: "en"}},
		"base, detected":         {testkit.Base(t), 1, transcriber.Options{Language: "auto"}},
		"base, after a sentence": {testkit.Base(t), 1, transcriber.Options{Language: "en", Prompt: "The president took the oath and began to speak."}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, tt.path, tt.beam).Transcribe(t.Context(), pcm, tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if errs, words := wer.Errors(jfk, got.Text); errs > 1 {
				t.Errorf("%d of %d words wrong: %s", errs, words, got.Text)
			}
			last, tokens := 0, 0
			for _, w := range got.Words {
				if w.Start < last || w.End <= w.Start || w.End > len(pcm) || w.Confidence <= 0 || w.Confidence > 1 || !w.Estimated {
					t.Errorf("word %+v after %d", w, last)
				}
				last, tokens = w.End, tokens+w.Tokens
				t.Logf("%5.2f-%5.2f %.2f %s", float64(w.Start)/16000, float64(w.End)/16000, w.Confidence, w.Text)
			}
			if got.Language != "en" || got.Confidence < 0.5 || len(got.Tokens) < len(got.Words) || tokens != len(got.Tokens) {
				t.Errorf("language %q, confidence %v, %d tokens, its words have %d", got.Language, got.Confidence, len(got.Tokens), tokens)
			}
		})
	}
}

// TestShortPhrase hears two words between pauses, which a small context makes unsure of.
func TestShortPhrase(t *testing.T) {
	pcm := testkit.PCM(t, "jfk.wav")[48640:74752]
	for name, path := range map[string]string{"tiny.en": testkit.TinyEN(t), "base": testkit.Base(t)} {
		got, err := open(t, path, 1).Transcribe(t.Context(), pcm, transcriber.Options{Language: "en", Prompt: "And so my fellow Americans."})
		if errs, _ := wer.Errors("ask not", got.Text); err != nil || errs > 0 {
			t.Errorf("%s: %q (%s, %.2f), %v", name, got.Text, got.Dropped, got.Confidence, err)
		}
	}
}

// TestEveryLength cuts speech at many lengths: the context rule must not make it loop.
func TestEveryLength(t *testing.T) {
	e := open(t, testkit.TinyEN(t), 1)
	pcm := testkit.PCM(t, "jfk.wav")
	for n := 8000; n <= len(pcm); n += 12000 {
		got, err := e.Transcribe(t.Context(), pcm[:n], transcriber.Options{Language: "en"})
		if err != nil {
			t.Fatal(err)
		}
		if words := wer.Words(got.Text); len(words) > 22 || got.Dropped == transcriber.DropRepetition {
			t.Errorf("%.2f s: %s (dropped %q)", float64(n)/16000, got.Text, got.Dropped)
		}
	}
}

// TestInHalves: what goes round in circles stands when the halves of the audio have it, too.
func TestInHalves(t *testing.T) {
	e, pcm := open(t, testkit.TinyEN(t), 1), testkit.PCM(t, "jfk.wav")
	const said = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
	heard := func(text string, p float64, pcm []float32) transcriber.Transcript {
		var words []transcriber.Word
		var ids []int32
		for i, w := range strings.Fields(text) {
			words, ids = append(words, transcriber.Word{Text: w, Start: i, End: i + 1, Tokens: 1}), append(ids, int32(len(w)))
		}
		got, err := e.InHalves(t.Context(), words, ids, p, pcm)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for text, p := range map[string]float64{strings.Repeat("It was the age of foolishness, ", 3): 0.9, "no no no no no": 0.9, said: 0.4} {
		got := heard(text, p, pcm)
		if wrong, _ := wer.Errors(said, got.Text); wrong > 3 || got.Alone != transcriber.AloneHalves {
			t.Errorf("%q, not said: %q (%q), dropped for %q", text, got.Text, got.Alone, got.Dropped)
		}
		last, tokens := 0, 0
		for _, w := range got.Words {
			if w.Start < last || w.End <= w.Start || w.End > len(pcm) {
				t.Errorf("%q: word %+v after %d", text, w, last)
			}
			last, tokens = w.End, tokens+w.Tokens
		}
		if tokens != len(got.Tokens) || last < len(pcm)/2 {
			t.Errorf("%q: words of %d tokens, the transcript has %d; the last ends at %d", text, tokens, len(got.Tokens), last)
		}
	}
	if got := heard(said, 0.9, pcm); got.Text != said || got.Alone != "" || len(got.Words) != 22 {
		t.Errorf("said: %q (%q)", got.Text, got.Alone)
	}
	if got := heard(said, 0.9, make([]float32, len(pcm))); got.Text != "" || got.Dropped != transcriber.DropRepetition {
		t.Errorf("silence: %q, dropped for %q", got.Text, got.Dropped)
	}
}

// TestForgets: a text must not depend on what the engine heard before; the library keeps
// the end of longer sounds in the filling of shorter ones.
func TestForgets(t *testing.T) {
	e, pcm := open(t, testkit.TinyEN(t), 1), testkit.PCM(t, "jfk.wav")
	hear := func(pcm []float32) transcriber.Transcript {
		got, err := e.Transcribe(t.Context(), pcm, transcriber.Options{Language: "en"})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := hear(pcm)
	hear(append(slices.Clone(pcm), pcm...))
	if again := hear(pcm); first.Text != again.Text || first.Confidence != again.Confidence {
		t.Errorf("%q (%v), after something longer %q (%v)", first.Text, first.Confidence, again.Text, again.Confidence)
	}
}

func TestNothingInvented(t *testing.T) {
	hum := make([]float32, 48000)
	for i := range hum {
		hum[i] = 0.2 * float32(math.Sin(2*math.Pi*50*float64(i)/16000))
	}
	for model, path := range map[string]string{"tiny.en": testkit.TinyEN(t), "base": testkit.Base(t)} {
		e := open(t, path, 1)
		for name, pcm := range map[string][]float32{
			"nothing": nil, "1": {0.5}, "200": testkit.Noise(200, 0.5), "201": testkit.Noise(201, 0.5),
			"silence": make([]float32, 80000), "white noise": testkit.Noise(80000, 0.3), "quiet noise": testkit.Noise(80000, 0.01), "hum": hum,
			"not a number": {0: float32(math.NaN()), 8000: float32(math.Inf(-1)), 16000: 0},
		} {
			got, err := e.Transcribe(t.Context(), pcm, transcriber.Options{Language: "en"})
			if err != nil {
				t.Errorf("%s, %s: %v", model, name, err)
			}
			if got.Text != "" || got.Dropped == "" {
				t.Errorf("%s, %s: text %q (%.2f), dropped for %q", model, name, got.Text, got.Confidence, got.Dropped)
			}
		}
	}
}

// TestAborts ends an inference in the middle and uses the engine again.
func TestAborts(t *testing.T) {
	e := open(t, testkit.TinyEN(t), 1)
	pcm := testkit.PCM(t, "jfk.wav")
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 40 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		if _, err := e.Transcribe(ctx, pcm, transcriber.Options{Language: "en"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %s: %v", after, err)
		}
		cancel()
	}
	got, err := e.Transcribe(t.Context(), pcm, transcriber.Options{Language: "en"})
	if errs, _ := wer.Errors(jfk, got.Text); err != nil || errs > 1 {
		t.Errorf("afterwards: %q, %v", got.Text, err)
	}
}

// TestCopiesWorkAtOnce: the binding's own call would end the process here.
func TestCopiesWorkAtOnce(t *testing.T) {
	pcm := testkit.PCM(t, "jfk.wav")[:48000]
	var wg sync.WaitGroup
	for range 3 {
		e := open(t, testkit.TinyEN(t), 1)
		wg.Go(func() {
			for range 3 {
				if got, err := e.Transcribe(t.Context(), pcm, transcriber.Options{Language: "en"}); err != nil || got.Text == "" {
					t.Errorf("%q, %v", got.Text, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestUnknownLanguage(t *testing.T) {
	e := open(t, testkit.Base(t), 1)
	if _, err := e.Transcribe(t.Context(), testkit.Noise(16000, 0.5), transcriber.Options{Language: "xx"}); err == nil || !strings.Contains(err.Error(), `"xx"`) {
		t.Errorf("got %v", err)
	}
}

// TestBadModels: cut files are refused before C reads them.
func TestBadModels(t *testing.T) {
	raw, err := os.ReadFile(testkit.TinyEN(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := range 50 {
		path := filepath.Join(dir, "cut.bin")
		if err := os.WriteFile(path, raw[:i*len(raw)/50], 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := whispercpp.New(whispercpp.Config{Path: path, Threads: 1, BeamSize: 1})
		if !errors.Is(err, ggml.ErrModel) || strings.Contains(err.Error(), "\n") {
			t.Errorf("cut at %d/50: %v", i, err)
		}
		if err == nil {
			_ = e.Close()
		}
	}
}

func TestFeatures(t *testing.T) {
	if len(whispercpp.Features()) == 0 || whispercpp.Version() == "" {
		t.Errorf("version %q, features %v", whispercpp.Version(), whispercpp.Features())
	}
	t.Log(whispercpp.Version(), whispercpp.Features())
}
