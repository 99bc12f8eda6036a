package test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/synth"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wav"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// empty counts the segments of a pipeline in which nothing was heard, from now until it is
// called, by the reason that stands in their results.
func (p *pipeline) empty(t *testing.T) func() map[string]float64 {
	t.Helper()
	conn, err := nats.Connect(p.url())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	results, err := conn.SubscribeSync(bus.AllResults)
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() map[string]float64 {
		found := map[string]float64{}
		if err := conn.Flush(); err != nil { // what the server has sent until now is here
			t.Fatal(err)
		}
		for n, _, _ := results.Pending(); n > 0; n, _, _ = results.Pending() {
			m, err := results.NextMsg(time.Second)
			r := &rtapv1.Result{}
			if err == nil {
				err = proto.Unmarshal(m.Data, r)
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.GetKind() == rtapv1.Result_KIND_EMPTY {
				found[r.GetReason()]++
			}
		}
		return found
	}
}

// TestNoiseAndSilenceGiveNoText: from every kind of sound comes no text, final or not, and
// each that was dropped is counted for what it was dropped for. Speech behind it is heard,
// in interims too: the pipeline was not just deaf.
func TestNoiseAndSilenceGiveNoText(t *testing.T) {
	const second = synth.SampleRateHz
	var pcm []float32
	for i, kind := range synth.Kinds() {
		for j, peak := range []float64{0.5, 0.1, 0.02} {
			pcm = append(pcm, synth.Sound(kind, (2+(i+j)%3)*second, peak, uint64(10*i+j))...)
		}
	}
	pcm = append(pcm, make([]float32, 2*second)...) // the utterance ends
	speech := float64(len(pcm)) / second
	for name, tt := range map[string]struct {
		args []string
		open bool // the detector lets sounds through, so that the engine has to be silent
	}{
		"as it is":          {nil, false},
		"an eager detector": {[]string{"--set", "vad.onset_threshold=0.02", "--set", "vad.offset_threshold=0.02", "--set", "vad.min_speech_ms=32"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := listening(t, tt.args...)
			empty := p.empty(t)
			at := addresses(t, p)
			c := p.call(t, rate16k+"&interim_results=true")
			c.play(t, wav.Interleave(second, pcm)[44:], 6400, 4*2*second)
			c.play(t, wav.Interleave(second, testkit.PCM(t, "jfk.wav"))[44:], 640, 2*second)
			mostly(t, name, jfk, c.finish(t))
			interims := 0
			for _, m := range c.of("Results") {
				said := m["channel"].(map[string]any)["alternatives"].([]any)[0].(map[string]any)["transcript"]
				if said != "" && m["start"].(float64) < speech-0.5 {
					t.Errorf("where nobody speaks, at %v s, final %v: %q", m["start"], m["is_final"], said)
				}
				if m["is_final"] == false {
					interims++
				}
			}
			if interims == 0 {
				t.Error("no interim came of the speech")
			}
			dropped := empty()
			short := metric(t, at["vad"][0], `rtap_shed_total{reason="short_speech"}`)
			t.Logf("dropped texts %v, short speech %.0f", dropped, short)
			for reason, n := range dropped {
				if counted := metric(t, at["stt"][0], `rtap_shed_total{reason="text_`+reason+`"}`); counted < n {
					t.Errorf("%.0f texts were dropped for %q, %.0f are counted", n, reason, counted)
				}
			}
			if tt.open && len(dropped) == 0 {
				t.Error("no sound came as far as the engine")
			}
		})
	}
}

// TestWordErrorRate plays every recording that has a text through the real processes.
func TestWordErrorRate(t *testing.T) {
	clips, all := recordings(t)
	limit := 15.0 // one word in seven of a single clip
	if all {
		limit = 5
	}
	if got := rate(t, clips, "--stt", "2"); got >= limit {
		t.Errorf("word error rate %.1f, want below %.0f", got, limit)
	}
}
