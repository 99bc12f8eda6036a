package material

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"github.com/rtap/rtap/pkg/wav"
)

const (
	fade = rateHz / 50 // between a clip and the room tone
	// Room tone has the level of the clip before it, within these, in dB.
	softestTone, loudestTone = -75.0, -45.0
	firstTone                = -65.0
	// smoothing of the tone: noise of a room falls towards high frequencies.
	smoothing = 0.2
)

// Render writes the recording to a WAV file.
func (rec *Recording) Render(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing a recording: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = fmt.Errorf("writing a recording: %w", e)
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	header := wav.Format(wav.Audio{SampleRateHz: rateHz})
	size := uint32(2 * rec.Samples)
	binary.LittleEndian.PutUint32(header[4:], 36+size)
	binary.LittleEndian.PutUint32(header[40:], size)
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("writing a recording: %w", err)
	}
	if err := rec.write(w); err != nil {
		return fmt.Errorf("writing a recording: %w", err)
	}
	return w.Flush()
}

// write gives the samples as little-endian 16-bit numbers.
func (rec *Recording) write(w io.Writer) error {
	t := newTone(rec.seed)
	at := 0
	put := func(x float32) error {
		at++
		s := int16(32767 * min(1, max(-1, x)))
		_, err := w.Write([]byte{byte(s), byte(s >> 8)})
		return err
	}
	for _, p := range rec.Parts {
		start := p.Speech[0].Start - (p.clip.Speech[0].Start - p.from)
		for at < start {
			if err := put(t.next()); err != nil {
				return err
			}
		}
		t.level = amplitude(min(loudestTone, max(softestTone, p.clip.floor)))
		for i := p.from; i < p.to; i++ {
			// The clip fades in from the tone and out into it, outside its speech.
			share := float32(1)
			if p.from > 0 {
				share = min(share, float32(i-p.from+1)/fade)
			}
			share = min(share, float32(p.to-i)/fade)
			if i >= p.clip.Speech[0].Start && i < p.clip.Speech[len(p.clip.Speech)-1].End {
				share = 1
			}
			if err := put(share*p.clip.PCM[i] + (1-share)*t.next()); err != nil {
				return err
			}
		}
	}
	for at < rec.Samples {
		if err := put(t.next()); err != nil {
			return err
		}
	}
	return nil
}

// tone is a quiet room.
type tone struct {
	r     *rand.Rand
	level float64
	last  float64
}

func newTone(seed uint64) *tone {
	return &tone{r: rand.New(rand.NewPCG(seed, 3)), level: amplitude(firstTone)}
}

// next sample; smoothing takes its level down to a third, which is given back.
func (t *tone) next() float32 {
	t.last += smoothing * (t.r.NormFloat64() - t.last)
	return float32(3 * t.level * t.last)
}
