package ctranslate2

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// baseVocabulary is the number of entries before the special tokens, which whisper.cpp
// makes itself.
const baseVocabulary = 50257

// readVocabulary reads vocabulary.json, vocabulary.txt or tokenizer.json and returns the
// base entries as bytes.
func readVocabulary(dir string, want int) ([][]byte, error) {
	for _, form := range []struct {
		name string
		read func([]byte) ([]string, error)
	}{{"vocabulary.json", fromList}, {"vocabulary.txt", fromLines}, {"tokenizer.json", fromTokenizer}} {
		path := filepath.Join(dir, form.name)
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrModel, err)
		}
		entries, err := form.read(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", path, ErrModel, err)
		}
		if len(entries) < baseVocabulary || len(entries) > want {
			return nil, fmt.Errorf("%s: %w: it has %d entries, the model wants %d to %d", path, ErrModel, len(entries), baseVocabulary, want)
		}
		return bytesOfEntries(entries[:baseVocabulary]), nil
	}
	return nil, fmt.Errorf("%s: %w: it has none of vocabulary.json, vocabulary.txt, tokenizer.json", dir, ErrModel)
}

func fromList(raw []byte) (out []string, err error) { return out, json.Unmarshal(raw, &out) }

func fromLines(raw []byte) ([]string, error) {
	return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n"), nil
}

func fromTokenizer(raw []byte) ([]string, error) {
	var t struct {
		Model struct{ Vocab map[string]int }
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, err
	}
	out := make([]string, len(t.Model.Vocab))
	for entry, id := range t.Model.Vocab {
		if id < 0 || id >= len(out) {
			return nil, fmt.Errorf("entry %q has the number %d of %d", entry, id, len(out))
		}
		out[id] = entry
	}
	return out, nil
}

// bytesOfEntries undoes GPT-2's way of writing bytes as printable characters.
func bytesOfEntries(entries []string) [][]byte {
	back := map[rune]byte{}
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if printable := r >= '!' && r <= '~' || r >= '¡' && r <= '¬' || r >= '®'; !printable {
			r, next = next, next+1
		}
		back[r] = byte(b)
	}
	out := make([][]byte, len(entries))
	for i, entry := range entries {
		for _, r := range entry {
			if b, ok := back[r]; ok {
				out[i] = append(out[i], b)
			} else {
				out[i] = append(out[i], string(r)...) // a special token
			}
		}
	}
	return out
}
