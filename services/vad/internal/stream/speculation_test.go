package stream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// drafts collects what a stream sends as drafts of a kind of subject, as it is sent.
func drafts(t *testing.T, b *bus.Bus, subject string) func() *rtapv1.DraftJob {
	t.Helper()
	sub, err := b.Conn().SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	if err := b.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	return func() *rtapv1.DraftJob {
		t.Helper()
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatalf("no draft on %s: %v", subject, err)
		}
		job := &rtapv1.DraftJob{}
		if err := proto.Unmarshal(m.Data, job); err != nil {
			t.Fatal(err)
		}
		return job
	}
}

// answer is what a worker says of a draft; it has arrived when answer returns.
func answer(t *testing.T, b *bus.Bus, job *rtapv1.DraftJob, r *rtapv1.DraftResult) {
	t.Helper()
	r.StreamId, r.Ordinal, r.Revision, r.Kind, r.Span = "s", job.GetOrdinal(), job.GetRevision(), job.GetKind(), job.GetSpan()
	r.ContextOrdinals = job.GetContext().GetOrdinals()
	heard := make(chan struct{}, 1)
	sub, err := b.Conn().Subscribe(bus.DraftResult("s"), func(*nats.Msg) { heard <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := b.PublishDraftResult(r); err != nil {
		t.Fatal(err)
	}
	<-heard
	time.Sleep(20 * time.Millisecond) // the stream's own subscription is served by another goroutine
}

func ready(t *testing.T, b *bus.Bus) (out []*rtapv1.FinalJob) {
	t.Helper()
	read(t, b, bus.StreamJobs, func(m *jetstream.RawStreamMsg) {
		j := &rtapv1.FinalJob{}
		if err := proto.Unmarshal(m.Data, j); err != nil {
			t.Fatal(err)
		}
		if m.Subject == bus.ReadyJob("s") {
			out = append(out, j)
		}
	})
	return out
}

// TestSpeculation: a draft that is there when the segment closes becomes its text, and
// whatever else happens to it the segment is decoded as ever.
func TestSpeculation(t *testing.T) {
	const before, pause, rest = "..####..", "..", "........$" // the tail is two frames, the hangover four
	text := &rtapv1.Recognition{Text: "so it is"}
	const done, started, dropped = rtapv1.DraftResult_STATE_DONE, rtapv1.DraftResult_STATE_STARTED, rtapv1.DraftResult_STATE_DROPPED
	for name, tt := range map[string]struct {
		middle  string // after the pause
		answer  *rtapv1.DraftResult
		spoiled func(*rtapv1.DraftJob)
		after   []*rtapv1.DraftResult // what is said of it when the segment has closed
		ready   int
		finals  int
		outcome string  // that is counted once
		wasted  float64 // milliseconds
	}{
		"a hit":                    {middle: pause, answer: &rtapv1.DraftResult{State: done, Recognition: text, SttMs: 30, ContextOutcome: "alone_empty"}, ready: 1, outcome: "hit"},
		"no worker took it":        {middle: pause, finals: 1, outcome: "shed"},
		"given up":                 {middle: pause, answer: &rtapv1.DraftResult{State: dropped}, finals: 1, outcome: "dropped"},
		"given up when decoded":    {middle: pause, answer: &rtapv1.DraftResult{State: dropped, SttMs: 30}, finals: 1, outcome: "dropped", wasted: 30},
		"begun, never ended":       {middle: pause, answer: &rtapv1.DraftResult{State: started}, finals: 1, outcome: "late"},
		"ended late":               {middle: pause, answer: &rtapv1.DraftResult{State: started}, after: []*rtapv1.DraftResult{{State: done, Recognition: text, SttMs: 30}}, finals: 1, outcome: "late", wasted: 30},
		"ended late, and was used": {middle: pause, answer: &rtapv1.DraftResult{State: started}, after: []*rtapv1.DraftResult{{State: done, Recognition: text, SttMs: 30}, {State: rtapv1.DraftResult_STATE_USED, SttMs: 30}}, finals: 1, outcome: "late_hit"},
		"its answers were lost":    {middle: pause, after: []*rtapv1.DraftResult{{State: rtapv1.DraftResult_STATE_USED, SttMs: 30}}, finals: 1, outcome: "late_hit"},
		"given up late":            {middle: pause, answer: &rtapv1.DraftResult{State: started}, after: []*rtapv1.DraftResult{{State: dropped, SttMs: 30}}, finals: 1, outcome: "late", wasted: 30},
		"speech went on":           {middle: "####", answer: &rtapv1.DraftResult{State: done, Recognition: text, SttMs: 30}, finals: 1, outcome: "resumed", wasted: 30},
		"of another revision":      {middle: pause, answer: &rtapv1.DraftResult{State: done, Recognition: text, SttMs: 30}, spoiled: func(j *rtapv1.DraftJob) { j.Revision++ }, finals: 1, outcome: "shed", wasted: 30},
		"of other audio":           {middle: pause, answer: &rtapv1.DraftResult{State: done, Recognition: text}, spoiled: func(j *rtapv1.DraftJob) { j.Span.EndSample++ }, finals: 1, outcome: "shed"},
		"of another segment":       {middle: pause, answer: &rtapv1.DraftResult{State: done, Recognition: text}, spoiled: func(j *rtapv1.DraftJob) { j.Ordinal++ }, finals: 1, outcome: "shed"},
		"an empty text counts":     {middle: pause, answer: &rtapv1.DraftResult{State: done, Recognition: &rtapv1.Recognition{Dropped: "silence"}}, ready: 1, outcome: "hit"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings()
			cfg.STT.InterimIntervalMS = 0
			b := testkit.Bus(t, cfg)
			s, count := counting(t, cfg, b)
			next := drafts(t, b, bus.Speculative("s"))
			all := frames(1, 0, before+tt.middle+rest)
			feed(t, s, all[:len(before)])
			job := next()
			if sp := job.GetSpan(); sp.GetStartSample() != 0 || sp.GetEndSample() != 8*512 || len(job.GetPcm()) != 8*1024 || job.GetOrdinal() != 1 {
				t.Fatalf("draft of %v with %d bytes", sp, len(job.GetPcm()))
			}
			if tt.spoiled != nil {
				tt.spoiled(job)
			}
			if tt.answer != nil {
				answer(t, b, job, tt.answer)
			}
			feed(t, s, all[len(before):])
			got := ready(t, b)
			if len(got) != tt.ready || len(jobs(t, b))-len(got) != tt.finals {
				t.Fatalf("%d ready and %d other jobs, want %d and %d", len(got), len(jobs(t, b))-len(got), tt.ready, tt.finals)
			}
			if tt.ready == 1 && (got[0].GetDraft().GetText() != tt.answer.GetRecognition().GetText() || len(got[0].GetPcm()) != 8*1024 || got[0].GetClosedSample() != 10*512) {
				t.Errorf("ready job %v closed at %d", got[0].GetDraft(), got[0].GetClosedSample())
			}
			if tt.ready == 1 && (got[0].GetDraftContextOutcome() != tt.answer.GetContextOutcome() || got[0].GetDraftSttMs() != tt.answer.GetSttMs()) {
				t.Errorf("heard in context %q in %.0f ms", got[0].GetDraftContextOutcome(), got[0].GetDraftSttMs())
			}
			for _, r := range tt.after {
				answer(t, b, job, r)
			}
			s.Close()
			if n, wasted := count(fmt.Sprintf("rtap_speculation_total{outcome=%q}", tt.outcome)), count("rtap_speculation_wasted_seconds_total"); n != 1 || wasted != tt.wasted/1000 {
				t.Errorf("%s was counted %g times, %g s were wasted, want %g", tt.outcome, n, wasted, tt.wasted/1000)
			}
		})
	}
}

// TestUnansweredInterims: one that another replaced in the queue is counted, one that was answered, or is the
// last when the stream is left, is not.
func TestUnansweredInterims(t *testing.T) {
	cfg := settings()
	cfg.STT.InterimIntervalMS = 128
	b := testkit.Bus(t, cfg)
	s, count := counting(t, cfg, b)
	next := drafts(t, b, bus.Draft("s"))
	all := frames(1, 0, strings.Repeat("#", 150))
	feed(t, s, all[:8])
	answer(t, b, next(), &rtapv1.DraftResult{State: rtapv1.DraftResult_STATE_DROPPED})
	feed(t, s, all[8:])
	const waits = 4 // of five, one after 128 ms and then one each second
	for range waits {
		next()
	}
	const series = `rtap_shed_total{reason="draft_unanswered"}`
	if n := count(series); n != 0 {
		t.Errorf("%g were counted while an answer may come", n)
	}
	s.Close()
	if n := count(series); n != waits {
		t.Errorf("%g were counted, want %d", n, waits)
	}
}

// TestEager: a text that ends a sentence closes its segment earlier, one that does not waits.
func TestEager(t *testing.T) {
	for name, tt := range map[string]struct {
		sentenceEnd float64
		closed      uint64
	}{"ends": {0.9, 9 * 512}, "goes on": {0.1, 10 * 512}, "cannot tell": {-1, 10 * 512}} {
		t.Run(name, func(t *testing.T) {
			cfg := settings()
			cfg.STT.InterimIntervalMS, cfg.VAD.EagerHangoverMS, cfg.VAD.EagerSentence = 0, 96, 0.5
			b := testkit.Bus(t, cfg)
			s := open(t, cfg, b)
			next := drafts(t, b, bus.Speculative("s"))
			all := frames(1, 0, "..####........$")
			feed(t, s, all[:8])
			answer(t, b, next(), &rtapv1.DraftResult{
				State: rtapv1.DraftResult_STATE_DONE, SentenceEnd: tt.sentenceEnd, Recognition: &rtapv1.Recognition{Text: "so it is."},
			})
			feed(t, s, all[8:])
			got := ready(t, b)
			if len(got) != 1 || got[0].GetClosedSample() != tt.closed || !got[0].GetSpeechFinal() {
				t.Errorf("%d ready jobs, closed at %d, want %d", len(got), got[0].GetClosedSample(), tt.closed)
			}
		})
	}
}

// TestInterimsCarryTheirState: what a worker said of one goes with the next, and the next
// waits for it.
func TestInterimsCarryTheirState(t *testing.T) {
	cfg := settings()
	cfg.STT.InterimIntervalMS = 128
	b := testkit.Bus(t, cfg)
	s := open(t, cfg, b)
	next := drafts(t, b, bus.Draft("s"))
	var all []*rtapv1.Frame
	for range 40 {
		all = append(all, frames(1, uint64(len(all)), "##########")...)
	}
	feed(t, s, all[:20])
	first := next()
	if first.GetRevision() != 1 || first.GetCommitted() != "" || first.GetSpan().GetStartSample() != 0 {
		t.Fatalf("first draft %v", first.GetSpan())
	}
	words := []*rtapv1.Word{{Text: "so", EndSample: 512, Tokens: 1}, {Text: "it", StartSample: 512, EndSample: 1024, Tokens: 1}}
	answer(t, b, first, &rtapv1.DraftResult{
		State: rtapv1.DraftResult_STATE_DONE, Committed: "so", Hypothesis: "so it", CommittedWords: 1, CommittedTokens: 1,
		Recognition: &rtapv1.Recognition{Text: "so it", Words: words, Tokens: []uint32{5, 6}, Model: &rtapv1.Model{Name: "m"}},
	})
	feed(t, s, all[20:22])
	second := next()
	if second.GetRevision() != 2 || second.GetCommitted() != "so" || second.GetPrevious() != "so it" || len(second.GetCommittedTokens()) != 1 || second.GetModel() != "m" {
		t.Fatalf("second draft: committed %q, previous %q, tokens %v", second.GetCommitted(), second.GetPrevious(), second.GetCommittedTokens())
	}
	// Agreed words of a long segment are cut off with their audio.
	var long []*rtapv1.Word
	var tokens []uint32
	committed := ""
	for i := range 18 {
		long = append(long, &rtapv1.Word{Text: "w", StartSample: uint64(i * 8000), EndSample: uint64(i*8000 + 4000), Tokens: 2})
		tokens = append(tokens, 1, 2)
		committed += " w"
	}
	answer(t, b, second, &rtapv1.DraftResult{
		State: rtapv1.DraftResult_STATE_DONE, Committed: committed[1:], Hypothesis: committed[1:] + " x", CommittedWords: 18, CommittedTokens: 36,
		Recognition: &rtapv1.Recognition{Words: long, Tokens: tokens, Model: &rtapv1.Model{Name: "m"}},
	})
	feed(t, s, all[22:400])
	job := next()
	for len(job.GetBefore()) == 0 {
		job = next()
	}
	n := len(job.GetBefore())
	if from := job.GetSpan().GetStartSample(); from != uint64(n*8000-3200) || len(job.GetCommittedTokens()) != 2*(18-n) ||
		uint64(len(job.GetPcm())) != 2*(job.GetSpan().GetEndSample()-from) {
		t.Errorf("audio from %d after %d words, %d tokens forced", from, n, len(job.GetCommittedTokens()))
	}
}
