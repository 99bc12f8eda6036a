// Package clips reads folders of recordings whose texts are known, for measurements.
package clips

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rtap/rtap/pkg/wav"
	"github.com/rtap/rtap/pkg/wer"
)

// SampleRateHz of every clip.
const SampleRateHz = 16000

// Clip is a recording and what is said in it.
type Clip struct {
	Name, Text string
	PCM        []float32 // mono, in -1 to 1
}

const manifestName = "manifest.json"

// known texts of recordings that `make deps` brings, which come without.
var known = map[string]string{
	"jfk.wav": "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
}

// Read reads a folder of recordings: those that its manifest.json lists, as
// [{"file": …, "text": …}], or every x.wav with its text in x.txt.
func Read(dir string) ([]Clip, error) {
	texts, err := listed(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		texts, err = paired(dir)
	}
	if err != nil {
		return nil, err
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("%s holds no recordings: want x.wav with its text in x.txt, or a %s", dir, manifestName)
	}
	for i := range texts {
		c := &texts[i]
		if len(wer.Words(c.Text)) == 0 {
			return nil, fmt.Errorf("%s in %s has no text to compare with", c.Name, dir)
		}
		a, err := wav.Read(filepath.Join(dir, c.Name))
		if err != nil {
			return nil, err
		}
		if len(a.PCM) == 0 {
			return nil, fmt.Errorf("%s in %s has no audio", c.Name, dir)
		}
		c.PCM = Resample(a)
	}
	return texts, nil
}

func listed(path string) ([]Clip, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the list of recordings: %w", err)
	}
	var entries []struct{ File, Text string }
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out []Clip
	for i, e := range entries {
		if !filepath.IsLocal(e.File) {
			return nil, fmt.Errorf("%s: file of entry %d: want a name within the folder, not %q", path, i+1, e.File)
		}
		out = append(out, Clip{Name: e.File, Text: e.Text})
	}
	return out, nil
}

func paired(dir string) ([]Clip, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.wav"))
	if err != nil {
		return nil, fmt.Errorf("looking through %s: %w", dir, err)
	}
	var out []Clip
	for _, path := range paths {
		name := filepath.Base(path)
		beside := strings.TrimSuffix(path, ".wav") + ".txt"
		text, err := os.ReadFile(beside)
		if errors.Is(err, fs.ErrNotExist) && known[name] != "" {
			text, err = []byte(known[name]), nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading what is said in %s: %w", name, err)
		}
		out = append(out, Clip{Name: name, Text: string(text)})
	}
	return out, nil
}
