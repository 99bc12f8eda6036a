package stream

import rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"

// refusals are the drafts of one kind, in a row, that workers gave up before they had begun with them. While they have no
// time fewer are asked for: each draft is up to fifteen seconds of audio, which server and workers would handle for nothing.
type refusals struct {
	n, at int // at the sample of the last
}

// note takes what became of a draft.
func (f *refusals) note(r *rtapv1.DraftResult, at int) {
	switch {
	case r.GetState() != rtapv1.DraftResult_STATE_DROPPED:
		*f = refusals{}
	case r.GetSttMs() == 0:
		f.n, f.at = f.n+1, at
	}
}

// slower is how many times longer it takes to the next draft at intervals. Not more than twice: what is final is heard
// faster where an interim was heard before it.
func (f *refusals) slower() int { return 1 + min(f.n, 1) }

// again says whether it is time for another draft: a second after one was refused.
func (f *refusals) again(at int) bool { return f.n == 0 || at-f.at >= sampleRateHz }
