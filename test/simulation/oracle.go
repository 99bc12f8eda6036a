package simulation

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/test/simulation/broker"
	"google.golang.org/protobuf/proto"
)

// oracle knows what must never be, and judges each accepted write.
type oracle struct {
	// gone says whether a part of a span's audio is neither stored nor in the ring of who
	// captures now.
	gone func(stream string, span *rtapv1.Span, newest uint64, numbers map[place]frameWrite) bool

	mu      sync.Mutex
	broken  []string
	streams map[string]*history
}

// history is everything that was ever accepted of one stream.
type history struct {
	epoch      uint64        // the newest that was given out
	began      *rtapv1.Clock // of the first frame that was ever stored
	frames     map[place]frameWrite
	checkpoint *rtapv1.Checkpoint
	writers    []string // of checkpoints, when they changed
	boundaries map[uint64]*rtapv1.Boundary
	jobs       map[uint64]int
	results    map[uint64]*rtapv1.Result
	log        []wire.Entry
	finals     map[uint32]uint32 // seq in which a number was said
	seq        uint32
}

type place struct{ epoch, frame uint64 }

type frameWrite struct {
	numbers []uint32
	writer  string
}

func newOracle() *oracle { return &oracle{streams: map[string]*history{}} }

func (o *oracle) of(stream string) *history {
	h := o.streams[stream]
	if h == nil {
		h = &history{
			frames: map[place]frameWrite{}, boundaries: map[uint64]*rtapv1.Boundary{}, jobs: map[uint64]int{},
			results: map[uint64]*rtapv1.Result{}, finals: map[uint32]uint32{},
		}
		o.streams[stream] = h
	}
	return h
}

// breaks notes that an invariant does not hold.
func (o *oracle) breaks(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = append(o.broken, fmt.Sprintf(format, args...))
}

// fault is the first broken invariant; empty while there is none.
func (o *oracle) fault() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.broken) == 0 {
		return ""
	}
	return o.broken[0]
}

// observe judges an accepted write, and returns the message.
func (o *oracle) observe(w broker.Write) proto.Message {
	switch {
	case w.Stream == bus.StreamAudio:
		return decode(w, &rtapv1.Frame{}, o.frame)
	case strings.HasPrefix(w.Subject, "$KV."+bus.BucketCheckpoints+".epoch."):
		return decode(w, &rtapv1.Checkpoint{}, o.begun)
	case w.Stream == "KV_"+bus.BucketCheckpoints && len(w.Data) > 0:
		return decode(w, &rtapv1.Checkpoint{}, o.recorded)
	case w.Stream == bus.StreamJobs:
		return decode(w, &rtapv1.FinalJob{}, o.job)
	case w.Stream == bus.StreamResults:
		return decode(w, &rtapv1.Result{}, o.result)
	case w.Stream == bus.StreamDead:
		return decode(w, &rtapv1.DeadJob{}, func(_ broker.Write, d *rtapv1.DeadJob) {
			o.breaks("lost: job %s was given up: %s", d.GetJob().GetSegmentId(), d.GetReason())
		})
	case w.Stream == bus.StreamTranscripts:
		e, err := wire.ParseEntry(w.Data)
		if err != nil {
			panic(err)
		}
		o.entry(w, e)
		return e.Message()
	}
	return nil
}

// decode judges a message and returns it.
func decode[M proto.Message](w broker.Write, m M, judge func(broker.Write, M)) proto.Message {
	if err := proto.Unmarshal(w.Data, m); err != nil {
		panic(err)
	}
	judge(w, m)
	return m
}

// brief is what a log shows of a message.
func brief(m proto.Message) any {
	switch m := m.(type) {
	case *rtapv1.Frame:
		return []any{m.GetEpoch(), m.GetFrame(), spokenInBytes(m.GetPcm()), m.GetGapMs(), m.GetEnd()}
	case *rtapv1.FinalJob:
		return []any{m.GetOrdinal(), m.GetSpan(), m.GetClosedBy(), spokenInBytes(m.GetPcm())}
	case *rtapv1.Result:
		return []any{m.GetOrdinal(), m.GetKind(), m.GetReason(), m.GetRecognition().GetText()}
	case *rtapv1.Checkpoint:
		return []any{m.GetEpoch(), m.GetNextFrame(), m.GetBoundary()}
	}
	return m
}

