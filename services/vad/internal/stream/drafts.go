package stream

import (
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	// longDraft is how much of a segment a draft holds at most before its beginning, which
	// is agreed on, is cut off; keptDraft is what it holds then.
	longDraft = 9 * sampleRateHz
	keptDraft = 5 * sampleRateHz
	// cutMargin of audio before the first word that is kept: word times may be estimates.
	cutMargin = sampleRateHz / 5
	// draftPatience is how long the next interim waits for what becomes of the last one: a
	// busy recogniser gets fewer, and none is made without the text of the one before.
	draftPatience = sampleRateHz
)

// draft is what is known of the open segment's text so far. The worker that makes the next
// one gets it with the job.
type draft struct {
	revision uint32
	at       int            // sample at which the last was sent
	waiting  bool           // for what becomes of it
	from     int            // first sample of the audio that is sent
	before   []*rtapv1.Word // committed words of the audio before from; samples of the epoch
	// What the newest result agreed on and thought, of the audio from from on.
	committed, hypothesis string
	tokens                []uint32
	words                 []*rtapv1.Word // committed
	model                 string
}

// begin forgets the segment before; speech of the next one starts at a sample.
func (d *draft) begin(start int) { *d = draft{at: start} }

// take keeps what a result says, unless it is of other audio.
func (d *draft) take(r *rtapv1.DraftResult) {
	rec := r.GetRecognition()
	d.waiting = d.waiting && r.GetRevision() != d.revision
	if r.GetState() != rtapv1.DraftResult_STATE_DONE || int(r.GetSpan().GetStartSample()) != d.from || int(r.GetCommittedWords()) > len(rec.GetWords()) || int(r.GetCommittedTokens()) > len(rec.GetTokens()) {
		return
	}
	d.committed, d.hypothesis, d.model = r.GetCommitted(), r.GetHypothesis(), rec.GetModel().GetName()
	d.words, d.tokens = rec.GetWords()[:r.GetCommittedWords()], rec.GetTokens()[:r.GetCommittedTokens()]
}

// trim cuts committed words off the beginning when the audio up to at has grown long, so
// that a draft's work is bounded however long the segment is.
func (d *draft) trim(at int) {
	if at-d.from < longDraft {
		return
	}
	n, tokens := 0, 0
	for n < len(d.words) && d.from+int(d.words[n].GetEndSample()) <= at-keptDraft {
		tokens += int(d.words[n].GetTokens())
		n++
	}
	if n == 0 || n == len(d.words) || tokens > len(d.tokens) {
		return
	}
	var texts []string
	for _, w := range d.words[:n] {
		texts = append(texts, w.GetText())
	}
	head := strings.Join(texts, " ")
	if !strings.HasPrefix(d.committed, head+" ") {
		return
	}
	for _, w := range d.words[:n] {
		w.StartSample, w.EndSample = w.GetStartSample()+uint64(d.from), w.GetEndSample()+uint64(d.from)
	}
	cut := max(0, int(d.words[n].GetStartSample())-cutMargin)
	d.before = append(d.before, d.words[:n]...)
	d.committed = strings.TrimPrefix(d.committed, head+" ")
	d.hypothesis = strings.TrimPrefix(d.hypothesis, head+" ")
	d.words, d.tokens, d.from = nil, d.tokens[tokens:], d.from+cut
}

