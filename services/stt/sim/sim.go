// Package sim is the door through which the simulation of the whole pipeline (test/simulation)
// runs this service's own code over a bus of its own. Nothing else may come in here.
package sim

import (
	"context"

	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// What an engine is asked and answers.
type (
	Engine     = transcriber.Engine
	Options    = transcriber.Options
	Transcript = transcriber.Transcript
	Word       = transcriber.Word
	Info       = transcriber.Info
)

// Run takes jobs as a worker of the stt process does, until ctx is done.
func Run(ctx context.Context, rt *service.Runtime, e Engine) error {
	return transcriber.New(rt, e, transcriber.Options{Language: "en"}).Run(ctx)
}
