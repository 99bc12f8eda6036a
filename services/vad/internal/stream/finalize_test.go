package stream_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// TestFinalize: what is open becomes a final at once, the utterance goes on, and where
// nothing is open an event says so.
func TestFinalize(t *testing.T) {
	cfg := settings()
	b := testkit.Bus(t, cfg)
	told := make(chan *nats.Msg, 8)
	sub, err := b.Conn().ChanSubscribe(bus.Vad("s", "finalized"), told)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	s := open(t, cfg, b)
	all := frames(1, 0, "..########..########..........")
	for _, at := range []int{6, 20} {
		all[at].Finalize = true
	}
	feed(t, s, all[:7])
	js := jobs(t, b)
	if len(js) != 1 || !js[0].GetFromFinalize() || !js[0].GetSpeechFinal() || js[0].GetSpan().GetEndSample() != 7*512 {
		t.Fatalf("%d jobs, the first is %v", len(js), js[0].GetSpan())
	}
	feed(t, s, all[7:])
	js = jobs(t, b)
	if len(js) != 2 || !js[1].GetFromFinalize() || js[1].GetSpan().GetStartSample() != 7*512 {
		t.Fatalf("%d jobs, the last is %v", len(js), js[len(js)-1].GetSpan())
	}
	if js[1].GetUtteranceId() != js[0].GetUtteranceId() {
		t.Errorf("utterance %s, want %s", js[1].GetUtteranceId(), js[0].GetUtteranceId())
	}
	select {
	case m := <-told:
		t.Errorf("told of %s although a segment was open", m.Data)
	default:
	}
	quiet := frames(1, uint64(len(all)), "....")
	quiet[1].Finalize = true
	feed(t, s, quiet)
	select {
	case m := <-told:
		e := &rtapv1.VadEvent{}
		if err := wire.UnmarshalJSON(m.Data, e); err != nil {
			t.Fatal(err)
		}
		if e.GetType() != "Finalized" || e.GetStreamId() != "s" || e.GetTimestamp() != float64(len(all)+2)*512/16000 {
			t.Errorf("event %v", e)
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing told although no segment was open")
	}
}
