package app

import (
	"slices"
	"testing"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

func TestMemoryForgivesALateAnswer(t *testing.T) {
	vad := &rtapv1.ServiceStatus{Service: "vad", Instance: "b-1", State: "active"}
	draining := &rtapv1.ServiceStatus{Service: "vad", Instance: "b-1", State: "draining"}
	stt := &rtapv1.ServiceStatus{Service: "stt", Instance: "a-1", State: "active"}
	var m memory
	start := time.Now()
	for i, step := range []struct {
		after   time.Duration
		answers []*rtapv1.ServiceStatus
		want    []*rtapv1.ServiceStatus
	}{
		{0, []*rtapv1.ServiceStatus{vad, stt}, []*rtapv1.ServiceStatus{stt, vad}},
		{time.Second, nil, []*rtapv1.ServiceStatus{stt, vad}},
		{2 * time.Second, []*rtapv1.ServiceStatus{draining}, []*rtapv1.ServiceStatus{stt, draining}},
		{patience + time.Millisecond, nil, []*rtapv1.ServiceStatus{draining}},
		{2*patience + time.Second, nil, nil},
		{3 * patience, []*rtapv1.ServiceStatus{stt}, []*rtapv1.ServiceStatus{stt}},
	} {
		if got := m.with(step.answers, start.Add(step.after)); !slices.Equal(got, step.want) {
			t.Errorf("step %d: got %v, want %v", i, got, step.want)
		}
	}
}
