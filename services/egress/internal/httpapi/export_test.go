package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// talk is a stream of two sources one after the other, with what may happen to one.
func talk(g *gateway) {
	captured := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	at := func(epoch uint32, utterance string, seconds float64) func(*rtapv1.Results) {
		return func(r *rtapv1.Results) {
			p := r.GetRtap()
			p.Epoch, p.UtteranceId, p.ClosedAt = epoch, utterance, r.GetStart()+r.GetDuration()
			p.CapturedAt = timestamppb.New(captured.Add(time.Duration(seconds * float64(time.Second))))
		}
	}
	g.say("mic", "and so my fellow <b>Americans", 1, at(1, "u1", 1+5*0.333))
	g.say("mic", "ask not, what your country can do for you", 4, at(1, "u1", 4+9*0.333))
	g.utterance("mic", "And so my fellow <b>Americans. Ask not, what your country can do for you.")
	g.say("mic", "no times here", 10, func(r *rtapv1.Results) {
		at(1, "u2", 11)(r)
		r.GetChannel().GetAlternatives()[0].Words = nil
	})
	g.end("mic")
	g.say("mic", "again", 2, at(2, "u3", 62.333)) // the source began a minute after the first one
	g.utterance("mic", "Again and more.")         // other words than those of its segments
	g.say("mic", "late", 7, func(r *rtapv1.Results) { at(1, "u1", 7.333)(r); r.Rtap.Late = true })
	g.say("mic", "still open", 5, at(2, "u4", 65.666))
}

func TestExports(t *testing.T) {
	g := start(t, nil)
	talk(g)
	for file, want := range map[string]struct{ contentType, body string }{
		"mic.txt": {"text/plain; charset=utf-8", `And so my fellow <b>Americans. Ask not, what your country can do for you.
no times here
again
late
still open
`},
		"mic.srt": {"application/x-subrip; charset=utf-8", `1
00:00:01,000 --> 00:00:02,632
And so my fellow <b>Americans.

2
00:00:04,000 --> 00:00:06,964
Ask not, what your country can do for you.

3
00:00:10,000 --> 00:00:11,000
no times here

4
00:01:02,000 --> 00:01:03,000
again

5
00:00:07,000 --> 00:00:08,000
late

6
00:01:05,000 --> 00:01:06,000
still open

`},
	} {
		code, contentType, body := g.get("/v1/transcripts/" + file)
		if code != 200 || contentType != want.contentType || body != want.body {
			t.Errorf("%s: %d %s:\n%s\nwant\n%s", file, code, contentType, body, want.body)
		}
	}
	_, _, vtt := g.get("/v1/transcripts/mic.vtt")
	if !strings.HasPrefix(vtt, "WEBVTT\n\n00:00:01.000 --> 00:00:02.632\nAnd so my fellow &lt;b&gt;Americans.\n\n00:00:04.000") {
		t.Errorf("vtt %s", vtt)
	}
	if _, _, part := g.get("/v1/transcripts/mic.txt?from_seq=4"); part != "again\nlate\nstill open\n" {
		t.Errorf("from the fourth on: %q", part)
	}
}

func TestExportAsJSON(t *testing.T) {
	g := start(t, nil)
	talk(g)
	code, contentType, body := g.get("/v1/transcripts/mic.json")
	var got struct {
		LogID   string `json:"log_id"`
		Stream  string `json:"stream_id"`
		Entries []struct {
			Type string `json:"type"`
		} `json:"entries"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 || contentType != "application/json" {
		t.Fatalf("%d %s %v: %s", code, contentType, err, body)
	}
	want := "[{Results} {Results} {UtteranceEnd} {Results} {StreamEnd} {Results} {UtteranceEnd} {Results} {Results}]"
	if got.Stream != "mic" || got.LogID == "" || fmt.Sprint(got.Entries) != want {
		t.Errorf("export %+v", got)
	}
}

// TestLongExport: more than one piece, in order, none left out.
func TestLongExport(t *testing.T) {
	g := start(t, nil)
	const n = 600
	for i := range n {
		g.say("long", fmt.Sprint("word", i), float64(i), nil)
		g.utterance("long", "")
	}
	_, _, body := g.get("/v1/transcripts/long.txt")
	lines := strings.Fields(body)
	if len(lines) != n || lines[0] != "word0" || lines[n-1] != fmt.Sprint("word", n-1) {
		t.Errorf("%d lines, from %s to %s", len(lines), lines[0], lines[len(lines)-1])
	}
}
