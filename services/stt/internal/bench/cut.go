package bench

import (
	"github.com/rtap/rtap/pkg/clips"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// Clip is a recording, what is said in it, and its audio as the engine gets it: whole, or
// cut like the pipeline cuts what is too long.
type Clip struct {
	Name, Text string
	Pieces     [][]float32
}

// ReadClips reads a folder as [clips.Read] does.
func ReadClips(dir string) ([]Clip, error) {
	whole, err := clips.Read(dir)
	if err != nil {
		return nil, err
	}
	var out []Clip
	for _, c := range whole {
		out = append(out, Clip{c.Name, c.Text, cut(c.PCM)})
	}
	return out, nil
}

const (
	// longestSegment is what the voice detector cuts at.
	longestSegment  = 15 * transcriber.SampleRateHz
	shortestSegment = longestSegment / 3
	// A cut is put in the middle of the quietest stretch of so long, found in steps.
	quietSamples = 300 * transcriber.SampleRateHz / 1000
	quietStep    = quietSamples / 15
)

// cut divides audio of more than 15 s at its quietest places, into pieces of 5 to 15 s.
// The pieces share pcm's memory.
func cut(pcm []float32) (pieces [][]float32) {
	for len(pcm) > longestSegment {
		at := quietest(pcm, shortestSegment, min(longestSegment, len(pcm)-shortestSegment))
		pieces = append(pieces, pcm[:at])
		pcm = pcm[at:]
	}
	return append(pieces, pcm)
}

// quietest returns the middle of the stretch with the least energy from one sample to
// another.
func quietest(pcm []float32, from, to int) (at int) {
	least := -1.0
	for start := from - quietSamples/2; start+quietSamples/2 <= to; start += quietStep {
		var energy float64
		for _, x := range pcm[start : start+quietSamples] {
			energy += float64(x) * float64(x)
		}
		if least < 0 || energy < least {
			least, at = energy, start+quietSamples/2
		}
	}
	return at
}
