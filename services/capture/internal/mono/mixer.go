// Package mono makes one channel of several, and notices where that costs the words: when a
// channel is silent while another is not, and when channels cancel each other.
package mono

import (
	"errors"
	"fmt"
)

// ErrChannel is wrapped when a source does not have the channel that audio.channel chooses.
var ErrChannel = errors.New("no such channel")

// How says how one channel is made. The zero value is the mean of all, and nothing is told.
type How struct {
	// Channel is heard alone, counted from 1; 0 is the mean of all. A source of one channel
	// has nothing to choose.
	Channel int
	// Tell is told of what is found, once when it begins and once when it is over, by whoever
	// calls Mix. It may be nil.
	Tell func(Finding)
}

// Fits says whether a source of so many channels has the one that is chosen.
func (h How) Fits(channels int) error {
	if channels < 2 || h.Channel <= channels {
		return nil
	}
	return fmt.Errorf("%w: audio.channel is %d, and there are %d: choose one of them, or mix", ErrChannel, h.Channel, channels)
}

// Mixer makes one channel of several. What it gives depends on nothing but the samples it is
// given: whoever reads a source again, from wherever, gets the same. It never allocates but to
// tell something. For one goroutine.
type Mixer struct {
	frame []float32
	take  int
	watch *watch
}

// New mixes a source of so many channels. One that does not fit is mixed.
func New(channels, rateHz int, how How) *Mixer {
	m := &Mixer{frame: make([]float32, channels)}
	if how.Channel <= channels {
		m.take = how.Channel
	}
	if channels > 1 && channels <= mostWatched && how.Tell != nil {
		m.watch = newWatch(channels, rateHz, m.take, how.Tell)
	}
	return m
}

// Frame is where the next sample of each channel goes, with 1 as full scale.
func (m *Mixer) Frame() []float32 { return m.frame }

// Mix returns what the samples in Frame are together.
func (m *Mixer) Mix() float32 {
	if len(m.frame) == 1 {
		return m.frame[0]
	}
	var sum float32
	for _, x := range m.frame {
		sum += x
	}
	if m.watch != nil {
		m.watch.add(m.frame, float64(sum))
	}
	if m.take > 0 {
		return m.frame[m.take-1]
	}
	return sum / float32(len(m.frame))
}
