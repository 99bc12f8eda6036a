package moonshine_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/services/stt/internal/moonshine"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// TestGoesOnFromADraft decodes a recording after a draft of its beginning.
func TestGoesOnFromADraft(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	want := hear(t, e, pcm, transcriber.Options{Stream: "none"})
	for _, seconds := range []float64{4, 7.1, 10.3} {
		draft := pcm[:int(seconds*second)]
		if got := e.GoesOn("a", pcm); got != 0 {
			t.Errorf("%d samples of a draft that is not there", got)
		}
		hear(t, e, draft, transcriber.Options{Stream: "a", Draft: true})
		if got := e.GoesOn("a", pcm); got < len(draft)-2*second-384 || got > len(draft)-2*second {
			t.Errorf("%d samples are taken from a draft of %d", got, len(draft))
		}
		got := hear(t, e, pcm, transcriber.Options{Stream: "a"})
		if errs, words := wer.Errors(want.Text, got.Text); errs > 1 {
			t.Errorf("%v s: %d of %d words differ: %q, want %q", seconds, errs, words, got.Text, want.Text)
		}
		// Without the first second, which was context that is too old by now.
		if from := e.GoesOn("a", pcm[second:]); from != 0 && from > len(draft)-3*second {
			t.Errorf("%d samples are taken from the rest of a draft of %d", from, len(draft))
		}
		other := slices.Clone(pcm)
		other[second] += 0.01
		if got := e.GoesOn("a", other); got != 0 {
			t.Errorf("%d samples are taken from a draft of other audio", got)
		}
		if got := e.GoesOn("b", pcm); got != 0 {
			t.Errorf("%d samples are taken from another stream's draft", got)
		}
		hear(t, e, pcm[:second/2], transcriber.Options{Stream: "a", Draft: true}) // too short to go on from
	}
}

// TestExpectedText compares a text of which every token was expected with one that was not.
func TestExpectedText(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	for _, to := range []int{5 * second, 8 * second, len(pcm)} {
		want := hear(t, e, pcm[:to], transcriber.Options{})
		hear(t, e, pcm[:to], transcriber.Options{Stream: "x", Draft: true})
		got := hear(t, e, pcm[:to], transcriber.Options{Stream: "x"})
		if errs, _ := wer.Errors(want.Text, got.Text); errs > 0 || got.Confidence < want.Confidence-0.1 {
			t.Errorf("%q (%.2f), want %q (%.2f)", got.Text, got.Confidence, want.Text, want.Confidence)
		}
	}
}

// TestAccuracyAfterDrafts decodes as the pipeline does: what will be final comes after a draft
// of the same segment, 600 ms shorter.
func TestAccuracyAfterDrafts(t *testing.T) {
	e := open(t)
	const lag = second * 6 / 10
	errs, words, taken, all := map[bool]int{}, 0, 0, 0
	for i, clip := range clips(t) {
		pcm := slices.Concat(clip.Pieces...)
		segments := cut(pcm, second*160/1000)
		for _, drafts := range []bool{false, true} {
			var texts []string
			for j := range segments {
				s := &segments[j]
				opts := transcriber.Options{Context: before(pcm, segments[:j], *s)}
				if drafts && s.to-s.from > 2*lag {
					opts.Stream, opts.Draft = fmt.Sprint("clip-", i), true
					hear(t, e, pcm[s.from:s.to-lag], opts)
					opts.Draft = false
					taken += e.GoesOn(opts.Stream, pcm[s.from-len(opts.Context.PCM):s.to])
				}
				all += len(opts.Context.PCM) + s.to - s.from
				s.heard = hear(t, e, pcm[s.from:s.to], opts)
				texts = append(texts, s.heard.Text)
			}
			n, of := wer.Errors(clip.Text, strings.Join(texts, " "))
			errs[drafts] += n
			words += of
		}
	}
	t.Logf("of %d words wrong: %d encoded anew, %d after drafts, of which %d %% of the audio is taken", words/2, errs[false], errs[true], 200*taken/all)
	if errs[true] > errs[false]+max(1, words/2/60) {
		t.Error("going on from drafts makes it worse")
	}
	if taken == 0 {
		t.Error("nothing was taken from drafts")
	}
}

// TestManyStreams lets two copies take from drafts that the other replaces.
func TestManyStreams(t *testing.T) {
	a, b := open(t), open(t)
	pcm := testkit.PCM(t, "jfk.wav")[:7*second/2]
	var wg sync.WaitGroup
	for n, e := range []*moonshine.Engine{a, b} {
		wg.Go(func() {
			for i := range 8 {
				for _, draft := range []bool{true, false} {
					if _, err := e.Transcribe(t.Context(), pcm, transcriber.Options{Stream: fmt.Sprint("s", (i+n)%3), Draft: draft}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := moonshine.Pasts(); n != 3 {
		t.Errorf("%d streams' drafts are kept", n)
	}
}
