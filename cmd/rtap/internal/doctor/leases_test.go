package doctor_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

func TestLeases(t *testing.T) {
	held := func(keys ...string) map[string]string {
		out := map[string]string{}
		for i, k := range keys {
			out[k] = fmt.Sprint("host-", i+1)
		}
		return out
	}
	const name = "leases"
	for test, tt := range map[string]struct {
		facts doctor.Leases
		wants []want
	}{
		"all well": {
			doctor.Leases{Holds: held("gateway", "capture.mic", "vad.mic"), Live: []string{"mic"}},
			[]want{{name, doctor.OK, "active gateway host-1; mic captured by host-2; mic segmented by host-3", ""}},
		},
		"many streams of one process": {
			doctor.Leases{Holds: map[string]string{"gateway": "g", "vad.a": "v", "vad.b": "v", "vad.c": "v", "vad.d": "v", "vad.e": "v"}},
			[]want{{name, doctor.OK, "active gateway g; a, b, c and 2 more segmented by v", ""}},
		},
		"nobody segments": {
			doctor.Leases{Holds: held("gateway", "capture.mic"), Live: []string{"mic"}},
			[]want{{name, doctor.Fail, "audio of mic comes in, and nobody finds the speech", "rtap-vad"}, {name, doctor.OK, "mic captured by host-2", ""}},
		},
		"nobody captures": {
			doctor.Leases{Holds: held("gateway", "vad.mic"), Live: []string{"mic"}},
			[]want{{name, doctor.Warn, "no process holds the lease to capture it", "rtap-capture"}, {name, doctor.OK, "mic segmented by host-2", ""}},
		},
		"no gateway": {
			doctor.Leases{Holds: held("capture.mic", "vad.mic"), Live: []string{"mic"}},
			[]want{{name, doctor.Fail, "no gateway is active", "rtap-egress"}, {name, doctor.OK, "mic captured by host-1", ""}},
		},
		"all gone": {
			doctor.Leases{Live: []string{"mic"}},
			[]want{{name, doctor.Warn, "capture it", "rtap-capture"}, {name, doctor.Fail, "nobody finds", "rtap-vad"}, {name, doctor.Fail, "no gateway", "rtap-egress"}},
		},
		"nothing runs": {doctor.Leases{}, []want{{name, doctor.Info, "no pipeline runs", ""}}},
		"no bucket":    {doctor.Leases{Err: fmt.Errorf("opening: %w", jetstream.ErrBucketNotFound)}, []want{{name, doctor.Info, "none yet", ""}}},
		"not allowed":  {doctor.Leases{Err: errors.New("timeout")}, []want{{name, doctor.Info, "cannot be read: timeout", ""}}},
		"audio is not to be seen": {
			doctor.Leases{Holds: held("gateway"), Blind: errors.New("timeout")},
			[]want{{name, doctor.Info, "active gateway host-1; which streams are live cannot be read: timeout", ""}},
		},
	} {
		t.Run(test, func(t *testing.T) { expect(t, tt.facts.Findings(), tt.wants...) })
	}
}

// TestLeasesGathered looks at a real server on which one stream is live.
func TestLeasesGathered(t *testing.T) {
	s := site(t, t.TempDir())
	s.Config.NATS.URL = testkit.NATS(t).ClientURL()
	const name = "leases"
	expect(t, s.Check(t, name), want{name, doctor.Info, "none yet", ""})
	b := testkit.Connect(t, s.Config)
	expect(t, s.Check(t, name), want{name, doctor.Info, "nobody holds any", ""})
	hold := func(key string) {
		t.Helper()
		value, err := proto.Marshal(&rtapv1.Lease{Holder: "host-" + key})
		if err != nil {
			t.Fatal(err)
		}
		// Without the bucket's expiry: this test is no process that renews.
		if err := forever(t, b); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Leases().Create(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	speak := func(end bool) {
		data, err := proto.Marshal(&rtapv1.Frame{StreamId: "mic", Epoch: 1, Source: "mock", End: end})
		if err == nil {
			_, err = b.JS().Publish(t.Context(), bus.Audio("mic"), data)
		}
		if err != nil {
			t.Error(err)
		}
	}
	hold(lease.Gateway)
	hold(lease.Capture("mic"))
	expect(t, s.Check(t, name), want{name, doctor.OK, "active gateway host-gateway; mic captured by host-capture.mic", ""})
	// The second look comes two seconds later, so audio must still come in.
	done, stop := make(chan struct{}), make(chan struct{})
	speak(false)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				speak(false)
			}
		}
	}()
	found := s.Check(t, name)
	close(stop)
	<-done
	expect(t, found, want{name, doctor.Fail, "audio of mic comes in, and nobody finds the speech in it", "rtap-vad"}, want{name, doctor.OK, "mic captured by", ""})
	hold(lease.VAD("mic"))
	speak(false)
	expect(t, s.Check(t, name), want{name, doctor.OK, "mic segmented by host-vad.mic", ""})
	speak(true)
	expect(t, s.Check(t, name), want{name, doctor.OK, "mic segmented by host-vad.mic", ""})
}

// forever takes the expiry from the bucket of leases.
func forever(t *testing.T, b *bus.Bus) error {
	kv, err := b.JS().Stream(t.Context(), "KV_"+bus.BucketLeases)
	if err != nil {
		return err
	}
	cfg := kv.CachedInfo().Config
	cfg.MaxAge = 0
	_, err = b.JS().UpdateStream(t.Context(), cfg)
	return err
}