// frame: one writer an epoch, and each frame has one content.
func (o *oracle) frame(w broker.Write, f *rtapv1.Frame) {
	h, at := o.of(f.GetStreamId()), place{f.GetEpoch(), f.GetFrame()}
	now := frameWrite{spokenInBytes(f.GetPcm()), w.Client}
	if before, ok := h.frames[at]; ok && !slices.Equal(before.numbers, now.numbers) {
		o.breaks("two writers: frame %d of epoch %d was %v by %s and is %v by %s", at.frame, at.epoch, before.numbers, before.writer, now.numbers, now.writer)
	}
	h.frames[at] = now
	if h.began == nil {
		h.began = f.GetClock()
	}
}

// begun: an epoch is given out once.
func (o *oracle) begun(w broker.Write, given *rtapv1.Checkpoint) {
	h := o.of(given.GetStreamId())
	if given.GetEpoch() <= h.epoch {
		o.breaks("two writers: epoch %d of %s was given to %s after %d", given.GetEpoch(), given.GetStreamId(), w.Client, h.epoch)
	}
	h.epoch = given.GetEpoch()
}

// recorded: who records a boundary has seen the one before it, and its job is out.
func (o *oracle) recorded(w broker.Write, cp *rtapv1.Checkpoint) {
	h := o.of(cp.GetStreamId())
	before, b := h.checkpoint, cp.GetBoundary()
	h.checkpoint = cp
	if len(h.writers) == 0 || h.writers[len(h.writers)-1] != w.Client {
		h.writers = append(h.writers, w.Client)
	}
	if cp.GetEpoch() < before.GetEpoch() || cp.GetEpoch() == before.GetEpoch() && cp.GetNextFrame() < before.GetNextFrame() {
		o.breaks("two writers: the checkpoint of %s went back from %d/%d (%s) to %d/%d (%s)", cp.GetStreamId(), before.GetEpoch(), before.GetNextFrame(),
			strings.Join(h.writers, " "), cp.GetEpoch(), cp.GetNextFrame(), w.Client)
	}
	n := b.GetOrdinal()
	if n == 0 {
		if cp.GetOrdinal() != before.GetOrdinal() {
			o.breaks("two writers: the ordinal of %s went from %d to %d without a boundary", cp.GetStreamId(), before.GetOrdinal(), cp.GetOrdinal())
		}
		return
	}
	if n != before.GetOrdinal()+1 || h.boundaries[n] != nil {
		o.breaks("two writers: boundary %d of %s was recorded by %s after %d", n, cp.GetStreamId(), w.Client, before.GetOrdinal())
	}
	if last := h.boundaries[n-1]; last != nil {
		if last.GetKind() == rtapv1.Boundary_KIND_SEGMENT && h.jobs[n-1] == 0 && h.results[n-1] == nil {
			o.breaks("lost: boundary %d of %s is recorded and job %d was never stored", n, cp.GetStreamId(), n-1)
		}
	}
	for _, other := range h.boundaries {
		if both(other, b) && other.GetSpan().GetEpoch() == b.GetSpan().GetEpoch() &&
			other.GetSpan().GetEndSample() > b.GetSpan().GetStartSample() && b.GetSpan().GetEndSample() > other.GetSpan().GetStartSample() {
			o.breaks("doubled: segments %d and %d of %s hold the same audio: %v, %v", other.GetOrdinal(), n, cp.GetStreamId(), other.GetSpan(), b.GetSpan())
		}
	}
	h.boundaries[n] = b
}

func both(a, b *rtapv1.Boundary) bool {
	return a.GetKind() == rtapv1.Boundary_KIND_SEGMENT && b.GetKind() == rtapv1.Boundary_KIND_SEGMENT
}

