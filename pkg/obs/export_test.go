package obs

import "time"

// Window is the CPU window with samples given by hand.
type Window struct{ w cpuWindow }

// Add gives it a sample.
func (w *Window) Add(at time.Time, seconds float64) { w.w.add(cpuSample{at, seconds}) }

// Percent is what it makes of them.
func (w *Window) Percent() float64 { return w.w.percent() }

// ErrorKinds are the known kinds of errors by stage.
var ErrorKinds = errorKinds

// MaxStreams is how many streams have a label of their own.
const MaxStreams = maxStreams
