package report_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
)

func TestCapacity(t *testing.T) {
	r := good()
	r.Setup.Streams, r.Setup.Seconds, r.Setup.SpeechSeconds = 2, 1000, 1600 // speech for 80 % of the time
	r.Load.SpeakingCPU = 60
	r.Processes = []report.Process{
		{Name: "nats-server", IdleCPU: 4, SpeakingCPU: 8, ReadKB: 500, WrittenKB: 700, DiskKB: 100, RSSMaxMB: 40},
		{Name: "rtap-stt", IdleCPU: 0, SpeakingCPU: 40, RSSMaxMB: 290}, {Name: "rtap-stt", IdleCPU: 0, SpeakingCPU: 12, RSSMaxMB: 280},
	}
	r.Storage = map[string]rig.Stored{"RTAP_AUDIO": {Messages: 1000, Bytes: 1200e3}, "RTAP_TRANSCRIPTS": {Bytes: 400e3}}
	n, err := r.Capacity(8, .4, 10*time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Four times the streams, half the speech: recognition doubles, the server has 4 + 2 for two streams.
	near := func(name string, got, want float64) {
		if math.Abs(got-want) > 1e-6*math.Abs(want) {
			t.Errorf("%s: %g, want %g", name, got, want)
		}
	}
	near("stt", n.Cores["stt"], 1.04)
	near("nats", n.Cores["nats-server"], .24)
	near("busy", n.Busy, 1.28)
	near("have", n.Have, 1.28/.7)
	near("streams a core", n.PerCore, 8/(1.28/.7))
	near("CPU a stream", n.Each, .16)
	near("memory", n.AllMB, 610)
	near("in", n.InKB, 2000)
	near("out", n.OutKB, 2800)
	near("disk", n.DiskGBDay, 34.56)
	near("audio", n.AudioMB, 8*1.2*31.25*600/1000)
	near("text", n.TextMBDay, 8*.5*200*86400/1e6)
	if full, err := r.Capacity(2, 1, 0, nil); err != nil || math.Abs(full.Cores["stt"]-.52) > 1e-9 {
		t.Errorf("more speech than there was counts as all of it: %+v, %v", full, err)
	}
	var out bytes.Buffer
	if err := n.Text(&out, r); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"stt          1.04   570  -\n", "all          1.28   610  -\n", "memory is that of 2 streams: ", "16.0 % of a core a stream", "memory  610 MB of all processes"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if _, err := good().Capacity(1, 1, 0, nil); !errors.Is(err, report.ErrCapacity) {
		t.Errorf("a report without traffic: %v", err)
	}
}

// TestMemory: what a stream adds is told by two runs that differ in nothing else.
func TestMemory(t *testing.T) {
	run := func(streams int, nats, vad float64) *report.Report {
		r := good()
		r.Setup.Streams, r.Setup.SpeechSeconds, r.Setup.Model = streams, 900*float64(streams), "moonshine-tiny-en"
		r.Processes = []report.Process{
			{Name: "nats-server", SpeakingCPU: 8, RSSMaxMB: nats}, {Name: "rtap-vad", SpeakingCPU: 8, RSSMaxMB: vad}, {Name: "rtap-stt", SpeakingCPU: 9, RSSMaxMB: 300},
		}
		r.Storage = map[string]rig.Stored{"RTAP_AUDIO": {Messages: 1000, Bytes: 1200e3}}
		return r
	}
	few, many := run(2, 40, 80), run(12, 90, 75) // vad's less is noise
	for name, pair := range map[string][2]*report.Report{"few first": {few, many}, "many first": {many, few}} {
		n, err := pair[0].Capacity(22, 1, 0, pair[1])
		vad := pair[0].Processes[1].RSSMaxMB
		if err != nil || n.MB["nats-server"] != 140 || n.Adds["nats-server"] != 5 || n.MB["vad"] != vad || n.Adds["vad"] != 0 || n.AllMB != 440+vad || n.AddsMB != 5 {
			t.Errorf("%s: %+v, %v", name, n.Memory, err)
		}
		var out bytes.Buffer
		if err := n.Text(&out, pair[0]); err != nil || strings.Contains(out.String(), "memory is that of") || !strings.Contains(out.String(), "   140  5.00\n") {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
	other, workers := run(12, 90, 75), run(12, 90, 75)
	other.Setup.Model, workers.Setup.STT = "whisper-base", 2
	for name, second := range map[string]*report.Report{"as many": run(2, 40, 80), "another model": other, "more workers": workers} {
		if _, err := few.Capacity(22, 1, 0, second); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
