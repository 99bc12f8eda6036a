package moonshine_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/services/stt/internal/bench"
	"github.com/rtap/rtap/services/stt/internal/moonshine"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

const (
	second = transcriber.SampleRateHz
	// maxContext is the most audio that a segment is decoded with, itself included.
	maxContext = 10 * second
)

// segment is the samples [from, to) of a recording and what was heard in them.
type segment struct {
	from, to int
	heard    transcriber.Transcript
}

// cut divides a recording at pauses of at least so many samples, each segment keeping 64 ms
// of the pause after it, and a quarter of a second before it as far as it is free.
func cut(pcm []float32, pause int) []segment {
	const window = second / 100
	var loud []bool
	var loudest float32
	level := make([]float32, 0, len(pcm)/window)
	for w := range slices.Chunk(pcm, window) {
		var sum float32
		for _, x := range w {
			sum += x * x
		}
		level = append(level, sum)
		loudest = max(loudest, sum)
	}
	for _, l := range level {
		loud = append(loud, l > loudest/1000)
	}
	var out []segment
	for i := 0; i < len(loud); i++ {
		if !loud[i] {
			continue
		}
		from, to := i*window, (i+1)*window
		if n := len(out); n > 0 && from-out[n-1].to < pause-second*64/1000 {
			out[n-1].to = min(len(pcm), to+second*64/1000)
			continue
		}
		free := 0
		if n := len(out); n > 0 {
			free = out[n-1].to
		}
		out = append(out, segment{from: max(free, from-second/4), to: min(len(pcm), to+second*64/1000)})
	}
	return slices.DeleteFunc(out, func(s segment) bool { return s.to-s.from < second*3/10 })
}

// transcribe decodes the segments one after the other as a live pipeline does.
func transcribe(t testing.TB, e *moonshine.Engine, pcm []float32, segments []segment, context bool) (text string, alone int) {
	t.Helper()
	var texts []string
	for i := range segments {
		s := &segments[i]
		var opts transcriber.Options
		if context {
			opts.Context = before(pcm, segments[:i], *s)
		}
		got, err := e.Transcribe(t.Context(), pcm[s.from:s.to], opts)
		if err != nil {
			t.Fatal(err)
		}
		if got.Alone != "" {
			alone++
		}
		s.heard = got
		texts = append(texts, got.Text)
	}
	return strings.Join(texts, " "), alone
}

// before is the context of s: as many whole segments as fit.
func before(pcm []float32, done []segment, s segment) *transcriber.Context {
	var c transcriber.Context
	from := s.from
	for _, p := range slices.Backward(done) {
		if s.to-p.from > maxContext {
			break
		}
		from, c.Tokens = p.from, append(slices.Clone(p.heard.Tokens), c.Tokens...)
	}
	c.PCM = pcm[from:s.from]
	return &c
}

