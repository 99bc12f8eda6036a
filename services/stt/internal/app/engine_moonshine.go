//go:build !nomoonshine

package app

import (
	"runtime"

	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/services/stt/internal/moonshine"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// maxCopies in one process; more cores are better used by more processes.
const maxCopies = 8

func init() {
	engines[models.EngineMoonshine] = engine{
		open: func(_ models.Model, o openOptions) (transcriber.Engine, error) { return moonshine.New(o.threads) },
		// Copies share the weights; a second inference at once keeps finals of many streams
		// from waiting for each other.
		copies: func() int { return min(maxCopies, runtime.GOMAXPROCS(0)) },
		// A second thread takes a third off the time of an inference for a sixth more work;
		// more gain little in so small a model.
		threads: func(int) int { return min(2, runtime.GOMAXPROCS(0)) },
		version: func() string { return moonshine.Version },
	}
}
