package transcriber

import (
	"slices"
	"sync"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// knownLength is how many results and drafts of its own a worker remembers.
const knownLength = 256

// known is what this worker stored or drafted not long ago: it saves asking the server for
// the context, and decoding a segment whose draft vad did not wait for.
type known struct {
	mu      sync.Mutex
	results []*rtapv1.Result
	drafts  []*rtapv1.DraftResult
}

// stored remembers a result that stands.
func (k *known) stored(r *rtapv1.Result) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.results = latest(k.results, r)
}

// drafted remembers a speculative draft.
func (k *known) drafted(d *rtapv1.DraftResult) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drafts = latest(k.drafts, d)
}

// forget is called when the server may have come back without what was stored.
func (k *known) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.results, k.drafts = nil, nil
}

func latest[T any](all []T, one T) []T {
	if len(all) == knownLength {
		all = slices.Delete(all, 0, knownLength/2)
	}
	return append(all, one)
}

// result returns the stored result of an ordinal, or nil when it is not known.
func (k *known) result(stream string, ordinal uint64) *rtapv1.Result {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range slices.Backward(k.results) {
		if r.GetStreamId() == stream && r.GetOrdinal() == ordinal {
			return r
		}
	}
	return nil
}

// draft returns what was heard in exactly the job's audio and context by the model, or nil.
func (k *known) draft(job *rtapv1.FinalJob, info Info) *rtapv1.DraftResult {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range slices.Backward(k.drafts) {
		if d.GetStreamId() == job.GetStreamId() && d.GetOrdinal() == job.GetOrdinal() && proto.Equal(d.GetSpan(), job.GetSpan()) &&
			slices.Equal(d.GetContextOrdinals(), job.GetContext().GetOrdinals()) && proto.Equal(d.GetRecognition().GetModel(), modelOf(info)) {
			return d
		}
	}
	return nil
}

func modelOf(info Info) *rtapv1.Model {
	return &rtapv1.Model{Name: info.Model, Arch: info.Engine, Version: info.Version}
}
