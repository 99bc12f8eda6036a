package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wav"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// record writes a file of 16-bit samples, one slice for each channel, and returns a fast
// source of it.
func record(t *testing.T, stream string, rateHz int, channels ...[]float32) string {
	t.Helper()
	return recorded(t, "fast", stream, rateHz, channels...)
}

// recorded returns a source of the given pace.
func recorded(t *testing.T, pace, stream string, rateHz int, channels ...[]float32) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), stream+".wav")
	if err := os.WriteFile(path, wav.Interleave(rateHz, channels...), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path + "?pace=" + pace + "&stream=" + stream
}

// changed returns samples of which each is f of the one before.
func changed(pcm []float32, f func(i int, x float32) float32) []float32 {
	out := make([]float32, len(pcm))
	for i, x := range pcm {
		out[i] = f(i, x)
	}
	return out
}

// telephone keeps every second sample, each the mean of two, in eight bits.
func telephone(pcm []float32) []float32 {
	out := make([]float32, len(pcm)/2)
	for i := range out {
		out[i] = float32(int((pcm[2*i]+pcm[2*i+1])/2*128)) / 128
	}
	return out
}

// thrice puts two samples between each two.
func thrice(pcm []float32) []float32 {
	out := make([]float32, 0, 3*len(pcm))
	for i, x := range pcm {
		next := pcm[min(i+1, len(pcm)-1)]
		out = append(out, x, x+(next-x)/3, x+2*(next-x)/3)
	}
	return out
}

