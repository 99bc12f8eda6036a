package transcriber

import (
	"context"
	"strings"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// promptSegments is how far back a prompt reaches; engines cut it to what they take.
const promptSegments = 6

// said returns the text of the segments before the job's in its utterance, from stored
// results only, so that a job that comes again gets the same prompt. It is empty when the
// segment just before has no result yet: half a context leads astray.
func (w *Worker) said(ctx context.Context, job *rtapv1.FinalJob) string {
	var texts []string
	first := max(job.GetUtteranceFirstOrdinal(), 1)
	for n := job.GetOrdinal() - 1; n >= first && len(texts) < promptSegments; n-- {
		r, err := w.rt.Bus.Result(ctx, job.GetStreamId(), n)
		if err != nil {
			w.rt.Log.Debug("reading the prompt failed", "segment_id", job.GetSegmentId(), "error", err)
		}
		if r == nil {
			break
		}
		if text := r.GetRecognition().GetText(); text != "" {
			texts = append([]string{text}, texts...)
		}
	}
	return strings.Join(texts, " ")
}
