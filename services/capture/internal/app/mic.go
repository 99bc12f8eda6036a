package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/channels"
	"github.com/rtap/rtap/services/capture/internal/device"
	"github.com/rtap/rtap/services/capture/internal/mono"
	"github.com/rtap/rtap/services/capture/internal/source"
)

const (
	// pollEvery is how often a device's ring is emptied.
	pollEvery = 8 * time.Millisecond
	// reopenEvery is how often a device that has gone away is looked for.
	reopenEvery = time.Second
)

// mic reads a device's ring; a device that goes away is opened again when it is back, and
// the time between is a gap.
type mic struct {
	rec    *device.Recorder // nil while the device is away
	spec   source.Spec
	wanted string
	how    mono.How
	rt     *service.Runtime
	device string
	rate   int
	heard  *rtapv1.Clock // of the last sample
}

func openMic(rt *service.Runtime, spec source.Spec, wanted string) (*mic, error) {
	how := channels.For(rt, spec.Stream)
	rec, err := device.Record(rt.Config.Audio.Backend, wanted, rt.Config.Audio.RingBufferSizeMS, how)
	if err != nil {
		return nil, err
	}
	rt.Log.Info("recording", "device", rec.Info.Name, "rate_hz", rec.RateHz, "channels", rec.Channels)
	return &mic{rec: rec, spec: spec, wanted: wanted, how: how, rt: rt, device: rec.Info.Name, rate: rec.RateHz}, nil
}

func (m *mic) stream() string { return m.spec.Stream }
func (m *mic) name() string   { return "mic:" + m.device }
func (m *mic) rateHz() int    { return m.rate }
func (m *mic) fast() bool     { return false }
func (m *mic) live() bool     { return true }
func (m *mic) resumes() bool  { return false }

func (m *mic) rewind(uint64) error { return nil }

func (m *mic) close() {
	if m.rec != nil {
		m.rec.Close()
	}
}

func (m *mic) read(ctx context.Context) ([]float32, *rtapv1.Clock, time.Duration, error) {
	select {
	case <-ctx.Done():
		return nil, nil, 0, ctx.Err()
	case <-time.After(pollEvery):
	}
	pcm, captured, overrun := m.rec.Ring.Read()
	if overrun > 0 {
		m.rt.Metrics.Errors.WithLabelValues("capture", "overrun").Inc()
	}
	if len(pcm) > 0 {
		m.heard = captured
	}
	if len(pcm) == 0 && m.rec.Stopped() {
		lost, err := m.reopen(ctx)
		return nil, clock.Now(), lost, err
	}
	return pcm, captured, time.Duration(overrun) * time.Second / time.Duration(m.rate), nil
}

var errRate = errors.New("the device has come back with another sample rate: start rtap-capture again")

// reopen waits until a device that has gone away is back, and returns for how long nothing
// was heard. Until then the process is not ready, and says why.
func (m *mic) reopen(ctx context.Context) (time.Duration, error) {
	m.rt.Log.Error("the device has gone away; looking for it", "device", m.device, "stream_id", m.stream(), "every", reopenEvery)
	m.rt.Metrics.Errors.WithLabelValues("capture", "device_lost").Inc()
	announce(m.rt, m.stream(), "the device has gone away", rtapv1.ServiceEvent_SEVERITY_ERROR)
	m.rt.Health.SetProblem("device", fmt.Sprintf("the device %q has gone away", m.device))
	defer m.rt.Health.SetProblem("device", "")
	m.rec.Close()
	m.rec = nil
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(reopenEvery):
		}
		rec, err := device.Record(m.rt.Config.Audio.Backend, m.wanted, m.rt.Config.Audio.RingBufferSizeMS, m.how)
		if errors.Is(err, mono.ErrChannel) {
			return 0, err
		}
		if err != nil {
			m.rt.Log.Debug("the device is still away", "error", err)
			continue
		}
		m.rec = rec
		if rec.RateHz != m.rate {
			return 0, errRate
		}
		m.rt.Log.Info("recording again", "device", rec.Info.Name)
		announce(m.rt, m.stream(), "the device is back", rtapv1.ServiceEvent_SEVERITY_INFO)
		lost, _ := clock.Since(m.heard)
		return lost, nil
	}
}
