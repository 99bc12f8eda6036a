package device

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// Ring passes audio from one writer, the device's callback, to one reader. Write never
// allocates, blocks or locks; what does not fit is counted.
type Ring struct {
	buf           []byte
	frameBytes    int
	channels      int
	head, tail    atomic.Uint64 // bytes written and read
	lost          atomic.Uint64 // frames
	writtenAtNano atomic.Int64  // since start
	start         time.Time
}

// NewRing holds frames of frameBytes each (float32 samples of all channels).
func NewRing(frames, frameBytes int) *Ring {
	return &Ring{buf: make([]byte, frames*frameBytes), frameBytes: frameBytes, channels: frameBytes / 4, start: time.Now()}
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
// the frames lost since the last call.
func (r *Ring) Read() (mono []float32, captured *rtapv1.Clock, lost uint64) {
	lost = r.lost.Swap(0)
	at := r.start.Add(time.Duration(r.writtenAtNano.Load()))
	head, tail := r.head.Load(), r.tail.Load()
	for tail+uint64(r.frameBytes) <= head {
		var sum float32
		for range r.channels {
			i := int(tail % uint64(len(r.buf)))
			sum += math.Float32frombits(binary.LittleEndian.Uint32(r.buf[i:]))
			tail += 4
		}
		mono = append(mono, sum/float32(r.channels))
	}
	r.tail.Store(tail)
	return mono, clock.At(at), lost
}

// Fill says how full the ring is, 0 to 1.
func (r *Ring) Fill() float64 {
	return float64(r.head.Load()-r.tail.Load()) / float64(len(r.buf))
}
