package test

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rtap/rtap/pkg/wer"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const rate16k = "sample_rate=16000"

// mostly fails when more than one word in five is wrong: single clips vary with where
// segments end.
func mostly(t *testing.T, what, want string, finals []*rtapv1.Results) {
	t.Helper()
	got := transcript(finals)
	errs, words := wer.Errors(want, got)
	t.Logf("%s: %d of %d words wrong: %s", what, errs, words, got)
	if errs > words/5 {
		t.Errorf("%s: %d of %d words wrong: %s", what, errs, words, got)
	}
}

func TestRemoteClients(t *testing.T) {
	p := listening(t, "--stt", "2", "--set", "egress.listen_api.idle_timeout=10s")
	audio := converted(t, "jfk.wav", 16000, 1)

	t.Run("in real time", func(t *testing.T) {
		t.Parallel()
		c := p.call(t, rate16k+"&interim_results=true&vad_events=true&model=nova-3&utterance_end_ms=1000&endpointing=300")
		c.play(t, audio, 640, 32000)
		mostly(t, "20 ms", jfk, c.finish(t))
		if len(c.of("SpeechStarted")) == 0 || len(c.of("UtteranceEnd")) == 0 {
			t.Errorf("%d SpeechStarted, %d UtteranceEnd", len(c.of("SpeechStarted")), len(c.of("UtteranceEnd")))
		}
		if interims := len(c.of("Results")) - len(c.finals); interims == 0 {
			t.Error("no interim came")
		}
		if m := c.of("Metadata")[0]; m["duration"] != 11.0 || !strings.Contains(fmt.Sprint(m["warnings"]), "nova-3") || !strings.Contains(fmt.Sprint(m["warnings"]), "endpointing=300") || !strings.Contains(fmt.Sprint(m["model_info"]), "moonshine") {
			t.Errorf("metadata %v", m)
		}
		if !bytes.Equal(p.heard(t, c.stream), audio) {
			t.Error("the pipeline heard something else than the client sent")
		}
	})
	for name, tt := range map[string]struct{ rate, channels, piece int }{
		"odd pieces": {16000, 1, 1237}, "one byte too many": {16000, 1, 641}, "8 kHz": {8000, 1, 320},
		"48 kHz": {48000, 1, 1920}, "44.1 kHz, one-sided stereo": {44100, 2, 4001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := converted(t, "jfk.wav", tt.rate, tt.channels) // takes a while: first, or the client is idle
			c := p.call(t, fmt.Sprintf("sample_rate=%d&channels=%d", tt.rate, tt.channels))
			c.play(t, sent, tt.piece, 0)
			mostly(t, name, jfk, c.finish(t))
			if n := len(c.of("UtteranceEnd")); n > 0 {
				t.Errorf("%d UtteranceEnd for a client that did not ask for them", n)
			}
			heard := p.heard(t, c.stream)
			if tt.rate == 16000 && !bytes.Equal(heard, audio) {
				t.Error("the pipeline heard something else than the client sent")
			}
			if len(heard) != len(audio) {
				t.Errorf("%d samples were heard, want %d", len(heard)/2, len(audio)/2)
			}
		})
	}
	t.Run("KeepAlive", func(t *testing.T) {
		t.Parallel()
		c := p.call(t, rate16k)
		half := len(audio) / 4 * 2
		c.play(t, audio[:half], 3200, 0)
		for range 8 { // more than the idle timeout
			time.Sleep(1500 * time.Millisecond)
			c.say(t, "KeepAlive")
		}
		c.play(t, audio[half:], 3200, 0)
		c.finish(t)
		if !bytes.Equal(p.heard(t, c.stream), audio) {
			t.Error("the pipeline heard something else than the client sent")
		}
	})
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		c := p.call(t, rate16k)
		c.play(t, audio, 3200, 0)
		<-c.done
		if c.code != websocket.CloseInternalServerErr || c.reason != "NET-0001" {
			t.Errorf("closed with %d %s", c.code, c.reason)
		}
		mostly(t, "the log of an idle client", jfk, p.logged(t, c.stream))
	})
	t.Run("vanished", func(t *testing.T) {
		t.Parallel()
		c := p.call(t, rate16k+"&stream=vanished")
		c.play(t, audio, 3200, 0)
		_ = c.conn.NetConn().Close()
		mostly(t, "the log of a client that vanished", jfk, p.logged(t, "vanished"))
		if !bytes.Equal(p.heard(t, "vanished"), audio) {
			t.Error("the pipeline heard something else than the client sent")
		}
		// Its id is free again.
		again := p.call(t, rate16k+"&stream=vanished")
		again.play(t, audio[:32000], 3200, 0)
		again.finish(t)
	})
}