// clips are the recordings at hand with their texts.
func clips(t testing.TB) []bench.Clip {
	t.Helper()
	out, err := bench.ReadClips(filepath.Dir(testkit.Audio(t, "jfk.wav")))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestContextAccuracy cuts recordings at pauses as short as the pipeline's hangover.
func TestContextAccuracy(t *testing.T) {
	e := open(t)
	errs, words, retried := map[bool]int{}, 0, 0
	for _, clip := range clips(t) {
		pcm := slices.Concat(clip.Pieces...)
		segments := cut(pcm, second*160/1000)
		for _, context := range []bool{false, true} {
			text, alone := transcribe(t, e, pcm, segments, context)
			n, of := wer.Errors(clip.Text, text)
			errs[context] += n
			if context {
				words, retried = words+of, retried+alone
			}
		}
	}
	t.Logf("of %d words wrong: %d alone, %d with context, %d segments decoded twice", words, errs[false], errs[true], retried)
	if errs[true] > errs[false]+max(1, words/100) {
		t.Error("context makes it worse")
	}
}

func TestContext(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	const pause = 7.6 * second // before "ask what you can do"
	first, err := e.Transcribe(t.Context(), pcm[:pause], transcriber.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &transcriber.Context{PCM: pcm[:pause], Tokens: first.Tokens}
	got, err := e.Transcribe(t.Context(), pcm[pause:], transcriber.Options{Context: c})
	if err != nil {
		t.Fatal(err)
	}
	if words := wer.Words(got.Text); strings.Join(words, " ") != "ask what you can do for your country" {
		t.Errorf("the rest is %q", got.Text)
	}
	if got.Alone != "" || got.Confidence < 0.5 || len(got.Tokens) == 0 || len(got.Tokens) > 12 {
		t.Errorf("alone %q, confidence %.2f, tokens %v", got.Alone, got.Confidence, got.Tokens)
	}
	if strings.ContainsAny(got.Text[:1], ".,?!;: ") {
		t.Errorf("it begins with punctuation: %q", got.Text)
	}
	last := 0
	for _, w := range got.Words {
		if w.Start < last || w.End <= w.Start || w.End > len(pcm)-pause {
			t.Errorf("word %+v after %d", w, last)
		}
		last = w.End
	}
}

func TestContextThatDoesNotFit(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	const pause = 7.6 * second
	alone, err := e.Transcribe(t.Context(), pcm[pause:], transcriber.Options{})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := e.Transcribe(t.Context(), pcm, transcriber.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		context transcriber.Context
		why     string
	}{
		"all has been said": {transcriber.Context{PCM: pcm[:pause], Tokens: whole.Tokens}, "empty"},
		"no audio":          {transcriber.Context{Tokens: whole.Tokens}, ""},
		"only a full stop":  {transcriber.Context{PCM: pcm[:pause], Tokens: whole.Tokens[len(whole.Tokens)-1:]}, ""},
		"no such token":     {transcriber.Context{PCM: pcm[:pause], Tokens: []uint32{1 << 31}}, ""},
		"a control token":   {transcriber.Context{PCM: pcm[:pause], Tokens: []uint32{2}}, ""},
		"too much audio":    {transcriber.Context{PCM: make([]float32, 30*second), Tokens: whole.Tokens}, ""},
		"too many tokens":   {transcriber.Context{PCM: pcm[:pause], Tokens: make([]uint32, 1000)}, ""},
	} {
		got, err := e.Transcribe(t.Context(), pcm[pause:], transcriber.Options{Context: &tt.context})
		if err != nil || got.Text != alone.Text || got.Alone != tt.why {
			t.Errorf("%s: %q (alone %q), %v; want %q (alone %q)", name, got.Text, got.Alone, err, alone.Text, tt.why)
		}
	}
	// What came out empty before is heard with what follows it.
	got, err := e.Transcribe(t.Context(), pcm[pause:], transcriber.Options{Context: &transcriber.Context{PCM: pcm[:pause]}})
	if errs, _ := wer.Errors(whole.Text, got.Text); err != nil || errs > 0 || got.Alone != "" {
		t.Errorf("nothing heard before: %q, %v; want %q", got.Text, err, whole.Text)
	}
	got, err = e.Transcribe(t.Context(), make([]float32, second), transcriber.Options{Context: &transcriber.Context{PCM: pcm, Tokens: whole.Tokens}})
	if err != nil || got.Text != "" || got.Dropped != transcriber.DropSilence {
		t.Errorf("silence after speech: %+v, %v", got, err)
	}
}

// TestTwoShortWords: of two words with a pause between them the first gives no text alone; both are heard with the
// second, wherever the cuts are.
func TestTwoShortWords(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	const ask, not, end = 48640, 60928, 70144
	wrong, all := 0, 0
	for shift := 0; shift < 512; shift += 32 {
		got := hear(t, e, pcm[shift+not:shift+end], transcriber.Options{Context: &transcriber.Context{PCM: pcm[shift+ask : shift+not]}})
		w, n := wer.Errors("ask not", got.Text)
		if wrong, all = wrong+w, all+n; len(wer.Words(got.Text)) < 2 {
			t.Errorf("%d samples later: %q, dropped for %q", shift, got.Text, got.Dropped)
		}
	}
	if 3*wrong > 2*all { // this model mostly hears "As not."
		t.Errorf("%d of %d words wrong", wrong, all)
	}
}
