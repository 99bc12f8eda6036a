package rig

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// transportStream is a stream of the probe's own.
	transportStream = "bench-transport"
	probes          = 400
	probeEvery      = 20 * time.Millisecond
	probeTimeout    = 2 * time.Second
)

// Transport measures what the bus and the gateway add without recognition, in ms: a frame
// is stored in the audio stream as capture does; when it comes back from there its text is
// stored as a worker does; the time is that until the gateway has sequenced and stored it
// and this client has read it from the feed. Nothing else should go on meanwhile.
func (p *Pipeline) Transport(ctx context.Context, feed *Feed) ([]float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := p.Bus.JS().OrderedConsumer(ctx, bus.StreamAudio, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{bus.Audio(transportStream)}, DeliverPolicy: jetstream.DeliverNewPolicy,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the audio stream: %w", err)
	}
	back := make(chan *rtapv1.Frame, 1)
	consuming, err := c.Consume(func(m jetstream.Msg) {
		f := &rtapv1.Frame{}
		if proto.Unmarshal(m.Data(), f) == nil {
			select {
			case back <- f:
			case <-ctx.Done():
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading the audio stream: %w", err)
	}
	defer func() { cancel(); consuming.Stop(); <-consuming.Closed() }()
	var out []float64
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for n := uint64(0); n < probes; n++ {
		took, err := p.probe(ctx, n, back, feed)
		if err != nil {
			return nil, fmt.Errorf("probe %d: %w", n+1, err)
		}
		out = append(out, took)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
	return out, nil
}

func (p *Pipeline) probe(ctx context.Context, n uint64, back <-chan *rtapv1.Frame, feed *Feed) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	captured := clock.Now()
	data, err := proto.Marshal(&rtapv1.Frame{
		StreamId: transportStream, Epoch: 1, Frame: n, Clock: captured, SampleRateHz: rateHz, Channels: 1, Pcm: make([]byte, 2*frameSamples), Source: "bench",
	})
	if err != nil {
		return 0, err
	}
	if _, err := p.Bus.JS().PublishAsync(bus.Audio(transportStream), data); err != nil {
		return 0, err
	}
	var f *rtapv1.Frame
	select {
	case f = <-back:
	case <-ctx.Done():
		return 0, fmt.Errorf("the frame did not come back: %w", ctx.Err())
	}
	err = p.Bus.StoreResult(ctx, &rtapv1.Result{
		StreamId: transportStream, Ordinal: n + 1, Kind: rtapv1.Result_KIND_TEXT, SegmentId: fmt.Sprint(n), SpeechFinal: true,
		Span:        &rtapv1.Span{Epoch: 1, StartSample: f.GetFrame() * frameSamples, EndSample: (f.GetFrame() + 1) * frameSamples},
		Recognition: &rtapv1.Recognition{Text: "probe"}, ClosedAt: f.GetClock(), SpeechEndedAt: f.GetClock(), Timings: &rtapv1.Timings{}, Worker: "bench",
	})
	if err != nil {
		return 0, err
	}
	at, err := feed.await(ctx, uint32(n+1))
	if err != nil {
		return 0, err
	}
	return float64(at-captured.GetMonotonicNs()) / 1e6, nil
}

// await returns when the probe's final was read.
func (f *Feed) await(ctx context.Context, ordinal uint32) (int64, error) {
	for {
		messages := f.Messages()
		for i := len(messages) - 1; i >= 0 && i >= len(messages)-8; i-- {
			if m := &messages[i]; m.IsFinal && m.Rtap.Stream == transportStream && m.Rtap.Ordinal == ordinal {
				return m.At, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, errors.Join(errors.New("its final did not come"), ctx.Err())
		case <-f.done:
			return 0, f.Err()
		case <-time.After(200 * time.Microsecond):
		}
	}
}