// TestRemoteFinalize asks for finals in the middle of words and in silence.
func TestRemoteFinalize(t *testing.T) {
	p := listening(t)
	audio := converted(t, "jfk.wav", 16000, 1)
	c := p.call(t, rate16k+"&interim_results=true")
	answers := func() (n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, f := range c.finals {
			if f.GetFromFinalize() {
				n++
			}
		}
		return n
	}
	at := 0
	for n, seconds := range []float64{1.1, 1.3, 6.2, 9.05} {
		to := int(seconds*16000) * 2
		c.play(t, audio[at:to], 640, 32000)
		at = to
		c.say(t, "Finalize")
		within(t, fmt.Sprintf("answer to Finalize at %.2f s", seconds), func() bool { return answers() == n+1 })
	}
	c.play(t, audio[at:], 640, 32000)
	finals := c.finish(t)
	got := transcript(finals)
	t.Log(got)
	for _, word := range []string{"fellow", "country", "ask what you can do"} {
		if !strings.Contains(strings.ToLower(got), strings.Fields(word)[0]) {
			t.Errorf("%q is missing: %s", word, got)
		}
	}
	forced := 0
	for _, f := range finals {
		if f.GetFromFinalize() {
			if !f.GetSpeechFinal() {
				t.Errorf("a final by Finalize has speech_final false: %v", f.GetChannel())
			}
			if f.GetRtap().GetSeq() > 0 {
				forced++
			}
		}
		if end := f.GetStart() + f.GetDuration(); end > 11.001 {
			t.Errorf("a final ends at %.3f s of 11 s of audio", end)
		}
	}
	if forced == 0 {
		t.Error("no segment was closed by Finalize")
	}
	// The frames that were filled up are known: without their silence it is what was sent.
	heard := p.heard(t, c.stream)
	if len(heard) <= len(audio) || len(heard) > len(audio)+4*1024 {
		t.Errorf("%d bytes were heard of %d", len(heard), len(audio))
	}
}

// TestRemoteClientSurvivesDeaths kills processes while a client talks. Every sample that it
// sent must be heard once, and all it says be in the finals, which it gets on the same
// connection unless that was the gateway's own death.
func TestRemoteClientSurvivesDeaths(t *testing.T) {
	audio := converted(t, "jfk.wav", 16000, 1)
	p := listening(t, "--set", "egress.listen_api.idle_timeout=10s")
	undisturbed := p.call(t, rate16k)
	undisturbed.play(t, audio, 640, 32000)
	want := transcript(undisturbed.finish(t))
	for name, tt := range map[string]struct {
		process string
		times   []time.Duration
	}{
		"capture":     {"rtap-capture", []time.Duration{2500 * time.Millisecond, 4 * time.Second, 7 * time.Second}},
		"nats-server": {"rtap", []time.Duration{6 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			c := p.call(t, rate16k)
			kill := make(chan int)
			go func() {
				killed := 0
				defer func() { kill <- killed }()
				began := time.Now()
				for _, at := range tt.times {
					time.Sleep(time.Until(began.Add(at)))
					for _, pid := range children(t, p.cmd.Process.Pid, tt.process) {
						if syscall.Kill(pid, syscall.SIGKILL) == nil {
							killed++
						}
					}
				}
			}()
			c.play(t, audio, 640, 32000)
			if killed := <-kill; killed != len(tt.times) {
				t.Errorf("%d processes were killed, want %d", killed, len(tt.times))
			}
			mostly(t, "through the death of "+name, want, c.finish(t))
			if !bytes.Equal(p.heard(t, c.stream), audio) {
				t.Error("the pipeline heard something else than the client sent")
			}
		})
	}
	t.Run("gateway", func(t *testing.T) {
		c := p.call(t, rate16k+"&stream=orphan")
		half := len(audio) / 4 * 2
		c.play(t, audio[:half], 640, 32000)
		time.Sleep(300 * time.Millisecond)
		for _, pid := range children(t, p.cmd.Process.Pid, "rtap-egress") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-c.done
		ready(t, p)
		// Capture ends the stream of the dead gateway; what was said stays in the log.
		p.logged(t, "orphan")
		if heard := p.heard(t, "orphan"); !bytes.HasPrefix(audio, heard) || len(heard) < half-3200 {
			t.Errorf("%d bytes were heard of %d that were sent", len(heard), half)
		}
	})
}
