package app

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/device"
	"github.com/rtap/rtap/services/capture/internal/framer"
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
}

// fileInput plays a file, in real time unless it is fast.
type fileInput struct {
	source.Decoder
	spec    source.Spec
	began   time.Time
	samples int
	rest    []float32 // decoded, not yet due; valid until the next piece is read
}

func openFile(path string, spec source.Spec) (*fileInput, error) {
	d, err := source.OpenFile(path)
	if err != nil {
		return nil, err
	}
	return &fileInput{Decoder: d, spec: spec}, nil
}

func (f *fileInput) stream() string { return f.spec.Stream }
func (f *fileInput) name() string   { return "file:" + f.spec.Name }
func (f *fileInput) rateHz() int    { return f.RateHz() }
func (f *fileInput) fast() bool     { return f.spec.Fast }
func (f *fileInput) close()         { _ = f.Close() }

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
	if f.began.IsZero() {
		f.began = time.Now()
	}
	f.samples += n
	due := f.began.Add(time.Duration(f.samples) * time.Second / time.Duration(f.RateHz()))
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
}

const mockPause = 2 * framer.SampleRateHz

func (m *mock) stream() string { return m.spec.Stream }
func (m *mock) name() string   { return "mock" }
func (m *mock) rateHz() int    { return framer.SampleRateHz }
func (m *mock) fast() bool     { return false }
func (m *mock) close() {
	if m.file != nil {
		m.file.close()
	}
}

func (m *mock) read(ctx context.Context) ([]float32, *rtapv1.Clock, time.Duration, error) {
	if m.file == nil {
		f, err := openFile(m.path, m.spec)
		if err != nil {
			return nil, nil, 0, err
		}
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
	again, err := source.OpenFile(m.path)
	if err != nil {
		return nil, nil, 0, err
	}
	_ = m.file.Close()
	m.file.Decoder, m.pause = again, mockPause
	return nil, clock.Now(), 0, nil
}

// mic reads a device's ring; a device that goes away is opened again.
type mic struct {
	rec    *device.Recorder
	spec   source.Spec
	wanted string
	rt     *service.Runtime
}

func (m *mic) stream() string { return m.spec.Stream }
func (m *mic) name() string   { return "mic:" + m.rec.Info.Name }
func (m *mic) rateHz() int    { return m.rec.RateHz }
func (m *mic) fast() bool     { return false }
func (m *mic) close() {
	if m.rec != nil {
		m.rec.Close()
	}
}

const pollEvery = 8 * time.Millisecond

func (m *mic) read(ctx context.Context) ([]float32, *rtapv1.Clock, time.Duration, error) {
	select {
	case <-ctx.Done():
		return nil, nil, 0, ctx.Err()
	case <-time.After(pollEvery):
	}
	m.rt.Metrics.BufferUtilization.WithLabelValues("capture").Set(m.rec.Ring.Fill())
	pcm, captured, overrun := m.rec.Ring.Read()
	if overrun > 0 {
		m.rt.Metrics.Errors.WithLabelValues("capture", "overrun").Inc()
	}
	lost := time.Duration(overrun) * time.Second / time.Duration(m.rec.RateHz)
	if len(pcm) == 0 && m.rec.Stopped() {
		return nil, captured, 0, errDeviceLost
	}
	return pcm, captured, lost, nil
}

var errDeviceLost = errors.New("the device has gone away")
