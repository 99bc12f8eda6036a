// Package sim is the door through which the simulation of the whole pipeline (test/simulation)
// runs this service's own code over a bus of its own. Nothing else may come in here.
package sim

import (
	"context"

	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/capture/internal/app"
)

// Source is audio that is spoken somewhere.
type Source = app.Source

// Run publishes a source as the capture process does, until it has ended.
func Run(ctx context.Context, rt *service.Runtime, stream string, s Source) error {
	return app.Publish(ctx, rt, stream, s)
}
