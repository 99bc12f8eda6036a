package transcriber

import (
	"context"
	"strings"
)

// promptSegments is how far back a prompt reaches; engines cut it to what they take.
const promptSegments = 6

// said returns the text of the segments before the job's in its utterance, from stored
// results only, so that a job that comes again gets the same prompt. It is empty when the
// segment just before has no result yet: half a context leads astray.
func (w *Worker) said(ctx context.Context, p piece) string {
	var texts []string
	first := max(p.first, 1)
	for n := p.ordinal - 1; n >= first && len(texts) < promptSegments; n-- {
		r, err := w.rt.Bus.Result(ctx, p.stream, n)
		if err != nil {
			w.rt.Log.Debug("reading the prompt failed", "stream_id", p.stream, "error", err)
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
