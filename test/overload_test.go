package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
)

// TestFullQueueHoldsBack stops the only recogniser while a minute of speech comes as fast as
// it can, until RTAP_JOBS is full: vad holds back, which its event, its state and the gateway
// say; when the recogniser goes on, every segment comes, once and in order.
func TestFullQueueHoldsBack(t *testing.T) {
	once := testkit.PCM(t, "jfk.wav")
	const times = 6
	recording := testkit.WriteWAV(t, slices.Repeat(once, times))
	p := up(t, "--until-done", "--source", "file:"+recording+"?stream=talk&pace=fast", "--set", "streams.jobs.max_mb=1", "--set", "stt.speculate=false")
	workers := children(t, p.cmd.Process.Pid, "rtap-stt")
	for deadline := time.Now().Add(time.Minute); len(workers) == 0 && time.Now().Before(deadline); workers = children(t, p.cmd.Process.Pid, "rtap-stt") {
		time.Sleep(time.Millisecond)
	}
	if len(workers) != 1 {
		t.Fatalf("workers %v", workers)
	}
	if err := syscall.Kill(workers[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awake := func() { _ = syscall.Kill(workers[0], syscall.SIGCONT) }
	defer awake()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		code, all := p.reasons(t)
		if code == http.StatusServiceUnavailable && strings.Contains(all, "RTAP_JOBS is full, 1 held back (talk)") && strings.Contains(all, `"degraded"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("/health says %d %s", code, all)
		}
		time.Sleep(50 * time.Millisecond)
	}
	conn, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", p.natsTCP))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	over := make(chan map[string]any, 8)
	if _, err := conn.Subscribe(bus.Event("vad", "holding_back"), func(m *nats.Msg) {
		e := map[string]any{}
		if json.Unmarshal(m.Data, &e) == nil {
			over <- e
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	awake()
	got := p.finals(t)["talk"]
	select {
	case e := <-over:
		if e["message"] != "RTAP_JOBS has room again" {
			t.Errorf("event %v", e)
		}
	default:
		t.Error("no event says that it goes on")
	}
	last := uint32(0)
	for _, r := range got {
		if o := r.GetRtap().GetOrdinal(); o <= last {
			t.Errorf("ordinal %d follows %d", o, last)
		}
		last = r.GetRtap().GetOrdinal()
		if gap := r.GetRtap().GetGapMs(); gap > 0 {
			t.Errorf("final %d has a gap of %d ms", r.GetRtap().GetSeq(), gap)
		}
	}
	spoken(t, got, times)
}
