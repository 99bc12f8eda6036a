// Package sim is the door through which the simulation of the whole pipeline (test/simulation)
// runs this service's own code over a bus of its own. Nothing else may come in here.
package sim

import (
	"context"

	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

// Run numbers finals as a gateway does, until ctx is done.
func Run(ctx context.Context, rt *service.Runtime) error {
	return feed.NewSequencer(rt).Run(ctx)
}
