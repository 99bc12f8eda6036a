package moonshine

import (
	"strings"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// maxPrefix is the most tokens of context; ten seconds of speech have about 40.
const maxPrefix = 200

// prefix returns the tokens to force for a segment of so many samples, or nil when there is
// no context, or none that the model can take. Where the segments before came out empty
// there are no tokens: a word between two pauses is often heard only with what follows it,
// so their audio is heard again with this one's.
func (e *Engine) prefix(c *transcriber.Context, samples int) []int64 {
	if c == nil || len(c.PCM) == 0 || len(c.PCM)+samples > maxSamples || len(c.Tokens) > maxPrefix {
		return nil
	}
	if len(c.Tokens) == 0 {
		return []int64{bos}
	}
	ids := append([]int64{bos}, known(c.Tokens)...)
	for len(ids) > 1 && e.endsSentence(ids[len(ids)-1]) {
		ids = ids[:len(ids)-1]
	}
	if len(ids) == 1 {
		return nil
	}
	return ids
}

// forced returns the tokens that a text begins with, or nil when there are none, or none
// that the model can take in a text of at most limit tokens.
func (e *Engine) forced(tokens []uint32, limit int) []int64 {
	if len(tokens) >= limit {
		return nil
	}
	return known(tokens)
}

// known returns tokens as the model takes them; nil when it has no such text tokens.
func known(tokens []uint32) []int64 {
	var ids []int64
	for _, token := range tokens {
		id := int64(token)
		if id <= eos || id >= vocabularySize {
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}

// endsSentence says whether a token is a mark that the model sets wherever audio ends,
// whether the sentence does or not.
func (e *Engine) endsSentence(id int64) bool {
	switch strings.TrimPrefix(piece(e.vocabulary, id), wordStart) {
	case ".", "?", "!":
		return true
	}
	return false
}
