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

// ShedReasons are the known reasons for which a stage gives work up.
var ShedReasons = shedReasons

// SpeculationOutcomes is what may become of a speculative draft.
var SpeculationOutcomes = speculationOutcomes

// MaxStreams is how many streams have a label of their own.
const MaxStreams = maxStreams
