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
		// A second thread takes a third off the encoder's time alone on a machine, but little in
		// the pipeline (51 / 94 ms instead of 61 / 106), and costs much with sixteen streams
		// (speech end to final 264 / 495 ms instead of 246 / 410).
		threads: func(int) int { return 1 },
		version: func() string { return moonshine.Version },
	}
}
