package obs

import (
	"sync"
	"time"

	"github.com/prometheus/procfs"
)

const (
	sampleEvery  = time.Second
	usageSamples = 16 // fifteen seconds between the first and the last
)

// cpuWindow is the CPU use of the last seconds. It is sampled by a clock of its own, so
// that what one scraper reads does not depend on when another one did.
type cpuWindow struct {
	mu      sync.Mutex
	samples []cpuSample // oldest first
}

type cpuSample struct {
	at      time.Time
	seconds float64 // CPU time since the process began
}

func (w *cpuWindow) sample() {
	p, err := procfs.Self()
	if err != nil {
		return
	}
	st, err := p.Stat()
	if err != nil {
		return
	}
	w.add(cpuSample{time.Now(), st.CPUTime()})
}

func (w *cpuWindow) add(s cpuSample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.samples) == usageSamples {
		w.samples = append(w.samples[:0], w.samples[1:]...)
	}
	w.samples = append(w.samples, s)
}

// percent is the mean over the window; 0 before the second sample.
func (w *cpuWindow) percent() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.samples) < 2 {
		return 0
	}
	first, last := w.samples[0], w.samples[len(w.samples)-1]
	if took := last.at.Sub(first.at).Seconds(); took > 0 {
		return 100 * (last.seconds - first.seconds) / took
	}
	return 0
}
