package material

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rtap/rtap/pkg/clips"
	"github.com/rtap/rtap/pkg/wav"
)

// Clip is a recording whose speech is known.
type Clip struct {
	Name string
	Text string // "" when nobody has written it down
	PCM  []float32
	// Speech in samples, in order, apart from each other.
	Speech []Interval
	Hand   bool    // labelled by hand, not by the rule
	floor  float64 // level of its noise, dB
}

// Read reads the recordings of a folder with their texts. A recording x.wav with an x.csv
// beside it has its speech from there, another one by the rule.
func Read(dir string) ([]Clip, error) {
	found, err := clips.Read(dir)
	if err != nil {
		return nil, err
	}
	var out []Clip
	for _, f := range found {
		c, err := label(dir, Clip{Name: f.Name, Text: f.Text, PCM: f.PCM})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// ReadLabelled reads the recordings x.wav of a folder that have hand-made labels x.csv:
// lines of start_s,end_s,speech, where speech is 1 or 0. Their texts are not known.
func ReadLabelled(dir string) ([]Clip, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil {
		return nil, fmt.Errorf("looking through %s: %w", dir, err)
	}
	slices.Sort(paths)
	var out []Clip
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".csv") + ".wav"
		a, err := wav.Read(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		c, err := label(dir, Clip{Name: name, PCM: clips.Resample(a)})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no labelled recordings: want x.wav with its labels in x.csv", dir)
	}
	return out, nil
}

func label(dir string, c Clip) (Clip, error) {
	c.Speech, c.floor = findSpeech(c.PCM)
	path := filepath.Join(dir, strings.TrimSuffix(c.Name, filepath.Ext(c.Name))+".csv")
	raw, err := os.ReadFile(path)
	switch {
	case err == nil:
		c.Hand = true
		if c.Speech, err = parseLabels(string(raw), len(c.PCM)); err != nil {
			return c, fmt.Errorf("%s: %w", path, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return c, fmt.Errorf("reading labels: %w", err)
	}
	if len(c.Speech) == 0 {
		return c, fmt.Errorf("%s in %s holds no speech that can be told from its noise", c.Name, dir)
	}
	return c, nil
}

// parseLabels reads start_s,end_s,speech; what lies beyond the recording is cut off.
func parseLabels(text string, samples int) ([]Interval, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = 3
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading labels: %w", err)
	}
	var out []Interval
	for i, row := range rows {
		if i == 0 && row[0] == "start_s" {
			continue
		}
		start, err1 := strconv.ParseFloat(row[0], 64)
		end, err2 := strconv.ParseFloat(row[1], 64)
		if errors.Join(err1, err2) != nil || start < 0 || end < start || (row[2] != "0" && row[2] != "1") {
			return nil, fmt.Errorf("line %d: want start_s,end_s,speech in seconds, speech 0 or 1: %v", i+1, row)
		}
		in := Interval{sample(start), min(sample(end), samples)}
		if row[2] == "0" || in.End <= in.Start {
			continue
		}
		if n := len(out); n > 0 && in.Start < out[n-1].End {
			return nil, fmt.Errorf("line %d: it begins before the one before it ends", i+1)
		}
		out = append(out, in)
	}
	return out, nil
}

func sample(seconds float64) int { return int(seconds*clips.SampleRateHz + 0.5) }
