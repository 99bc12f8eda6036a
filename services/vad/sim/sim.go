// Package sim is the door through which the simulation of the whole pipeline (test/simulation)
// runs this service's own code over a bus of its own. Nothing else may come in here.
package sim

import (
	"context"

	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/vad/internal/app"
)

// Detector gives the probability of speech of each frame of a stream.
type Detector = app.Detector

// Run follows streams as the vad process does, until ctx is done.
func Run(ctx context.Context, rt *service.Runtime, detect func() (Detector, error)) error {
	return app.Follow(ctx, rt, detect)
}
