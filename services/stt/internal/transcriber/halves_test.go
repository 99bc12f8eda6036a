package transcriber_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// TestInHalves: what people say again and again stands, what a decoder makes up gives way to what is heard in the halves.
func TestInHalves(t *testing.T) {
	const round, going = "ask what you can do ask what you can do ask what you can do", "no no no no no"
	audio := make([]float32, 16000)
	for i := range audio {
		if audio[i] = 0.5; i > 9000 && i < 11000 {
			audio[i] = 0.01 // the stillest tenth of a second of the middle half
		}
	}
	heard := func(text string) transcriber.Transcript {
		h := transcriber.Transcript{Text: text, Language: "en", Confidence: 0.8, SentenceEnd: -1}
		for i, w := range strings.Fields(text) {
			h.Words, h.Tokens = append(h.Words, transcriber.Word{Text: w, Start: i, End: i + 1, Tokens: 1}), append(h.Tokens, uint32(i))
		}
		return h
	}
	for name, tt := range map[string]struct{ whole, first, second, want, dropped string }{
		"the halves have the same":      {round, "ask what you can do ask what you", "can do ask what you can do", round, ""},
		"and go round in circles":       {strings.Repeat("no ", 12), going, going + " no", strings.Repeat("no ", 12), ""},
		"the halves are something else": {round, "ask not", "what we can do", "ask not what we can do", ""},
		"the decoder was stopped":       {"", "ask not", "what we can do", "ask not what we can do", ""},
		"one half goes round, too":      {round, "ask not", going, "ask not", ""},
		"the other one does":            {round, going, "ask not", "ask not", ""},
		"there is nothing in a half":    {round, "", "ask not", "ask not", ""},
		"both go round":                 {round, going, going, "", transcriber.DropRepetition},
		"there is nothing":              {round, "", "", "", transcriber.DropRepetition},
	} {
		var halves []int
		got, err := transcriber.InHalves(heard(tt.whole), audio, func(half []float32) (transcriber.Transcript, bool, error) {
			halves = append(halves, len(half))
			text := [...]string{tt.first, tt.second}[len(halves)-1]
			return heard(text), text != "" && transcriber.Loops(strings.Fields(text)), nil
		})
		if err != nil || got.Text != tt.want || got.Dropped != tt.dropped || len(got.Words) != len(got.Tokens) || len(got.Words) != len(strings.Fields(tt.want)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if alone := tt.want != "" && tt.want != tt.whole; alone != (got.Alone == transcriber.AloneHalves) || alone && (got.Confidence < 0.79 || got.Confidence > 0.81) {
			t.Errorf("%s: heard in halves: %q, %.2f", name, got.Alone, got.Confidence)
		}
		if len(halves) != 2 || halves[0]+halves[1] != len(audio) || halves[0] < 9500 || halves[0] > 10500 {
			t.Errorf("%s: halves of %d samples", name, halves)
		}
		for i, w := range got.Words {
			if got.Alone != "" && i > 0 && w.Start < got.Words[i-1].End {
				t.Errorf("%s: %q begins at %d within the word before", name, w.Text, w.Start)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := transcriber.InHalves(heard(round), audio, func([]float32) (transcriber.Transcript, bool, error) {
		return transcriber.Transcript{}, false, broken
	}); !errors.Is(err, broken) {
		t.Error(err)
	}
}
