package simulation

import (
	"context"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	frameSamples = 512
	frameTime    = 32 * time.Millisecond
)

// script is what is spoken on a stream: for each frame whether it is speech. The n-th frame
// of speech says the word "n": its samples hold the number, so that whoever hears it can
// tell which frame it was.
type script []bool

// newScript draws bursts and pauses.
func newScript(r *rand.Rand, frames int) script {
	var s script
	pause := func(longest int) { s = append(s, make([]bool, 3+r.IntN(longest))...) }
	for len(s) < frames {
		pause(8)
		if r.IntN(3) == 0 {
			pause(30) // long enough to end an utterance
		}
		for range minSpeech + r.IntN(30) {
			s = append(s, true)
		}
	}
	pause(8)
	return s
}

// Levels of the samples that carry a frame's number.
const (
	loud = 6000
	step = 4
)

func (s script) pcm(n int) []float32 {
	out := make([]float32, frameSamples)
	if s[n] {
		for i := range out {
			out[i] = float32(loud+step*n) / 32767
		}
	}
	return out
}

// spoken returns the numbers of the frames of speech in audio of whole frames.
func spoken(at func(sample int) float64, samples int) (numbers []uint32) {
	for i := 0; i < samples; i += frameSamples {
		if level := at(i); level > loud/2 {
			numbers = append(numbers, uint32(math.Round((level-loud)/step)))
		}
	}
	return numbers
}

func spokenIn(pcm []float32) []uint32 {
	return spoken(func(i int) float64 { return float64(pcm[i]) * 32768 }, len(pcm))
}

func spokenInBytes(pcm []byte) []uint32 {
	return spoken(func(i int) float64 { return float64(int16(uint16(pcm[2*i]) | uint16(pcm[2*i+1])<<8)) }, len(pcm)/2)
}

// textOf is what a faultless engine hears.
func textOf(numbers []uint32) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(int(n))
	}
	return strings.Join(words, " ")
}

func numbersIn(text string) (numbers []uint32) {
	for _, word := range strings.Fields(text) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil
		}
		numbers = append(numbers, uint32(n))
	}
	return numbers
}

// room is where a stream is spoken: time goes on whether or not somebody listens.
type room struct {
	script script
	began  time.Time

	mu    sync.Mutex
	heard map[int]string // process that read a frame last
}

func newRoom(s script) *room { return &room{script: s, began: time.Now(), heard: map[int]string{}} }

// clock stamps the moment at which so many frames have been spoken. It is the schedule's own
// time, and every process reads the same.
func (r *room) clock(frames int) *rtapv1.Clock {
	at := r.began.Add(time.Duration(frames) * frameTime)
	return &rtapv1.Clock{CapturedAt: timestamppb.New(at), MonotonicNs: at.UnixNano(), BootId: "simulation"}
}

// moment is the time that [room.clock] has stamped.
func (r *room) moment(c *rtapv1.Clock) time.Time {
	if c == nil {
		return r.began
	}
	return time.Unix(0, c.GetMonotonicNs())
}

// words returns those that were spoken in a time, if only in part.
func (r *room) words(from, to time.Time) (words []uint32) {
	for n := range r.script {
		begins := r.began.Add(time.Duration(n) * frameTime)
		if r.script[n] && begins.Before(to) && begins.Add(frameTime).After(from) {
			words = append(words, uint32(n))
		}
	}
	return words
}

// lastHeard returns the process that heard each frame last.
func (r *room) lastHeard() map[int]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.heard)
}

// microphone is one process's ear: it hears what is spoken from now on, and keeps as much
// as a device's buffer does while the process is busy.
type microphone struct {
	room    *room
	process string
	next    int
}

const deviceBuffer = 125 // frames: four seconds

func (r *room) listen(process string) *microphone {
	return &microphone{r, process, int(time.Since(r.began) / frameTime)}
}

// Read implements the capture service's source.
func (m *microphone) Read(ctx context.Context) (pcm []float32, captured *rtapv1.Clock, lost time.Duration, err error) {
	if m.next >= len(m.room.script) {
		return nil, nil, 0, io.EOF
	}
	due := m.room.began.Add(time.Duration(m.next+1) * frameTime)
	select {
	case <-time.After(time.Until(due)):
	case <-ctx.Done():
		return nil, nil, 0, ctx.Err()
	}
	now := min(int(time.Since(m.room.began)/frameTime), len(m.room.script))
	if late := now - m.next - deviceBuffer; late > 0 {
		lost = time.Duration(late) * frameTime
		m.next += late
	}
	m.room.mu.Lock()
	m.room.heard[m.next] = m.process
	m.room.mu.Unlock()
	pcm = m.room.script.pcm(m.next)
	m.next++
	return pcm, m.room.clock(m.next), lost, nil
}
