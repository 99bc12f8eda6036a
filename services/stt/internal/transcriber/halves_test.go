package transcriber_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
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
	heard := func(text, language string, end float64) transcriber.Transcript {
		h := transcriber.Transcript{Text: text, Language: language, Confidence: 0.8, SentenceEnd: end}
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
		got, err := transcriber.InHalves(heard(tt.whole, "la", 0.3), audio, func(half []float32) (transcriber.Transcript, bool, error) {
			halves = append(halves, len(half))
			if len(halves) == 1 {
				return heard(tt.first, "en", 0.1), transcriber.Loops(strings.Fields(tt.first)), nil
			}
			return heard(tt.second, "de", 0.2), transcriber.Loops(strings.Fields(tt.second)), nil
		})
		if err != nil || got.Text != tt.want || got.Dropped != tt.dropped || len(got.Words) != len(got.Tokens) || len(got.Words) != len(strings.Fields(tt.want)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		language, end := "la", 0.3
		switch {
		case got.Alone == transcriber.AloneHalves:
			language, end = "en", 0.2
			if transcriber.Loops(strings.Fields(tt.first)) || tt.first == "" {
				language = "de"
			}
			if transcriber.Loops(strings.Fields(tt.second)) {
				end = -1
			}
		case got.Text == "":
			end = -1
		}
		if got.Language != language || got.SentenceEnd != end {
			t.Errorf("%s: language %q, sentence end %.1f; want %q, %.1f", name, got.Language, got.SentenceEnd, language, end)
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
	for failing := 1; failing <= 2; failing++ {
		calls := 0
		if _, err := transcriber.InHalves(heard(round, "en", -1), audio, func([]float32) (transcriber.Transcript, bool, error) {
			if calls++; calls == failing {
				return transcriber.Transcript{}, false, broken
			}
			return heard("ask", "en", -1), false, nil
		}); !errors.Is(err, broken) {
			t.Errorf("half %d fails: %v", failing, err)
		}
	}
}

// TestAnInterimHeardWithoutWhatWasForced: what is committed stays, and what other words were made of is not forced
// in its place the next time.
func TestAnInterimHeardWithoutWhatWasForced(t *testing.T) {
	for name, tt := range map[string]struct {
		text, alone, hypothesis string
		tokens                  uint32
	}{
		"it goes on":             {"one two three", "", "one two three", 3},
		"other words, forced":    {"One too three", "", "one two three", 3}, // its marks may change
		"heard alone, the same":  {"One, two three", "repetition", "one two three", 3},
		"heard alone, other":     {"three four", "repetition", "one two", 0},
		"heard alone, and empty": {"", "empty", "one two", 0},
	} {
		b, _ := work(t, settings(t), &engine{prefixed: true, transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
			h := transcriber.Transcript{Text: tt.text, Alone: tt.alone}
			for i, w := range strings.Fields(tt.text) {
				h.Words, h.Tokens = append(h.Words, transcriber.Word{Text: w, Tokens: 1 + i%2}), append(h.Tokens, 1, 2)
			}
			return h, nil
		}})
		results, stop, err := b.DraftResults("s")
		if err != nil {
			t.Fatal(err)
		}
		d := draftOf(rtapv1.DraftJob_KIND_INTERIM)
		d.Committed, d.CommittedTokens, d.Model = "one two", []uint32{7, 8, 9}, "fake"
		if err := b.PublishDraft(d); err != nil {
			t.Fatal(err)
		}
		r := await(t, results, rtapv1.DraftResult_STATE_DONE)
		stop()
		if r.GetCommitted() != "one two" || r.GetHypothesis() != tt.hypothesis || r.GetCommittedTokens() != tt.tokens {
			t.Errorf("%s: committed %q of %q, %d tokens; want %q, %d", name, r.GetCommitted(), r.GetHypothesis(), r.GetCommittedTokens(), tt.hypothesis, tt.tokens)
		}
	}
}
