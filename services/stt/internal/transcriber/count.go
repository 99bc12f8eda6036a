package transcriber

import rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"

// count adds a final that has been stored to what is measured of finals: each at most once, whether its text was heard for
// it, came with the job, or was a draft of this worker's own, and not what is heard and not stored.
func (w *Worker) count(r *rtapv1.Result) {
	heard, spent, m := r.GetRecognition(), r.GetTimings().GetSttMs()/1000, w.rt.Metrics
	switch r.GetKind() {
	case rtapv1.Result_KIND_TEXT:
	case rtapv1.Result_KIND_EMPTY:
		m.Shed.WithLabelValues("text_" + heard.GetDropped()).Inc()
	default:
		return // given up
	}
	m.FramesProcessed.WithLabelValues("stt").Inc()
	m.StageLatency.WithLabelValues("stt").Observe(spent)
	if outcome := r.GetContextOutcome(); outcome != "" { // an older vad does not hand on a draft's
		m.STTContext.WithLabelValues(outcome).Inc()
	}
	if n := r.GetSpan().GetEndSample() - r.GetSpan().GetStartSample(); n > 0 {
		m.STTRealTimeFactor.WithLabelValues(heard.GetModel().GetName()).Observe(spent * SampleRateHz / float64(n))
	}
}
