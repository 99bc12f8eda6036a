package measure_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
	"github.com/rtap/rtap/pkg/material"
)

const (
	rateHz = 16000
	second = int64(1e9)
	zero   = 5 * second
)

// recording has speech at 1-2 s, 3-4 s and 4.3-5 s with texts, and at 8-9 s without.
func recording() *material.Recording {
	in := func(a, b float64) material.Interval {
		return material.Interval{Start: int(a * rateHz), End: int(b * rateHz)}
	}
	return &material.Recording{Stream: "s", Samples: 12 * rateHz, Parts: []material.Part{
		{Name: "a", Text: "One two three.", Speech: []material.Interval{in(1, 2)}},
		{Name: "b", Text: "four five six seven", Speech: []material.Interval{in(3, 4), in(4.3, 5)}},
		{Name: "c", Hand: true, Speech: []material.Interval{in(8, 9)}},
	}}
}

// final arrives so many seconds after the stream's first sample.
func final(seq uint32, start, end, closed, arrives float64, text string) rig.Message {
	m := rig.Message{At: zero + int64(arrives*1e9), Type: "Results", IsFinal: true, Start: start, Duration: end - start}
	m.Channel.Alternatives = []rig.Alternative{{Transcript: text}}
	m.Rtap.Stream, m.Rtap.Seq, m.Rtap.Epoch, m.Rtap.Segment = "s", seq, 1, fmt.Sprint("segment ", seq)
	m.Rtap.ClosedAt, m.Rtap.ClosedBy = closed, "silence"
	return m
}

func interim(segment int, arrives float64, text string, committed int) rig.Message {
	m := final(0, 0, 0, 0, arrives, text)
	m.IsFinal, m.Rtap.Segment, m.Rtap.CommittedChars = false, fmt.Sprint("segment ", segment), committed
	return m
}

func stream(messages ...rig.Message) []measure.Stream {
	s := measure.Stream{Recording: recording(), Zero: zero}
	s.Take(messages)
	return []measure.Stream{s}
}

func near(a, b float64) bool { return math.Abs(a-b) < 0.2 }

