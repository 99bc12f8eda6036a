package device

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/mono"
)

// Ring passes audio from one writer, the device's callback, to one reader. Write never
// allocates, blocks or locks; what does not fit is counted.
type Ring struct {
	buf           []byte
	frameBytes    int
	mixer         *mono.Mixer
	mono          []float32     // what Read gave
	head, tail    atomic.Uint64 // bytes written and read
	lost          atomic.Uint64 // frames
	writtenAtNano atomic.Int64  // since start
	start         time.Time
}

// NewRing holds so many samples of each channel that the mixer takes, as float32.
func NewRing(samples int, mixer *mono.Mixer) *Ring {
	frameBytes := 4 * len(mixer.Frame())
	return &Ring{buf: make([]byte, samples*frameBytes), frameBytes: frameBytes, mixer: mixer, start: time.Now()}
}

// Write is called by the audio thread.
func (r *Ring) Write(p []byte) {
	head, tail := r.head.Load(), r.tail.Load()
	if free := uint64(len(r.buf)) - (head - tail); uint64(len(p)) > free {
		r.lost.Add(uint64(len(p) / r.frameBytes))
		return
	}
	at := int(head % uint64(len(r.buf)))
	n := copy(r.buf[at:], p)
	copy(r.buf, p[n:])
	r.writtenAtNano.Store(int64(time.Since(r.start)))
	r.head.Store(head + uint64(len(p)))
}

// Read returns all that is there as mono samples, the capture time of the last one, and
// the frames lost since the last call. The samples are valid until the next call.
func (r *Ring) Read() (pcm []float32, captured *rtapv1.Clock, lost uint64) {
	lost = r.lost.Swap(0)
	at := r.start.Add(time.Duration(r.writtenAtNano.Load()))
	head, tail := r.head.Load(), r.tail.Load()
	r.mono = r.mono[:0]
	frame := r.mixer.Frame()
	for tail+uint64(r.frameBytes) <= head {
		for c := range frame {
			i := int(tail % uint64(len(r.buf)))
			frame[c] = math.Float32frombits(binary.LittleEndian.Uint32(r.buf[i:]))
			tail += 4
		}
		r.mono = append(r.mono, r.mixer.Mix())
	}
	r.tail.Store(tail)
	return r.mono, clock.At(at), lost
}

// Fill says how full the ring is, 0 to 1.
func (r *Ring) Fill() float64 {
	return float64(r.head.Load()-r.tail.Load()) / float64(len(r.buf))
}
