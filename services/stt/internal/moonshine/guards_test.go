package moonshine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/synth"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// inHalves is what is heard in each half of jfk.wav.
const inHalves = "And so my fellow Americans. Ask not what your country can do for you, ask what you can do for your country."

const foolishness = "It was the age of foolishness, it was the age of foolishness, it was the age of foolishness,"

// TestTextsThatAreDropped: what the decoder may write that nobody has said, and what people say.
func TestTextsThatAreDropped(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	for _, tt := range []struct {
		text, want, dropped string
	}{
		{"[Music]", "", transcriber.DropSound},
		{"(keyboard clicking)", "", transcriber.DropSound},
		{"*sighs*", "", transcriber.DropSound},
		{"♪ La la la ♪", "", transcriber.DropSound},
		{"...", "", transcriber.DropSilence},
		{"- -", "", transcriber.DropSilence},
		{"(coughs) Good morning.", "Good morning.", ""},
		{"Good morning. [door closes]", "Good morning.", ""},
		{"Call (555) 0199.", "Call (555) 0199.", ""},
		// What goes round in circles gives way to what is heard in the halves.
		{"no no no no no", inHalves, ""},
		{foolishness, inHalves, ""},
		{"And so it was. " + foolishness + " it was the age", inHalves, ""},
		{"No, no, no.", "No, no, no.", ""},
		{"It was the age of foolishness, it was the age of foolishness.", "It was the age of foolishness, it was the age of foolishness.", ""},
		{bestOfTimes, bestOfTimes, ""},
		{jfk, jfk, ""},
	} {
		got, err := e.Judge(t.Context(), tt.text, 0.9, pcm)
		if err != nil {
			t.Fatal(err)
		}
		if got.Text != tt.want || got.Dropped != tt.dropped {
			t.Errorf("%q: %q, dropped for %q; want %q, %q", tt.text, got.Text, got.Dropped, tt.want, tt.dropped)
		}
		tokens := 0
		for _, w := range got.Words {
			tokens += w.Tokens
		}
		if tokens != len(got.Tokens) {
			t.Errorf("%q: words of %d tokens, the transcript has %d", tt.text, tokens, len(got.Tokens))
		}
	}
}

// TestALoopInNoise: what goes round in circles is dropped where the halves have nothing.
func TestALoopInNoise(t *testing.T) {
	e := open(t)
	for _, text := range []string{"no no no no no", foolishness} {
		got, err := e.Judge(t.Context(), text, 0.9, synth.Sound("fan", 6*second, 0.1, 1))
		if err != nil || got.Text != "" || got.Dropped != transcriber.DropRepetition {
			t.Errorf("%q: %q, dropped for %q, %v", text, got.Text, got.Dropped, err)
		}
	}
}

// TestSaidThreeTimes: who says a phrase again and again is not taken for a decoder that has lost its place.
func TestSaidThreeTimes(t *testing.T) {
	e := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	for phrase, span := range map[string][2]float64{
		"Ask what you can do for your country. ": {8.0, 10.6}, "What your country can do for you. ": {5.2, 7.6},
	} {
		for times := 2; times <= 4; times++ {
			said := slices.Repeat(pcm[int(span[0]*second):int(span[1]*second)], times)
			got := hear(t, e, said, transcriber.Options{})
			if wrong, words := wer.Errors(strings.Repeat(phrase, times), got.Text); wrong > words/8 {
				t.Errorf("%q, %d times: %q, dropped for %q", phrase, times, got.Text, got.Dropped)
			}
		}
	}
}

// TestDenseSpeechIsHeard: of speech that says the same again and again without a pause the decoder loses its place;
// what was said is heard all the same.
func TestDenseSpeechIsHeard(t *testing.T) {
	e := open(t)
	pcm := slices.Repeat(testkit.Breathless(testkit.PCM(t, "jfk.wav")), 4)
	for from := 1.24; from < 2; from += 0.31 {
		for length := 12; length <= 15; length++ {
			got := hear(t, e, pcm[int(from*second):int(from*second)+length*second], transcriber.Options{})
			words := wer.Words(got.Text)
			others := len(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return slices.Contains(wer.Words(jfk), w) }))
			if n := len(words); n < 2*length || n > 5*length || 2*others > n {
				t.Errorf("%d s from %.2f s: %q (%s), %d words of others, dropped for %q", length, from, got.Text, got.Alone, others, got.Dropped)
			}
		}
	}
}

// bestOfTimes repeats itself as much as speech does.
const bestOfTimes = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, " +
	"it was the epoch of belief, it was the epoch of incredulity, it was the season of light, it was the season of darkness, " +
	"it was the spring of hope, it was the winter of despair."

// TestNoTextForNoise hears every kind of sound at several levels and lengths, alone and as
// the continuation of speech and of a sound; for hours of it there is `rtap bench engines --noise`.
func TestNoTextForNoise(t *testing.T) {
	e, seed := open(t), uint64(0)
	pcm := testkit.PCM(t, "jfk.wav")
	const pause = 7.6 * second
	said := &transcriber.Context{PCM: pcm[3*second : pause], Tokens: hear(t, e, pcm[3*second:pause], transcriber.Options{}).Tokens}
	for _, kind := range synth.Kinds() {
		for _, peak := range []float64{0.02, 0.1, 0.5} {
			seed++
			n := (1 + int(seed*3%6)) * second
			sound := synth.Sound(kind, n, peak, seed)
			unheard := &transcriber.Context{PCM: synth.Sound(kind, second, peak, seed+1000)}
			for name, c := range map[string]*transcriber.Context{"alone": nil, "after speech": said, "after a sound": unheard} {
				got := hear(t, e, sound, transcriber.Options{Context: c})
				if got.Text != "" || got.Dropped == "" {
					t.Errorf("%d s of %s %s, peak %.2f, seed %d: text %q (%.2f), dropped for %q", n/second, kind, name, peak, seed, got.Text, got.Confidence, got.Dropped)
				}
			}
		}
	}
}
