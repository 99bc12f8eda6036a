package transcriber_test

import (
	"strings"
	"testing"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// TestLoops: what decoders wrote when they had lost their place, and what people say.
func TestLoops(t *testing.T) {
	for _, tt := range []struct {
		text string
		want bool
	}{
		{"", false},
		{"no no no", false},
		{"no no no no", true},
		{"beep beep beep beep beep beep", true},
		{"I said I would go and so I said I would go and so I said I would go and so", true},
		{"it was the best of times it was the worst of times it was the age of wisdom it was the age of foolishness it was the epoch of belief " +
			"it was the age of wisdom it was the age of foolishness it was the age of foolishness it was the age of the age of foolishness " +
			"it was the age of foolishness it was the age of foolishness it was the age of the age of foolishness it was the age of foolishness", true},
		{"it was the best of times it was the worst of times it was the age of wisdom it was the age of foolishness it was the epoch of belief " +
			"it was the epoch of incredulity it was the season of light it was the season of darkness it was the spring of hope it was the winter of despair", false},
		{"ask not what your country can do for you ask what you can do for your country", false},
		{"I have a dream that one day this nation will rise up I have a dream that one day on the red hills of Georgia I have a dream that one day " +
			"even the state of Mississippi I have a dream that my four little children I have a dream today", false},
		{"row row row your boat gently down the stream merrily merrily merrily merrily life is but a dream", false},
		{"we shall fight on the beaches we shall fight on the landing grounds we shall fight in the fields and in the streets we shall fight in the hills", false},
	} {
		if got := transcriber.Loops(strings.Fields(tt.text)); got != tt.want {
			t.Errorf("Loops(%q) = %v", tt.text, got)
		}
	}
}

// TestBeginsAgain: a decoder that was told what came before, and says it again.
func TestBeginsAgain(t *testing.T) {
	for _, tt := range []struct {
		before, text string
		want         bool
	}{
		{"", "", false},
		{"in short", "the period was so far like the present period", false},
		{"in short", "the period was so far like the present period in short the period was so far like the present period", true},
		{"we were all going direct the other way in short", "the period was so far like the present period the period was so far like the present period", true},
		{"it was the best of times", "it was the best of times", true},
		{"it was the best of times", "it was the worst of times", false},
		{"no no", "no no", false},
		{"", "ask not what your country can do for you", false},
		{"again and again and again", "and again", false}, // four times over is another guard's
	} {
		if got := transcriber.BeginsAgain(strings.Fields(tt.before), strings.Fields(tt.text)); got != tt.want {
			t.Errorf("after %q, %q: %v", tt.before, tt.text, got)
		}
	}
}
