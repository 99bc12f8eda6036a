package moonshine

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rtap/rtap/pkg/native"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

const wordStart = "▁"

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

// words joins tokens to words and spreads them over the voiced part of the audio by
// their length: Moonshine gives no alignment.
func words(vocabulary []string, ids []int64, probs []float64, audio []float32) []transcriber.Word {
	type group struct {
		text  []byte
		probs []float64
	}
	var groups []group
	for i, id := range ids {
		p := piece(vocabulary, id)
		if p == "" {
			continue
		}
		if rest, starts := strings.CutPrefix(p, wordStart); starts || len(groups) == 0 {
			groups = append(groups, group{})
			p = rest
		}
		g := &groups[len(groups)-1]
		g.text = append(g.text, strings.ReplaceAll(p, wordStart, " ")...)
		g.probs = append(g.probs, probs[i])
	}
	var out []transcriber.Word
	letters := 0
	for _, g := range groups {
		text := strings.TrimSpace(string(bytes.ToValidUTF8(g.text, nil)))
		if text == "" {
			continue
		}
		out = append(out, transcriber.Word{Text: text, Confidence: transcriber.GeometricMean(g.probs), Estimated: true})
		letters += utf8.RuneCountInString(text) + 1
	}
	from, to := voiced(audio)
	at := 0
	for i := range out {
		out[i].Start = from + (to-from)*at/letters
		at += utf8.RuneCountInString(out[i].Text) + 1
		out[i].End = from + (to-from)*at/letters
	}
	return out
}

// voiced returns the extent of the audio that is within 30 dB of its loudest 20 ms.
func voiced(audio []float32) (from, to int) {
	const window = transcriber.SampleRateHz / 50
	var energies []float64
	loudest := 0.0
	for i := 0; i < len(audio); i += window {
		var sum float64
		for _, x := range audio[i:min(len(audio), i+window)] {
			sum += float64(x) * float64(x)
		}
		energies = append(energies, sum)
		loudest = max(loudest, sum)
	}
	from, to = 0, len(audio)
	for i, e := range energies {
		if e > loudest/1000 {
			from = i * window
			break
		}
	}
	for i := len(energies) - 1; i >= 0; i-- {
		if energies[i] > loudest/1000 {
			to = min(len(audio), (i+1)*window)
			break
		}
	}
	return from, to
}
