package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TestWallClockSteps: capture's wall clock goes an hour ahead and two back in the middle of
// speech; the words come, and no latency of a final or an interim is negative or longer than the test has run.
func TestWallClockSteps(t *testing.T) {
	p := up(t, "--source", "listen")
	ready(t, p)
	cfg := config.Default()
	cfg.NATS.URL = fmt.Sprintf("nats://127.0.0.1:%d", p.natsTCP)
	b := testkit.Connect(t, cfg)
	// Two readings: the steps come within the first and between the two.
	speech := testkit.PCM(t, "jfk.wav")
	speech = append(append(append([]float32{}, speech...), make([]float32, 16000)...), speech...)
	began := time.Now()
	const samples, pace = 512, 16 * time.Millisecond
	count := len(speech) / samples
	for n := range count {
		f := &rtapv1.Frame{
			StreamId: "s", Epoch: 1, Frame: uint64(n), Clock: clock.Now(), SampleRateHz: 16000, Channels: 1,
			Source: "test", End: n == count-1, Pcm: make([]byte, 2*samples),
		}
		for i, x := range speech[n*samples : (n+1)*samples] {
			v := uint16(int16(32767 * max(-1, min(1, x))))
			f.Pcm[2*i], f.Pcm[2*i+1] = byte(v), byte(v>>8)
		}
		step := []time.Duration{0, time.Hour, -time.Hour}[3*n/count]
		f.Clock.CapturedAt = timestamppb.New(f.GetClock().GetCapturedAt().AsTime().Add(step))
		data, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.JS().Publish(t.Context(), bus.Audio("s"), data); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pace) // or everything is final before an interim is made
	}
	giveUp := time.AfterFunc(3*time.Minute, p.terminate)
	defer giveUp.Stop()
	var finals []*rtapv1.Results
	for p.out.Scan() {
		r := &rtapv1.Results{}
		if err := protojson.Unmarshal(p.out.Bytes(), r); err != nil {
			t.Fatalf("stdout: %v: %s", err, p.out.Text())
		}
		finals = append(finals, r)
		most := float64(time.Since(began).Milliseconds() + 1)
		l := r.GetRtap().GetLatencyMs()
		for name, ms := range map[string]float64{
			"vad": l.GetVad(), "queue": l.GetQueue(), "stt": l.GetStt(),
			"pipeline": l.GetPipeline(), "speech_end_to_final": l.GetSpeechEndToFinal(),
		} {
			if ms < 0 || ms > most {
				t.Errorf("final %d: %s is %.0f ms, the test has run for %.0f", r.GetRtap().GetSeq(), name, ms, most)
			}
		}
		if l.GetPipeline() == 0 || r.GetRtap().GetUnsynchronised() {
			t.Errorf("final %d: latency %v, unsynchronised %v on one host", r.GetRtap().GetSeq(), l, r.GetRtap().GetUnsynchronised())
		}
		if wrong, words := wer.Errors(jfk+" "+jfk, text(finals)); wrong <= words/7 {
			break
		}
	}
	wrong, words := wer.Errors(jfk+" "+jfk, text(finals))
	t.Logf("%d finals, %d of %d words wrong", len(finals), wrong, words)
	if wrong > words/7 {
		t.Errorf("%d of %d words wrong: %s", wrong, words, text(finals))
	}
	g := &gateway{http: p.http}
	most := time.Since(began).Seconds()
	for _, series := range []string{"rtap_pipeline_latency_seconds", "rtap_interim_latency_seconds"} {
		sum, n := g.metric(t, series+`_sum{stream="s"}`), g.metric(t, series+`_count{stream="s"}`)
		if n == 0 || sum < 0 || sum > n*most {
			t.Errorf("%s: %.3f s in %.0f texts, the test has run for %.0f s", series, sum, n, most)
		}
	}
	p.terminate()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("rtap up: %v", err)
	}
}