// job: it was recorded before, and a text that comes with it is its audio's.
func (o *oracle) job(w broker.Write, j *rtapv1.FinalJob) {
	h, n := o.of(j.GetStreamId()), j.GetOrdinal()
	h.jobs[n]++
	b := h.boundaries[n]
	switch {
	case b == nil:
		o.breaks("two writers: job %d of %s by %s was never recorded", n, j.GetStreamId(), w.Client)
	case !proto.Equal(b.GetSpan(), j.GetSpan()):
		o.breaks("two writers: job %d of %s by %s holds %v, recorded was %v", n, j.GetStreamId(), w.Client, j.GetSpan(), b.GetSpan())
	}
	if want := h.said(j.GetSpan()); !slices.Equal(spokenInBytes(j.GetPcm()), want) {
		o.breaks("cut: job %d of %s holds %v, said was %v", n, j.GetStreamId(), spokenInBytes(j.GetPcm()), want)
	}
	if d := j.GetDraft(); d != nil && !slices.Equal(numbersIn(d.GetText()), h.said(j.GetSpan())) {
		o.breaks("cut: the draft taken for %s/%d says %q, said was %v", j.GetStreamId(), n, d.GetText(), h.said(j.GetSpan()))
	}
}

// said returns what was spoken in a span of stored audio.
func (h *history) said(span *rtapv1.Span) (numbers []uint32) {
	for f := span.GetStartSample() / frameSamples; f*frameSamples < span.GetEndSample(); f++ {
		numbers = append(numbers, h.frames[place{span.GetEpoch(), f}].numbers...)
	}
	return numbers
}

// result: the first one stands.
func (o *oracle) result(w broker.Write, r *rtapv1.Result) {
	h, n := o.of(r.GetStreamId()), r.GetOrdinal()
	if h.boundaries[n] == nil {
		o.breaks("two writers: result %d of %s by %s has no boundary", n, r.GetStreamId(), w.Client)
	}
	if before := h.results[n]; before != nil {
		// One that comes when the first has been released and deleted is read by nobody.
		if len(h.log) == 0 || h.log[len(h.log)-1].Ordinal() < n {
			o.breaks("doubled: %s/%d has two results, by %s and %s", r.GetStreamId(), n, before.GetWorker(), w.Client)
		}
		return
	}
	h.results[n] = r
	switch r.GetKind() {
	case rtapv1.Result_KIND_DEAD:
		if !o.gone(r.GetStreamId(), r.GetSpan(), h.epoch, h.frames) {
			o.breaks("lost: %s/%d is dead: %s", r.GetStreamId(), n, r.GetReason())
		}
	case rtapv1.Result_KIND_TEXT, rtapv1.Result_KIND_EMPTY:
		if want := h.said(r.GetSpan()); !slices.Equal(numbersIn(r.GetRecognition().GetText()), want) {
			o.breaks("cut: result %d of %s says %q, said was %v", n, r.GetStreamId(), r.GetRecognition().GetText(), want)
		}
	}
}

// entry: numbered without a hole, in order, each segment once, none passed over.
func (o *oracle) entry(w broker.Write, e wire.Entry) {
	h, n := o.of(e.StreamID()), e.Ordinal()
	last := uint64(0)
	if len(h.log) > 0 {
		last = h.log[len(h.log)-1].Ordinal()
	}
	switch {
	case n == last:
		o.breaks("doubled: %s/%d is twice in the log, the second time by %s", e.StreamID(), n, w.Client)
	case n < last:
		o.breaks("out of order: %s/%d came after %d, by %s", e.StreamID(), n, last, w.Client)
	}
	for between := last + 1; between < n; between++ {
		r := h.results[between]
		if r == nil {
			o.breaks("out of order: %s/%d came before there was a result of %d", e.StreamID(), n, between)
		} else if r.GetKind() == rtapv1.Result_KIND_TEXT {
			o.breaks("lost: %s/%d came and %d was passed over", e.StreamID(), n, between)
		}
	}
	h.log = append(h.log, e)
	if e.Results == nil {
		if e.Seq() != h.seq {
			o.breaks("out of order: a marker of %s comes after seq %d and says %d", e.StreamID(), h.seq, e.Seq())
		}
		return
	}
	if e.Seq() != h.seq+1 {
		o.breaks("out of order: %s has seq %d after %d, by %s", e.StreamID(), e.Seq(), h.seq, w.Client)
	}
	h.seq = e.Seq()
	for _, number := range numbersIn(e.Results.GetChannel().GetAlternatives()[0].GetTranscript()) {
		if before, ok := h.finals[number]; ok {
			o.breaks("doubled: word %d of %s is in finals %d and %d", number, e.StreamID(), before, h.seq)
		}
		h.finals[number] = h.seq
	}
}