// problems collects the level warnings of a pipeline, by stream: from the log of events, so that none is
// missed that came before the test had a connection.
func (p *pipeline) problems(t *testing.T) func() map[string][]string {
	t.Helper()
	var mu sync.Mutex
	found := map[string][]string{}
	var c *nats.Conn
	var events jetstream.Consumer
	within(t, "the log of events", func() bool {
		var err error
		if c == nil {
			if c, err = nats.Connect(p.url(), nats.MaxReconnects(-1)); err != nil {
				return false
			}
		}
		js, err := jetstream.New(c)
		if err != nil {
			t.Fatal(err)
		}
		events, err = js.OrderedConsumer(t.Context(), bus.StreamEvents, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{bus.Event("vad", "level"), bus.Event("capture", "level")},
		})
		return err == nil
	})
	following, err := events.Consume(func(m jetstream.Msg) {
		e := &rtapv1.ServiceEvent{}
		if wire.UnmarshalJSON(m.Data(), e) != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		found[e.GetStreamId()] = append(found[e.GetStreamId()], e.GetAttributes()["problem"])
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() map[string][]string {
		following.Stop()
		c.Close()
		mu.Lock()
		defer mu.Unlock()
		return found
	}
}

// TestBadAudio: from audio that is badly recorded the words still come, and where they may
// not, an event says why.
func TestBadAudio(t *testing.T) {
	pcm := testkit.PCM(t, "jfk.wav")
	gain := func(g float32) []float32 { return changed(pcm, func(_ int, x float32) float32 { return g * x }) }
	const lost, mixed = -1, -2
	all := map[string]struct {
		source  string
		wrong   int    // words of 22, at most; lost: nothing is heard; mixed: half of them are there, wherever
		problem string // that is told
	}{
		"as-it-is":    {record(t, "as-it-is", 16000, pcm), 2, ""},
		"clipped":     {record(t, "clipped", 16000, gain(10)), 4, "clipped"},
		"quiet":       {record(t, "quiet", 16000, gain(0.01)), 22, "too_quiet"},
		"a-little":    {record(t, "a-little", 16000, gain(0.1)), 4, ""},
		"one-sided":   {record(t, "one-sided", 16000, pcm, make([]float32, len(pcm))), 4, "one_sided"},
		"inverted":    {record(t, "inverted", 16000, pcm, gain(-1)), lost, "opposite_phase"},
		"half":        {record(t, "half", 48000, thrice(pcm), thrice(gain(-0.5))), 4, "opposite_phase"},
		"telephone":   {record(t, "telephone", 8000, telephone(pcm)), 5, ""},
		"fast":        {record(t, "fast", 48000, thrice(pcm), thrice(pcm)), 3, ""},
		"offset":      {record(t, "offset", 16000, changed(pcm, func(_ int, x float32) float32 { return x/2 + 0.2 })), 6, "dc_offset"},
		"two-at-once": {record(t, "two-at-once", 16000, two(pcm)), mixed, ""},
	}
	args := []string{"--until-done", "--stt", "2", "--set", "stt.interim_interval_ms=0"}
	for _, tt := range all {
		args = append(args, "--source", tt.source)
	}
	p := up(t, args...)
	problems := p.problems(t)
	heard := p.finals(t)
	for stream, tt := range all {
		t.Run(stream, func(t *testing.T) {
			finals := heard[stream]
			wrong, words := wer.Errors(jfk, text(finals))
			t.Logf("%d wrong: %s", wrong, text(finals))
			if n := known(jfk, text(finals)); tt.wrong == mixed {
				if 2*n < words {
					t.Errorf("%d words of the %d are heard: %q", n, words, text(finals))
				}
			} else if tt.wrong == lost && len(finals) > 0 || tt.wrong != lost && (len(finals) == 0 || wrong > tt.wrong) {
				t.Errorf("%d words wrong, at most %d may be: %q", wrong, tt.wrong, text(finals))
			}
			if told := problems()[stream]; (tt.problem == "") != (len(told) == 0) || tt.problem != "" && !slices.Contains(told, tt.problem) {
				t.Errorf("told is %v, want %q", told, tt.problem)
			}
		})
	}
}

// TestChosenChannel: what two channels cancel is heard when one of them is chosen, and nobody is
// warned of the other; a source without it is refused.
func TestChosenChannel(t *testing.T) {
	pcm := testkit.PCM(t, "jfk.wav")
	turned, silence := changed(pcm, func(_ int, x float32) float32 { return -x }), make([]float32, len(pcm))
	p := up(t, "--until-done", "--set", "stt.interim_interval_ms=0", "--set", "audio.channel=1", "--source", record(t, "inverted", 16000, pcm, turned),
		"--source", record(t, "one-sided", 16000, pcm, silence), "--source", record(t, "other-side", 16000, silence, pcm), "--source", record(t, "single", 16000, pcm))
	problems := p.problems(t)
	heard := p.finals(t)
	for stream, want := range map[string][]string{"inverted": nil, "one-sided": nil, "other-side": {"one_sided"}, "single": nil} {
		if told := problems()[stream]; !slices.Equal(told, want) {
			t.Errorf("%s: told is %v, want %v", stream, told, want)
		}
		wrong, _ := wer.Errors(jfk, text(heard[stream]))
		if there := len(heard[stream]) > 0; there != (want == nil) || there && wrong > 4 {
			t.Errorf("%s: %d wrong: %q", stream, wrong, text(heard[stream]))
		}
	}
	ports := freePorts(t, 5)
	code, out := run(t, nil, "up", "--until-done", "--set", "audio.channel=3", "--data-dir", t.TempDir(), "--source", record(t, "two", 16000, pcm, turned),
		"--set", fmt.Sprintf("nats.embedded.port=%d", ports[0]), "--set", fmt.Sprintf("egress.http_port=%d", ports[1]), "--set", fmt.Sprintf("egress.websocket.port=%d", ports[2]),
		"--set", fmt.Sprintf("egress.zmq.transcript_port=%d", ports[3]), "--set", fmt.Sprintf("egress.zmq.event_port=%d", ports[4]))
	if code == 0 || !strings.Contains(out, "audio.channel is 3, and there are 2") {
		t.Errorf("a channel that is not there: exit %d, %s", code, out)
	}
}

// TestChannelsOfRemoteClients: as of files.
func TestChannelsOfRemoteClients(t *testing.T) {
	pcm := testkit.PCM(t, "jfk.wav")
	audio := wav.Interleave(16000, pcm, changed(pcm, func(_ int, x float32) float32 { return -x }))[44:]
	for channel, want := range map[string]string{"mix": "", "2": jfk} {
		t.Run(channel, func(t *testing.T) {
			p := listening(t, "--set", "audio.channel="+channel)
			problems := p.problems(t)
			c := p.call(t, "sample_rate=16000&channels=2")
			c.play(t, audio, 6400, 0)
			finals := c.finish(t)
			told := problems()[c.stream]
			if wrong, _ := wer.Errors(want, text(finals)); want == "" && (len(finals) > 0 || !slices.Equal(told, []string{"opposite_phase"})) || want != "" && (wrong > 5 || len(told) > 0) {
				t.Errorf("%q, told is %v", text(finals), told)
			}
		})
	}
}

// two is a voice over itself, five seconds later.
func two(pcm []float32) []float32 {
	return changed(pcm, func(i int, x float32) float32 { return 0.6 * (x + 0.7*pcm[(i+5*16000)%len(pcm)]) })
}

// known counts the words of a text that are in another.
func known(said, heard string) (n int) {
	all := wer.Words(said)
	for _, word := range wer.Words(heard) {
		if slices.Contains(all, word) {
			n++
		}
	}
	return n
}
