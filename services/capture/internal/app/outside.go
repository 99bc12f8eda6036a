package app

import (
	"context"
	"time"

	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/framer"
)

// Source is audio from elsewhere than a device, a file or a client: 16 kHz, mono, as it is
// spoken. Read returns io.EOF at its end.
type Source interface {
	Read(ctx context.Context) (pcm []float32, captured *rtapv1.Clock, lost time.Duration, err error)
}

// Publish publishes a source as a stream until it ends and vad has taken its end.
func Publish(ctx context.Context, rt *service.Runtime, stream string, s Source) error {
	return run(ctx, rt, outside{s, stream}, func(bool) {})
}

type outside struct {
	Source
	id string
}

func (o outside) stream() string { return o.id }
func (o outside) name() string   { return "outside" }
func (o outside) rateHz() int    { return framer.SampleRateHz }
func (o outside) fast() bool     { return false }
func (o outside) close()         {}
func (o outside) live() bool     { return true }
func (o outside) resumes() bool  { return false }

func (o outside) rewind(uint64) error { return nil }

func (o outside) read(ctx context.Context) ([]float32, *rtapv1.Clock, time.Duration, error) {
	return o.Read(ctx)
}