// drafts offers the open segment for a preliminary text: while speech goes on, at intervals;
// as soon as silence has lasted for the tail, as what the segment will be if no speech follows.
func (s *Stream) drafts() {
	s.overdue(time.Now())
	quiet, tail := s.seg.Quiet(), s.samples(s.pauses.TailMS)
	if quiet == 0 && s.spec != nil {
		s.abandon(obs.SpeculationResumed)
	}
	if s.spec != nil {
		if _, _, end, ok := s.seg.Presumed(); ok && uint64(end) != s.spec.span.GetEndSample() {
			s.abandon(obs.SpeculationChanged) // a low voice goes on
			if s.drafting.again(s.seg.At()) {
				s.speculate()
			}
		}
		return
	}
	if quiet >= tail && quiet > 0 && s.cfg.STT.Speculate && s.drafting.again(s.seg.At()) && s.speculate() {
		return
	}
	every := s.interims.slower() * s.cfg.STT.InterimIntervalMS * sampleRateHz / 1000
	if s.text.waiting {
		every = max(every, draftPatience)
	}
	if every == 0 || quiet > 0 || s.seg.At()-s.text.at < every {
		return
	}
	pcm, start, open := s.seg.Open()
	if !open {
		return
	}
	s.text.from = max(s.text.from, start)
	s.text.trim(s.seg.At())
	span := &rtapv1.Span{Epoch: s.epoch, StartSample: uint64(s.text.from), EndSample: uint64(s.seg.At())}
	job := s.draftJob(rtapv1.DraftJob_KIND_INTERIM, span, pcm[s.text.from-start:])
	job.Committed, job.Previous, job.Before = s.text.committed, s.text.hypothesis, s.text.before
	job.CommittedTokens, job.Model = s.text.tokens, s.text.model
	if len(s.text.before) == 0 {
		job.Context = s.said(span)
	}
	s.text.waiting = true
	if s.send(job) {
		s.await(job.GetKind(), span, "")
	}
}

// draftJob makes a job of the open segment.
func (s *Stream) draftJob(kind rtapv1.DraftJob_Kind, span *rtapv1.Span, pcm []int16) *rtapv1.DraftJob {
	s.text.at = s.seg.At()
	s.text.revision++
	ordinal := s.cp.GetOrdinal() + 1
	id := s.segmentID(ordinal)
	utterance := s.cp.GetUtteranceId()
	if utterance == "" {
		utterance = id
	}
	return &rtapv1.DraftJob{
		StreamId: s.id, Ordinal: ordinal, SegmentId: id, UtteranceId: utterance, Revision: s.text.revision,
		Span: span, Pcm: bytesOf(pcm), Kind: kind, CapturedAt: s.clock,
	}
}

// send says whether a draft is on its way.
func (s *Stream) send(job *rtapv1.DraftJob) bool {
	err := s.bus.PublishDraft(job)
	if err != nil {
		s.metrics.Shed.WithLabelValues("draft_not_sent").Inc()
	}
	return err == nil
}

// said is what the open segment, or one that begins an utterance, may be heard as the
// continuation of.
func (s *Stream) said(span *rtapv1.Span) *rtapv1.Context {
	first := s.cp.GetUtteranceFirstOrdinal()
	if first == 0 || !s.cfg.STT.Context {
		return nil
	}
	return s.history.before(span, first)
}

// notes takes over what workers have said of drafts since.
func (s *Stream) notes() {
	for {
		select {
		case r := <-s.results:
			s.note(r)
		default:
			return
		}
	}
}

func (s *Stream) note(r *rtapv1.DraftResult) {
	known := s.told(r)
	if s.seg == nil {
		return // of a predecessor's draft, before the first frame
	}
	if r.GetKind() == rtapv1.DraftJob_KIND_SPECULATIVE {
		s.drafting.note(r, s.seg.At())
		known = s.spec.note(r) || known
		// What was decoded may be given up all the same, and what is done may come too late for anything.
		if r.GetState() == rtapv1.DraftResult_STATE_DROPPED || r.GetState() == rtapv1.DraftResult_STATE_DONE && !known {
			s.metrics.SpeculationWasted.Add(r.GetSttMs() / 1000)
		}
		return
	}
	s.interims.note(r, s.seg.At())
	if r.GetOrdinal() == s.cp.GetOrdinal()+1 && r.GetSpan().GetEpoch() == s.epoch {
		s.text.take(r)
	}
}