func TestEnds(t *testing.T) {
	// The pause at 4 s is too short to count; 3 ends remain.
	good := []rig.Message{
		final(1, .8, 2.06, 2.2, 2.25, "One two three."), final(2, 2.8, 5.06, 5.2, 5.3, "four five six seven"), final(3, 7.8, 9.06, 9.2, 9.25, "x"),
	}
	for name, tt := range map[string]struct {
		messages []rig.Message
		ttfs     []float64
		want     measure.Ends
	}{
		"all well":              {good, []float64{250, 300, 250}, measure.Ends{Expected: 3, Segments: 3}},
		"nothing for the first": {good[1:], []float64{300, 250}, measure.Ends{Expected: 3, Segments: 2, Unheard: 1}},
		"the last words lost": {[]rig.Message{final(1, .8, 1.6, 1.7, 1.8, "One two"), good[1], good[2]}, []float64{300, 250},
			measure.Ends{Expected: 3, Segments: 3, TailUnheard: 1, Inside: 1}},
		"closed too late": {[]rig.Message{final(1, .8, 5.06, 5.2, 5.3, "One two three four"), good[2]}, []float64{3300, 300, 250},
			measure.Ends{Expected: 3, Segments: 2, RunOn: 1}},
		"cut inside": {[]rig.Message{final(1, .8, 1.4, 1.5, 1.55, "One"), final(4, 1.4, 2.06, 2.2, 2.25, "two three"), good[1], good[2]},
			[]float64{250, 300, 250}, measure.Ends{Expected: 3, Segments: 4, Inside: 1}},
		"closed just before the label": {[]rig.Message{final(1, .8, 1.9, 1.97, 2.02, "One two three"), good[1], good[2]},
			[]float64{20, 300, 250}, measure.Ends{Expected: 3, Segments: 3}},
		"text out of nothing": {append(slices.Clone(good), final(4, 10, 11, 11.2, 11.3, "Thanks.")), []float64{250, 300, 250},
			measure.Ends{Expected: 3, Segments: 4, NoSpeech: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got := measure.CountEnds(stream(tt.messages...))
			if !slices.EqualFunc(got.TTFS, tt.ttfs, func(e measure.End, ms float64) bool { return near(e.MS, ms) }) {
				t.Errorf("TTFS %+v, want %v", got.TTFS, tt.ttfs)
			}
			for _, p := range got.Pipeline {
				if p < 40 || p > 110 {
					t.Errorf("pipeline %v", got.Pipeline)
				}
			}
			if n := len(got.TTFS); n > 0 && !got.TTFS[n-1].Hand {
				t.Error("the last end is labelled by hand")
			}
			got.TTFS, got.Pipeline = nil, nil
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	forced := good[0]
	forced.Rtap.ClosedBy = "max_segment"
	if got := measure.CountEnds(stream(forced)); got.Forced != 1 || got.Inside != 0 {
		t.Errorf("forced: %+v", got)
	}
	eager := final(1, .8, 1.4, 1.5, 1.55, "One")
	eager.Rtap.ClosedBy = "sentence_end"
	if got := measure.CountEnds(stream(eager)); got.Eager != 1 || got.Inside != 1 || got.Forced != 0 {
		t.Errorf("eager: %+v", got)
	}
	if got := measure.CountEnds(stream(good[0])).TTFS[0].Closing; !near(got, 200) {
		t.Errorf("closing %g", got)
	}
}

func TestOrder(t *testing.T) {
	a, b, c := final(1, .8, 2, 2.2, 2.3, "a"), final(2, 2.8, 5, 5.2, 5.3, "b"), final(3, 7.8, 9, 9.2, 9.3, "c")
	again := a
	again.Rtap.Epoch = 2
	again.Rtap.Seq = 4
	for name, tt := range map[string]struct {
		messages []rig.Message
		want     measure.Disorder
	}{
		"well": {[]rig.Message{a, b, c}, measure.Disorder{}}, "hole": {[]rig.Message{a, c}, measure.Disorder{Holes: 1}},
		"doubled": {[]rig.Message{a, b, b, c}, measure.Disorder{Doubled: 1}}, "order": {[]rig.Message{b, a, c}, measure.Disorder{OutOfOrder: 1}},
		"played again": {[]rig.Message{a, b, c, again}, measure.Disorder{Restarted: 1}}, "nothing": {nil, measure.Disorder{}},
	} {
		if got := stream(tt.messages...)[0]; got.Wrong != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got.Wrong, tt.want)
		}
	}
	end := rig.Message{Type: "StreamEnd"}
	end.Rtap.Stream = "s"
	marker := rig.Message{Type: "SpeechStarted"}
	marker.Rtap.Stream = "s"
	other := a
	other.Rtap.Stream = "t"
	if s := stream(a, marker, other, end)[0]; !s.Ended || len(s.Finals) != 1 || len(s.Interims) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestRate(t *testing.T) {
	for name, tt := range map[string]struct {
		messages                 []rig.Message
		replaced, missing, added int
		a, b                     measure.Cluster
	}{
		"right": {[]rig.Message{final(1, .8, 2, 2.2, 2.3, "one two, three"), final(2, 2.8, 5, 5.2, 5.3, "four five six seven")}, 0, 0, 0,
			measure.Cluster{Words: 3}, measure.Cluster{Words: 4}},
		"in several finals": {[]rig.Message{final(1, .8, 1.5, 1.6, 1.7, "One"), final(2, 1.5, 2, 2.2, 2.3, "two tree"), final(3, 2.8, 5, 5.2, 5.3, "five six seven")},
			1, 1, 0, measure.Cluster{Errors: 1, Words: 3}, measure.Cluster{Errors: 1, Words: 4}},
		"one final for both": {[]rig.Message{final(1, .8, 5, 5.2, 5.3, "one two three four five six seven eight")}, 0, 0, 1,
			measure.Cluster{Words: 3}, measure.Cluster{Errors: 1, Words: 4}},
		"invented in a pause": {[]rig.Message{final(1, .8, 2, 2.2, 2.3, "one two three"), final(2, 2.2, 2.6, 2.7, 2.8, "so"), final(3, 2.8, 5, 5.2, 5.3, "four five six seven")},
			0, 0, 1, measure.Cluster{Errors: 1, Words: 3}, measure.Cluster{Words: 4}},
		"without a text it does not count": {[]rig.Message{final(1, .8, 2, 2.2, 2.3, "one two three"), final(2, 2.8, 5, 5.2, 5.3, "four five six seven"),
			final(3, 7.8, 9, 9.2, 9.3, "who knows")}, 0, 0, 0, measure.Cluster{Words: 3}, measure.Cluster{Words: 4}},
		"nothing": {nil, 0, 7, 0, measure.Cluster{Errors: 3, Words: 3}, measure.Cluster{Errors: 4, Words: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			got := measure.Rate(stream(tt.messages...))
			if got.Clips["a"] != tt.a || got.Clips["b"] != tt.b || len(got.Clips) != 2 {
				t.Errorf("by clip %+v, want %+v and %+v", got.Clips, tt.a, tt.b)
			}
			if got.Replaced != tt.replaced || got.Missing != tt.missing || got.Added != tt.added || got.Words != 7 ||
				got.Errors != tt.replaced+tt.missing+tt.added {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestFollowWords(t *testing.T) {
	f := final(1, .8, 2.06, 2.2, 2.3, "One two three.")
	f.Channel.Alternatives[0].Words = []rig.Word{{Word: "one", End: 1.2}, {Word: "two", End: 1.6}, {Word: "three", End: 2}}
	got := measure.FollowWords(stream(interim(1, 1.5, "One too", 0), interim(1, 1.8, "One two", 3), interim(1, 2.1, "On two three", 0), f))
	for name, tt := range map[string]struct{ got, want []float64 }{
		"first": {got.First, []float64{300, 200, 100}}, "committed": {got.Committed, []float64{600, 700, 300}},
	} {
		if !slices.EqualFunc(tt.got, tt.want, near) {
			t.Errorf("%s: %v, want %v", name, tt.got, tt.want)
		}
	}
	if got.Words != 3 || got.ByFinal != 0 || got.CommittedByFinal != 2 || got.Retracted != 1 || got.RetractedByFinal != 0 || got.Estimated != 0 || got.Count != 3 {
		t.Errorf("got %+v", got)
	}
	other := final(1, .8, 2.06, 2.2, 2.3, "One too three.")
	if got := measure.FollowWords(stream(interim(1, 1.8, "One two", 7), other)); got.Retracted != 1 || got.RetractedByFinal != 1 {
		t.Errorf("the final takes a committed word back: %+v", got)
	}
	// "too" and then all of "One two" and "On two three" were otherwise next time.
	if got.Changed != 6 || got.Shown != 7 {
		t.Errorf("changed %d of %d", got.Changed, got.Shown)
	}
	// Without aligned times the words lie in the labelled speech, 1 to 2 s, by their letters.
	f.Channel.Alternatives[0].Words = nil
	got = measure.FollowWords(stream(f))
	if want := []float64{1300 - 4000./14, 1300 - 8000./14, 300}; !slices.EqualFunc(got.First, want, near) || got.Estimated != 3 || got.ByFinal != 3 {
		t.Errorf("spread: %v, want %v; %+v", got.First, want, got)
	}
}

func TestDistribute(t *testing.T) {
	var x []float64
	for i := range 1001 {
		x = append(x, float64((i*375)%1001))
	}
	d := measure.Distribute(x)
	if d.N != 1001 || d.P50 != 500 || d.P95 != 950 || d.P99 != 990 || d.Max != 1000 || d.Min != 0 || !near(d.Mean, 500) {
		t.Errorf("%+v", d)
	}
	if d.CI50[0] < 465 || d.CI50[0] > 475 || d.CI50[1] < 525 || d.CI50[1] > 535 || d.CI95[0] >= 950 || d.CI95[1] <= 950 {
		t.Errorf("ranges %v %v", d.CI50, d.CI95)
	}
	if one := measure.Distribute([]float64{7}); one.P50 != 7 || one.CI99 != [2]float64{7, 7} {
		t.Errorf("%+v", one)
	}
	if none := measure.Distribute(nil); none.N != 0 {
		t.Errorf("%+v", none)
	}
}

func TestRanges(t *testing.T) {
	var alike, mixed []measure.Cluster
	for i := range 40 {
		alike = append(alike, measure.Cluster{Errors: 1, Words: 20})
		mixed = append(mixed, measure.Cluster{Errors: 2 * (i % 2), Words: 20})
	}
	if got := measure.RateRange(alike); got != [2]float64{.05, .05} {
		t.Errorf("clusters that are alike: %v", got)
	}
	if got := measure.RateRange(mixed); got[0] > .045 || got[0] < .02 || got[1] < .055 || got[1] > .08 {
		t.Errorf("clusters that are not: %v", got)
	}
	if got := measure.RateRange(alike[:1]); got != [2]float64{0, 1} {
		t.Errorf("a single one: %v", got)
	}
	a := measure.Accuracy{Clips: map[string]measure.Cluster{}, Once: map[string]int{}}
	b := measure.Accuracy{Clips: map[string]measure.Cluster{}, Once: map[string]int{}}
	for i := range 20 {
		name := fmt.Sprint(i)
		// The first is played more often; that must not give it more weight.
		a.Clips[name], a.Once[name] = measure.Cluster{Errors: (i%3 + 1) * (1 + i/19*9), Words: 10 * (1 + i/19*9)}, 10
		b.Clips[name], b.Once[name] = measure.Cluster{Errors: i % 3, Words: 10}, 10
	}
	d := measure.Differ(a, b)
	if !near(100*d.Rate, 19.5) || !near(100*(d.Rate-d.Other), 10) || !near(100*d.Range[0], 10) || !near(100*d.Range[1], 10) {
		t.Errorf("%+v", d)
	}
	delete(b.Clips, "3")
	if got := measure.Differ(a, b); !near(100*(got.Rate-got.Other), 10) {
		t.Errorf("without one: %+v", got)
	}
}
