package transcriber_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// TestWithoutSounds: what models write for sounds that are no words, and what people say.
func TestWithoutSounds(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		found      bool
	}{
		{"", "", false},
		{"[BLANK_AUDIO]", "", true},
		{"(music)", "", true},
		{"*coughs*", "", true},
		{"♪", "", true},
		{"♪ la la la ♪", "", true},
		{"(soft music playing) Good morning. [door closes]", "Good morning.", true},
		{"Good (coughs) morning.", "Good morning.", true},
		{"*sighs loudly* Well.", "Well.", true},
		{"[music", "", true},
		{"And then (applause", "And then", true},
		{"Call (555) 0199.", "Call (555) 0199.", false},
		{"Call (0 30) 12 34.", "Call (0 30) 12 34.", false},
		{"[5] is a note.", "is a note.", true},
		{"ask not what your country can do for you", "ask not what your country can do for you", false},
		{"two * three", "two * three", false}, // an asterisk alone is never closed
		{"He said (as one does", "He said (as one does", false},
		{"Good morning (birds singing)", "Good morning", true},
		{"Good morning [birds", "Good morning", true},
	} {
		var words []transcriber.Word
		var ids []int64 // of each word its number, so often as it has tokens
		for i, text := range strings.Fields(tt.text) {
			w := transcriber.Word{Text: text, Start: i, Tokens: 1 + i%2}
			words, ids = append(words, w), append(ids, slices.Repeat([]int64{int64(i)}, w.Tokens)...)
		}
		kept, tokens, found := transcriber.WithoutSounds(words, ids)
		var texts []string
		var want []uint32
		for _, w := range kept {
			texts, want = append(texts, w.Text), append(want, slices.Repeat([]uint32{uint32(w.Start)}, w.Tokens)...)
		}
		if got := strings.Join(texts, " "); got != tt.want || found != tt.found || !slices.Equal(tokens, want) {
			t.Errorf("%q: %q of tokens %v, sounds %v; want %q of %v, %v", tt.text, got, tokens, found, tt.want, want, tt.found)
		}
	}
}
