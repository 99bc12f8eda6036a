package oracle_test

import (
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/test/chaos/oracle"
)

// final of so many seconds.
func final(seq, ordinal uint32, start, end float64, text string) wire.Entry {
	return wire.Entry{Results: &rtapv1.Results{
		Start: start, Duration: end - start, IsFinal: true,
		Channel: &rtapv1.Channel{Alternatives: []*rtapv1.Alternative{{Transcript: text}}},
		Rtap:    &rtapv1.ResultsRtap{Seq: seq, Ordinal: ordinal},
	}}
}

func end(seq, ordinal uint32) wire.Entry {
	return wire.Entry{StreamEnd: &rtapv1.StreamEnd{Rtap: &rtapv1.MarkerRtap{AfterSeq: seq, Ordinal: ordinal}}}
}

func TestJudge(t *testing.T) {
	rec := &material.Recording{Parts: []material.Part{{Text: "known", Speech: []material.Interval{{Start: 16000, End: 48000}, {Start: 80000, End: 112000}}}}}
	const one, two = "ask not what your country", "can do for you"
	good := []wire.Entry{final(1, 1, 0.9, 3.1, one), final(2, 2, 4.8, 7.1, two), end(2, 3)}
	ref := oracle.NewReference(rec, good)
	gap := final(2, 2, 4.8, 7.1, two)
	gap.Results.Rtap.GapMs = 64
	for name, tt := range map[string]struct {
		log                                 []wire.Entry
		lost, doubled, disorder, cut, split int
	}{
		"the same":          {log: good},
		"no end":            {log: good[:2], lost: 1},
		"a final lost":      {log: []wire.Entry{good[0], end(1, 3)}, lost: 2, cut: 1},
		"a final shortened": {log: []wire.Entry{good[0], final(2, 2, 5.3, 7.1, "for you"), end(2, 3)}, lost: 1},
		"words cut":         {log: []wire.Entry{good[0], final(2, 2, 4.8, 7.1, "you"), end(2, 3)}, cut: 1},
		"a word misheard":   {log: []wire.Entry{good[0], final(2, 2, 4.8, 7.1, "can do four you"), end(2, 3)}},
		"a gap":             {log: []wire.Entry{good[0], gap, end(2, 3)}, lost: 1},
		"no result":         {log: []wire.Entry{good[0], good[1], end(2, 4)}, lost: 1},
		"split":             {log: []wire.Entry{good[0], final(2, 2, 4.8, 6, "can do"), final(3, 3, 6, 7.1, "for you"), end(3, 4)}, split: 1},
		"heard twice":       {log: []wire.Entry{good[0], good[1], final(3, 3, 5, 7.1, two), end(3, 4)}, doubled: 1},
		"an ordinal twice":  {log: []wire.Entry{good[0], good[1], final(3, 2, 8, 9, ""), end(3, 3)}, doubled: 1},
		"a hole in seq":     {log: []wire.Entry{good[0], final(3, 2, 4.8, 7.1, two), end(3, 3)}, disorder: 1},
		"an ordinal back":   {log: []wire.Entry{final(1, 2, 0.9, 3.1, one), final(2, 1, 4.8, 7.1, two), end(2, 3)}, disorder: 1},
	} {
		v := oracle.Judge(rec, ref, tt.log, nil, oracle.Faults{})
		if v.Lost != tt.lost || v.Doubled != tt.doubled || v.Disorder != tt.disorder || v.Cut != tt.cut || v.Split != tt.split {
			t.Errorf("%s: lost %d, doubled %d, out of order %d, cut %d, split %d: %s", name, v.Lost, v.Doubled, v.Disorder, v.Cut, v.Split, strings.Join(v.Notes, "; "))
		}
	}
	v := oracle.Judge(rec, ref, good, nil, oracle.Faults{})
	if v.Expected != 2 || v.Finals != 2 || v.Followed != 3 || v.Bad() {
		t.Errorf("%+v", v)
	}
	v.Agree("all of it", good, good, 0, 0)
	if v.Bad() {
		t.Errorf("%+v", v)
	}
	v.Agree("less", good, good[:1], 0, 0)
	v.Agree("twice", good, good, 1, 0)
	if v.Disorder != 1 || v.Doubled != 1 {
		t.Errorf("%+v", v)
	}
}

func TestUnheardIsNotExpected(t *testing.T) {
	rec := &material.Recording{Parts: []material.Part{{Text: "known", Speech: []material.Interval{{Start: 0, End: 1600}, {Start: 16000, End: 48000}}}}}
	log := []wire.Entry{final(1, 1, 1, 3, "yes"), end(1, 2)}
	if v := oracle.Judge(rec, nil, log, nil, oracle.Faults{}); v.Expected != 1 || v.Unheard != 1 || v.Bad() {
		t.Errorf("%+v", v)
	}
}

