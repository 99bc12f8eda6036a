//go:build !nomoonshine

package app

import (
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/services/stt/internal/moonshine"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

func init() {
	engines[models.EngineMoonshine] = engine{
		open: func(_ models.Model, o openOptions) (transcriber.Engine, error) { return moonshine.New(o.threads) },
		// More threads than one cost more than they gain in so small a model.
		threads: func(int) int { return 1 },
		version: func() string { return moonshine.Version },
	}
}
