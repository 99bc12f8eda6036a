package app

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/framer"
	"github.com/rtap/rtap/services/capture/internal/mono"
	"github.com/rtap/rtap/services/capture/internal/source"
)

// input is an open source. read gives mono samples at its own rate with the capture time
// of the last one, and the time lost before them; io.EOF ends it.
type input interface {
	stream() string
	name() string
	rateHz() int
	read(ctx context.Context) (pcm []float32, captured *rtapv1.Clock, lost time.Duration, err error)
	fast() bool
	close()
	// live says that it does not wait to be read.
	live() bool
	// resumes says that it can go on at the frame where it was interrupted.
	resumes() bool
	// rewind begins again, for an input that is not live; what comes before a frame of
	// 16 kHz is given without waiting, since it is stored already, or late.
	rewind(frame uint64) error
}

// fileInput plays a file, in real time unless it is fast.
type fileInput struct {
	source.Decoder
	spec    source.Spec
	path    string
	how     mono.How
	began   time.Time
	samples int
	skip    int       // samples that are not waited for
	rest    []float32 // decoded, not yet due; valid until the next piece is read
}

func openFile(path string, spec source.Spec, how mono.How) (*fileInput, error) {
	d, err := source.OpenFile(path, how)
	if err != nil {
		return nil, err
	}
	return &fileInput{Decoder: d, spec: spec, path: path, how: how}, nil
}

func (f *fileInput) stream() string { return f.spec.Stream }
func (f *fileInput) name() string   { return "file:" + f.spec.Name }
func (f *fileInput) rateHz() int    { return f.RateHz() }
func (f *fileInput) fast() bool     { return f.spec.Fast }
func (f *fileInput) close()         { _ = f.Close() }
func (f *fileInput) live() bool     { return false }
func (f *fileInput) resumes() bool  { return true }

func (f *fileInput) rewind(frame uint64) error {
	d, err := source.OpenFile(f.path, f.how)
	if err != nil {
		return err
	}
	_ = f.Close()
	f.Decoder, f.rest, f.samples, f.began = d, nil, 0, time.Time{}
	f.skip = int(frame) * framer.Samples * f.RateHz() / framer.SampleRateHz
	return nil
}

func (f *fileInput) read(ctx context.Context) ([]float32, *rtapv1.Clock, time.Duration, error) {
	if f.spec.Fast {
		pcm, err := f.Read()
		return pcm, clock.Now(), 0, err
	}
	if len(f.rest) == 0 {
		var err error
		if f.rest, err = f.Read(); err != nil {
			return nil, nil, 0, err
		}
	}
	// As a device would, in small periods: a decoder's piece of a quarter of a second
	// handed over at once would be that late for its first frame.
	n := min(len(f.rest), f.RateHz()*framer.Samples/framer.SampleRateHz)
	pcm := f.rest[:n]
	f.rest = f.rest[n:]
	return pcm, f.pace(ctx, n), 0, ctx.Err()
}

// pace waits until n more samples would have been heard, by a schedule that does not
// drift, and returns that moment.
func (f *fileInput) pace(ctx context.Context, n int) *rtapv1.Clock {
	f.samples += n
	played := time.Duration(f.samples) * time.Second / time.Duration(f.RateHz())
	switch {
	case f.samples <= f.skip:
		f.began = time.Now().Add(-played)
		return clock.Now()
	case f.began.IsZero():
		f.began = time.Now().Add(time.Duration(n)*time.Second/time.Duration(f.RateHz()) - played)
	}
	due := f.began.Add(played)
	select {
	case <-time.After(time.Until(due)):
	case <-ctx.Done():
	}
	return clock.At(due)
}

// mock plays the sample recording with pauses, so that a demo shows text without a device.
type mock struct {
	path   string
	spec   source.Spec
	file   *fileInput
	played int
	pause  int // samples of silence still to play
	skip   int // samples that are not waited for
}

const mockPause = 2 * framer.SampleRateHz

func (m *mock) stream() string { return m.spec.Stream }
func (m *mock) name() string   { return "mock" }
func (m *mock) rateHz() int    { return framer.SampleRateHz }
func (m *mock) fast() bool     { return false }
func (m *mock) live() bool     { return false }
func (m *mock) resumes() bool  { return true }

func (m *mock) rewind(frame uint64) error {
	m.close()
	m.file, m.played, m.pause, m.skip = nil, 0, 0, int(frame)*framer.Samples
	return nil
}

func (m *mock) close() {
	if m.file != nil {
		m.file.close()
	}
}

func (m *mock) read(ctx context.Context) ([]float32, *rtapv1.Clock, time.Duration, error) {
	if m.file == nil {
		f, err := openFile(m.path, m.spec, mono.How{})
		if err != nil {
			return nil, nil, 0, err
		}
		f.skip = m.skip
		m.file = f
	}
	if m.pause > 0 {
		n := min(m.pause, framer.Samples)
		m.pause -= n
		return make([]float32, n), m.file.pace(ctx, n), 0, ctx.Err()
	}
	pcm, captured, _, err := m.file.read(ctx)
	if !errors.Is(err, io.EOF) {
		return pcm, captured, 0, err
	}
	m.played++
	if m.spec.Repeat > 0 && m.played >= m.spec.Repeat {
		return nil, nil, 0, io.EOF
	}
	again, err := source.OpenFile(m.path, mono.How{})
	if err != nil {
		return nil, nil, 0, err
	}
	_ = m.file.Close()
	m.file.Decoder, m.pause = again, mockPause
	return nil, clock.Now(), 0, nil
}
