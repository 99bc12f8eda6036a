package moonshine

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rtap/rtap/pkg/native"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

const (
	wordStart = "▁"
	// leading is the punctuation that a text with context may begin with: it belongs to
	// the sentence before.
	leading = ".,;:?!…-–— "
)

func loadVocabulary() ([]string, error) {
	path, err := native.Locate(Name + "/vocabulary")
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the vocabulary: %w", err)
	}
	return strings.Split(string(raw), "\n"), nil
}

// piece returns a token's bytes; "" for control tokens.
func piece(vocabulary []string, id int64) string {
	if id <= eos || id >= int64(len(vocabulary)) {
		return ""
	}
	p := vocabulary[id]
	if hex, ok := strings.CutPrefix(p, "<0x"); ok && len(hex) == 3 && hex[2] == '>' {
		if b, err := strconv.ParseUint(hex[:2], 16, 8); err == nil {
			return string([]byte{byte(b)})
		}
	}
	return p
}

// spelled returns the words of tokens in lower case, without marks.
func (e *Engine) spelled(ids []int64) []string {
	var text strings.Builder
	for _, id := range ids {
		text.WriteString(strings.ReplaceAll(piece(e.vocabulary, id), wordStart, " "))
	}
	return wer.Words(text.String())
}

// words joins tokens to words and spreads them over the voiced parts of the audio by their
// length: Moonshine gives no alignment. Punctuation before the first word is left out; its
// tokens are counted with that word's.
func words(vocabulary []string, h heard, audio []float32) []transcriber.Word {
	type group struct {
		text  []byte
		probs []float64
	}
	var groups []group
	for i, id := range h.ids {
		p := piece(vocabulary, id)
		if rest, starts := strings.CutPrefix(p, wordStart); starts || len(groups) == 0 {
			groups = append(groups, group{})
			p = rest
		}
		g := &groups[len(groups)-1]
		g.text = append(g.text, strings.ReplaceAll(p, wordStart, " ")...)
		g.probs = append(g.probs, h.probs[i])
	}
	var out []transcriber.Word
	unplaced := 0
	for _, g := range groups {
		text := strings.TrimSpace(string(bytes.ToValidUTF8(g.text, nil)))
		if len(out) == 0 {
			text = strings.TrimLeft(text, leading)
		}
		switch n := len(g.probs); {
		case text != "":
			out = append(out, transcriber.Word{Text: text, Confidence: transcriber.GeometricMean(g.probs), Estimated: true, Tokens: unplaced + n})
			unplaced = 0
		case len(out) > 0:
			out[len(out)-1].Tokens += n
		default:
			unplaced += n
		}
	}
	spread(out, audio)
	return out
}