func TestResults(t *testing.T) {
	rec := &material.Recording{Parts: []material.Part{{Speech: []material.Interval{{Start: 16000, End: 48000}}}}}
	ref := oracle.NewReference(rec, []wire.Entry{final(1, 1, 0.9, 3.1, "mumble"), end(1, 2)})
	empty := &rtapv1.Result{Ordinal: 1, Kind: rtapv1.Result_KIND_EMPTY, Span: &rtapv1.Span{StartSample: 15000, EndSample: 49000}}
	if v := oracle.Judge(rec, ref, []wire.Entry{end(0, 2)}, []*rtapv1.Result{empty}, oracle.Faults{}); v.Bad() || v.Empty != 1 {
		t.Errorf("nobody knows its words: %+v", v)
	}
	rec.Parts[0].Text = "known"
	if v := oracle.Judge(rec, ref, []wire.Entry{end(0, 2)}, []*rtapv1.Result{empty, empty}, oracle.Faults{}); v.Lost != 1 || v.Doubled != 1 {
		t.Errorf("its words are known, and the ordinal has two results: %+v", v)
	}
	if v := oracle.Judge(rec, ref, []wire.Entry{end(0, 2)}, []*rtapv1.Result{empty}, oracle.Faults{NoContext: true}); v.Lost != 1 {
		t.Errorf("two seconds are lost with and without what was before: %+v", v)
	}
	rec.Parts[0].Speech[0].End = 22000
	if v := oracle.Judge(rec, ref, []wire.Entry{end(0, 2)}, []*rtapv1.Result{empty}, oracle.Faults{NoContext: true}); v.Bad() || v.Empty != 1 {
		t.Errorf("a short word, and what was before it was gone: %+v", v)
	}
}

// TestHeardWithTheNext: a word that is not believed by itself stands in the final after it.
func TestHeardWithTheNext(t *testing.T) {
	rec := &material.Recording{Parts: []material.Part{{Text: "known", Speech: []material.Interval{{Start: 8000, End: 12000}, {Start: 16000, End: 48000}}}}}
	ref := oracle.NewReference(rec, []wire.Entry{final(1, 1, 0.4, 0.8, "And"), final(2, 2, 0.9, 3.1, "it is worth it"), end(2, 3)})
	empty := []*rtapv1.Result{{Ordinal: 1, Kind: rtapv1.Result_KIND_EMPTY, Span: &rtapv1.Span{StartSample: 6400, EndSample: 12800}}}
	for text, lost := range map[string]int{"And it is worth it": 0, "it is worth it": 1, "Band it is worth it": 1} {
		v := oracle.Judge(rec, ref, []wire.Entry{final(1, 2, 0.9, 3.1, text), end(1, 3)}, empty, oracle.Faults{})
		if v.Lost != lost || v.Empty != 1-lost {
			t.Errorf("%q: %+v", text, v)
		}
	}
	if v := oracle.Judge(rec, ref, []wire.Entry{final(1, 1, 0.9, 3.1, "And it is worth it"), end(1, 2)}, nil, oracle.Faults{}); v.Lost != 1 {
		t.Errorf("it was not even segmented: %+v", v)
	}
}

// TestPassedOver: when an empty result was deleted before anybody saw it, its ordinal is missing in the log.
func TestPassedOver(t *testing.T) {
	mumbled := &material.Recording{Parts: []material.Part{{Speech: []material.Interval{{Start: 16000, End: 32000}, {Start: 48000, End: 64000}, {Start: 80000, End: 96000}}}}}
	whole := []wire.Entry{final(1, 1, 0.9, 2.1, "mumble"), final(2, 2, 2.9, 4.1, "mumble"), final(3, 3, 4.9, 6.1, "mumble"), end(3, 4)}
	ref := oracle.NewReference(mumbled, whole)
	for name, tt := range map[string]struct {
		log         []wire.Entry
		empty, lost int
	}{
		"in the middle":    {[]wire.Entry{whole[0], final(2, 3, 4.9, 6.1, "mumble"), end(2, 4)}, 1, 0},
		"at the end":       {[]wire.Entry{whole[0], whole[1], end(2, 4)}, 1, 0},
		"at the beginning": {[]wire.Entry{final(1, 2, 2.9, 4.1, "mumble"), final(2, 3, 4.9, 6.1, "mumble"), end(2, 4)}, 1, 0},
		"no such ordinal":  {[]wire.Entry{whole[0], final(2, 2, 4.9, 6.1, "mumble"), end(2, 3)}, 0, 1},
		"another place":    {[]wire.Entry{whole[0], final(2, 3, 2.9, 4.1, "mumble"), end(2, 4)}, 0, 1},
	} {
		if v := oracle.Judge(mumbled, ref, tt.log, nil, oracle.Faults{Unseen: true}); v.Empty != tt.empty || v.Lost != tt.lost {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestRestart(t *testing.T) {
	rec := &material.Recording{Parts: []material.Part{{Text: "known", Speech: []material.Interval{{Start: 16000, End: 48000}, {Start: 80000, End: 112000}}}}}
	good := []wire.Entry{final(1, 1, 0.9, 3.1, "yes"), final(2, 2, 4.8, 7.1, "no"), end(2, 3)}
	ref := oracle.NewReference(rec, good)
	anew := func(e wire.Entry) wire.Entry { e.Results.Rtap.Epoch = 2; return e }
	first := final(1, 1, 0.9, 3.1, "yes")
	first.Results.Rtap.Epoch = 1
	log := []wire.Entry{first, anew(final(2, 2, 0.9, 3.1, "yes")), anew(final(3, 3, 4.8, 7.1, "no")), end(3, 4)}
	if v := oracle.Judge(rec, ref, log, nil, oracle.Faults{Restarts: true}); v.Bad() || v.Expected != 3 {
		t.Errorf("%+v", v)
	}
	if v := oracle.Judge(rec, ref, log, nil, oracle.Faults{}); v.Doubled != 1 {
		t.Errorf("nobody restarted it: %+v", v)
	}
}
